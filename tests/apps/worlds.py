"""A world for the engine: switches that apply bundles to dicts, OVSDB servers that are values, and a clock.

The world hands facts to the engine and carries its effects out, and checks on the way what must hold at every moment:
each bundle that a switch takes leaves it with exactly what follows from all that the engine had been told by then.
"""

from __future__ import annotations

import functools
import heapq
import itertools
import operator
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from policy.errors import PolicyError
from policy.flows import wire
from policy.flows.bridge_book import BridgeBook
from policy.flows.compile import prepare
from policy.flows.cookies import Kind, reason
from policy.flows.flow import Flow, Key, Limit, Punt, Resubmit
from policy.flows.match_wire import encode_match
from policy.flows.meters import HIGHEST_METER, Meter
from policy.flows.pieces import unmetered
from policy.flows.slots import FIRST, on_wire
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
from topology.join import resolve
from topology.ports import VnicPort, holder
from topology.rows import COLUMNS, LEARNED_KEY, ZONE_KEY, Change, Database, apply_changes, kept_at
from topology.vnic import Everybody

UPLINKS = ("eth*",)


@functools.cache
def policy_fact(text):
    """What the watch would tell of a policy with this text; None: there are no files."""
    try:
        return PolicyLoaded(load_texts({} if text is None else {"policy.yaml": text.encode()}))
    except PolicyError as error:
        return PolicyRefused(error.problems, missing=text is None)


def plain(flows: Mapping[Key, Flow]):
    """Flows without what may depend on history: of a rule's priority only its place in its table."""
    places: dict[int, dict[int, int]] = {}
    for flow in flows.values():
        if is_rule(flow):
            places.setdefault(flow.table.number, {})[flow.priority] = 0
    for found in places.values():
        found.update({priority: -place for place, priority in enumerate(sorted(found))})
    return {
        (
            flow.table.name,
            places[flow.table.number][flow.priority] if is_rule(flow) else flow.priority,
            flow.match,
            flow.actions,
            flow.cookie,
        )
        for flow in flows.values()
    }


def is_rule(flow):
    why = reason(flow.cookie)
    return why is not None and why.kind is Kind.RULE


def installed(flow, slot=FIRST):
    """A flow as a switch tells it that has it in a slot."""
    leads = slot if not flow.table.number and any(isinstance(action, Resubmit) for action in flow.actions) else None
    number = on_wire(flow.table, slot)
    return wire.Installed(number, flow.priority, flow.cookie, encode_match(flow.match), flow, 0, 0, leads)


def with_layout(entry, layout):
    """The same flow by a program with another layout."""
    cookie = entry.cookie & ~(0xFF << 40) | layout << 40
    return replace(entry, cookie=cookie, flow=replace(entry.flow, cookie=cookie))


@dataclass
class Switch:
    """A bridge's OpenFlow side. ``refuse``: the flow of a bundle that it names when it refuses it, and why.

    ``flows`` are those of the generation of today's program, in ``slot``; ``older`` what other generations have left.
    """

    dpid: int
    flows: dict[Key, Flow] = field(default_factory=dict)
    foreign: list[wire.Installed] = field(default_factory=list)
    meters: dict[int, Meter] = field(default_factory=dict)
    most_meters: int = HIGHEST_METER
    session: int | None = None
    silent: bool = False
    refuse: object = None
    bundles: list[SendBundle] = field(default_factory=list)
    forgotten: list[int] = field(default_factory=list)
    slot: int = FIRST
    older: list[wire.Installed] = field(default_factory=list)
    # When something has last led to a slot, by slot.
    led: dict[int | None, float] = field(default_factory=dict)

    def told(self):
        """Its flows as its statistics tell them."""
        return (*(installed(flow, self.slot) for flow in self.flows.values()), *self.older, *self.foreign)

    def is_left_by(self, layout):
        """All that it holds is of another layout's program."""
        own = [installed(flow, self.slot) for flow in self.flows.values()]
        self.older, self.flows = [with_layout(entry, layout) for entry in (*own, *self.older)], {}

    def take(self, bundle: SendBundle):
        """All of a bundle, or None of it and the refusal."""
        self.forgotten += bundle.forget
        if self.refuse is not None and (refusal := self.refuse(bundle)) is not None:
            return refusal
        for meter in (*bundle.add_meters, *bundle.change_meters):
            assert (meter.number in self.meters) is (meter in bundle.change_meters)
            self.meters[meter.number] = meter
        if bundle.slot != self.slot:
            self.older += [installed(flow, self.slot) for flow in self.flows.values()]
            self.slot, self.flows = bundle.slot, {}
        for entry in bundle.outdated:
            self.older.remove(entry)
        for flow in bundle.remove:
            del self.flows[flow.key]
        self.flows.update({flow.key: flow for flow in bundle.add})
        for entry in bundle.foreign:
            self.foreign.remove(entry)
        # A flow of ours takes the place of a foreign one with its key.
        self.foreign = [entry for entry in self.foreign if entry.flow is None or entry.flow.key not in self.flows]
        self.older = [entry for entry in self.older if entry.table or entry.flow.key not in self.flows]
        # All of table 0 leads to the new generation, and nothing is taken away from under packets on their way.
        assert all(entry.table for entry in self.older) and bundle.slot not in bundle.retire
        assert not (bundle.retire and bundle.outdated)
        self.older = [entry for entry in self.older if entry.slot not in bundle.retire]
        for number in bundle.remove_meters:
            del self.meters[number]
        # A switch takes no flow that names a meter which is not there, and removes those whose meter goes.
        there = [*self.flows.values(), *(entry.flow for entry in self.older)]
        named = {a.meter for flow in there for a in flow.actions if isinstance(a, Limit | Punt)}
        assert named <= self.meters.keys()
        self.bundles.append(bundle)
        return None


