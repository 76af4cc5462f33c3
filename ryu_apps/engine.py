"""The engine: facts in, effects out. It holds all that is known and decides what each bridge must enforce.

    policy files -> PolicyLoaded --+
    OVSDB rows   -> Ovsdb* --------+--> topology + policy -> wanted flows -> difference -> SendBundle
    OpenFlow     -> Switch*, *Read, Bundle* --+

No input or output, no clock, no Ryu: every test is a plain function call. Nothing is installed on a bridge until the
policy, the databases and the bridge's own flows are known. Whatever is not known is shut.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from policy.errors import Problem
from policy.flows.bridge_book import BridgeBook
from policy.flows.compile import Compiled, PolicyBook
from policy.flows.learning import asker_mac
from policy.flows.pieces import Wanted, unmetered
from policy.model import Builtins, Document
from ryu_apps.asking import question
from ryu_apps.connection_limits import NOT_YET, ConnectionLimit, ConnectionLimits
from ryu_apps.facts import (
    Ask,
    BundleDone,
    BundleRefused,
    ClaimDue,
    Clock,
    Due,
    Effect,
    Fact,
    FlowsRead,
    FlowsTouched,
    GoOn,
    GraceOver,
    Later,
    LeaseDue,
    MetersRead,
    PolicyLoaded,
    PolicyRefused,
    Punted,
    ReadFailed,
    RetryWrites,
    RoleRefused,
    RoleTold,
    SwitchDown,
    SwitchUp,
    Unasked,
    Unwatched,
    WriteDue,
)
from ryu_apps.learn_settings import LearnSettings, sources_of
from ryu_apps.learned_texts import LearnedTexts, Texts
from ryu_apps.learner import Learner
from ryu_apps.ovsdb_facts import OvsdbLock, OvsdbLost, OvsdbSnapshot, OvsdbUpdated, OvsdbWriteFailed
from ryu_apps.policy_bounds import too_much
from ryu_apps.refused_ports import RefusedPorts
from ryu_apps.remote import Remote
from ryu_apps.session import Session
from topology.breath import breathing
from topology.everybody import Everybody
from topology.inventory import Inventory
from topology.join import Resolver
from topology.owners import Owners
from topology.ports import Bridge, Topology, VnicPort
from topology.rows import Database, apply_changes
from topology.shared_map import SharedMap
from topology.vnic import Vnic

SessionFact = (
    FlowsRead | ReadFailed | BundleDone | BundleRefused | MetersRead | FlowsTouched | Unwatched | RoleTold | RoleRefused
    | Due
)  # fmt: skip

# What is enforced on a bridge that holds nothing of ours while no policy has loaded: no rule, so nothing is allowed.
NO_POLICY = Document(Inventory(), {}, {}, (), Builtins(), "none")

# Bridges for which the flows are worked out at once: in between others get their turn, so that echoes are answered.
AT_ONCE = 4
# Changes of flows that may be on their way to the bridges of one switch before another of its bridges is changed. All
# of them share one thread there, which takes in some ten thousand a second: were all sent theirs at once, as when many
# are empty, none would be through within `session.ANSWER_SECONDS`, and all would begin anew, for ever.
UNDERWAY = 20_000
# Seconds that the outside has to object to what a vNIC has begun to use (RFC 5227 waits for one to two after a probe).
ASK_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """The settings that decide what is enforced where. ``audit``: what no rule decides is told and allowed.

    ``bridges``: globs of those to firewall, connected or not; none: whichever are handed over (`Engine.handed_over`).
    """

    remotes: tuple[str, ...]
    uplinks: tuple[str, ...] = ()
    bridges: tuple[str, ...] = ()
    audit: bool = False
    learning: LearnSettings = field(default_factory=LearnSettings)

    @property
    def looked_at(self) -> tuple[str, ...]:
        """Globs of the bridges whose ports are looked at."""
        return self.bridges or ("*",)


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
        self.remotes: dict[str, Remote] = {name: Remote(name) for name in settings.remotes}
        self.sessions: dict[int, Session] = {}
        self.topology = Topology()
        self.wanted: dict[int, Wanted] = {}
        self.refused = RefusedPorts()
        self.grace_over = False
        self.learner = Learner(settings.learning)
        self.connection_limits = ConnectionLimits()
        self._texts = LearnedTexts()
        # Bridges that have connected since the start, by remote and UUID: a datapath id may be unknown for a while.
        self.met: frozenset[tuple[str, str]] = frozenset()
        self._compiled: Compiled | None = None
        # What was worked out last, so that a change costs what changes; nothing depends on it.
        self._resolver = Resolver(settings.uplinks, settings.looked_at)
        self._policy_book = PolicyBook(audit=settings.audit, learn=sources_of(settings.learning.learn))
        self._bridge_books: dict[int, BridgeBook] = {}
        self._everybody = Everybody()
        self._vnics: SharedMap[str, Vnic] = SharedMap()
        self._owners = Owners()
        self._by_dpid: dict[int, Bridge] = {}
        self._stale = True
        # The bridge whose turn it is, and whether a `GoOn` is on its way.
        self._next: int | None = None
        self._going_on = False
        self._effects: list[Effect] = []

    def handle(self, facts: Iterable[Fact]) -> list[Effect]:
        """Take in a batch of facts; what is to be done about them."""
        self._effects = []
        for fact in facts:
            self._take(fact)
        if self._ready():
            if self._stale:
                self._recompute()
                self._learn(self.learner.follow(self.topology, self._databases()))
            if self._stale:
                self._recompute()
            self._enforce()
        self._write_learned()
        self._ask_outside()
        self._effects += self.learner.wake()
        return self._effects

    # --- taking facts in

    def _take(self, fact: Fact) -> None:
        match fact:
            case PolicyLoaded(document) if (problem := too_much(document)) is not None:
                self.policy = replace(self.policy, problems=(problem,), missing=False, seen=True)
            case PolicyLoaded(document):
                if self.policy.document is None or self.policy.document.revision != document.revision:
                    self._stale = True
                self.policy = PolicyState(document, seen=True)
            case PolicyRefused(problems, missing):
                self.policy = replace(self.policy, problems=problems, missing=missing, seen=True)
            case OvsdbSnapshot(remote, database, ours):
                known = self.remotes.setdefault(remote, Remote(remote))
                known.database, known.error, known.write_error = self._texts.amend(database), None, None
                known.ours, known.behind = ours, True
                known.ask_again()
                self.learner.look_again()
                self._stale = True
            case OvsdbLock(remote, ours):
                self.remotes[remote].ours = ours
                self.remotes[remote].behind = True
                self.remotes[remote].ask_again()
                self.learner.look_again()
                self._stale = True
            case OvsdbUpdated(remote, changes):
                known = self.remotes[remote]
                if known.database is not None:
                    known.database = apply_changes(known.database, self._texts.amend_changes(remote, changes))
                    self._stale = True
            case OvsdbLost(remote, why):
                self.remotes.setdefault(remote, Remote(remote)).error = why
            case OvsdbWriteFailed(remote, what, error):
                self._effects += self.remotes[remote].failed(what, error)
            case RetryWrites(remote, failed):
                self.remotes[remote].retry(failed)
                self.learner.look_again()
                self._stale = True
            case WriteDue(remote):
                self._effects += self.remotes[remote].write_due()
            case SwitchUp(dpid, number):
                session = self.sessions[dpid] = Session(dpid, number)
                self.wanted.pop(dpid, None)
                bridge = self.bridge(dpid)
                if bridge is not None and not self.handed_over(bridge):
                    self._stale = True
                self._stale = self.refused.forgive(dpid) or self._stale
                self._effects += session.begin()
            case SwitchDown(dpid, number):
                if dpid in self.sessions and self.sessions[dpid].number == number:
                    del self.sessions[dpid]
            case GraceOver():
                self.grace_over = True
            case GoOn():
                self._going_on = False
            case Clock(now):
                # Nothing that was learned has counted as long as the time was not known.
                self._stale = self._stale or self.learner.now is None
                self._learn(self.learner.clock(now))
            case LeaseDue(at):
                self._learn(self.learner.due(at))
            case ClaimDue(who, address):
                self._learn(self.learner.unopposed(who, address, self.topology, self.owners))
            case Unasked(who, address):
                self.learner.unasked(who, address)
            case Punted():
                self._hear(fact)
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
                self._stale = self.refused.refuse(self.bridge(fact.dpid), flow, error) or self._stale
                self._effects += session.refused(serial, error)
            case Due(_, _, what, serial):
                self._effects += session.due(what, serial)

    # --- learning

    def _hear(self, punted: Punted) -> None:
        session, bridge = self.sessions.get(punted.dpid), self.bridge(punted.dpid)
        if session is not None and session.number == punted.session and bridge is not None:
            self._learn(self.learner.hear(punted.copy, bridge, self.owners))

    def _ask_outside(self) -> None:
        """Has somebody outside an address that a vNIC has begun to use? Whoever has it says so within a moment."""
        for ask in self.learner.questions():
            session, bridge = self.sessions.get(ask.dpid), self.bridge(ask.dpid)
            if session is not None and bridge is not None and self.remotes[bridge.remote].ours:
                frame = question(asker_mac(ask.dpid), ask.address)
                due = Later(ASK_SECONDS, ClaimDue(ask.who, ask.address))
                unasked = Unasked(ask.who, ask.address)
                self._effects += [Ask(ask.dpid, session.number, ask.vlan, frame, unasked), due]
            else:
                self.learner.unasked(ask.who, ask.address)

    def _learn(self, texts: Texts) -> None:
        """What vNICs have learned counts at once, and is written, where we are the ones to write."""
        texts = {place: text for place, text in texts.items() if self.remotes[place[0]].ours}
        if not texts:
            return
        for name, changes in self._texts.put(texts, self._databases()).items():
            remote = self.remotes[name]
            assert remote.database is not None
            remote.database = apply_changes(remote.database, changes)
            remote.behind = self._stale = True

    def _write_learned(self) -> None:
        """What OVSDB does not show yet is written, in one transaction, if it is not too soon."""
        for name, remote in self.remotes.items():
            if remote.may_write_learned:
                self._effects += remote.write_learned(self._texts.unwritten(name))

    def _databases(self) -> dict[str, Database]:
        return {name: remote.database for name, remote in self.remotes.items() if remote.database is not None}

    # --- deciding

    def _ready(self) -> bool:
        """Nothing is decided before the newest policy was looked at and the databases have answered (or had time)."""
        answered = all(remote.database is not None for remote in self.remotes.values())
        return self.policy.seen and (answered or self.grace_over)

    def _recompute(self) -> None:
        document = self.policy.document or NO_POLICY
        databases = self._databases()
        resolved = self._resolver.resolve(databases, document.inventory, self.learner.sources)
        self.topology = self.refused.without(resolved)
        before = self._by_dpid
        self._by_dpid = {bridge.dpid: bridge for bridge in self.topology.bridges if bridge.dpid is not None}
        self._vnics = self._everybody.known(document.inventory, self.topology)
        compiled = self._policy_book.prepare(document, self._vnics)
        self.wanted = {
            dpid: wanted
            for dpid, wanted in self.wanted.items()
            if compiled is self._compiled and self._by_dpid.get(dpid) is before.get(dpid)
        }
        self._compiled = compiled
        standing = {(bridge.remote, bridge.uuid): bridge.dpid for bridge in self.topology.bridges}
        self.met = frozenset(key for key, dpid in standing.items() if key in self.met or dpid in self.sessions)
        self._bridge_books = {dpid: book for dpid, book in self._bridge_books.items() if dpid in self._by_dpid}
        self._stale = False
        self._write_rows()

    def _write_rows(self) -> None:
        """What the bridges that are ours need in their databases."""
        ours: dict[str, list[Bridge]] = {}
        for bridge in filter(self.handed_over, self.topology.bridges):
            ours.setdefault(bridge.remote, []).append(bridge)
        for name, remote in self.remotes.items():
            here = ours.get(name, [])
            zoneless = [holder for bridge in here for holder in bridge.zoneless]
            self._effects += remote.give_zones(zoneless)
            if self.policy.document is not None and remote.database is not None and remote.database.limits:
                limits = self.connection_limits.wanted(self.policy.document, remote.database, here)
                self._effects += remote.limit_zones(limits)
            for bridge in here:
                self._effects += remote.secure(bridge)

    def _enforce(self) -> None:
        assert self._compiled is not None
        # Those first whose turn would have been next: whoever changes all the time keeps nobody waiting.
        order = [*self.sessions]
        begin = order.index(self._next) if self._next in self.sessions else 0
        done = 0
        underway = self._underway()
        held_up: int | None = None
        for dpid in breathing(order[begin:] + order[:begin]):
            session, bridge = self.sessions[dpid], self.bridge(dpid)
            if bridge is None or not session.idle:
                continue
            if done == AT_ONCE:
                self._next = dpid if held_up is None else held_up
                if not self._going_on:
                    self._going_on = True
                    self._effects.append(Later(0.0, GoOn()))
                return
            if self.policy.document is None and session.was_ours:
                # A bridge that enforces a policy from before our start keeps it until there is one to replace it.
                continue
            if not self.remotes[bridge.remote].ours:
                continue
            self._effects += session.prepare()
            if not session.ready:
                continue
            if underway[bridge.remote] >= UNDERWAY:
                # There will be an answer about what is on its way, whatever it is, and then we are here again.
                held_up = dpid if held_up is None else held_up
                continue
            if dpid not in self.wanted:
                book = self._bridge_books.get(dpid) or BridgeBook()
                self._bridge_books[dpid] = book
                wanted = book.wanted(self._compiled, bridge, session.priorities())
                self.wanted[dpid] = wanted if session.metered else unmetered(wanted)
                # Where nothing has changed, no time to speak of was spent.
                done += self.wanted[dpid] is not session.installed
            self._effects += session.change(self.wanted[dpid], self._compiled.document.revision)
            underway[bridge.remote] += session.underway
        if held_up is not None:
            self._next = held_up

    def _underway(self) -> Counter[str]:
        """Changes of flows that are on their way, by the OVSDB server of their bridges."""
        found: Counter[str] = Counter()
        for dpid, session in self.sessions.items():
            bridge = self.bridge(dpid)
            if bridge is not None:
                found[bridge.remote] += session.underway
        return found

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

    def owners(self) -> Owners:
        """Who has which address now; of all vNICs, those of the inventory that are on no port included."""
        self._owners.take(self._vnics)
        return self._owners

    def connection_limit(self, bridge: Bridge, port: VnicPort) -> ConnectionLimit | None:
        """How many connections a firewalled vNIC may have, and whether that is enforced; None: it is not firewalled."""
        document, database = self.policy.document, self.remotes[bridge.remote].database
        if document is None or database is None or port.vnic.trusted or not self.handed_over(bridge):
            return None
        return self.connection_limits.state(document, database, bridge, port)

    def limit_is_due(self, bridge: Bridge, port: VnicPort) -> bool:
        """True if a vNIC's connections will be limited as soon as OVSDB says so."""
        database = self.remotes[bridge.remote].database
        if database is None or not database.limits:
            return False
        limit = self.connection_limit(bridge, port)
        return limit is not None and limit.why_not == NOT_YET

    @property
    def compiled(self) -> Compiled | None:
        """The policy as it is being enforced: rules, numbers, identities."""
        return self._compiled
