"""Which events become lines: each connection's decision once, drops once a second, and no rule more than its rate.

Pure: events in, lines out, the time passed in. What is left out is counted, and told in the next line. All memory is
bounded, whatever a guest sends.
"""

from __future__ import annotations

import math
from collections import Counter, OrderedDict
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from policy.flows.cookies import Reason
from ryu_apps.reports.events import DROP, Event

# Seconds in which a connection's decision is not told again. A client's SYN comes up to 63 s after its first
# (Linux: tcp_syn_retries 6).
WINDOW = 128.0
MAX_RECENT = 65536
# Seconds between two lines about one vNIC and one reason.
PACE = 1.0
MAX_HELD = 16384
# Seconds between two looks at what is held back: there may be much of it, and reports come by the thousand.
WALK = PACE / 4
DEFAULT_RATE = 100.0


@dataclass(frozen=True, slots=True)
class Moment:
    """Now: ``wall`` in seconds since the epoch, which lines tell; ``ticks`` in seconds of a clock nobody sets."""

    wall: float
    ticks: float


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the log, without its end. ``refused``: something was not let through."""

    text: str
    wall: float
    kind: str
    refused: bool


@dataclass(slots=True)
class _Bucket:
    tokens: float
    filled: float
    suppressed: int = 0


@dataclass(slots=True)
class _Held:
    told: float
    event: Event
    count: int = 0


@dataclass
class Desk:
    """``rate``: the most lines a second of one rule, and as many at once after a pause.

    ``logged`` and ``suppressed`` count lines told and events not told, by what they are about.
    """

    rate: float = DEFAULT_RATE
    logged: Counter[Reason] = field(default_factory=Counter)
    suppressed: Counter[Reason] = field(default_factory=Counter)
    _recent: OrderedDict[tuple[object, ...], float] = field(default_factory=OrderedDict)
    _buckets: dict[Reason, _Bucket] = field(default_factory=dict)
    _walked: float = -math.inf
    _held: OrderedDict[tuple[object, ...], _Held] = field(default_factory=OrderedDict)

    @property
    def holds(self) -> bool:
        """True if something waits for `due`."""
        return bool(self._held)

    def hear(self, event: Event, now: Moment) -> Iterator[Line]:
        """The lines, if any, that an event is worth now."""
        if event.kind == DROP:
            yield from self._drop(event, now)
            return
        while self._recent and next(iter(self._recent.values())) <= now.ticks:
            self._recent.popitem(last=False)
        if event.identity in self._recent:
            return
        bucket = self._filled(event.why, now)
        if bucket.tokens < 1:
            bucket.suppressed += 1
            self.suppressed[event.why] += 1
            return
        bucket.tokens -= 1
        left_out, bucket.suppressed = bucket.suppressed, 0
        self._recent[event.identity] = now.ticks + WINDOW
        if len(self._recent) > MAX_RECENT:
            self._recent.popitem(last=False)
        yield self._line(event, now, suppressed=left_out)

    def due(self, now: Moment) -> Iterator[Line]:
        """The lines that were held back and may be told now. To be asked about once a second while it `holds`."""
        if now.ticks - self._walked < WALK:
            return
        self._walked = now.ticks
        for identity, held in list(self._held.items()):
            if now.ticks - held.told >= PACE:
                del self._held[identity]
                if held.count:
                    self._held[identity] = _Held(now.ticks, held.event)
                    yield self._line(held.event, now, repeated=held.count - 1)

    def keep(self, reasons: Collection[Reason]) -> None:
        """Forget all other reasons: their rules are gone."""
        for memory in (self.logged, self.suppressed, self._buckets):
            for why in memory.keys() - reasons:
                del memory[why]

    def _drop(self, event: Event, now: Moment) -> Iterator[Line]:
        held = self._held.get(event.identity)
        if held is not None and now.ticks - held.told < PACE:
            held.count += 1
            held.event = event
            self.suppressed[event.why] += 1
            return
        if held is None and len(self._held) >= MAX_HELD:
            _, oldest = self._held.popitem(last=False)
            if oldest.count:
                yield self._line(oldest.event, now, repeated=oldest.count - 1)
        self._held[event.identity] = _Held(now.ticks, event)
        yield self._line(event, now, repeated=held.count if held is not None else 0)

    def _filled(self, why: Reason, now: Moment) -> _Bucket:
        # A rate below one line a second still has a whole line to give.
        most = max(self.rate, 1.0)
        bucket = self._buckets.setdefault(why, _Bucket(most, now.ticks))
        bucket.tokens = min(most, bucket.tokens + max(0.0, now.ticks - bucket.filled) * self.rate)
        bucket.filled = now.ticks
        return bucket

    def _line(self, event: Event, now: Moment, **counts: int) -> Line:
        self.logged[event.why] += 1
        return Line(event.line(now.wall, **counts), now.wall, event.kind, event.refused)
