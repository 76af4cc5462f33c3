"""Blast radius against brute force: the evaluator asked about every pair of VMs, and a search from VM to VM."""

from collections import deque

from hypothesis import given

from policy.analysis import blast
from policy.analysis.contexts import Contexts
from policy.analysis.reach import OUTSIDE, Reach
from policy.analysis.regions import ALL, region_of
from policy.evaluate import evaluate
from policy.model import Verdict
from policy.terms import parse_term
from tests.analysis.strategies import plain
from tests.analysis.test_lint_rules import documents, everything, leave_out
from tests.examples import examples


def edges(found, protocols=(6, 17, 1, 47)):
    """Pairs of VMs (None: the outside) that can talk by one of these protocols."""
    asked = plain(found)
    talking = set()
    for connection in everything(asked):
        if connection.protocol in protocols and evaluate(asked, connection).verdict is Verdict.ALLOW:
            ends = (connection.source, connection.destination)
            talking.add(tuple(None if end.vnic is None else end.vnic.vm for end in ends))
    return talking


def distances(talking, start):
    """Hops from a VM to all others; nothing goes on from the outside unless it is the start."""
    found, waiting = {start: 0}, deque([start])
    while waiting:
        here = waiting.popleft()
        if here is None and start is not None:
            continue
        for source, destination in talking:
            if source == here and destination not in found:
                found[destination] = found[here] + 1
                waiting.append(destination)
    del found[start]
    return found


def told(radius):
    found = {}
    for step in radius.steps:
        for vm in step.vms if step.node != OUTSIDE else [None]:
            found[vm] = step.hop
    return found


@examples(25)
@given(documents())
def test_radius_is_what_a_search_finds(found):
    reach = Reach(Contexts(found))
    talking = edges(found)
    for vm in [*reach.node_of, None]:
        expected = distances(talking, vm)
        radius = blast.radius(reach, vm)
        assert told(radius) == expected
        assert radius.reached == len(expected.keys() - {None})
        assert told(blast.radius(reach, vm, 1)) == {each: 1 for each, hop in expected.items() if hop == 1}


@examples(15)
@given(documents())
def test_services_that_are_ignored_open_no_way(found):
    reach = Reach(Contexts(found), ALL - region_of(parse_term("tcp")))
    talking = edges(found, protocols=(6,))
    for vm in reach.node_of:
        assert told(blast.radius(reach, vm)) == distances(talking, vm)


@examples(15)
@given(documents())
def test_a_rules_part_is_what_it_is_without_it(found):
    reach = Reach(Contexts(found))
    for vm in reach.node_of:
        radius = blast.radius(reach, vm)
        for part in blast.parts_of_one(reach, radius):
            without = leave_out(found, reach.contexts.rules.deciders[part.rule])
            assert part.without == len(distances(edges(without), vm).keys() - {None})
        break
    for part in blast.parts_of_all(reach)[:2]:
        talking = edges(leave_out(found, reach.contexts.rules.deciders[part.rule]))
        assert part.without == sum(len(distances(talking, vm).keys() - {None}) for vm in reach.node_of)


@examples(15)
@given(documents())
def test_the_ranking_says_the_same_for_all(found):
    reach = Reach(Contexts(found))
    ranked = blast.ranking(reach)
    assert [harm.reached for harm in ranked] == sorted((harm.reached for harm in ranked), reverse=True)
    for harm in ranked:
        for vm in reach.nodes[harm.node].vms or [None]:
            radius = blast.radius(reach, vm)
            assert (harm.reached, harm.outside) == (radius.reached, radius.outside)
            assert harm.direct == sum(len(step.vms) for step in radius.steps if step.hop == 1)


@examples(15)
@given(documents())
def test_the_worth_is_counted_hop_by_hop(found):
    reach = Reach(Contexts(found))
    talking = edges(found)
    found_in = {vm: distances(talking, vm) for vm in reach.node_of}
    for each in blast.worth(reach):
        within = [1 for far in found_in.values() for vm, hop in far.items() if vm is not None and hop <= each.hops]
        assert each.reached == len(within)
        assert each.flat == (6 * 5 + 2 if each.hops == 1 else 7 * 6)  # gate is in both address scopes, and leads over
        assert 0 <= each.kept <= 100
    for vm, node in reach.node_of.items():
        last = [each.reached for each in blast.worth(reach, node)][-1:]
        assert last in ([], [len(found_in[vm].keys() - {None})])
