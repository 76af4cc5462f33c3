"""What the status says in every state; and that it never says "enforced" while something is missing."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from policy.flows.cookies import LAYOUT
from ryu_apps.connection_limits import OLD_SWITCH
from ryu_apps.engine import Engine, EngineSettings
from ryu_apps.facts import GraceOver
from ryu_apps.learn_settings import LearnSettings
from ryu_apps.learner import Learner
from ryu_apps.status import status_of, troubles
from tests.apps.shops import APP, DB, ETH, ONE, OTHER, PORTS, WEB, A, B, a, b, shop
from tests.apps.worlds import World
from tests.topology.builders import MAC_1, P, vnic
from topology.ports import Finding, Topology

BAD = ONE.replace("tcp/8080", "tcp/nonsense")
TRUSTED = ONE.replace("db:  {labels", "db:  {trusted: true, labels")


def lines(world):
    status = world.status()
    assert status["enforced"] is (not status["waiting_for"])
    return status["waiting_for"]


def by_port(world):
    return {vnic["port"]: vnic for vnic in world.status()["vnics"]}


def test_before_anything_is_known():
    assert status_of(Engine(EngineSettings((A,)))) == {
        "enforced": False,
        "waiting_for": [
            "the policy has not been read yet",
            "OVSDB unix:a: not connected yet",
            "no bridge is known",
        ],
        "policy": {
            "revision": None,
            "state": "not read yet",
            "missing": False,
            "errors": [],
            "rules": 0,
            "vms": 0,
        },
        "bridges": [],
        "unmanaged": [],
        "vnics": [],
        "ovsdb": [
            {"remote": A, "connected": False, "error": "not connected yet", "write_error": None, "ours": False}
        ],
        "findings": [],
    }


def test_everything_is_enforced():
    world = shop()
    status = world.status()
    revision = world.document.revision
    zones = {vnic["port"]: vnic["zone"] for vnic in status["vnics"]}
    assert status["enforced"] is True and status["waiting_for"] == []
    assert status["policy"] == {
        "revision": revision,
        "state": "loaded",
        "missing": False,
        "errors": [],
        "rules": 2,
        "vms": 3,
    }
    (bridge,) = status["bridges"]
    assert bridge == {
        "name": "br0",
        "host": "hv1",
        "dpid": "0000000000000001",
        "handed_over": True,
        "connected": True,
        "state": "idle",
        "wanted": revision,
        "in_force": revision,
        "error": None,
        "flows": len(world.switches[1].flows),
        # The world has connected it once more since, to see that nothing would be sent.
        "flow_mods": 0,
        "bundles": 0,
        "refusals": 0,
        "foreign_removed": 0,
        "layout": LAYOUT,
        "slot": 0,
        "old_slots": [],
        "drift": 0,
        "watched": True,
        "master": True,
        "uplinks": [{"port": "eth0", "kind": "uplink", "members": ["eth0"]}],
    }
    assert status["vnics"][1] == {
        "bridge": "br0",
        "port": "tap-web",
        "vnic": "web/web",
        "vm": "web",
        "state": "enforced",
        "reason": None,
        "tag": None,
        "mac": MAC_1,
        "addresses": ["10.0.0.11/32", "2001:db8::11/128"],
        "learned": [],
        "network": "vlan-0",
        "vlan": 0,
        "zone": zones["tap-web"],
        "connections": {"limit": 100_000, "enforced": False, "reason": OLD_SWITCH},
        "labels": {"role": "web"},
    }
    assert len(status["vnics"]) == 2
    assert status["ovsdb"] == [{"remote": A, "connected": True, "error": None, "write_error": None, "ours": True}]


def test_what_a_bundle_was_is_counted():
    world = shop()
    world.policy(OTHER)
    world.run()
    (bridge,) = world.status()["bridges"]
    assert bridge["bundles"] == 1 and bridge["flow_mods"] == len(world.switches[1].bundles[-1])


@pytest.mark.parametrize("silent,state", [("reading", "reading its flows"), ("changing", "changing")])
def test_a_bridge_that_has_not_answered(silent, state):
    world = shop()
    world.switches[1].silent = True
    if silent == "reading":
        world.connect(1)
    else:
        world.policy(OTHER)
    world.run()
    assert lines(world) == [f"bridge br0 is {state}"]
    (bridge,) = world.status()["bridges"]
    assert (bridge["state"], bridge["connected"]) == (state, True)
    assert by_port(world)["tap-web"]["state"] == "pending"
    assert by_port(world)["tap-web"]["reason"] == f"its bridge is {state}"


def test_a_bridge_that_is_not_connected():
    world = shop()
    world.disconnect(1)
    world.run()
    assert lines(world) == ["bridge br0 is not connected"]
    (bridge,) = world.status()["bridges"]
    assert (bridge["state"], bridge["connected"], bridge["flows"]) == ("not connected", False, None)
    assert by_port(world)["tap-web"]["reason"] == "its bridge is not connected"


def test_a_bridge_that_waits_with_all_others_for_a_late_database():
    world = World((A, B))
    world.policy(ONE)
    world.snapshot(a(*PORTS))
    world.connect(1)
    world.run()
    assert lines(world) == ["OVSDB unix:b: not connected yet", "no bridge is known"]
    world.lose(B, "Connection refused")
    world.facts.append(GraceOver())
    world.run()
    assert lines(world) == ["OVSDB unix:b: Connection refused"]
    assert by_port(world)["tap-web"]["state"] == "enforced"
    world.snapshot(b(ETH, APP))
    world.run()
    assert lines(world) == ["bridge br0 of hv2 is not connected"]


@pytest.mark.parametrize("text,missing", [(BAD, False), (None, True)])
def test_a_policy_that_is_refused(text, missing):
    world = shop()
    old = world.document.revision
    world.policy(text)
    world.run()
    (line,) = lines(world)
    assert line.startswith("the policy was refused: ") and line.endswith("; the last good one stays in force")
    policy = world.status()["policy"]
    assert (policy["revision"], policy["state"], policy["missing"]) == (old, "refused", missing)
    (error,) = policy["errors"]
    assert f"{error['file']}:{error['line']}:{error['column']}: {error['message']}" in line
    assert world.status()["bridges"][0]["in_force"] == old


def test_of_many_mistakes_the_first_is_told_and_how_many_more():
    world = World()
    world.policy(BAD.replace("3306", "nonsense"))
    world.snapshot(a(*PORTS))
    world.connect(1)
    world.run()
    (line,) = lines(world)
    assert " and 1 more; bridges keep what they had, and where that was nothing, nothing is allowed" in line


def test_ports_of_every_kind():
    world = shop(TRUSTED)
    world.update(a(ETH, WEB, DB, vnic("tap-x", "stranger", "52:54:00:00:00:55"), P("tap-y")))
    world.run()
    ports = by_port(world)
    assert ports["tap-web"]["state"] == "enforced"
    assert (ports["tap-db"]["state"], ports["tap-db"]["zone"] is None) == ("trusted", False)
    assert ports["tap-x"]["reason"] == "it has no address: nothing but DHCP passes"
    assert ports["tap-y"] == {
        "bridge": "br0",
        "port": "tap-y",
        "vnic": None,
        "state": "isolated",
        "reason": "nobody's port: it has no iface-id and is not named as an uplink",
        "code": "nobody",
    }
    # A port that is shut for what it is keeps nothing from being enforced.
    assert lines(world) == []


def test_a_port_without_a_zone():
    world = shop()
    world.refuse_writes = "no"
    world.update(a(*PORTS, APP))
    world.run()
    assert lines(world) == ["bridge br0 has a port without conntrack zone yet: tap-app"]
    assert by_port(world)["tap-app"]["reason"] == "it has no conntrack zone yet"


def test_a_bridge_that_would_open_without_us():
    world = World()
    world.refuse_writes = "read only"
    database = a(ETH)
    (uuid,) = database.bridges
    world.policy(ONE)
    world.snapshot(replace(database, bridges={uuid: replace(database.bridges[uuid], fail_mode=None)}))
    world.connect(1)
    world.run()
    assert lines(world) == [
        "bridge br0 would open without us: its fail_mode is not secure yet",
        "bridge br0 lets frames of in-band control pass: it is not disabled yet",
    ]
    world.refuse_writes = None
    world.pass_time(5)
    assert lines(world) == []


def test_names_forge_no_line_of_the_log():
    world = shop()
    evil = "tap\n2026-11-27 ALARM\x1b[2J\u202e"
    world.update(a(*PORTS, P(evil), vnic(evil + "2", "web", MAC_1)))
    world.run()
    told = list(troubles(world.engine))
    assert len(told) >= 2 and all(line.isprintable() for line in told)
    assert any("tap\\n2026-11-27 ALARM\\x1b[2J\\u202e" in line for line in told)
    # Programs get names as they are.
    assert evil in by_port(world)
    topology = Topology((), (Finding("x", f"hv1/br0/{evil}", "is odd"),))
    (line,) = troubles(SimpleNamespace(topology=topology, handed_over=bool, learner=Learner(LearnSettings())))
    assert line.isprintable() and line.endswith("\\u202e: is odd")


def test_bridges_with_one_datapath_id_are_nobodys():
    world = World((A, B))
    world.policy(ONE)
    world.snapshot(a(ETH, WEB))
    twin = b(ETH, APP)
    world.snapshot(replace(twin, bridges={uuid: replace(row, datapath_id=1) for uuid, row in twin.bridges.items()}))
    world.connect(1)
    world.run()
    what = "bridge br0 of {} has no datapath id of its own: is its ovs-vswitchd running?"
    assert [line for line in lines(world) if "datapath" in line] == [what.format("hv1"), what.format("hv2")]
    assert world.sent() == 0
    assert {finding["code"] for finding in world.status()["findings"]} >= {"duplicate-datapath-id"}
    assert world.status()["unmanaged"] == [{"dpid": "0000000000000001"}]
