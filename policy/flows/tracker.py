"""A model of conntrack: what the switch's userspace datapath says of a packet in a zone. For the walker.

The model knows connections, not sequence numbers or time. Read from Open vSwitch's ``lib/conntrack*.c``:

- Every protocol is tracked, but only TCP and UDP with ports; from which version on SCTP has some is a parameter.
- Until it is answered, a connection's packets from its opener are ``+new`` again and again (TCP: its SYNs).
- An ICMP error belongs to the connection of the packet it quotes, if it goes to whoever sent that packet.
- On a connection with a helper the two ends may announce others (`packet.Packet.announces`). Their packets are
  ``+rel``, and they have tuple and mark of the connection over which they were announced. The addresses are always
  those of the two ends; conntrack takes no other announcement.
- ICMP is tracked for echo, timestamp and information requests and their replies, with code 0; a reply, or a SYN with
  ACK, opens nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from policy.flows import fields as f
from policy.flows.packet import ACK, SYN, Packet
from policy.model import ICMP, ICMPV6, SCTP, TCP, UDP

INVALID = f.CT_TRK | f.CT_INV
# The ports by which the userspace datapath knows what a helper of its is to read.
_HELPER_PORTS = {"ftp": 21, "tftp": 69}
# Types of requests and of their replies; types of errors (RFC 792, RFC 4443).
_REPLIES = {ICMP: {8: 0, 13: 14, 15: 16}, ICMPV6: {128: 129}}
_OPENERS = {protocol: frozenset(pairs) for protocol, pairs in _REPLIES.items()}
_REVERSED = {protocol: pairs | {b: a for a, b in pairs.items()} for protocol, pairs in _REPLIES.items()}
_ERRORS = {ICMP: frozenset({3, 4, 5, 11, 12}), ICMPV6: frozenset({1, 2, 3, 4})}


class Opening(NamedTuple):
    """A connection's first packet, as conntrack knows it. ``first`` and ``second`` are ports, or ICMP type and code."""

    family: int
    protocol: int
    source: int
    destination: int
    first: int = 0
    second: int = 0
    ident: int = 0

    def reverse(self) -> Opening:
        """The same connection's packets in the other direction."""
        first, second = self.second, self.first
        if (self.family, self.protocol) in ((4, ICMP), (6, ICMPV6)):
            first, second = _REVERSED[self.protocol][self.first], self.second
        return Opening(self.family, self.protocol, self.destination, self.source, first, second, self.ident)


class Known(NamedTuple):
    """What conntrack remembers of a connection. ``parent`` is the one over which it was announced, if it was."""

    answered: bool = False
    mark: int = f.MARK_OURS
    helper: str | None = None
    parent: Opening | None = None


class Expected(NamedTuple):
    """Connections that were announced, from any port."""

    zone: int
    family: int
    protocol: int
    source: int
    destination: int
    port: int


