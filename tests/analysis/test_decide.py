"""Decisions for classes against the evaluator, and classes against plain membership."""

from hypothesis import given
from hypothesis import strategies as st

from policy.analysis.classes import Kind, World
from policy.analysis.decide import Rules
from policy.analysis.space import UNUSABLE
from policy.members import group_has
from policy.model import Verdict
from tests.analysis.strategies import ADDRESSES, connections, documents, ends, truth, universe
from tests.examples import examples
from topology.inventory import DEFAULT_SCOPE


def class_of(world, end, scope, family):
    """The class in which this end is, found by its ends."""
    for each in world.by_space[scope, family]:
        for known in each.ends:
            if end.address is None:
                if known.vnic == end.vnic and not known.segments:
                    return each
            elif any(part.first <= int(end.address) <= part.last for part in known.segments):
                return each
    return None


def axes(connection):
    if connection.icmp_type is not None:
        return connection.icmp_type, connection.icmp_code
    return connection.destination_port, connection.source_port


def decided(rules, partition, connection):
    """The (policy, rule) that decides a connection at one side."""
    if partition is None:
        return None
    (part,) = (p for p in partition.parts if p.region.has(connection.family, connection.protocol, *axes(connection)))
    if part.by is None:
        return None, None
    decider = rules.deciders[part.by]
    assert part.verdict is decider.rule.verdict
    return decider.policy.name, decider.rule.name


@examples(75)
@given(st.data())
def test_every_connection_is_decided_as_the_evaluator_says(data):
    document = data.draw(documents())
    world = World(document)
    rules = Rules(document, world.grouping)
    for _ in range(8):
        scope, connection = data.draw(connections(document))
        source = class_of(world, connection.source, scope, connection.family)
        destination = class_of(world, connection.destination, scope, connection.family)
        outcome = rules.decide(source, destination)
        verdict, egress, ingress = truth(document, connection)
        assert decided(rules, outcome.egress, connection) == egress
        assert decided(rules, outcome.ingress, connection) == ingress
        kind = connection.family, connection.protocol, *axes(connection)
        assert outcome.allow.has(*kind) == (verdict is Verdict.ALLOW)
        assert outcome.reject.has(*kind) == (verdict is Verdict.REJECT)


@examples(40)
@given(st.data())
def test_classes_have_the_groups_of_their_ends(data):
    document = data.draw(documents())
    world = World(document)
    for scope in (DEFAULT_SCOPE, "lab"):
        for family in (4, 6):
            end = data.draw(ends(document, scope, family))
            found = class_of(world, end, scope, family)
            for number, group in enumerate(world.grouping.groups):
                assert bool(found.members >> number & 1) == group_has(group, end.vnic, end.address, scope)
            assert found.members == world.members_of(end, scope)
            trusted = end.vnic is not None and end.vnic.trusted
            kind = Kind.OUTSIDE if end.vnic is None else Kind.TRUSTED if trusted else Kind.FIREWALLED
            assert found.kind is kind


@examples(30)
@given(documents())
def test_classes_hold_every_usable_address_once(document):
    world = World(document)
    for (scope, family), classes in world.by_space.items():
        parts = sorted((part.first, part.last) for each in classes for end in each.ends for part in end.segments)
        unusable = sorted(
            (int(prefix.network_address), int(prefix.broadcast_address))
            for prefix in UNUSABLE
            if prefix.version == family
        )
        reached = -1
        for first, last in sorted(parts + unusable):
            assert first == reached + 1, (scope, family)
            reached = last
        assert reached == 2 ** (32 if family == 4 else 128) - 1
        known = universe(document)
        for each in classes:
            for end in each.ends:
                shown = end.endpoint(family)
                assert shown.address is None or known.owner(shown.address, scope) == end.vnic


def test_strategies_speak_of_usable_addresses():
    assert not any(
        address in prefix for address in ADDRESSES for prefix in UNUSABLE if prefix.version == address.version
    )
