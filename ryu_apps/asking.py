"""Asking the outside whether somebody has an address, as a host does before it takes one: the question as a frame.

RFC 5227, 2.1.1 (an ARP probe: no sender's address, so that nobody's cache learns anything); RFC 4861, 7.2.2 (a
neighbour solicitation, which names the asker's MAC, so that the answer comes straight to it). Pure.
"""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address

from policy.model import ICMPV6
from ryu_apps.rejections import checksum
from topology.addresses import Address, link_local_of

_SOLICITATION, _SOURCE_LINK_LAYER = 135, 1
_SOLICITED_NODES = int(IPv6Address("ff02::1:ff00:0"))


def question(mac: int, address: Address) -> bytes:
    """The frame by which whoever has this MAC asks who has the address. It has no VLAN tag."""
    asker = mac.to_bytes(6, "big")
    if isinstance(address, IPv4Address):
        packet = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + asker + bytes(4) + bytes(6) + address.packed
        return b"\xff" * 6 + asker + b"\x08\x06" + packet
    source, group = link_local_of(asker.hex(":")).packed, _SOLICITED_NODES | int(address) & 0xFFFFFF
    target = IPv6Address(group).packed
    option = struct.pack("!BB", _SOURCE_LINK_LAYER, 1) + asker
    message = struct.pack("!BBHI", _SOLICITATION, 0, 0, 0) + address.packed + option
    pseudo = source + target + struct.pack("!I3xB", len(message), ICMPV6)
    message = message[:2] + struct.pack("!H", checksum(pseudo + message)) + message[4:]
    header = struct.pack("!IHBB", 6 << 28, len(message), ICMPV6, 255) + source + target
    return b"\x33\x33" + target[-4:] + asker + b"\x86\xdd" + header + message
