"""The page of faults, docs/reliability.md, made from the last run of ``make faults``.

``python -m tests.faults.page --write`` writes it anew.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TypedDict

DOCS = Path(__file__).parents[2] / "docs"
PAGE, FIGURES = DOCS / "reliability.md", DOCS / "reliability.json"
TABLE = "<!-- table -->\n"


class Row(TypedDict):
    """What has come of one fault."""

    fault: str
    runs: int
    sent: int
    lost: int
    knocked: int
    leaked: int
    gap: float
    seconds: dict[str, float]


def table(rows: list[Row]) -> str:
    """The rows as a table."""
    head = "| fault | runs | allowed packets lost | longest silence | forbidden packets arrived | seconds |\n"
    lines = [head, "|---|---|---|---|---|---|\n"]
    for row in rows:
        seconds = ", ".join(f"{what} {took:g}" for what, took in row["seconds"].items())
        lines.append(
            f"| {row['fault']} | {row['runs']} | {row['lost']} of {row['sent']:,} | {row['gap']:.2f} s "
            f"| {row['leaked']} of {row['knocked']:,} | {seconds} |\n"
        )
    return "".join(lines)


def text(page: str, rows: list[Row]) -> str:
    """The page with its table made anew."""
    before, _, after = page.split(TABLE)
    return TABLE.join((before, table(rows), after))


if __name__ == "__main__" and sys.argv[1:] == ["--write"]:
    PAGE.write_text(text(PAGE.read_text(), json.loads(FIGURES.read_text())))
