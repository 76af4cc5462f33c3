"""What a frame says, as far as it can be read: addresses, protocol, ports. Pure; any bytes will do, nothing raises.

A frame comes from a guest or from outside, and may be cut off: whatever is not there, or makes no sense, is None.
Layouts: IEEE 802.3; RFC 826 (ARP), 791 (IPv4), 8200 (IPv6), 792 and 4443 (ICMP), 4861 (neighbour discovery).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from policy.model import ICMP, ICMPV6, SCTP, TCP, UDP
from topology.addresses import Address

ETH_IPV4, ETH_ARP, ETH_IPV6 = 0x0800, 0x0806, 0x86DD
_TAGS = (0x8100, 0x88A8)
# Tags that are looked behind; a frame with more is nobody's honest frame.
MAX_TAGS = 2
# IPv6 headers that tell what follows, and how long they are: in units of 8 octets less the first, AH in units of 4 less
# two (RFC 8200, 4.3 to 4.6; RFC 4302, 2.2); the fragment header always has 8.
_HOP_BY_HOP, _ROUTING, _FRAGMENT, _AH, _OPTIONS = 0, 43, 44, 51, 60
EXTENSIONS = frozenset({_HOP_BY_HOP, _ROUTING, _FRAGMENT, _AH, _OPTIONS})
# More of them are not followed: RFC 8200 sees each at most once, destination options twice.
MAX_EXTENSIONS = 12
# ICMP messages that quote the packet they are about (RFC 792; RFC 4443 gives errors the types below 128).
ICMP_ERRORS = frozenset({3, 4, 5, 11, 12})
ND_SOLICITATION, ND_ADVERTISEMENT = 135, 136
# Neighbour discovery options: source and target link-layer address (RFC 4861, 4.6.1).
_LLADDR_OPTIONS = (1, 2)


@dataclass(frozen=True, slots=True)
class Ip:
    """An IP packet. ``data`` is all of it that is there; ``length`` is what its header says there should be.

    ``payload`` is where the upper layer's header begins, which only the first fragment has; ``offset`` is the
    fragment's place in its packet, ``fragment`` is True for a part of a packet, also for the first. ``ports`` and
    ``icmp`` (type, code) are None where the protocol has none, or they are not there. ``protocol`` is one of IPv6's
    `EXTENSIONS` only where what follows cannot be found.
    """

    source: Address
    destination: Address
    protocol: int
    data: bytes
    length: int
    payload: int
    fragment: bool
    offset: int
    ports: tuple[int, int] | None = None
    icmp: tuple[int, int] | None = None

    @property
    def is_error(self) -> bool:
        """True for an ICMP message about another packet."""
        if self.icmp is None:
            return False
        return self.icmp[0] in ICMP_ERRORS if self.protocol == ICMP else self.icmp[0] < 128

    @property
    def quoted(self) -> Ip | None:
        """The packet that an ICMP error is about."""
        return read_ip(self.data[self.payload + 8 :]) if self.is_error else None


@dataclass(frozen=True, slots=True)
class Claim:
    """Somebody says that an address is at a MAC (None: not told). ARP's sender, or a target of neighbour discovery."""

    address: Address
    mac: str | None

    def __str__(self) -> str:
        return f"{self.address} is at {self.mac}" if self.mac is not None else str(self.address)


@dataclass(frozen=True, slots=True)
class Frame:
    """An Ethernet frame; ``ethertype`` is the one behind its VLAN tags, ``tag`` the outer one's VLAN (None: no tag)."""

    destination: str
    source: str
    ethertype: int
    tag: int | None
    ip: Ip | None = None
    claim: Claim | None = None


