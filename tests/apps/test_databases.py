"""Conntrack zones and other writes, and OVSDB servers that come and go."""

from dataclasses import replace

from ryu_apps.facts import (
    SecureBridge,
    WriteZones,
)
from ryu_apps.ovsdb_facts import OvsdbUpdated
from ryu_apps.remote import WRITE_CHECK, WRITE_PAUSE
from tests.apps.shops import APP, DB, ETH, ONE, OTHER, PORTS, WEB, A, a, shop, waiting
from tests.apps.worlds import World
from tests.topology.builders import MAC_3, P
from topology.rows import ZONE_KEY, Change

# --- conntrack zones


def test_a_zone_that_gets_another_vnic_is_forgotten_and_one_that_only_moves_is_not():
    world = shop()
    zones = {vnic["port"]: vnic["zone"] for vnic in world.status()["vnics"]}
    switch = world.switches[1]
    assert sorted(switch.forgotten) == sorted(zones.values())
    switch.forgotten.clear()
    moved = a(ETH, replace(WEB, ofport=20), DB)
    world.update(moved)
    world.run()
    assert switch.forgotten == []
    # Its port is made anew with all of its external_ids, for another guest.
    other = {"iface-id": "app", "attached-mac": MAC_3[:-2] + "99", ZONE_KEY: str(zones["tap-web"])}
    world.update(a(ETH, P("tap-new", other, ofport=20), DB))
    world.run()
    assert switch.forgotten == [zones["tap-web"]]
    world.check_settled()


def test_zones_are_asked_for_once_and_again_after_a_failure():
    world = World()
    world.refuse_writes = "not allowed"
    world.policy(ONE)
    world.snapshot(a(*PORTS))
    world.connect(1)
    world.run()
    asked = [write for write in world.writes if isinstance(write, WriteZones)]
    assert len(asked) == 1 and len(asked[0].zones) == 2
    assert "has a port without conntrack zone yet: tap-web" in waiting(world)
    assert world.status()["ovsdb"][0]["write_error"].endswith("not allowed")
    world.policy(OTHER)
    world.run()
    assert len(world.writes) == 2
    world.pass_time(WRITE_PAUSE)
    assert len(world.writes) == 4
    # Each failure asks to be tried again, but the tries do not multiply.
    world.pass_time(20 * WRITE_PAUSE)
    assert len(world.writes) <= 2 * (21 + 20 * WRITE_PAUSE / WRITE_CHECK + 1)
    assert len(world.timers) < 10
    world.refuse_writes = None
    world.pass_time(WRITE_PAUSE)
    world.check_settled()
    assert world.status()["ovsdb"][0]["write_error"] is None
    assert {zone for _, zone in asked[0].zones} == {vnic["zone"] for vnic in world.status()["vnics"]}


def test_a_write_that_nobody_ever_answers_is_asked_for_again():
    world = World()
    world.policy(ONE)
    world.snapshot(a(*PORTS))
    world.connect(1)
    world._write = lambda *_: None
    world.run()
    assert len(world.writes) == 2
    world.pass_time(2 * WRITE_CHECK)
    assert len(world.writes) == 6
    del world._write
    world.pass_time(WRITE_CHECK)
    assert len(world.writes) == 8
    world.check_settled()
    world.pass_time(10 * WRITE_CHECK)
    assert len(world.writes) == 8


def test_two_ports_with_one_zone_end_with_one_each():
    world = World()
    world.policy(ONE)
    world.snapshot(a(ETH, *(replace(port, ids={**port.ids, ZONE_KEY: "7"}) for port in (WEB, DB))))
    world.connect(1)
    world.run()
    zones = [vnic["zone"] for vnic in world.status()["vnics"]]
    assert 7 in zones and len(set(zones)) == 2
    world.check_settled()


# --- OVSDB comes and goes


def test_a_lost_database_keeps_its_rows_and_is_not_written_to():
    world = shop()
    world.lose(A)
    world.policy(OTHER)
    world.run()
    assert world.holds_wanted(1) and world.sent() == 2
    assert waiting(world) == "OVSDB unix:a is lost: closed by the server; what it told last stays in force"
    world.servers[A] = a(*PORTS, APP)
    writes = len(world.writes)
    world.pass_time(1000)
    assert len(world.writes) == writes
    world.snapshot(a(*PORTS, APP))
    world.run()
    world.check_settled()


def test_writes_on_their_way_when_the_database_is_lost_are_asked_for_when_it_is_back():
    world = World()
    world.policy(ONE)
    world.snapshot(a(*PORTS))
    world.connect(1)
    world.reachable.clear()
    world.run()
    world.lose(A)
    world.run()
    writes = len(world.writes)
    world.pass_time(1000)
    # One that was due already when the loss was not known yet.
    assert len(world.writes) == writes
    world.snapshot(a(*PORTS))
    world.run()
    world.check_settled()


def test_a_database_that_does_not_know_its_bridges_datapath_ids_for_a_while_changes_nothing():
    """As after a restart of ovsdb-server: the column is not kept on disk, and ovs-vswitchd fills it a moment later."""
    world = shop()
    there = world.servers[A]
    forgetful = {uuid: replace(row, datapath_id=None) for uuid, row in there.bridges.items()}
    world.lose(A)
    world.snapshot(replace(there, bridges=forgetful))
    world.policy(OTHER)
    world.run()
    assert world.sent() == 1
    assert waiting(world) == "bridge br0 has no datapath id of its own: is its ovs-vswitchd running?"
    world.update(there)
    world.run()
    assert world.sent() == 2
    world.check_settled()


def test_a_bridge_is_secured_once():
    world = World()
    world.policy(ONE)
    world.snapshot(a(*PORTS))
    world.connect(1)
    world.refuse_writes = "not now"
    world.run()
    assert "would open without us" in waiting(world) or "in-band control" in waiting(world)
    assert [type(write) for write in world.writes].count(SecureBridge) == 1
    world.refuse_writes = None
    world.pass_time(WRITE_PAUSE)
    assert [type(write) for write in world.writes].count(SecureBridge) == 2
    world.check_settled()
    # Somebody opens it again.
    uuid, row = next(iter(world.servers[A].bridges.items()))
    told = world.servers[A]
    world.servers[A] = replace(told, bridges={uuid: replace(row, fail_mode="standalone")})
    world.facts.append(OvsdbUpdated(A, (Change("Bridge", uuid, world.servers[A].bridges[uuid]),)))
    world.run()
    assert [type(write) for write in world.writes].count(SecureBridge) == 3
    assert world.servers[A].bridges[uuid].fail_mode == "secure"
