"""Sets of services, exactly: every protocol with its source and destination ports, or ICMP's types and codes.

The space is cut so that the address family needs no axis of its own. A term names a family only with ICMP, and ICMP's
numbers mean ICMP in their own family alone; so it is enough to keep apart ICMP (IPv4), ICMPv6 (IPv6), and the same two
numbers in the other family, which are protocols like any other. Nothing in the language but `any` means those last two
(`STRAY`). What is possible in one family is the intersection with `FAMILY[family]`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache, reduce

from policy.analysis import planes
from policy.analysis.planes import NOTHING, Plane
from policy.model import ALL_PORTS, ICMP, ICMPV6, SCTP, TCP, UDP, Range, Term

# The protocols that have a plane, in the order of a region's planes; the axes' largest numbers.
PLANES = (TCP, UDP, SCTP, ICMP, ICMPV6)
PORT_PLANES = 3
ALL_TYPES: tuple[Range, ...] = ((0, 255),)
_FULL = (planes.rectangle(ALL_PORTS, ALL_PORTS),) * PORT_PLANES + (planes.rectangle(ALL_TYPES, ALL_TYPES),) * 2
# ICMP's number in IPv6 and ICMPv6's in IPv4: the bits of ICMP's numbers among the protocols without a plane.
STRAY = {6: ICMP, 4: ICMPV6}
_OTHERS = (1 << 256) - 1 - sum(1 << number for number in (TCP, UDP, SCTP))


@dataclass(frozen=True, slots=True)
class Region:
    """A set of services. ``others``: a bit for each protocol without a plane; ``planes`` in the order of `PLANES`.

    One set is one value: compare with ``==``; an empty region is false.
    """

    others: int
    planes: tuple[Plane, ...]
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Regions are keys of every memo here, and a long list of ports would be hashed each time.
        object.__setattr__(self, "_hash", hash((self.others, self.planes)))

    def __hash__(self) -> int:
        return self._hash

    def __bool__(self) -> bool:
        return self is not EMPTY and (self.others != 0 or any(self.planes))

    def __or__(self, other: Region) -> Region:
        return _unite(self, other)

    def __and__(self, other: Region) -> Region:
        return _intersect(self, other)

    def __sub__(self, other: Region) -> Region:
        return _subtract(self, other)

    def __le__(self, other: Region) -> bool:
        return not self - other

    def has(self, family: int, protocol: int, x: int | None = None, y: int | None = None) -> bool:
        """True if it holds this kind of connection: ``x``, ``y`` are destination and source port, or type and code."""
        plane = _plane_of(family, protocol)
        if plane is None:
            return bool(self.others >> protocol & 1)
        return x is not None and y is not None and planes.has(self.planes[plane], x, y)


EMPTY = Region(0, (NOTHING,) * len(PLANES))
ALL = Region(_OTHERS, _FULL)
FAMILY = {
    4: Region(_OTHERS & ~(1 << STRAY[6]), (*_FULL[:-1], NOTHING)),
    6: Region(_OTHERS & ~(1 << STRAY[4]), (*_FULL[:-2], NOTHING, _FULL[-1])),
}


@lru_cache(maxsize=1 << 16)
def _unite(left: Region, right: Region) -> Region:
    return _made(left.others | right.others, map(planes.unite, left.planes, right.planes))


@lru_cache(maxsize=1 << 16)
def _intersect(left: Region, right: Region) -> Region:
    return _made(left.others & right.others, map(planes.intersect, left.planes, right.planes))


@lru_cache(maxsize=1 << 16)
def _subtract(left: Region, right: Region) -> Region:
    return _made(left.others & ~right.others, map(planes.subtract, left.planes, right.planes))


def _made(others: int, found: Iterable[Plane]) -> Region:
    """The region; the two that come up all the time are always the same object, which is compared the fastest."""
    region = Region(others, tuple(found))
    return EMPTY if region == EMPTY else ALL if region == ALL else region


def _plane_of(family: int, protocol: int) -> int | None:
    if protocol not in PLANES or STRAY[family] == protocol:
        return None
    return PLANES.index(protocol)


@lru_cache(maxsize=1 << 14)
def region_of(terms: tuple[Term, ...]) -> Region:
    """The services that terms mean together."""
    return reduce(_unite, map(_of_term, terms), EMPTY)


@lru_cache(maxsize=1 << 14)
def _of_term(term: Term) -> Region:
    """The connections of a term; a helper makes no difference."""
    if term.protocol is None:
        return ALL
    if term.protocol not in PLANES:
        return _made(1 << term.protocol, (NOTHING,) * len(PLANES))
    place = PLANES.index(term.protocol)
    if place < PORT_PLANES:
        plane = planes.rectangle(term.ports, term.source_ports)
    else:
        types = ALL_TYPES if term.icmp_type is None else ((term.icmp_type, term.icmp_type),)
        codes = ALL_TYPES if term.icmp_code is None else ((term.icmp_code, term.icmp_code),)
        plane = planes.rectangle(types, codes)
    return _made(0, (plane if at == place else NOTHING for at in range(len(PLANES))))


def unite(regions: Iterable[Region]) -> Region:
    """All services of several sets."""
    return reduce(_unite, regions, EMPTY)
