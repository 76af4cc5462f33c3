"""The wanted flows of a bridge in pieces, each the flows of one thing: of a port, a rule, an address.

A piece that has not changed is the same object, so what has changed is found without looking at the rest. No two pieces
have a flow of the same table, priority and match.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from policy.flows.flow import Flow, FlowError, Key, Limit, Punt
from policy.flows.meters import Meter
from topology.breath import breathing
from topology.shared_map import SharedMap

Piece = tuple[Flow, ...]
Pieces = SharedMap[Hashable, Piece]


def piece(flows: Iterable[Flow]) -> Piece:
    """The flows of one thing, each once. Raises ``FlowError`` if two of them cannot both be."""
    return tuple(flat(flows).values())


def flat(flows: Iterable[Flow]) -> dict[Key, Flow]:
    """Flows by what identifies them on a switch. Raises ``FlowError`` if two of them cannot both be."""
    found: dict[Key, Flow] = {}
    for item in breathing(flows, 512):
        if found.setdefault(item.key, item) != item:
            raise FlowError(f"two flows in {item.table} at priority {item.priority} with one match")
    return found


@dataclass(frozen=True, slots=True, eq=False)
class Wanted:
    """What a bridge must hold. ``shared`` are the pieces that are alike on all bridges, ``own`` the others.

    ``priorities``: those of the rules that have flows here, by rule number. ``meters`` are those that the flows name.
    """

    own: Pieces = field(default_factory=SharedMap)
    shared: Pieces = field(default_factory=SharedMap)
    priorities: Mapping[int, int] = field(default_factory=dict)
    meters: SharedMap[int, Meter] = field(default_factory=SharedMap)

    def __iter__(self) -> Iterator[Flow]:
        for pieces in (self.own, self.shared):
            for _, found in pieces.pairs():
                yield from found

    def count(self) -> int:
        """How many flows these are."""
        return sum(len(found) for pieces in (self.own, self.shared) for _, found in pieces.pairs())

    def flat(self) -> dict[Key, Flow]:
        """All flows. Raises ``FlowError`` if two of them cannot both be."""
        return flat(self)


def unmetered(wanted: Wanted) -> Wanted:
    """The same for a switch without meters: nothing is limited, and the controller is told nothing.

    An unlimited copy to the controller would let one guest drown it. Made anew each time: such switches are few.
    """

    def strip(pieces: Pieces) -> Pieces:
        none: Pieces = SharedMap()
        return none.with_changes({key: tuple(map(_without_meters, found)) for key, found in pieces.pairs()})

    return Wanted(strip(wanted.own), strip(wanted.shared), wanted.priorities)


def _without_meters(item: Flow) -> Flow:
    return replace(item, actions=tuple(action for action in item.actions if not isinstance(action, Limit | Punt)))
