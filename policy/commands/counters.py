"""`portcullis counters`: what rules, defaults and drops have counted, and what the log has lost."""

from __future__ import annotations

from collections.abc import Iterable

import click
from rich.table import Table

from policy.commands.client import Controller, Json, rows, text, url_option
from policy.commands.output import out, print_json


@click.command(short_help="How often has each rule decided, and what was dropped?")
@click.option("--json", "as_json", is_flag=True, help="Print all of it as JSON (docs/logging.md).")
@url_option
def counters(as_json: bool, url: Controller) -> None:
    """Show what each rule has counted, what no rule decided, what was dropped outside the policy, and what got lost.

    Packets and bytes come from the switches' own counters, read for this answer: they are exact whatever the log's
    limits. A packet is counted at each side that decides about it.

    Exit status: 0 shown; 2 no controller answers.

    \b
    Examples:
      portcullis counters
      portcullis counters --json | jq '.drops[] | select(.packets > 0)'
    """
    page = url.get("/portcullis/counters")
    if as_json:
        print_json(page)
        return
    _show("rule", rows(page, "rules"), ("name", "verdict", "tier"), place=True)
    _show("no rule decided", rows(page, "defaults"), ("side",))
    _show("dropped outside the policy", [row for row in rows(page, "drops") if row.get("packets")], ("reason",))
    losses = page.get("losses")
    if isinstance(losses, dict):
        out().print("not told: " + ", ".join(f"{name} {_number(count)}" for name, count in losses.items()))


def _show(title: str, found: Iterable[Json], names: tuple[str, ...], *, place: bool = False) -> None:
    table = Table(title=title, title_justify="left", box=None, header_style="bold")
    for name in (*names, *(("where",) if place else ())):
        table.add_column(name, overflow="fold")
    for name in ("packets", "bytes", "logged", "suppressed"):
        table.add_column(name, justify="right")
    for row in found:
        cells = [text(row, name) for name in names]
        if place:
            cells.append(f"{text(row, 'file')}:{text(row, 'line')}")
        table.add_row(*cells, *(_number(row.get(name)) for name in ("packets", "bytes", "logged", "suppressed")))
    out().print(table)


def _number(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else "?"
