"""The one worker: drains the queue of facts in batches, asks the engine, carries its effects out.

An exception here is a defect that nobody could have handled: it is logged with its facts and ends the process. The
switches keep enforcing what they have.
"""

from __future__ import annotations

import logging
import os
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from ryu.lib import hub

from policy import collector
from policy.flows.learning import is_about_claims
from policy.flows.slots import SLOTS, on_wire
from policy.flows.tables import TABLES
from policy.plain import clean, counted
from ryu_apps.engine import Engine
from ryu_apps.facts import (
    Answer,
    Ask,
    BundleRefused,
    ClaimBridge,
    Clock,
    Disconnect,
    DriftFound,
    Effect,
    Fact,
    FlowsCounted,
    FlowsRead,
    FlowsTold,
    Heard,
    Later,
    LimitZones,
    NamePrefixes,
    Punted,
    ReadFailed,
    ReadFlows,
    ReadMeters,
    Report,
    SecureBridge,
    SendBundle,
    WriteLearned,
    WriteZones,
)
from ryu_apps.ovsdb import OvsdbClient
from ryu_apps.reports.happenings import Happenings
from ryu_apps.reports.reporter import Reporter
from ryu_apps.settling import Settling
from ryu_apps.status import Status, enforced, status_of, troubles
from ryu_apps.switches.readings import read
from ryu_apps.switches.switches import Switches
from ryu_apps.turns import Turns
from topology.breath import breathing
from topology.ports import Finding, Topology

LOG = logging.getLogger(__name__)

# The address fields that our tables match by prefix, by the tables' numbers in all slots.
PREFIXES = {on_wire(table, slot): table.prefixes for table in TABLES.values() for slot in SLOTS if table.prefixes}

# Characters of a defect's facts that are logged: a snapshot of a database is a fact too.
MAX_DOING = 10_000
# Facts of one batch: enough to swallow a burst, few enough that the first is acted on soon.
BATCH = 1000
# Turns of others after which what was said has gone out: our own green thread's, and Ryu's sender's.
TURNS = 2
# Copies of packets that may wait to be learned from. Meters let few of them come.
MAX_COPIES = 1000
EXIT_DEFECT = 70


def end_of_process(doing: str) -> NoReturn:
    """Logs the exception being handled, and ends the process."""
    LOG.critical("defect while handling %s; the switches keep what they enforce", doing[:MAX_DOING], exc_info=True)
    logging.shutdown()
    os._exit(EXIT_DEFECT)


