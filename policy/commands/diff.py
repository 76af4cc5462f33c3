"""`portcullis diff`: what would a new policy let through that the old one does not, and the other way round?"""

from __future__ import annotations

import click
from rich.console import Console
from rich.text import Text

from policy.analysis.diff import RuleRef
from policy.analysis.group_names import GroupNames
from policy.analysis.lines import Change, Difference, difference
from policy.commands.output import NO, out, print_json, say, stop
from policy.commands.revisions import load_revision
from policy.evaluate import DEFAULT_TIER
from policy.plain import counted
from topology.inventory import DEFAULT_SCOPE


@click.command(short_help="What does a new policy widen or narrow?")
@click.argument("old")
@click.argument("new")
@click.option(
    "--fail-on",
    type=click.Choice(["widen", "any"]),
    help="Exit with 1 if the new policy lets more through (widen), or more or less (any).",
)
@click.option("--json", "as_json", is_flag=True, help="Print the changes as JSON.")
def diff(old: str, new: str, fail_on: str | None, as_json: bool) -> None:
    """Say which connections go through under the policy NEW and not under OLD (widened), and the other way round.

    OLD and NEW are files, directories, or GIT-REV:PATH. Exact for all VMs, addresses and services, whatever was edited;
    what has no effect is not told. Each line names the rule that decided and the rule that decides now.

    Exit status: 0, whatever there is, unless --fail-on says otherwise; 2 wrong usage, or a policy that does not load.

    \b
    Examples:
      portcullis diff /etc/portcullis new-policy
      portcullis diff HEAD:policy policy --fail-on widen
      portcullis diff v1:shop.yaml v2:shop.yaml --json
    """
    document = load_revision(new)
    found = difference(load_revision(old), document)
    if as_json:
        print_json(
            {"widened": [_json(change) for change in found.widened], "narrowed": [_json(c) for c in found.narrowed]}
        )
    else:
        _show(found, GroupNames(document))
    if (fail_on is not None and found.widened) or (fail_on == "any" and found.narrowed):
        stop(NO)


def _json(change: Change) -> dict[str, object]:
    return {
        "from": list(change.sources.names),
        "to": list(change.destinations.names),
        "services": change.services,
        "old": change.old._asdict() if change.old is not None else None,
        "new": change.new._asdict() if change.new is not None else None,
    }


def _show(found: Difference, groups: GroupNames) -> None:
    console = out()
    if not found.widened and not found.narrowed:
        say(console, "no connection fares differently")
        return
    _show_changes(console, ("widened", "+", "bold yellow"), found.widened, groups)
    _show_changes(console, ("narrowed", "-", "bold cyan"), found.narrowed, groups)


def _show_changes(
    console: Console, looks: tuple[str, str, str], changes: tuple[Change, ...], groups: GroupNames
) -> None:
    word, sign, style = looks
    if changes:
        say(console, Text(f"{word}: {counted(len(changes), 'change', 'changes')}", style=style))
    for change in changes:
        scope = "" if change.scope == DEFAULT_SCOPE else f" (scope {change.scope})"
        ends = f"{groups.text(change.sources)} -> {groups.text(change.destinations)}{scope}"
        say(console, Text(f"{sign} ", style=style), f"{ends}: {change.summary}")
        say(console, Text("    was ", style="dim"), _rule(change.old))
        say(console, Text("    now ", style="dim"), _rule(change.new))


def _rule(rule: RuleRef | None) -> str:
    if rule is None:
        return "nobody to decide"
    if rule.tier == DEFAULT_TIER:
        return "no rule allows it"
    tenant = f"{rule.tenant}:" if rule.tenant is not None else ""
    return f"rule {tenant}{rule.policy}/{rule.rule}, tier {rule.tier}, {rule.file}:{rule.line}"
