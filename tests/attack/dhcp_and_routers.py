"""Servers and routers that a guest is not: DHCP, router advertisements, redirects, multicast routing."""

from __future__ import annotations

from collections.abc import Iterator

from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.inet6 import (
    ICMPv6MLQuery,
    ICMPv6MLReport2,
    ICMPv6ND_RA,
    ICMPv6ND_Redirect,
    ICMPv6ND_RS,
    ICMPv6NDOptPrefixInfo,
    ICMPv6Unknown,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrHopByHop,
    RouterAlert,
)
from scapy.packet import Packet, Raw

from policy.flows.cookies import Drop
from tests.attack.declare import GUESTS, OUT, VIC, WEB, Attack, Elsewhere, Family, Honest, Limit, Reason
from tests.attack.frames import (
    ALL_NODES,
    ALL_NODES_MAC,
    BROADCAST,
    ether,
    headers6,
    ip4,
    ip6,
    nd6,
    piece6,
    pieces4,
    pieces6,
    udp,
    upper,
)
from tests.attack.place import EVIL
from tests.attack.place import OUT as OUTSIDE
from tests.attack.place import VIC as VICTIM
from tests.attack.place import WEB as SERVER_GUEST

ROUTER, SERVER = Drop.ROUTER_ADVERTISEMENT, Drop.DHCP_SERVER
# Conntrack tells one of the fragments whose they are; the others wait in vain for it at the next vNIC.
ONE_OF_THEM = 1
DESTINATION_OPTIONS, ICMPV6, UDP_PROTOCOL = 60, 58, 17
ALL_ROUTERS, ALL_ROUTERS_MAC = "ff02::2", "33:33:00:00:00:02"
ALL_SERVERS, ALL_SERVERS_MAC = "ff02::1:2", "33:33:00:01:00:02"
ADVERTISEMENT = ICMPv6ND_RA(routerlifetime=9000) / ICMPv6NDOptPrefixInfo(prefix="2001:db8:bad::", prefixlen=64)


def _router(name: str, wants: str, *packets: Packet, why: Reason = ROUTER) -> Attack:
    return Attack(name, wants, why, lambda s: [bytes(packet) + s.mark for packet in packets])


def _everybody(*layers: Packet, **head: object) -> Packet:
    packet = ether(dst=ALL_NODES_MAC) / nd6(**({"dst": ALL_NODES, "src": EVIL.link_local} | head))
    for layer in layers:
        packet /= layer
    return packet


def _hidden(mark: bytes, message: Packet, protocol: int, ident: int) -> Iterator[Packet]:
    """RFC 7113, 3: the first fragment is full of options, the message comes in the second."""
    data = upper(nd6(), message / Raw(mark * 20))
    return pieces6(DESTINATION_OPTIONS, headers6([DESTINATION_OPTIONS], protocol, 1304) + data, ident, hlim=255)


def _whole(mark: bytes, message: Packet, protocol: int, ident: int) -> Iterator[Packet]:
    return pieces6(protocol, upper(nd6(), message / Raw(mark * 100)), ident, hlim=255)


def _lone(mark: bytes, message: Packet, protocol: int) -> Packet:
    """A fragment that is the whole packet (RFC 6946)."""
    return piece6(upper(nd6(), message / Raw(mark)), 0, False, 4711, protocol, hlim=255)


def _offer(kind: str = "offer", **more: object) -> Packet:
    options = [("message-type", kind), ("server_id", EVIL.ip4), ("router", EVIL.ip4), "end"]
    head = BOOTP(op=2, yiaddr="10.0.0.200", siaddr=EVIL.ip4, chaddr=bytes.fromhex(VICTIM.mac.replace(":", "")))
    return udp(68, sport=67, **more) / head / DHCP(options=options)


def _server(name: str, wants: str, *packets: Packet, why: Reason = SERVER) -> Attack:
    return Attack(name, wants, why, lambda s: [packet / s.mark for packet in packets])


