"""Bytes: back and forth without loss, and nothing but an error from what is none of ours."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from policy.flows import action_wire, openflow, wire
from policy.flows import fields as f
from policy.flows.flow import (
    Learn,
    Load,
    Resubmit,
    Track,
    exact,
    flow,
)
from policy.flows.match_wire import decode_match, encode_match
from policy.flows.slots import FIRST, on_wire
from policy.flows.text import action_text, flow_text
from tests.flows.wire_strategies import actions, flows, in_slots, matches, statistics


@given(matches)
def test_a_match_comes_back(tests):
    data = encode_match(tests)
    assert len(data) % 8 == 0
    assert decode_match(data) == tests


@given(st.lists(actions, max_size=8), in_slots)
def test_actions_come_back(some, slot):
    data = action_wire.encode_actions(some, slot)
    assert len(data) % 8 == 0
    assert action_wire.decode_actions(data, slot) == tuple(some)


@given(st.lists(flows, max_size=3), st.integers(0, 2**64 - 1), in_slots)
def test_statistics_are_read(some, packets, slot):
    found = list(wire.decode_flow_stats(b"".join(statistics(item, packets, 7, slot) for item in some)))
    assert [entry.flow for entry in found] == some
    assert all((entry.packets, entry.bytes) == (packets, 7) for entry in found)
    assert [entry.slot for entry in found] == [slot if item.table.number else None for item in some]
    for item, entry in zip(some, found, strict=True):
        names = {action.table for action in item.actions if isinstance(action, Resubmit | Track | Learn)} - {"CLASSIFY"}
        assert entry.leads_to == (slot if names and not item.table.number else None)


@given(flows.filter(lambda item: item.table.number), in_slots, in_slots)
def test_a_flow_that_leads_into_another_slot_is_nobodys(item, one, other):
    assume(one != other)
    item = replace(item, actions=(*item.actions, Resubmit("GUARD")))
    entry = bytearray(statistics(item, slot=one))
    entry[2] = on_wire(item.table, other)
    assert [found.flow for found in wire.decode_flow_stats(bytes(entry))] == [None]


def test_flows_of_table_0_that_lead_into_two_slots_are_nobodys():
    both = action_wire.encode_actions([Resubmit("GUARD")], 0) + action_wire.encode_actions([Resubmit("GUARD")], 1)
    instructions = struct.pack("!HH4x", wire.APPLY_ACTIONS, 8 + len(both)) + both
    rest = encode_match(()) + instructions
    entry = struct.pack("!HBxIIHHHHHxxQQQ", 48 + len(rest), 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0) + rest
    assert [(found.flow, found.leads_to) for found in wire.decode_flow_stats(entry)] == [(None, None)]


# --- nothing but WireError from what a switch may send


def read(data: bytes) -> None:
    try:
        found = list(wire.decode_flow_stats(data))
    except openflow.WireError:
        return
    for entry in found:
        # What is taken for a flow can be told, and sent again.
        if entry.flow is not None:
            assert flow_text(entry.flow)
            encode_match(entry.flow.match)
            action_wire.encode_actions(entry.flow.actions, FIRST)


@given(st.binary(max_size=300))
def test_noise_is_refused(data):
    read(data)


@given(flows, st.data())
def test_damaged_statistics_are_refused(item, data):
    good = bytearray(statistics(item))
    for _ in range(data.draw(st.integers(1, 4))):
        good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    read(bytes(good))
    read(bytes(good[: data.draw(st.integers(0, len(good)))]))


@given(st.binary(max_size=80), st.binary(max_size=80))
def test_noise_in_match_and_instructions_is_nobodys_flow(tests, instructions):
    head = struct.pack("!HH", 1, 4 + len(tests))
    padded = head + tests + bytes(-(4 + len(tests)) % 8)
    length = 48 + len(padded) + len(instructions)
    fixed = struct.pack("!HBxIIHHHHHxxQQQ", length, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0)
    read(fixed + padded + instructions)


# One test of a match as a switch could write it: mostly of a field that we know, in as many bytes as it says.
headers = st.sampled_from([(field.oxm_class, field.oxm_field) for field in f.FIELDS.values()])
told_tests = st.builds(
    lambda name, masked, body: struct.pack("!HBB", name[0], name[1] << 1 | masked, len(body)) + body,
    st.one_of(headers, st.tuples(st.integers(0, 2**16 - 1), st.integers(0, 127))),
    st.booleans(),
    st.one_of(*(st.binary(min_size=size, max_size=size) for size in (0, 1, 2, 4, 6, 8, 12, 16, 32, 33))),
)
told_matches = st.one_of(
    st.binary(max_size=60),
    st.builds(lambda kind, length, body: struct.pack("!HH", kind, length) + body,
              st.sampled_from((1, 1, 0)), st.integers(0, 60), st.binary(max_size=60)),
    st.lists(told_tests, max_size=4).map(
        lambda found: struct.pack("!HH", 1, 4 + sum(map(len, found))) + b"".join(found)
    ),
)  # fmt: skip


@given(told_matches)
@settings(max_examples=400)
def test_whatever_a_switch_tells_is_a_match_or_an_error(data):
    try:
        tests = decode_match(data)
    except openflow.WireError:
        return
    assert decode_match(encode_match(tests)) == tests
    for test in tests:
        assert 0 < test.mask <= test.field.full
        assert not test.value & ~test.mask


@pytest.mark.parametrize(
    ("field", "has_mask", "body"),
    [
        (f.TCP_DST, 0, bytes(4)),
        (f.TCP_DST, 1, bytes(2)),
        (f.TCP_DST, 1, bytes(3)),
        (f.ETH_DST, 0, b"\xff" * 16),
        (f.VLAN_VID, 0, b"\xff\xff"),
        (f.IPV4_SRC, 1, b"\1\1\1\1\xff\xff\xff\0"),
        (f.IPV4_SRC, 1, bytes(8)),
        (f.ZONE, 0, bytes(8)),
        (f.IN_PORT, 0, b"\0\1\0\0"),
        (f.IN_PORT, 1, bytes(4) + b"\xff\xff\xff\0"),
    ],
)
def test_a_field_in_other_bytes_than_its_own_is_nobodys_flow(field, has_mask, body):
    told = struct.pack("!HBB", field.oxm_class, field.oxm_field << 1 | has_mask, len(body)) + body
    with pytest.raises(openflow.WireError, match=r"match on|port 0x"):
        decode_match(struct.pack("!HH", 1, 4 + len(told)) + told)


@given(actions, st.data())
@settings(max_examples=300)
def test_whatever_a_switch_tells_is_an_action_or_an_error(action, data):
    told = bytearray(action_wire.encode_actions([action], FIRST))
    for place in data.draw(st.lists(st.integers(4, len(told) - 1), min_size=1, max_size=3)):
        told[place] = data.draw(st.one_of(st.sampled_from((0, 1, 255)), st.integers(0, 255)))
    try:
        found = action_wire.decode_actions(bytes(told), FIRST)
    except (openflow.WireError, struct.error):
        return
    assert all(map(action_text, found))
    assert action_wire.decode_actions(action_wire.encode_actions(found, FIRST), FIRST) == found


def test_a_load_of_more_than_the_field_holds_is_nobodys_action():
    told = bytearray(action_wire.encode_actions([Load(f.TUPLE, 1)], FIRST))
    told[-1] = 2
    with pytest.raises(openflow.WireError):
        action_wire.decode_actions(bytes(told), FIRST)


@pytest.mark.parametrize("length", [0, 3, 5, 9, 200])
def test_a_match_of_another_length_than_it_says_is_nobodys_flow(length):
    good = encode_match((exact(f.ETH_TYPE, 0x800),))
    with pytest.raises(openflow.WireError):
        decode_match(good[:2] + struct.pack("!H", length) + good[4:])


@pytest.mark.parametrize("twice", [exact(f.ETH_SRC, 1), exact(f.ZONE, 2)])
def test_a_field_told_twice_is_nobodys_flow(twice):
    data = encode_match((twice,))
    body = data[4 : struct.unpack_from("!H", data, 2)[0]]
    changed = body[:-1] + bytes([body[-1] ^ 8])
    tests = struct.pack("!HH", 1, 4 + 2 * len(body)) + body + changed
    tests += bytes(-len(tests) % 8)
    entry = struct.pack("!HBxIIHHHHHxxQQQ", 48 + len(tests), 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0) + tests
    assert [found.flow for found in wire.decode_flow_stats(entry)] == [None]


def test_a_flow_with_a_timeout_is_not_ours():
    entry = bytearray(statistics(flow("CLASSIFY", 0, (), (), 1)))
    struct.pack_into("!H", entry, 14, 60)
    assert [found.flow for found in wire.decode_flow_stats(bytes(entry))] == [None]
