"""The flows that say who has an address, looked up as a packet's source and as its destination.

Bridges that give an address the same number share them: there may be many bridges, and many addresses.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from policy.flows import fields as f
from policy.flows.cookies import Kind, cookie
from policy.flows.flow import Flow, Load, exact, flow, match, prefix_conditions
from policy.flows.identity import Identities, Members, Place
from policy.flows.pieces import Piece, piece

# Pieces kept for each entry there is, all bridges together, before all are forgotten (what bridges hold, they keep).
MOST_EACH = 4


class EntryPieces:
    """The flows of addresses, made once for all bridges."""

    def __init__(self) -> None:
        self._made: dict[Place, dict[tuple[int, int], Piece]] = {}
        self._count = 0
        self._edition = 0

    def piece(self, identities: Identities, place: Place, members: Members, number: int) -> Piece:
        """The flows of an address with these groups, to which a bridge gives this number."""
        mark = identities.number(members)
        made = self._made.setdefault(place, {})
        found = made.get((number, mark))
        if found is None:
            found = made[number, mark] = piece(_entry_flows(identities.scopes[place[0]], place, number, mark))
            self._count += 1
        return found

    def forget(self, identities: Identities, changed: Iterable[Place]) -> None:
        """The groups of some addresses are others now."""
        if identities.edition != self._edition or self._count > MOST_EACH * (1000 + len(identities.entries)):
            self._edition, self._count = identities.edition, 0
            self._made.clear()
        for place in changed:
            self._count -= len(self._made.pop(place, ()))


def _entry_flows(scope: int, place: Place, number: int, mark: int) -> Iterator[Flow]:
    _, prefix = place
    for table, source, field in (("SRC_ID", True, f.SRC_ID), ("DST_ID", False, f.DST_ID)):
        tests = match(exact(f.SCOPE, scope), prefix_conditions(prefix, source))
        yield flow(table, 100 + prefix.prefixlen, tests, (Load(field, number),), cookie(Kind.IDENTITY, mark))
