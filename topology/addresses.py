"""MAC and IP addresses as this project writes them: one spelling each, checked on the way in.

A MAC is the lower-case text ``52:54:00:00:00:01``; an IP address or prefix is the standard library's own frozen value.
"""

from __future__ import annotations

import re
from contextlib import suppress
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

Address = IPv4Address | IPv6Address
Prefix = IPv4Network | IPv6Network

_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")


def parse_mac(text: str) -> str:
    """The one spelling of a unicast MAC address.

    Raises ``ValueError`` for anything else, multicast and all-zero addresses included (IEEE 802: the lowest bit of the
    first octet marks a group address, which no NIC may have).
    """
    mac = text.strip().lower()
    if not _MAC.fullmatch(mac):
        raise ValueError(f"{text!r} is not a MAC address like 52:54:00:00:00:01")
    if int(mac[:2], 16) & 1:
        raise ValueError(f"{text!r} is a multicast MAC address; a vNIC needs a unicast one")
    if mac == "00:00:00:00:00:00":
        raise ValueError("the all-zero MAC address belongs to nobody")
    return mac


def mac_number(mac: str) -> int:
    """A MAC as a number of 48 bits; ``mac`` in the one spelling of `parse_mac`."""
    return int(mac.replace(":", ""), 16)


def parse_prefix(text: str) -> Prefix:
    """An address or CIDR as a prefix; a bare address is a /32 or /128. Raises ``ValueError``, host bits included."""
    if "%" in text:
        raise ValueError(f"{text!r}: an address with a zone index means nothing outside its host")
    try:
        prefix = ip_network(text)
    except ValueError as error:
        if "has host bits set" in str(error):
            network = ip_network(text, strict=False)
            raise ValueError(f"{text!r} has host bits set; the network is {network}") from None
        raise ValueError(f"{text!r} is not an IPv4 or IPv6 address or CIDR") from None
    if prefix.prefixlen == prefix.max_prefixlen:
        # A single address has a function of its own here, which takes more memory than all the rest of it.
        with suppress(AttributeError):
            del prefix.hosts
    return prefix


def ends(prefix: Prefix) -> tuple[int, int]:
    """The first and the last address of a prefix. (The standard library's `broadcast_address` stays with the value: as
    much memory again as that takes.)"""
    first = int(prefix.network_address)
    return first, first + (1 << prefix.max_prefixlen - prefix.prefixlen) - 1


def within(inner: Prefix, outer: Prefix) -> bool:
    """True if one prefix lies in another, or is the same."""
    same_family = inner.version == outer.version
    return same_family and inner.prefixlen >= outer.prefixlen and inner.network_address in outer


# Destinations of packets for many: multicast (RFC 5771, RFC 4291) and the limited broadcast (RFC 919).
FLOODED: tuple[Prefix, ...] = (IPv4Network("224.0.0.0/4"), IPv4Network("255.255.255.255/32"), IPv6Network("ff00::/8"))
_FLOODED = {version: [ends(prefix) for prefix in FLOODED if prefix.version == version] for version in (4, 6)}


def may_flood(prefix: Prefix) -> bool:
    """True if packets for many can have destinations in a prefix."""
    first, last = ends(prefix)
    return any(begin <= last and first <= end for begin, end in _FLOODED[prefix.version])


def parse_address(text: str) -> Address:
    """One address. Raises ``ValueError``."""
    if "%" in text:
        raise ValueError(f"{text!r}: an address with a zone index means nothing outside its host")
    try:
        return ip_address(text)
    except ValueError:
        raise ValueError(f"{text!r} is not an IPv4 or IPv6 address") from None


def link_local_of(mac: str) -> IPv6Address:
    """The link-local address that a host derives from its MAC (RFC 4291, appendix A: modified EUI-64)."""
    octets = bytearray(bytes.fromhex(mac.replace(":", "")))
    octets[0] ^= 0x02
    return IPv6Address(b"\xfe\x80" + bytes(6) + bytes(octets[:3]) + b"\xff\xfe" + bytes(octets[3:]))
