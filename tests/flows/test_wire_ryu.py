"""Bytes: the same as Ryu's, where Ryu can say it."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ryu.ofproto import ofproto_v1_4 as ofp
from ryu.ofproto import ofproto_v1_4_parser as parser
from ryu.ofproto.ofproto_protocol import ProtocolDesc

from policy.flows import action_wire, openflow, wire
from policy.flows import fields as f
from policy.flows.cookies import Kind, cookie
from policy.flows.flow import (
    Commit,
    Conjunction,
    Flow,
    Load,
    Move,
    Output,
    OutputTo,
    PopVlan,
    PushVlan,
    Resubmit,
    Track,
    exact,
    flow,
    match,
)
from policy.flows.slots import FIRST
from policy.flows.tables import TABLES
from tests.flows.wire_strategies import conditions

RYU = ProtocolDesc(version=openflow.VERSION)

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
