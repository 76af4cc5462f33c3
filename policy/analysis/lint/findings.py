"""What lint finds, as values."""

from __future__ import annotations

from dataclasses import dataclass

from policy.analysis.decide import Decider
from policy.analysis.lint.codes import CODES, Severity
from topology.inventory import Place


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding; ``related`` are the places that explain it."""

    code: str
    place: Place
    message: str
    related: tuple[Place, ...] = ()

    @property
    def severity(self) -> Severity:
        return CODES[self.code].severity

    def json(self) -> dict[str, object]:
        """As `lint --json` prints it."""
        return {
            "code": self.code,
            "severity": self.severity.value,
            "file": self.place.file,
            "line": self.place.line,
            "column": self.place.column,
            "message": self.message,
            "related": [{"file": place.file, "line": place.line} for place in self.related],
        }


def rule_name(decider: Decider) -> str:
    """`shop/web-db`, with the tenant before it where there is one."""
    tenant = f"{decider.policy.tenant}:" if decider.policy.tenant is not None else ""
    return f"{tenant}{decider.policy.name}/{decider.rule.name}"


def named(names: list[str], shown: int = 3) -> str:
    """`a, b, c and 4 more`."""
    if len(names) <= shown + 1:
        return ", ".join(names[:-1]) + (" and " if len(names) > 1 else "") + names[-1] if names else "nobody"
    return f"{', '.join(names[:shown])} and {len(names) - shown} more"
