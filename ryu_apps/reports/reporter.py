"""Hears the switches' reports beside the worker, in a green thread of its own: no flood of them delays a change.

Copies of packets wait in a bounded queue; those that find it full are dropped and counted.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from ryu.lib import hub

from ryu_apps.engine import Engine
from ryu_apps.facts import Answer, MetersCounted, Punted, Report
from ryu_apps.reports.desk import PACE, Line, Moment
from ryu_apps.reports.reports import Page, Reports, ReportSettings
from ryu_apps.reports.sinks import sink_of
from ryu_apps.reports.spout import Spout
from ryu_apps.turns import Turns

LOG = logging.getLogger(__name__)

# Copies of packets that may wait, and reports that are heard before others get their turn.
MAX_WAITING = 5000
BATCH = 100


class Reporter:
    """``sinks`` name where lines go (`ryu_apps.reports.sinks.sink_of`). Raises `SinkUnknown`."""

    def __init__(self, engine: Engine, settings: ReportSettings | None = None, sinks: Sequence[str] = ()) -> None:
        self.reports = Reports(engine, settings)
        # One named twice is one all the same.
        self.spouts = tuple(Spout(name, sink_of(name)) for name in dict.fromkeys(sinks))
        self.lost = 0
        # How many times a bridge has told its counters in full.
        self._readings = 0
        self._read = hub.Event()
        self._waiting: deque[Report] = deque()
        self._more = hub.Event()

    @property
    def waiting(self) -> int:
        """Reports that are not heard yet."""
        return len(self._waiting)

    def put(self, report: Report) -> None:
        """Take a report; returns at once."""
        if isinstance(report, Punted) and len(self._waiting) >= MAX_WAITING:
            self.lost += 1
            return
        self._waiting.append(report)
        self._more.set()

    def tell(self, lines: Sequence[Line]) -> None:
        """Lines that are about no packet."""
        for spout in self.spouts:
            spout.put(lines)

    def wait_counted(self, ask: Callable[[], int], seconds: float) -> None:
        """Ask bridges for their counters, and wait until as many as were asked have told, or for ``seconds``."""
        deadline = time.monotonic() + seconds
        wanted = self._readings + ask()
        while self._readings < wanted and (left := deadline - time.monotonic()) > 0:
            self._read.wait(left)

    def start(self, carry_out: Callable[[Answer], None], on_defect: Callable[[str], None]) -> None:
        """Begin; returns at once. ``on_defect`` is told of an exception that nobody has foreseen."""
        for spout in self.spouts:
            spout.start(on_defect)
        hub.spawn(self._run, carry_out, on_defect)

    def page(self) -> Page:
        """What has been counted, with what got lost on the way to the log."""
        page = self.reports.page()
        losses: Any = page["losses"]
        sinks = [spout.page() for spout in self.spouts]
        return {
            **page,
            "losses": {**losses, "reports": self.lost, "sinks": sum(sink["lost"] for sink in sinks)},
            "sinks": sinks,
        }

    def _note_readings(self, batch: Sequence[Report]) -> None:
        told = sum(isinstance(report, MetersCounted) for report in batch)
        if told:
            self._readings += told
            self._read.set()
            self._read = hub.Event()

    def _run(self, carry_out: Callable[[Answer], None], on_defect: Callable[[str], None]) -> None:
        batch: list[Report] = []
        turns = Turns()
        try:
            while True:
                # What the desk holds back must be told even if nothing more comes.
                self._more.wait(PACE if self.reports.desk.holds else None)
                self._more.clear()
                while True:
                    batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
                    heard = self.reports.hear(batch, Moment(time.time(), time.monotonic()))
                    self._note_readings(batch)
                    for told in heard.answers:
                        carry_out(told)
                    for spout in self.spouts:
                        spout.put(heard.lines)
                    turns.pass_on()
                    if not self._waiting:
                        break
        except Exception:
            on_defect(repr(batch))
