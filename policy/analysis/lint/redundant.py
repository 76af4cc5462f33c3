"""Rules without which the verdict of every connection would be the same (PC103, PC104, PC105)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from policy.analysis.contexts import POSSIBLE, Contexts, Situation, places_of
from policy.analysis.decide import RuleBits
from policy.analysis.lint.findings import Finding, named, rule_name
from policy.analysis.lint.multicast import about_many
from policy.analysis.regions import Region
from policy.model import Verdict

_SHOWN = 5


@dataclass(slots=True)
class Instead:
    """What decides where a redundant rule is gone: other rules, the default, or the other end of the connection."""

    rules: dict[int, None] = field(default_factory=dict)
    default: bool = False
    other_end: bool = False


def changing_nothing(contexts: Contexts) -> Mapping[int, Instead]:
    """The rules that decide somewhere, but never make a difference to a connection's verdict."""
    waiting = contexts.deciding
    for of, known in contexts.situations.items():
        possible = POSSIBLE[known & 3]
        for place in places_of(waiting & ((of[0] or 0) | (of[1] or 0))):
            if _takes(contexts, of, place, possible) and _differs(contexts, of, 1 << place, possible):
                waiting &= ~(1 << place)
    found = {place: Instead() for place in places_of(waiting)}
    for of, known in contexts.situations.items():
        for place in places_of(waiting & ((of[0] or 0) | (of[1] or 0))):
            for side in of:
                if side and side >> place & 1:
                    _look(contexts, side, place, POSSIBLE[known & 3], found[place])
    return found


def _takes(contexts: Contexts, of: Situation, place: int, possible: Region) -> bool:
    return any(
        bool(side) and place in contexts.takes(side) and bool(contexts.takes(side)[place] & possible)
        for side in of
        if side
    )


def _differs(contexts: Contexts, of: Situation, without: RuleBits, possible: Region) -> bool:
    now, then = contexts.outcome(of), contexts.outcome(of, without)
    return now.allow & possible != then.allow & possible or now.reject & possible != then.reject & possible


def _look(contexts: Contexts, side: RuleBits, place: int, possible: Region, instead: Instead) -> None:
    """Notes what decides at one side where the rule did."""
    taken = contexts.takes(side).get(place)
    if taken is None or not taken & possible:
        return
    now, then = contexts.rules.partition(side), contexts.rules.partition(side & ~(1 << place))
    for part in then.deciding(taken & possible):
        before = {old.verdict for old in now.deciding(part.region)}
        if before != {part.verdict}:
            instead.other_end = True
        elif part.by is None:
            instead.default = True
        else:
            instead.rules[part.by] = None


def find(contexts: Contexts) -> Iterator[Finding]:
    """PC103, PC104 and PC105."""
    decided = contexts.deciding
    for place, instead in changing_nothing(contexts).items():
        decider = contexts.rules.deciders[place]
        if decider.rule.log or about_many(decider.rule):
            continue
        others = [contexts.rules.deciders[at] for at in sorted(instead.rules)]
        told = named([rule_name(each) for each in others])
        begin = f"rule {rule_name(decider)} changes nothing: "
        related = tuple(each.rule.place for each in others[:_SHOWN])
        if decider.rule.verdict in (Verdict.DENY, Verdict.REJECT) and (instead.default or instead.other_end):
            why = "what it refuses is denied anyway, by default" + (" or at the other end" if instead.other_end else "")
            yield Finding("PC104", decider.rule.place, begin + why, related)
        elif instead.other_end or instead.default:
            why = "the other end refuses anyway what it allows"
            yield Finding("PC105", decider.rule.place, begin + why)
        elif decider.rule.verdict is Verdict.ALLOW and decider.rule.helpers:
            continue  # others decide the same, but may not help what the connection announces
        elif any(decided >> at & 1 for at in instead.rules):  # those that only repeat this one are told themselves
            yield Finding("PC103", decider.rule.place, f"{begin}{told} would decide the same", related)
