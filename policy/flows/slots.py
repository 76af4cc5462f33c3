"""Generation slots: where on a switch the declared tables stand.

Table 0 (CLASSIFY) is every packet's first, and there is one of it. All other tables exist once in each slot: table n of
slot s is number 64 * s + n on the wire. Flows in memory know nothing of slots. A program whose layout is another one
(`policy.flows.cookies.LAYOUT`) puts its whole pipeline into a slot that is free, and has table 0 lead there, at once.
Packets that are on their way in the old one end there: their registers are read by the tables that wrote them.

This, and that the flows of table 0 name their slot by a resubmit or ct action, is the same in all layouts.
"""

from __future__ import annotations

from typing import NamedTuple

from policy.flows.tables import BY_NUMBER, Table

SIZE = 64
SLOTS = range(4)
# Of 64 tables in the last slot two are not there: 254 is Open vSwitch's own, 255 means all tables.
MOST_TABLES = SIZE - 2
# Where a bridge begins that holds nothing of ours.
FIRST = 0


class Place(NamedTuple):
    """A declared table in a slot. ``slot`` None: it is table 0, which all slots share."""

    slot: int | None
    table: Table


def on_wire(table: Table, slot: int) -> int:
    """The number of a declared table in a slot."""
    return slot * SIZE + table.number if table.number else 0


def place(number: int) -> Place | None:
    """Which table a number on the wire means; None: none that we declare."""
    table = BY_NUMBER.get(number % SIZE)
    if table is None or (number and not table.number):
        return None
    return Place(slot_of(number), table)


def slot_of(number: int) -> int | None:
    """The slot in which a table is, in whatever layout; None: in none."""
    return number // SIZE if 0 < number % SIZE < MOST_TABLES else None


def numbers_of(slot: int) -> range:
    """The numbers on the wire of all tables that any layout may have in a slot."""
    return range(slot * SIZE + 1, slot * SIZE + MOST_TABLES)


def table_text(found: Place) -> str:
    """A table's name, with its slot if that is not the first: ``GUARD``, ``GUARD@1``."""
    return f"{found.table.name}@{found.slot}" if found.slot else found.table.name
