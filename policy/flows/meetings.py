"""Which identities can meet in a rule, found by the groups that the rule names, not by asking every identity."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from operator import attrgetter

from policy.flows.identity import Identities, enforcers
from policy.flows.rules import NumberedRule, enforced
from policy.model import Group, Policy, Rule, Side
from topology.breath import breathing
from topology.shared_map import SharedMap

Numbers = frozenset[int]


@dataclass(frozen=True, eq=False)
class Meeting:
    """A rule and who can open the connections that it is about, and to whom; ``limit``: who can enforce it.

    None is any.
    """

    entry: NumberedRule
    openers: Numbers | None
    opened: Numbers | None
    limit: Numbers | None

    def deciding(self, side: Side) -> Numbers | None:
        """The identities under which a vNIC decides by the rule at this side."""
        own = self.openers if side is Side.EGRESS else self.opened
        return own if self.limit is None else self.limit if own is None else own & self.limit

    def peers(self, side: Side) -> Numbers | None:
        """The identities on the other side."""
        return self.opened if side is Side.EGRESS else self.openers

    @cached_property
    def sides(self) -> tuple[tuple[Side, Numbers | None, Numbers | None], ...]:
        """The sides at which the rule can be enforced, with the identities that decide there, and their peers."""
        found = ((side, self.deciding(side), self.peers(side)) for side in Side if enforced(self.entry.rule, side))
        nobody = frozenset[int]()
        return tuple(each for each in found if nobody not in each[1:])

    @property
    def rest(self) -> tuple[object, ...]:
        """All that the rule's flows depend on beside the identities that meet in it, and its priority."""
        rule, policy = self.entry.rule, self.entry.policy
        anyone = tuple(side is None for side in (rule.sources, rule.destinations, rule.at))
        return (self.entry.audit, *_OF_RULE(rule), *_OF_POLICY(policy), *anyone)

    def says_the_same(self, other: Meeting) -> bool:
        """True if the two differ at most in where they are written."""
        one, two = self.entry.rule, other.entry.rule
        return (
            (self.openers, self.opened, self.limit) == (other.openers, other.opened, other.limit)
            and (one.sources, one.destinations, one.at) == (two.sources, two.destinations, two.at)
            and self.rest == other.rest
        )


def _without(kind: type, *names: str) -> Callable[[object], tuple[object, ...]]:
    """All fields of a value of a class but these."""
    return attrgetter(*(field.name for field in fields(kind) if field.name not in names))


# Where something is written does not show in its flows; a policy's order shows in its rules' priorities.
_OF_RULE = _without(Rule, "place", "sources", "destinations", "at")
_OF_POLICY = _without(Policy, "place", "rules", "order")


class MeetingBook:
    """The meetings of all rules, those that are as they were being the same objects."""

    def __init__(self) -> None:
        self._meetings: SharedMap[int, Meeting] = SharedMap()
        self._seen: tuple[Sequence[NumberedRule], Mapping[Group, Numbers]] | None = None
        # The groups that each rule names, by the rule's number.
        self._named: dict[int, frozenset[Group]] = {}
        self._entries: dict[int, NumberedRule] = {}

    def meetings(self, rules: Sequence[NumberedRule], identities: Identities) -> SharedMap[int, Meeting]:
        """The meeting of each rule, by its number."""
        rules_seen, holding_seen = self._seen if self._seen is not None else (None, {})
        holding = identities.holding
        if rules_seen is rules and holding_seen is holding:
            return self._meetings
        pairs = ((group, holding_seen.get(group), found) for group, found in holding.items())
        moved = {group for group, before, found in pairs if before is not found and before != found}
        moved |= holding_seen.keys() - holding.keys()
        changes: dict[int, Meeting | None] = {}
        new: Mapping[int, NumberedRule] = {}
        if rules_seen is not rules:
            entries = {entry.number: entry for entry in rules}
            new = {number: entry for number, entry in entries.items() if not _same(entry, self._entries.get(number))}
            changes.update(dict.fromkeys(self._entries.keys() - entries.keys()))
            for number in changes:
                del self._named[number]
            self._named.update((number, _named(entry)) for number, entry in new.items())
            self._entries = entries
        stale = [
            entry
            for number, entry in self._entries.items()
            if number in new or not moved.isdisjoint(self._named[number])
        ]
        for entry in breathing(stale):
            found = _meeting(entry, identities)
            known = self._meetings.get(entry.number)
            changes[entry.number] = known if known is not None and known.says_the_same(found) else found
        self._meetings = self._meetings.with_changes(changes)
        self._seen = rules, holding
        return self._meetings


def _same(entry: NumberedRule, other: NumberedRule | None) -> bool:
    """True if it is the same rule, of the same policy."""
    return other is not None and entry.policy is other.policy and (entry.rule, entry.audit) == (other.rule, other.audit)


def _named(entry: NumberedRule) -> frozenset[Group]:
    rule = entry.rule
    sides = (rule.sources, rule.destinations, rule.at, enforcers(entry.policy))
    return frozenset(group for side in sides for group in side or ())


def _meeting(entry: NumberedRule, identities: Identities) -> Meeting:
    rule = entry.rule
    limits = [identities.on_side(side) for side in (rule.at, enforcers(entry.policy)) if side is not None]
    limit = None if not limits else frozenset.intersection(*(found for found in limits if found is not None))
    return Meeting(entry, identities.on_side(rule.sources), identities.on_side(rule.destinations), limit)
