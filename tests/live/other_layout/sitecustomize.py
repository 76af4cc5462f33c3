"""Makes of the program, before it runs, one with another layout: for tests of upgrades.

Python imports this by itself where this folder is on PYTHONPATH. The tables have other numbers, all register parts
other bits of other registers; the rest of the program does not notice.
"""

from __future__ import annotations

from policy.flows import cookies, fields, tables

LAYOUT = 200


def _registers() -> None:
    parts = list(fields.register_parts())
    most = max(part.oxm_field for part in parts) + 1
    for part in parts:
        register = (part.oxm_field + 5) % most
        # Fields are frozen; nobody else has seen them yet.
        object.__setattr__(part, "oxm_field", register)
        object.__setattr__(part, "container", f"reg{register}")
        object.__setattr__(part, "offset", 32 - part.offset - part.bits)


def _tables() -> None:
    """Numbers them anew: jumps still lead forward, but of what may come next the last comes first."""
    left = dict(tables.TABLES)
    tables.BY_NUMBER.clear()
    while left:
        behind = {name for table in left.values() for name in table.jumps | table.tracks}
        name = [name for name in left if name not in behind][0 if len(left) == len(tables.TABLES) else -1]
        table = left.pop(name)
        object.__setattr__(table, "number", len(tables.BY_NUMBER))
        tables.BY_NUMBER[table.number] = table


def _cookies() -> None:
    cookies.LAYOUT = LAYOUT
    cookies.PREFIX = cookies.MARK << 48 | LAYOUT << 40


_registers()
_tables()
_cookies()