@dataclass(frozen=True, slots=True)
class Tracker:
    """All connections, and those that were announced, each with its parent and that one's mark.

    ``known``: the protocols it follows, None for all.
    """

    connections: Mapping[tuple[int, Opening], Known] = field(default_factory=dict)
    expected: Mapping[Expected, tuple[Opening, int]] = field(default_factory=dict)
    known: frozenset[int] | None = None
    sctp_ports: bool = False

    def look(self, zone: int, packet: Packet) -> tuple[Tracker, dict[str, int]]:
        """A packet visits a zone: the tracker afterwards, and the conntrack fields of the packet."""
        packet = packet.whole or packet
        if _is_error(packet):
            return self, self._error(zone, packet)
        opening = self.opening(packet)
        if opening is None:
            return self, _says(INVALID)
        syn = opening.protocol == TCP and packet.tcp_flags & (SYN | ACK) == SYN
        for found, reply in ((opening, False), (opening.reverse(), True)):
            known = self.connections.get((zone, found))
            if known is None:
                continue
            if not known.answered and (syn or (not reply and opening.protocol != TCP)):
                return self, _says_of(f.CT_TRK | f.CT_NEW, found, known)
            if known.helper == "ftp" and packet.announces and packet.announces[0] != opening.source:
                return self, _says(INVALID)
            state = f.CT_TRK | f.CT_EST | (f.CT_RPL if reply else 0)
            known = known._replace(answered=known.answered or reply)
            return self._with(zone, found, known)._listening(zone, found, packet, reply), _says_of(state, found, known)
        if not _may_open(packet, opening):
            return self, _says(INVALID)
        expected = self.expected.get(_expected(zone, opening))
        if expected is not None:
            parent, mark = expected
            return self, _says(f.CT_TRK | f.CT_NEW | f.CT_REL, parent) | {f.CT_MARK.name: mark}
        return self, _says(f.CT_TRK | f.CT_NEW, opening)

    def commit(self, zone: int, packet: Packet, mark: int = f.MARK_OURS, helper: str | None = None) -> Tracker:
        """The tracker once a packet that is ``+new`` is committed."""
        opening = self.opening(packet.whole or packet)
        if opening is None:
            return self
        if (zone, opening) in self.connections or (zone, opening.reverse()) in self.connections:
            return self
        # A connection that was announced keeps its parent's mark, whatever it is to be given.
        parent, mark = self.expected.get(_expected(zone, opening), (None, mark))
        made = self._with(zone, opening, Known(mark=mark, helper=helper, parent=parent))
        return made._listening(zone, opening, packet, False)

    def opening(self, packet: Packet) -> Opening | None:
        """What conntrack takes the packet for; None if it cannot tell."""
        family, source, destination = ends(packet)
        protocol = packet.ip_proto
        plain = Opening(family, protocol, source, destination)
        if not family or (self.known is not None and protocol not in self.known):
            return None
        if protocol == TCP:
            return plain._replace(first=packet.tcp_src, second=packet.tcp_dst)
        if protocol == UDP:
            return plain._replace(first=packet.udp_src, second=packet.udp_dst)
        if protocol == SCTP and self.sctp_ports:
            return plain._replace(first=packet.sctp_src, second=packet.sctp_dst)
        if (family, protocol) in ((4, ICMP), (6, ICMPV6)):
            kind, code = _icmp(packet)
            if kind not in _REVERSED[protocol] or code:
                return None
            return plain._replace(first=kind, second=code, ident=packet.icmp_id)
        return plain

    def _error(self, zone: int, packet: Packet) -> dict[str, int]:
        quoted = self.opening(packet.inner) if packet.inner else None
        if quoted is None or quoted.family != ends(packet)[0] or quoted.source != ends(packet)[2]:
            return _says(INVALID)
        # The error travels against the packet it quotes.
        for found, reply in ((quoted, True), (quoted.reverse(), False)):
            known = self.connections.get((zone, found))
            if known is not None:
                return _says_of(f.CT_TRK | f.CT_REL | (f.CT_RPL if reply else 0), found, known)
        return _says(INVALID)

    def _with(self, zone: int, opening: Opening, known: Known) -> Tracker:
        return replace(self, connections={**self.connections, (zone, opening): known})

    def _listening(self, zone: int, opening: Opening, packet: Packet, reply: bool) -> Tracker:
        """What the connection's helper, if it has one, makes of a packet of it."""
        known = self.connections[zone, opening]
        if known.helper is None or opening.second != _HELPER_PORTS[known.helper]:
            return self
        if known.helper == "tftp":
            listener, port = opening, opening.first
        elif packet.announces:
            listener, port = opening.reverse() if reply else opening, packet.announces[1]
        else:
            return self
        key = Expected(zone, opening.family, opening.protocol, listener.destination, listener.source, port)
        return replace(self, expected={**self.expected, key: (opening, known.mark)})


def ends(packet: Packet) -> tuple[int, int, int]:
    """Family, source and destination of an IP packet; family 0 for any other."""
    if packet.eth_type == f.IPV4_TYPE:
        return 4, packet.ipv4_src, packet.ipv4_dst
    if packet.eth_type == f.IPV6_TYPE:
        return 6, packet.ipv6_src, packet.ipv6_dst
    return 0, 0, 0


def _icmp(packet: Packet) -> tuple[int, int]:
    if packet.eth_type == f.IPV4_TYPE:
        return packet.icmp_type, packet.icmp_code
    return packet.icmpv6_type, packet.icmpv6_code


def _is_error(packet: Packet) -> bool:
    family = ends(packet)[0]
    protocol = packet.ip_proto
    return (family, protocol) in ((4, ICMP), (6, ICMPV6)) and _icmp(packet)[0] in _ERRORS[protocol]


def _may_open(packet: Packet, opening: Opening) -> bool:
    if opening.protocol == TCP:
        return packet.tcp_flags & (SYN | ACK) != SYN | ACK
    if (opening.family, opening.protocol) in ((4, ICMP), (6, ICMPV6)):
        return opening.first in _OPENERS[opening.protocol]
    return True


def _expected(zone: int, opening: Opening) -> Expected:
    family, protocol, source, destination, _, port, _ = opening
    return Expected(zone, family, protocol, source, destination, port)


def _says_of(state: int, opening: Opening, known: Known) -> dict[str, int]:
    """As `_says`, of a connection that is remembered."""
    if known.parent is None:
        return _says(state, opening) | {f.CT_MARK.name: known.mark}
    return _says(state | f.CT_REL, known.parent) | {f.CT_MARK.name: known.mark}


def _says(state: int, opening: Opening | None = None) -> dict[str, int]:
    """The packet's conntrack fields: its state, and the first tuple of its connection where there is one."""
    result = dict.fromkeys(CT_FIELDS, 0) | {f.CT_STATE.name: state}
    if opening is None:
        return result
    source, destination = (f.CT_NW_SRC, f.CT_NW_DST) if opening.family == 4 else (f.CT_IPV6_SRC, f.CT_IPV6_DST)
    result[source.name], result[destination.name] = opening.source, opening.destination
    result[f.CT_NW_PROTO.name] = opening.protocol
    result[f.CT_TP_SRC.name], result[f.CT_TP_DST.name] = opening.first, opening.second
    return result


CT_FIELDS = tuple(name for name in f.FIELDS if name.startswith("ct_"))
