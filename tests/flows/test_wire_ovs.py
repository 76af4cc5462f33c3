"""Bytes: accepted and told back by Open vSwitch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given

from policy.flows import wire
from policy.flows.match_wire import decode_match
from policy.flows.plumbing import LEARN
from policy.flows.slots import numbers_of
from policy.flows.tables import TABLES
from tests.flows.frames import frame
from tests.flows.packets import ip, with_ports
from tests.flows.real import Real
from tests.flows.strategies import documents, labels
from tests.flows.worlds import OUTSIDE, OUTSIDE_MAC, World, document, mac_of, policy, rule


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
