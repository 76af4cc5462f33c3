"""Flows as people read them."""

from __future__ import annotations

import pytest
from hypothesis import given

from policy.flows import fields as f
from policy.flows.cookies import Builtin, Drop, Kind, cookie
from policy.flows.flow import (
    ARP,
    IPV4,
    IPV6,
    Commit,
    Conjunction,
    Learn,
    Limit,
    Load,
    Move,
    Output,
    OutputBond,
    OutputTo,
    Pop,
    PopVlan,
    Punt,
    Push,
    PushVlan,
    Resubmit,
    Track,
    ct_state,
    exact,
    flow,
    masked,
)
from policy.flows.meters import MeterKind, meter_number
from policy.flows.plumbing import LEARN
from policy.flows.text import action_text, actions_text, condition_text, flow_text, flows_text, match_text
from tests.flows.strategies import documents, labels
from tests.flows.worlds import World

CONDITIONS = {
    "ip": IPV4,
    "ipv6": IPV6,
    "arp": ARP,
    "eth_type=0x8035": exact(f.ETH_TYPE, 0x8035),
    "eth_src=52:54:00:00:00:01": exact(f.ETH_SRC, 0x525400000001),
    "eth_dst=01:00:00:00:00:00/01:00:00:00:00:00": masked(f.ETH_DST, 1 << 40, 1 << 40),
    "ipv4_src=10.0.0.1": exact(f.IPV4_SRC, 0x0A000001),
    "ipv4_src=10.0.0.0/8": masked(f.IPV4_SRC, 0x0A000000, 0xFF000000),
    "ipv4_src=10.0.0.1/255.0.0.255": masked(f.IPV4_SRC, 0x0A000001, 0xFF0000FF),
    "ipv6_dst=ff00::/8": masked(f.IPV6_DST, 0xFF << 120, 0xFF << 120),
    "tcp_dst=0x400/0xfc00": masked(f.TCP_DST, 0x400, 0xFC00),
    "udp_src=53": exact(f.UDP_SRC, 53),
    "ct_state=+new-inv+trk": ct_state("+new+trk-inv"),
    "arrives=1": exact(f.ARRIVES, 1),
    "tuple=connection": exact(f.TUPLE, 1),
    "src_id=0x2a": exact(f.SRC_ID, 42),
    "vlan_vid=0x100a": exact(f.VLAN_VID, 0x100A),
}

ACTIONS = {
    "arrives:=1": Load(f.ARRIVES, 1),
    "limit(opens:7)": Limit(7),
    "tell(notices:7)": Punt(meter_number(MeterKind.NOTICES, 7)),
    "vlan:=10": Load(f.VLAN, 10),
    "from_id:=src_id": Move(f.SRC_ID, f.FROM_ID, 32),
    "vlan_vid:=vlan[12]": Move(f.VLAN, f.VLAN_VID, 12),
    "push(ipv4_src)": Push(f.IPV4_SRC),
    "pop(ipv6_dst)": Pop(f.IPV6_DST),
    "SWITCH": Resubmit("SWITCH"),
    "ct(zone)->RELATED": Track("RELATED"),
    "ct(commit,zone,ct_mark:=1)": Commit(1),
    "ct(commit,zone,ct_mark:=3,helper=ftp)": Commit(3, "ftp"),
    "output(7)": Output(7),
    "output(out_port)": OutputTo(f.OUT_PORT),
    "output(hrw of 3 4)": OutputBond((3, 4), "hrw"),
    "push_vlan": PushVlan(),
    "pop_vlan": PopVlan(),
    "conjunction(0x7,2/3)": Conjunction(7, 1, 3),
    "learn(LEARNED,vlan,eth_dst=eth_src,uplink_out:=uplink_in,300s,limit=10000)": LEARN,
}


@pytest.mark.parametrize("text", CONDITIONS)
def test_conditions(text):
    assert condition_text(CONDITIONS[text]) == text


@pytest.mark.parametrize("text", ACTIONS)
def test_actions(text):
    assert action_text(ACTIONS[text]) == text


def test_every_kind_of_action_is_among_them():
    assert {type(action) for action in ACTIONS.values()} >= {Learn, OutputBond, Conjunction}


def test_nothing_to_match_and_nothing_to_do():
    assert (match_text(()), actions_text(())) == ("any", "drop")


REASONS = {
    "pipeline:0": cookie(Kind.PIPELINE),
    "rule:0x0000002a": cookie(Kind.RULE, 42),
    "default:egress": cookie(Kind.DEFAULT, 0),
    "default:ingress": cookie(Kind.DEFAULT, 1),
    "vnic:7": cookie(Kind.VNIC, 7),
    "drop:spoofed-source": cookie(Kind.DROP, Drop(2)),
    "builtin:dhcp-client": cookie(Kind.BUILTIN, Builtin.DHCP_CLIENT),
    "0x2a": 42,
}


@pytest.mark.parametrize("why", REASONS)
def test_a_flow_says_why(why):
    assert flow_text(flow("DELIVER", 0, (), (), REASONS[why])) == f"DELIVER 0 [{why}] any -> drop"


@given(documents(), labels)
def test_every_flow_has_a_line_of_its_own_in_the_order_of_looking_up(policy_document, some_labels):
    for flows in World(policy_document, some_labels).tables.values():
        lines = flows_text(flows.values()).splitlines()
        assert len(set(lines)) == len(flows)
        assert flows_text(reversed(flows.values())).splitlines() == lines
        assert [line.split()[0] for line in lines] == [
            item.table.name for item in sorted(flows.values(), key=lambda item: item.table.number)
        ]
