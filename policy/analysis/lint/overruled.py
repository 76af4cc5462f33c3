"""Contradictions between tiers (PC106): an earlier tier has the opposite verdict for all a rule says between some VMs.

Only pairs of VMs are looked at: that a list of banned addresses cuts into whatever is open to the world is its purpose.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from policy.analysis.contexts import BETWEEN_VMS, POSSIBLE, Contexts, places_of
from policy.analysis.decide import RuleBits
from policy.analysis.lint.findings import Finding, named, rule_name
from policy.analysis.regions import Region, unite
from policy.model import Verdict

_SHOWN = 5


def overruled(contexts: Contexts) -> Mapping[int, tuple[int, ...]]:
    """The rules that decide somewhere, but not between some VMs, each with the rules that say the opposite there."""
    decided = contexts.deciding
    found: dict[int, dict[int, None]] = {}
    for side, known in contexts.sides.items():
        if not known & BETWEEN_VMS:
            continue
        takes = contexts.takes(side)
        for place in places_of(side & decided):
            wanted = contexts.rules.deciders[place].region & POSSIBLE[known & 3]
            if wanted and not takes.get(place, None) and (over := _opposite(contexts, side, place, wanted)):
                found.setdefault(place, {}).update(over)
    return {place: tuple(over) for place, over in sorted(found.items())}


def _opposite(contexts: Contexts, side: RuleBits, place: int, wanted: Region) -> dict[int, None]:
    """The rules of earlier tiers with the opposite verdict, if they take all that is wanted together."""
    deciders, takes = contexts.rules.deciders, contexts.takes(side)
    own = deciders[place]
    if own.rule.verdict is Verdict.PASS:
        return {}
    opposite = {Verdict.DENY, Verdict.REJECT} if own.rule.verdict is Verdict.ALLOW else {Verdict.ALLOW}
    found = {
        before: takes[before] & wanted
        for before in takes
        if deciders[before].policy.tier < own.policy.tier and deciders[before].rule.verdict in opposite
    }
    return {before: None for before, part in found.items() if part} if wanted <= unite(found.values()) else {}


def find(contexts: Contexts) -> Iterator[Finding]:
    """PC106."""
    for place, over in overruled(contexts).items():
        decider = contexts.rules.deciders[place]
        others = [contexts.rules.deciders[at] for at in over]
        told = named(
            [f"{rule_name(each)} ({each.rule.verdict.value}, tier {each.policy.tier.label})" for each in others]
        )
        message = f"rule {rule_name(decider)} ({decider.rule.verdict.value}) is overruled between some VMs by {told}"
        yield Finding("PC106", decider.rule.place, message, tuple(each.rule.place for each in others[:_SHOWN]))
