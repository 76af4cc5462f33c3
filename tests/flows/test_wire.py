"""Bytes: back and forth without loss, the same as Ryu's where Ryu can say it, accepted and told back by OVS."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from ryu.ofproto import ofproto_v1_4 as ofp
from ryu.ofproto import ofproto_v1_4_parser as parser
from ryu.ofproto.ofproto_protocol import ProtocolDesc

from policy.flows import action_wire, openflow, wire
from policy.flows import fields as f
from policy.flows.cookies import Kind, cookie
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
    flow,
    masked,
    match,
)
from policy.flows.match_wire import decode_match, encode_match
from policy.flows.plumbing import LEARN
from policy.flows.slots import FIRST, SLOTS, numbers_of, on_wire
from policy.flows.tables import TABLES
from policy.flows.text import action_text, flow_text
from tests.flows.frames import frame
from tests.flows.packets import ip, with_ports
from tests.flows.real import Real
from tests.flows.strategies import documents, labels
from tests.flows.worlds import OUTSIDE, OUTSIDE_MAC, World, document, mac_of, policy, rule

RYU = ProtocolDesc(version=openflow.VERSION)
# --- matches and actions of our shapes

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


# --- against Ryu's encoder


def mac(value: int) -> str:
    return value.to_bytes(6, "big").hex(":")


def ryu_match(tests) -> parser.OFPMatch:
    """The same match, said to Ryu: registers whole."""
    registers: dict[str, tuple[int, int]] = {}
    said: dict[str, object] = {}
    for field, value, mask in tests:
        if field.is_register:
            old_value, old_mask = registers.get(field.container, (0, 0))
            registers[field.container] = (old_value | value << field.offset, old_mask | mask << field.offset)
            continue
        number = 0xFFFF0000 | value if field is f.IN_PORT and value >= 0xFF00 else value
        write = WRITERS.get(field.kind, int)
        exactly = mask == field.full
        said[RYU_NAMES.get(field.name, field.name)] = write(number) if exactly else (write(number), write(mask))
    for name, (value, mask) in registers.items():
        said[name] = value if mask == 0xFFFFFFFF else (value, mask)
    return parser.OFPMatch(**said)


def ipv4(value: int) -> str:
    return ".".join(map(str, value.to_bytes(4, "big")))


def ipv6(value: int) -> str:
    return value.to_bytes(16, "big").hex(":", 2)


WRITERS = {"mac": mac, "ipv4": ipv4, "ipv6": ipv6}
RYU_NAMES = {
    "icmp_type": "icmpv4_type",
    "icmp_code": "icmpv4_code",
    "nd_target": "ipv6_nd_target",
    "nd_sll": "ipv6_nd_sll",
    "nd_tll": "ipv6_nd_tll",
}
# Fields that Ryu has no name for.
BEYOND_RYU = {
    "ip_ttl",
    "ct_nw_proto",
    "ct_nw_src",
    "ct_nw_dst",
    "ct_ipv6_src",
    "ct_ipv6_dst",
    "ct_tp_src",
    "ct_tp_dst",
}


def known_to_ryu(tests) -> bool:
    """True if Ryu has names for all fields."""
    return not any(test.field.name in BEYOND_RYU for test in tests)


def ryu_bytes(message, xid: int) -> bytes:
    message.set_xid(xid)
    message.serialize()
    return bytes(message.buf)


def in_order(message: bytes) -> tuple[bytes, list[bytes]]:
    """A flow-mod with its match taken apart: Ryu puts registers before basic fields, we the other way round."""
    length = struct.unpack_from("!H", message, 50)[0]
    found, at = [], 52
    while at < 48 + length:
        size = 4 + message[at + 3]
        found.append(message[at : at + size])
        at += size
    return message[:52] + message[48 + length :], sorted(found)


@given(st.lists(conditions(), max_size=4, unique_by=lambda test: test.field.name).map(match), st.integers(0, 2**32 - 1))
def test_flow_mods_are_ryus(tests, xid):
    tests = tuple(test for test in tests if known_to_ryu([test]))
    item = Flow(TABLES["GUARD"], 77, tests, (), cookie(Kind.VNIC, 5))
    said = parser.OFPFlowMod(
        RYU, cookie=item.cookie, table_id=item.table.number, priority=77, match=ryu_match(tests),
        out_port=ofp.OFPP_ANY, out_group=ofp.OFPG_ANY, instructions=[],
    )  # fmt: skip
    assert in_order(wire.flow_mod(item, FIRST, xid)) == in_order(ryu_bytes(said, xid))
    gone = parser.OFPFlowMod(
        RYU, command=ofp.OFPFC_DELETE_STRICT, table_id=item.table.number, priority=77, match=ryu_match(tests),
        out_port=ofp.OFPP_ANY, out_group=ofp.OFPG_ANY, instructions=[],
    )  # fmt: skip
    assert in_order(wire.flow_mod(item, FIRST, xid, wire.DELETE_STRICT)) == in_order(ryu_bytes(gone, xid))


def bits(offset: int, count: int) -> int:
    return offset << 6 | count - 1


IN_RYU = {
    "output": (Output(7), parser.OFPActionOutput(7, 0)),
    "output to local": (Output(65534), parser.OFPActionOutput(ofp.OFPP_LOCAL, 0)),
    "load": (Load(f.SCOPE, 5), parser.NXActionRegLoad(bits(12, 12), "reg0", 5)),
    "load all": (Load(f.SRC_ID, 0xDEADBEEF), parser.NXActionRegLoad(bits(0, 32), "reg2", 0xDEADBEEF)),
    "move": (Move(f.SRC_ID, f.FROM_ID, 32), parser.NXActionRegMove("reg2", "reg4", 32)),
    "move a part": (Move(f.VLAN, f.ZONE, 12), parser.NXActionRegMove("reg0", "reg1", 12, 0, 0)),
    "resubmit": (Resubmit("SWITCH"), parser.NXActionResubmitTable(table_id=TABLES["SWITCH"].number)),
    "track": (Track("RELATED"), parser.NXActionCT(0, "reg1", bits(0, 16), TABLES["RELATED"].number, 0, [])),
    "commit": (
        Commit(3),
        parser.NXActionCT(1, "reg1", bits(0, 16), 255, 0, [parser.OFPActionSetField(ct_mark=3)]),
    ),
    "commit with a helper": (
        Commit(1, "ftp"),
        parser.NXActionCT(1, "reg1", bits(0, 16), 255, 21, [parser.OFPActionSetField(ct_mark=1)]),
    ),
    "conjunction": (Conjunction(0x12345678, 1, 3), parser.NXActionConjunction(1, 3, 0x12345678)),
    "output to a register": (OutputTo(f.OUT_PORT), parser.NXActionOutputReg(bits(16, 16), "reg1", 0xFFFF)),
    "from nowhere": (Load(f.IN_PORT, 0), parser.NXActionRegLoad(bits(0, 32), "in_port", 0)),
    "set tag": (Load(f.VLAN_VID, 0x1014), parser.OFPActionSetField(vlan_vid=0x1014)),
    "push tag": (PushVlan(), parser.OFPActionPushVlan(0x8100)),
    "pop tag": (PopVlan(), parser.OFPActionPopVlan()),
}


@pytest.mark.parametrize("name", IN_RYU)
def test_actions_are_ryus(name):
    ours, theirs = IN_RYU[name]
    buffer = bytearray()
    theirs.serialize(buffer, 0)
    assert action_wire.encode_actions([ours], FIRST) == bytes(buffer)


def test_a_whole_flow_in_a_bundle_is_ryus():
    tests = match(exact(f.IN_PORT, 3), exact(f.ETH_SRC, 0x525400000001), exact(f.VLAN_VID, 0))
    item = flow("CLASSIFY", 100, tests, (Load(f.VLAN, 10), Resubmit("GUARD")), cookie(Kind.VNIC, 5))
    apply = parser.OFPInstructionActions(
        ofp.OFPIT_APPLY_ACTIONS,
        [
            parser.NXActionRegLoad(bits(0, 12), "reg0", 10),
            parser.NXActionResubmitTable(table_id=TABLES["GUARD"].number),
        ],
    )
    said = parser.OFPFlowMod(
        RYU, cookie=item.cookie, table_id=0, priority=100, match=ryu_match(tests), out_port=ofp.OFPP_ANY,
        out_group=ofp.OFPG_ANY, instructions=[apply],
    )  # fmt: skip
    assert wire.flow_mod(item, FIRST, 9) == ryu_bytes(said, 9)
    atomic = ofp.OFPBF_ATOMIC | ofp.OFPBF_ORDERED
    bundled = parser.OFPBundleAddMsg(RYU, 4, atomic, said, [])
    assert wire.bundle_add(4, atomic, wire.flow_mod(item, FIRST, 9)) == ryu_bytes(bundled, 9)


def test_emptying_a_table_is_ryus():
    said = parser.OFPFlowMod(
        RYU, command=ofp.OFPFC_DELETE, table_id=TABLES["LEARNED"].number, priority=0, match=parser.OFPMatch(),
        out_port=ofp.OFPP_ANY, out_group=ofp.OFPG_ANY, instructions=[],
    )  # fmt: skip
    assert wire.empty_table(TABLES["LEARNED"].number, 3) == ryu_bytes(said, 3)


# --- against Open vSwitch


@pytest.fixture(scope="module")
def real() -> Iterator[Real]:
    switch = Real()
    yield switch
    switch.stop()


@pytest.mark.timeout(600)
@given(policy_document=documents(), some_labels=labels)
def test_ovs_tells_back_what_it_was_sent(real, policy_document, some_labels):
    wanted = World(policy_document, some_labels).tables
    real.install(wanted)
    assert {name: switch.flows() for name, switch in real.switches.items()} == wanted


@pytest.mark.parametrize("slot", [1, 2, 3])
def test_every_slot_does_what_the_first_does(real, slot):
    """OVS takes and tells the flows of each; a packet goes the same way; emptied, a slot holds nothing."""
    world = World(document(policy("p", rule("allow", "tcp/80"))))
    real.install(world.tables)
    opens = replace(ip("10.0.0.1", "10.0.0.2", 6), eth_src=mac_of("web-1"), eth_dst=mac_of("web-2"))
    packet = frame(with_ports(opens, 5000, 80))
    real.forget()
    went = real.send("left", 11, packet)
    assert went
    for name, switch in real.switches.items():
        wanted = world.tables[name]
        switch.bundle(wanted.values(), slot=slot)
        there = switch.dump()
        assert {entry.flow for entry in there if entry.slot in (None, slot)} == set(wanted.values())
        assert {entry.leads_to for entry in there if not entry.table} - {None} == {slot}
    real.forget()
    assert real.send("left", 11, packet) == went
    for name, switch in real.switches.items():
        switch.bundle([item for item in world.tables[name].values() if not item.table.number])
        for number in numbers_of(slot):
            switch.message(wire.empty_table(number, 5))
        assert switch.flows() == world.tables[name]


def test_a_flow_is_removed_by_what_the_switch_told(real):
    real.install(World(document(policy("p", rule("allow", "tcp/80")))).tables)
    switch = real.switches["left"]
    before = switch.flows()
    victim = next(iter(before.values()))
    raw = next(entry.raw_match for entry in switch.dump() if entry.flow == victim)
    switch.message(wire.raw_delete(victim.table.number, victim.priority, raw, 77))
    assert switch.flows() == {key: item for key, item in before.items() if item != victim}
    switch.bundle([victim])
    assert switch.flows() == before


def test_the_switch_learns_what_the_walker_says(real):
    """What the switch writes itself has a timeout, so it is nobody's flow to compare; its match can be read."""
    world = World(document())
    real.install(world.tables)
    real.forget()
    packet = replace(ip("192.0.2.1", "10.0.0.9", 17), eth_src=OUTSIDE_MAC, eth_dst=0x020000000001)
    world.send("outside", packet)
    real.send("left", OUTSIDE, frame(replace(packet, vlan_vid=0x100A)))
    for name, switch in real.switches.items():
        found = [entry for entry in switch.dump() if entry.table == TABLES["LEARNED"].number]
        assert [(entry.flow, entry.cookie, entry.priority) for entry in found] == [(None, LEARN.cookie, 100)]
        assert [decode_match(entry.raw_match) for entry in found] == [key.match for key in world.learned[name]]
