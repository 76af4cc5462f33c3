"""Terms of a service as tests of a packet. Each term is said twice.

A new connection is matched by its packet's own L4 fields: OVS un-wildcards those only as far as it must, so a port scan
costs few megaflows. Every other packet is matched by its connection's first tuple, which conntrack keeps. The TUPLE
bit, set in JUDGE, says which of the two forms holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from policy.flows import fields as f
from policy.flows.flow import FAMILY, IPV4, IPV6, Condition, ct_state, exact, masked
from policy.model import ALL_PORTS, ICMP, ICMPV6, SCTP, TCP, UDP, Range, Term

# Protocols whose packets conntrack always follows, so that one it calls invalid is.
TRACKED = (ICMP, TCP, UDP, ICMPV6, SCTP)
OWN, FIRST = exact(f.TUPLE, 0), exact(f.TUPLE, 1)
AHEAD, AGAINST = exact(f.REPLY, 0), exact(f.REPLY, 1)
_VALID = ct_state("+trk-inv")
_PORTS = {
    TCP: (f.TCP_SRC, f.TCP_DST),
    UDP: (f.UDP_SRC, f.UDP_DST),
    SCTP: (f.SCTP_SRC, f.SCTP_DST),
}
_ICMP = {ICMP: (IPV4, f.ICMP_TYPE, f.ICMP_CODE), ICMPV6: (IPV6, f.ICMPV6_TYPE, f.ICMPV6_CODE)}

Conditions = tuple[Condition, ...]


def port_masks(low: int, high: int) -> Iterator[tuple[int, int]]:
    """The fewest (value, mask) pairs of 16 bits that together cover the ports from low to high, both included."""
    while low <= high:
        size = low & -low or 0x10000
        while low + size - 1 > high:
            size >>= 1
        yield low, 0x10000 - size
        low += size


def _ports(field: f.Field, ranges: Iterable[Range]) -> list[Conditions]:
    ranges = tuple(ranges)
    if ranges == ALL_PORTS:
        return [()]
    return [(masked(field, value, mask),) for low, high in ranges for value, mask in port_masks(low, high)]


def packet_conditions(term: Term) -> list[Conditions]:
    """The tests of a term by a packet's own fields; ``term.protocol`` is not None."""
    assert term.protocol is not None
    if term.protocol == SCTP:
        return _sctp_conditions(term)
    protocol = exact(f.IP_PROTO, term.protocol)
    if term.protocol in _ICMP:
        family, type_field, code_field = _ICMP[term.protocol]
        return [(OWN, family, protocol, *_icmp(term, type_field, code_field))]
    families = [FAMILY[term.family]] if term.family else [IPV4, IPV6]
    if term.protocol not in _PORTS:
        return [(OWN, family, protocol) for family in families]
    source, destination = _PORTS[term.protocol]
    return [
        (OWN, family, protocol, *low, *high)
        for family in families
        for low in _ports(source, term.source_ports)
        for high in _ports(destination, term.ports)
    ]


def _sctp_conditions(term: Term) -> list[Conditions]:
    """SCTP by each packet's own ports, in both directions: OVS's own conntrack knew none of its ports before 3.2."""
    protocol = exact(f.IP_PROTO, SCTP)
    return [
        (direction, family, protocol, *low, *high)
        for direction, near, far in ((AHEAD, f.SCTP_SRC, f.SCTP_DST), (AGAINST, f.SCTP_DST, f.SCTP_SRC))
        for family in (IPV4, IPV6)
        for low in _ports(near, term.source_ports)
        for high in _ports(far, term.ports)
    ]


def connection_conditions(term: Term) -> list[Conditions]:
    """The tests of a term by its connection's first tuple."""
    assert term.protocol is not None
    if term.protocol == SCTP and not term.ports == term.source_ports == ALL_PORTS:
        return []
    base = (FIRST, _VALID, exact(f.CT_NW_PROTO, term.protocol))
    if term.protocol in _ICMP:
        return [(*base, *_icmp(term, f.CT_TP_SRC, f.CT_TP_DST))]
    return [
        (*base, *low, *high)
        for low in _ports(f.CT_TP_SRC, term.source_ports)
        for high in _ports(f.CT_TP_DST, term.ports)
    ]


def _icmp(term: Term, type_field: f.Field, code_field: f.Field) -> Conditions:
    tests: list[Condition] = []
    if term.icmp_type is not None:
        tests.append(exact(type_field, term.icmp_type))
    if term.icmp_code is not None:
        tests.append(exact(code_field, term.icmp_code))
    return tuple(tests)


def service_conditions(terms: Iterable[Term]) -> list[Conditions] | None:
    """All tests of a rule's terms, both forms, each once; None if some term is any connection at all."""
    seen: dict[Conditions, None] = {}
    for term in terms:
        if term.protocol is None:
            return None
        for tests in (*packet_conditions(term), *connection_conditions(term)):
            seen.setdefault(tests)
    return list(seen)
