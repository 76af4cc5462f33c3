"""Rules as flows: one conjunction a rule over at most three dimensions, who opened, whom to, and which service.

A dimension that says "any" is left out. Where writing out all combinations takes at most twice the flows of a
conjunction, they are written out: a lookup for other identities then ends before it looks at ports, so the datapath
need not remember ports for it. Each rule has a priority of its own in its tier's table (see `placement`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from policy.flows import fields as f
from policy.flows.cookies import Kind, cookie, numbers
from policy.flows.flow import Action, Conjunction, Flow, Load, Resubmit, exact, flow, match
from policy.flows.identity import Identities, enforcers, matching
from policy.flows.services import Conditions, service_conditions
from policy.flows.tables import audit_table, audits_table, helped_table, tier_table
from policy.flows.telling import tell, tell_once
from policy.model import Document, Groups, Policy, Rule, Side, Tier, Verdict

# Where a packet goes on that one side allows.
ALLOWED = {Side.EGRESS: "OTHER_SIDE", Side.INGRESS: "ALLOWED"}
HELPED = {Side.EGRESS: f.HELPED_EGRESS, Side.INGRESS: f.HELPED_INGRESS}
# How many times the flows of a conjunction a rule may take to be written out.
WRITTEN_OUT = 2


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


def rule_flows(
    entry: NumberedRule, side: Side, identities: Identities, local: Iterable[int], priority: int
) -> Iterator[Flow]:
    """The flows of one rule at one side on one bridge; none if no vNIC here, or no peer anywhere, can meet it.

    ``local`` are the identities under which this bridge's own vNICs can be the side that decides.
    """
    rule = entry.rule
    own, peer = (rule.sources, rule.destinations) if side is Side.EGRESS else (rule.destinations, rule.sources)
    own_field, peer_field = (f.FROM_ID, f.TO_ID) if side is Side.EGRESS else (f.TO_ID, f.FROM_ID)
    dimensions: list[list[Conditions]] = []
    limits = (own, rule.at, enforcers(entry.policy))
    if any(limit is not None for limit in limits):
        dimensions.append(_identity_conditions(own_field, _in_all(limits, identities, local)))
    if peer is not None:
        dimensions.append(_identity_conditions(peer_field, _in_all((peer,), identities, identities.members)))
    services = service_conditions(rule.terms)
    if services is not None:
        dimensions.append(services)
    if entry.audit:
        # Nothing is decided: what the rule would have decided is told, and the packet goes its way.
        asked, mark = exact(f.AUDIT, entry.audit), cookie(Kind.AUDIT, entry.number)
        told = tell(Kind.AUDIT, entry.number, side)
        for tests, action in _combine(dimensions, entry.number, told):
            yield flow(audit_table(side), priority, match(tests, asked), action, mark)
        return
    tier = entry.policy.tier
    table = tier_table(side, tier)
    mark = cookie(Kind.RULE, entry.number)
    actions = verdict_actions(rule.verdict, side, tier)
    if rule.log or rule.verdict is Verdict.REJECT:
        # Of what passes only the first packet of a connection is told; of what is stopped, everything.
        stops = rule.verdict in (Verdict.DENY, Verdict.REJECT)
        actions = (*(tell if stops else tell_once)(Kind.RULE, entry.number, side), *actions)
    helps = rule.verdict is Verdict.ALLOW and bool(rule.helpers)
    if helps:
        actions = (Load(f.RULE, entry.number), Resubmit(helped_table(side)), *actions)
    met = False
    for tests, action in _combine(dimensions, entry.number, actions):
        met = True
        yield flow(table, priority, match(tests), action, mark)
    if met and helps:
        yield from _helped_flows(entry, side)


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


def _in_all(limits: Iterable[Groups], identities: Identities, among: Iterable[int]) -> list[int]:
    """The identities that are on each of these sides of a rule."""
    limits = tuple(limits)
    return sorted(number for number in among if all(matching(identities.members[number], limit) for limit in limits))


def _identity_conditions(field: f.Field, found: Iterable[int]) -> list[Conditions]:
    return [(exact(field, number),) for number in found]


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


def _combine(
    dimensions: Sequence[list[Conditions]], number: int, actions: tuple[Action, ...]
) -> Iterator[tuple[Conditions, tuple[Action, ...]]]:
    """Each match of the rule with its actions, as a product where that is no larger, else as a conjunction."""
    product = 1
    for dimension in dimensions:
        product *= len(dimension)
    if product == 0:
        return
    if product <= WRITTEN_OUT * (sum(map(len, dimensions)) + 1):
        combined: list[Conditions] = [()]
        for dimension in dimensions:
            combined = [left + right for left in combined for right in dimension]
        for tests in combined:
            yield tests, actions
        return
    # A dimension of one test narrows every other flow of the rule instead of being a clause of its own.
    common = tuple(test for dimension in dimensions if len(dimension) == 1 for test in dimension[0])
    clauses = [dimension for dimension in dimensions if len(dimension) > 1]
    for clause, dimension in enumerate(clauses):
        for tests in dimension:
            yield common + tests, (Conjunction(number, clause, len(clauses)),)
    yield (*common, exact(f.CONJ_ID, number)), actions


def tier_flows(
    document_rules: Sequence[NumberedRule],
    side: Side,
    identities: Identities,
    local: Iterable[int],
    priorities: Mapping[int, int],
) -> Iterator[Flow]:
    """The flows of all rules at one side."""
    local = sorted(set(local))
    for entry in document_rules:
        if enforced(entry.rule, side):
            yield from rule_flows(entry, side, identities, local, priorities[entry.number])
