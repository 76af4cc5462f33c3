"""One connected bridge: what is installed there, what is on its way, what went wrong. Pure: facts in, effects out.

READING --flows read--> IDLE --difference--> CHANGING --committed--> IDLE
   ^                    |  ^                    |
   |     before the first  |                    |
   |           change  v   |master              |
   |                  CLAIMING                  |
   |                       |refused             |refused
   +---- after a pause -- WAITING <-------------+

Where the switch tells that somebody else has changed its flows, it goes from IDLE to READING again. Which slot of the
switch's tables the flows are in, `ryu_apps.generations` says.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from operator import is_

from policy.flows.cookies import Kind, reason
from policy.flows.difference import Difference, change, difference
from policy.flows.fields import ETH_SRC
from policy.flows.flow import Flow, Key
from policy.flows.meters import HIGHEST_METER, Meter
from policy.flows.pieces import Wanted
from policy.flows.slots import FIRST
from policy.flows.tables import TABLES
from policy.flows.wire import Installed
from ryu_apps.drift import Drift, altered_meters, drift
from ryu_apps.facts import (
    ClaimBridge,
    Disconnect,
    DriftFound,
    Due,
    Effect,
    Later,
    ReadFlows,
    ReadMeters,
    SendBundle,
)
from ryu_apps.generations import RETIRE_AFTER, Found, Remains, shared_meters, sort
from topology.shared_map import SharedMap

# Seconds without an answer after which a bridge is taken for dead; OVS commits thousands of flows in well under one.
ANSWER_SECONDS = 30.0
# Pauses before the next try after a refusal.
FIRST_PAUSE, LAST_PAUSE = 1.0, 30.0
# Flows that somebody else keeps changing are looked at at once, but only so many times within so many seconds; and
# after so many where the switch does not tell.
LOOKS = 5
REST, LOOK_AGAIN = 1.0, 60.0
# Seconds between two looks at meters, of which no switch tells: they are few and short.
LOOK_AT_METERS = 5.0


class State(enum.Enum):
    READING = "reading its flows"
    IDLE = "idle"
    CLAIMING = "becoming its master"
    CHANGING = "changing"
    WAITING = "waiting to try again"


@dataclass(slots=True)
class Session:
    """The state of one connection. ``installed`` is what the switch holds of ours, as far as we know: flows as it has
    told them, or what was last brought there. ``slot`` is where; ``outdated`` are flows of ours that another generation
    has left in its way, and ``holders`` who had which conntrack zone in that. ``leading``: all of table 0 leads to
    ``slot``, and nothing to ``remains``.

    ``master``: the switch has made us its master, and takes changes from no former one. ``touched``: somebody else has
    changed something since it was read. ``looks``: how often it has been read for that reason lately. ``watched``: the
    switch tells of changed flows. ``metering``: a look at its meters is due. ``alike``: its meters as we knew them, and
    as it told them, when they were last the same.
    """

    dpid: int
    number: int
    state: State = State.READING
    installed: Wanted | Mapping[Key, Flow] = field(default_factory=dict)
    meters: SharedMap[int, Meter] | Mapping[int, Meter | None] = field(default_factory=dict)
    metered: bool = True
    foreign: tuple[Installed, ...] = ()
    slot: int = FIRST
    outdated: tuple[Installed, ...] = ()
    holders: frozenset[tuple[int, int]] = frozenset()
    remains: Remains = field(default_factory=Remains)
    leading: bool = False
    sending: Wanted | None = None
    sending_meters: SharedMap[int, Meter] | Mapping[int, Meter | None] = field(default_factory=dict)
    sending_retires: bool = False
    sending_revision: str | None = None
    sending_size: int = 0
    in_force: str | None = None
    serial: int = 0
    pause: float = FIRST_PAUSE
    error: str | None = None
    was_ours: bool = False
    flow_mods: int = 0
    bundles: int = 0
    refusals: int = 0
    foreign_removed: int = 0
    drift: int = 0
    master: bool = False
    touched: bool = False
    looks: int = 0
    watched: bool = True
    metering: bool = False
    alike: tuple[object, object] = (None, None)

    @property
    def idle(self) -> bool:
        """True if nothing is on its way."""
        return self.state is State.IDLE

    @property
    def underway(self) -> int:
        """How many changes are on their way."""
        return self.sending_size if self.state is State.CHANGING else 0

    @property
    def ready(self) -> bool:
        """True if nothing is on its way and the switch's flows are known."""
        return self.idle and not self.touched

    def begin(self) -> list[Effect]:
        """Read back what is there."""
        self.state = State.READING
        self.touched = False
        self.serial += 1
        return [ReadFlows(self.dpid, self.number), self._due("answer", ANSWER_SECONDS)]

    def read(
        self, entries: Iterable[Installed], meters: Mapping[int, Meter | None], most_meters: int
    ) -> list[Effect]:
        """The switch has told all its flows and meters.

        Ignored if nobody has asked: it would hide what is on its way.
        """
        if self.state is not State.READING:
            return []
        # What was there before our first word of this connection is compared with nothing.
        compared = self.in_force is not None and self.master
        there = sort(entries, self.slot if compared else None)
        others = there.outdated + there.foreign
        found = drift(self._known(), there.ours, others, self.meters, meters) if compared else Drift()
        self._take(there)
        self.meters, self.metered = meters, most_meters >= HIGHEST_METER
        # What we have put there ourselves, without a policy, is no last good policy of an earlier run.
        self.was_ours = self.was_ours or (there.enforcing and self.in_force is None)
        self.state = State.IDLE
        self.serial += 1
        if not found:
            return []
        self.drift += len(found)
        return [DriftFound(self.dpid, found.missing, found.altered, found.added, found.sample, found.cookie)]

    def _take(self, there: Found) -> None:
        self.slot, self.installed = there.slot, there.ours
        self.outdated, self.foreign, self.holders = there.outdated, there.foreign, there.holders
        self.leading = False
        self.remains.found(there.remains, in_use=bool(there.outdated))

    def _known(self) -> Mapping[Key, Flow]:
        return self.installed.flat() if isinstance(self.installed, Wanted) else self.installed

    def heard_meters(self, serial: int, meters: Mapping[int, Meter | None]) -> None:
        """The switch has told its meters; of no interest if something has happened since they were asked for."""
        if serial != self.serial or not self.idle or all(map(is_, self.alike, (self.meters, meters))):
            return
        if altered_meters(self.meters, meters):
            self.touched = True
        else:
            self.alike = self.meters, meters

    def prepare(self) -> list[Effect]:
        """What must be done before a change: become the switch's master; look again at what others have touched."""
        if self.state is not State.IDLE:
            return []
        if not self.master:
            self.state = State.CLAIMING
            self.serial += 1
            return [ClaimBridge(self.dpid, self.number), self._due("answer", ANSWER_SECONDS)]
        if self.touched and self.looks < LOOKS:
            self.looks += 1
            rest = [Later(REST, Due(self.dpid, self.number, "rest", 0))] if self.looks == 1 else []
            return [*self.begin(), *rest]
        return []

    def role(self, master: bool) -> list[Effect]:
        """The switch tells, asked or not, whether we are its master."""
        was, self.master = self.master, master
        if self.state is State.CLAIMING and master:
            self.state = State.IDLE
            self.serial += 1
            return [] if self.metering else self._look_at_meters()
        if not master and (self.state is State.CLAIMING or (was and self.state is State.IDLE)):
            return self._wait("another controller has made itself its master")
        return []

    def unclaimed(self, error: str) -> list[Effect]:
        """The switch does not make us its master: it is asked again after a pause."""
        return self._wait(error) if self.state is State.CLAIMING else []

    def unwatched(self) -> list[Effect]:
        """The switch will not tell what others change: its flows are read back now and then."""
        if not self.watched:
            return []
        self.watched = False
        return [Later(LOOK_AGAIN, Due(self.dpid, self.number, "look", 0))]

    def change(self, wanted: Wanted, revision: str) -> list[Effect]:
        """Bring the switch from what it holds to what is wanted, if it is free."""
        if self.state is not State.IDLE:
            return []
        retires = self.leading and self.remains.due
        target = wanted.meters if retires or not self.remains.slots else shared_meters(wanted.meters, self.meters)
        changes, meters = self._changes(wanted), self._meter_changes(target)
        if not changes and not self.foreign and not self.outdated and not meters and not retires:
            self.meters = target
            self.installed = wanted
            self.in_force = revision
            self.error, self.pause = None, FIRST_PAUSE
            self.leading = True
            # After a refusal, say, the wait may be over already.
            return self.change(wanted, revision) if self.remains.due else self._retire_later()
        # A flow of the same key replaces a foreign one: what is wanted must not be removed after it was added.
        keys = wanted.flat() if self.foreign or self.outdated else {}
        foreign, outdated = (
            tuple(entry for entry in entries if entry.flow is None or entry.flow.key not in keys)
            for entries in (self.foreign, self.outdated)
        )
        self.serial += 1
        self.state = State.CHANGING
        self.sending, self.sending_revision = wanted, revision
        self.sending_meters, self.sending_retires = target, retires
        before = changes.remove + changes.replaced
        bundle = SendBundle(
            self.dpid,
            self.number,
            self.serial,
            changes.add,
            changes.remove,
            foreign,
            tuple(sorted({zone for zone, _ in _holders(changes.add) - _holders(before) - self.holders})),
            any(map(_is_uplink, before)),
            tuple(now for _, there, now in meters if not there and now is not None),
            tuple(now for _, there, now in meters if there and now is not None),
            tuple(number for number, _, now in meters if now is None),
            self.slot,
            outdated,
            tuple(sorted(self.remains.slots)) if retires else (),
        )
        self.sending_size = len(bundle)
        self.flow_mods += self.sending_size
        self.foreign_removed += len(foreign)
        return [bundle, self._due("answer", ANSWER_SECONDS), *self._retire_later()]

    def _retire_later(self) -> list[Effect]:
        """Once nothing leads to old generations any more, they go after a time."""
        number = self.remains.wait() if self.leading else None
        return [] if number is None else [Later(RETIRE_AFTER, Due(self.dpid, self.number, "retire", number))]

    def _changes(self, wanted: Wanted) -> Difference:
        if wanted is self.installed:
            # As after every commit: most bridges have nothing to do with most facts.
            return Difference()
        if isinstance(self.installed, Wanted):
            return change(wanted, self.installed)
        return difference(wanted.flat(), self.installed)

    def _meter_changes(
        self, target: SharedMap[int, Meter] | Mapping[int, Meter | None]
    ) -> list[tuple[int, bool, Meter | None]]:
        """The meters that differ: number, whether there is one now, and what it is to be (None: nothing)."""
        if target is self.meters:
            return []
        if isinstance(self.meters, SharedMap) and isinstance(target, SharedMap):
            changes = target.changes_since(self.meters)
            return [(number, then is not None, now) for number, then, now in changes]
        numbers = {**target, **self.meters}
        return [
            (number, number in self.meters, target.get(number))
            for number in numbers
            if self.meters.get(number) != target.get(number) or number not in target
        ]

    def flows(self) -> Iterable[Flow]:
        """What the switch holds of ours, as far as we know."""
        return self.installed if isinstance(self.installed, Wanted) else self.installed.values()

    def count(self) -> int:
        """How many flows that are."""
        return self.installed.count() if isinstance(self.installed, Wanted) else len(self.installed)

    def done(self, serial: int) -> bool:
        """The switch has committed; False if that bundle is not the one on its way."""
        if self.state is not State.CHANGING or serial != self.serial or self.sending is None:
            return False
        self.installed, self.sending, self.foreign = self.sending, None, ()
        self.meters = self.sending_meters
        self.outdated, self.holders, self.leading = (), frozenset(), True
        if self.sending_retires:
            self.remains.gone()
        self.in_force = self.sending_revision
        self.state = State.IDLE
        self.bundles += 1
        self.pause = FIRST_PAUSE
        self.error = None
        return True

    def refused(self, serial: int, error: str) -> list[Effect]:
        """The switch has refused a bundle: what it holds is read again after a pause."""
        if self.state is not State.CHANGING or serial != self.serial:
            return []
        return self._wait(error)

    def unreadable(self, error: str) -> list[Effect]:
        """The switch has refused to tell its flows or meters, or told nonsense: it is asked again after a pause.

        While nothing is on its way only its meters have been asked for. They may be anything now: all is read anew.
        """
        self.touched |= self.idle
        return self._wait(error) if self.state is State.READING else []

    def _wait(self, error: str) -> list[Effect]:
        self.error = error
        self.refusals += 1
        self.state = State.WAITING
        self.sending = None
        pause, self.pause = self.pause, min(2 * self.pause, LAST_PAUSE)
        return [self._due("retry", pause)]

    def due(self, what: str, serial: int) -> list[Effect]:
        """A time has come that was asked for; most have been overtaken by an answer."""
        if what == "rest":
            self.looks = 0
            return []
        if what == "meters":
            self.metering = False
            if not self.master:
                return []
            again = self._look_at_meters()
            return [ReadMeters(self.dpid, self.number, self.serial), *again] if self.idle else again
        if what == "retire":
            self.remains.over(serial)
            return []
        if what == "look":
            self.touched = True
            return [Later(LOOK_AGAIN, Due(self.dpid, self.number, "look", 0))]
        if serial != self.serial:
            return []
        if what == "retry" and self.state is State.WAITING:
            return self.begin()
        if what == "answer" and self.state in (State.READING, State.CLAIMING, State.CHANGING):
            self.error = f"no answer within {ANSWER_SECONDS:g} s"
            return [Disconnect(self.dpid, self.number, self.error)]
        return []

    def priorities(self) -> Mapping[int, int]:
        """The priority that each rule has on the switch, by rule number."""
        if isinstance(self.installed, Wanted):
            return self.installed.priorities
        return {
            flow.cookie & 0xFFFFFFFF: flow.priority
            for flow in self.installed.values()
            if (why := reason(flow.cookie)) is not None and why.kind in (Kind.RULE, Kind.AUDIT)
        }

    def _look_at_meters(self) -> list[Effect]:
        self.metering = True
        return [Later(LOOK_AT_METERS, Due(self.dpid, self.number, "meters", 0))]

    def _due(self, what: str, seconds: float) -> Later:
        return Later(seconds, Due(self.dpid, self.number, what, self.serial))


_CLASSIFY = TABLES["CLASSIFY"]


def _is_uplink(flow: Flow) -> bool:
    why = reason(flow.cookie)
    return flow.table is _CLASSIFY and why is not None and why.kind is Kind.UPLINK


def _holders(flows: Iterable[Flow]) -> set[tuple[int, int]]:
    """Which conntrack zones are in use, and by the vNIC of which MAC."""
    return {
        (flow.cookie & 0xFFFF, test.value)
        for flow in flows
        if flow.table is _CLASSIFY and (why := reason(flow.cookie)) is not None and why.kind is Kind.VNIC
        for test in flow.match
        if test.field is ETH_SRC
    }
