"""All vNICs there are, and which of them owns an address."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable
from itertools import pairwise

from topology.addresses import Address, ends
from topology.vnic import Vnic


class Universe:
    """vNICs (the inventory's, or the live ones) to look addresses up in.

    Raises ``ValueError`` if two entries of a scope overlap: the loader and the join of the topology let none through,
    and guessing an owner would be guessing an identity.
    """

    def __init__(self, vnics: Iterable[Vnic]) -> None:
        self.vnics = tuple(vnics)
        self._entries: dict[tuple[str, int], list[tuple[int, int, Vnic]]] = defaultdict(list)
        for vnic in self.vnics:
            for prefix in vnic.addresses:
                entry = (*ends(prefix), vnic)
                self._entries[vnic.scope, prefix.version].append(entry)
        for (scope, _), entries in self._entries.items():
            entries.sort(key=lambda entry: entry[:2])
            for (_, end, before), (begin, _, after) in pairwise(entries):
                if begin <= end:
                    raise ValueError(f"{before.name} and {after.name} share an address in scope {scope!r}")

    def owner(self, address: Address, scope: str) -> Vnic | None:
        """The vNIC that owns an address in a scope; None if nobody does, so that it is the outside world's."""
        entries = self._entries.get((scope, address.version), [])
        place = bisect_right(entries, int(address), key=lambda entry: entry[0])
        if place == 0:
            return None
        _, end, vnic = entries[place - 1]
        return vnic if int(address) <= end else None
