"""A test case as a value: one connection in the operator's words, what must become of it, and what does."""

from __future__ import annotations

from dataclasses import dataclass

from policy.evaluate import BUILTIN_TIER, DEFAULT_TIER, Connection, Decision, SideDecision
from policy.model import Document, Verdict
from topology.inventory import Place


@dataclass(frozen=True, slots=True)
class Asked:
    """The connection as it is written in the case file; None where nothing is written."""

    source: str
    destination: str
    service: str
    source_port: int | None = None
    network: str | None = None

    def __str__(self) -> str:
        return f"{self.source} -> {self.destination} {self.service}"


@dataclass(frozen=True, slots=True)
class Case:
    """One case. ``name`` is the operator's, or says what is asked. ``rule`` None: whichever rule decides will do."""

    name: str
    asked: Asked
    connection: Connection
    verdict: Verdict
    rule: str | None
    place: Place


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a case's connection came to."""

    case: Case
    decision: Decision

    @property
    def verdict_fits(self) -> bool:
        return self.decision.verdict is self.case.verdict

    @property
    def rule_fits(self) -> bool:
        """True if the rule that the case names (if any) is one that decides."""
        rule = self.case.rule
        return rule is None or any(rule in rule_names(side) for side in deciding(self.decision))

    @property
    def passed(self) -> bool:
        return self.verdict_fits and self.rule_fits


def deciding(decision: Decision) -> tuple[SideDecision, ...]:
    """The sides that the verdict comes from: the first that does not allow, or, where all allow, all there are."""
    sides = tuple(side for side in (decision.egress, decision.ingress) if side is not None)
    refusing = tuple(side for side in sides if side.verdict is not Verdict.ALLOW)
    return refusing[:1] or sides


def rule_names(side: SideDecision) -> tuple[str, ...]:
    """What a case file may call the rule that decided at a side; the first is the usual name."""
    if side.tier == DEFAULT_TIER:
        return (DEFAULT_TIER,)
    if side.tier == BUILTIN_TIER:
        return f"{BUILTIN_TIER}/{side.rule}", BUILTIN_TIER
    return (rule_name(side.tenant, side.policy or "", side.rule or ""),)


def rule_name(tenant: str | None, policy: str, rule: str) -> str:
    """`POLICY/RULE`; a tenant's rule is `TENANT:POLICY/RULE`, as `explain` writes it."""
    return f"{tenant}:{policy}/{rule}" if tenant is not None else f"{policy}/{rule}"


def known_rules(document: Document) -> dict[str, bool]:
    """All that a case may name as its rule. The value is False for rules that are only audited: they never decide."""
    found = {DEFAULT_TIER: True, BUILTIN_TIER: True}
    found |= {f"{BUILTIN_TIER}/{name}": True for name in ("dhcp-client", "dhcp-server")}
    for policy in document.policies:
        for rule in policy.rules:
            found[rule_name(policy.tenant, policy.name, rule.name)] = not policy.audit
    return found
