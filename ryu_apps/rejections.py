"""What the sender of a rejected packet is told: a TCP reset, or that its packet was administratively prohibited.

Pure: a frame in, the answering frame out. It speaks in the name of the packet's destination. When nothing may be said
(RFC 1122, 3.2.2; RFC 1812, 4.3.2.7; RFC 4443, 2.4 (e)), and when a frame makes no sense, there is no answer: an
answer to an answer, or to many, is how a firewall becomes a weapon.
"""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from policy.model import ICMP, ICMPV6, TCP
from ryu_apps.frames import ETH_IPV4, ETH_IPV6, EXTENSIONS, Ip, read
from topology.addresses import Address

HOP_LIMIT = 64
# RFC 1812, 4.3.2.3: an ICMP error quotes as much as fits without exceeding 576 octets; RFC 4443, 2.4 (c): the minimum
# IPv6 MTU.
LONGEST_V4, LONGEST_V6 = 576, 1280
# Destination unreachable, communication administratively prohibited (RFC 1812, 5.2.7.1; RFC 4443, 3.1).
PROHIBITED_V4, PROHIBITED_V6 = (3, 13), (1, 1)
# Internetwork control: the precedence of an ICMP error (RFC 1812, 4.3.2.5).
ERROR_TOS = 0xC0
FIN, SYN, RST, ACK = 0x01, 0x02, 0x04, 0x10
# ICMP messages that are no errors (IANA); whatever else may be one, and is not answered.
QUERIES = frozenset({0, 8, 9, 10, 13, 14, 15, 16, 17, 18, 42, 43})
REDIRECT_V6 = 137

# What is no single host's address (RFC 1122, 3.2.1.3; RFC 4291, 2.5).
NO_HOST_V4 = tuple(map(IPv4Network, ("0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/3")))
NO_HOST_V6 = tuple(map(IPv6Network, ("::/128", "::1/128", "ff00::/8", "::ffff:0:0/96")))


def answer(frame: bytes) -> bytes | None:
    """The frame that tells its sender no; None if it must not be told, or cannot be read. ``frame`` has no VLAN tag."""
    seen = read(frame)
    if seen is None or seen.ip is None or seen.tag is not None or not _one_to_one(frame):
        return None
    ip = seen.ip
    if ip.offset or ip.source == ip.destination or not (_is_host(ip.source) and _is_host(ip.destination)):
        return None
    if isinstance(ip.source, IPv4Address) and checksum(ip.data[: (ip.data[0] & 0xF) * 4]):
        # Not what was sent: who sent it cannot be known either.
        return None
    packet = _reset(ip) if ip.protocol == TCP and not ip.fragment else _prohibited(ip)
    if packet is None:
        return None
    ethertype = ETH_IPV4 if ip.source.version == 4 else ETH_IPV6
    return frame[6:12] + frame[:6] + struct.pack("!H", ethertype) + packet


def _one_to_one(frame: bytes) -> bool:
    """True if both MACs are those of single stations."""
    return not (frame[0] & 1 or frame[6] & 1) and frame[6:12] != bytes(6)


def _is_host(address: Address) -> bool:
    if isinstance(address, IPv4Address):
        return not any(address in network for network in NO_HOST_V4)
    return not any(address in network for network in NO_HOST_V6)


def _reset(ip: Ip) -> bytes | None:
    """RFC 9293, 3.5.2, group 1: as a host answers that knows nothing of the connection."""
    segment = ip.data[ip.payload :]
    if len(segment) < 20:
        return None
    source, destination, sequence, acknowledged, offset, flags = struct.unpack_from("!HHIIBB", segment)
    header = (offset >> 4) * 4
    # Its length is what the IP header says: the frame itself may be cut off.
    data = ip.length - ip.payload - header
    if flags & RST or header < 20 or data < 0:
        return None
    if flags & ACK:
        numbers = (acknowledged, 0, 0x50, RST)
    else:
        length = data + bool(flags & SYN) + bool(flags & FIN)
        numbers = (0, (sequence + length) & 0xFFFFFFFF, 0x50, RST | ACK)
    reset = struct.pack("!HHIIBBHHH", destination, source, *numbers, 0, 0, 0)
    return _packet(ip, TCP, reset, 16, 0)


def _prohibited(ip: Ip) -> bytes | None:
    """An ICMP error about the packet, unless it is one itself."""
    if ip.source.version == 4:
        if ip.protocol == ICMP and (ip.icmp is None or ip.icmp[0] not in QUERIES):
            return None
        quote = ip.data[: LONGEST_V4 - 28]
        return _packet(ip, ICMP, struct.pack("!BBHI", *PROHIBITED_V4, 0, 0) + quote, 2, ERROR_TOS)
    if ip.protocol == ICMPV6 and (ip.icmp is None or ip.is_error or ip.icmp[0] == REDIRECT_V6):
        return None
    if ip.protocol in EXTENSIONS:
        # It may be an error, behind more headers than can be looked behind.
        return None
    quote = ip.data[: LONGEST_V6 - 48]
    return _packet(ip, ICMPV6, struct.pack("!BBHI", *PROHIBITED_V6, 0, 0) + quote, 2, 0)


def _packet(ip: Ip, protocol: int, body: bytes, place: int, tos: int) -> bytes:
    """An IP packet back to the sender of another; the checksum belongs at ``place`` in ``body``."""
    source, destination = ip.destination.packed, ip.source.packed
    pseudo = b""
    if isinstance(ip.source, IPv6Address):
        pseudo = source + destination + struct.pack("!I3xB", len(body), protocol)
    elif protocol != ICMP:
        pseudo = source + destination + struct.pack("!BBH", 0, protocol, len(body))
    body = body[:place] + struct.pack("!H", checksum(pseudo + body)) + body[place + 2 :]
    if isinstance(ip.source, IPv6Address):
        return struct.pack("!IHBB", 6 << 28, len(body), protocol, HOP_LIMIT) + source + destination + body
    # In one piece, so that its identification means nothing (RFC 6864).
    head = struct.pack("!BBHHHBB", 0x45, tos, 20 + len(body), 0, 0x4000, HOP_LIMIT, protocol)
    return head + struct.pack("!H", checksum(head + bytes(2) + source + destination)) + source + destination + body


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071) of data in which its own place holds 0; 0 over data that holds a right one."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total >> 16) + (total & 0xFFFF)
    return ~total & 0xFFFF
