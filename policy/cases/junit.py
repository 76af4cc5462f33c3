"""Outcomes of cases as JUnit's XML, which every CI system reads: one suite a case file, one test a case."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import groupby
from xml.etree import ElementTree

from policy.cases.case import Outcome
from policy.cases.words import expected_text, got_text, sides_text
from policy.errors import Problem

_SUITE = "portcullis"
# Everything that XML 1.0 cannot hold, escaped or not.
_NO_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(outcomes: Sequence[Outcome]) -> bytes:
    """The report on cases that were run. ``outcomes`` are in the order of their files."""
    root = ElementTree.Element("testsuites")
    for file, group in groupby(outcomes, key=lambda outcome: outcome.case.place.file):
        members = list(group)
        suite = _suite(root, file, len(members), failures=sum(not outcome.passed for outcome in members))
        for outcome in members:
            case = outcome.case
            test = _test(suite, case.name, case.place.file, case.place.line)
            if not outcome.passed:
                said = f"expected {expected_text(case)}, got {got_text(outcome)}"
                lines = (f"{case.place}: {case.asked}", said, *sides_text(outcome))
                _child(test, "failure", {"message": said, "type": "verdict"}).text = _text("\n".join(lines))
    return _written(root)


def junit_of_problems(problems: Iterable[Problem]) -> bytes:
    """The report where there is no answer: the mistakes of the policy or of the case files, as errors."""
    root = ElementTree.Element("testsuites")
    found = list(problems)
    suite = _suite(root, _SUITE, len(found), errors=len(found))
    for problem in found:
        test = _test(suite, str(problem.place), problem.place.file, problem.place.line)
        _child(test, "error", {"message": problem.message, "type": "problem"})
    return _written(root)


def _suite(
    root: ElementTree.Element, name: str, tests: int, *, failures: int = 0, errors: int = 0
) -> ElementTree.Element:
    numbers = {"tests": tests, "failures": failures, "errors": errors, "skipped": 0}
    return _child(root, "testsuite", {"name": name, **{key: str(value) for key, value in numbers.items()}})


def _test(suite: ElementTree.Element, name: str, file: str, line: int) -> ElementTree.Element:
    return _child(suite, "testcase", {"name": name, "classname": file, "file": file, "line": str(line), "time": "0"})


def _child(parent: ElementTree.Element, tag: str, attributes: dict[str, str]) -> ElementTree.Element:
    return ElementTree.SubElement(parent, tag, {key: _text(value) for key, value in attributes.items()})


def _total(root: ElementTree.Element) -> None:
    for key in ("tests", "failures", "errors"):
        root.set(key, str(sum(int(suite.get(key, "0")) for suite in root)))


def _written(root: ElementTree.Element) -> bytes:
    _total(root)
    ElementTree.indent(root)
    text: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return text + b"\n"


def _text(text: str) -> str:
    """Text that XML can hold: what it cannot is written out, as in a Python string."""
    return _NO_XML.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
