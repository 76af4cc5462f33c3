"""What the controller gets copies of, so that vNICs learn their addresses; and what it does not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from policy.flows import fields as f
from policy.flows.bridge_book import BridgeBook, bridge_flows
from policy.flows.compile import prepare
from policy.flows.cookies import Builtin, Drop, Kind, cookie
from policy.flows.flow import Limit, Punt
from policy.flows.learning import asker_mac, is_about_claims, is_about_leases, is_about_objections
from policy.flows.meters import MeterKind, meter_number
from policy.flows.packet import Packet
from policy.flows.packet_in import Copy
from policy.flows.pieces import unmetered
from policy.flows.walk import Flows, Told, walk
from policy.model import ICMPV6, UDP, Builtins, Side
from tests.flows.worlds import bridge, document, uplink, vnic, vnic_port
from topology.inventory import DHCP_SERVER
from topology.learned import FIRST_USE, LEASES

# By OpenFlow port: one that has learned nothing yet, one that has, one whose address is stated, one that serves.
NEW, OLD, STATED, SERVER, OUT = 11, 12, 13, 14, 1
PORTS = (
    vnic_port(NEW, 0, vnic("new-1", 1, []), 101),
    vnic_port(OLD, 0, replace(vnic("old-1", 2, ["10.0.0.2", "2001:db8::2"]), learned=True), 102),
    vnic_port(STATED, 0, vnic("web-1", 3, ["10.0.0.3", "2001:db8::3"]), 103),
    vnic_port(SERVER, 0, replace(vnic("dhcp-1", 4, ["10.0.0.4"]), roles=frozenset({DHCP_SERVER})), 104),
    uplink(OUT),
)
MACS = {port.ofport: int(port.vnic.mac.replace(":", ""), 16) for port in PORTS[:-1]} | {OUT: 0x0200000000FF}
ALL = 0xFFFFFFFFFFFF
LEASE = Told(Kind.BUILTIN, Builtin.DHCP_CLIENT, 0)
SPOOFED, FOREIGN, SERVES = (
    Told(Kind.DROP, drop, 0) for drop in (Drop.SPOOFED_SOURCE, Drop.FOREIGN_ND_TARGET, Drop.DHCP_SERVER)
)


def wanted(learn=LEASES | FIRST_USE, builtins=None):
    here = bridge("br0", PORTS)
    compiled = prepare(document(builtins=builtins), [port.vnic for port in here.vnic_ports], learn=learn)
    return BridgeBook().wanted(compiled, here, {})


def sent(packet, by, flows=None):
    """Where it comes out, and what the controller is told; but that no rule lets neighbours hear a question to all."""
    found = walk(Flows((flows or wanted()).flat().values()), packet, by)
    return set(found.ports()), [told for told in found.told if told.kind != Kind.DEFAULT]


def dhcp(by, to=ALL, source=68, target=67, ipv4_src=0, ipv4_dst=0xFFFFFFFF):
    return Packet(
        eth_src=MACS[by], eth_dst=to, eth_type=f.IPV4_TYPE, ip_proto=UDP, ipv4_src=ipv4_src, ipv4_dst=ipv4_dst,
        udp_src=source, udp_dst=target,
    )  # fmt: skip


def answer(to, by=OUT, ipv4_src=0x0A000001):
    return dhcp(by, to, 67, 68, ipv4_src=ipv4_src)


def link_local(by):
    mac = MACS[by]
    return 0xFE80 << 112 | (mac >> 24 << 40 | 0xFFFE << 24 | mac & 0xFFFFFF) ^ 1 << 57


def dhcp6(by, to=0x333300010002, source=546, target=547):
    return Packet(
        eth_src=MACS[by], eth_dst=to, eth_type=f.IPV6_TYPE, ip_proto=UDP, ipv6_src=link_local(by),
        ipv6_dst=0xFF02 << 112 | 0x10002, udp_src=source, udp_dst=target,
    )  # fmt: skip


def arp(by, address, mac=None):
    return Packet(eth_src=MACS[by], eth_dst=ALL, eth_type=f.ARP_TYPE, arp_spa=address, arp_sha=mac or MACS[by])


def detects(by, target=0x20010DB8 << 96 | 9):
    return Packet(
        eth_src=MACS[by], eth_dst=0x3333FF000009, eth_type=f.IPV6_TYPE, ip_proto=ICMPV6, ip_ttl=255, icmpv6_type=135,
        ipv6_dst=0xFF02 << 112 | 0x1FF000009, nd_target=target,
    )  # fmt: skip


# --- what a vNIC asks


@pytest.mark.parametrize("by", [NEW, OLD])
@pytest.mark.parametrize("question", [dhcp, dhcp6])
def test_the_questions_of_a_vnic_that_learns_are_copied(by, question):
    assert sent(question(by), by) == ({OUT}, [LEASE])


def test_a_renewal_and_a_release_go_straight_to_the_server_and_are_copied():
    renewal = dhcp(OLD, MACS[OUT], ipv4_src=0x0A000002, ipv4_dst=0x0A000001)
    assert sent(renewal, OLD) == ({OUT}, [LEASE])
    # In the name of an address that is not its own nothing goes anywhere.
    assert sent(replace(renewal, ipv4_src=0x0A000009), OLD) == (set(), [SPOOFED])


@pytest.mark.parametrize("question", [dhcp, dhcp6])
def test_the_questions_of_a_vnic_whose_addresses_are_stated_pass_and_are_not_copied(question):
    assert sent(question(STATED), STATED) == ({OUT}, [])


@pytest.mark.parametrize("learn", [frozenset(), FIRST_USE])
def test_nothing_of_dhcp_is_copied_where_it_teaches_nothing(learn):
    assert sent(dhcp(NEW), NEW, wanted(learn)) == ({OUT}, [])
    assert sent(answer(MACS[NEW]), OUT, wanted(learn)) == ({NEW}, [])
    assert sent(answer(ALL), OUT, wanted(learn)) == ({NEW, OLD, STATED, SERVER}, [])


def test_without_the_built_in_rule_for_dhcp_nothing_is_copied():
    flows = wanted(builtins=Builtins(dhcp_client=False))
    assert LEASE not in sent(dhcp(NEW), NEW, flows)[1]
    assert sent(answer(MACS[NEW]), OUT, flows)[0] == set()
    assert LEASE not in sent(answer(MACS[NEW]), OUT, flows)[1] + sent(answer(ALL), OUT, flows)[1]


@pytest.mark.parametrize("by", [NEW, STATED])
def test_questions_are_limited_by_a_meter_that_is_the_vnics_own(by):
    found = walk(Flows(wanted().flat().values()), dhcp(by), by)
    own = meter_number(MeterKind.LEARNS, next(port.zone for port in PORTS if port.ofport == by))
    limits = [action.meter for flow in found.trail for action in flow.actions if isinstance(action, Limit)]
    assert own in limits
    others = [
        flow for flow in wanted() if flow.table.name != "ASK" and any(
            isinstance(action, Limit | Punt) and action.meter == own for action in flow.actions
        )
    ]  # fmt: skip
    assert all(flow.table.name in ("CLAIMS", "ND_TARGET") for flow in others)


def test_a_question_to_all_costs_nobody_but_who_asks():
    """Neighbours refuse to hear it; what is told of that must not use up what is told of them."""
    trail = walk(Flows(wanted().flat().values()), dhcp(STATED), STATED).trail
    told = [action.meter for flow in trail if flow.table.name == "NOTICE" for action in flow.actions]
    assert len(told) == 4 and set(told) == {meter_number(MeterKind.NOTICES, 103)}


def test_a_switch_without_meters_copies_nothing_and_passes_dhcp():
    flows = unmetered(wanted())
    assert sent(dhcp(NEW), NEW, flows) == ({OUT}, [])
    assert sent(answer(MACS[NEW]), OUT, flows) == ({NEW}, [])
    assert sent(arp(NEW, 0x0A000009), NEW, flows) == (set(), [])


# --- what servers answer


@pytest.mark.parametrize(("to", "told"), [(NEW, [LEASE]), (OLD, [LEASE]), (STATED, [])])
def test_an_answer_to_one_is_copied_if_it_learns(to, told):
    assert sent(answer(MACS[to]), OUT) == ({to}, told)
    assert sent(dhcp6(OUT, MACS[to], 547, 546), OUT) == ({to}, told)


def test_an_answer_to_all_is_copied_once():
    assert sent(answer(ALL), OUT) == ({NEW, OLD, STATED, SERVER}, [LEASE])


def test_a_vnic_that_serves_is_heard_like_the_outside():
    assert sent(answer(MACS[NEW], by=SERVER, ipv4_src=0x0A000004), SERVER) == ({NEW}, [LEASE])
    assert sent(answer(ALL, by=SERVER, ipv4_src=0x0A000004), SERVER) == ({NEW, OLD, STATED, OUT}, [LEASE])


@pytest.mark.parametrize("to", [MACS[NEW], MACS[OLD], ALL])
def test_what_a_guest_answers_in_a_servers_name_reaches_nobody_and_teaches_nothing(to):
    for source in (0x0A000002, 0):
        assert sent(answer(to, by=OLD, ipv4_src=source), OLD) == (set(), [SERVES])
    # In a broadcast frame, but to somebody's address.
    assert sent(replace(answer(ALL), ipv4_dst=0x0A000002), OUT) == (set(), [])


# --- what a vNIC claims


@pytest.mark.parametrize("by", [NEW, OLD])
def test_a_claim_of_what_is_not_its_own_is_copied_and_goes_nowhere(by):
    assert sent(arp(by, 0x0A000009), by) == (set(), [SPOOFED])
    assert sent(detects(by), by) == (set(), [FOREIGN])
    trail = walk(Flows(wanted().flat().values()), arp(by, 0x0A000009), by).trail
    assert [action.meter for action in trail[-1].actions if isinstance(action, Punt)] == [
        meter_number(MeterKind.LEARNS, 90 + by)
    ]


def test_a_claim_in_the_name_of_other_hardware_costs_the_meter_of_notices():
    trail = walk(Flows(wanted().flat().values()), arp(NEW, 0x0A000009, MACS[OLD]), NEW).trail
    assert trail[-1].table.name == "NOTICE"


def test_where_first_use_is_off_claims_are_told_like_any_refusal():
    for learn in (frozenset(), LEASES):
        for packet in (arp(NEW, 0x0A000009), detects(NEW)):
            found = walk(Flows(wanted(learn).flat().values()), packet, NEW)
            assert found.trail[-1].table.name == "NOTICE" and not found.ports()


def test_claims_of_a_vnic_whose_addresses_are_stated_are_told_like_any_refusal():
    for packet in (arp(STATED, 0x0A000009), detects(STATED)):
        found = walk(Flows(wanted().flat().values()), packet, STATED)
        assert found.trail[-1].table.name == "NOTICE" and not found.ports()


# --- what the outside says to what a vNIC would like to use


def test_what_the_outside_says_to_the_asker_comes_to_the_controller_alone():
    mac = asker_mac(1)
    reply = Packet(eth_src=MACS[OUT], eth_dst=mac, eth_type=f.ARP_TYPE, arp_spa=0x0A000001, arp_sha=MACS[OUT])
    objection = Told(Kind.BUILTIN, Builtin.ARP, 0)
    assert sent(reply, OUT) == (set(), [objection])
    # A guest that knows the MAC talks to the outside, where nobody has it.
    assert sent(replace(arp(STATED, 0x0A000003), eth_dst=mac), STATED) == ({OUT}, [])
    for learn in (frozenset(), LEASES):
        assert objection not in sent(reply, OUT, wanted(learn))[1]


# --- which copies count


def test_a_copy_is_about_addresses_by_its_reason_alone():
    def copy(kind, number, ethertype=b"\x08\x00"):
        return Copy(cookie(kind, number), Side.EGRESS, False, 101, 0, 0, 1, 0, bytes(12) + ethertype)

    assert is_about_leases(copy(Kind.BUILTIN, Builtin.DHCP_CLIENT))
    assert is_about_claims(copy(Kind.DROP, Drop.SPOOFED_SOURCE, b"\x08\x06"))
    assert is_about_claims(copy(Kind.DROP, Drop.FOREIGN_ND_TARGET, b"\x86\xdd"))
    assert is_about_objections(copy(Kind.BUILTIN, Builtin.ARP))
    others = [(Kind.DROP, drop) for drop in Drop if drop is not Drop.FOREIGN_ND_TARGET]
    others += [(Kind.BUILTIN, builtin) for builtin in Builtin if builtin is not Builtin.DHCP_CLIENT]
    for other in (copy(*each) for each in [*others, (Kind.RULE, 3), (Kind.DEFAULT, 0), (Kind.DROP, 2)]):
        assert not is_about_leases(other) and not is_about_claims(other)
        assert is_about_objections(other) is (other.cookie == cookie(Kind.BUILTIN, Builtin.ARP))


# --- meters



def test_what_learning_needs_is_nothing_to_a_bridge_whose_addresses_are_all_stated():
    here = bridge("br0", (PORTS[2], PORTS[4]))
    plain, learning = (
        bridge_flows(prepare(document(), [PORTS[2].vnic], learn=learn), here, {}) for learn in (frozenset(), LEASES)
    )
    assert {flow.table.name for key, flow in learning.items() if key not in plain} == {"ARRIVE", "SWITCH", "HEARD"}
