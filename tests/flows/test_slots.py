"""Where the declared tables stand on a switch."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.flows.slots import FIRST, MOST_TABLES, SLOTS, numbers_of, on_wire, place, slot_of, table_text
from policy.flows.tables import TABLES

tables = st.sampled_from(list(TABLES.values()))


@given(tables, st.sampled_from(SLOTS))
def test_a_table_is_found_where_it_was_put(table, slot):
    number = on_wire(table, slot)
    found = place(number)
    assert found.table is table
    assert found.slot == (slot if table.number else None)
    assert slot_of(number) == found.slot
    assert not table.number or number in numbers_of(slot)


@given(st.integers(0, 255))
def test_no_number_means_two_tables(number):
    found = place(number)
    if found is not None:
        assert on_wire(found.table, FIRST if found.slot is None else found.slot) == number


def test_all_tables_fit_and_no_two_meet():
    numbers = [on_wire(table, slot) for slot in SLOTS for table in TABLES.values() if table.number]
    assert len(TABLES) <= MOST_TABLES and len(numbers) == len(set(numbers))
    # Open vSwitch keeps 254 to itself, and 255 means all.
    assert all(0 < number < 254 for slot in SLOTS for number in numbers_of(slot))
    assert not set.intersection(*(set(numbers_of(slot)) for slot in SLOTS))


def test_the_first_slot_is_where_the_tables_were_before_there_were_slots():
    assert all(on_wire(table, FIRST) == table.number for table in TABLES.values())
    assert all(on_wire(TABLES["CLASSIFY"], slot) == 0 for slot in SLOTS)


@pytest.mark.parametrize("number,slot,text", [
    (0, None, "CLASSIFY"), (1, 0, "GUARD"), (65, 1, "GUARD@1"), (193, 3, "GUARD@3"), (63, None, None), (64, None, None),
    (61, 0, None), (62, None, None), (128, None, None), (254, None, None), (255, None, None),
])  # fmt: skip
def test_numbers(number, slot, text):
    found = place(number)
    assert slot_of(number) == slot
    assert (table_text(found) if found is not None else None) == text
