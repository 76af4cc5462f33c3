"""What a copied frame says about addresses: a UDP datagram (for DHCP), or a host's claim that an address is its own.

Frames are hostile bytes: nothing in them raises, and whatever is odd (fragments, IP options and extension headers,
tags, lengths that do not fit) says nothing. Checksums are not looked at: a copy may be taken before a virtual NIC has
filled them in, and who could forge the content could forge them too.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from topology.addresses import Address

_IPV4, _ARP, _IPV6 = 0x0800, 0x0806, 0x86DD
_UDP, _ICMPV6 = 17, 58
_NEIGHBOUR_SOLICITATION, _NEIGHBOUR_ADVERTISEMENT = 135, 136
_SOURCE_LINK_LAYER, _TARGET_LINK_LAYER = 1, 2
_UNSPECIFIED = IPv6Address("::")
_SOLICITED_NODE = int(IPv6Address("ff02::1:ff00:0"))

BROADCAST_MAC = "ff:ff:ff:ff:ff:ff"

# Addresses that no host can have (RFC 6890, RFC 1112, RFC 919; RFC 4291): this network, loopback, multicast, reserved
# and broadcast; unspecified, loopback, IPv4 in IPv6's clothes, multicast.
_NOBODYS_IPV4 = tuple(map(IPv4Network, ("0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/4", "240.0.0.0/4")))
_NOBODYS_IPV6 = tuple(map(IPv6Network, ("::/96", "::ffff:0:0/96", "ff00::/8")))


@dataclass(frozen=True, slots=True)
class Datagram:
    """A whole UDP datagram over IP ``version`` 4 or 6, and the frame's MACs."""

    source_mac: str
    destination_mac: str
    version: int
    source_port: int
    destination_port: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Claim:
    """The host with this MAC says that ``address`` is its own.

    By an ARP packet whose sender it is (RFC 826), by a neighbour advertisement (RFC 4861), or by asking before use
    whether somebody else has it (duplicate address detection, RFC 4862).
    """

    mac: str
    address: Address


def hosts_own(address: Address) -> bool:
    """True if a host can have the address."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _NOBODYS_IPV4)
    return not any(address in network for network in _NOBODYS_IPV6)


def read_frame(frame: bytes) -> Datagram | Claim | None:
    """What an Ethernet frame without tag says; None: nothing that we look for."""
    if len(frame) < 14:
        return None
    (ethertype,) = struct.unpack_from("!H", frame, 12)
    destination, source, rest = frame[:6].hex(":"), frame[6:12].hex(":"), frame[14:]
    if ethertype == _ARP:
        return _arp(source, rest)
    if ethertype == _IPV4:
        return _ipv4(source, destination, rest)
    if ethertype == _IPV6:
        return _ipv6(source, destination, rest)
    return None


def _arp(source: str, packet: bytes) -> Claim | None:
    if len(packet) < 28 or packet[:6] != b"\x00\x01\x08\x00\x06\x04" or packet[6:8] not in (b"\x00\x01", b"\x00\x02"):
        return None
    # A probe (RFC 5227) has sender 0.0.0.0, which is no claim yet.
    return _claim(source, packet[8:14].hex(":"), IPv4Address(packet[14:18]))


def _claim(source: str, mac: str, address: Address) -> Claim | None:
    return Claim(mac, address) if mac == source and hosts_own(address) else None


def _ipv4(source: str, destination: str, packet: bytes) -> Datagram | None:
    if len(packet) < 20 or packet[0] != 0x45:
        return None
    total, _, fragment, _, protocol = struct.unpack_from("!HHHBB", packet, 2)
    # All but "don't fragment" of these bits say that this is a part of something.
    if protocol != _UDP or fragment & ~0x4000 or not 20 <= total <= len(packet):
        return None
    return _udp(source, destination, 4, packet[20:total])


def _ipv6(source: str, destination: str, packet: bytes) -> Datagram | Claim | None:
    if len(packet) < 40 or packet[0] >> 4 != 6:
        return None
    length, header, hops = struct.unpack_from("!HBB", packet, 4)
    if length > len(packet) - 40:
        return None
    body = packet[40 : 40 + length]
    if header == _UDP:
        return _udp(source, destination, 6, body)
    if header == _ICMPV6 and hops == 255:
        return _neighbour(source, IPv6Address(packet[8:24]), IPv6Address(packet[24:40]), body)
    return None


def _udp(source: str, destination: str, version: int, segment: bytes) -> Datagram | None:
    if len(segment) < 8:
        return None
    from_port, to_port, length = struct.unpack_from("!HHH", segment)
    if length != len(segment):
        return None
    return Datagram(source, destination, version, from_port, to_port, segment[8:])


def _neighbour(source: str, sender: IPv6Address, to: IPv6Address, message: bytes) -> Claim | None:
    if len(message) < 24 or message[1] != 0:
        return None
    options = _options(message[24:])
    if options is None:
        return None
    target = IPv6Address(message[8:24])
    if message[0] == _NEIGHBOUR_ADVERTISEMENT:
        mac = options.get(_TARGET_LINK_LAYER, source)
        return _claim(source, mac, target) if sender != _UNSPECIFIED else None
    if message[0] == _NEIGHBOUR_SOLICITATION and sender == _UNSPECIFIED:
        asks_its_group = int(to) == _SOLICITED_NODE | int(target) & 0xFFFFFF
        return _claim(source, source, target) if asks_its_group and _SOURCE_LINK_LAYER not in options else None
    return None


def _options(rest: bytes) -> dict[int, str] | None:
    """The link-layer addresses among the options, by kind (RFC 4861, section 4.6); None: not well-formed."""
    found: dict[int, str] = {}
    while rest:
        if len(rest) < 8 or not 8 <= (length := 8 * rest[1]) <= len(rest):
            return None
        if rest[0] in (_SOURCE_LINK_LAYER, _TARGET_LINK_LAYER):
            if length != 8 or rest[0] in found:
                return None
            found[rest[0]] = rest[2:8].hex(":")
        rest = rest[length:]
    return found
