"""How commands speak: results to standard output, everything else to standard error, colours only on a terminal.

Names come from policies, databases and switches: what is printed is data, never markup, and never a control sequence.
"""

from __future__ import annotations

import json
from typing import NoReturn

import click
from rich.console import Console
from rich.text import Text

from policy.plain import clean

# Exit status beside 0 (fine): the answer is "no"; no answer, because the question or its surroundings are wrong.
NO, WRONG = 1, 2
# Columns of output that goes to a file or a pipe: tables keep their lines whole for grep.
PIPE_WIDTH = 400

STYLES = {
    "allow": "bold green",
    "deny": "bold red",
    "reject": "bold red",
    "pass": "bold yellow",
    "enforced": "green",
    "trusted": "yellow",
    "pending": "yellow",
    "isolated": "bold red",
    "unprotected": "bold red",
}


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Leave a reader that has gone (`| head`) to `policy.cli.main`; rich would exit with 1, which means "no".

        Rich calls this while it handles the error.
        """
        raise


def out() -> Console:
    """Standard output as it is now."""
    return _console(stderr=False)


def err() -> Console:
    """Standard error as it is now."""
    return _console(stderr=True)


def _console(*, stderr: bool) -> Console:
    console = _Console(stderr=stderr, markup=False, highlight=False, emoji=False)
    if not console.is_terminal:
        console.width = PIPE_WIDTH
    return console


def say(console: Console, *parts: str | Text) -> None:
    """One line, never wrapped by us."""
    console.print(Text.assemble(*(clean(part) if isinstance(part, str) else part for part in parts)), soft_wrap=True)


def verdict(word: str) -> Text:
    """A verdict or a state in its colour."""
    return Text(clean(word), style=STYLES.get(word, ""))


def print_json(value: object) -> None:
    """A result for programs."""
    click.echo(json.dumps(value, indent=2))


def stop(status: int) -> NoReturn:
    """Leave the command with this exit status."""
    raise click.exceptions.Exit(status)


class NoAnswer(click.ClickException):
    """There is no answer, and not because the answer is "no"."""

    exit_code = WRONG

    def __init__(self, message: str) -> None:
        super().__init__(clean(message))
