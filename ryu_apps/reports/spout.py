"""A queue in front of each sink, drained by a green thread: whoever has a line to write never waits.

When a sink takes nothing, its oldest lines are dropped, and counted: what happens now is worth more.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from eventlet import tpool
from ryu.lib import hub

from ryu_apps.reports.desk import Line
from ryu_apps.reports.sinks import NotWritten, Sink

LOG = logging.getLogger(__name__)

MAX_WAITING = 10_000
# Lines of one writing.
BATCH = 500
# Seconds before a sink that has failed is tried again.
PAUSE = 1.0


class Spout:
    """One sink and its queue. ``error`` None: the last writing went well; ``errors`` counts those that did not."""

    def __init__(self, name: str, sink: Sink) -> None:
        self.name = name
        self.written = 0
        self.lost = 0
        self.errors = 0
        self.error: str | None = None
        self._sink = sink
        self._waiting: deque[Line] = deque()
        self._more = hub.Event()

    @property
    def waiting(self) -> int:
        """Lines that are not written yet."""
        return len(self._waiting)

    def put(self, lines: Iterable[Line]) -> None:
        """Take lines to be written; returns at once."""
        self._waiting.extend(lines)
        self._shed()
        self._more.set()

    def start(self, on_defect: Callable[[str], None]) -> None:
        """Begin to write; returns at once. ``on_defect`` is told of an exception that nobody has foreseen."""
        hub.spawn(self._run, on_defect)

    def page(self) -> dict[str, Any]:
        """How it fares (docs/status.md)."""
        return {
            "sink": self.name,
            "error": self.error,
            "errors": self.errors,
            "written": self.written,
            "lost": self.lost,
            "waiting": self.waiting,
        }

    def _run(self, on_defect: Callable[[str], None]) -> None:
        try:
            # Before there is a line: who has named a place that cannot be written is told now, not with the first line.
            self._more.set()
            while True:
                self._more.wait()
                self._more.clear()
                self.pour(tpool.execute)
                while self._waiting or self.error is not None:
                    if self.error is not None:
                        hub.sleep(PAUSE)
                    self.pour(tpool.execute)
        except Exception:
            on_defect(f"the log {self.name}")

    def pour(self, run: Callable[..., None]) -> None:
        """Write some of what waits. What is not written goes back to its place, as far as there is room.

        ``run`` calls a function with arguments, in a real thread.
        """
        batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
        try:
            run(self._sink.write, batch)
        except NotWritten as error:
            self.written += error.written
            self.errors += 1
            if self.error is None:
                LOG.warning("the log %s cannot be written: %s; it is tried again", self.name, error)
            self.error = str(error)
            self.lost += error.lost
            self._waiting.extendleft(reversed(batch[error.written + error.lost :]))
            self._shed()
            return
        if self.error is not None:
            LOG.warning("the log %s is written again; %d lines of it are lost", self.name, self.lost)
        self.written += len(batch)
        self.error = None

    def _shed(self) -> None:
        while len(self._waiting) > MAX_WAITING:
            self._waiting.popleft()
            self.lost += 1
