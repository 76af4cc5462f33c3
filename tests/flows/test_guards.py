"""Guards that are one flow each, and that ordinary traffic never meets."""

from __future__ import annotations

from dataclasses import replace

import pytest

from policy.evaluate import Connection, Endpoint
from policy.flows.bridge_book import bridge_flows
from policy.flows.compile import prepare
from policy.flows.cookies import Drop, Kind, Reason, reason
from policy.flows.fields import ARP_TYPE
from policy.flows.flow import Limit, Resubmit
from policy.flows.icmpv6 import ROUTER_SOLICITATION
from policy.flows.meters import MeterKind, meter_number
from policy.flows.packet import Packet
from policy.flows.walk import Flows, walk
from policy.model import ICMPV6, UDP, Group
from tests.flows.packets import ip, opening, unreachable, with_ports
from tests.flows.worlds import PLACES, ZONES, World, address, bridge, document, mac_of, policy, rule, uplink, vnic_port
from topology.ports import UplinkPort

ALL = document(policy("p", rule("allow", "any")))


@pytest.mark.parametrize(("family", "one", "other"), [(4, "10.0.0.1", "10.0.0.3"), (6, "2001:db8::1", "2001:db8::3")])
def test_a_third_guest_says_nothing_about_its_neighbours_connection(family, one, other):
    ends = (Endpoint(None, address(text)) for text in (one, other))
    query = opening(Connection(*ends, family, UDP, 5000, 53), mac_of("web-1"), mac_of("db-1"))
    error = unreachable(query)
    # From its own address, as a router's would come from the router's; conntrack looks at what it quotes alone.
    own = {"ipv4_src": int(address("10.0.0.2"))} if family == 4 else {"ipv6_src": int(address("2001:db8::2"))}
    forged = replace(error, eth_src=mac_of("web-2"), **own)
    world = World(ALL)
    assert [arrival.at for arrival in world.send("web-1", query)[0]] == ["db-1"]
    arrivals, (only,) = world.send("web-2", forged)
    assert not arrivals and only.drop == Reason(Kind.DROP, Drop.FORGED_ERROR)
    assert [arrival.at for arrival in world.send("db-1", error)[0]] == ["web-1"]


TO_MANY = with_ports(ip("10.0.0.1", "255.255.255.255", UDP, eth_src=mac_of("web-1"), eth_dst=0xFFFFFFFFFFFF), 5, 6)
PROBE = Packet(
    eth_src=mac_of("web-1"), eth_dst=0xFFFFFFFFFFFF, eth_type=ARP_TYPE, arp_op=1, arp_sha=mac_of("web-1"),
    arp_tpa=int(address("10.0.0.1")),
)  # fmt: skip


@pytest.mark.parametrize(
    ("honest", "forged"),
    [
        (TO_MANY, {"eth_src": mac_of("web-2")}),
        *((TO_MANY, {"vlan_vid": tag}) for tag in (0x1000, 0x100A, 0x101E)),
        (PROBE, {"arp_sha": mac_of("web-2")}),
        (PROBE, {"arp_sha": 0}),
    ],
)
def test_what_is_for_many_is_guarded_like_all_else(honest, forged):
    world = World(ALL)
    assert "web-2" in {arrival.at for arrival in world.send("web-1", honest)[0]}
    arrivals, (only,) = world.send("web-1", replace(honest, **forged))
    assert not arrivals and only.drop in {
        Reason(Kind.DROP, drop) for drop in (Drop.UNKNOWN_PORT_OR_MAC, Drop.SPOOFED_SOURCE)
    }


def test_what_is_for_many_is_judged_in_its_senders_scope():
    """web-1 and lab-1 have one address, each in a scope of its own."""
    lab = replace(TO_MANY, eth_src=mac_of("lab-1"))
    for sender, target, packet in (("lab-1", "lab-2", lab), ("web-1", "web-2", TO_MANY)):
        for name in ("lab-1", "web-1"):
            world = World(document(policy("p", rule("allow", "any", (Group("only", vms=(name,)),)))))
            got = {arrival.at for arrival in world.send(sender, packet)[0]}
            assert (target in got) is (name == sender)


def test_what_each_vnic_sends_to_many_and_what_it_opens_is_limited():
    for name, flows in World(ALL).tables.items():
        for ofport, found in PLACES[name].items():
            zone = ZONES[name] + ofport
            mine = [item for item in flows.values() if reason(item.cookie) == Reason(Kind.VNIC, zone)]
            many = [item.actions[0] for item in mine if (item.table.name, item.priority) == ("CLASSIFY", 110)]
            opens = [item.actions for item in mine if item.table.name == "OPENS"]
            if found.trusted:
                assert not many and not opens
                continue
            assert many == [Limit(meter_number(MeterKind.MANY, zone))]
            assert opens == [(Limit(meter_number(MeterKind.OPENS, zone)), Resubmit("COMMIT"))]


def test_what_a_bond_brings_goes_back_by_none_of_its_members():
    bond = UplinkPort("bond", "uplink", (("bond-1", 6), ("bond-2", 7)), native_vlan=10, trunks=())
    found = PLACES["left"][11]
    ports = [vnic_port(11, 10, found, 111), bond, uplink(8, native_vlan=10, trunks=())]
    flows = Flows(bridge_flows(prepare(ALL, [found]), bridge("left", ports), {}).values())
    frame = with_ports(ip("192.0.2.5", "224.0.0.1", UDP, eth_src=0x0200000000FF, eth_dst=0x01005E000001), 9, 9)
    for member in (6, 7):
        assert sorted(walk(flows, frame, member).ports()) == [8, 11]
    unknown = replace(frame, ipv4_dst=int(address("192.0.2.9")), eth_dst=0x0200000000EE)
    assert walk(flows, unknown, 7).ports() == (8,)


def test_a_router_is_asked_by_neighbours_only(monkeypatch):
    monkeypatch.setitem(PLACES["left"], 12, replace(PLACES["left"][12], roles=frozenset({"router"})))
    world = World(ALL)

    def asks(ttl: int) -> Packet:
        return replace(
            ip("fe80::5054:ff:fe00:1", "ff02::2", ICMPV6, ip_ttl=ttl),
            eth_src=mac_of("web-1"), eth_dst=0x3333_0000_0002, icmpv6_type=ROUTER_SOLICITATION,
        )  # fmt: skip

    for ttl, heard in ((255, True), (254, False)):
        arrivals, _ = world.send("web-1", asks(ttl))
        assert ("web-2" in {arrival.at for arrival in arrivals}) is heard
