"""Rules as flows: one conjunction a rule over at most three dimensions, who opened, whom to, and which service.

A dimension that says "any" is left out. Where writing out all combinations takes at most twice the flows of a
conjunction, they are written out: a lookup for other identities then ends before it looks at ports, so the datapath
need not remember ports for it. Each rule has a priority of its own in its tier's table (see `placement`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from itertools import product as product_of
from math import prod

from policy.flows import fields as f
from policy.flows.cookies import Kind, cookie, numbers
from policy.flows.flow import Action, Conjunction, Flow, Load, Resubmit, exact, flow, match
from policy.flows.pipeline import audit_table, audits_table, helped_table, tier_table
from policy.flows.services import Conditions, service_conditions
from policy.flows.telling import tell, tell_once
from policy.model import Document, Policy, Rule, Side, Tier, Verdict

# Where a packet goes on that one side allows.
ALLOWED = {Side.EGRESS: "OTHER_SIDE", Side.INGRESS: "ALLOWED"}
HELPED = {Side.EGRESS: f.HELPED_EGRESS, Side.INGRESS: f.HELPED_INGRESS}
# How many times the flows of a conjunction a rule may take to be written out.
WRITTEN_OUT = 2
# A clause with more identities than this comes in so many parts.
MANY, PARTS = 32, 16


@dataclass(frozen=True, slots=True)
class NumberedRule:
    """A rule with its stable number: a digest of its full name.

    ``audit`` is the place of its policy among those in audit, from 1; 0: the policy is enforced.
    """

    number: int
    policy: Policy
    rule: Rule
    audit: int = 0

    @property
    def name(self) -> str:
        return rule_name(self.policy, self.rule)


def rule_name(policy: Policy, rule: Rule) -> str:
    """``policy/rule``, or ``tenant:policy/rule``: unique in a document, the same in every revision."""
    prefix = f"{policy.tenant}:" if policy.tenant else ""
    return f"{prefix}{policy.name}/{rule.name}"


def numbered(document: Document) -> tuple[NumberedRule, ...]:
    """All rules with their numbers, in the order in which they are walked."""
    number_of = numbers(rule_name(policy, rule) for policy in document.policies for rule in policy.rules)
    found: list[NumberedRule] = []
    audits = 0
    for policy in document.policies:
        audits += policy.audit
        place = audits if policy.audit else 0
        found += [NumberedRule(number_of[rule_name(policy, rule)], policy, rule, place) for rule in policy.rules]
    return tuple(found)


def enforced(rule: Rule, side: Side) -> bool:
    """True if the rule's direction lets this side enforce it."""
    return rule.egress if side is Side.EGRESS else rule.ingress


@dataclass(frozen=True, slots=True)
class RulePart:
    """Some of a rule's flows. ``name`` tells the parts of a rule apart.

    ``of``: all that its flows follow from beside rule, side and priority. ``matches``: their tests and actions.
    """

    name: tuple[int, ...]
    of: tuple[object, ...]
    matches: Iterable[tuple[Conditions, tuple[Action, ...]]]


