"""Limits that the policy states and nothing enforces (PC601)."""

from __future__ import annotations

from collections.abc import Iterator

from policy.analysis.lint.findings import Finding
from policy.limits import unenforced
from policy.model import Document


def find(document: Document) -> Iterator[Finding]:
    """PC601."""
    for problem in unenforced(document):
        yield Finding("PC601", problem.place, problem.message)
