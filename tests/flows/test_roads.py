"""Two answers for each packet: what the evaluator says of the connection, and where the walker sees the packet go."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from hypothesis import given, note
from hypothesis import strategies as st

from policy.evaluate import Connection, Decision, SideDecision, evaluate
from policy.flows.cookies import Kind, Reason, reason
from policy.flows.packet import ACK, Packet
from policy.flows.rules import rule_name
from policy.flows.text import flow_text
from policy.flows.tracker import Tracker
from policy.model import ICMP, ICMPV6, TCP, UDP, Builtins, Verdict
from tests.flows.packets import answer, end, later, opening, reversed_connection, unreachable
from tests.flows.strategies import connections, dhcp_messages, documents, labels
from tests.flows.worlds import PLACES, World, mac_of

# Who sees floods: nobody firewalls them.
UNGUARDED = frozenset(
    {"outside", *(found.id for ports in PLACES.values() for found in ports.values() if found.trusted)}
)
FOLLOWED = frozenset({ICMP, TCP, UDP, ICMPV6})


def vlan_of(source: str, target: str) -> int:
    return 30 if "lab" in source or "lab" in target else 10


def asked(world: World, source: str, target: str, connection: Connection) -> Connection:
    """The connection with the vNICs as they are now."""
    return replace(
        connection,
        source=end(world.vnic(source), connection.source.address),
        destination=end(world.vnic(target), connection.destination.address),
    )


def who_got(world: World, source: str, target: str, packet) -> tuple[list[str], list]:
    """Who gets a packet in the end. The way it went is told if the test fails."""
    arrivals, walks = world.send(source, packet, vlan_of(source, target))
    for walk in walks:
        note("\n".join(["the way:", *map(flow_text, walk.trail)]))
    return [arrival.at for arrival in arrivals], walks


def check_arrival(got: list[str], target: str, passes: bool) -> None:
    """It came to the target, once, if it should; and to no firewalled vNIC else, whatever floods others saw."""
    vnics = [name for name in got if name not in UNGUARDED]
    if target in UNGUARDED:
        assert vnics == []
        assert (target in got) == passes
    else:
        assert vnics == ([target] if passes else [])


def full_name(side: SideDecision) -> str:
    return f"{side.tenant}:{side.policy}/{side.rule}" if side.tenant else f"{side.policy}/{side.rule}"


def check_named(world: World, decision: Decision, walks: list) -> None:
    """The rules that decide are on the trail."""
    numbers = {rule_name(entry.policy, entry.rule): entry.number for entry in world.compiled.rules}
    seen = {reason(flow.cookie) for walk in walks for flow in walk.trail}
    for side, place in ((decision.egress, 0), (decision.ingress, 1)):
        if side is None:
            continue
        if side.tier == "default":
            assert Reason(Kind.DEFAULT, place) in seen
        elif side.tier != "builtin":
            assert Reason(Kind.RULE, numbers[full_name(side)]) in seen
        if side.verdict is not Verdict.ALLOW:
            return


@dataclass
class Established:
    """A connection that was allowed and has been answered, with conntrack as it was then."""

    source: str
    target: str
    connection: Connection
    first: Packet
    trackers: dict[str, Tracker]


def establish(world: World, source: str, target: str, connection: Connection) -> Established | None:
    """Open a connection in a fresh world and check every packet of it; None if it is not allowed."""
    world.forget()
    decision = evaluate(world.document, asked(world, source, target, connection))
    allowed = decision.verdict is Verdict.ALLOW
    first = opening(connection, mac_of(source), mac_of(target))
    got, walks = who_got(world, source, target, first)
    check_arrival(got, target, allowed)
    check_named(world, decision, walks)
    if not allowed:
        return None
    check_arrival(who_got(world, source, target, first)[0], target, True)
    if connection.protocol in (TCP, UDP):
        check_arrival(who_got(world, target, source, unreachable(first))[0], source, True)
    check_arrival(who_got(world, target, source, answer(first))[0], source, True)
    check_arrival(who_got(world, source, target, later(first))[0], target, True)
    return Established(source, target, connection, first, world.trackers)


def check_still(world: World, found: Established) -> None:
    """After a change the connection goes on, both ways, if and only if it would be allowed now."""
    source, target, first = found.source, found.target, found.first
    world.trackers = found.trackers
    decision = evaluate(world.document, asked(world, source, target, found.connection))
    still = decision.verdict is Verdict.ALLOW
    check_arrival(who_got(world, source, target, later(first))[0], target, still)
    check_arrival(who_got(world, target, source, replace(answer(first), tcp_flags=ACK))[0], source, still)
    if found.connection.protocol in (TCP, UDP):
        check_arrival(who_got(world, target, source, unreachable(first))[0], source, still)
        check_arrival(who_got(world, source, target, unreachable(answer(first)))[0], target, still)


many_connections = st.lists(connections(), min_size=8, max_size=8)


@pytest.mark.timeout(600)
@given(documents(), labels, many_connections, documents(), labels)
def test_evaluator_and_walker_agree_on_the_life_of_a_connection(before, labels_before, chosen, after, labels_after):
    world = World(before, labels_before)
    established = [found for one in chosen if (found := establish(world, *one))]
    world.install(after, labels_after)
    for found in established:
        check_still(world, found)


@pytest.mark.timeout(600)
@given(documents(), labels, st.lists(dhcp_messages(), min_size=8, max_size=8), st.booleans())
def test_evaluator_and_walker_agree_on_dhcp(policy, some_labels, chosen, on):
    """It leaves by a built-in rule; who it comes to judges it like anything else, by who has sent it."""
    world = World(replace(policy, builtins=Builtins(dhcp_client=on)), some_labels)
    for source, target, connection in chosen:
        world.forget()
        decision = evaluate(world.document, asked(world, source, target, connection))
        got, walks = who_got(world, source, target, opening(connection, mac_of(source), mac_of(target)))
        check_arrival(got, target, decision.verdict is Verdict.ALLOW)
        check_named(world, decision, walks)


@pytest.mark.timeout(600)
@given(documents(), labels, many_connections, st.sampled_from((47, 50)))
def test_protocols_that_conntrack_does_not_follow_pass_as_pairs(policy, some_labels, chosen, protocol):
    world = World(policy, some_labels, known=FOLLOWED)
    for source, target, connection in chosen:
        world.forget()
        pair = Connection(connection.source, connection.destination, connection.family, protocol)
        there = evaluate(policy, asked(world, source, target, pair))
        here = evaluate(policy, asked(world, target, source, reversed_connection(pair)))
        packet = opening(pair, mac_of(source), mac_of(target))
        check_arrival(who_got(world, source, target, packet)[0], target, passes_as_pair(source, target, there, here))


def passes_as_pair(source: str, target: str, there: Decision, here: Decision) -> bool:
    """As an opening packet or as a reply: one bridge sees that both vNICs mean the same, two bridges cannot."""
    if bridge_of(source) == bridge_of(target):
        return Verdict.ALLOW in (there.verdict, here.verdict)
    return all(
        any(side is None or side.verdict is Verdict.ALLOW for side in sides)
        for sides in ((there.egress, here.ingress), (there.ingress, here.egress))
    )


def bridge_of(name: str) -> str | None:
    return next((where for where, ports in PLACES.items() if name in {found.id for found in ports.values()}), None)
