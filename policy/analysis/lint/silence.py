"""Findings silenced where they are: `# lint: ignore PC103 reason`, on the finding's line or on lines of its own above.

The loader's own parser says where scalars are; a comment begins with the first `#` of a line that stands outside of
them, at the line's beginning or after a blank. (A comment behind `|` or `>` is not found: libyaml counts it to the
scalar.)
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from yaml import CSafeLoader, ScalarEvent, parse

from policy.analysis.lint.codes import CODES
from policy.analysis.lint.findings import Finding
from policy.problems import quoted
from topology.inventory import Place

# As libyaml counts lines.
_BREAK = re.compile("\r\n|[\r\n\x85\u2028\u2029]")
_COMMENT = re.compile(r"(?:^|(?<=[ \t]))#")
_LINT = re.compile(r"#+\s*lint:\s*(.*)")
_IGNORE = re.compile(r"ignore\s+(\S+)(?:\s+(.*\S))?\s*")
# PyYAML's stubs leave open what the parser always sets.
_Mark = Any


@dataclass(frozen=True, slots=True)
class Silence:
    """A comment that silences a code at a line."""

    place: Place
    line: int
    code: str
    reason: str


def comments(text: str) -> Iterator[tuple[int, int, str]]:
    """Line and column (from 1) and text of each comment."""
    spans: dict[int, list[tuple[int, int | None]]] = defaultdict(list)
    for event in parse(text, Loader=CSafeLoader):
        if isinstance(event, ScalarEvent):
            start, end = _mark(event.start_mark), _mark(event.end_mark)
            for line in range(start[0], end[0] + 1):
                first = start[1] if line == start[0] else 0
                spans[line].append((first, end[1] if line == end[0] else None))
    for number, line_text in enumerate(_BREAK.split(text)):
        for found in _COMMENT.finditer(line_text):
            at = found.start()
            if not any(first <= at and (last is None or at < last) for first, last in spans[number]):
                yield number + 1, at + 1, line_text[at:]
                break


def _mark(mark: _Mark) -> tuple[int, int]:
    """Line and column from 0."""
    return mark.line, mark.column


def silences(files: Mapping[str, bytes]) -> tuple[list[Silence], list[Finding]]:
    """All silences of a policy's files, and what is wrong with those that cannot be read."""
    found: list[Silence] = []
    wrong: list[Finding] = []
    for name in sorted(files):
        text = files[name].decode("utf-8-sig")
        if "lint:" not in text:
            continue
        lines = _BREAK.split(text)
        for line, column, comment in comments(text):
            matched = _LINT.match(comment)
            if matched is None:
                continue
            place = Place(name, line, column)
            silence = _silence(place, matched[1], _target(lines, line))
            if isinstance(silence, Finding):
                wrong.append(silence)
            else:
                found.append(silence)
    return found, wrong


def _silence(place: Place, text: str, line: int) -> Silence | Finding:
    matched = _IGNORE.fullmatch(text)
    if matched is None:
        return Finding("PC903", place, "write '# lint: ignore CODE reason'")
    code, reason = matched[1], matched[2]
    if code not in CODES or code.startswith("PC9"):
        return Finding("PC903", place, f"{quoted(code)} is no code that can be silenced")
    if reason is None:
        return Finding("PC901", place, f"say why {code} is silenced here: '# lint: ignore {code} reason'")
    return Silence(place, line, code, reason)


def _target(lines: list[str], line: int) -> int:
    """The line that a comment is about: its own, or the next with something on it if the comment stands alone."""
    if lines[line - 1].lstrip(" \t").startswith("#"):
        for number in range(line, len(lines)):
            if (rest := lines[number].strip()) and not rest.startswith("#"):
                return number + 1
    return line


def silenced(
    findings: Iterable[Finding], known: Iterable[Silence]
) -> tuple[list[Finding], list[tuple[Finding, Silence]]]:
    """The findings that are left (with those about silences that nothing needs), and those that are silenced."""
    by_line = {(silence.place.file, silence.line, silence.code): silence for silence in known}
    used: set[Silence] = set()
    left: list[Finding] = []
    quiet: list[tuple[Finding, Silence]] = []
    for finding in findings:
        silence = by_line.get((finding.place.file, finding.place.line, finding.code))
        if silence is None:
            left.append(finding)
        else:
            used.add(silence)
            quiet.append((finding, silence))
    left += [
        Finding("PC902", silence.place, f"nothing of {silence.code} is found here: this silence can go")
        for silence in known
        if silence not in used
    ]
    return left, quiet
