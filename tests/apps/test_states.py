"""Lists of states that expand themselves: whatever the way to a state was, the switches end with what it asks for.

A list is walked forward, reversed, with each state twice, with emptiness between, and squashed into one moment; and
each of these with the facts of a step in several orders, handed over one by one and all at once. What must hold at
every moment in between is checked by the world itself: see `tests.apps.worlds`.
"""

import random
from collections import deque
from dataclasses import dataclass, replace

import pytest

from ryu_apps.facts import PolicyLoaded
from tests.apps.shops import APP, BAD, DB, ETH, MOVED, NONE, ONE, OTHER, WEB, A, B, a, b
from tests.apps.worlds import World, policy_fact
from tests.topology.builders import MAC_3, P


@dataclass(frozen=True)
class State:
    """What there is: a policy (None: no files), what each OVSDB server holds, and which bridges are connected."""

    policy: str | None
    a: object
    b: object
    up: frozenset = frozenset({1, 11})


# Many ways lead to few states: what these ask for is worked out once.
ANSWERS = deque(maxlen=200)

EMPTY = State(NONE, a(), b(), frozenset())
USUAL = State(ONE, a(ETH, WEB, DB), b(ETH, APP))
LISTS = {
    "a policy changes": [USUAL, replace(USUAL, policy=OTHER), replace(USUAL, policy=MOVED)],
    "a bad policy in between": [USUAL, replace(USUAL, policy=BAD), replace(USUAL, policy=OTHER)],
    "the files go and come back": [USUAL, replace(USUAL, policy=None), replace(USUAL, policy=OTHER)],
    "ports come, go and move": [
        USUAL,
        replace(USUAL, a=a(ETH, WEB), b=b(ETH, APP, DB)),
        replace(USUAL, a=a(ETH, replace(WEB, ofport=9), APP), b=b(ETH, DB)),
        replace(USUAL, a=a(DB, WEB)),
    ],
    "a port is contradictory, then is not": [
        USUAL,
        replace(USUAL, a=a(ETH, WEB, replace(DB, ids={**DB.ids, "iface-id": "web"}))),
        replace(USUAL, a=a(ETH, replace(WEB, ids={**WEB.ids, "attached-mac": MAC_3}), DB)),
    ],
    "uplinks, VLANs and bonds": [
        USUAL,
        replace(USUAL, a=a(ETH, replace(WEB, tag=10), replace(DB, tag=10))),
        replace(USUAL, a=a(P("eth9", members=("m1", "m2"), bond_mode="active-backup"), WEB, DB)),
        replace(USUAL, a=a(WEB, DB)),
    ],
    "bridges come and go": [
        USUAL,
        replace(USUAL, a=a(ETH, WEB, br1=[DB]), up=frozenset({1, 2, 11})),
        replace(USUAL, up=frozenset({11})),
        replace(USUAL, a=a(ETH), b=b(ETH, WEB, APP, DB)),
    ],
    "ports fail": [
        replace(USUAL, a=a(ETH, replace(WEB, ofport=None), DB)),
        USUAL,
        replace(USUAL, a=a(ETH, replace(WEB, ofport=None, error="no such device"), DB)),
    ],
}


def expanded(states):
    """The ways to walk a list, by name: lists of steps, each a list of states with no rest in between."""
    yield "forward", [[state] for state in states]
    yield "reversed", [[state] for state in reversed(states)]
    yield "twice", [[state] for state in states for _ in range(2)]
    yield "emptied", [[each] for state in states for each in (EMPTY, state)]
    yield "squashed", [list(states)]
    for number, state in enumerate(states, 1):
        yield f"only-{number}", [[state]]


def happenings(world, now, state):
    """What happens on the way from one state to another, each thing to be called, in any order."""
    if now is None or now.policy != state.policy:
        yield lambda: world.policy(state.policy)
    for old, new in ((now and now.a, state.a), (now and now.b, state.b)):
        if old is None:
            yield lambda new=new: world.snapshot(new)
        elif old != new:
            yield lambda new=new: world.update(new)
    was_up = now.up if now else frozenset()
    for dpid in sorted(was_up - state.up):
        yield lambda dpid=dpid: world.disconnect(dpid)
    for dpid in sorted(state.up - was_up):
        yield lambda dpid=dpid: world.connect(dpid)


def orders(steps, how_many=3):
    """A few ways to order a step: as listed, backwards, and at random but always the same."""
    steps = list(steps)
    picked = [steps, steps[::-1]]
    for seed in range(how_many - 2):
        picked.append(random.Random(seed).sample(steps, len(steps)))
    return picked


CASES = [
    pytest.param(steps, order, one_by_one, id=f"{name}-{how}-order{order}-{'single' if one_by_one else 'batch'}")
    for name, states in LISTS.items()
    for how, steps in expanded(states)
    for order, one_by_one in ((0, True), (1, False), (2, True))
]


@pytest.mark.parametrize("steps,order,one_by_one", CASES)
def test_the_end_does_not_depend_on_the_way(steps, order, one_by_one):
    world = World((A, B), one_by_one, answers=ANSWERS)
    now = None
    for step in steps:
        for state in step:
            for happen in orders(happenings(world, now, state))[order]:
                happen()
            now = state
        world.run()
        check(world, now)


def check(world, state):
    """What must hold when a state has been reached."""
    managed = {bridge.dpid for bridge in world.engine.topology.bridges}
    if managed <= state.up and isinstance(policy_fact(state.policy), PolicyLoaded):
        world.check_settled()
    else:
        assert not world.status()["enforced"]
        assert all(world.holds_wanted(dpid) for dpid in managed & state.up)
