"""What one change costs does not grow with vNICs and bridges that it does not concern: counted in calls, not timed."""

from __future__ import annotations

import sys

import pytest

from bench.engine import Switches, changes
from bench.engine_world import EDITS, REMOTE, Size, database, policy_texts
from policy.load import Loader
from ryu_apps.engine import Engine, EngineSettings
from ryu_apps.facts import PolicyLoaded, SwitchUp
from ryu_apps.ovsdb_facts import OvsdbSnapshot


def calls(task):
    """How often functions, of Python or C, are called."""
    count = 0

    def note(frame, event, argument):
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(note)
    try:
        task()
    finally:
        sys.setprofile(None)
    return count


def counted(bridges, vnics):
    """The calls that each kind of change takes, made for the second time."""
    size = Size(bridges, vnics)
    texts, loader, edits = policy_texts(size), Loader(), {}
    for name in EDITS:
        before = loader.load_texts(texts)
        edits[name] = before, loader.load_texts(policy_texts(size, **{name: True}))
    rows = database(size)
    switches = Switches(Engine(EngineSettings((REMOTE,), ("eth*",))), dict(rows.interfaces))
    ups = (SwitchUp(bridge + 1, 1) for bridge in range(bridges))
    switches.tell(PolicyLoaded(loader.load_texts(texts)), OvsdbSnapshot(REMOTE, rows, True), *ups)
    found = {}
    for name, steps in changes(switches, edits):
        for number in range(3):
            fact = steps[number % 2]()
            found[name] = calls(lambda fact=fact: switches.tell(fact))
    return found


@pytest.fixture(scope="module")
def small():
    return counted(2, 60)


OVSDB = ("label, OVSDB", "port down or up", "label of a stranger, OVSDB", "address, OVSDB")


def test_it_does_not_grow_with_vnics(small):
    large = counted(2, 240)
    # Of a port that comes or goes, the copies for a sixteenth of its network's vNICs on the bridge are made anew.
    for name in OVSDB:
        assert large[name] < 1.3 * small[name], (name, small[name], large[name])
    # There are four times as many rules and groups, too, which are gone through when another policy comes.
    for name in ("label, policy file", "address, policy file"):
        assert large[name] < 1.5 * small[name], (name, small[name], large[name])


def test_it_hardly_grows_with_bridges(small):
    large = counted(8, 60)
    # Each bridge is asked whether it is concerned.
    for name in OVSDB:
        assert large[name] < small[name] + 6 * 350, (name, small[name], large[name])
