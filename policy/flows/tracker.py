"""A model of conntrack: what the switch's userspace datapath says of a packet in a zone. For the walker.

The model knows connections, not sequence numbers or time. Read from Open vSwitch's ``lib/conntrack*.c``:

- Every protocol is tracked, but only TCP and UDP with ports; from which version on SCTP has some is a parameter.
- Until it is answered, a connection's packets from its opener are ``+new`` again and again (TCP: its SYNs).
- An ICMP error belongs to the connection of the packet it quotes, if it goes to whoever sent that packet.
- ICMP is tracked for echo, timestamp and information requests and their replies, with code 0; a reply, or a SYN with
  ACK, opens nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from policy.flows import fields as f
from policy.flows.packet import ACK, SYN, Packet
from policy.model import ICMP, ICMPV6, SCTP, TCP, UDP

INVALID = f.CT_TRK | f.CT_INV
# The mark that `flow.Commit` sets.
REMEMBERED = {f.CT_MARK.name: 1}
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


@dataclass(frozen=True, slots=True)
class Tracker:
    """All connections, by zone: whether each has been answered. ``known``: the protocols it follows, None for all."""

    connections: Mapping[tuple[int, Opening], bool] = field(default_factory=dict)
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
            answered = self.connections.get((zone, found))
            if answered is None:
                continue
            if not answered and (syn or (not reply and opening.protocol != TCP)):
                return self, _says(f.CT_TRK | f.CT_NEW, found) | REMEMBERED
            state = f.CT_TRK | f.CT_EST | (f.CT_RPL if reply else 0)
            return self._with(zone, found, answered or reply), _says(state, found) | REMEMBERED
        if not _may_open(packet, opening):
            return self, _says(INVALID)
        return self, _says(f.CT_TRK | f.CT_NEW, opening)

    def commit(self, zone: int, packet: Packet) -> Tracker:
        """The tracker once a packet that is ``+new`` is committed."""
        opening = self.opening(packet.whole or packet)
        if opening is None:
            return self
        if (zone, opening) in self.connections or (zone, opening.reverse()) in self.connections:
            return self
        return self._with(zone, opening, False)

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
            if (zone, found) in self.connections:
                return _says(f.CT_TRK | f.CT_REL | (f.CT_RPL if reply else 0), found) | REMEMBERED
        return _says(INVALID)

    def _with(self, zone: int, opening: Opening, answered: bool) -> Tracker:
        connections = {**self.connections, (zone, opening): answered}
        return Tracker(connections, self.known, self.sctp_ports)


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
