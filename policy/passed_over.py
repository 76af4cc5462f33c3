"""Why not another rule: those that one side walks past before it comes to its decision, and what keeps each from it.

Says the same as `policy.evaluate`, with reasons; tests compare the two.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from policy.evaluate import BUILTIN_TIER, Connection, Decision, Endpoint, covers
from policy.members import side_has
from policy.model import Document, Policy, Rule, Side, Tier, Verdict
from topology.vnic import Vnic


class Reason(enum.Enum):
    """What keeps a rule from deciding; the value is the word in JSON."""

    AUDIT = "audit"
    TENANT = "tenant"
    TIER_PASSED = "tier-passed"
    PASSES = "passes"
    DIRECTION = "direction"
    AT = "at"
    FROM = "from"
    TO = "to"
    SERVICE = "service"


@dataclass(frozen=True, slots=True)
class PassedOver:
    """A rule that was passed over, for all these reasons."""

    policy: Policy
    rule: Rule
    reasons: tuple[Reason, ...]


def passed_over(document: Document, connection: Connection, decision: Decision, side: Side) -> tuple[PassedOver, ...]:
    """The rules before the one that decides at a side, in the order in which they are walked.

    Nothing where nobody firewalls the side, or a built-in rule decides: those come before all others.
    """
    decided = decision.egress if side is Side.EGRESS else decision.ingress
    if decided is None or decided.tier == BUILTIN_TIER:
        return ()
    found: list[PassedOver] = []
    for tier in Tier:
        passed = False
        for policy in document.policies:
            if policy.tier is not tier:
                continue
            for rule in policy.rules:
                reasons = _reasons(policy, rule, connection, side, decided.vnic)
                if passed:
                    reasons = (Reason.TIER_PASSED, *reasons)
                elif not reasons and rule.verdict is Verdict.PASS:
                    passed, reasons = True, (Reason.PASSES,)
                if not reasons:
                    return tuple(found)
                found.append(PassedOver(policy, rule, reasons))
    return tuple(found)


def _reasons(policy: Policy, rule: Rule, connection: Connection, side: Side, vnic: Vnic) -> tuple[Reason, ...]:
    """All that keeps a rule from applying."""
    scope = vnic.scope
    source, destination = _seen_in(scope, connection.source), _seen_in(scope, connection.destination)
    own = source if side is Side.EGRESS else destination
    checks = {
        Reason.AUDIT: not policy.audit,
        Reason.TENANT: policy.tenant in (None, vnic.tenant),
        Reason.DIRECTION: rule.egress if side is Side.EGRESS else rule.ingress,
        Reason.AT: side_has(rule.at, own.vnic, own.address, scope),
        Reason.FROM: side_has(rule.sources, source.vnic, source.address, scope),
        Reason.TO: side_has(rule.destinations, destination.vnic, destination.address, scope),
        Reason.SERVICE: any(covers(term, connection) for term in rule.terms),
    }
    return tuple(reason for reason, fine in checks.items() if not fine)


def _seen_in(scope: str, end: Endpoint) -> Endpoint:
    """The end as a vNIC of this scope sees it: an address is only somebody's in the scope of its owner."""
    return Endpoint(None, end.address) if end.vnic is not None and end.vnic.scope != scope else end
