"""`portcullis counters`: what each rule, default and drop has counted, and what the log has lost (docs/status.md)."""

from __future__ import annotations

from collections.abc import Iterable

import click
from rich.table import Table
from rich.text import Text

from policy.commands.client import Controller, Json, rows, text, url_option
from policy.commands.output import NoAnswer, out, print_json, verdict
from policy.plain import clean

_NUMBERS = ("packets", "bytes", "logged", "suppressed")
_LOSSES = {
    "meters": "copies of packets that the meters of switches dropped",
    "reports": "copies of packets that found the controller's queue full",
    "unexplained": "copies of packets that no policy accounts for",
    "limiter": "events over the rate of their rule",
    "sinks": "lines that a sink did not take in time",
}


@click.command(short_help="How much has each rule decided, and what was dropped?")
@url_option
@click.option("--json", "as_json", is_flag=True, help="Print the controller's answer as JSON (docs/status.md).")
def counters(url: Controller, as_json: bool) -> None:
    """Show packets and bytes of each rule, of what no rule decides, and of each built-in drop, and the log's losses.

    Exit status: 0 shown; 2 no controller answers.

    \b
    Examples:
      portcullis counters
      portcullis counters --json | jq '.rules[] | select(.packets == 0) | .name'
    """
    page = url.get("/portcullis/counters")
    if not isinstance(page.get("rules"), list) or not isinstance(page.get("losses"), dict):
        raise NoAnswer(f"what answers at {url.url} is not Portcullis: its counters do not tell of rules")
    if as_json:
        print_json(page)
        return
    console = out()
    for place, table in enumerate(_tables(page)):
        if place:
            console.print()
        console.print(table)


def _tables(page: Json) -> Iterable[Table]:
    yield _table(
        "Rules",
        ("rule", "verdict", "place", *_NUMBERS),
        ((text(row, "name"), _verdict(row), _place(row), *_numbers(row)) for row in rows(page, "rules")),
    )
    yield _table(
        "No rule decided",
        ("side", *_NUMBERS),
        ((text(row, "side"), *_numbers(row)) for row in rows(page, "defaults")),
    )
    yield _table(
        "Dropped outside the policy",
        ("reason", *_NUMBERS),
        ((text(row, "reason"), *_numbers(row)) for row in rows(page, "drops")),
    )
    losses = page["losses"]
    yield _table("Losses of the log", ("number", "what"), ((text(losses, key), what) for key, what in _LOSSES.items()))


def _numbers(row: Json) -> Iterable[str]:
    return (text(row, key) for key in _NUMBERS)


def _verdict(row: Json) -> Text:
    word = verdict(text(row, "verdict"))
    return Text.assemble("audit: ", word) if row.get("audit") else word


def _place(row: Json) -> str:
    return f"{text(row, 'file')}:{text(row, 'line')}"


def _table(title: str, columns: Iterable[str], lines: Iterable[Iterable[str | Text]]) -> Table:
    """A table that leaves nothing out, its numbers to the right."""
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for column in columns:
        right = column in (*_NUMBERS, "number")
        table.add_column(column, header_style="dim", overflow="fold", justify="right" if right else "left")
    for line in lines:
        table.add_row(*(Text(clean(cell)) if isinstance(cell, str) else cell for cell in line))
    return table
