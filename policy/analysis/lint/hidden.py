"""Rules that never decide: hidden by others (PC101, PC107), or about nobody (PC102)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from policy.analysis.contexts import POSSIBLE, Contexts, places_of
from policy.analysis.decide import RuleBits
from policy.analysis.lint.findings import Finding, named, rule_name
from policy.analysis.lint.multicast import about_many
from policy.analysis.regions import Region
from policy.model import Rule, Verdict

_HIDERS = 5  # related places at most


def hidden(contexts: Contexts) -> Mapping[int, tuple[int, ...]]:
    """The rules that apply somewhere and decide nowhere, each with those that hide it, who takes most first."""
    silent = (1 << len(contexts.rules.deciders)) - 1 & ~contexts.deciding
    hiders: dict[int, Counter[int]] = {}
    for side, known in contexts.sides.items():
        for place in places_of(side & silent):
            wanted = contexts.rules.deciders[place].region & POSSIBLE[known & 3]
            if wanted:
                hiders.setdefault(place, Counter()).update(dict(_hiding(contexts, side, place, wanted)))
    return {place: tuple(hider for hider, _ in found.most_common()) for place, found in sorted(hiders.items())}


def _hiding(contexts: Contexts, side: RuleBits, place: int, wanted: Region) -> Iterator[tuple[int, int]]:
    """The rules that take all of a region before a rule does, wide ones rather than many, and how much each takes."""
    deciders, takes = contexts.rules.deciders, contexts.takes(side)
    tier = deciders[place].policy.tier
    reach = {}
    for before in places_of(side & (1 << place) - 1):
        other = deciders[before]
        # In the rule's own tier whatever stands before it hides it; of earlier tiers only what they really decide.
        if other.policy.tier is tier:
            reach[before] = other.region & wanted
        elif before in takes and other.rule.verdict is not Verdict.PASS:
            reach[before] = takes[before] & wanted
    rest = wanted
    for before in sorted(reach, key=lambda at: (not wanted <= reach[at], at)):
        if rest & reach[before]:
            yield before, _size(rest & reach[before])
            rest -= reach[before]


def _size(region: Region) -> int:
    """How much there is in a region: pairs of ports, say; a protocol without ports counts like all ports of one."""
    of_planes = sum(
        (last - first + 1) * sum(high - low + 1 for low, high in line)
        for plane in region.planes
        for first, last, line in plane
    )
    return of_planes + (region.others.bit_count() << 32)


def _says(one: Rule, other: Rule) -> bool:
    """True if one rule says of a connection at least what the other says: the verdict, and how it is helped."""
    if one.verdict is not other.verdict:
        return False
    return one.verdict is not Verdict.ALLOW or other.helpers <= one.helpers


def find(contexts: Contexts) -> Iterator[Finding]:
    """PC101, PC102 and PC107."""
    covered = hidden(contexts)
    decided = contexts.deciding
    for place, decider in enumerate(contexts.rules.deciders):
        if decided >> place & 1 or about_many(decider.rule):
            continue
        rule = decider.rule
        if place in covered:
            hiders = [contexts.rules.deciders[at] for at in covered[place]]
            told = named([f"{rule_name(each)} ({each.rule.verdict.value})" for each in hiders])
            message = f"rule {rule_name(decider)} never decides: it is hidden by {told}"
            same = all(_says(each.rule, rule) for each in hiders)
            yield Finding(
                "PC107" if same else "PC101", rule.place, message, tuple(each.rule.place for each in hiders[:_HIDERS])
            )
        else:
            message = f"rule {rule_name(decider)} is about nobody: no connection matches it"
            yield Finding("PC102", rule.place, message)
