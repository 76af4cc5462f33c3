"""What is sent to a switch: enough, and no more."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from policy.flows import fields as f
from policy.flows.difference import Difference, difference
from policy.flows.flow import Resubmit, exact, flow, match

some_flows = st.builds(
    lambda port, priority, drops, cookie: flow(
        "CLASSIFY", priority, match(exact(f.IN_PORT, port)), () if drops else (Resubmit("GUARD"),), cookie
    ),
    st.integers(1, 4), st.integers(1, 3), st.booleans(), st.integers(0, 1),
)  # fmt: skip
tables = st.lists(some_flows).map(lambda found: {item.key: item for item in found})


@given(tables, tables)
def test_the_difference_leads_from_one_to_the_other(wanted, installed):
    change = difference(wanted, installed)
    result = dict(installed)
    for item in change.remove:
        assert result.pop(item.key) == item
    for item in change.add:
        assert result.get(item.key) != item
        result[item.key] = item
    assert result == wanted
    assert len(change) == len(change.add) + len(change.remove)


@given(tables)
def test_nothing_is_sent_when_all_is_right(flows):
    change = difference(flows, dict(reversed(flows.items())))
    assert not change
    assert change == Difference()
