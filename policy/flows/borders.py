"""Where membership changes along the addresses of one scope and family: the borders that owners and CIDRs draw.

The groups at a border follow from the borders around it alone: the innermost one with an owner, and all the CIDRs and
exceptions. So each is worked out by itself, and a change concerns only what lies within the prefixes that changed.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from policy.model import Group
from topology.addresses import Prefix

Members = frozenset[Group]
EMPTY: Members = frozenset()
# A prefix by its first address and its length: the standard library takes long to hash or compare its own.
Key = tuple[int, int]
# (is on a port, vNIC): of several owners of a prefix the largest counts.
Owner = tuple[bool, str]


class Border(NamedTuple):
    """A border and its groups; None: there is none any more. ``differs``: from those of the border around it."""

    prefix: Prefix
    members: Members | None
    differs: bool


def key_of(prefix: Prefix) -> Key:
    return int(prefix.network_address), prefix.prefixlen


class Borders:
    """The borders of a scope and family of addresses with ``bits`` bits."""

    def __init__(self, bits: int) -> None:
        self._bits = bits
        self._prefixes: dict[Key, Prefix] = {}
        self._members: dict[Key, Members] = {}
        self._owners: dict[Key, dict[Owner, Members]] = {}
        self._opens: dict[Key, set[Group]] = {}
        self._closes: dict[Key, set[Group]] = {}
        self._lengths: Counter[int] = Counter()
        self._longest_first: list[int] = []
        self._sorted: list[Key] | None = None
        self._touched: dict[Key, Prefix] = {}

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

    def _touch(self, prefix: Prefix) -> Key:
        key = key_of(prefix)
        self._touched[key] = prefix
        return key

    def _appear(self, key: Key, prefix: Prefix) -> None:
        if key in self._prefixes:
            return
        self._prefixes[key] = prefix
        self._lengths[key[1]] += 1
        if self._lengths[key[1]] == 1:
            self._longest_first = sorted(self._lengths, reverse=True)
        if self._sorted is not None:
            insort(self._sorted, key)

    def _vanish(self, key: Key) -> None:
        if key in self._owners or key in self._opens or key in self._closes or key not in self._prefixes:
            return
        del self._prefixes[key]
        self._lengths[key[1]] -= 1
        if not self._lengths[key[1]]:
            del self._lengths[key[1]]
            self._longest_first = sorted(self._lengths, reverse=True)
        if self._sorted is not None:
            del self._sorted[bisect_left(self._sorted, key)]

    # --- what they come to

    def settle(self, groups_of: Mapping[Group, set[Group]]) -> Iterator[Border]:
        """All borders that may have changed, each before those within it. ``groups_of``: the groups of a CIDR group."""
        for key in sorted(self._affected()):
            prefix = self._prefixes.get(key)
            if prefix is None:
                self._members.pop(key, None)
                yield Border(self._touched[key], None, False)
            else:
                members, around = self._work_out(key, groups_of)
                self._members[key] = members
                yield Border(prefix, members, members != around)
        self._touched.clear()

    def _affected(self) -> set[Key]:
        if not self._members:
            return {*self._prefixes, *self._touched}
        found = set(self._touched)
        for first, length in self._touched:
            if length < self._bits:
                found.update(self._within(first, length))
        return found

    def _within(self, first: int, length: int) -> list[Key]:
        if self._sorted is None:
            self._sorted = sorted(self._prefixes)
        begin = bisect_left(self._sorted, (first, length))
        end = bisect_left(self._sorted, (first + (1 << self._bits - length), 0))
        return self._sorted[begin:end]

    def _work_out(self, key: Key, groups_of: Mapping[Group, set[Group]]) -> tuple[Members, Members]:
        """The groups at a border, and those of the border around it."""
        first, own_length = key
        owned: Members | None = None
        around: Members | None = None
        opened: set[Group] = set()
        closed: set[Group] = set()
        for length in self._longest_first:
            if length > own_length:
                continue
            spare = self._bits - length
            at = first >> spare << spare, length
            if at not in self._prefixes:
                continue
            if around is None and length < own_length:
                around = self._members[at]
            if owned is None and at in self._owners:
                owners = self._owners[at]
                owned = owners[max(owners)]
            if at in self._opens:
                opened |= self._opens[at]
            if at in self._closes:
                closed |= self._closes[at]
        members = owned or EMPTY
        opened -= closed
        if opened:
            members = members.union(*(groups_of[leaf] for leaf in opened))
        return members, around if around is not None else EMPTY
