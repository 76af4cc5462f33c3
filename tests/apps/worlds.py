"""A world for the engine: switches (`tests.apps.bridges`), OVSDB servers that are values, and a clock.

The world hands facts to the engine and carries its effects out, and checks on the way what must hold at every moment:
each bundle that a switch takes leaves it with exactly what follows from all that the engine had been told by then.
"""

from __future__ import annotations

import functools
import heapq
import itertools
from collections import deque
from dataclasses import replace

from policy.errors import PolicyError
from policy.flows.bridge_book import BridgeBook
from policy.flows.compile import prepare
from policy.flows.pieces import unmetered
from policy.load import load_texts
from ryu_apps.engine import NO_POLICY, Engine, EngineSettings
from ryu_apps.facts import (
    Ask,
    BundleDone,
    BundleRefused,
    ClaimBridge,
    ClaimDue,
    Clock,
    Disconnect,
    DriftFound,
    FlowsRead,
    GoOn,
    Later,
    LimitZones,
    MetersRead,
    PolicyLoaded,
    PolicyRefused,
    ReadFlows,
    ReadMeters,
    RoleTold,
    SecureBridge,
    SendBundle,
    SwitchDown,
    SwitchUp,
    WriteLearned,
    WriteZones,
)
from ryu_apps.generations import RETIRE_AFTER
from ryu_apps.learn_settings import sources_of
from ryu_apps.ovsdb_facts import OvsdbLost, OvsdbSnapshot, OvsdbUpdated, OvsdbWriteFailed
from ryu_apps.remote import WRITE_PACE
from ryu_apps.status import enforced, status_of
from tests.apps.bridges import Switch, plain
from topology.everybody import Everybody
from topology.join import resolve
from topology.ports import VnicPort, holder
from topology.rows import (
    FIELDS,
    LEARNED_KEY,
    ZONE_KEY,
    Change,
    CtZoneRow,
    Database,
    DatapathRow,
    apply_changes,
    kept_at,
)

UPLINKS = ("eth*",)
# Of as many answers as this a world remembers what they were worked out of.
MOST_ANSWERS = 200


@functools.cache
def policy_fact(text):
    """What the watch would tell of a policy with this text; None: there are no files."""
    try:
        return PolicyLoaded(load_texts({} if text is None else {"policy.yaml": text.encode()}))
    except PolicyError as error:
        return PolicyRefused(error.problems, missing=text is None)


