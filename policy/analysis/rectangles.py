"""Many pairs with a set of services each, said in few lines: all of these to all of those, these services."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from policy.analysis.regions import Region, unite

Pair = tuple[int, int]


class Rectangle(NamedTuple):
    """Every pair of a source and a destination has at least these services."""

    sources: frozenset[int]
    destinations: frozenset[int]
    region: Region


# Whether all pairs of two sets are ones that do not count, so that a rectangle may hold them for nothing.
Free = Callable[[frozenset[int], frozenset[int]], bool]
# Rectangles of one region that are tried with each other; where there are more, the square of them would take long.
MAX_TRIED = 200


def rectangles(pairs: Mapping[Pair, Region], free: Free) -> list[Rectangle]:
    """Rectangles that together say just what the pairs say, as far as pairs count.

    The fewest possible would take ages to find (covering by rectangles is NP-hard). Sources that say the same are taken
    together, or destinations, whichever makes fewer; then rectangles that only free pairs keep apart.
    """
    by_source = _by_rows(pairs)
    swapped = _by_rows({(destination, source): region for (source, destination), region in pairs.items()})
    by_destination = [Rectangle(each.destinations, each.sources, each.region) for each in swapped]
    by_region: dict[Region, list[Rectangle]] = defaultdict(list)
    for each in by_source if len(by_source) <= len(by_destination) else by_destination:
        by_region[each.region].append(each)
    return _joined(each for alike in by_region.values() for each in _merged(alike, free))


def _merged(alike: list[Rectangle], free: Free) -> list[Rectangle]:
    """Rectangles of one region, two made into one as long as that says nothing that counts beside them."""
    if len(alike) > MAX_TRIED:
        return alike
    found: list[Rectangle] = []
    for each in alike:
        place = 0
        while place < len(found):
            other = found[place]
            if free(each.sources - other.sources, other.destinations - each.destinations) and free(
                other.sources - each.sources, each.destinations - other.destinations
            ):
                each = Rectangle(each.sources | other.sources, each.destinations | other.destinations, each.region)
                del found[place]
                place = 0
            else:
                place += 1
        found.append(each)
    return found


def _by_rows(pairs: Mapping[Pair, Region]) -> list[Rectangle]:
    rows: dict[int, dict[Region, set[int]]] = defaultdict(lambda: defaultdict(set))
    for (source, destination), region in pairs.items():
        rows[source][region].add(destination)
    alike: dict[frozenset[tuple[Region, frozenset[int]]], list[int]] = defaultdict(list)
    for source, row in rows.items():
        alike[frozenset((region, frozenset(found)) for region, found in row.items())].append(source)
    return [
        Rectangle(frozenset(sources), destinations, region)
        for row, sources in alike.items()
        for region, destinations in row
    ]


def _joined(found: Iterable[Rectangle]) -> list[Rectangle]:
    """Rectangles of the same ends become one."""
    regions: dict[tuple[frozenset[int], frozenset[int]], list[Region]] = defaultdict(list)
    for each in found:
        regions[each.sources, each.destinations].append(each.region)
    return [Rectangle(*ends, unite(regions[ends])) for ends in regions]
