"""Frames of DHCP, ARP and neighbour discovery, made by scapy: what a guest and its servers send."""

from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.dhcp6 import (
    DUID_LL,
    DHCP6_Decline,
    DHCP6_Rebind,
    DHCP6_Release,
    DHCP6_Renew,
    DHCP6_Reply,
    DHCP6_Request,
    DHCP6_Solicit,
    DHCP6OptClientId,
    DHCP6OptIA_NA,
    DHCP6OptIAAddress,
    DHCP6OptRapidCommit,
    DHCP6OptServerId,
)
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6NDOptDstLLAddr, ICMPv6NDOptSrcLLAddr, IPv6
from scapy.layers.l2 import ARP, Ether

from tests.topology.builders import MAC_1
from topology.addresses import link_local_of

SERVER_MAC = "52:54:00:00:00:fe"
SERVER = "10.0.0.1"
BROADCAST = "ff:ff:ff:ff:ff:ff"
V6_KINDS = {
    "solicit": DHCP6_Solicit,
    "request": DHCP6_Request,
    "renew": DHCP6_Renew,
    "rebind": DHCP6_Rebind,
    "release": DHCP6_Release,
    "decline": DHCP6_Decline,
}


def raw(mac):
    return bytes.fromhex(mac.replace(":", ""))


def client4(kind, xid=7, mac=MAC_1, chaddr=None, ciaddr="0.0.0.0", **options):
    """A DHCPv4 client's message; ``kind`` is scapy's name of the message type."""
    return bytes(
        Ether(src=mac, dst=BROADCAST)
        / IP(src="0.0.0.0", dst="255.255.255.255")
        / UDP(sport=68, dport=67)
        / BOOTP(chaddr=raw(chaddr or mac), xid=xid, ciaddr=ciaddr)
        / DHCP(options=[("message-type", kind), *options.items(), "end"])
    )


def server4(kind, yiaddr="10.0.0.50", xid=7, mac=MAC_1, chaddr=None, lease=3600, to=None, more=()):
    """A DHCPv4 server's message to ``mac``."""
    leases = [] if lease is None else [("lease_time", lease)]
    return bytes(
        Ether(src=SERVER_MAC, dst=to or mac)
        / IP(src=SERVER, dst="255.255.255.255")
        / UDP(sport=67, dport=68)
        / BOOTP(op=2, yiaddr=yiaddr, chaddr=raw(chaddr or mac), xid=xid)
        / DHCP(options=[("message-type", kind), ("server_id", SERVER), *leases, *more, "end"])
    )


def ia(*addresses):
    """An IA_NA of (address, valid lifetime) pairs."""
    options = [DHCP6OptIAAddress(addr=address, preflft=valid, validlft=valid) for address, valid in addresses]
    return DHCP6OptIA_NA(iaid=1, ianaopts=options)


def client6(kind, *addresses, trid=9, mac=MAC_1, duid=None):
    """A DHCPv6 client's message about addresses."""
    return bytes(
        Ether(src=mac, dst="33:33:00:01:00:02")
        / IPv6(src=str(link_local_of(mac)), dst="ff02::1:2")
        / UDP(sport=546, dport=547)
        / V6_KINDS[kind](trid=trid)
        / DHCP6OptClientId(duid=DUID_LL(lladdr=duid or mac))
        / ia(*((address, 0) for address in addresses))
    )


def server6(*leases, trid=9, mac=MAC_1, duid=None, rapid=False):
    """A DHCPv6 server's reply with (address, valid lifetime) pairs."""
    reply = (
        Ether(src=SERVER_MAC, dst=mac)
        / IPv6(src=str(link_local_of(SERVER_MAC)), dst=str(link_local_of(mac)))
        / UDP(sport=547, dport=546)
        / DHCP6_Reply(trid=trid)
        / DHCP6OptClientId(duid=DUID_LL(lladdr=duid or mac))
        / DHCP6OptServerId(duid=DUID_LL(lladdr=SERVER_MAC))
        / ia(*leases)
    )
    return bytes(reply / DHCP6OptRapidCommit() if rapid else reply)


def arp(address, mac=MAC_1, hwsrc=None, op=1):
    """An ARP packet from an address."""
    return bytes(Ether(src=mac, dst=BROADCAST) / ARP(op=op, hwsrc=hwsrc or mac, psrc=address, pdst=SERVER))


def advertisement(address, mac=MAC_1, lladdr=None, hlim=255):
    """A neighbour advertisement to all nodes."""
    return bytes(
        Ether(src=mac, dst="33:33:00:00:00:01")
        / IPv6(src=address, dst="ff02::1", hlim=hlim)
        / ICMPv6ND_NA(tgt=address, R=0)
        / ICMPv6NDOptDstLLAddr(lladdr=lladdr or mac)
    )


def probe(address, mac=MAC_1, dst=None, source_option=False):
    """A duplicate address detection."""
    group = f"ff02::1:ff{address.rsplit(':', 1)[1].zfill(6)[:2]}:{address.rsplit(':', 1)[1].zfill(4)}"
    frame = (
        Ether(src=mac, dst="33:33:ff:00:00:01")
        / IPv6(src="::", dst=dst or group, hlim=255)
        / ICMPv6ND_NS(tgt=address)
    )
    return bytes(frame / ICMPv6NDOptSrcLLAddr(lladdr=mac) if source_option else frame)
