"""IPv6 prefixes that Python's hash does not tell apart.

It hashes an address as a number, less all whole multiples of 2**61 - 1 and without a secret, so whoever writes a policy
could list thousands with one hash; every table of them would then compare each with each. Nobody needs two.
"""

from __future__ import annotations

from topology.addresses import Prefix
from topology.prefix_index import Node, node_of

# Two may be an accident, so many are none.
MAX_TWINS = 16


class Twins:
    """The prefixes of one policy, by their hashes: those of the prefix itself, and of what an index knows it by."""

    def __init__(self) -> None:
        self._alike: dict[int, tuple[Node, ...]] = {}

    def too_many(self, prefix: Prefix) -> bool:
        """Takes in a prefix; True if it has more twins than can be."""
        if prefix.version == 4:
            return False
        node = node_of(prefix)
        alone = (node,)
        crowded = False
        for each in {hash(prefix), hash(node)}:
            found = self._alike.setdefault(each, alone)
            if len(found) <= MAX_TWINS and node not in found:
                found = self._alike[each] = (*found, node)
            crowded |= len(found) > MAX_TWINS
        return crowded
