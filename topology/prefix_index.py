"""Prefixes of one family, and which of them enclose another or lie within it, in the time that the answer takes."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Iterator

from topology.addresses import Prefix

# A prefix by its first address and its length: the standard library takes long to hash or compare its own.
Node = tuple[int, int]


def node_of(prefix: Prefix) -> Node:
    return int(prefix.network_address), prefix.prefixlen


class PrefixIndex:
    """A set of prefixes of addresses with ``bits`` bits."""

    def __init__(self, bits: int) -> None:
        self._bits = bits
        self._nodes: set[Node] = set()
        self._lengths: Counter[int] = Counter()
        self._longest_first: list[int] = []
        # Made when somebody first asks what lies within a prefix.
        self._sorted: list[Node] | None = None

    def add(self, node: Node) -> None:
        """Takes in a prefix; one that is there stays."""
        if node in self._nodes:
            return
        self._nodes.add(node)
        self._lengths[node[1]] += 1
        if self._lengths[node[1]] == 1:
            self._longest_first = sorted(self._lengths, reverse=True)
        if self._sorted is not None:
            insort(self._sorted, node)

    def remove(self, node: Node) -> None:
        """Takes out a prefix that is there."""
        self._nodes.remove(node)
        self._lengths[node[1]] -= 1
        if not self._lengths[node[1]]:
            del self._lengths[node[1]]
            self._longest_first = sorted(self._lengths, reverse=True)
        if self._sorted is not None:
            del self._sorted[bisect_left(self._sorted, node)]

    def around(self, node: Node) -> Iterator[Node]:
        """Those that enclose a prefix, the innermost first; not itself."""
        first, own_length = node
        for length in self._longest_first:
            if length < own_length:
                spare = self._bits - length
                at = first >> spare << spare, length
                if at in self._nodes:
                    yield at

    def within(self, node: Node) -> list[Node]:
        """Those that lie within a prefix, sorted; not itself."""
        first, length = node
        if length == self._bits:
            return []
        if self._sorted is None:
            self._sorted = sorted(self._nodes)
        begin = bisect_left(self._sorted, (first, length + 1))
        return self._sorted[begin : bisect_left(self._sorted, (first + (1 << self._bits - length), 0))]
