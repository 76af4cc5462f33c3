"""The OpenFlow side: effects become messages, answers become facts. Nothing is decided here.

Which connections there are, and which of a bridge's is used. What is said on one is the matter of its talks, a file
each.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable
from typing import Any

from ryu.lib import hub

from policy.flows.openflow import WireError
from ryu_apps.facts import (
    Answer,
    Ask,
    ClaimBridge,
    Heard,
    ReadFlows,
    ReadMeters,
    SendBundle,
    SwitchDown,
    SwitchUp,
)
from ryu_apps.switches import packets, raw
from ryu_apps.switches.bundles import Bundles
from ryu_apps.switches.counting import Counting
from ryu_apps.switches.errors import error_text
from ryu_apps.switches.flow_monitor import Watch
from ryu_apps.switches.line import Line, Talk
from ryu_apps.switches.mastership import Mastership
from ryu_apps.switches.readings import MetersReading, Reading

LOG = logging.getLogger(__name__)

# Complaints about nothing that we know of which one connection may log.
MAX_COMPLAINTS = 10

raw.leave_unread()


class Connection:
    """One OpenFlow connection, and all that is talked about on it."""

    def __init__(self, line: Line, *, watched: bool = False) -> None:
        self.line = line
        self.bundles = Bundles(line)
        self.reading = Reading(line)
        self.meters = MetersReading(line)
        self.counting = Counting(line)
        self.watch = Watch(line, asked=watched)
        self.mastership = Mastership(line)
        self.talks: tuple[Talk, ...] = (
            self.bundles, self.reading, self.meters, self.counting, self.watch, self.mastership,
        )  # fmt: skip
        self._complaints = 0

    def complain(self, error: object) -> None:
        """Log something that is worth a line, but not any number of lines."""
        if self._complaints < MAX_COMPLAINTS:
            self._complaints += 1
            LOG.warning("bridge %016x: %s", self.line.dpid, error)


class Switches:
    """All connections. ``emit`` takes facts and reports; it must only put them into a queue."""

    def __init__(self, emit: Callable[[Heard], None], spawn: Callable[..., object] = hub.spawn) -> None:
        self._emit = emit
        self._spawn = spawn
        # A bridge that has two controllers configured which are both us, or whose old connection has not been found
        # dead yet, is connected several times. The newest connection is used; the others wait in its place.
        self._connections: dict[int, list[Connection]] = {}
        self._numbers = itertools.count(1)

    def up(self, datapath: Any) -> None:  # noqa: ANN401 (Ryu's Datapath is untyped)
        """A connection is ready."""
        connections = self._connections.setdefault(datapath.id, [])
        if connections:
            LOG.warning(
                "bridge %016x: connected from %s, though also from %s; using the newest connection",
                *(datapath.id, datapath.address, connections[-1].line.datapath.address),
            )
        connections.append(self._new(datapath))
        self._emit(SwitchUp(datapath.id, connections[-1].line.session))

    def down(self, datapath: Any) -> None:  # noqa: ANN401
        """A connection has ended."""
        connections = self._connections.get(datapath.id, [])
        connection = next((each for each in connections if each.line.datapath is datapath), None)
        if connection is None:
            return
        used = connection is connections[-1]
        connections.remove(connection)
        if used:
            self._emit(SwitchDown(datapath.id, connection.line.session))
        if not connections:
            del self._connections[datapath.id]
        elif used:
            # What this one was told when it was in use may be long ago: it begins anew, but for what the switch would
            # not take a second time on one connection.
            last = connections[-1]
            connections[-1] = self._new(last.line.datapath, watched=last.watch.asked)
            self._emit(SwitchUp(datapath.id, connections[-1].line.session))

    def _new(self, datapath: Any, *, watched: bool = False) -> Connection:  # noqa: ANN401
        return Connection(Line(datapath, next(self._numbers), self._emit, self._spawn), watched=watched)

    def _find(self, dpid: int, session: int) -> Connection | None:
        connections = self._connections.get(dpid)
        return connections[-1] if connections and connections[-1].line.session == session else None

    def _heard_on(self, message: Any) -> Connection | None:  # noqa: ANN401
        connections = self._connections.get(message.datapath.id)
        return connections[-1] if connections and connections[-1].line.datapath is message.datapath else None

    # --- sending

    def read(self, effect: ReadFlows) -> None:
        """Ask for all flows and meters; and first, once a connection, to be told of what others change from now on."""
        if connection := self._find(effect.dpid, effect.session):
            connection.reading.ask(before=connection.watch.request())

    def read_meters(self, effect: ReadMeters) -> None:
        """Ask for the meters alone."""
        if connection := self._find(effect.dpid, effect.session):
            connection.meters.ask(effect.serial)

    def count(self) -> int:
        """Ask all bridges what they have counted. Tells how many will answer, if nothing goes wrong."""
        return sum([connections[-1].counting.ask() for connections in self._connections.values()])

    def claim(self, effect: ClaimBridge) -> None:
        """Become the bridge's master."""
        if connection := self._find(effect.dpid, effect.session):
            connection.mastership.claim()

    def send(self, effect: SendBundle) -> None:
        """Send a bundle."""
        if connection := self._find(effect.dpid, effect.session):
            connection.bundles.send(effect)

    def answer(self, effect: Answer, slot: int) -> None:
        """Send a frame back to where a packet came from; ``slot`` is that of the bridge's tables in force."""
        if connection := self._find(effect.dpid, effect.session):
            packets.answer(connection.line, effect, slot)

    def ask(self, effect: Ask, slot: int) -> None:
        """Send a question to the outside; ``slot`` as above. Where nobody can be asked, silence must not count."""
        connection = self._find(effect.dpid, effect.session)
        if connection is None or not packets.ask(connection.line, effect, slot):
            self._emit(effect.unasked)

    def disconnect(self, dpid: int, session: int) -> None:
        """Close a connection; `down` follows."""
        if connection := self._find(dpid, session):
            connection.line.close()

    # --- hearing

    def heard_bundle(self, message: Any) -> None:  # noqa: ANN401
        """An answer about a bundle."""
        if connection := self._heard_on(message):
            connection.bundles.heard(message)

    def heard_error(self, message: Any) -> None:  # noqa: ANN401
        """An error: about something of ours, else only worth a line in the log."""
        connection = self._heard_on(message)
        if connection is None:
            return
        error = error_text(message)
        for talk in connection.talks:
            if talk.expects(message.xid):
                talk.refused(message.xid, error)
                return
        connection.complain(f"{error}, about nothing that is on its way")

    def heard_role(self, message: Any) -> None:  # noqa: ANN401
        """An answer about who is master."""
        if connection := self._heard_on(message):
            connection.mastership.heard_role(message)

    def heard_demotion(self, message: Any) -> None:  # noqa: ANN401
        """Another controller has become master."""
        if connection := self._heard_on(message):
            connection.mastership.heard_demotion(message)

    def heard_updates(self, message: Any) -> None:  # noqa: ANN401
        """Others have changed flows."""
        if connection := self._heard_on(message):
            connection.watch.heard(message)

    def heard_flows(self, message: Any) -> None:  # noqa: ANN401
        """A part of an answer about flows or meters: what they are, or what they have counted."""
        if connection := self._heard_on(message):
            for talk in (connection.reading, connection.meters, connection.counting):
                if talk.expects(message.xid):
                    talk.heard(message)
                    return

    def heard_packet(self, message: Any) -> None:  # noqa: ANN401
        """A copy of a packet."""
        if connection := self._heard_on(message):
            try:
                copy = packets.punted(connection.line, bytes(message.buf))
            except WireError as error:
                connection.complain(error)
            else:
                self._emit(copy)
