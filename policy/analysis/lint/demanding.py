"""Limits that the policy states and not every switch enforces (PC601)."""

from __future__ import annotations

from collections.abc import Iterator

from policy.analysis.lint.findings import Finding
from policy.limits import demanding
from policy.model import Document


def find(document: Document) -> Iterator[Finding]:
    """PC601."""
    for problem in demanding(document):
        yield Finding("PC601", problem.place, problem.message)