class World:
    """An engine and all around it. Facts wait in ``facts`` until `run`."""

    def __init__(self, remotes=("unix:a",), one_by_one=False, **settings):
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
        # What each bridge must hold, and of what this was worked out.
        self._kept: dict[int, tuple[list, object]] = {}
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
            for table in COLUMNS
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
                self._write(remote, "zones", functools.partial(_with_keys, key=ZONE_KEY, values=dict(zones)))
            case WriteLearned(remote, texts):
                self.writes.append(effect)
                interfaces = self.servers[remote].interfaces
                there = all(kept_at(who, LEARNED_KEY)[0] in interfaces for who, _ in texts)
                with_texts = functools.partial(_with_keys, key=LEARNED_KEY, values=dict(texts))
                self._write(remote, "learned addresses", with_texts if there else None)
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
            database = _with_keys(database, key, values)
        for uuid, row in old.bridges.items():
            if uuid in database.bridges and row.other_config:
                database = _secured(database, uuid)
        return database

    # --- what must hold

    def wanted(self, dpid):
        """What the bridge must hold by all that has been told; worked out again only after something else was told."""
        if self.engine.refused:
            return self._worked_out(dpid)
        # What the engine knows of learned addresses counts, too (`_as_learned`).
        known = [self.engine.remotes[remote].database for remote in self.told]
        sources = [self.document, *itertools.chain(*self.told.items()), *known, self.switches[dpid].most_meters]
        if dpid not in self._kept or not _same(self._kept[dpid][0], sources):
            self._kept[dpid] = sources, self._worked_out(dpid)
        return self._kept[dpid][1]

    def _worked_out(self, dpid):
        """As said by nobody but the compiler."""
        document = self.document or NO_POLICY
        # What was learned counts as soon as the engine knows it, before OVSDB has told it back.
        told = {remote: self._as_learned(database) for remote, database in self.told.items()}
        learn = sources_of(self.engine.settings.learning.learn)
        topology = resolve(told, document.inventory, UPLINKS, self.engine.settings.looked_at, learn)
        # Ports that the switch does not take are the engine's own knowledge; there are tests for them alone.
        refused = set(self.engine.refused.holders())
        topology = replace(
            topology,
            bridges=tuple(
                replace(bridge, ports=tuple(_shut_if(port, refused, self.engine) for port in bridge.ports))
                for bridge in topology.bridges
            ),
        )
        bridge = next(bridge for bridge in topology.bridges if bridge.dpid == dpid)
        vnics = Everybody().known(document.inventory, topology.vnic_ports)
        wanted = BridgeBook().wanted(prepare(document, vnics.values(), learn=learn), bridge, {})
        return plain((wanted if self.switches[dpid].most_meters else unmetered(wanted)).flat())

    def _as_learned(self, database):
        known = self.engine.remotes[database.remote].database
        texts = dict.fromkeys(_holders(database, LEARNED_KEY)) | _holders(known, LEARNED_KEY)
        return _with_keys(database, LEARNED_KEY, texts)

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
        fresh = World(known.remotes, bridges=known.bridges, learning=known.learning)
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


def _same(one, other):
    return len(one) == len(other) and all(map(operator.is_, one, other))


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
    names = {"Open_vSwitch": "switches", "Bridge": "bridges", "Port": "ports", "Interface": "interfaces"}
    return getattr(database, names[table])


def _holders(database, key):
    """The values of a key of external_ids, by holder."""
    return {
        holder(uuid, int(tag or 0)): text
        for uuid, row in database.interfaces.items()
        for name, _, tag in (found.partition(".") for found in row.external_ids)
        if name == key and (text := row.external_ids[f"{name}.{tag}" if tag else name])
    }


def _with_keys(database, key, values):
    """The database with a key of external_ids of these holders; None takes it away."""
    rows = dict(database.interfaces)
    for who, value in values.items():
        uuid, its = kept_at(who, key)
        if uuid in rows and rows[uuid].external_ids.get(its) != (value if value is None else str(value)):
            rest = {name: text for name, text in rows[uuid].external_ids.items() if name != its}
            rows[uuid] = replace(rows[uuid], external_ids=rest if value is None else {**rest, its: str(value)})
    return replace(database, interfaces=rows)


def _secured(database, uuid):
    row = replace(database.bridges[uuid], fail_mode="secure", other_config={"disable-in-band": "true"})
    return replace(database, bridges={**database.bridges, uuid: row})
