"""Places: a prefix within a scope; and whether one lies within others."""

from __future__ import annotations

from collections.abc import Iterable

from topology.addresses import Prefix
from topology.prefix_index import PrefixIndex, node_of

Place = tuple[str, Prefix]


class PlaceIndex:
    """Some ranges, by which places are asked for; ranges of a single address are left out."""

    def __init__(self, places: Iterable[Place] = ()) -> None:
        self._ranges = frozenset(
            (scope, prefix.version, *node_of(prefix))
            for scope, prefix in places
            if prefix.prefixlen < prefix.max_prefixlen
        )
        self._indexes: dict[tuple[str, int], PrefixIndex] = {}
        for scope, version, first, length in self._ranges:
            index = self._indexes.setdefault((scope, version), PrefixIndex(32 if version == 4 else 128))
            index.add((first, length))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PlaceIndex) and self._ranges == other._ranges

    def __hash__(self) -> int:
        return hash(self._ranges)

    def __bool__(self) -> bool:
        return bool(self._ranges)

    def holds(self, place: Place, *, strictly: bool = False) -> bool:
        """True if a place is one of these or lies within one; ``strictly``: within another than itself."""
        scope, prefix = place
        index = self._indexes.get((scope, prefix.version))
        if index is None:
            return False
        node = node_of(prefix)
        if not strictly and (scope, prefix.version, *node) in self._ranges:
            return True
        return any(True for _ in index.around(node))
