"""`portcullis check`: would this policy be enforced?"""

from __future__ import annotations

from pathlib import Path

import click
from rich.text import Text

from policy.commands.output import NO, err, out, print_json, say, stop
from policy.commands.policies import load_existing, policy_argument, shown, tell_problems
from policy.errors import PolicyError, Problem
from policy.limits import demanding
from policy.model import Document
from policy.plain import counted

_COUNTED = {
    "vms": ("VM", "VMs"),
    "groups": ("group", "groups"),
    "services": ("service", "services"),
    "policies": ("policy", "policies"),
    "rules": ("rule", "rules"),
}


@click.command()
@policy_argument
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def check(policy: Path, as_json: bool) -> None:
    """Check the policy in file or directory POLICY.

    All problems are told, each with file:line:column. The controller checks in the same way, and enforces nothing of a
    policy with a problem: what was in force stays in force. A note is no problem: the policy is fine, but not all that
    it states is enforced.

    Exit status: 0 the policy is fine; 1 it has problems; 2 there is no policy.

    \b
    Examples:
      portcullis check /etc/portcullis
      portcullis check shop.yaml --json
    """
    try:
        document = load_existing(policy)
    except PolicyError as error:
        if as_json:
            print_json(_refused(error))
        else:
            tell_problems(policy, error)
        stop(NO)
    numbers = _numbers(document)
    notes = list(demanding(document))
    if as_json:
        print_json(
            {"ok": True, "revision": document.revision, **numbers, "problems": [], "notes": list(map(_json, notes))}
        )
        return
    for note in notes:
        where = f"{shown(policy, note.place.file)}:{note.place.line}:{note.place.column}: "
        say(err(), Text(where, style="bold"), Text("note: ", style="bold yellow"), note.message)
    console = out()
    say(console, Text("fine", style="bold green"), f": revision {document.revision}")
    say(console, ", ".join(counted(numbers[key], *words) for key, words in _COUNTED.items()))


def _numbers(document: Document) -> dict[str, int]:
    return {
        "vms": len(document.inventory.vms),
        "groups": len(document.groups),
        "services": len(document.services),
        "policies": len(document.policies),
        "rules": sum(len(policy.rules) for policy in document.policies),
    }


def _refused(error: PolicyError) -> dict[str, object]:
    return {
        "ok": False,
        "revision": None,
        **dict.fromkeys(_COUNTED),
        "problems": list(map(_json, error.problems)),
        "notes": [],
    }


def _json(problem: Problem) -> dict[str, object]:
    place = problem.place
    return {"file": place.file, "line": place.line, "column": place.column, "message": problem.message}
