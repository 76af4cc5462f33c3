"""Sets of pairs of numbers, exactly: ports with source ports, or ICMP types with codes.

A line is a set of numbers as sorted ranges that neither overlap nor touch. A plane is a set of pairs (x, y): slabs
``(first x, last x, line of y)``, sorted, disjoint, none empty, neighbours with equal lines joined. So there is one way
to write each, and equal sets are equal values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from itertools import pairwise

from policy.model import Range
from policy.terms import join_ranges

Line = tuple[Range, ...]
Slab = tuple[int, int, Line]
Plane = tuple[Slab, ...]
NOTHING: Plane = ()


def unite_lines(left: Line, right: Line) -> Line:
    """The numbers of either line."""
    if left == right or not right:
        return left
    return join_ranges((*left, *right)) if left else right


def intersect_lines(left: Line, right: Line) -> Line:
    """The numbers of both lines."""
    if left == right:
        return left
    found: list[Range] = []
    here, there = 0, 0
    while here < len(left) and there < len(right):
        first, last = max(left[here][0], right[there][0]), min(left[here][1], right[there][1])
        if first <= last:
            found.append((first, last))
        if left[here][1] < right[there][1]:
            here += 1
        else:
            there += 1
    return tuple(found)


def subtract_lines(left: Line, right: Line) -> Line:
    """The numbers of the left line that are not in the right one."""
    if not right:
        return left
    found: list[Range] = []
    place = 0
    for first, last in left:
        while place < len(right) and right[place][1] < first:
            place += 1
        look = place
        while look < len(right) and right[look][0] <= last:
            if first < right[look][0]:
                found.append((first, right[look][0] - 1))
            first = right[look][1] + 1
            look += 1
        if first <= last:
            found.append((first, last))
    return tuple(found)


def rectangle(columns: Iterable[Range], line: Line) -> Plane:
    """All pairs of an x in the columns (sorted, disjoint) and a y in the line."""
    return tuple((first, last, line) for first, last in columns) if line else NOTHING


# Sets of services come back again and again (the same rules meet the same leftovers), and are large now and then.
@lru_cache(maxsize=1 << 14)
def unite(left: Plane, right: Plane) -> Plane:
    """The pairs of either plane."""
    if left == right or not right:
        return left
    return _combine(left, right, unite_lines) if left else right


@lru_cache(maxsize=1 << 14)
def intersect(left: Plane, right: Plane) -> Plane:
    """The pairs of both planes."""
    if left == right or not left or not right:
        return left and right
    return _combine(left, right, intersect_lines)


@lru_cache(maxsize=1 << 14)
def subtract(left: Plane, right: Plane) -> Plane:
    """The pairs of the left plane that are not in the right one."""
    if not left or not right:
        return left
    return _combine(left, right, subtract_lines)


def _combine(left: Plane, right: Plane, of_lines: Callable[[Line, Line], Line]) -> Plane:
    """Sweeps along x: between two borders each plane has one line."""
    borders = sorted({border for plane in (left, right) for first, last, _ in plane for border in (first, last + 1)})
    found: list[Slab] = []
    here, there = 0, 0
    for first, after in pairwise(borders):
        while here < len(left) and left[here][1] < first:
            here += 1
        while there < len(right) and right[there][1] < first:
            there += 1
        one = left[here][2] if here < len(left) and left[here][0] <= first else ()
        other = right[there][2] if there < len(right) and right[there][0] <= first else ()
        line = of_lines(one, other)
        if not line:
            continue
        if found and found[-1][1] == first - 1 and found[-1][2] == line:
            found[-1] = (found[-1][0], after - 1, line)
        else:
            found.append((first, after - 1, line))
    return tuple(found)


def has(plane: Plane, x: int, y: int) -> bool:
    """True if the pair is in the plane."""
    return any(first <= x <= last and any(low <= y <= high for low, high in line) for first, last, line in plane)


def by_line(plane: Plane) -> dict[Line, Line]:
    """Each line of y with all the x that have it."""
    found: dict[Line, list[Range]] = {}
    for first, last, line in plane:
        found.setdefault(line, []).append((first, last))
    return {line: tuple(columns) for line, columns in found.items()}
