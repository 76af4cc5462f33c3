"""The engine: facts in, effects out. It holds all that is known and decides what each bridge must enforce.

    policy files -> PolicyLoaded --+
    OVSDB rows   -> Ovsdb* --------+--> topology + policy -> wanted flows -> difference -> SendBundle
    OpenFlow     -> Switch*, *Read, Bundle* --+

No input or output, no clock, no Ryu: every test is a plain function call. Nothing is installed on a bridge until the
policy, the databases and the bridge's own flows are known. Whatever is not known is shut.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from policy.errors import Problem
from policy.flows.bridge_book import BridgeBook
from policy.flows.compile import Compiled, PolicyBook
from policy.flows.cookies import Kind, reason
from policy.flows.fields import AUDIT
from policy.flows.flow import Flow
from policy.flows.pieces import Wanted, unmetered
from policy.flows.placement import HIGHEST, LOWEST
from policy.model import Builtins, Document, Tier
from ryu_apps.facts import (
    BundleDone,
    BundleRefused,
    Due,
    Effect,
    Fact,
    FlowsRead,
    FlowsTouched,
    GraceOver,
    Later,
    MetersRead,
    NamePrefixes,
    PolicyLoaded,
    PolicyRefused,
    ReadFailed,
    RetryWrites,
    RoleRefused,
    RoleTold,
    SecureBridge,
    SwitchDown,
    SwitchUp,
    Unwatched,
    WriteZones,
)
from ryu_apps.ovsdb_facts import OvsdbLock, OvsdbLost, OvsdbSnapshot, OvsdbUpdated, OvsdbWriteFailed
from ryu_apps.session import Session
from topology.inventory import Inventory
from topology.join import Resolver
from topology.ports import Bridge, IsolatedPort, Port, Topology, VnicPort
from topology.rows import Database, apply_changes
from topology.vnic import Everybody
from topology.zones import assign

SessionFact = (
    FlowsRead | ReadFailed | BundleDone | BundleRefused | MetersRead | FlowsTouched | Unwatched | RoleTold | RoleRefused
    | Due
)  # fmt: skip

# What is enforced on a bridge that holds nothing of ours while no policy has loaded: no rule, so nothing is allowed.
NO_POLICY = Document(Inventory(), {}, {}, (), Builtins(), "none")

# Code of a port that is shut because a switch does not take its flows.
REFUSED = "refused-by-switch"

# Rules that a tier can hold.
CAPACITY = HIGHEST - LOWEST + 1

# Seconds before a write is tried again that OVSDB has refused, and before one that it seems to have forgotten.
WRITE_PAUSE, WRITE_CHECK = 5.0, 30.0


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """The settings that decide what is enforced where. ``audit``: what no rule decides is told and allowed.

    ``bridges``: globs of those to firewall, connected or not; none: whichever are handed over (`Engine.handed_over`).
    """

    remotes: tuple[str, ...]
    uplinks: tuple[str, ...] = ()
    bridges: tuple[str, ...] = ()
    audit: bool = False

    @property
    def looked_at(self) -> tuple[str, ...]:
        """Globs of the bridges whose ports are looked at."""
        return self.bridges or ("*",)


@dataclass(slots=True)
class Remote:
    """One OVSDB server. ``database`` None: never seen. ``error`` None: connected.

    ``ours``: we hold its lock, or held it when the server was lost; only then anything is written there, or to its
    bridges.

    ``zones_asked`` and ``secured`` are the writes on their way: nothing is asked for twice until one of the two
    `RetryWrites` comes, of which at most one each is on its way too (``retry_due``, ``check_due``).
    """

    database: Database | None = None
    error: str | None = "not connected yet"
    ours: bool = False
    write_error: str | None = None
    zones_asked: dict[str, int] = field(default_factory=dict)
    secured: set[str] = field(default_factory=set)
    prefixed: set[str] = field(default_factory=set)
    retry_due: bool = False
    check_due: bool = False

    def ask_again(self) -> None:
        """Forget what was asked for: what OVSDB does not show is asked for again."""
        self.zones_asked.clear()
        self.secured.clear()
        self.prefixed.clear()


@dataclass(slots=True)
class PolicyState:
    """The policy in use and what became of the newest files."""

    document: Document | None = None
    problems: tuple[Problem, ...] = ()
    missing: bool = False
    seen: bool = False


class Engine:
    """All state of the controller."""

    def __init__(self, settings: EngineSettings) -> None:
        self.settings = settings
        self.policy = PolicyState()
        self.remotes: dict[str, Remote] = {name: Remote() for name in settings.remotes}
        self.sessions: dict[int, Session] = {}
        self.topology = Topology()
        self.wanted: dict[int, Wanted] = {}
        # Ports whose flows a switch has refused, and its error: they stay shut until something about them changes.
        self.refused: dict[tuple[int, str], tuple[VnicPort, str]] = {}
        self.grace_over = False
        # Bridges that have connected since the start, by remote and UUID: a datapath id may be unknown for a while.
        self.met: frozenset[tuple[str, str]] = frozenset()
        self._compiled: Compiled | None = None
        # What was worked out last, so that a change costs what changes; nothing depends on it.
        self._resolver = Resolver(settings.uplinks, settings.looked_at)
        self._policy_book = PolicyBook(audit=settings.audit)
        self._bridge_books: dict[int, BridgeBook] = {}
        self._everybody = Everybody()
        self._by_dpid: dict[int, Bridge] = {}
        self._stale = True
        self._effects: list[Effect] = []

    def handle(self, facts: Iterable[Fact]) -> list[Effect]:
        """Take in a batch of facts; what is to be done about them."""
        self._effects = []
        for fact in facts:
            self._take(fact)
        if self._ready():
            if self._stale:
                self._recompute()
            self._enforce()
        return self._effects

    # --- taking facts in

    def _take(self, fact: Fact) -> None:
        match fact:
            case PolicyLoaded(document) if (problem := _too_many_rules(document)) is not None:
                self.policy = replace(self.policy, problems=(problem,), missing=False, seen=True)
            case PolicyLoaded(document):
                if self.policy.document is None or self.policy.document.revision != document.revision:
                    self._stale = True
                self.policy = PolicyState(document, seen=True)
            case PolicyRefused(problems, missing):
                self.policy = replace(self.policy, problems=problems, missing=missing, seen=True)
            case OvsdbSnapshot(remote, database, ours):
                known = self.remotes.setdefault(remote, Remote())
                known.database, known.error, known.write_error, known.ours = database, None, None, ours
                known.ask_again()
                self._stale = True
            case OvsdbLock(remote, ours):
                self.remotes[remote].ours = ours
                self.remotes[remote].ask_again()
                self._stale = True
            case OvsdbUpdated(remote, changes):
                known = self.remotes[remote]
                if known.database is not None:
                    known.database = apply_changes(known.database, changes)
                    self._stale = True
            case OvsdbLost(remote, why):
                self.remotes.setdefault(remote, Remote()).error = why
            case OvsdbWriteFailed(remote, what, error):
                known = self.remotes[remote]
                known.write_error = f"{what}: {error}"
                if not known.retry_due:
                    known.retry_due = True
                    self._effects.append(Later(WRITE_PAUSE, RetryWrites(remote, failed=True)))
            case RetryWrites(remote, failed):
                known = self.remotes[remote]
                if failed:
                    known.retry_due, known.write_error = False, None
                else:
                    known.check_due = False
                known.ask_again()
                self._stale = True
            case SwitchUp(dpid, number):
                session = self.sessions[dpid] = Session(dpid, number)
                self.wanted.pop(dpid, None)
                bridge = self.bridge(dpid)
                if bridge is not None and not self.handed_over(bridge):
                    self._stale = True
                # Perhaps it is another OVS by now, which can do what the last one refused.
                if any(where == dpid for where, _ in self.refused):
                    self.refused = {key: told for key, told in self.refused.items() if key[0] != dpid}
                    self._stale = True
                self._effects += session.begin()
            case SwitchDown(dpid, number):
                if dpid in self.sessions and self.sessions[dpid].number == number:
                    del self.sessions[dpid]
            case GraceOver():
                self.grace_over = True
            case FlowsRead() | ReadFailed() | BundleDone() | BundleRefused() | Due():
                self._of_session(fact)
            case MetersRead() | FlowsTouched() | Unwatched() | RoleTold() | RoleRefused():
                self._of_session(fact)

    def _of_session(self, fact: SessionFact) -> None:
        session = self.sessions.get(fact.dpid)
        if session is None or session.number != fact.session:
            return
        match fact:
            case FlowsRead(_, _, entries, meters, most_meters):
                metered = session.metered
                self._effects += session.read(entries, meters, most_meters)
                if session.metered is not metered:
                    # What is wanted depends on whether the switch has meters.
                    self.wanted.pop(fact.dpid, None)
            case MetersRead(_, _, serial, meters):
                session.heard_meters(serial, meters)
            case FlowsTouched():
                session.touched = True
            case Unwatched():
                self._effects += session.unwatched()
            case RoleTold(_, _, master):
                self._effects += session.role(master)
                bridge = self.bridge(fact.dpid)
                if not master and bridge is not None and self.remotes[bridge.remote].error is not None:
                    # While we cannot ask who holds the server's lock, the switch's word counts.
                    self.remotes[bridge.remote].ours = False
            case RoleRefused(_, _, error):
                self._effects += session.unclaimed(error)
            case ReadFailed(_, _, error):
                self._effects += session.unreadable(error)
            case BundleDone(_, _, serial):
                session.done(serial)
            case BundleRefused(_, _, serial, error, flow):
                self._shut_out(fact.dpid, flow, error)
                self._effects += session.refused(serial, error)
            case Due(_, _, what, serial):
                self._effects += session.due(what, serial)

    def _shut_out(self, dpid: int, flow: Flow | None, error: str) -> None:
        """A vNIC whose own flow a switch refuses must not hold up the others: it is shut, and says so."""
        why = reason(flow.cookie) if flow is not None else None
        bridge = self.bridge(dpid)
        if why is None or why.kind is not Kind.VNIC or bridge is None:
            return
        for port in bridge.vnic_ports:
            if port.zone == why.number:
                self.refused[dpid, port.interface_uuid] = (port, f"the switch refused its flows: {error}")
                self._stale = True

    # --- deciding

    def _ready(self) -> bool:
        """Nothing is decided before the newest policy was looked at and the databases have answered (or had time)."""
        answered = all(remote.database is not None for remote in self.remotes.values())
        return self.policy.seen and (answered or self.grace_over)

    def _recompute(self) -> None:
        document = self.policy.document or NO_POLICY
        databases = {name: remote.database for name, remote in self.remotes.items() if remote.database is not None}
        self.topology = self._without_refused(self._resolver.resolve(databases, document.inventory))
        self._by_dpid = {bridge.dpid: bridge for bridge in self.topology.bridges if bridge.dpid is not None}
        vnics = self._everybody.known(document.inventory, self.topology.vnic_ports)
        self._compiled = self._policy_book.prepare(document, vnics)
        standing = {(bridge.remote, bridge.uuid): bridge.dpid for bridge in self.topology.bridges}
        self.met = frozenset(key for key, dpid in standing.items() if key in self.met or dpid in self.sessions)
        self.wanted = {}
        self._bridge_books = {dpid: book for dpid, book in self._bridge_books.items() if dpid in self._by_dpid}
        self._stale = False
        self._ask_for_zones(databases)
        self._secure_bridges()

    def _without_refused(self, topology: Topology) -> Topology:
        if not self.refused:
            return topology
        standing = {
            (bridge.dpid, port.interface_uuid): port
            for bridge in topology.bridges
            for port in bridge.vnic_ports
            if bridge.dpid is not None
        }
        self.refused = {key: told for key, told in self.refused.items() if standing.get(key) == told[0]}
        if not self.refused:
            return topology
        return replace(topology, bridges=tuple(map(self._shut_refused, topology.bridges)))

    def _shut_refused(self, bridge: Bridge) -> Bridge:
        ports: list[Port] = []
        for port in bridge.ports:
            if isinstance(port, VnicPort) and bridge.dpid is not None:
                told = self.refused.get((bridge.dpid, port.interface_uuid))
                if told is not None:
                    port = _shut(port, told[1])
            ports.append(port)
        return replace(bridge, ports=tuple(ports))

    def _ask_for_zones(self, databases: Mapping[str, Database]) -> None:
        zoneless: dict[str, list[VnicPort]] = {name: [] for name in databases}
        for bridge in filter(self.handed_over, self.topology.bridges):
            zoneless[bridge.remote] += [port for port in bridge.vnic_ports if port.zone is None]
        for name, database in databases.items():
            remote = self.remotes[name]
            if remote.error is not None or not remote.ours:
                continue
            without = {port.interface_uuid for port in zoneless[name]}
            asked = {uuid: zone for uuid, zone in remote.zones_asked.items() if uuid in without}
            missing = [port for port in zoneless[name] if port.interface_uuid not in asked]
            new = dict(assign(database, missing, reserved=asked.values())) if missing else {}
            remote.zones_asked = asked | new
            if new:
                self._effects.append(WriteZones(name, tuple(sorted(new.items()))))
                self._check_later(name)

    def _secure_bridges(self) -> None:
        for bridge in filter(self.handed_over, self.topology.bridges):
            remote = self.remotes[bridge.remote]
            if not remote.ours:
                continue
            if remote.error is None and bridge.uuid not in remote.prefixed:
                remote.prefixed.add(bridge.uuid)
                self._effects.append(NamePrefixes(bridge.remote, bridge.uuid))
            open_mode = bridge.fail_mode != "secure" or bridge.in_band
            if not open_mode:
                remote.secured.discard(bridge.uuid)
            elif remote.error is None and bridge.uuid not in remote.secured:
                remote.secured.add(bridge.uuid)
                self._effects.append(SecureBridge(bridge.remote, bridge.uuid, bridge.name))
                self._check_later(bridge.remote)

    def _check_later(self, name: str) -> None:
        """A write whose answer is lost, or whose row somebody else changed back, must not be waited for forever."""
        remote = self.remotes[name]
        if not remote.check_due:
            remote.check_due = True
            self._effects.append(Later(WRITE_CHECK, RetryWrites(name, failed=False)))

    def _enforce(self) -> None:
        assert self._compiled is not None
        for dpid, session in self.sessions.items():
            bridge = self.bridge(dpid)
            if bridge is None or not session.idle:
                continue
            if self.policy.document is None and session.was_ours:
                # A bridge that enforces a policy from before our start keeps it until there is one to replace it.
                continue
            if not self.remotes[bridge.remote].ours:
                continue
            self._effects += session.prepare()
            if not session.ready:
                continue
            if dpid not in self.wanted:
                book = self._bridge_books.setdefault(dpid, BridgeBook())
                wanted = book.wanted(self._compiled, bridge, session.priorities())
                self.wanted[dpid] = wanted if session.metered else unmetered(wanted)
            self._effects += session.change(self.wanted[dpid], self._compiled.document.revision)

    # --- asking

    def bridge(self, dpid: int) -> Bridge | None:
        """The managed bridge with this datapath id."""
        return self._by_dpid.get(dpid)

    def handed_over(self, bridge: Bridge) -> bool:
        """True if the bridge is ours to firewall; of any other bridge, nothing is changed and nothing is expected.

        That is so if the settings name it, or it has connected since the start. Or if it stays shut without a
        controller: then a restart finds that we, or somebody on our behalf, made it so.
        """
        if self.settings.bridges or bridge.fail_mode == "secure":
            return True
        return (bridge.remote, bridge.uuid) in self.met

    @property
    def compiled(self) -> Compiled | None:
        """The policy as it is being enforced: rules, numbers, identities."""
        return self._compiled


def _shut(port: VnicPort, why: str) -> IsolatedPort:
    return IsolatedPort(port.name, port.ofport, why, port.vnic.name, REFUSED, port.interface_uuid)


def _too_many_rules(document: Document) -> Problem | None:
    """A policy that the loader takes but no switch could: each rule of a tier has a priority of its own, and each
    policy in audit a number of few bits."""
    audits = [policy for policy in document.policies if policy.audit]
    if len(audits) > AUDIT.full:
        return Problem(audits[AUDIT.full].place, f"more than {AUDIT.full} policies in audit")
    counts: dict[Tier, int] = {}
    for policy in document.policies:
        counts[policy.tier] = counts.get(policy.tier, 0) + len(policy.rules)
        if counts[policy.tier] > CAPACITY:
            return Problem(policy.place, f"more than {CAPACITY:,} rules in tier {policy.tier.name.lower()}")
    return None
