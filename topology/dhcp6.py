"""DHCPv6 messages (RFC 8415), read as far as they give or take an address for use (IA_NA).

Hostile bytes: nothing in them raises, and whatever is odd says nothing: an option that lies about its length, a name of
client or server that is missing or there twice. Temporary addresses and prefixes are not read.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from ipaddress import IPv6Address, IPv6Network

from topology.dhcp import Asked, Exchange, FromClient, FromServer, GivenBack, Granted
from topology.frames import hosts_own

_SOLICIT, _REQUEST, _RENEW, _REBIND, _REPLY, _RELEASE, _DECLINE = 1, 3, 5, 6, 7, 8, 9
_CLIENT, _SERVER, _IA_NA, _IA_ADDRESS, _STATUS, _RAPID_COMMIT = 1, 2, 3, 5, 13, 14
# A DUID has two octets of type and at most 128 more (RFC 8415, section 11.1).
_MAX_DUID = 130
# Addresses of one message that are looked at: more than a client may keep.
_MAX_ADDRESSES = 16
# A host makes its link-local addresses itself.
_LINK_LOCAL = IPv6Network("fe80::/10")

Option = tuple[int, bytes]


def from_client(message: bytes) -> FromClient | None:
    """A client's message."""
    found = _read(message)
    if found is None:
        return None
    kind, exchange, options = found
    leases = _leases(options)
    if leases is None:
        return None
    addresses = tuple(address for address, _ in leases)
    if kind in (_SOLICIT, _REQUEST, _RENEW, _REBIND):
        return Asked(exchange, addresses, only_rapid=kind == _SOLICIT)
    return GivenBack(exchange, addresses) if kind in (_RELEASE, _DECLINE) else None


def from_server(message: bytes) -> FromServer | None:
    """A server's message."""
    found = _read(message)
    if found is None:
        return None
    kind, exchange, options = found
    servers = [value for code, value in options if code == _SERVER]
    leases = _leases(options)
    if kind != _REPLY or len(servers) != 1 or not leases or not _successful(options):
        return None
    return Granted(exchange, leases, rapid=any(code == _RAPID_COMMIT for code, _ in options))


def _read(message: bytes) -> tuple[int, Exchange, list[Option]] | None:
    """Type, exchange and options of a message."""
    if len(message) < 4:
        return None
    options = _options(message[4:])
    if options is None:
        return None
    clients = [value for code, value in options if code == _CLIENT]
    if len(clients) != 1 or not 3 <= len(clients[0]) <= _MAX_DUID:
        return None
    return message[0], Exchange(6, int.from_bytes(message[1:4], "big"), clients[0]), options


def _options(rest: bytes) -> list[Option] | None:
    """All options; None: not well-formed."""
    found: list[Option] = []
    place = 0
    while place < len(rest):
        if place + 4 > len(rest):
            return None
        code, length = struct.unpack_from("!HH", rest, place)
        place += 4
        if place + length > len(rest):
            return None
        found.append((code, rest[place : place + length]))
        place += length
    return found


def _leases(options: list[Option]) -> tuple[tuple[IPv6Address, int], ...] | None:
    """The addresses and their valid lifetimes in seconds; None: not well-formed."""
    found: dict[IPv6Address, int] = {}
    for code, value in options:
        if code != _IA_NA:
            continue
        # IAID, T1 and T2 stand before the options.
        inner = _options(value[12:]) if len(value) >= 12 else None
        if inner is None:
            return None
        if not _successful(inner):
            continue
        for address, valid in _addresses(inner):
            found[address] = valid
            if len(found) > _MAX_ADDRESSES:
                return None
    return tuple(found.items())


def _addresses(options: list[Option]) -> Iterator[tuple[IPv6Address, int]]:
    for code, value in options:
        if code != _IA_ADDRESS or len(value) < 24:
            continue
        more = _options(value[24:])
        address = IPv6Address(value[:16])
        preferred, valid = struct.unpack_from("!II", value, 16)
        # "The preferred lifetime must not be greater than the valid lifetime; the client discards such an address."
        if more is None or not _successful(more) or preferred > valid:
            continue
        if hosts_own(address) and address not in _LINK_LOCAL:
            yield address, valid


def _successful(options: list[Option]) -> bool:
    """False if a status code says that it did not work (0 is success; absent means success)."""
    return all(len(value) >= 2 and value[:2] == b"\0\0" for code, value in options if code == _STATUS)
