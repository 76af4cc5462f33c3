"""Pieces of frames, with the attacker's own honest addresses unless told otherwise."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator

from scapy.layers.inet import IP, TCP, UDP, fragment
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.packet import Packet, Raw

from tests.attack.place import EVIL, OUT, VIC

BROADCAST = "ff:ff:ff:ff:ff:ff"
ALL_NODES_MAC = "33:33:00:00:00:01"
ALL_NODES = "ff02::1"


def ether(**more: object) -> Ether:
    """An Ethernet header, from evil to vic."""
    return Ether(**({"src": EVIL.mac, "dst": VIC.mac} | more))


def ip4(**more: object) -> IP:
    """An IPv4 header, from evil to vic."""
    return IP(**({"src": EVIL.ip4, "dst": VIC.ip4} | more))


def ip6(**more: object) -> IPv6:
    """An IPv6 header, from evil to vic."""
    return IPv6(**({"src": EVIL.ip6, "dst": VIC.ip6, "hlim": 64} | more))


def nd6(**more: object) -> IPv6:
    """An IPv6 header for neighbour discovery: no router has lowered its hop limit (RFC 4861, 7.1)."""
    return ip6(**({"hlim": 255} | more))


def udp(port: int = 4000, **more: object) -> UDP:
    """A UDP header to a port."""
    return UDP(**({"sport": 4001, "dport": port} | more))


def tcp(port: int = 4000, flags: str = "S", **more: object) -> TCP:
    """A TCP header to a port."""
    return TCP(**({"sport": 4002, "dport": port, "flags": flags} | more))


def arp(**more: object) -> ARP:
    """An ARP message with evil's own addresses as the sender's: a request for vic's."""
    return ARP(**({"op": 1, "hwsrc": EVIL.mac, "psrc": EVIL.ip4, "pdst": VIC.ip4} | more))


def from_outside(**more: object) -> Ether:
    """An Ethernet header, from the outside host to vic."""
    return ether(**({"src": OUT.mac} | more))


def tagged(*vlans: int, **more: object) -> Packet:
    """An Ethernet header with VLAN tags, the outermost first."""
    head: Packet = ether(**more)
    for vlan in vlans:
        head /= Dot1Q(vlan=vlan)
    return head


def pieces4(packet: Packet, size: int = 1400, head: Packet | None = None) -> list[Packet]:
    """An IPv4 packet in fragments."""
    return [(head or ether()) / piece for piece in fragment(packet, size)]


def piece4(data: bytes, offset: int, more: bool, ident: int, protocol: int = 17, **header: object) -> Packet:
    """One IPv4 fragment; the offset in bytes, a multiple of 8."""
    assert offset % 8 == 0
    flags = "MF" if more else 0
    return ether() / ip4(id=ident, frag=offset // 8, flags=flags, proto=protocol, **header) / Raw(data)


def piece6(data: bytes, offset: int, more: bool, ident: int, following: int = 17, **header: object) -> Packet:
    """One IPv6 fragment (RFC 8200, 4.5); ``following`` is the protocol that it says comes after."""
    head = bytes([following, 0]) + struct.pack("!HI", offset | more, ident)
    return ether() / ip6(**({"nh": 44} | header)) / Raw(head + data)


def pieces6(following: int, data: bytes, ident: int, cut: int = 1304, **header: object) -> Iterator[Packet]:
    """What follows an IPv6 header, in two fragments."""
    yield piece6(data[:cut], 0, True, ident, following, **header)
    yield piece6(data[cut:], cut, False, ident, following, **header)


def upper(head: Packet, payload: Packet) -> bytes:
    """What follows a network header, with the checksum that the header gives it."""
    return bytes(head / payload)[len(bytes(head)) :]


def options6(following: int, size: int = 8) -> bytes:
    """An IPv6 header of options that only fills room (RFC 8200, 4.2: PadN); as destination options or hop-by-hop."""
    room = size - 2
    fill = b""
    while room > 1:
        length = min(room, 257) - 2
        fill += bytes([1, length]) + bytes(length)
        room -= length + 2
    return bytes([following, size // 8 - 1]) + fill + bytes(room)


def headers6(protocols: Iterable[int], last: int, size: int = 8) -> bytes:
    """A chain of option-like IPv6 headers of these protocols, after which comes `last`."""
    chain = list(protocols)
    return b"".join(options6(following, size) for following in (*chain[1:], last))