class World:
    """An engine and all around it. Facts wait in ``facts`` until `run`.

    ``answers``: what another world has worked out, which this one need not work out again.
    """

    def __init__(self, remotes=("unix:a",), one_by_one=False, answers=None, **settings):
        self.engine = Engine(EngineSettings(tuple(remotes), UPLINKS, **settings))
        self.one_by_one = one_by_one
        self.switches: dict[int, Switch] = {}
        # What each server holds, and what of it the engine has been told.
        self.servers: dict[str, Database] = {}
        self.told: dict[str, Database] = {}
        self.reachable: set[str] = set()
        self.refuse_writes: str | None = None
        self.writes: list = []
        self.document = None
        self.facts: list = []
        self.now = 0.0
        self.timers: list = []
        self.disconnected: list[Disconnect] = []
        self.alarms: list[DriftFound] = []
        self.asked: list[Ask] = []
        # What a bridge must hold, and of what this was worked out.
        self._answers = deque(maxlen=MOST_ANSWERS) if answers is None else answers
        self._numbers = itertools.count(1)

    # --- what happens

    def policy(self, text):
        self.facts.append(policy_fact(text))

    def snapshot(self, database: Database):
        """A server is (again) connected, and holds this, and the zones that were written into it."""
        self.servers[database.remote] = self.with_writes(database)
        self.reachable.add(database.remote)
        self.facts.append(OvsdbSnapshot(database.remote, self.servers[database.remote]))

    def update(self, database: Database):
        """A server's rows become these; only what differs is told, in one transaction."""
        old = self.servers[database.remote]
        new = self.servers[database.remote] = self.with_writes(database)
        changes = [
            Change(table, uuid, new.row(table, uuid))
            for table in FIELDS
            for uuid in sorted({*_rows(old, table), *_rows(new, table)})
            if old.row(table, uuid) != new.row(table, uuid)
        ]
        if changes:
            self.facts.append(OvsdbUpdated(database.remote, tuple(changes)))

    def lose(self, remote, why="closed by the server"):
        self.reachable.discard(remote)
        self.facts.append(OvsdbLost(remote, why))

    def connect(self, dpid, **state) -> Switch:
        """A switch connects (again); it has kept its flows."""
        switch = self.switches.setdefault(dpid, Switch(dpid))
        for name, value in state.items():
            setattr(switch, name, value)
        switch.session = next(self._numbers)
        self.facts.append(SwitchUp(dpid, switch.session))
        return switch

    def disconnect(self, dpid):
        switch = self.switches.get(dpid)
        if switch is not None and switch.session is not None:
            self.facts.append(SwitchDown(dpid, switch.session))
            switch.session = None

    def pass_time(self, seconds):
        """Timers that become due, one after the other."""
        end = self.now + seconds
        while self.timers and self.timers[0][0] <= end:
            self.now, _, fact = heapq.heappop(self.timers)
            self.facts.append(fact)
            self.run()
        self.now = end

    def flush(self):
        """What has been learned a moment ago is written, if that had to wait."""
        if any(remote.behind and not remote.writes_left for remote in self.engine.remotes.values()):
            self.pass_time(WRITE_PACE)

    def settle_claims(self):
        """The time in which the outside may object is over, without waiting."""
        self.facts += [fact for _, _, fact in self.timers if isinstance(fact, ClaimDue)]
        self.timers = [timer for timer in self.timers if not isinstance(timer[2], ClaimDue)]
        heapq.heapify(self.timers)
        self.run()

    # --- the engine's turn

    def run(self):
        """Hand over all facts, and carry out what is wanted, until nothing is left to be told."""
        for _ in range(1000):
            if not self.facts:
                return self
            batch, self.facts = (self.facts[:1], self.facts[1:]) if self.one_by_one else (self.facts, [])
            for fact in batch:
                self._note(fact)
            for effect in self.engine.handle([Clock(self.now), *batch]):
                self._carry_out(effect)
            status = status_of(self.engine)
            assert status["enforced"] is not bool(status["waiting_for"])
            if status["enforced"]:
                self.check_enforced()
        raise AssertionError("it does not come to rest")

    def _note(self, fact):
        match fact:
            case PolicyLoaded(document):
                self.document = document
            case OvsdbSnapshot(remote, database):
                self.told[remote] = database
            case OvsdbUpdated(remote, changes):
                self.told[remote] = apply_changes(self.told[remote], changes)

    def _carry_out(self, effect):
        match effect:
            case Later(_, GoOn() as fact):
                self.facts.append(fact)
            case Later(seconds, fact):
                heapq.heappush(self.timers, (self.now + seconds, next(self._numbers), fact))
            case ReadFlows(dpid, session):
                switch = self.switches[dpid]
                if switch.session == session and not switch.silent:
                    self.facts.append(FlowsRead(dpid, session, switch.told(), dict(switch.meters), switch.most_meters))
            case ClaimBridge(dpid, session):
                if self.switches[dpid].session == session and not self.switches[dpid].silent:
                    self.facts.append(RoleTold(dpid, session, master=True))
            case ReadMeters(dpid, session, serial):
                switch = self.switches[dpid]
                if switch.session == session and not switch.silent:
                    self.facts.append(MetersRead(dpid, session, serial, dict(switch.meters)))
            case Ask():
                self.asked.append(effect)
            case DriftFound():
                self.alarms.append(effect)
            case SendBundle():
                self._bundle(effect)
            case Disconnect(dpid):
                self.disconnected.append(effect)
                self.disconnect(dpid)
            case WriteZones(remote, zones):
                self.writes.append(effect)
                self._write(remote, "zones", functools.partial(with_keys, key=ZONE_KEY, values=dict(zones)))
            case WriteLearned(remote, texts):
                self.writes.append(effect)
                interfaces = self.servers[remote].interfaces
                there = all(kept_at(who, LEARNED_KEY)[0] in interfaces for who, _ in texts)
                with_texts = functools.partial(with_keys, key=LEARNED_KEY, values=dict(texts))
                self._write(remote, "learned addresses", with_texts if there else None)
            case LimitZones(remote, limits):
                self.writes.append(effect)
                assert self.servers[remote].limits and limits
                self._write(remote, "limits", functools.partial(_limited, limits=limits))
            case SecureBridge(remote, uuid):
                self.writes.append(effect)
                there = uuid in self.servers[remote].bridges
                self._write(remote, "fail mode", (lambda database: _secured(database, uuid)) if there else None)

    def _bundle(self, bundle):
        switch = self.switches[bundle.dpid]
        if switch.session != bundle.session or switch.silent:
            return
        led = {entry.leads_to for entry in switch.older if entry.table == 0}
        led |= {switch.slot} if switch.flows else set()
        refusal = switch.take(bundle)
        if refusal is None:
            switch.led.update(dict.fromkeys(led, self.now))
            # No tables are emptied to which something has led a moment ago.
            assert all(self.now - switch.led.get(slot, -100) > RETIRE_AFTER - 0.01 for slot in bundle.retire)
            # Nothing is ever installed but what follows from all that was told by now.
            assert plain(switch.flows) == self.wanted(bundle.dpid)
            self.facts.append(BundleDone(bundle.dpid, bundle.session, bundle.serial))
        else:
            error, flow = refusal
            self.facts.append(BundleRefused(bundle.dpid, bundle.session, bundle.serial, error, flow))

    def _write(self, remote, what, change):
        """A write, as the client does it; ``change`` None: the row is gone."""
        error = "the row is gone" if change is None else self.refuse_writes
        if error is None and remote not in self.reachable:
            error = "the database is not connected"
        if error is None:
            self.update(change(self.servers[remote]))
        else:
            self.facts.append(OvsdbWriteFailed(remote, what, error))

    def with_writes(self, database):
        """What an operator puts into a server leaves alone what was written there by us."""
        old = self.servers.get(database.remote)
        if old is None:
            return database
        for key in (ZONE_KEY, LEARNED_KEY):
            new = _holders(database, key)
            values = {holder: value for holder, value in _holders(old, key).items() if holder not in new}
            database = with_keys(database, key, values)
        if old.limits and not database.datapaths:
            kept = {uuid: row.datapaths for uuid, row in old.switches.items()}
            switches = {uuid: replace(row, datapaths=kept[uuid]) for uuid, row in database.switches.items()}
            rows = {"datapaths": old.datapaths, "ct_zones": old.ct_zones}
            database = replace(database, limits=True, switches=switches, **rows)
        for uuid, row in old.bridges.items():
            if uuid in database.bridges and row.other_config:
                database = _secured(database, uuid)
        return database

    # --- what must hold

    def wanted(self, dpid):
        """What the bridge must hold by all that has been told; worked out once of the same values."""
        # What was learned counts as soon as the engine knows it, before OVSDB has told it back.
        told = {remote: self._as_learned(database) for remote, database in self.told.items()}
        if self.engine.refused:
            return self._worked_out(dpid, told)
        sources = dpid, self.switches[dpid].most_meters, self.engine.settings, told
        for document, others, flows in reversed(self._answers):
            if document is self.document and others == sources:
                return flows
        flows = self._worked_out(dpid, told)
        self._answers.append((self.document, sources, flows))
        return flows

    def _worked_out(self, dpid, told):
        """As said by nobody but the compiler."""
        document = self.document or NO_POLICY
        learn = sources_of(self.engine.settings.learning.learn)
        topology = resolve(told, document.inventory, UPLINKS, self.engine.settings.looked_at, learn)
        # Ports that the switch does not take are the engine's own knowledge; there are tests for them alone.
        refused = set(self.engine.refused.holders())
        topology = replace(
            topology,
            bridges=tuple(
                bridge.with_ports(_shut_if(port, refused, self.engine) for port in bridge.ports)
                for bridge in topology.bridges
            ),
        )
        bridge = next(bridge for bridge in topology.bridges if bridge.dpid == dpid)
        vnics = Everybody().known(document.inventory, topology)
        wanted = BridgeBook().wanted(prepare(document, vnics.values(), learn=learn), bridge, {})
        return plain((wanted if self.switches[dpid].most_meters else unmetered(wanted)).flat())

    def _as_learned(self, database):
        known = self.engine.remotes[database.remote].database
        texts = dict.fromkeys(_holders(database, LEARNED_KEY)) | _holders(known, LEARNED_KEY)
        return with_keys(database, LEARNED_KEY, texts)

    def check_enforced(self):
        """Every managed bridge holds what it must, and nothing is on its way."""
        for bridge in filter(self.engine.handed_over, self.engine.topology.bridges):
            switch = self.switches[bridge.dpid]
            assert switch.session is not None or self._waits(SwitchDown, bridge.dpid)
            assert self.holds_wanted(bridge.dpid)

    def _waits(self, kind, dpid):
        """True if the engine has not been told yet."""
        return any(isinstance(fact, kind) and fact.dpid == dpid for fact in self.facts)

    def holds_wanted(self, dpid):
        """True if the switch has what follows from the last good policy; without one, what shuts everything."""
        return plain(self.switches[dpid].flows) == self.wanted(dpid)

    def check_settled(self):
        """Everything is enforced, a fresh engine would change nothing, and hearing it all again changes nothing."""
        self.flush()
        status = status_of(self.engine)
        assert status["enforced"], status["waiting_for"]
        sent = self.sent()
        known = self.engine.settings
        fresh = World(known.remotes, answers=self._answers, bridges=known.bridges, learning=known.learning)
        fresh.now = self.now
        fresh.facts = list(self.everything_again(fresh))
        fresh.run()
        assert status_of(fresh.engine)["enforced"]
        assert fresh.sent() == 0, "a fresh engine would send something"
        self.facts = list(self.everything_again(None))
        self.run()
        assert self.sent() == sent, "something was sent though nothing had changed"

    def everything_again(self, fresh):
        """The facts of now, once more; for another world, with copies of the switches."""
        yield PolicyLoaded(self.document)
        for remote, database in self.servers.items():
            if fresh is not None:
                fresh.servers[remote] = database
                fresh.reachable.add(remote)
            yield OvsdbSnapshot(remote, database)
        for dpid, switch in self.switches.items():
            if switch.session is not None:
                if fresh is not None:
                    copies = dict(switch.flows), list(switch.foreign), dict(switch.meters)
                    older = {"slot": switch.slot, "older": list(switch.older)}
                    fresh.switches[dpid] = Switch(dpid, *copies, switch.most_meters, **older)
                    fresh.switches[dpid].session = 1
                    yield SwitchUp(dpid, 1)
                else:
                    switch.session = next(self._numbers)
                    yield SwitchUp(dpid, switch.session)

    def sent(self):
        return sum(len(switch.bundles) for switch in self.switches.values())

    def status(self):
        found = status_of(self.engine)
        assert found["enforced"] is enforced(self.engine)
        return found


