"""The rules that one bridge's vNICs can decide by, and the groups that these ask about, from one time to the next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from policy.flows.identity import Members, enforcers
from policy.flows.meetings import Meeting
from policy.model import Group, Groups, Side

Numbers = frozenset[int]
# A rule, by its number, at one side.
At = tuple[int, Side]


class Use(NamedTuple):
    """A rule at one side, and the identities by which vNICs here decide and those of their peers; None is any."""

    meeting: Meeting
    own: Numbers | None
    peers: Numbers | None

    def concerns(self, identities: Numbers) -> bool:
        """True if it names one of these."""
        own, peers = self.own, self.peers
        return (own is not None and not own.isdisjoint(identities)) or (
            peers is not None and not peers.isdisjoint(identities)
        )


class RuleUses:
    """What is in use on one bridge. ``near`` and ``far``: the groups asked about of a deciding vNIC, and of a peer."""

    def __init__(self) -> None:
        # By the rule's number, and side; rules without a use are left out.
        self._uses: dict[int, dict[Side, Use]] = {}
        self._near: Counter[Group] = Counter()
        self._far: Counter[Group] = Counter()
        self._groups: tuple[Members, Members] | None = None

    def get(self, at: At) -> Use | None:
        """How a rule is used at a side; None: not at all."""
        return self._uses.get(at[0], _NONE).get(at[1])

    def items(self) -> Iterator[tuple[At, Use]]:
        """All that are in use."""
        return (((number, side), use) for number, uses in self._uses.items() for side, use in uses.items())

    def numbers(self) -> Iterable[int]:
        """The rules that are in use, by number."""
        return self._uses.keys()

    def sides(self, number: int) -> Iterator[At]:
        """Where a rule is in use."""
        return ((number, side) for side in self._uses.get(number, _NONE))

    @property
    def groups(self) -> tuple[Members, Members]:
        """``near`` and ``far``."""
        if self._groups is None:
            self._groups = frozenset(self._near), frozenset(self._far)
        return self._groups

    def take(self, number: int, meeting: Meeting | None, here: tuple[Numbers, Numbers]) -> list[At]:
        """A rule (None: it is gone) meets these identities of the vNICs here, as openers and as those meant.

        Tells at which sides something has changed.
        """
        before, now = self._uses.get(number, _NONE), {} if meeting is None else _uses(meeting, here)
        if before == now:
            return []
        changed = [side for side in before.keys() | now.keys() if before.get(side) != now.get(side)]
        for side in changed:
            if side in before:
                self._count(before[side], side, -1)
            if side in now:
                self._count(now[side], side, 1)
        if now:
            self._uses[number] = now
        else:
            del self._uses[number]
        return [(number, side) for side in changed]

    def _count(self, use: Use, side: Side, times: int) -> None:
        entry = use.meeting.entry
        own, peers = entry.rule.sources, entry.rule.destinations
        if side is Side.INGRESS:
            own, peers = peers, own
        for limit in (own, entry.rule.at, enforcers(entry.policy)):
            self._more(self._near, limit, times)
        self._more(self._far, peers, times)

    def _more(self, asked: Counter[Group], groups: Groups, times: int) -> None:
        for group in groups or ():
            if asked[group] in (0, -times):
                self._groups = None
            asked[group] += times
            if not asked[group]:
                del asked[group]


_NONE: Mapping[Side, Use] = {}


def _uses(meeting: Meeting, here: tuple[Numbers, Numbers]) -> dict[Side, Use]:
    """The sides at which a vNIC here can decide by the rule."""
    found: dict[Side, Use] = {}
    for side, deciding, peers in meeting.sides:
        local = here[side is Side.INGRESS]
        if deciding is None:
            found[side] = Use(meeting, None, peers)
        elif not deciding.isdisjoint(local):
            found[side] = Use(meeting, deciding & local, peers)
    return found
