"""Limits that the policy states and nothing enforces (PC601)."""

from __future__ import annotations

from collections.abc import Iterator

from policy.analysis.lint.findings import Finding
from policy.limits import NOT_ENFORCED
from policy.model import Document


def find(document: Document) -> Iterator[Finding]:
    """PC601, once an entry."""
    for entry in document.limits:
        for what in NOT_ENFORCED & entry.stated.keys():
            yield Finding(
                "PC601",
                entry.place,
                f"limit {entry.name} states {what}: {entry.stated[what]}, which limits nothing yet",
            )