FAMILY = Family(
    "dhcp and routers",
    "servers and routers that a guest is not",
    (
        _router(
            "router advertisement",
            "Become everybody's router.",
            _everybody(ADVERTISEMENT),
            _everybody(ADVERTISEMENT, src=EVIL.ip6),
        ),
        _router(
            "router advertisement to one",
            "Become the victim's router.",
            ether() / nd6() / ADVERTISEMENT,
            ether(dst=ALL_NODES_MAC) / nd6() / ADVERTISEMENT,
        ),
        _router(
            "router advertisement of lifetime 0",
            "Take the true router away.",
            _everybody(ICMPv6ND_RA(routerlifetime=0)),
        ),
        _router(
            "router advertisement as the router",
            "Become everybody's router.",
            _everybody(ADVERTISEMENT, src="fe80::1"),
            why=Drop.SPOOFED_SOURCE,
        ),
        _router(
            "router advertisement behind hop-by-hop options",
            "Have the filter see another protocol (RFC 7113).",
            _everybody(IPv6ExtHdrHopByHop(options=[RouterAlert()]), ADVERTISEMENT),
        ),
        _router(
            "router advertisement behind destination options",
            "Have the filter see another protocol (RFC 7113).",
            _everybody(IPv6ExtHdrDestOpt(), ADVERTISEMENT),
            _everybody(IPv6ExtHdrDestOpt(), IPv6ExtHdrDestOpt(), IPv6ExtHdrDestOpt(), ADVERTISEMENT),
        ),
        _router(
            "router advertisement behind a routing header",
            "Have the filter see another protocol.",
            ether(dst=ALL_NODES_MAC) / nd6(nh=43) / Raw(bytes([58, 0, 4, 0, 0, 0, 0, 0]) + upper(nd6(), ADVERTISEMENT)),
        ),
        Attack(
            "router advertisement in a lone fragment",
            "Have the filter see a fragment only (RFC 6946).",
            ROUTER,
            lambda s: _lone(s.mark, ADVERTISEMENT, ICMPV6),
        ),
        Attack(
            "router advertisement in two fragments",
            "Have the filter see half of it.",
            Drop.INVALID,
            lambda s: _whole(s.mark, ADVERTISEMENT, ICMPV6, 4712),
        ),
        Attack(
            "router advertisement in the second fragment",
            "Have the filter see options only (RFC 7113, 3).",
            Elsewhere.REASSEMBLY,
            lambda s: _hidden(s.mark, ADVERTISEMENT, ICMPV6, 4713),
        ),
        _router(
            "redirect",
            "Become the victim's router for one peer.",
            ether() / nd6(src=EVIL.link_local) / ICMPv6ND_Redirect(tgt=EVIL.link_local, dst=OUTSIDE.ip6),
            ether() / nd6() / ICMPv6ND_Redirect(tgt=EVIL.link_local, dst=OUTSIDE.ip6),
        ),
        _router(
            "redirect behind destination options",
            "Become the victim's router for one peer.",
            ether() / nd6() / IPv6ExtHdrDestOpt() / ICMPv6ND_Redirect(tgt=EVIL.link_local, dst=OUTSIDE.ip6),
        ),
        _router(
            "multicast listener query",
            "Become the querier, and have all groups sent here.",
            _everybody(IPv6ExtHdrHopByHop(options=[RouterAlert()]), ICMPv6MLQuery(), hlim=1),
            why=Drop.NO_PASSAGE,
        ),
        _router(
            "multicast router advertisement",
            "Have all groups sent here (RFC 4286).",
            _everybody(ICMPv6Unknown(type=151), dst="ff02::6a", src=EVIL.ip6),
            why=Drop.INVALID,
        ),
        _router(
            "router solicitation to a far host",
            "Talk to the outside without a rule.",
            ether(dst=OUTSIDE.mac) / ip6(dst=OUTSIDE.ip6) / ICMPv6ND_RS(),
            why=Drop.NO_PASSAGE,
        ),
        _router(
            "listener report to a far host",
            "Talk to the outside without a rule.",
            ether(dst=OUTSIDE.mac) / ip6(dst=OUTSIDE.ip6) / ICMPv6MLReport2(),
            why=Drop.NO_PASSAGE,
        ),
        Attack(
            "listener queries from somebody far away",
            "Have guests tell him their groups (RFC 3810, 5.1.14).",
            Drop.ROUTED_DISCOVERY,
            lambda s: [
                bytes(
                    ether(src=OUTSIDE.mac, dst=SERVER_GUEST.mac)
                    / nd6(src=source, dst=SERVER_GUEST.ip6, hlim=hops)
                    / ICMPv6MLQuery()
                )
                + s.mark
                for source, hops in (("2001:db8:9::1", 9), ("2001:db8:9::1", 1), ("fe80::99", 9), ("fe80::99", 255))
            ],
            by=OUT,
        ),
        _server(
            "DHCP offer to everybody",
            "Be the DHCP server.",
            ether(dst=BROADCAST) / ip4(dst="255.255.255.255") / _offer(),
        ),
        _server(
            "DHCP offer to one",
            "Be the victim's DHCP server.",
            ether() / ip4() / _offer(),
            ether() / ip4() / _offer("ack"),
            ether() / ip4() / _offer("nak"),
        ),
        _server(
            "DHCP offer from 0.0.0.0",
            "Be a DHCP server that has no address.",
            ether(dst=BROADCAST) / ip4(src="0.0.0.0", dst="255.255.255.255") / _offer(),
        ),
        _server(
            "DHCP offer from a forged server",
            "Be taken for the true server.",
            ether() / ip4(src="10.0.0.1") / _offer(),
            why=Drop.SPOOFED_SOURCE,
        ),
        _server("DHCP offer without a checksum", "Have conntrack give it up.", ether() / ip4() / _offer(chksum=0)),
        _server(
            "DHCP offer with a wrong checksum", "Have conntrack give it up.", ether() / ip4() / _offer(chksum=0x1234)
        ),
        _server(
            "DHCP offer behind IPv4 options",
            "Have the filter read the ports at a wrong place.",
            ether() / ip4(options=b"\x94\x04\0\0") / _offer(),
        ),
        Attack(
            "DHCP offer in fragments",
            "Have the filter see no ports.",
            SERVER,
            lambda s: pieces4(ip4(id=4714) / _offer() / s.body),
            counted=ONE_OF_THEM,
        ),
        _server(
            "DHCPv6 advertisement",
            "Be the DHCPv6 server.",
            ether() / ip6(src=EVIL.link_local) / udp(546, sport=547),
            ether() / ip6() / udp(546, sport=547),
        ),
        _server(
            "DHCPv6 reply behind destination options",
            "Have the filter see another protocol.",
            ether() / ip6() / IPv6ExtHdrDestOpt() / udp(546, sport=547),
        ),
        Attack(
            "DHCPv6 reply in a lone fragment",
            "Have the filter see a fragment only.",
            SERVER,
            lambda s: _lone(s.mark, udp(546, sport=547), UDP_PROTOCOL),
        ),
        Attack(
            "DHCPv6 reply in two fragments",
            "Have the filter see no ports.",
            SERVER,
            lambda s: _whole(s.mark, udp(546, sport=547), UDP_PROTOCOL, 4715),
            counted=ONE_OF_THEM,
        ),
        Attack(
            "DHCPv6 reply in the second fragment",
            "Have the filter see options only.",
            Elsewhere.REASSEMBLY,
            lambda s: _hidden(s.mark, udp(546, sport=547), UDP_PROTOCOL, 4716),
        ),
        Attack(
            "DHCP answer from the outside, to somebody else's MAC",
            "Reach a guest that allows one service by the built-in rule for DHCP clients.",
            Elsewhere.UPLINK,
            lambda s: [
                ether(src=OUTSIDE.mac, dst="52:54:00:00:99:99")
                / ip4(src=OUTSIDE.ip4, dst=SERVER_GUEST.ip4)
                / udp(68, sport=67)
                / s.mark,
                ether(src=OUTSIDE.mac, dst="52:54:00:00:99:99")
                / ip6(src=OUTSIDE.ip6, dst=SERVER_GUEST.ip6)
                / udp(546, sport=547)
                / s.mark,
            ],
            GUESTS,
            OUT,
        ),
        Attack(
            "from a DHCP server's port, to another than a client's",
            "Reach a guest that allows one service by the built-in rule for DHCP clients.",
            Elsewhere.POLICY,
            lambda s: [
                ether(src=OUTSIDE.mac, dst=SERVER_GUEST.mac)
                / ip4(src=OUTSIDE.ip4, dst=SERVER_GUEST.ip4)
                / udp(53, sport=67)
                / s.mark,
                ether(src=OUTSIDE.mac, dst=SERVER_GUEST.mac)
                / ip6(src=OUTSIDE.ip6, dst=SERVER_GUEST.ip6)
                / udp(22, sport=547)
                / s.mark,
            ],
            GUESTS,
            OUT,
        ),
        Attack(
            "DHCP client's packet to another guest",
            "Reach a guest by the built-in rule for DHCP clients.",
            Elsewhere.POLICY,
            lambda s: [
                ether(dst="52:54:00:00:0a:50") / ip4(dst="10.0.0.80") / udp(67, sport=68) / s.mark,
                ether(dst="52:54:00:00:0a:50") / ip6(dst="2001:db8::50") / udp(547, sport=546) / s.mark,
            ],
        ),
    ),
    (
        Honest(
            "DHCP discovery",
            lambda s: (
                ether(dst=BROADCAST)
                / ip4(src="0.0.0.0", dst="255.255.255.255")
                / udp(67, sport=68)
                / BOOTP(chaddr=bytes.fromhex(EVIL.mac.replace(":", "")))
                / DHCP(options=[("message-type", "discover"), "end"])
                / s.mark
            ),
            frozenset({OUT}),
        ),
        Honest(
            "DHCPv6 solicitation",
            lambda s: (
                ether(dst=ALL_SERVERS_MAC) / ip6(src=EVIL.link_local, dst=ALL_SERVERS) / udp(547, sport=546) / s.mark
            ),
            frozenset({OUT}),
        ),
        Honest(
            "router solicitation",
            lambda s: (
                bytes(ether(dst=ALL_ROUTERS_MAC) / nd6(src=EVIL.link_local, dst=ALL_ROUTERS) / ICMPv6ND_RS()) + s.mark
            ),
            frozenset({OUT}),
        ),
        Honest(
            "listener report",
            lambda s: (
                bytes(
                    ether(dst="33:33:00:00:00:16")
                    / nd6(src=EVIL.link_local, dst="ff02::16", hlim=1)
                    / IPv6ExtHdrHopByHop(options=[RouterAlert()])
                    / ICMPv6MLReport2()
                )
                + s.mark
            ),
            frozenset({OUT}),
        ),
        Honest(
            "the true router's advertisement",
            lambda s: (
                bytes(
                    ether(src=OUTSIDE.mac, dst=ALL_NODES_MAC)
                    / nd6(src="fe80::99", dst=ALL_NODES)
                    / ICMPv6ND_RA(routerlifetime=0)
                )
                + s.mark
            ),
            frozenset({VIC, WEB}),
            OUT,
        ),
        Honest(
            "the true router's listener query",
            lambda s: (
                bytes(
                    ether(src=OUTSIDE.mac, dst=ALL_NODES_MAC)
                    / nd6(src="fe80::99", dst=ALL_NODES, hlim=1)
                    / IPv6ExtHdrHopByHop(options=[RouterAlert()])
                    / ICMPv6MLQuery()
                )
                + s.mark
            ),
            frozenset({VIC, WEB}),
            OUT,
        ),
        Honest(
            "the true server's offer",
            lambda s: ether(src=OUTSIDE.mac) / ip4(src=OUTSIDE.ip4) / udp(68, sport=67) / s.mark,
            frozenset({VIC}),
            OUT,
        ),
    ),
    (
        Limit(
            "release of the victim's lease",
            "Make the DHCP server give the victim's address to somebody else.",
            "Open vSwitch cannot look into DHCP: who the lease belongs to, only the server can check.",
            lambda s: (
                ether(dst=OUTSIDE.mac)
                / ip4(dst=OUTSIDE.ip4)
                / udp(67, sport=68)
                / BOOTP(chaddr=bytes.fromhex(VICTIM.mac.replace(":", "")), ciaddr=VICTIM.ip4)
                / DHCP(options=[("message-type", "release"), "end"])
                / s.mark
            ),
            frozenset({OUT}),
        ),
        Limit(
            "discovery for another's hardware address",
            "Use up the addresses of the DHCP server (starvation).",
            "Open vSwitch cannot look into DHCP. `builtins: {dhcp-client: off}` shuts it where nobody needs it.",
            lambda s: (
                ether(dst=BROADCAST)
                / ip4(src="0.0.0.0", dst="255.255.255.255")
                / udp(67, sport=68)
                / BOOTP(chaddr=bytes.fromhex("525400dead01"))
                / DHCP(options=[("message-type", "discover"), "end"])
                / s.mark
            ),
            frozenset({OUT}),
        ),
        Limit(
            "UDP 68 to 67 to the outside, by a guest without any egress rule",
            "Carry data out by the built-in rule for DHCP clients.",
            "Renewals go to the server's own address. `builtins: {dhcp-client: off}` shuts it where nobody needs it.",
            lambda s: [
                ether(src=SERVER_GUEST.mac, dst=OUTSIDE.mac) / head / ports / s.mark
                for head, ports in (
                    (ip4(src=SERVER_GUEST.ip4, dst=OUTSIDE.ip4), udp(67, sport=68)),
                    (ip6(src=SERVER_GUEST.ip6, dst=OUTSIDE.ip6), udp(547, sport=546)),
                )
            ],
            frozenset({OUT}),
            WEB,
        ),
        Limit(
            "UDP 67 to 68 and 547 to 546 from the outside, to a guest that allows one service",
            "Reach a guest's DHCP client from afar.",
            "A client without an address must hear its server, whose address nobody knows. Only a frame to the guest's own "
            "MAC or a broadcast reaches it. `builtins: {dhcp-client: off}` shuts it where nobody needs it.",
            lambda s: [
                ether(src=OUTSIDE.mac, dst=SERVER_GUEST.mac) / head / ports / s.mark
                for head, ports in (
                    (ip4(src="192.0.2.1", dst=SERVER_GUEST.ip4), udp(68, sport=67)),
                    (ip4(src="192.0.2.1", dst="198.51.100.9"), udp(68, sport=67)),
                    (ip6(src="2001:db8:9::1", dst=SERVER_GUEST.ip6), udp(546, sport=547)),
                )
            ],
            frozenset({WEB}),
            OUT,
        ),
    ),
)
