"""Matches, actions and flows of our shapes, and flows as a switch's statistics tell them."""

from __future__ import annotations

import struct

from hypothesis import strategies as st

from policy.flows import action_wire, wire
from policy.flows import fields as f
from policy.flows.flow import (
    Commit,
    Condition,
    Conjunction,
    Flow,
    Learn,
    Load,
    Move,
    Output,
    OutputBond,
    OutputTo,
    Pop,
    PopVlan,
    Push,
    PushVlan,
    Resubmit,
    Track,
    exact,
    masked,
    match,
)
from policy.flows.match_wire import encode_match
from policy.flows.slots import FIRST, SLOTS, on_wire
from policy.flows.tables import TABLES

ports = st.integers(1, 0xFEFF) | st.just(65534)
parts = st.sampled_from(list(f.register_parts()))


@st.composite
def conditions(draw) -> Condition:
    field = draw(st.sampled_from(list(f.FIELDS.values())))
    if field is f.IN_PORT:
        return exact(field, draw(ports))
    full = 3 if field is f.IP_FRAG else field.full
    if field.maskable and draw(st.booleans()):
        mask = draw(st.integers(1, full))
        return masked(field, draw(st.integers(0, full)) & mask, mask)
    return exact(field, draw(st.integers(0, full)))


matches = st.lists(conditions(), max_size=12, unique_by=lambda test: test.field.name).map(match)
headers_to_stack = st.sampled_from((f.IPV4_SRC, f.IPV4_DST, f.IPV6_SRC, f.IPV6_DST))
actions = st.one_of(
    parts.flatmap(lambda part: st.builds(Load, st.just(part), st.integers(0, part.full))),
    st.builds(Move, parts, parts, st.integers(1, 16)),
    st.just(Move(f.VLAN, f.VLAN_VID, 12)),
    st.sampled_from((Move(f.CT_NW_SRC, f.IPV4_SRC, 32), Move(f.CT_IPV6_DST, f.IPV6_DST, 128))),
    headers_to_stack.map(Push),
    headers_to_stack.map(Pop),
    st.sampled_from(list(TABLES)).map(Resubmit),
    st.sampled_from(list(TABLES)).map(Track),
    st.builds(Commit, st.integers(0, 2**32 - 1), st.sampled_from((None, "ftp", "tftp"))),
    ports.map(Output),
    parts.map(OutputTo),
    st.builds(
        OutputBond, st.lists(ports, min_size=1, max_size=5).map(tuple), st.sampled_from(("hrw", "active_backup"))
    ),
    st.sampled_from((PushVlan(), PopVlan())),
    st.builds(Conjunction, st.integers(0, 2**32 - 1), st.integers(0, 2), st.integers(2, 3)),
    st.builds(Learn, st.just("LEARNED"), st.integers(0, 2**64 - 1), st.integers(0, 65535), st.integers(0, 2**32 - 1)),
)
flows = st.builds(
    Flow,
    st.sampled_from(list(TABLES.values())), st.integers(0, 65535), matches,
    st.lists(actions, max_size=6).map(tuple), st.integers(0, 2**64 - 1),
)  # fmt: skip


in_slots = st.sampled_from(SLOTS)


def statistics(item: Flow, packets: int = 0, octets: int = 0, slot: int = FIRST) -> bytes:
    """An entry of a flow-statistics reply, as a switch would write it."""
    encoded = action_wire.encode_actions(item.actions, slot)
    instructions = struct.pack("!HH4x", wire.APPLY_ACTIONS, 8 + len(encoded)) + encoded if encoded else b""
    rest = encode_match(item.match) + instructions
    head = struct.pack(
        "!HBxIIHHHHHxxQQQ",
        48 + len(rest),
        on_wire(item.table, slot),
        0,
        0,
        item.priority,
        0,
        0,
        0,
        0,
        item.cookie,
        packets,
        octets,
    )
    return head + rest
