"""`portcullis test`: does the policy do what its owner's test cases say?"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import click
from rich.text import Text

from policy.cases.case import Case, Outcome
from policy.cases.junit import junit, junit_of_problems
from policy.cases.read import read_cases
from policy.cases.words import expected_text, got_text, sides_text
from policy.commands.output import NO, WRONG, NoAnswer, err, out, print_json, say, stop
from policy.commands.policies import load_existing, policy_argument, tell_problems
from policy.errors import PolicyError, PolicyNotFound
from policy.evaluate import evaluate
from policy.files import read_files
from policy.model import Document
from policy.plain import counted
from policy.problems import Enough, Problems
from policy.question import decision_json
from topology.inventory import Place


@click.command(short_help="Does the policy do what these test cases say?")
@policy_argument
@click.argument("cases", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.option(
    "--junit", "junit_file", type=click.Path(path_type=Path), metavar="FILE", help="Write JUnit's XML as well."
)
@click.option("--verbose", "-v", is_flag=True, help="Show the cases that pass, too.")
def test(policy: Path, cases: tuple[Path, ...], as_json: bool, junit_file: Path | None, verbose: bool) -> None:
    """Try out POLICY on the connections in the files (or directories) CASES.

    A case says who connects to whom, and what must become of it; if you like, also which rule must decide. Case files
    are YAML, but no part of the policy: keep them outside its directory.

    Exit status: 0 all is as the cases say; 1 some case fails; 2 a mistake in a case file, or a policy that does not
    load.

    \b
      portcullis test /etc/portcullis cases.yaml
      portcullis test policy/ cases/ --junit report.xml

    \b
      cases:
        - {name: shop is open, from: 192.0.2.7, to: web-1, service: tcp/443, verdict: allow}
        - {from: web-1, to: db-1, service: tcp/22, verdict: deny, rule: default}
    """
    document = _load(policy, cases, junit_file)
    outcomes = [Outcome(case, evaluate(document, case.connection)) for case in _read(cases, document, junit_file)]
    if junit_file is not None:
        _write(junit_file, junit(outcomes))
    failed = sum(not outcome.passed for outcome in outcomes)
    if as_json:
        print_json(_result(document, outcomes))
    else:
        _show(outcomes, failed, verbose)
    if failed:
        stop(NO)


def _load(policy: Path, cases: Sequence[Path], junit_file: Path | None) -> Document:
    try:
        return load_existing(policy)
    except PolicyError as error:
        tell_problems(policy, error)
        console = err()
        inside = [path for path in cases if policy.is_dir() and path.resolve().is_relative_to(policy.resolve())]
        if inside:
            say(
                console,
                f"{inside[0]} lies within the policy's directory and is read as a part of it: move it elsewhere",
            )
        say(console, "nothing can be said about a policy that does not load")
        if junit_file is not None:
            _write(junit_file, junit_of_problems(error.problems))
        stop(WRONG)


def _read(paths: Sequence[Path], document: Document, junit_file: Path | None) -> tuple[Case, ...]:
    problems = Problems()
    found: tuple[Case, ...] = ()
    # After `Enough` there is no use in looking further; what was found is in the problems.
    with suppress(Enough):
        found = read_cases(_case_files(paths, problems), document, problems)
    if problems:
        _refuse(problems.error(), junit_file)
    return found


def _case_files(paths: Sequence[Path], problems: Problems) -> dict[str, bytes]:
    """All case files, by their names as seen from here."""
    found: dict[str, bytes] = {}
    for path in paths:
        own = Problems()
        try:
            files = read_files(path, own)
        except PolicyNotFound:
            reason = "there are no *.yaml files in it" if path.is_dir() else "there is no such file or directory"
            raise click.BadParameter(f"{_printable(str(path))}: {reason}", param_hint="'CASES'") from None
        except PolicyError as error:
            raise click.BadParameter(_printable(error.problems[0].message), param_hint="'CASES'") from None
        for problem in own.error().problems:
            place = problem.place
            problems.add(Place(_shown(path, place.file), place.line, place.column), problem.message)
        found |= {_shown(path, name): data for name, data in files.items()}
    return found


def _shown(path: Path, file: str) -> str:
    return _printable(str(path / file) if path.is_dir() else str(path))


def _printable(text: str) -> str:
    return text.encode(errors="backslashreplace").decode()


def _refuse(error: PolicyError, junit_file: Path | None) -> NoReturn:
    console = err()
    for problem in error.problems:
        say(console, Text(f"{problem.place}: ", style="bold"), Text("error: ", style="bold red"), problem.message)
    say(console, Text(counted(len(error.problems), "mistake", "mistakes"), style="bold red"), ", nothing was tested")
    if junit_file is not None:
        _write(junit_file, junit_of_problems(error.problems))
    stop(WRONG)


def _write(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except (OSError, ValueError) as error:
        raise NoAnswer(f"cannot write the report: {error}") from None


def _show(outcomes: Sequence[Outcome], failed: int, verbose: bool) -> None:
    console = out()
    for outcome in outcomes:
        case = outcome.case
        if outcome.passed:
            if verbose:
                say(console, Text("ok      ", style="green"), f"{case.name}: {got_text(outcome)}")
            continue
        say(console, Text("FAILED  ", style="bold red"), f"{case.place.file}:{case.place.line}: {case.name}")
        say(console, f"          {case.asked}: expected {expected_text(case)}, got {got_text(outcome)}")
        for line in sides_text(outcome):
            say(console, f"            {line}")
    numbers = f"{counted(len(outcomes), 'case', 'cases')}: {len(outcomes) - failed} as expected, {failed} not"
    say(console, Text(numbers, style="bold red" if failed else "bold green"))


def _result(document: Document, outcomes: Sequence[Outcome]) -> dict[str, object]:
    passed = sum(outcome.passed for outcome in outcomes)
    return {
        "ok": passed == len(outcomes),
        "revision": document.revision,
        "passed": passed,
        "failed": len(outcomes) - passed,
        "cases": [_case_json(outcome) for outcome in outcomes],
    }


def _case_json(outcome: Outcome) -> dict[str, object]:
    case = outcome.case
    return {
        "name": case.name,
        "file": case.place.file,
        "line": case.place.line,
        "ok": outcome.passed,
        "from": case.asked.source,
        "to": case.asked.destination,
        "service": case.asked.service,
        "source_port": case.asked.source_port,
        "network": case.asked.network,
        "expected": {"verdict": case.verdict.value, "rule": case.rule},
        "got": decision_json(outcome.decision),
    }
