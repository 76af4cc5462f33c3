"""The third answer: a real Open vSwitch with the same flows, into which the packets go as bytes.

The walker says where each packet comes out; the switch's ports must say the same, conntrack and all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from policy.evaluate import evaluate
from policy.flows.fields import TAGGED
from policy.flows.packet import ACK, Packet
from policy.flows.text import flow_text
from policy.model import ICMP, ICMPV6, TCP, UDP, Verdict
from tests.flows.frames import frame, tag_of, untagged
from tests.flows.packets import answer, later, opening, unreachable
from tests.flows.real import Real
from tests.flows.strategies import connections, dhcp_messages, documents, labels
from tests.flows.worlds import OUTSIDE, PLACES, World, mac_of, socket_of

UNGUARDED = {"outside", *(found.id for ports in PLACES.values() for found in ports.values() if found.trusted)}
whatever = st.one_of(connections(), connections(), dhcp_messages())
FEW = settings(max_examples=settings().max_examples // 4, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def real() -> Iterator[Real]:
    switch = Real()
    yield switch
    switch.stop()


def place_of(name: str) -> tuple[str, int]:
    """Bridge and port of a vNIC; the outside's for everybody else."""
    where, (ofport, _) = socket_at(name)
    return where, ofport


def socket_at(name: str) -> tuple[str, tuple[int, int]]:
    """The bridge, port and tag of a vNIC; the outside's for everybody else."""
    for where, ports in PLACES.items():
        for place, found in ports.items():
            if found.id == name:
                return where, socket_of(where, place)
    return "left", (OUTSIDE, 0)


def tagged_at(source: str, packet: Packet, vlan: int) -> Packet:
    """The packet as it comes in: with the tag of the vNIC, or that of the network on the uplink."""
    tag = vlan if source == "outside" else socket_at(source)[1][1]
    return replace(packet, vlan_vid=tag and TAGGED | tag)


def check_same(world: World, real: Real, source: str, packet: Packet, vlan: int) -> None:
    """A packet comes out of the walker and out of the switch by the same ports, with the same tags, unchanged."""
    arrivals, walks = world.send(source, packet, vlan)
    for walk in walks:
        note("\n".join(["the way:", *map(flow_text, walk.trail)]))
    data = frame(tagged_at(source, packet, vlan))
    note(f"the frame: {data.hex()} into {place_of(source)}")
    came_out = real.send(*place_of(source), data)
    assert sorted((place_of(arrival.at), arrival.packet.vlan_vid) for arrival in arrivals) == sorted(
        (where, tag_of(found)) for where, frames in came_out.items() for found in frames
    )
    assert all(untagged(found) == untagged(data) for frames in came_out.values() for found in frames)


@pytest.mark.timeout(600)
@FEW
@given(documents(), labels, st.lists(whatever, min_size=5, max_size=5), documents(), labels)
def test_walker_and_switch_agree(real, before, labels_before, chosen, after, labels_after):
    world = World(before, labels_before)
    real.install(world.tables)
    established = []
    for source, target, connection in chosen:
        real.forget()
        world.forget()
        vlan = 30 if "lab" in source + target else 10
        first = opening(connection, mac_of(source), mac_of(target))
        steps = [(source, first), (source, first), (target, answer(first)), (source, later(first))]
        if connection.protocol in (TCP, UDP):
            steps.insert(2, (target, unreachable(first)))
        for sender, packet in steps:
            check_same(world, real, sender, packet, vlan)
        established.append((source, target, vlan, first))
    # The last connection is still in the switch's memory.
    source, target, vlan, first = established[-1]
    world.install(after, labels_after)
    real.install(world.tables)
    for sender, packet in ((source, later(first)), (target, replace(answer(first), tcp_flags=ACK, icmp_id=7))):
        check_same(world, real, sender, packet, vlan)


# By a register, or by a sub-port's own flow.
TRACED = re.compile(r"(?:-> output port is |^ *output:)(\d+)", re.MULTILINE)


@pytest.mark.timeout(600)
@FEW
@given(documents(), labels, st.lists(whatever, min_size=5, max_size=5))
def test_trace_names_the_vnic_that_the_evaluator_allows(real, policy_document, some_labels, chosen):
    """`ofproto/trace` with conntrack's answers told to it: a new connection, and an invalid packet of it."""
    world = World(policy_document, some_labels)
    real.install(world.tables)
    for source, target, connection in chosen:
        where, ofport = place_of(target)
        if where != place_of(source)[0] or UNGUARDED & {source, target}:
            continue
        asked = replace(
            connection,
            source=replace(connection.source, vnic=world.vnic(source)),
            destination=replace(connection.destination, vnic=world.vnic(target)),
        )
        allowed = evaluate(policy_document, asked).verdict is Verdict.ALLOW
        first = tagged_at(source, opening(connection, mac_of(source), mac_of(target)), 0)
        new = real.trace(*place_of(source), frame(first), ("trk,new", "trk,new"))
        note(new)
        assert [int(port) for port in TRACED.findall(new)] == ([ofport] if allowed else [])
        if connection.protocol in (TCP, UDP, ICMP, ICMPV6):
            invalid = real.trace(*place_of(source), frame(first), ("trk,inv", "trk,inv"))
            assert not TRACED.findall(invalid)
