"""Priorities of rules: in order, distinct, and kept wherever they can be."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.flows.placement import HIGHEST, LOWEST, Order, TooManyRules

orders = st.lists(st.integers(1, 2**32 - 1), max_size=60, unique=True)
places = st.one_of(st.integers(LOWEST, HIGHEST), st.integers(LOWEST, LOWEST + 5), st.integers(HIGHEST - 5, HIGHEST))


def place(order, held):
    return Order(order).place(order, held)


def check_order(order, found):
    """Strictly falling, in range, one for each."""
    assert list(found) == list(order)
    assert all(LOWEST <= priority <= HIGHEST for priority in found.values())
    assert all(above > below for above, below in pairwise(found[number] for number in order))


@given(orders, st.data())
def test_places_fall_strictly_whatever_is_held(order, data):
    held = {number: data.draw(st.integers(-1, 70_000) | places) for number in order if data.draw(st.booleans())}
    check_order(order, place(order, held))


@given(orders, st.data())
def test_whoever_asks_for_few_is_told_the_same(order, data):
    held = {number: data.draw(st.integers(-1, 70_000) | places) for number in order if data.draw(st.booleans())}
    few = data.draw(st.sets(st.sampled_from([*order, 0])))
    everything = place(order, held)
    assert Order(order).place(few, held | {0: 7}) == {number: everything[number] for number in few - {0}}


@given(orders)
def test_places_are_kept_when_nothing_changes_or_rules_go(order):
    found = place(order, {})
    assert place(order, found) == found
    fewer = order[::2]
    assert place(fewer, found) == {number: found[number] for number in fewer}


@given(orders, st.data())
def test_inserting_a_rule_moves_none_while_there_is_room(order, data):
    """Sixty rules leave a thousand places between two; so do ten insertions in one spot."""
    found = place(order, {})
    at = data.draw(st.integers(0, len(order)))
    for new in range(2**32, 2**32 + 8):
        order = [*order[:at], new, *order[at:]]
        now = place(order, found)
        assert all(now[number] == priority for number, priority in found.items())
        check_order(order, now)
        found = now


@given(orders, st.data())
def test_moving_one_rule_moves_no_other(order, data):
    found = place(order, {})
    if len(order) < 2:
        return
    mover = data.draw(st.sampled_from(order))
    rest = [number for number in order if number != mover]
    at = data.draw(st.integers(0, len(rest)))
    after = [*rest[:at], mover, *rest[at:]]
    now = place(after, found)
    check_order(after, now)
    moved = [number for number in order if now[number] != found[number]]
    assert len(moved) <= 1


def test_without_room_all_are_spread_again():
    check_order([1, 2, 3], place([1, 2, 3], {1: 100, 3: 99}))


@pytest.mark.parametrize("count", [HIGHEST - LOWEST + 1, HIGHEST - LOWEST, 40_000])
def test_a_full_table(count):
    order = list(range(1, count + 1))
    check_order(order, place(order, {}))
    check_order(order, place(order, {1: LOWEST}))


def test_more_rules_than_places():
    with pytest.raises(TooManyRules):
        place(range(HIGHEST - LOWEST + 2), {})
