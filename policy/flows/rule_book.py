"""The flows of all rules on one bridge, in pieces of a rule at a side, kept from one time to the next."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

from policy.flows.compile import Compiled
from policy.flows.identity import Identities, Members
from policy.flows.local_vnics import LocalVnics, Numbers
from policy.flows.meetings import Meeting
from policy.flows.outlook import Outlook
from policy.flows.pieces import Piece, piece
from policy.flows.placement import Order
from policy.flows.rule_uses import At, RuleUses, Use
from policy.flows.rules import RuleFlows
from policy.model import Side
from topology.breath import breathing
from topology.shared_map import SharedMap


class RuleBook:
    """The rules that are in use on one bridge, and the pieces that were made of them."""

    def __init__(self, vnics: LocalVnics, outlook: Outlook) -> None:
        self._vnics = vnics
        self._outlook = outlook
        self._last: Compiled | None = None
        self._uses = RuleUses()
        self._met: tuple[Numbers, Numbers] | None = None
        # The identities of addresses that the bridge sees as its own, and what they follow from.
        self._seen_as_own: Numbers = frozenset()
        self._own_of: tuple[Numbers, Numbers] | None = None
        # The priorities of the rules in use, and what they follow from.
        self._placed: tuple[Sequence[Order], set[int], Mapping[int, int], Mapping[int, int]] | None = None
        self._last_priorities: Mapping[int, int] = {}
        self._stale: set[At] = set()
        # The priority of each rule in use, and what its piece was made of.
        self._in_use: dict[At, int] = {}
        self._held: Mapping[int, int] | None = None
        self._made_of: dict[At, tuple[object, ...]] = {}
        # The parts of its flows, and what each was made of.
        self._parts: dict[At, dict[tuple[int, ...], tuple[object, ...]]] = {}

    @property
    def groups(self) -> tuple[Members, Members]:
        """The groups that the rules in use ask about: of a deciding vNIC, and of a peer."""
        return self._uses.groups

    @property
    def priorities(self) -> Mapping[int, int]:
        """The priority of each rule in use, by its number."""
        if self._held is None:
            self._held = {number: priority for (number, _), priority in self._in_use.items()}
        return self._held

    def choose(self, compiled: Compiled) -> None:
        """Find out which rules are in use."""
        last, here = self._last, (self._vnics.opening, self._vnics.meant)
        older = last.meetings if last is not None else SharedMap[int, Meeting]()
        found = {number: now for number, _, now in compiled.meetings.changes_since(older)}
        if self._met is not None and here != self._met:
            moved = here[0] ^ self._met[0], here[1] ^ self._met[1]
            found.update((number, now) for number, now in compiled.meetings.pairs() if _concerns(now, moved))
        self._met, self._last = here, compiled
        self._stale = {at for number, meeting in found.items() for at in self._uses.take(number, meeting, here)}

    def changes(
        self, compiled: Compiled, seen_anew: Numbers, held: Mapping[int, int]
    ) -> dict[Hashable, Piece | None]:
        """What is new. ``seen_anew``: the identities of which the bridge tells apart more or less than before.
        ``held``: the priorities that rules have on the bridge now, by rule number."""
        stale, self._stale = self._stale, set()
        priorities = self._priorities(compiled.orders, held)
        if priorities is not self._last_priorities:
            moved = {number for number, _ in priorities.items() - self._last_priorities.items()}
            stale.update(at for number in moved for at in self._uses.sides(number))
        seen_anew |= self._find_own(compiled.identities)
        if seen_anew:
            stale.update(at for at, use in self._uses.items() if use.concerns(seen_anew))
        self._last_priorities = priorities
        changes: dict[Hashable, Piece | None] = {}
        for at in breathing(stale):
            use = self._uses.get(at)
            if self._in_use.get(at) != (None if use is None else priorities[at[0]]):
                self._held = None
            if use is None:
                self._in_use.pop(at, None)
                self._made_of.pop(at, None)
                changes.update((("rule", at, name), None) for name in self._parts.pop(at, ()))
            else:
                self._in_use[at] = priorities[at[0]]
                self._make(compiled.identities, at, use, changes)
        return changes

    def _make(self, identities: Identities, at: At, use: Use, changes: dict[Hashable, Piece | None]) -> None:
        members, outlook = identities.members, self._outlook
        own = peers = None
        if use.own is not None:
            own = frozenset(outlook.of_own(members[each]) for each in use.own)
        if use.peers is not None:
            peers = frozenset(outlook.of_peer(members[each]) for each in use.peers)
            peers = peers.union(outlook.of_own(members[each]) for each in use.peers & self._seen_as_own)
        priority = self._in_use[at]
        made_of = (use.meeting.rest, own, peers, priority)
        before = self._made_of.get(at)
        if before == made_of:
            return
        self._made_of[at] = made_of
        # Of a rule about many identities, the parts stay in which none has come or gone.
        same = before is not None and (before[0], before[3]) == (made_of[0], made_of[3])
        known, now = self._parts.get(at, {}), {}
        flows = RuleFlows(use.meeting.entry, at[1], own, peers, priority)
        for part in flows.parts():
            now[part.name] = part.of
            if not same or known.get(part.name) != part.of:
                changes["rule", at, part.name] = piece(flows.made(part))
        changes.update((("rule", at, name), None) for name in known.keys() - now.keys())
        self._parts[at] = now

    def _find_own(self, identities: Identities) -> Numbers:
        """Find the identities of addresses that are seen as the bridge's own; those where that has changed."""
        of = self._vnics.meant, identities.many
        if of == self._own_of:
            return frozenset()
        self._own_of = of
        before, self._seen_as_own = self._seen_as_own, self._vnics.meant | identities.many
        return before ^ self._seen_as_own

    def _priorities(self, orders: Sequence[Order], held: Mapping[int, int]) -> Mapping[int, int]:
        """The priorities of all rules in use. ``held``: those that they have on the bridge now."""
        last = self._placed
        used = {*self._uses.numbers()}
        if last is None or last[0] is not orders or last[1] != used or (last[2] is not held and last[2] != held):
            found = {number: place for each in orders for number, place in each.place(used, held).items()}
            self._placed = last = orders, used, held, last[3] if last is not None and last[3] == found else found
        return last[3]


def _concerns(meeting: Meeting, moved: tuple[Numbers, Numbers]) -> bool:
    """True if vNICs decide by the rule under one of these identities, as openers or as those meant."""
    for side, deciding, _ in meeting.sides:
        if deciding is not None and not deciding.isdisjoint(moved[side is Side.INGRESS]):
            return True
    return False
