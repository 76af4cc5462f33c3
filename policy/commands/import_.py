"""`portcullis import`: a policy out of what another system calls its policies."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import click
from rich.text import Text

from policy.commands.new_files import write_new
from policy.commands.output import NO, WRONG, NoAnswer, err, say, stop
from policy.errors import PolicyError
from policy.files import MAX_FILE, read_files
from policy.kubernetes.convert import convert
from policy.kubernetes.draft import Draft
from policy.kubernetes.report import Remark, Report
from policy.kubernetes.write import as_files, as_text
from policy.load import load_texts
from policy.plain import counted
from policy.problems import Enough, Problems

_STDIN = "-"
MAX_SHOWN = 1000  # things that could not be carried over


@click.group("import", short_help="Make a policy out of another system's.")
def import_() -> None:
    """Make a policy out of what another system calls its policies."""


@import_.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option("--output", type=click.Path(path_type=Path), metavar="DIR", help="Write files here, not standard output.")
@click.option("--allow-partial", is_flag=True, help="Write the policy even if something could not be carried over.")
def kubernetes(files: tuple[str, ...], output: Path | None, allow_partial: bool) -> None:
    """Make a policy out of the Kubernetes objects in FILE... (YAML or JSON; - is standard input).

    Pods and Namespaces become VMs with their labels; NetworkPolicy, AdminNetworkPolicy, BaselineAdminNetworkPolicy and
    ClusterNetworkPolicy become policies that mean the same. What cannot be carried over is named, with file and line,
    and then nothing is written, unless --allow-partial: read what was named before you trust the result.

    Exit status: 0 everything is carried over; 1 something could not be; 2 a file that cannot be read, or written.

    \b
      kubectl get pods,namespaces,networkpolicies -A -o yaml > cluster.yaml
      portcullis import kubernetes cluster.yaml --output policy
      portcullis check policy
    """
    problems = Problems()
    result: tuple[Draft, Report] | None = None
    # After `Enough` there is no use in looking further; what was found is in the problems.
    with suppress(Enough):
        result = convert(_contents(files), problems)
    if problems or result is None:
        _refuse(problems.error())
    draft, report = result
    _tell(report)
    if report.losses and not allow_partial:
        number = counted(len(report.losses), "thing", "things")
        say(err(), Text(f"{number} could not be carried over: nothing was written", style="bold red"))
        stop(NO)
    _check(draft)
    if output is not None:
        write_new(output, as_files(draft))
    else:
        click.echo(as_text(draft), nl=False)
    _summary(draft, report)


def _contents(names: Sequence[str]) -> dict[str, bytes]:
    """The files' contents, by their names as seen from here."""
    found: dict[str, bytes] = {}
    for name in names:
        if name == _STDIN:
            data = sys.stdin.buffer.read(MAX_FILE + 1)
            if len(data) > MAX_FILE:
                raise NoAnswer(f"standard input is larger than {MAX_FILE // 2**20} MiB")
            found["standard input"] = data
            continue
        path, problems = Path(name), Problems()
        try:
            files = read_files(path, problems)
            problems.check()
        except PolicyError as error:
            reason = "; ".join(problem.message for problem in error.problems[:1])
            raise click.BadParameter(f"{_printable(name)}: {reason}", param_hint="'FILE...'") from None
        if path.is_dir():
            found |= {_printable(str(path / inner)): data for inner, data in files.items()}
        else:
            found |= {_printable(name): data for data in files.values()}
    return found


def _printable(text: str) -> str:
    return text.encode(errors="backslashreplace").decode()


def _refuse(error: PolicyError) -> NoReturn:
    console = err()
    for problem in error.problems:
        say(console, Text(f"{problem.place}: ", style="bold"), Text("error: ", style="bold red"), problem.message)
    say(console, Text(counted(len(error.problems), "problem", "problems"), style="bold red"), ", nothing was written")
    stop(WRONG)


def _tell(report: Report) -> None:
    console = err()
    losses = sorted(report.losses, key=_by_place)
    for loss in losses[:MAX_SHOWN]:
        words = Text("not carried over: ", style="bold red")
        say(console, Text(f"{loss.place}: ", style="bold"), words, str(loss))
    if len(losses) > MAX_SHOWN:
        say(console, f"... and {len(losses) - MAX_SHOWN:,} more")
    # A cluster has many Pods that have ended: told in one line.
    alike: dict[str, list[Remark]] = {}
    for note in sorted(report.notes, key=_by_place):
        alike.setdefault(note.why, []).append(note)
    for notes in alike.values():
        more = f" (and {len(notes) - 1} more like this)" if len(notes) > 1 else ""
        say(console, Text(f"{notes[0].place}: ", style="bold"), f"note: {notes[0]}{more}")


def _by_place(remark: Remark) -> tuple[str, int, int]:
    return remark.place.file, remark.place.line, remark.place.column


def _check(draft: Draft) -> None:
    """Whatever stood in the files: what comes out is a policy that loads, or nothing comes out."""
    try:
        load_texts({name: text.encode() for name, text in as_files(draft).items()})
    except PolicyError as error:
        raise NoAnswer(f"what came out is no policy: {_first(error.problems)}") from None


def _first(problems: Iterable[object]) -> str:
    return str(next(iter(problems)))


def _summary(draft: Draft, report: Report) -> None:
    rules = sum(len(policy.rules) for policy in draft.policies)
    parts = [
        counted(len(draft.vms), "VM", "VMs"),
        counted(len(draft.policies), "policy", "policies"),
        counted(rules, "rule", "rules"),
    ]
    losses = len(report.losses)
    lost = f"; {counted(losses, 'thing was', 'things were')} not carried over" if losses else ""
    say(err(), Text("imported", style="bold green" if not losses else "bold yellow"), f": {', '.join(parts)}{lost}")
