"""DHCPv4 messages (RFC 2131, options RFC 2132), read as far as they give or take an address.

Hostile bytes: nothing in them raises, and whatever is odd says nothing: another hardware type, an option that lies
about its length or comes twice where once is meant, no end. Options in the fields ``file`` and ``sname`` are not read,
so a server that puts the type or the lease there is not heard.
"""

from __future__ import annotations

import struct
from ipaddress import IPv4Address

from topology.dhcp import Asked, Exchange, FromClient, FromServer, GivenBack, Granted, Refused
from topology.frames import hosts_own

_REQUEST, _REPLY = 1, 2
_DISCOVER, _WANT, _DECLINE, _ACK, _NAK, _RELEASE = 1, 3, 4, 5, 6, 7
_ETHERNET = b"\x01\x06"
_COOKIE = b"\x63\x82\x53\x63"
_FIXED = 240
_PAD, _END = 0, 255
_REQUESTED_ADDRESS, _LEASE_TIME, _MESSAGE_TYPE, _SERVER, _RAPID_COMMIT = 50, 51, 53, 54, 80
# The length that an option of ours must have.
_LENGTHS = {_REQUESTED_ADDRESS: 4, _LEASE_TIME: 4, _MESSAGE_TYPE: 1, _SERVER: 4, _RAPID_COMMIT: 0}

Options = dict[int, bytes]


def from_client(message: bytes) -> FromClient | None:
    """A client's message."""
    found = _read(message, _REQUEST)
    if found is None:
        return None
    kind, exchange, options = found
    # A client that has an address says so in ciaddr; one that would like one in an option.
    has = _address(message[12:16])
    wants = _address(options.get(_REQUESTED_ADDRESS, b""))
    if kind in (_DISCOVER, _WANT):
        return Asked(exchange, wants or has, only_rapid=kind == _DISCOVER)
    if kind == _RELEASE:
        return GivenBack(exchange, has)
    return GivenBack(exchange, wants) if kind == _DECLINE else None


def from_server(message: bytes) -> FromServer | None:
    """A server's message."""
    found = _read(message, _REPLY)
    if found is None:
        return None
    kind, exchange, options = found
    if kind == _NAK:
        return Refused(exchange)
    given, lease = _address(message[16:20]), options.get(_LEASE_TIME)
    if kind != _ACK or lease is None or _SERVER not in options:
        return None
    (seconds,) = struct.unpack("!I", lease)
    if not given or not seconds:
        return None
    return Granted(exchange, ((given[0], seconds),), rapid=_RAPID_COMMIT in options)


def _read(message: bytes, operation: int) -> tuple[int, Exchange, Options] | None:
    """Type, exchange and options of a message over Ethernet."""
    if len(message) < _FIXED or message[0] != operation or message[1:3] != _ETHERNET or message[236:240] != _COOKIE:
        return None
    options = _options(message[_FIXED:])
    if options is None or _MESSAGE_TYPE not in options:
        return None
    (number,) = struct.unpack_from("!I", message, 4)
    return options[_MESSAGE_TYPE][0], Exchange(4, number, message[28:34]), options


def _options(rest: bytes) -> Options | None:
    """The options that we know; None: not well-formed."""
    found: Options = {}
    place = 0
    while place < len(rest):
        code = rest[place]
        if code == _END:
            return found
        if code == _PAD:
            place += 1
            continue
        if place + 2 > len(rest) or place + 2 + rest[place + 1] > len(rest):
            return None
        value = rest[place + 2 : place + 2 + rest[place + 1]]
        place += 2 + len(value)
        if code in _LENGTHS:
            if code in found or len(value) != _LENGTHS[code]:
                return None
            found[code] = value
    return None


def _address(value: bytes) -> tuple[IPv4Address, ...]:
    """The address that a field of four octets holds, if a host can have it."""
    if len(value) != 4:
        return ()
    address = IPv4Address(value)
    return (address,) if hosts_own(address) else ()
