"""What a packet on its way takes for granted, written down for each layout: a change of it is a new layout.

A packet that comes back from conntrack goes on in the table and with the registers that it had, and so does a way that
the datapath remembers. If these mean something else by then, packets are lost, or leak. So a program with another
meaning has another `LAYOUT`, and puts its tables beside the old ones (`ryu_apps.generations`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from policy.flows import fields as f
from policy.flows.cookies import LAYOUT, MARK, Builtin, Drop, Kind
from policy.flows.meters import MeterKind, meter_number
from policy.flows.plumbing import LEARN, fixed_flows
from policy.flows.slots import SIZE, SLOTS
from policy.flows.tables import TABLES
from policy.flows.text import action_text, flows_text
from policy.model import Builtins
from topology.zones import FIRST_SHARED_ZONE

RECORD = Path(__file__).parent / "layouts" / f"layout-{LAYOUT}.txt"
HOW = f"""\
Packets of this program and of those that wrote layout {LAYOUT} would misunderstand each other.
Raise LAYOUT in policy/flows/cookies.py, run 'make golden', remove the record of the old layout, and review the new one.
What must stay readable from layout to layout stands in docs/design.md, "Another version takes over"."""


def layout_text() -> Iterator[str]:
    """All that two versions must agree on to be one layout, a thing a line."""
    yield f"slots: {len(SLOTS)} of {SIZE}"
    for table in TABLES.values():
        yield f"table {table.number} {table.name}"
    for part in f.register_parts():
        yield f"{part.container}[{part.offset}..{part.offset + part.bits - 1}] {part.name}: {part.meaning}"
    yield f"ct_mark: ours {f.MARK_OURS}, opener {f.MARK_OPENER}"
    yield f"zones shared by a network: from {FIRST_SHARED_ZONE}"
    yield f"cookie mark {MARK:#x}"
    for kinds in (Kind, Builtin, Drop):
        yield from (f"{kinds.__name__.lower()} {kind.value} {kind.name}" for kind in kinds)
    for meter in MeterKind:
        yield f"meter {meter_number(meter, 0):#x} + vNIC: {meter.label}"
    yield action_text(LEARN)
    # What the tables before conntrack leave in the registers, and those behind it read.
    plumbing = flows_text(fixed_flows(Builtins())) + flows_text(fixed_flows(Builtins(), audit=True))
    yield f"fixed flows: {hashlib.sha256(plumbing.encode()).hexdigest()}"


def test_the_layout_is_the_one_on_record(request: pytest.FixtureRequest) -> None:
    text = "".join(f"{line}\n" for line in layout_text())
    if request.config.getoption("--update-golden") and not RECORD.exists():
        RECORD.write_text(text)
    # A record that is there is never written anew: programs with that layout may be running.
    assert RECORD.exists(), f"layout {LAYOUT} is not on record yet: run 'make golden', and review {RECORD.name}"
    assert text == RECORD.read_text(), HOW


def test_there_is_one_record() -> None:
    assert [path.name for path in RECORD.parent.glob("layout-*.txt")] == [RECORD.name]


def test_a_layout_fits_its_place_in_the_cookie() -> None:
    assert 0 < LAYOUT < 256
