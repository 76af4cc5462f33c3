"""What reports say about a case, for people."""

from __future__ import annotations

from policy.cases.case import Case, Outcome, deciding, rule_names
from policy.evaluate import SideDecision


def expected_text(case: Case) -> str:
    """`deny by shop/no-sideways`."""
    return case.verdict.value if case.rule is None else f"{case.verdict.value} by {case.rule}"


def got_text(outcome: Outcome) -> str:
    """`allow by shop/web-db`; both sides' rules where both had a say and differ."""
    names = dict.fromkeys(rule_names(side)[0] for side in deciding(outcome.decision))
    by = f" by {' and '.join(names)}" if names else ""
    return f"{outcome.decision.verdict.value}{by}"


def sides_text(outcome: Outcome) -> tuple[str, str]:
    """What each side decided, and the rule with its place."""
    return _side("egress", outcome.decision.egress), _side("ingress", outcome.decision.ingress)


def _side(name: str, side: SideDecision | None) -> str:
    if side is None:
        return f"{name}: nobody firewalls this side"
    place = f", {side.file}:{side.line}" if side.file is not None else ""
    return f"{name}: {side.verdict.value} at {side.vnic.name}, tier {side.tier}, rule {rule_names(side)[0]}{place}"