@dataclass(frozen=True, slots=True)
class RuleFlows:
    """The flows of one rule at one side on one bridge, in parts; none if no vNIC here, or no peer, can meet it.

    ``own``: the numbers under which this bridge's own vNICs can be the side that decides. ``peers``: those of the
    addresses on the other side. None is any.
    """

    entry: NumberedRule
    side: Side
    own: frozenset[int] | None
    peers: frozenset[int] | None
    priority: int

    def parts(self) -> Iterator[RulePart]:
        """The parts: one where all is written out, else some for each clause of the conjunction, and its outcome."""
        egress = self.side is Side.EGRESS
        identities = ((f.FROM_ID if egress else f.TO_ID, self.own), (f.TO_ID if egress else f.FROM_ID, self.peers))
        services = service_conditions(self.entry.rule.terms)
        dimensions = [_Dimension(field, found) for field, found in identities if found is not None]
        dimensions += [] if services is None else [_Dimension(None, services)]
        product = prod(map(len, dimensions))
        if product == 0:
            return
        actions = self._actions()
        if product <= WRITTEN_OUT * (sum(map(len, dimensions)) + 1):
            combined = product_of(*(dimension.conditions() for dimension in dimensions))
            matches = ((tuple(chain.from_iterable(tests)), actions) for tests in combined)
            yield RulePart((), (self.own, self.peers), matches)
            return
        # A dimension of one test narrows every other flow of the rule instead of being a clause of its own.
        single = (dimension for dimension in dimensions if len(dimension) == 1)
        common = tuple(test for dimension in single for tests in dimension.conditions() for test in tests)
        clauses = [dimension for dimension in dimensions if len(dimension) > 1]
        number = self.entry.number
        for clause, dimension in enumerate(clauses):
            action = (Conjunction(number, clause, len(clauses)),)
            for place, some in dimension.split():
                yield RulePart((clause, place), (common, len(clauses), some), _narrowed(common, some, action))
        yield RulePart((), (common, len(clauses)), [((*common, exact(f.CONJ_ID, number)), actions)])

    def made(self, part: RulePart) -> Iterator[Flow]:
        """The flows of a part."""
        entry, side = self.entry, self.side
        table = audit_table(side) if entry.audit else tier_table(side, entry.policy.tier)
        asked = (exact(f.AUDIT, entry.audit),) if entry.audit else ()
        mark = cookie(Kind.AUDIT if entry.audit else Kind.RULE, entry.number)
        for tests, actions in part.matches:
            yield flow(table, self.priority, match(tests, asked), actions, mark)
        if not part.name and self._helps:
            yield from _helped_flows(entry, side)

    @property
    def _helps(self) -> bool:
        entry = self.entry
        return not entry.audit and entry.rule.verdict is Verdict.ALLOW and bool(entry.rule.helpers)

    def _actions(self) -> tuple[Action, ...]:
        entry, side = self.entry, self.side
        if entry.audit:
            # Nothing is decided: what the rule would have decided is told, and the packet goes its way.
            return tell(Kind.AUDIT, entry.number, side)
        rule = entry.rule
        actions = verdict_actions(rule.verdict, side, entry.policy.tier)
        if rule.log or rule.verdict is Verdict.REJECT:
            # Of what passes only the first packet of a connection is told; of what is stopped, everything.
            stops = rule.verdict in (Verdict.DENY, Verdict.REJECT)
            actions = (*(tell if stops else tell_once)(Kind.RULE, entry.number, side), *actions)
        if self._helps:
            actions = (Load(f.RULE, entry.number), Resubmit(helped_table(side)), *actions)
        return actions


def _narrowed(
    common: Conditions, dimension: _Dimension, actions: tuple[Action, ...]
) -> Iterator[tuple[Conditions, tuple[Action, ...]]]:
    for tests in dimension.conditions():
        yield common + tests, actions


@dataclass(frozen=True, slots=True)
class _Dimension:
    """The tests of one kind, of which one must hold: that a field has one of some numbers, or those of services."""

    field: f.Field | None
    found: frozenset[int] | list[Conditions]

    def __len__(self) -> int:
        return len(self.found)

    def conditions(self) -> list[Conditions]:
        if isinstance(self.found, frozenset):
            assert self.field is not None
            return [(exact(self.field, number),) for number in sorted(self.found)]
        return self.found

    def split(self) -> Iterator[tuple[int, _Dimension]]:
        """Many numbers in several parts, by their low bits: a group with one member more is another in one of them."""
        if not isinstance(self.found, frozenset) or len(self.found) <= MANY:
            yield 0, self
            return
        parts: dict[int, list[int]] = defaultdict(list)
        for number in self.found:
            parts[number % PARTS].append(number)
        for place, numbers_in in parts.items():
            yield place, _Dimension(self.field, frozenset(numbers_in))


def _helped_flows(entry: NumberedRule, side: Side) -> Iterator[Flow]:
    """Which of an allowing rule's connections have a helper: flows that are not counted as the rule's own."""
    this = exact(f.RULE, entry.number)
    helped = service_conditions(term for term in entry.rule.terms if term.helper is not None)
    for tests in helped or ():
        yield flow(helped_table(side), 100, match(this, tests), (Load(HELPED[side], 1),), cookie(Kind.PIPELINE))


def audit_flows(policies: int) -> Iterator[Flow]:
    """Each policy in audit is asked about a connection's first packet, one after the other."""
    for side in Side:
        actions: list[Action] = []
        for place in range(1, policies + 1):
            actions += [Load(f.AUDIT, place), Resubmit(audit_table(side))]
        if actions:
            yield flow(audits_table(side), 100, match(exact(f.FRESH, 1)), actions, cookie(Kind.PIPELINE))


def verdict_actions(verdict: Verdict, side: Side, tier: Tier) -> tuple[Action, ...]:
    """What a deciding rule does with the packet."""
    if verdict is Verdict.ALLOW:
        return (Resubmit(ALLOWED[side]),)
    if verdict is Verdict.PASS:
        return (Resubmit(next_table(side, tier)),)
    return ()


def next_table(side: Side, tier: Tier) -> str:
    """Where a packet goes that no rule of the tier has decided."""
    return f"{side.name}_DEFAULT" if tier is Tier.BASELINE else tier_table(side, Tier(tier + 1))
