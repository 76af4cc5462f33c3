"""What every connection between two ends comes to: all services cut into parts, each with the rule that decides it.

A decision depends only on the groups of both ends, and on those only through the rules that apply. So the work is done
once for each list of applicable rules that occurs (a number with a bit for each rule), not for each pair of VMs: two
`&` and a look-up is what a pair costs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from policy.analysis.classes import End, EndpointClass, Kind
from policy.analysis.membership import Grouping, Members
from policy.analysis.regions import ALL, EMPTY, Region, region_of, unite
from policy.analysis.words import Service
from policy.evaluate import DEFAULT_TIER, Decision, SideDecision
from policy.model import Document, Policy, Rule, Side, Tier, Verdict
from topology.vnic import Vnic

# A set of rules: bit i stands for the i-th rule in the order in which they are walked.
RuleBits = int
# What the groups of an end mean: the rules of its own side (None: nobody firewalls it), and those it meets as a peer.
Role = tuple[RuleBits | None, RuleBits]
# Outcomes and partitions that are remembered. Real policies have some ten thousand; for all others, memory ends.
MAX_KNOWN = 500_000


@dataclass(frozen=True, slots=True)
class Decider:
    """A rule that can decide."""

    policy: Policy
    rule: Rule
    region: Region

    @property
    def told(self) -> dict[str, object]:
        """Which rule it is, as `explain` tells it."""
        return {
            "tier": self.policy.tier.label,
            "tenant": self.policy.tenant,
            "policy": self.policy.name,
            "rule": self.rule.name,
            "file": self.rule.place.file,
            "line": self.rule.place.line,
        }


@dataclass(frozen=True, slots=True)
class Part:
    """Services that one rule decides. ``by`` is its place among the deciders; None is the default: deny."""

    region: Region
    verdict: Verdict
    by: int | None


@dataclass(frozen=True, slots=True, eq=False)
class Partition:
    """All services, cut into parts by the rule that decides them at one side."""

    parts: tuple[Part, ...]
    allow: Region
    reject: Region

    def deciding(self, region: Region) -> Iterator[Part]:
        """The parts that meet a region, cut to it."""
        for part in self.parts:
            common = part.region & region
            if common:
                yield Part(common, part.verdict, part.by)

    def deciding_one(self, service: Service) -> Part:
        """The part that one kind of connection is in."""
        return next(part for part in self.parts if service.within(part.region))


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """Both sides of a connection between two ends. A side is None if nobody firewalls it.

    ``allow`` and ``reject`` are the services that go through, and that the first side on the path not to allow rejects;
    everything else is denied.
    """

    egress: Partition | None
    ingress: Partition | None
    allow: Region
    reject: Region


class _Naming:
    """Which rules name a group in one place (`from`, `to`, `at` or the tenant)."""

    def __init__(self) -> None:
        self._any: RuleBits = 0
        self._by_group: dict[Members, RuleBits] = defaultdict(int)
        self._named: Members = 0
        self._known: dict[Members, RuleBits] = {}

    def add(self, rule: RuleBits, groups: Members | None) -> None:
        if groups is None:
            self._any |= rule
            return
        self._named |= groups
        for group in _bits(groups):
            self._by_group[group] |= rule

    def rules(self, members: Members) -> RuleBits:
        """The rules that an end with these groups matches in this place."""
        named = members & self._named
        known = self._known.get(named)
        if known is None:
            known = self._any
            for group in _bits(named):
                known |= self._by_group[group]
            self._known[named] = known
        return known


def _bits(number: int) -> Iterator[int]:
    while number:
        lowest = number & -number
        yield lowest
        number ^= lowest


class Rules:
    """The rules of a policy that decide, ready to be asked. Audit policies never decide, so they are not here."""

    def __init__(self, document: Document, grouping: Grouping) -> None:
        walked = sorted((each for each in document.policies if not each.audit), key=lambda policy: policy.tier)
        self.deciders: Sequence[Decider] = tuple(
            Decider(policy, rule, region_of(rule.terms)) for policy in walked for rule in policy.rules
        )
        self._sources, self._destinations, self._at, self._tenants = (_Naming() for _ in range(4))
        self._enforced: dict[Side, RuleBits] = {Side.EGRESS: 0, Side.INGRESS: 0}
        self._tiers: dict[Tier, RuleBits] = defaultdict(int)
        for place, decider in enumerate(self.deciders):
            bit, rule = 1 << place, decider.rule
            self._sources.add(bit, grouping.members(rule.sources))
            self._destinations.add(bit, grouping.members(rule.destinations))
            self._at.add(bit, grouping.members(rule.at))
            self._tenants.add(bit, grouping.enforcers(decider.policy))
            self._tiers[decider.policy.tier] |= bit
            self._enforced[Side.EGRESS] |= bit if rule.egress else 0
            self._enforced[Side.INGRESS] |= bit if rule.ingress else 0
        # Rules looked at so far, for whoever must bound what an answer may cost.
        self.walked = 0
        self._partitions: dict[RuleBits, Partition] = {}
        self._outcomes: dict[tuple[RuleBits | None, RuleBits | None], Outcome] = {}

    def own(self, side: Side, members: Members) -> RuleBits:
        """The rules that a vNIC with these groups enforces at this side, whoever the peer is."""
        naming = self._sources if side is Side.EGRESS else self._destinations
        return self._enforced[side] & naming.rules(members) & self._at.rules(members) & self._tenants.rules(members)

    def peer(self, side: Side, members: Members) -> RuleBits:
        """The rules that a peer with these groups matches, whoever decides."""
        return (self._destinations if side is Side.EGRESS else self._sources).rules(members)

    def touching(self, region: Region) -> RuleBits:
        """The rules that decide, or could, about some service of a region."""
        return sum(1 << place for place, decider in enumerate(self.deciders) if decider.region & region)

    def partition(self, applying: RuleBits) -> Partition:
        """What the rules of a set decide, walked as the language says: tiers in order, `pass` leaves its tier out."""
        known = self._partitions.get(applying)
        if known is None:
            if len(self._partitions) >= MAX_KNOWN:
                self._partitions.clear()
            known = self._partitions[applying] = self._walk(applying)
        return known

    def _walk(self, applying: RuleBits) -> Partition:
        found: list[Part] = []
        undecided = ALL
        for tier in Tier:
            passed = EMPTY
            for bit in _bits(applying & self._tiers[tier]):
                place = bit.bit_length() - 1
                decider = self.deciders[place]
                self.walked += 1
                taken = undecided & decider.region
                if not taken:
                    continue
                undecided -= taken
                if decider.rule.verdict is Verdict.PASS:
                    passed |= taken
                else:
                    found.append(Part(taken, decider.rule.verdict, place))
            undecided |= passed
            if not undecided:
                break
        if undecided:
            found.append(Part(undecided, Verdict.DENY, None))
        return Partition(
            tuple(found),
            unite(part.region for part in found if part.verdict is Verdict.ALLOW),
            unite(part.region for part in found if part.verdict is Verdict.REJECT),
        )

    def side(self, vnic: Vnic, part: Part) -> SideDecision:
        """What a vNIC decides about the services of a part, as the evaluator says it."""
        if part.by is None:
            return SideDecision(vnic, part.verdict, DEFAULT_TIER)
        policy, rule = self.deciders[part.by].policy, self.deciders[part.by].rule
        return SideDecision(
            vnic,
            part.verdict,
            policy.tier.label,
            policy.tenant,
            policy.name,
            rule.name,
            rule.place.file,
            rule.place.line,
        )

    def source(self, kind: Kind, members: Members) -> Role:
        """What the groups of a source mean."""
        own = self.own(Side.EGRESS, members) if kind is Kind.FIREWALLED else None
        return own, self.peer(Side.INGRESS, members)

    def destination(self, kind: Kind, members: Members) -> Role:
        """What the groups of a destination mean."""
        own = self.own(Side.INGRESS, members) if kind is Kind.FIREWALLED else None
        return own, self.peer(Side.EGRESS, members)

    def between(self, source: Role, destination: Role) -> Outcome:
        """What connections between two such ends come to, of either family."""
        egress = None if source[0] is None else source[0] & destination[1]
        ingress = None if destination[0] is None else destination[0] & source[1]
        known = self._outcomes.get((egress, ingress))
        if known is None:
            if len(self._outcomes) >= MAX_KNOWN:
                self._outcomes.clear()
            known = self._outcomes[egress, ingress] = _outcome(
                None if egress is None else self.partition(egress), None if ingress is None else self.partition(ingress)
            )
        return known

    def decide(self, source: EndpointClass, destination: EndpointClass) -> Outcome:
        """What connections between two classes come to. Only what their family has of the regions is possible."""
        return self.between(
            self.source(source.kind, source.members), self.destination(destination.kind, destination.members)
        )

    def decision(self, source: End, destination: End, outcome: Outcome, service: Service) -> Decision:
        """What both sides decide about one kind of connection between two ends, as the evaluator says it."""
        egress = self._side_of(source.vnic, outcome.egress, service)
        ingress = self._side_of(destination.vnic, outcome.ingress, service)
        for side in (egress, ingress):
            if side is not None and side.verdict is not Verdict.ALLOW:
                return Decision(side.verdict, egress, ingress)
        return Decision(Verdict.ALLOW, egress, ingress)

    def _side_of(self, vnic: Vnic | None, partition: Partition | None, service: Service) -> SideDecision | None:
        if vnic is None or partition is None:
            return None
        return self.side(vnic, partition.deciding_one(service))


def _outcome(egress: Partition | None, ingress: Partition | None) -> Outcome:
    """The verdict of the first side on the path that does not allow."""
    if egress is None:
        return Outcome(None, ingress, ALL if ingress is None else ingress.allow, _rejected(ingress))
    if ingress is None:
        return Outcome(egress, None, egress.allow, egress.reject)
    return Outcome(egress, ingress, egress.allow & ingress.allow, egress.reject | (egress.allow & ingress.reject))


def _rejected(side: Partition | None) -> Region:
    return EMPTY if side is None else side.reject
