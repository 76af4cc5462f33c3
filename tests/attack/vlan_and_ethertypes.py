"""What is not plain Ethernet with ARP or IP: VLAN tags, other protocols, frames of odd lengths."""

from __future__ import annotations

from scapy.layers.inet import IP
from scapy.layers.l2 import LLC, SNAP, Dot1AD, Dot1Q, Dot3, Ether
from scapy.packet import Packet, Raw

from policy.flows.cookies import Drop
from tests.attack.declare import FAR, GUESTS, OUT, VIC, Attack, Elsewhere, Family, Honest
from tests.attack.frames import BROADCAST, arp, ether, ip4, tagged, udp
from tests.attack.place import EVIL
from tests.attack.place import FAR as FAR_HOST
from tests.attack.place import OUT as OUTSIDE
from tests.attack.place import VIC as VICTIM

TAGGED, NO_IP = Drop.UNKNOWN_PORT_OR_MAC, Drop.SPOOFED_SOURCE
BRIDGE_GROUP = "01:80:c2:00:00:{:02x}"


def _vlan(name: str, wants: str, *heads: Packet) -> Attack:
    return Attack(name, wants, TAGGED, lambda s: [head / ip4() / udp() / s.mark for head in heads])


def _type(name: str, wants: str, ethertype: int, *to: str) -> Attack:
    macs = to or (BROADCAST, VICTIM.mac)
    return Attack(
        name, wants, NO_IP, lambda s: [Ether(src=EVIL.mac, dst=mac, type=ethertype) / Raw(s.mark * 4) for mac in macs]
    )


def _llc(name: str, wants: str, to: str, *head: Packet) -> Attack:
    def sends(mark: bytes) -> Packet:
        packet: Packet = Dot3(src=EVIL.mac, dst=to)
        for layer in head:
            packet /= layer
        return packet / Raw(mark * 3)

    return Attack(name, wants, NO_IP, lambda s: sends(s.mark))


_SNAP = LLC(dsap=0xAA, ssap=0xAA, ctrl=3)

