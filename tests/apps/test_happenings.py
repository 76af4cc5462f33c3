"""What the controller tells of itself in the log: each thing once, when the switch has confirmed it."""

import json
from dataclasses import replace

import pytest

from policy.flows.cookies import Kind, reason
from ryu_apps.facts import FlowsTouched, PolicyRefused
from ryu_apps.ovsdb_facts import OvsdbLock, OvsdbSnapshot
from ryu_apps.reports.happenings import MAX_REASON, Happening, Happenings
from tests.apps.bridges import installed
from tests.apps.shops import APP, BAD, DB, ETH, ONE, OTHER, PORTS, WEB, A, a
from tests.apps.worlds import World
from tests.topology.builders import MAC_2, vnic

NOW = 1_790_000_000.25


class Told(World):
    """A world whose controller tells what happens."""

    def __init__(self, **settings):
        super().__init__(**settings)
        self.lines = []
        happenings, handle = Happenings(self.engine), self.engine.handle

        def handled(facts):
            effects = handle(facts)
            self.lines += happenings.look(effects, NOW)
            return effects

        self.engine.handle = handled

    def news(self, event=None):
        """The lines since the last time that somebody asked, of one kind; others are forgotten too."""
        found, self.lines = [json.loads(line.text) for line in self.lines], []
        return [line for line in found if event in (None, line["event"])]

    def states(self, event):
        return [(line["state"], line["before"]) for line in self.news(event)]


def shop(**settings):
    world = Told(**settings)
    world.policy(ONE)
    world.snapshot(a(*PORTS))
    world.connect(1)
    world.run()
    return world


def test_a_start():
    lines = shop().news()
    keys = [(line["event"], line["state"], line["vnic"] or line["bridge"] or line["ovsdb"]) for line in lines]
    assert keys == [
        ("policy", "loaded", None),
        ("controller", "enforcing", "unix:a"),
        ("bridge", "connected", "br0"),
        ("bridge", "master", "br0"),
        ("bridge", "enforced", "br0"),
        ("vnic", "enforced", "db/db"),
        ("vnic", "enforced", "web/web"),
    ]
    assert {tuple(line) for line in lines} == {tuple(lines[0])}
    assert {line["time"] for line in lines} == {"2026-09-21T14:13:20.250000Z"}


def test_nothing_happens_twice():
    world = shop()
    world.news()
    world.policy(ONE)
    world.snapshot(a(*PORTS))
    world.pass_time(100)
    world.run()
    assert world.news() == []


def test_a_policy_is_refused_and_mended():
    world = shop()
    before = world.news("policy")[0]["revision"]
    world.policy(BAD)
    world.run()
    (line,) = world.news()
    assert (line["event"], line["state"], line["before"], line["revision"]) == ("policy", "refused", "loaded", before)
    assert line["problems"] == 1 and line["line"] and line["file"] and "nonsense" in line["reason"]
    world.policy(BAD)
    world.run()
    assert world.news() == []
    world.policy(OTHER)
    world.run()
    found = {line["event"]: line for line in world.news()}
    assert {*found} == {"policy", "bridge"}
    assert (found["policy"]["state"], found["policy"]["before"]) == ("loaded", "refused")
    assert found["policy"]["revision"] == found["bridge"]["revision"] != before
    world.facts.append(PolicyRefused((), missing=True))
    world.run()
    assert world.states("policy") == [("missing", "loaded")]


def test_a_vnic_comes_is_shut_and_goes():
    world = shop()
    world.news()
    world.update(a(ETH, WEB, DB, APP))
    world.run()
    (line,) = world.news()
    assert (line["event"], line["state"], line["before"], line["vnic"]) == ("vnic", "enforced", None, "app/app")
    assert (line["port"], line["vm"], line["bridge"], line["host"]) == ("tap-app", "app", "br0", "hv1")
    # Another port says that it has the same MAC; the inventory backs the first.
    twin = vnic("tap-twin", "twin", MAC_2, vm_name="twin")
    world.update(a(ETH, WEB, DB, APP, twin))
    world.run()
    found = {line["port"]: line for line in world.news("vnic")}
    assert {port: (line["state"], line["before"]) for port, line in found.items()} == {"tap-twin": ("shut", None)}
    assert MAC_2 in found["tap-twin"]["reason"]
    world.update(a(ETH, WEB))
    world.run()
    assert {(line["port"], line["state"]) for line in world.news("vnic")} >= {("tap-db", "gone"), ("tap-twin", "gone")}