def read(frame: bytes) -> Frame | None:
    """A frame taken apart; None if not even its Ethernet header is there."""
    if len(frame) < 14:
        return None
    (ethertype,) = struct.unpack_from("!H", frame, 12)
    at, tag = 14, None
    for _ in range(MAX_TAGS):
        if ethertype in _TAGS and len(frame) >= at + 4:
            control, ethertype = struct.unpack_from("!HH", frame, at)
            tag = control & 0xFFF if tag is None else tag
            at += 4
    body = frame[at:]
    ip = read_ip(body) if ethertype in (ETH_IPV4, ETH_IPV6) else None
    if ip is not None and ip.source.version != (4 if ethertype == ETH_IPV4 else 6):
        ip = None
    claim = _arp(body) if ethertype == ETH_ARP else _discovery(ip) if ip is not None else None
    return Frame(mac(frame[:6]), mac(frame[6:12]), ethertype, tag, ip, claim)


def mac(octets: bytes) -> str:
    """A MAC in its one spelling."""
    return octets.hex(":")


def read_ip(data: bytes) -> Ip | None:
    """An IPv4 or IPv6 packet; None if its header is not whole or makes no sense."""
    version = data[0] >> 4 if data else 0
    if version == 4:
        return _ipv4(data)
    return _ipv6(data) if version == 6 else None


def _ipv4(data: bytes) -> Ip | None:
    if len(data) < 20:
        return None
    header = (data[0] & 0xF) * 4
    length, fragment = struct.unpack_from("!H2xH", data, 2)
    if header < 20 or len(data) < header or length < header:
        return None
    source, destination = IPv4Address(data[12:16]), IPv4Address(data[16:20])
    part, offset = bool(fragment & 0x3FFF), (fragment & 0x1FFF) * 8
    data = data[:length]
    return Ip(source, destination, data[9], data, length, header, part, offset, *_upper(data, data[9], header, offset))


def _ipv6(data: bytes) -> Ip | None:
    if len(data) < 40:
        return None
    length = 40 + struct.unpack_from("!H", data, 4)[0]
    source, destination = IPv6Address(data[8:24]), IPv6Address(data[24:40])
    data = data[:length]
    protocol, at, part, offset = data[6], 40, False, 0
    for _ in range(MAX_EXTENSIONS):
        if protocol not in EXTENSIONS or len(data) < at + 8 or offset:
            break
        if protocol == _FRAGMENT:
            (fragment,) = struct.unpack_from("!H", data, at + 2)
            # A packet in one "fragment" (RFC 6946) is no part of anything.
            part, offset = part or bool(fragment & 0xFFF9), fragment & 0xFFF8
            size = 8
        else:
            size = (data[at + 1] + 2) * 4 if protocol == _AH else (data[at + 1] + 1) * 8
        protocol, at = data[at], at + size
    return Ip(source, destination, protocol, data, length, at, part, offset, *_upper(data, protocol, at, offset))


def _upper(data: bytes, protocol: int, at: int, offset: int) -> tuple[tuple[int, int] | None, tuple[int, int] | None]:
    """Ports, and ICMP's type and code."""
    if offset:
        return None, None
    if protocol in (TCP, UDP, SCTP) and len(data) >= at + 4:
        source, destination = struct.unpack_from("!HH", data, at)
        return (source, destination), None
    own = ICMP if data[0] >> 4 == 4 else ICMPV6
    if protocol == own and len(data) >= at + 2:
        return None, (data[at], data[at + 1])
    return None, None


def _arp(body: bytes) -> Claim | None:
    """What the sender of an ARP message (request, reply, gratuitous) says of itself."""
    if len(body) < 28 or struct.unpack_from("!HHBB", body) != (1, ETH_IPV4, 6, 4):
        return None
    return Claim(IPv4Address(body[14:18]), mac(body[8:14]))


def _discovery(ip: Ip) -> Claim | None:
    """The target of a neighbour solicitation or advertisement, and the link-layer address in its first option."""
    if ip.protocol != ICMPV6 or ip.icmp is None or ip.icmp[0] not in (ND_SOLICITATION, ND_ADVERTISEMENT):
        return None
    body = ip.data[ip.payload :]
    if len(body) < 24:
        return None
    option = body[24:32]
    told = len(option) == 8 and option[0] in _LLADDR_OPTIONS and option[1] == 1
    return Claim(IPv6Address(body[8:24]), mac(option[2:]) if told else None)
