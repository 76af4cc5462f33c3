"""Places: a prefix within a scope; and whether one lies within others."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from policy.flows.borders import key_of
from topology.addresses import Prefix

Place = tuple[str, Prefix]


class PlaceIndex:
    """Some prefixes, by which others are asked for; those of single addresses are left out."""

    def __init__(self, places: Iterable[Place] = ()) -> None:
        self._firsts: dict[tuple[str, int], dict[int, set[int]]] = defaultdict(lambda: defaultdict(set))
        for scope, prefix in places:
            if prefix.prefixlen < prefix.max_prefixlen:
                first, length = key_of(prefix)
                self._firsts[scope, prefix.version][length].add(first)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PlaceIndex) and self._firsts == other._firsts

    __hash__ = None  # type: ignore[assignment]

    def __bool__(self) -> bool:
        return bool(self._firsts)

    def holds(self, place: Place, *, strictly: bool = False) -> bool:
        """True if a place is one of these or lies within one; ``strictly``: within another than itself."""
        scope, prefix = place
        if (scope, prefix.version) not in self._firsts:
            return False
        first, own_length = key_of(prefix)
        for length, firsts in self._firsts[scope, prefix.version].items():
            spare = prefix.max_prefixlen - length
            if own_length >= length + strictly and first >> spare << spare in firsts:
                return True
        return False
