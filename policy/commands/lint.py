"""`portcullis lint`: what this policy says that is probably not meant."""

from __future__ import annotations

import textwrap
from pathlib import Path

import click
from rich.text import Text

from policy.analysis.lint.codes import CODES, Severity
from policy.analysis.lint.run import Linted
from policy.analysis.lint.run import lint as lint_policy
from policy.analysis.lint.wide import DEFAULT_PAIRS
from policy.commands.output import NO, out, print_json, say, stop
from policy.commands.policies import load_with_files, shown
from policy.plain import counted

_STYLES = {Severity.ERROR: "bold red", Severity.WARNING: "bold yellow", Severity.INFO: "cyan"}


@click.command(short_help="What does this policy say that is probably not meant?")
@click.argument("policy", type=click.Path(path_type=Path), required=False)
@click.option(
    "--pairs",
    type=click.IntRange(0),
    default=DEFAULT_PAIRS,
    show_default=True,
    metavar="N",
    help="How many pairs an allow with 'any' may open before it is told (PC301).",
)
@click.option("--explain", "code", metavar="CODE", help="Say what a code means, and look at no policy.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def lint(policy: Path | None, pairs: int, code: str | None, as_json: bool) -> None:  # fmt: skip
    """Look for rules that never decide or change nothing, names without use, and the like, in POLICY.

    Exact for all VMs and all addresses, and nothing but files is needed. A finding that is meant so is silenced where
    it is, with a reason: `# lint: ignore PC104 a wall for whatever comes`.

    Exit status: 0 no errors (warnings and notes there may be); 1 findings of severity error; 2 wrong usage, or a policy
    that does not load.

    \b
    Examples:
      portcullis lint /etc/portcullis
      portcullis lint shop.yaml --pairs 100 --json
      portcullis lint --explain PC101
    """
    if (policy is None) == (code is None):
        raise click.UsageError("give either a POLICY or --explain CODE")
    if code is not None:
        _explain(code)
        return
    assert policy is not None
    document, files = load_with_files(policy)
    found = lint_policy(document, files, pairs)
    if as_json:
        print_json([finding.json() for finding in found.findings])
    else:
        _show(policy, found)
    if any(finding.severity is Severity.ERROR for finding in found.findings):
        stop(NO)


def _explain(name: str) -> None:
    code = CODES.get(name.upper())
    if code is None:
        raise click.BadParameter(f"no such code; there are {', '.join(CODES)}", param_hint="'--explain'")
    say(out(), Text(f"{code.name} {code.title} ({code.severity.value})", style="bold"))
    for line in textwrap.wrap(code.explanation, 100):
        say(out(), line)


def _show(policy: Path, found: Linted) -> None:
    console = out()
    for finding in found.findings:
        place = finding.place
        say(
            console,
            Text(f"{shown(policy, place.file)}:{place.line}:{place.column}: ", style="bold"),
            Text(f"{finding.severity.value} {finding.code}: ", style=_STYLES[finding.severity]),
            finding.message,
        )
        for related in finding.related:
            say(console, Text(f"    see {shown(policy, related.file)}:{related.line}", style="dim"))
    quiet = f", {len(found.silenced)} silenced" if found.silenced else ""
    say(console, f"{counted(len(found.findings), 'finding', 'findings')}{quiet}")
