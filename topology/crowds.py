"""What several claim that one should have alone: kept account of while claims come and go, one by one.

Who takes part is all that is told here; who wins is judged elsewhere, and only among these.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator
from typing import Generic, TypeVar

from topology.addresses import Prefix

C = TypeVar("C", bound=Hashable)

# A prefix by its first address and its length: the standard library takes long to hash or compare its own.
_Node = tuple[int, int]


class Crowds(Generic[C]):
    """Claimants by what they claim."""

    def __init__(self) -> None:
        self._claimants: dict[Hashable, dict[C, None]] = {}
        self._crowded: dict[Hashable, None] = {}

    def add(self, claimant: C, keys: Iterable[Hashable]) -> None:
        for key in keys:
            found = self._claimants.setdefault(key, {})
            found[claimant] = None
            if len(found) > 1:
                self._crowded[key] = None

    def remove(self, claimant: C, keys: Iterable[Hashable]) -> None:
        for key in keys:
            found = self._claimants[key]
            found.pop(claimant, None)
            if len(found) < 2:
                self._crowded.pop(key, None)
            if not found:
                del self._claimants[key]

    def having(self, key: Hashable) -> Iterable[C]:
        """Who claims this."""
        return self._claimants.get(key, ())

    def members(self) -> Iterator[C]:
        """Everybody who claims something that somebody else claims too."""
        for key in self._crowded:
            yield from self._claimants[key]


class AddressCrowds(Generic[C]):
    """Claimants by prefixes. Each claims for an owner; claims of one owner never meet, nor do those of two scopes."""

    def __init__(self) -> None:
        self._spaces: dict[tuple[str, int], _Space[C]] = {}
        self._claims: dict[C, list[tuple[_Space[C], _Node]]] = {}

    def add(self, claimant: C, owner: str, scope: str, prefixes: Iterable[Prefix]) -> None:
        claims = self._claims[claimant] = []
        for prefix in prefixes:
            space = self._spaces.setdefault((scope, prefix.version), _Space(prefix.max_prefixlen))
            node = int(prefix.network_address), prefix.prefixlen
            space.add(node, claimant, owner)
            claims.append((space, node))

    def remove(self, claimant: C) -> None:
        for space, node in self._claims.pop(claimant):
            space.remove(node, claimant)

    def members(self) -> Iterator[C]:
        """Everybody who claims an address that another owner's claimant claims too."""
        for space in self._spaces.values():
            yield from space.members()


class _Space(Generic[C]):
    """The claims of one scope and family, of addresses with ``bits`` bits."""

    def __init__(self, bits: int) -> None:
        self._bits = bits
        self._owners: dict[_Node, dict[C, str]] = {}
        self._lengths: Counter[int] = Counter()
        self._sorted: list[_Node] | None = None
        # Nodes around or within which a claim has come or gone; and those known to be crowded.
        self._touched: dict[_Node, None] = {}
        self._crowded: dict[_Node, None] = {}

    def add(self, node: _Node, claimant: C, owner: str) -> None:
        owners = self._owners.get(node)
        if owners is None:
            owners = self._owners[node] = {}
            self._lengths[node[1]] += 1
            if self._sorted is not None:
                insort(self._sorted, node)
        owners[claimant] = owner
        self._touched[node] = None

    def remove(self, node: _Node, claimant: C) -> None:
        owners = self._owners.get(node, {})
        owners.pop(claimant, None)
        self._touched[node] = None
        if not owners and node in self._owners:
            del self._owners[node]
            self._lengths[node[1]] -= 1
            if not self._lengths[node[1]]:
                del self._lengths[node[1]]
            if self._sorted is not None:
                del self._sorted[bisect_left(self._sorted, node)]

    def members(self) -> Iterator[C]:
        for node in self._related():
            if node in self._owners and self._is_crowded(node):
                self._crowded[node] = None
            else:
                self._crowded.pop(node, None)
        self._touched.clear()
        for node in self._crowded:
            yield from self._owners[node]

    def _related(self) -> Iterable[_Node]:
        """The nodes that overlap a touched one."""
        if len(self._touched) >= len(self._owners):
            return [*self._owners, *self._touched]
        found = dict(self._touched)
        for node in self._touched:
            found.update(dict.fromkeys(self._around(node)))
            found.update(dict.fromkeys(self._within(node)))
        return found

    def _is_crowded(self, node: _Node) -> bool:
        owners = set(self._owners[node].values())
        for other in self._around(node):
            owners.update(self._owners[other].values())
        if len(owners) > 1:
            return True
        for other in self._within(node):
            owners.update(self._owners[other].values())
            if len(owners) > 1:
                return True
        return False

    def _around(self, node: _Node) -> Iterator[_Node]:
        first, own_length = node
        for length in self._lengths:
            if length < own_length:
                spare = self._bits - length
                at = first >> spare << spare, length
                if at in self._owners:
                    yield at

    def _within(self, node: _Node) -> Iterator[_Node]:
        first, length = node
        if length == self._bits:
            return
        if self._sorted is None:
            self._sorted = sorted(self._owners)
        last = first + (1 << self._bits - length)
        for place in range(bisect_left(self._sorted, (first, length + 1)), len(self._sorted)):
            other = self._sorted[place]
            if other[0] >= last:
                return
            if other[1] > length:
                yield other
