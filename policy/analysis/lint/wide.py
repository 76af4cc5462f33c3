"""Allows with `any` that open many pairs (PC301)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

from policy.analysis.contexts import Contexts, RoleEnds, meet, places_of, situation
from policy.analysis.decide import RuleBits
from policy.analysis.lint.findings import Finding, rule_name
from policy.analysis.regions import ALL, FAMILY
from policy.model import Verdict

DEFAULT_PAIRS = 1000


def with_any(contexts: Contexts) -> RuleBits:
    """The allows that say `any` of one of their sides or of the service."""
    return sum(
        1 << place
        for place, decider in enumerate(contexts.rules.deciders)
        if decider.rule.verdict is Verdict.ALLOW
        and (decider.rule.sources is None or decider.rule.destinations is None or decider.region == ALL)
    )


def pairs_opened(contexts: Contexts, rules: RuleBits) -> Mapping[int, int]:
    """How many pairs of VMs (the outside is one) can talk by a decision of each of these rules."""
    vms = [vnic.vm or vnic.id for vnic in contexts.world.vnics]
    numbers = {vm: number for number, vm in enumerate(dict.fromkeys(vms), 1)}
    bits = [1 << numbers[vm] for vm in vms]

    def who(ends: RoleEnds) -> int:
        """A bit for each VM that has a role, the lowest for the outside."""
        found = 1 if ends.outside else 0
        for place in ends.vnics:
            found |= bits[place]
        return found

    # Two VMs may meet in several ways (vNICs, families): what each source reaches by a rule is united before counting.
    reached: dict[int, dict[int, int]] = {place: defaultdict(int) for place in places_of(rules)}
    for family, sources, destinations in contexts.roles:
        to_vms = {role: who(ends) for role, ends in destinations.items()}
        for source, from_ends in sources.items():
            from_vms = who(from_ends)
            for destination, to_ends in destinations.items():
                of = situation(source, destination)
                if ((of[0] or 0) | (of[1] or 0)) & rules and meet(from_ends, to_ends):
                    for place in _opening(contexts, of, family, rules):
                        reached[place][from_vms] |= to_vms[destination]
    return {place: _counted(found) for place, found in reached.items()}


def _counted(reached: Mapping[int, int]) -> int:
    """Pairs of one of a set of sources with one of a set of destinations, each once, nobody with himself."""
    together = 0
    for sources in reached:
        if together & sources:
            return _counted(_apart(reached))
        together |= sources
    return sum(
        sources.bit_count() * found.bit_count() - (sources & found).bit_count() for sources, found in reached.items()
    )


def _apart(reached: Mapping[int, int]) -> Mapping[int, int]:
    """The same for each source by itself."""
    found: dict[int, int] = defaultdict(int)
    for sources, destinations in reached.items():
        for source in places_of(sources):
            found[1 << source] |= destinations
    return found


def _opening(
    contexts: Contexts, of: tuple[RuleBits | None, RuleBits | None], family: int, rules: RuleBits
) -> list[int]:
    """The rules among these that decide about something that goes through."""
    outcome = contexts.outcome(of)
    through = outcome.allow & FAMILY[family]
    return [
        part.by
        for side in (outcome.egress, outcome.ingress)
        if side is not None
        for part in side.parts
        if part.by is not None and rules >> part.by & 1 and part.region & through
    ]


def find(contexts: Contexts, most: int) -> Iterator[Finding]:
    """PC301."""
    for place, pairs in pairs_opened(contexts, with_any(contexts)).items():
        if pairs > most:
            decider = contexts.rules.deciders[place]
            message = f"rule {rule_name(decider)} opens {pairs:,} pairs with 'any' (more than {most:,})"
            yield Finding("PC301", decider.rule.place, message)
