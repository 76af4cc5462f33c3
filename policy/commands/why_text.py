"""The rules that were passed over, for `explain --why`: for people, and as JSON."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from policy.commands.output import out, say
from policy.evaluate import Connection, Decision
from policy.model import Document, Side
from policy.passed_over import PassedOver, Reason, passed_over
from policy.plain import clean, counted

_SIDES = {"egress": Side.EGRESS, "ingress": Side.INGRESS}
_WORDS = {
    Reason.AUDIT: "its policy is only audited",
    Reason.TENANT: "its tenant is another",
    Reason.TIER_PASSED: "a rule before it passes the rest of its tier over",
    Reason.PASSES: "it passes on to the next tier",
    Reason.DIRECTION: "its direction is the other one",
    Reason.AT: "'at' leaves this vNIC out",
    Reason.FROM: "'from' leaves the source out",
    Reason.TO: "'to' leaves the destination out",
    Reason.SERVICE: "it is about other services",
}


def why_json(document: Document, connection: Connection, decision: Decision) -> dict[str, object]:
    """`{"egress": [...], "ingress": [...]}`: all rules passed over at each side."""
    return {
        name: [_json(each) for each in passed_over(document, connection, decision, side)]
        for name, side in _SIDES.items()
    }


def _json(each: PassedOver) -> dict[str, object]:
    return {
        "verdict": each.rule.verdict.value,
        "tier": each.policy.tier.label,
        "tenant": each.policy.tenant,
        "policy": each.policy.name,
        "rule": each.rule.name,
        "file": each.rule.place.file,
        "line": each.rule.place.line,
        "reasons": [reason.value for reason in each.reasons],
    }


def show_why(document: Document, connection: Connection, decision: Decision) -> None:
    """The rules that only one thing kept from deciding; the others are counted."""
    for name, side in _SIDES.items():
        found = passed_over(document, connection, decision, side)
        if not found:
            continue
        near = [each for each in found if len(each.reasons) == 1]
        say(out(), Text(f"passed over at {name}:", style="bold"))
        table = Table(box=None, show_header=False, padding=(0, 2), pad_edge=True)
        for each in near:
            tenant = f"{each.policy.tenant}:" if each.policy.tenant is not None else ""
            cells = (
                f"{each.rule.verdict.value} {tenant}{each.policy.name}/{each.rule.name}",
                f"{each.rule.place.file}:{each.rule.place.line}",
                _WORDS[each.reasons[0]],
            )
            table.add_row(*(Text(clean(cell), overflow="fold") for cell in cells))
        if near:
            out().print(table)
        far = len(found) - len(near)
        if far:
            say(out(), f"  {counted(far, 'rule differs', 'rules differ')} in more than one way")
