"""Short or long, and where what was measured goes: ``make faults`` runs the long form and keeps it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mininet_scenarios.lab import Lab
from tests.faults.page import Row
from tests.faults.traffic import Measured
from tests.live.shop import Shop

LONG = os.environ.get("FAULTS") == "long"
RECORD = os.environ.get("FAULTS_RECORD")


@pytest.fixture(scope="session")
def rows() -> Iterator[list[Row]]:
    """The rows of the table; written at the end if somebody wants to keep them."""
    rows: list[Row] = []
    yield rows
    if RECORD:
        Path(RECORD).write_text(json.dumps(rows, indent=1) + "\n")


@pytest.fixture
def note(rows: list[Row]) -> Callable[..., None]:
    """`note(fault, measured, runs=1, **seconds)`: what has come of a fault; seconds by what took so long."""

    def note(fault: str, measured: Measured, runs: int = 1, **took: float) -> None:
        rows.append(
            {
                "fault": fault,
                "runs": runs,
                "sent": measured.sent,
                "lost": measured.lost,
                "knocked": measured.knocked,
                "leaked": measured.leaked,
                "gap": round(measured.longest_gap, 3),
                "seconds": {what.replace("_", " "): round(seconds, 2) for what, seconds in took.items()},
            }
        )

    return note


@pytest.fixture(scope="module")
def the_shop(module_lab: Lab) -> Shop:
    """One shop for the tests of a file."""
    return Shop(module_lab)


@pytest.fixture
def shop(the_shop: Shop) -> Shop:
    """The shop, as it should be: enforced, by a controller that runs."""
    if the_shop.controller.running:
        the_shop.controller.wait_enforced()
    else:
        the_shop.start()
    return the_shop
