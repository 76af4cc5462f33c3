"""What several claim that one should have alone: kept account of while claims come and go, one by one.

Who takes part is all that is told here; who wins is judged elsewhere, and only among these.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from typing import Generic, TypeVar

from topology.addresses import Prefix
from topology.breath import breathing
from topology.prefix_index import Node, PrefixIndex, node_of

C = TypeVar("C", bound=Hashable)


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
        self._claims: dict[C, list[tuple[_Space[C], Node]]] = {}

    def add(self, claimant: C, owner: str, scope: str, prefixes: Iterable[Prefix]) -> None:
        claims = self._claims[claimant] = []
        for prefix in prefixes:
            space = self._spaces.setdefault((scope, prefix.version), _Space(prefix.max_prefixlen))
            node = node_of(prefix)
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
        self._index = PrefixIndex(bits)
        self._owners: dict[Node, dict[C, str]] = {}
        # Nodes around or within which a claim has come or gone; and those known to be crowded.
        self._touched: dict[Node, None] = {}
        self._crowded: dict[Node, None] = {}

    def add(self, node: Node, claimant: C, owner: str) -> None:
        self._index.add(node)
        self._owners.setdefault(node, {})[claimant] = owner
        self._touched[node] = None

    def remove(self, node: Node, claimant: C) -> None:
        owners = self._owners.get(node, {})
        owners.pop(claimant, None)
        self._touched[node] = None
        if not owners and node in self._owners:
            del self._owners[node]
            self._index.remove(node)

    def members(self) -> Iterator[C]:
        for node in breathing(self._related()):
            if node in self._owners and self._is_crowded(node):
                self._crowded[node] = None
            else:
                self._crowded.pop(node, None)
        self._touched.clear()
        for node in self._crowded:
            yield from self._owners[node]

    def _related(self) -> Iterable[Node]:
        """The nodes that overlap a touched one."""
        if len(self._touched) >= len(self._owners):
            return dict.fromkeys((*self._owners, *self._touched))
        found = dict(self._touched)
        for node in self._touched:
            found.update(dict.fromkeys(self._index.around(node)))
            found.update(dict.fromkeys(self._index.within(node)))
        return found

    def _is_crowded(self, node: Node) -> bool:
        owners = set(self._owners[node].values())
        for other in self._index.around(node):
            owners.update(self._owners[other].values())
        if len(owners) > 1:
            return True
        for other in self._index.within(node):
            owners.update(self._owners[other].values())
            if len(owners) > 1:
                return True
        return False
