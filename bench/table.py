"""The comparison for people: a table for each number of vNICs, one for the goals; on a terminal, or in Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.table import Table

from bench.goals import Verdict
from bench.rows import CONTROL, PLANE, advantage, shown, value_of

BEGIN, END = "<!-- generated: comparison -->", "<!-- end -->"
OURS, THEIRS = "portcullis", "ovn"


def lines(size: int, peers: Mapping[str, Any]) -> Iterator[list[str]]:
    """The cells of one table, the heading first; the last column, if both are there, is OVN's figure over ours."""
    both = OURS in peers and THEIRS in peers
    yield [f"{size:,} vNICs", *peers, *(["better than OVN"] if both else [])]
    found = {name: {**values, "vnics": size} for name, values in peers.items()}
    for row in (*CONTROL, *PLANE):
        values = {name: value_of(row, each) for name, each in found.items()}
        if all(value == "" for value in values.values()):
            continue
        last = [advantage(row, values[OURS], values[THEIRS])] if both else []
        yield [row.title, *(shown(value, row.unit) for value in values.values()), *last]


def tables(result: Mapping[str, Any]) -> list[Table]:
    """One table for each size."""
    return [_table(list(lines(int(size), peers))) for size, peers in result["sizes"].items()]


def goals_table(verdicts: Sequence[Verdict]) -> Table:
    """What was aimed at, and whether it was reached."""
    return _table(list(goal_lines(verdicts)))


def goal_lines(verdicts: Sequence[Verdict]) -> Iterator[list[str]]:
    """The cells of the table of goals."""
    yield ["goal", "measured", ""]
    for verdict in verdicts:
        yield [verdict["goal"], verdict["measured"], verdict["verdict"]]


def markdown(result: Mapping[str, Any]) -> str:
    """Everything as Markdown: machine, goals, tables."""
    machine = ", ".join(f"{key} {value}" for key, value in result["machine"].items())
    parts = [f"{machine}; {result['seconds']} s in all."]
    every = [list(goal_lines(result["goals"]))] if result["goals"] else []
    every += [list(lines(int(size), peers)) for size, peers in result["sizes"].items()]
    for heading, *rows in every:
        rule = ["---", *("---:" for _ in heading[1:])]
        parts.append("\n".join("| " + " | ".join(cells) + " |" for cells in (heading, rule, *rows)))
    return "\n\n".join(parts) + "\n"


def inserted(page: str, text: str, begin: str = BEGIN) -> str:
    """A page with the text between its marks, in place of what was there; a page without marks becomes the text."""
    head, mark, rest = page.partition(begin)
    _, end, tail = rest.partition(END)
    if not mark or not end:
        return text
    return f"{head}{mark}\n\n{text}\n{end}{tail}"


def _table(cells: Sequence[Sequence[str]]) -> Table:
    heading, *rows = cells
    table = Table(header_style="bold")
    for number, title in enumerate(heading):
        table.add_column(title, justify="right" if number else "left", no_wrap=number > 0)
    for row in rows:
        table.add_row(*row)
    return table