def test_nothing_is_told_that_the_switch_has_not_confirmed():
    world = shop()
    world.news()
    world.switches[1].refuse = lambda bundle: ("OFPFMFC_TABLE_FULL", None)
    world.update(a(ETH, WEB, DB, APP))
    world.run()
    (line,) = world.news()
    assert (line["event"], line["state"], line["reason"]) == ("bridge", "error", "OFPFMFC_TABLE_FULL")
    assert (line["bridge"], line["host"]) == ("br0", "hv1") and line["dpid"] == f"{1:016x}"
    world.switches[1].refuse = None
    world.pass_time(5)
    assert [(line["event"], line["state"], line["vnic"]) for line in world.news()] == [("vnic", "enforced", "app/app")]


def test_a_connection_that_ends():
    world = shop()
    world.news()
    world.disconnect(1)
    world.run()
    assert world.states("bridge") == [("disconnected", None)]
    world.connect(1)
    world.run()
    assert [(line["event"], line["state"]) for line in world.news()] == [
        ("bridge", "connected"), ("bridge", "master"), ("bridge", "enforced"),
    ]  # fmt: skip


@pytest.mark.parametrize("what", ["missing", "altered", "added"])
def test_drift_is_found_and_repaired(what):
    world = shop()
    revision = world.news("policy")[0]["revision"]
    switch = world.switches[1]
    flow = next(each for each in switch.flows.values() if reason(each.cookie).kind is Kind.RULE)
    if what == "missing":
        del switch.flows[flow.key]
    elif what == "altered":
        switch.flows[flow.key] = replace(flow, actions=())
    else:
        switch.foreign.append(installed(replace(flow, priority=9, cookie=1)))
    world.facts.append(FlowsTouched(1, switch.session))
    world.run()
    found, repaired = world.news()
    assert [(line["event"], line["state"]) for line in (found, repaired)] == [("drift", "found"), ("drift", "repaired")]
    for line in (found, repaired):
        assert {key: line[key] for key in ("missing", "altered", "added") if line[key]} == {what: 1}
        assert (line["bridge"], line["host"], line["revision"]) == ("br0", "hv1", revision)
        named = ("shop", "policy.yaml") if what != "added" else (None, None)
        assert (line["policy"], line["file"]) == named
    assert found["reason"].startswith(f"{what}: ")


def test_a_standby_tells_that_it_stands_by_and_judges_nobody():
    world = Told()
    world.policy(ONE)
    world.snapshot(a(*PORTS))
    (told,) = [fact for fact in world.facts if isinstance(fact, OvsdbSnapshot)]
    world.facts[world.facts.index(told)] = OvsdbSnapshot(told.remote, told.database, ours=False)
    world.connect(1)
    world.run()
    lines = world.news()
    assert [(line["event"], line["state"]) for line in lines] == [
        ("policy", "loaded"), ("controller", "standby"), ("bridge", "connected"),
    ]  # fmt: skip
    assert lines[1]["ovsdb"] == A and "another controller" in lines[1]["reason"]
    world.facts.append(OvsdbLock(A, ours=True))
    world.run()
    found = [(line["event"], line["state"], line["before"]) for line in world.news()]
    assert found[0] == ("controller", "enforcing", "standby")
    assert found.count(("vnic", "enforced", None)) == 2
    world.facts.append(OvsdbLock(A, ours=False))
    world.run()
    assert [(line["event"], line["state"], line["before"]) for line in world.news()] == [
        ("controller", "standby", "enforcing")
    ]
    # What has become of ports meanwhile, the other has told; so all is told anew.
    world.facts.append(OvsdbLock(A, ours=True))
    world.run()
    assert world.states("vnic") == [("enforced", None)] * 2


def test_what_is_not_handed_over_is_unprotected():
    world = Told()
    world.policy(ONE)
    rows = a(*PORTS)
    world.snapshot(replace(rows, bridges={key: replace(row, fail_mode=None) for key, row in rows.bridges.items()}))
    world.run()
    assert {(line["port"], line["state"]) for line in world.news("vnic")} == {
        ("tap-db", "unprotected"), ("tap-web", "unprotected"),
    }  # fmt: skip
    world.connect(1)
    world.run()
    assert set(world.states("vnic")) == {("enforced", "unprotected")}


def test_a_line_is_one_line_and_bounded_whatever_names_hold():
    line = Happening(event="vnic", state="shut", port="a\nb\u2028\x1b", reason="x" * 10_000).told(NOW)
    assert line.text.isascii() and line.text.isprintable() and line.refused
    assert len(json.loads(line.text)["reason"]) == MAX_REASON
