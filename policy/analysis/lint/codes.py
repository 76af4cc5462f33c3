"""Every code that lint knows, declared once: docs/lint.md and `lint --explain` are made of this table."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass


class Severity(enum.Enum):
    """ERROR ends lint with exit status 1."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Code:
    """One kind of finding."""

    name: str
    severity: Severity
    title: str
    explanation: str


_TABLE = (
    Code(
        "PC101", Severity.ERROR, "hidden rule",
        "The rule never decides: wherever it applies, rules before it have decided already, and at least one of them "
        "says something else, or allows it without the helper of this rule's service. The finding names the few rules "
        "that hide it, those that take most first. An allow that is hidden opens nothing, and a deny that is hidden "
        "closes nothing, whatever its author believes.",
    ),
    Code(
        "PC102", Severity.WARNING, "rule about nobody",
        "The rule matches no connection at all: nobody is on one of its sides, its sides never meet (they are in "
        "different address scopes, or of different families), or no vNIC enforces it. VMs that are still to come may "
        "give it a meaning: silence it with that as the reason.",
    ),
    Code(
        "PC103", Severity.WARNING, "redundant rule",
        "The rule decides, but without it other rules would come to the same verdict for every connection. (Where "
        "those only repeat it, they are told: PC107.) Rules with `log: true` are left out: without them something "
        "else would be logged. So are those that allow services with a `helper`.",
    ),
    Code(
        "PC104", Severity.INFO, "wall behind which nothing stands",
        "A deny or reject without which the verdict of every connection would be the same, because what it refuses is "
        "denied by default, or at the other end, anyway. That is right for a wall that shall stand whatever the rules "
        "below come to allow.",
    ),
    Code(
        "PC105", Severity.WARNING, "allow at one end only",
        "The rule allows something at one end of connections, but the other end refuses all of it, so it opens "
        "nothing. Often the `direction` or `at` is too narrow, or the rule for the other end is missing.",
    ),
    Code(
        "PC106", Severity.INFO, "rule overruled between some VMs",
        "Between some VMs a rule of an earlier tier has the opposite verdict for all that this rule says, though "
        "elsewhere this rule decides. The tiers mean this to be possible; it is told because the rule does not say it.",
    ),
    Code(
        "PC107", Severity.WARNING, "repeated rule",
        "The rule never decides, because rules before it with the same verdict decide all that it says. It is "
        "harmless as long as they are there.",
    ),
    Code(
        "PC201", Severity.WARNING, "unused group",
        "No rule, assertion or limit names the group, directly or through groups that they name. Groups with "
        "`shared: true` are offers to tenants and are left out.",
    ),
    Code(
        "PC202", Severity.WARNING, "empty group",
        "No vNIC is in the group, and no address that a host can have: most often a label that is misspelt.",
    ),
    Code(
        "PC203", Severity.WARNING, "unused service",
        "No rule and no assertion names the service, directly or through services that they name. Services with "
        "`shared: true` are left out.",
    ),
    Code(
        "PC301", Severity.WARNING, "`any` opens many pairs",
        "An allow with `any` as `from`, `to` or service lets more pairs talk than `--pairs` says (1,000 unless "
        "told otherwise). A pair is a VM with another VM, in one direction; the outside counts as one more VM. Only "
        "pairs that really can talk, by a decision of this rule, are counted.",
    ),
    Code(
        "PC401", Severity.WARNING, "VM that no rule mentions",
        "No rule names a group that the VM is in; only `any` reaches it, or nothing. Most often a label is missing.",
    ),
    Code(
        "PC501", Severity.WARNING, "assertion about nothing",
        "The assertion holds only because there is no connection that it is about: nobody is on one of its sides, or "
        "the sides never meet. It guards nothing.",
    ),
    Code(
        "PC601", Severity.WARNING, "limit that needs a newer switch",
        "The limit `connections` (at one time) is enforced where the OVSDB server can say so (Open vSwitch 3.3 or "
        "newer); older ones limit nothing: there `new_connections` bounds a vNIC. `status` tells it of each vNIC.",
    ),
    Code(
        "PC901", Severity.ERROR, "silence without a reason",
        "`# lint: ignore CODE` needs a reason after the code, and silences nothing without one.",
    ),
    Code(
        "PC902", Severity.WARNING, "unused silence",
        "Nothing of this code is found at the line any more: the comment can go, before it hides something new.",
    ),
    Code(
        "PC903", Severity.ERROR, "silence that cannot be read",
        "A comment begins with `lint:`, but does not go on with `ignore`, one known code (PC9xx cannot be silenced) "
        "and a reason.",
    ),
)  # fmt: skip
CODES: Mapping[str, Code] = {code.name: code for code in _TABLE}


def table() -> str:
    """The table of codes in docs/lint.md."""
    lines = ["| code | severity | finding | meaning |", "| --- | --- | --- | --- |"]
    lines += [f"| {c.name} | {c.severity.value} | {c.title} | {c.explanation} |" for c in CODES.values()]
    return "\n".join(lines) + "\n"
