"""Where membership changes along the addresses of one scope and family: the borders that owners and CIDRs draw.

The groups at a border follow from the borders around it alone: the innermost one with an owner, and all the CIDRs and
exceptions. So each is worked out by itself, and a change concerns only what lies within the prefixes that changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from policy.model import Group
from topology.addresses import Prefix
from topology.prefix_index import Node, PrefixIndex, node_of

Members = frozenset[Group]
EMPTY: Members = frozenset()
# (is on a port, vNIC): of several owners of a prefix the largest counts.
Owner = tuple[bool, str]


class Border(NamedTuple):
    """A border and its groups; None: there is none any more.

    ``outer``: the border around it, if there is one. ``around``: the groups there.
    """

    prefix: Prefix
    members: Members | None = None
    outer: Prefix | None = None
    around: Members = EMPTY


class Borders:
    """The borders of a scope and family of addresses with ``bits`` bits."""

    def __init__(self, bits: int) -> None:
        self._bits = bits
        self._index = PrefixIndex(bits)
        self._prefixes: dict[Node, Prefix] = {}
        self._members: dict[Node, Members] = {}
        self._owners: dict[Node, dict[Owner, Members]] = {}
        self._opens: dict[Node, set[Group]] = {}
        self._closes: dict[Node, set[Group]] = {}
        self._touched: dict[Node, Prefix] = {}

    # --- changes: each marks what it touches, and `settle` works that out

    def own(self, prefix: Prefix, owner: Owner, members: Members) -> None:
        """A vNIC with these groups owns a prefix."""
        key = self._touch(prefix)
        self._owners.setdefault(key, {})[owner] = members
        self._appear(key, prefix)

    def disown(self, prefix: Prefix, owner: Owner) -> None:
        """It does not any more."""
        key = self._touch(prefix)
        owners = self._owners.get(key, {})
        owners.pop(owner, None)
        if not owners:
            self._owners.pop(key, None)
            self._vanish(key)

    def draw(self, leaf: Group) -> None:
        """A group's CIDRs and exceptions become borders."""
        for prefixes, lines in ((leaf.cidrs, self._opens), (leaf.excepts, self._closes)):
            for prefix in self._of_this_family(prefixes):
                key = self._touch(prefix)
                lines.setdefault(key, set()).add(leaf)
                self._appear(key, prefix)

    def erase(self, leaf: Group) -> None:
        """They are borders of this group no longer."""
        for prefixes, lines in ((leaf.cidrs, self._opens), (leaf.excepts, self._closes)):
            for prefix in self._of_this_family(prefixes):
                key = self._touch(prefix)
                found = lines.get(key, set())
                found.discard(leaf)
                if not found:
                    lines.pop(key, None)
                    self._vanish(key)

    def touch(self, leaf: Group) -> None:
        """A group's CIDRs mean other groups now."""
        for prefix in self._of_this_family(leaf.cidrs):
            self._touch(prefix)

    def _of_this_family(self, prefixes: tuple[Prefix, ...]) -> Iterator[Prefix]:
        return (prefix for prefix in prefixes if prefix.max_prefixlen == self._bits)

    def _touch(self, prefix: Prefix) -> Node:
        key = node_of(prefix)
        self._touched[key] = prefix
        return key

    def _appear(self, key: Node, prefix: Prefix) -> None:
        self._prefixes.setdefault(key, prefix)
        self._index.add(key)

    def _vanish(self, key: Node) -> None:
        if key in self._owners or key in self._opens or key in self._closes or key not in self._prefixes:
            return
        del self._prefixes[key]
        self._index.remove(key)

    # --- what they come to

    def settle(self, groups_of: Mapping[Group, set[Group]]) -> Iterator[Border]:
        """All borders that may have changed, each before those within it. ``groups_of``: the groups of a CIDR group."""
        for key in sorted(self._affected()):
            prefix = self._prefixes.get(key)
            if prefix is None:
                self._members.pop(key, None)
                yield Border(self._touched[key])
            else:
                members, outer = self._work_out(key, groups_of)
                self._members[key] = members
                if outer is None:
                    yield Border(prefix, members)
                else:
                    yield Border(prefix, members, self._prefixes[outer], self._members[outer])
        self._touched.clear()

    def _affected(self) -> set[Node]:
        if not self._members:
            return {*self._prefixes, *self._touched}
        found = set(self._touched)
        for key in self._touched:
            found.update(self._index.within(key))
        return found

    def _work_out(self, key: Node, groups_of: Mapping[Group, set[Group]]) -> tuple[Members, Node | None]:
        """The groups at a border, and the border around it."""
        owned: Members | None = None
        enclosing = [*self._index.around(key)]
        opened: set[Group] = set()
        closed: set[Group] = set()
        for at in (key, *enclosing):
            if owned is None and at in self._owners:
                owners = self._owners[at]
                owned = owners[max(owners)]
            opened |= self._opens.get(at, frozenset())
            closed |= self._closes.get(at, frozenset())
        members = owned or EMPTY
        opened -= closed
        if opened:
            members = members.union(*(groups_of[leaf] for leaf in opened))
        return members, enclosing[0] if enclosing else None
