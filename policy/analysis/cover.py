"""Addresses as CIDRs, as few as can say it when some addresses do not matter."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, summarize_address_range

from policy.analysis.space import BITS, address_of
from policy.model import Range
from policy.terms import join_ranges
from topology.addresses import Prefix


def exactly(family: int, ranges: Iterable[Range]) -> list[Prefix]:
    """The CIDRs that hold just these addresses."""
    return [
        prefix
        for first, last in join_ranges(ranges)
        for prefix in summarize_address_range(address_of(family, first), address_of(family, last))
    ]


def covering(family: int, wanted: Iterable[Range], unwanted: Iterable[Range]) -> list[Prefix]:
    """The fewest CIDRs that hold all wanted addresses and no unwanted one; each as small as it then can be."""
    cover = _Cover(family, _Ranges.of(wanted), _Ranges.of(unwanted))
    return list(cover.within(0, BITS[family]))


@dataclass(frozen=True, slots=True)
class _Ranges:
    """Sorted, disjoint ranges to look up in."""

    ranges: tuple[Range, ...]
    firsts: list[int]
    lasts: list[int]

    @classmethod
    def of(cls, ranges: Iterable[Range]) -> _Ranges:
        joined = join_ranges(ranges)
        return cls(joined, [first for first, _ in joined], [last for _, last in joined])

    def between(self, low: int, high: int) -> tuple[int, int] | None:
        """The smallest and largest number from low to high; None if there is none."""
        begin, end = bisect_left(self.lasts, low), bisect_right(self.firsts, high) - 1
        if begin > end:
            return None
        return max(low, self.firsts[begin]), min(high, self.lasts[end])


@dataclass(frozen=True, slots=True)
class _Cover:
    family: int
    wanted: _Ranges
    unwanted: _Ranges

    def within(self, first: int, bits: int) -> Iterator[Prefix]:
        """Of the prefix that begins here and has so many free bits; halves it as long as it holds the unwanted."""
        last = first + (1 << bits) - 1
        inside = self.wanted.between(first, last)
        if inside is None:
            return
        if self.unwanted.between(first, last) is None:
            bits = (inside[0] ^ inside[1]).bit_length()
            yield self._prefix(inside[0] >> bits << bits, bits)
            return
        yield from self.within(first, bits - 1)
        yield from self.within(first + (1 << (bits - 1)), bits - 1)

    def _prefix(self, first: int, bits: int) -> Prefix:
        length = BITS[self.family] - bits
        return IPv4Network((first, length)) if self.family == 4 else IPv6Network((first, length))
