"""Policies as commands take them: an argument POLICY, and what is wrong with it told with its places."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.text import Text

from policy.commands.output import WRONG, NoAnswer, err, say, stop
from policy.errors import PolicyError, PolicyNotFound
from policy.files import read_files
from policy.load import load, revision_of
from policy.model import Document
from policy.plain import counted
from policy.problems import Problems

_Command = TypeVar("_Command", bound=Callable[..., Any])


def policy_argument(command: _Command) -> _Command:
    """Adds the argument POLICY."""
    return click.argument("policy", type=click.Path(path_type=Path))(command)


def load_policy(path: Path) -> Document:
    """The policy, for questions about it. A policy that does not load is no answer at all: exit status 2."""
    try:
        return load_existing(path)
    except PolicyError as error:
        tell_problems(path, error)
        say(err(), "nothing can be said about a policy that does not load")
        stop(WRONG)


def load_with_files(path: Path) -> tuple[Document, dict[str, bytes]]:
    """As `load_policy`, and the files it was made of, for what only their text tells."""
    document = load_policy(path)
    problems = Problems()
    files = read_files(path, problems)
    if problems or revision_of(files) != document.revision:
        raise NoAnswer(f"{path}: the files are changing while they are read; try again")
    return document, files


def load_existing(path: Path) -> Document:
    """The policy. Where there is none at all, that is wrong usage; otherwise raises `PolicyError`."""
    try:
        return load(path)
    except PolicyNotFound as error:
        raise click.BadParameter(
            f"{path}: {error.problems[0].message}".encode(errors="backslashreplace").decode(), param_hint="'POLICY'"
        ) from None


def tell_problems(path: Path, error: PolicyError) -> None:
    """All problems of a load on standard error, one a line, with places that an editor can open."""
    console = err()
    for problem in error.problems:
        place = problem.place
        where = f"{shown(path, place.file)}:{place.line}:{place.column}: "
        say(console, Text(where, style="bold"), Text("error: ", style="bold red"), problem.message)
    say(console, Text(counted(len(error.problems), "problem", "problems"), style="bold red"))


def shown(path: Path, file: str) -> str:
    """A file of the policy as seen from here; the loader names it as seen from the policy."""
    shown = str(path / file) if path.is_dir() and file != str(path) else str(path)
    return shown.encode(errors="backslashreplace").decode()
