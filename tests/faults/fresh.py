"""What a bridge must hold, asked of a fresh engine: one that hears of today has nothing left to do."""

from __future__ import annotations

import time

import ovs.db.idl
import ovs.poller

from policy.load import load
from ryu_apps.engine import Engine, EngineSettings
from ryu_apps.facts import ClaimBridge, FlowsRead, PolicyLoaded, ReadFlows, RoleTold, SendBundle, SwitchUp
from ryu_apps.ovsdb_facts import OvsdbSnapshot
from ryu_apps.ovsdb_replica import Replica
from tests.live.shop import Shop
from tests.live.test_bundles import LiveRoom
from topology.rows import Database, apply_changes


def database_of(shop: Shop) -> Database:
    """The switch's database, by a client of its own that wants no lock."""
    replica = Replica(shop.ovs.db, 0.0)
    replica.set_lock(None)
    deadline = time.monotonic() + 10
    try:
        while not replica.is_current():
            assert time.monotonic() < deadline, "no database came"
            poller = ovs.poller.Poller()
            replica.run()
            replica.wait(poller)
            poller.timer_wait(100)
            poller.block()
        everything = [(table, row_uuid) for table in replica.columns for row_uuid in replica.tables[table].rows]
        return apply_changes(Database(shop.ovs.db, limits=replica.limits), replica.changes(everything))
    finally:
        replica.close()


def flows_of(shop: Shop) -> FlowsRead:
    """All flows and meters of the bridge, by a connection of its own."""
    room = LiveRoom(shop.ovs.run_dir / f"{shop.bridge}.mgmt")
    try:
        room.switches.read(ReadFlows(room.datapath.id, room.session))
        fact = room.next()
        assert isinstance(fact, FlowsRead)
        return fact
    finally:
        room.socket.close()


def left_to_do(shop: Shop) -> list[SendBundle]:
    """What a fresh engine would send; empty if the bridge holds exactly what it should."""
    database = database_of(shop)
    (bridge,) = database.bridges.values()
    dpid = bridge.datapath_id
    assert dpid is not None
    engine = Engine(EngineSettings((shop.ovs.db,)))
    told = flows_of(shop)
    engine.handle([PolicyLoaded(load(shop.controller.policy)), OvsdbSnapshot(shop.ovs.db, database)])
    engine.handle([SwitchUp(dpid, 1)])
    effects = engine.handle([FlowsRead(dpid, 1, told.entries, told.meters, told.most_meters)])
    assert ClaimBridge(dpid, 1) in effects, "the bridge is not one of the engine's"
    effects = engine.handle([RoleTold(dpid, 1, master=True)])
    return [effect for effect in effects if isinstance(effect, SendBundle)]