def _shut_if(port, refused, engine):
    if isinstance(port, VnicPort) and port.holder in refused:
        return next(
            found
            for bridge in engine.topology.bridges
            for found in bridge.isolated
            if (found.interface_uuid, found.tag) == (port.interface_uuid, port.tag)
        )
    return port


def _rows(database, table):
    return getattr(database, FIELDS[table])


def _holders(database, key):
    """The values of a key of external_ids, by holder."""
    return {
        holder(uuid, int(tag or 0)): text
        for uuid, row in database.interfaces.items()
        for name, _, tag in (found.partition(".") for found in row.external_ids)
        if name == key and (text := row.external_ids[f"{name}.{tag}" if tag else name])
    }


def with_keys(database, key, values):
    """The database with a key of external_ids of these holders; None takes it away."""
    rows = dict(database.interfaces)
    for who, value in values.items():
        uuid, its = kept_at(who, key)
        if uuid in rows and rows[uuid].external_ids.get(its) != (value if value is None else str(value)):
            rest = {name: text for name, text in rows[uuid].external_ids.items() if name != its}
            rows[uuid] = replace(rows[uuid], external_ids=rest if value is None else {**rest, its: str(value)})
    return replace(database, interfaces=rows)


def _limited(database, limits):
    """The database with these limits of conntrack's zones, as `OvsdbClient.limit_zones` writes them."""
    ((uuid, switch),) = database.switches.items()
    for name, zone, limit in limits:
        datapath = database.datapaths.get(f"d-{name}", DatapathRow(f"d-{name}", ours=True))
        row_uuid = datapath.zones.get(zone, f"z-{name}-{zone}")
        row = database.ct_zones.get(row_uuid)
        assert row is None or row.ours
        zones = {**datapath.zones, zone: row_uuid}
        rows = {**database.ct_zones, row_uuid: CtZoneRow(row_uuid, limit, ours=True)}
        if limit is None:
            del zones[zone], rows[row_uuid]
        switch = replace(switch, datapaths={**switch.datapaths, name: datapath.uuid})
        datapaths = {**database.datapaths, datapath.uuid: replace(datapath, zones=zones)}
        database = replace(database, switches={uuid: switch}, datapaths=datapaths, ct_zones=rows)
    return database


def _secured(database, uuid):
    row = replace(database.bridges[uuid], fail_mode="secure", other_config={"disable-in-band": "true"})
    return replace(database, bridges={**database.bridges, uuid: row})
