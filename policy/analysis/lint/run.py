"""All findings of a policy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from policy.analysis.assertions import vacuous_assertions
from policy.analysis.contexts import Contexts
from policy.analysis.lint import demanding, hidden, names, overruled, redundant, unmentioned, wide
from policy.analysis.lint.findings import Finding
from policy.analysis.lint.silence import Silence, silenced, silences
from policy.analysis.lint.sources import read_sources
from policy.model import Document


@dataclass(frozen=True, slots=True)
class Linted:
    """What was found, sorted by place; and what was found but is silenced, each with its silence."""

    findings: tuple[Finding, ...]
    silenced: tuple[tuple[Finding, Silence], ...]


def lint(document: Document, files: Mapping[str, bytes], pairs: int = wide.DEFAULT_PAIRS) -> Linted:
    """Looks for everything. ``files`` are those that the document was loaded from; ``pairs``: see PC301."""
    known, wrong = silences(files)
    left, quiet = silenced(_all(document, files, pairs), known)
    return Linted(tuple(sorted([*left, *wrong], key=_order)), tuple(quiet))


def _all(document: Document, files: Mapping[str, bytes], pairs: int) -> Iterator[Finding]:
    contexts = Contexts(document)
    yield from hidden.find(contexts)
    yield from redundant.find(contexts)
    yield from overruled.find(contexts)
    yield from names.find(contexts, read_sources(files))
    yield from wide.find(contexts, pairs)
    yield from unmentioned.find(contexts)
    yield from demanding.find(document)
    for problem in vacuous_assertions(document):
        yield Finding("PC501", problem.place, problem.message)


def _order(finding: Finding) -> tuple[str, int, int, str, str]:
    place = finding.place
    return place.file, place.line, place.column, finding.code, finding.message