FAMILY = Family(
    "vlan and ethertypes",
    "VLAN tags, protocols other than ARP and IP, and frames of odd lengths",
    (
        _vlan(
            "tag of another network",
            "Hop into another network.",
            tagged(20, dst=FAR_HOST.mac),
            tagged(20, dst=BROADCAST),
        ),
        _vlan("tag of a network that nobody has", "Hop into a network of the uplink's.", tagged(999)),
        _vlan("tag of VLAN 1 and 4095", "Use numbers that switches treat in their own way.", tagged(1), tagged(4095)),
        _vlan("priority tag", "Raise its own priority, or be let through as untagged.", tagged(0)),
        _vlan(
            "two tags",
            "Have one taken off on the way, and hop by the other.",
            tagged(0, 20),
            tagged(1, 20),
            tagged(20, 20),
        ),
        _vlan(
            "provider tag (802.1ad)",
            "Hop by a tag that filters forget.",
            ether() / Dot1AD(vlan=20),
            ether() / Dot1AD(vlan=0),
        ),
        _vlan(
            "provider tag around a tag",
            "Hop by the inner tag.",
            ether() / Dot1AD(vlan=20) / Dot1Q(vlan=20),
            ether() / Dot1AD(vlan=0) / Dot1Q(vlan=20),
        ),
        Attack(
            "ARP in a tag",
            "Poison another network.",
            TAGGED,
            lambda s: tagged(20, dst=BROADCAST) / arp(psrc=FAR_HOST.ip4) / s.mark,
        ),
        _type("old double tag (0x9100)", "Hop by a tag that filters forget.", 0x9100),
        Attack(
            "untagged, to a MAC of another network",
            "Reach another network by knowing a MAC.",
            Elsewhere.UPLINK,
            lambda s: ether(dst=FAR_HOST.mac) / ip4(dst=FAR_HOST.ip4) / udp() / s.mark,
            GUESTS,
        ),
        Attack(
            "IPv4 within LLC, forged",
            "Hide the source from a filter that knows Ethernet II.",
            NO_IP,
            lambda s: (
                Dot3(src=EVIL.mac, dst=VICTIM.mac)
                / _SNAP
                / SNAP(OUI=0, code=0x0800)
                / ip4(src=VICTIM.ip4)
                / udp()
                / s.mark
            ),
        ),
        Attack(
            "ARP within LLC, forged",
            "Hide the claim from a filter that knows Ethernet II.",
            NO_IP,
            lambda s: (
                Dot3(src=EVIL.mac, dst=BROADCAST)
                / _SNAP
                / SNAP(OUI=0, code=0x0806)
                / arp(op=2, psrc=VICTIM.ip4)
                / s.mark
            ),
        ),
        _llc(
            "spanning tree", "Become the root of the tree.", BRIDGE_GROUP.format(0), LLC(dsap=0x42, ssap=0x42, ctrl=3)
        ),
        _llc("Cisco discovery", "Be taken for a switch.", "01:00:0c:cc:cc:cc", _SNAP, SNAP(OUI=0x0C, code=0x2000)),
        _llc(
            "Cisco trunking (DTP)",
            "Turn the port upstream into a trunk.",
            "01:00:0c:cc:cc:cc",
            _SNAP,
            SNAP(OUI=0x0C, code=0x2004),
        ),
        _llc(
            "Cisco VLANs (VTP)", "Delete the VLANs upstream.", "01:00:0c:cc:cc:cc", _SNAP, SNAP(OUI=0x0C, code=0x2003)
        ),
        _llc(
            "spanning tree per VLAN",
            "Become the root of the tree.",
            "01:00:0c:cc:cc:cd",
            _SNAP,
            SNAP(OUI=0x0C, code=0x010B),
        ),
        _llc("IS-IS", "Join the routing upstream.", "09:00:2b:00:00:05", LLC(dsap=0xFE, ssap=0xFE, ctrl=3)),
        _llc("NetBIOS, IPX", "Talk past a firewall of IP.", VICTIM.mac, LLC(dsap=0xF0, ssap=0xF0, ctrl=3)),
        _type("LLDP", "Be taken for a switch.", 0x88CC, BRIDGE_GROUP.format(14)),
        _type("LACP", "Take a link of the bond.", 0x8809, BRIDGE_GROUP.format(2)),
        _type("pause", "Silence the port upstream.", 0x8808, BRIDGE_GROUP.format(1)),
        _type("VLAN registration (MVRP)", "Have another network sent here.", 0x88F5, BRIDGE_GROUP.format(0x21)),
        _type("PPPoE discovery", "Be the access concentrator.", 0x8863),
        _type("PPPoE session", "Carry IP past the filter.", 0x8864),
        _type("EAPOL", "End the session of an authenticated port.", 0x888E, BRIDGE_GROUP.format(3), VICTIM.mac),
        _type("MPLS", "Carry IP past the filter.", 0x8847),
        _type("network service header", "Carry IP past the filter.", 0x894F),
        _type("MACsec", "Talk where nobody can look inside.", 0x88E5),
        _type("IPX, AppleTalk", "Talk past a firewall of IP.", 0x8137),
        _type("FCoE, ATA over Ethernet", "Reach storage past a firewall of IP.", 0x8906),
        _type("ATA over Ethernet", "Reach storage past a firewall of IP.", 0x88A2),
        _type("precision time", "Set the clocks of others.", 0x88F7),
        _type("connectivity faults (CFM)", "Feign a fault upstream.", 0x8902),
        _type("wake on LAN", "Wake machines.", 0x0842),
        _type("configuration test", "Have frames sent on by others (loopback).", 0x9000),
        _type("transparent bridging", "Carry whole frames past the filter.", 0x6558),
        _type("types without a meaning", "Talk past a firewall of IP.", 0xBEEF),
        Attack(
            "IPv4 cut short",
            "Have the filter read beyond the end.",
            Drop.INVALID,
            lambda s: [ether(type=0x0800) / Raw(s.mark[:4]), ether(type=0x0800) / Raw(s.mark)],
        ),
        Attack(
            "IPv6 cut short",
            "Have the filter read beyond the end.",
            Drop.INVALID,
            lambda s: [ether(type=0x86DD) / Raw(s.mark[:4]), ether(type=0x86DD) / Raw(s.mark * 2)],
        ),
    ),
    (
        Honest("untagged IPv4", lambda s: ether() / ip4() / udp() / s.mark, frozenset({VIC})),
        Honest(
            "IPv4 within LLC, own source",
            lambda s: Dot3(src=EVIL.mac, dst=VICTIM.mac) / _SNAP / SNAP(OUI=0, code=0x0800) / ip4() / udp() / s.mark,
            frozenset({VIC}),
        ),
        Honest(
            "tagged, from outside",
            lambda s: (
                Ether(src=OUTSIDE.mac, dst=BROADCAST)
                / Dot1Q(vlan=20)
                / arp(hwsrc=OUTSIDE.mac, psrc="10.20.0.99")
                / s.mark
            ),
            frozenset({FAR}),
            OUT,
        ),
        Honest(
            "the shortest IPv4 there is",
            lambda s: ether() / IP(src=EVIL.ip4, dst=VICTIM.ip4, proto=253) / s.mark[:4],
            frozenset({VIC}),
        ),
    ),
)
