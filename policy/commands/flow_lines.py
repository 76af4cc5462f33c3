"""Lines of `ovs-ofctl dump-flows` (and `ovs-appctl ofproto/trace`): which flow is it, and tables by their names.

A table of another slot than the first has that behind its name: GUARD@1 (`policy.flows.slots`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

import click

from policy.flows.cookies import LAYOUT, layout_of
from policy.flows.slots import place, table_text
from policy.flows.tables import TABLES
from policy.plain import clean

# One line of OVS's may name thousands of ports; a dump may hold a million flows.
MAX_LINE = 2**20  # bytes
MAX_INPUT = 2**30  # bytes

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_COOKIE = re.compile(r"\bcookie[= ](0x[0-9a-fA-F]{1,16}|[0-9]{1,20})\b")
_TABLE = re.compile(r"\btable=([0-9]{1,3}|[A-Z_]{1,40})\b")
# Where a number is a table: "table=7", "resubmit(,7)", "goto_table:7"; in a trace also a step, " 7. priority 3", and
# what conntrack does, "resumed at table 7".
_TABLE_NUMBER = re.compile(
    r"(\btable=|\bresubmit\([^,()]{0,20},|\bgoto_table:|\b(?:at|from) table |^\s{0,200}(?=[0-9]{1,3}\. ))([0-9]{1,3})\b"
)


@dataclass(frozen=True, slots=True)
class FlowLine:
    """One line, printable and with names for tables. ``cookie`` None: no flow. ``table`` None: not told, or no name."""

    text: str
    cookie: int | None
    table: str | None


def read_line(line: str) -> FlowLine:
    """Takes a line apart."""
    text = clean(_COLOURS.sub("", line.rstrip("\r\n")).expandtabs())
    # The actions may write another flow, with a cookie of its own.
    head, has_actions, _ = text.partition(" actions=")
    found = _COOKIE.search(head)
    cookie = _number(found[1]) & 0xFFFF_FFFF_FFFF_FFFF if found is not None else 0 if has_actions else None
    if cookie is not None and layout_of(cookie) != LAYOUT:
        # Another's, or another version's: its tables may have other names.
        return FlowLine(text, cookie, None)
    return FlowLine(_TABLE_NUMBER.sub(_named, text), cookie, _table_of(head) if cookie is not None else None)


def _number(text: str) -> int:
    return int(text, 16) if text.lower().startswith("0x") else int(text)


def _named(found: re.Match[str]) -> str:
    where = place(int(found[2]))
    return found[1] + (table_text(where) if where is not None else found[2])


def _table_of(head: str) -> str | None:
    found = _TABLE.search(head)
    if found is not None and not found[1].isdigit():
        return found[1] if found[1] in TABLES else None
    # `ovs-ofctl --no-stats` leaves table 0 out; a step of a trace begins with its table.
    step = found or re.match(r"\s*([0-9]{1,3})\. ", head)
    where = place(int(step[1]) if step is not None else 0)
    return where.table.name if where is not None else None


def lines_of(stream: IO[bytes], name: str = "standard input", longest: int = MAX_LINE) -> Iterator[str]:
    """The lines of a stream, within bounds. Raises ``click.UsageError`` beyond them."""
    total = 0
    while line := stream.readline(longest + 1):
        total += len(line)
        if len(line) > longest:
            raise click.UsageError(f"a line of {name} is longer than {longest // 2**20} MiB: is this a flow dump?")
        if total > MAX_INPUT:
            raise click.UsageError(f"{name} is longer than {MAX_INPUT // 2**20} MiB")
        yield line.decode(errors="backslashreplace")
