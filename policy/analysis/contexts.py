"""The situations in which rules meet connections: every list of applicable rules that occurs, once.

Two pairs of ends to which the same rules apply are the same situation. There are far fewer of them than pairs of VMs,
and everything that is said about rules is said by looking at each of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from policy.analysis.classes import World
from policy.analysis.decide import Outcome, Role, RuleBits, Rules
from policy.analysis.regions import ALL, EMPTY, FAMILY, Region
from policy.model import Document, Tier, Verdict

# What is known of a situation: it occurs with IPv4, with IPv6, between two VMs.
IN_FAMILY = {4: 1, 6: 2}
BETWEEN_VMS = 4
# The services that are possible in a set of families.
POSSIBLE: Mapping[int, Region] = {1: FAMILY[4], 2: FAMILY[6], 3: FAMILY[4] | FAMILY[6]}
# The rules that apply where a connection leaves and where it arrives; None: nobody firewalls that side.
Situation = tuple[RuleBits | None, RuleBits | None]


@dataclass(slots=True)
class RoleEnds:
    """Who has a role in a scope and family: places of vNICs in the world's list, and whether the outside has it."""

    vnics: set[int] = field(default_factory=set)
    outside: bool = False


def situation(source: Role, destination: Role) -> Situation:
    """The rules that apply between two roles."""
    egress = None if source[0] is None else source[0] & destination[1]
    ingress = None if destination[0] is None else destination[0] & source[1]
    return egress, ingress


def vnics_meet(source: RoleEnds, destination: RoleEnds) -> bool:
    """True if a vNIC of one meets another vNIC of the other."""
    one, other = source.vnics, destination.vnics
    return bool(one and other) and (len(one) > 1 or len(other) > 1 or one != other)


def meet(source: RoleEnds, destination: RoleEnds) -> bool:
    """True if connections between the two count: not outside to outside, not a vNIC to itself."""
    return (
        (source.outside and bool(destination.vnics))
        or (destination.outside and bool(source.vnics))
        or vnics_meet(source, destination)
    )


class Contexts:
    """A policy with its classes, its rules and the situations in which they meet."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.world = World(document)
        self.rules = Rules(document, self.world.grouping)
        self._takes: dict[RuleBits, Mapping[int, Region]] = {}

    @cached_property
    def roles(self) -> Sequence[tuple[int, Mapping[Role, RoleEnds], Mapping[Role, RoleEnds]]]:
        """For each scope and family: the family, and who has which role as a source and as a destination."""
        places = {vnic.id: place for place, vnic in enumerate(self.world.vnics)}
        found = []
        for (_, family), classes in self.world.by_space.items():
            sources: dict[Role, RoleEnds] = defaultdict(RoleEnds)
            destinations: dict[Role, RoleEnds] = defaultdict(RoleEnds)
            for each in classes:
                for role, known in (
                    (self.rules.source(each.kind, each.members), sources),
                    (self.rules.destination(each.kind, each.members), destinations),
                ):
                    known[role].outside |= each.is_outside
                    known[role].vnics.update(places[end.vnic.id] for end in each.ends if end.vnic is not None)
            found.append((family, sources, destinations))
        return found

    @cached_property
    def situations(self) -> Mapping[Situation, int]:
        """All that occur, each with what is known of it (`IN_FAMILY`, `BETWEEN_VMS`)."""
        found: dict[Situation, int] = {}
        for family, sources, destinations in self.roles:
            everything = IN_FAMILY[family] | BETWEEN_VMS
            ends = list(destinations.items())
            for source, from_ends in sources.items():
                for destination, to_ends in ends:
                    key = situation(source, destination)
                    known = found.get(key, 0)
                    if known & everything == everything:
                        continue
                    if vnics_meet(from_ends, to_ends):
                        found[key] = known | everything
                    elif meet(from_ends, to_ends):
                        found[key] = known | IN_FAMILY[family]
        return found

    @cached_property
    def sides(self) -> Mapping[RuleBits, int]:
        """The rules that apply at one side, in all situations, with what is known of these."""
        found: dict[RuleBits, int] = defaultdict(int)
        for sides, known in self.situations.items():
            for side in sides:
                if side:
                    found[side] |= known
        return found

    @cached_property
    def deciding(self) -> RuleBits:
        """The rules that decide (or pass on) some connection at some side."""
        found = 0
        for side, known in self.sides.items():
            waiting = side & ~found
            if waiting:
                possible = POSSIBLE[known & 3]
                for place, taken in self.takes(side).items():
                    if waiting >> place & 1 and taken & possible:
                        found |= 1 << place
        return found

    def takes(self, applying: RuleBits) -> Mapping[int, Region]:
        """What each rule of a set takes for itself: decides, or passes on to the next tier."""
        known = self._takes.get(applying)
        if known is None:
            known = self._takes[applying] = self._walk(applying)
        return known

    def _walk(self, applying: RuleBits) -> Mapping[int, Region]:
        found: dict[int, Region] = {}
        undecided, passed, tier = ALL, EMPTY, Tier.EMERGENCY
        for place in places_of(applying):
            decider = self.rules.deciders[place]
            if decider.policy.tier is not tier:
                undecided, passed, tier = undecided | passed, EMPTY, decider.policy.tier
            taken = undecided & decider.region
            if taken:
                found[place] = taken
                undecided -= taken
                if decider.rule.verdict is Verdict.PASS:
                    passed |= taken
        return found

    def outcome(self, of: Situation, without: RuleBits = 0) -> Outcome:
        """What a situation comes to, without some rules."""
        egress, ingress = (None if side is None else side & ~without for side in of)
        return self.rules.between((egress, -1), (ingress, -1))


def places_of(bits: RuleBits) -> Iterator[int]:
    """The places of the rules in a set, in the order in which they are walked."""
    while bits:
        lowest = bits & -bits
        yield lowest.bit_length() - 1
        bits ^= lowest
