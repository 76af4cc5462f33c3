"""The rules that one bridge's vNICs can decide by, and the groups that these ask about, from one time to the next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from policy.flows.identity import Members, enforcers
from policy.flows.meetings import Meeting
from policy.flows.rules import enforced
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
        return any(found is not None and not found.isdisjoint(identities) for found in (self.own, self.peers))


class RuleUses:
    """What is in use on one bridge. ``near`` and ``far``: the groups asked about of a deciding vNIC, and of a peer."""

    def __init__(self) -> None:
        self._uses: dict[At, Use] = {}
        self._near: Counter[Group] = Counter()
        self._far: Counter[Group] = Counter()
        self._groups: tuple[Members, Members] | None = None

    def get(self, at: At) -> Use | None:
        """How a rule is used at a side; None: not at all."""
        return self._uses.get(at)

    def items(self) -> Iterable[tuple[At, Use]]:
        """All that are in use."""
        return self._uses.items()

    def sides(self, number: int) -> Iterator[At]:
        """Where a rule is in use."""
        return ((number, side) for side in Side if (number, side) in self._uses)

    @property
    def groups(self) -> tuple[Members, Members]:
        """``near`` and ``far``."""
        if self._groups is None:
            self._groups = frozenset(self._near), frozenset(self._far)
        return self._groups

    def take(self, number: int, meeting: Meeting | None, here: tuple[Numbers, Numbers]) -> Iterator[At]:
        """A rule (None: it is gone) meets these identities of the vNICs here, as openers and as those meant.

        Tells at which sides something has changed.
        """
        for side in Side:
            at = number, side
            use = None if meeting is None else _use(meeting, side, here[side is Side.INGRESS])
            before = self._uses.get(at)
            if use == before:
                continue
            if before is not None:
                self._count(before, side, -1)
                del self._uses[at]
            if use is not None:
                self._count(use, side, 1)
                self._uses[at] = use
            yield at

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


def _use(meeting: Meeting, side: Side, local: Numbers) -> Use | None:
    """None if no vNIC here, or no peer anywhere, can meet the rule at this side."""
    if not enforced(meeting.entry.rule, side):
        return None
    deciding, peers = meeting.deciding(side), meeting.peers(side)
    own = None if deciding is None else deciding & local
    return None if own == frozenset() or peers == frozenset() else Use(meeting, own, peers)
