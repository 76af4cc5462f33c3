"""Which bridges are ours: of all others nothing is changed, and nothing is expected."""

from dataclasses import replace

from ryu_apps.ovsdb_facts import OvsdbSnapshot
from ryu_apps.status import troubles
from tests.apps.shops import APP, ETH, ONE, PORTS, A, a, waiting
from tests.apps.worlds import World
from tests.topology.builders import P


def opened(database):
    """The database as an operator has it who never heard of us: bridges that open without a controller."""
    return replace(database, bridges={u: replace(row, fail_mode=None) for u, row in database.bridges.items()})


def world_of_two(**settings):
    """``br0`` connects, ``br-lab`` does not."""
    world = World(**settings)
    world.policy(ONE)
    world.snapshot(opened(a(*PORTS, **{"br-lab": [APP, P("tap-odd")]})))
    world.run()
    return world


def modes(world):
    return {row.name: row.fail_mode for row in world.servers[A].bridges.values()}


def zoneless(world):
    return {vnic["port"] for vnic in world.status()["vnics"] if vnic.get("zone", 0) is None}


def test_nothing_is_changed_before_a_bridge_connects():
    world = world_of_two()
    assert world.writes == [] and modes(world) == {"br0": None, "br-lab": None}
    assert waiting(world) == "no bridge has connected yet, and none is named by --bridge"


def test_only_what_has_connected_is_secured_and_waited_for():
    world = world_of_two()
    world.connect(1)
    world.run()
    assert modes(world) == {"br0": "secure", "br-lab": None}
    assert zoneless(world) == {"tap-app"}
    assert waiting(world) == ""
    status = world.status()
    lab = next(bridge for bridge in status["bridges"] if bridge["name"] == "br-lab")
    assert (lab["handed_over"], lab["state"], lab["wanted"]) == (False, "not handed over", None)
    # It must not look as if anything were shut there.
    there = [vnic for vnic in status["vnics"] if vnic["bridge"] == "br-lab"]
    assert {vnic["state"] for vnic in there} == {"unprotected"} and len(there) == 2
    assert [finding["where"] for finding in status["findings"] if finding["code"] == "not-handed-over"] == [
        "hv1/br-lab"
    ]
    assert not any("tap-odd" in line for line in troubles(world.engine))
    # Until it connects.
    world.connect(2)
    world.run()
    assert modes(world) == {"br0": "secure", "br-lab": "secure"}
    assert any("tap-odd" in line for line in troubles(world.engine))
    world.check_settled()


def test_what_has_connected_once_stays_ours():
    world = world_of_two()
    world.connect(1)
    world.run()
    world.disconnect(1)
    # Somebody opens it, and OVSDB does not know its datapath id just then.
    there = opened(world.servers[A])
    forgetful = {u: replace(row, datapath_id=None) for u, row in there.bridges.items()}
    world.servers[A] = replace(there, bridges=forgetful)
    assert modes(world) == {"br0": None, "br-lab": None}
    world.facts.append(OvsdbSnapshot(A, world.servers[A]))
    world.run()
    assert modes(world) == {"br0": "secure", "br-lab": None}
    assert "bridge br0 " in waiting(world) and "br-lab" not in waiting(world)


def test_a_bridge_that_is_secure_already_is_expected():
    world = World()
    world.policy(ONE)
    world.snapshot(a(*PORTS))
    world.run()
    assert waiting(world) == "bridge br0 is not connected"
    assert zoneless(world) == set()


def test_a_bridge_that_is_named_is_secured_before_it_connects():
    world = world_of_two(bridges=("br-l*",))
    assert modes(world) == {"br0": None, "br-lab": "secure"}
    assert waiting(world) == "bridge br-lab is not connected"
    assert [bridge["name"] for bridge in world.status()["bridges"]] == ["br-lab"]


def test_bridges_are_named_by_a_glob_for_all():
    assert modes(world_of_two(bridges=("*",))) == {"br0": "secure", "br-lab": "secure"}


def test_a_bridge_without_vnics_is_no_news():
    world = World()
    world.snapshot(opened(a(*PORTS, **{"br-ex": [ETH]})))
    world.policy(ONE)
    world.connect(1)
    world.run()
    assert world.status()["findings"] == []
