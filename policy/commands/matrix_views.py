"""The matrix for people and for spreadsheets."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from rich.table import Table
from rich.text import Text

from policy.analysis.group_matrix import GroupCell, GroupServiceCell
from policy.analysis.matrix import Cell, ServiceCell
from policy.analysis.regions import Region
from policy.analysis.words import summary, terms
from policy.commands.output import out, say, verdict
from policy.plain import clean, counted

# Wider grids are no use on a terminal: then pairs are listed.
WIDEST_GRID = 24
MIXED = "mixed"
SIGNS = {"allow": "yes", "deny": "-", "reject": "rej", MIXED: "mix", None: ""}


@dataclass(frozen=True, slots=True)
class Row:
    """One pair as it is shown: for programs, and in short words for people.

    ``words`` are services by what becomes of them, for a pair with all services; ``verdict`` is for one service.
    """

    source: str
    destination: str
    json: dict[str, object]
    words: dict[str, str] = field(default_factory=dict)
    verdict: str | None = None


def vm_row(cell: Cell) -> Row:
    """A pair of VMs."""
    found = {"allow": cell.allow, "reject": cell.reject}
    return _row(cell.source, cell.destination, cell.family, found)


def group_row(cell: GroupCell) -> Row:
    """A pair of groups."""
    found = {"allow": cell.allow, "reject": cell.reject, MIXED: cell.mixed}
    return _row(cell.source, cell.destination, cell.family, found)


def service_row(cell: ServiceCell | GroupServiceCell, service: str) -> Row:
    """A pair with one kind of connection."""
    told = cell.verdict.value if cell.verdict is not None else MIXED
    value: dict[str, object] = {
        "from": cell.source,
        "to": cell.destination,
        "service": service,
        "verdict": told,
    }
    return Row(cell.source, cell.destination, value, verdict=told)


def _row(source: str, destination: str, family: int | None, regions: dict[str, Region]) -> Row:
    listed = {name: _terms(region, family) for name, region in regions.items()}
    words = {name: _summary(region, family) for name, region in regions.items() if region}
    return Row(source, destination, {"from": source, "to": destination, **listed}, words)


# The same few sets of services stand in a million cells.
@lru_cache(maxsize=4096)
def _terms(region: Region, family: int | None) -> list[str]:
    return terms(region, family)


@lru_cache(maxsize=4096)
def _summary(region: Region, family: int | None) -> str:
    return summary(region, family)


def rows_csv(rows: Iterable[Row], by: str, of_service: bool) -> str:
    """A heading and a line for each pair; terms are separated by blanks."""
    columns = ["from", "to", "service", "verdict"] if of_service else ["from", "to", "allow", "reject"]
    if by == "groups" and not of_service:
        columns.append(MIXED)
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        values = (row.json[column] for column in columns)
        writer.writerow([" ".join(value) if isinstance(value, list) else value for value in values])
    return file.getvalue()


def show_rows(rows: Iterable[Row], everything: bool) -> None:
    """Pairs with what goes through, is rejected, or depends on the members; all else is denied."""
    console = out()
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
    for heading in ("from", "to", "what goes through"):
        table.add_column(heading, overflow="fold")
    left_out = 0
    for row in rows:
        if row.words or everything:
            table.add_row(clean(row.source), clean(row.destination), _told(row.words))
        else:
            left_out += 1
    if table.row_count:
        console.print(table)
    if left_out:
        say(console, Text(f"{counted(left_out, 'pair', 'pairs')} with nothing but denied connections left out", "dim"))


def _told(words: dict[str, str]) -> Text:
    parts: list[Text] = []
    if not words:
        parts.append(verdict("deny"))
    if "allow" in words:
        parts.append(Text(words["allow"]))
    if MIXED in words:
        parts.append(Text.assemble((f"{MIXED}: ", "bold yellow"), words[MIXED]))
    if "reject" in words:
        parts.append(Text.assemble(("rejected: ", "bold red"), words["reject"]))
    return Text("; ").join(parts)


def show_grid(names: Sequence[str], rows: Iterable[Row], service: str) -> None:
    """One kind of connection: a grid, or a list where there are too many."""
    console = out()
    found = {(row.source, row.destination): row.verdict for row in rows}
    if len(names) > WIDEST_GRID:
        for (source, destination), told in found.items():
            say(console, verdict(told or ""), f"  {source} -> {destination}")
        return
    say(console, f"{service}, from the left to the top")
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("")
    for name in names:
        table.add_column(clean(name))
    for source in names:
        cells = (found.get((source, destination)) for destination in names)
        table.add_row(clean(source), *(Text(SIGNS[told], style=verdict(told or "").style) for told in cells))
    console.print(table)
