"""The page's table is what the last run of ``make faults`` has measured, and that run was a good one."""

import json

from tests.faults.page import FIGURES, PAGE, text

ROWS = json.loads(FIGURES.read_text())


def test_the_table_is_up_to_date():
    assert PAGE.read_text() == text(PAGE.read_text(), ROWS), "python -m tests.faults.page --write"


def test_nothing_forbidden_has_arrived_in_any_run_but_one():
    assert {row["fault"] for row in ROWS if row["leaked"]} <= {"an opener with our own cookie behind our back"}


def test_what_does_not_touch_the_switch_loses_nothing():
    for row in ROWS:
        if "controller" in row["fault"] and "ovs-vswitchd" not in row["fault"]:
            assert row["lost"] == 0 or "the same" in row["fault"], row