class Worker:
    """Holds the queue between those who hear and the engine, and tells those who wait when something has changed."""

    def __init__(self, engine: Engine, reporter: Reporter | None = None) -> None:
        self.engine = engine
        self.reporter = reporter or Reporter(engine)
        self._happenings = Happenings(engine)
        self.switches = Switches(self.put)
        self.databases: Mapping[str, OvsdbClient] = {}
        self._status: Status | None = None
        self._looked_at: tuple[Topology, object, tuple[Finding, ...]] = Topology(), None, ()
        # The OVSDB servers on whose bridges we enforced when troubles were last looked at.
        self._ours: frozenset[str] = frozenset()
        self._logged: frozenset[str] = frozenset()
        self._copies = 0
        self.copies_lost = 0
        self._settling = Settling()
        self._queue: Any = hub.Queue()
        # What bridges have told of their flows, to be read one after the other.
        self._told: deque[FlowsTold] = deque()
        self._busy = False
        # How many batches have been handled.
        self.turns = 0
        self._changed = hub.Event()
        # Held by whoever needs the engine to stay as it is, though others get their turn meanwhile.
        self._engine_stays = hub.Semaphore(1)

    def put(self, fact: Heard) -> None:
        """Take a fact from whoever heard it; returns at once."""
        if isinstance(fact, Punted) and self.engine.learner.wants(fact.copy):
            self._put_copy(fact)
            if not is_about_claims(fact.copy):
                return
        if isinstance(fact, Report):
            self.reporter.put(fact)
            return
        self._queue.put(fact)

    def _put_copy(self, fact: Punted) -> None:
        """A copy to learn from; lost if too many wait."""
        if self._copies < MAX_COPIES:
            self._copies += 1
            self._queue.put(fact)
            return
        if not self.copies_lost:
            LOG.warning("more copies about addresses than can be looked at: some are lost; guests repeat themselves")
        self.copies_lost += 1

    def start(self) -> None:
        """Begin; returns at once."""
        self.reporter.start(self._carry_out, end_of_process)
        hub.spawn(self._run)

    def count(self, seconds: float) -> None:
        """Have the switches' counters read; returns when all that are connected have told, or after ``seconds``."""
        self.reporter.wait_counted(self.switches.count, seconds)

    def wait_for_change(self, timeout: float) -> None:
        """Return when a batch has been handled, or after ``timeout`` seconds."""
        self._changed.wait(timeout)

    @property
    def waiting(self) -> int:
        """Facts that wait to be handled."""
        return int(self._queue.qsize()) + len(self._told)

    @property
    def idle(self) -> bool:
        """True if no fact waits to be handled, and the status tells of all that were."""
        return not self._busy and not self.waiting

    @property
    def settled(self) -> bool:
        """True if all that was heard is in force, or the policy is refused: nobody need wait."""
        return self.idle and (bool(self.engine.policy.problems) or enforced(self.engine))

    @property
    def status(self) -> Status:
        """What the controller says of itself; made when somebody asks, once for all who ask before the next change."""
        with self._engine_stays:
            if self._status is None:
                self._status = status_of(self.engine)
            return self._status

    def _run(self) -> None:
        batch: list[Fact | FlowsTold] = []
        turns = Turns()
        try:
            while True:
                batch = self._next_batch()
                self._copies -= sum(isinstance(fact, Punted) for fact in batch)
                with collector.paused():
                    with self._engine_stays:
                        self._handle(batch)
                        self._status = None
                        self._log_troubles()
                        self._settling.settle()
                    self._busy = False
                    self.turns += 1
                    self._changed.set()
                    self._changed = hub.Event()
                    # The queue may never run dry: the others must get their turn all the same. And what is said to
                    # switches is on its way before the collector looks at what is new.
                    for _ in range(TURNS):
                        turns.pass_on()
        except Exception:
            end_of_process(repr(batch))

    def _next_batch(self) -> list[Fact | FlowsTold]:
        """The facts that wait, and at their end one that is to be read yet, if there is one.

        Once read that is large, so it is handled before the next is read; and what is short goes before it: a bridge
        that becomes ours has all its flows compared, and forgotten, before those of others are read.
        """
        batch: list[Fact | FlowsTold] = []
        while len(batch) < BATCH and not (self._queue.empty() and (batch or self._told)):
            heard = self._queue.get()
            self._busy = True
            (self._told if isinstance(heard, FlowsTold) else batch).append(heard)
        if self._told:
            batch.append(self._told.popleft())
        return batch

    def _handle(self, batch: Sequence[Fact | FlowsTold]) -> None:
        facts: list[Fact] = [read(fact) if isinstance(fact, FlowsTold) else fact for fact in batch]
        for fact in facts:
            if isinstance(fact, BundleRefused):
                LOG.error("bridge %s: bundle %d refused: %s", self._called(fact.dpid), fact.serial, clean(fact.error))
            elif isinstance(fact, ReadFailed):
                LOG.error("bridge %s: %s", self._called(fact.dpid), clean(fact.error))
            elif isinstance(fact, FlowsRead):
                self.reporter.put(FlowsCounted(fact.dpid, fact.session, fact.entries))
        # Whatever happens, what time it is comes first.
        now = time.time()
        effects = self.engine.handle([Clock(now), *facts])
        for effect in breathing(effects, 1):
            self._carry_out(effect)
        if self.reporter.spouts:
            self.reporter.tell(self._happenings.look(effects, now))

    def _log_troubles(self) -> None:
        """What is shut or contradictory is a line in the log when that begins, and when it ends."""
        engine = self.engine
        ours = frozenset(name for name, remote in engine.remotes.items() if remote.ours)
        looked_at = engine.topology, engine.met, engine.learner.findings()
        if looked_at[0] is self._looked_at[0] and looked_at[1:] == self._looked_at[1:] and ours == self._ours:
            return
        # What ends because another controller judges there now has not ended.
        lost = self._ours - ours
        self._looked_at, self._ours = looked_at, ours
        now = frozenset(troubles(engine))
        for trouble in sorted(now - self._logged):
            LOG.warning("%s", trouble)
        for trouble in sorted(self._logged - now) if not lost else ():
            LOG.info("no longer: %s", trouble)
        self._logged = now

    def _carry_out(self, effect: Effect) -> None:
        carry: Mapping[type, Callable[[Any], None]] = {
            ReadFlows: self.switches.read,
            Answer: lambda e: self._send_frame(self.switches.answer, e),
            Ask: lambda e: self._send_frame(self.switches.ask, e),
            ReadMeters: self.switches.read_meters,
            ClaimBridge: self.switches.claim,
            DriftFound: self._alarm,
            SendBundle: self._send,
            Disconnect: self._disconnect,
            Later: self._later,
            WriteZones: lambda e: self.databases[e.remote].write_zones(dict(e.zones)),
            LimitZones: lambda e: self.databases[e.remote].limit_zones(e.limits),
            SecureBridge: self._secure,
            WriteLearned: lambda e: self.databases[e.remote].write_learned(dict(e.texts)),
            NamePrefixes: lambda e: self.databases[e.remote].name_prefixes(e.uuid, PREFIXES),
        }
        carry[type(effect)](effect)

    def _send_frame(self, send: Callable[[Any, int], None], effect: Answer | Ask) -> None:
        session = self.engine.sessions.get(effect.dpid)
        if session is not None:
            send(effect, session.slot)
        elif isinstance(effect, Ask):
            self.put(effect.unasked)

    def _alarm(self, effect: DriftFound) -> None:
        LOG.error(
            "ALARM bridge %s: somebody else has changed it: %d missing, %d altered, %d added; %s; repairing",
            *(self._called(effect.dpid), effect.missing, effect.altered, effect.added, effect.sample),
        )

    def _send(self, effect: SendBundle) -> None:
        bridge = self._called(effect.dpid)
        LOG.info("bridge %s: bundle %d: +%d -%d flows", bridge, effect.serial, len(effect.add), len(effect.remove))
        if effect.outdated:
            LOG.info("bridge %s: from now on the tables are in slot %d", bridge, effect.slot)
        for slot in effect.retire:
            LOG.info("bridge %s: emptying slot %d: no packet is on its way there any more", bridge, slot)
        if effect.foreign:
            removed = counted(len(effect.foreign), "flow that is not ours", "flows that are not ours")
            LOG.warning("bridge %s: removing %s", bridge, removed)
        self.switches.send(effect)

    def _disconnect(self, effect: Disconnect) -> None:
        LOG.error("bridge %s: %s; disconnecting", self._called(effect.dpid), effect.why)
        self.switches.disconnect(effect.dpid, effect.session)

    def _called(self, dpid: int) -> str:
        """A bridge by its name and host, as people know it, and its datapath id, as other lines of the log have it."""
        bridge = self.engine.bridge(dpid)
        return f"{dpid:016x}" if bridge is None else clean(f"{bridge.name} of {bridge.host} ({dpid:016x})")

    def _later(self, effect: Later) -> None:
        hub.spawn_after(effect.seconds, self.put, effect.fact)

    def _secure(self, effect: SecureBridge) -> None:
        name = clean(effect.name)
        LOG.warning("bridge %s: setting fail_mode=secure and disable-in-band=true, so that it never opens", name)
        self.databases[effect.remote].set_bridge(effect.uuid)
