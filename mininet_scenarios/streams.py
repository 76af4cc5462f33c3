"""Streams: numbered UDP packets at a steady rate, so that a loss, however short, can be counted."""

import time
from types import TracebackType
from typing import Any, Self

from mininet_scenarios.guest import Guest, Service
from mininet_scenarios.tries import Path, fresh_word, paths, serve


class Stream:
    """A running stream. `lost` and `received` are as of now; after `finish` they are final, down to the last packet."""

    def __init__(self, path: Path, rate: float, push: bool, number: int, name: str) -> None:
        assert isinstance(path.target, Guest)
        self.path = path
        self.rate = rate
        self.push = push
        self.sender: Guest = path.target if push else path.source
        self.receiver: Guest = path.source if push else path.target
        self.sent: int | None = None
        self._number = number
        self._name = name

    def __str__(self) -> str:
        way = f"pushed by {self.sender.name}" if self.push else f"sent by {self.sender.name}"
        return f"the stream of {self.path}, {way}, {self.rate:.0f} packets/s"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()
        self.path.source.ask("udp.close", link=self._number)

    def counts(self) -> dict[str, Any]:
        """received, expected, lost, duplicates, longest_gap, silent_for (seconds; None: nothing yet), as of now."""
        counts = self.receiver.ask("udp.counts", stream=self._name)
        if self.sent is not None:
            counts |= {"expected": self.sent, "lost": self.sent - counts["received"]}
        return counts

    @property
    def received(self) -> int:
        """Packets that have arrived."""
        return int(self.counts()["received"])

    @property
    def lost(self) -> int:
        """Packets that have not arrived though a later one has (or, after `finish`, though they were sent)."""
        return int(self.counts()["lost"])

    @property
    def longest_gap(self) -> float:
        """The longest time between two arrivals, in seconds."""
        return float(self.counts()["longest_gap"])

    def runs(self, seconds: float) -> int:
        """Let it run for a time; it must deliver. Returns how many packets arrived in that time."""
        before = self.received
        time.sleep(seconds)  # the duration is the measurement
        came = self.received - before
        if came == 0:
            raise AssertionError(f"{self}: should run, but nothing arrived in {seconds:.1f} s")
        return came

    def starts(self, within: float = 5.0) -> None:
        """Packets arrive, at the latest after `within` seconds."""
        deadline = time.monotonic() + within
        before = self.received
        while self.received == before:
            if time.monotonic() > deadline:
                raise AssertionError(f"{self}: should start, but nothing arrived in {within:.1f} s")
            time.sleep(0.02)

    def stops(self, within: float = 2.0, quiet: float = 0.5) -> None:
        """Packets stop arriving though still sent: at most `within` seconds from now a silence of `quiet` begins."""
        deadline = time.monotonic() + within + quiet
        counts = self.counts()
        while counts["silent_for"] is not None and counts["silent_for"] < quiet:
            if time.monotonic() > deadline:
                raise AssertionError(
                    f"{self}: should have stopped within {within:.1f} s, but still delivers: {counts['received']} "
                    f"packets so far, the last {counts['silent_for']:.3f} s ago"
                )
            time.sleep(min(quiet - counts["silent_for"], 0.1))
            counts = self.counts()
        before = self.sender.ask("udp.sent", stream=self._name)["sent"]
        deadline = time.monotonic() + 5.0
        while self.sender.ask("udp.sent", stream=self._name)["sent"] == before:
            if time.monotonic() > deadline:
                raise AssertionError(f"{self}: is silent, but only because nobody sends any more")
            time.sleep(0.02)

    def finish(self, drain: float = 1.0) -> Self:
        """Stop sending, let what is under way arrive (at most `drain` seconds), and make the counts final."""
        self._stop()
        deadline = time.monotonic() + drain
        while self.lost > 0 and time.monotonic() < deadline:
            time.sleep(0.02)
        return self

    def _stop(self) -> None:
        if self.sent is None:
            self.sent = int(self.sender.ask("udp.stop", stream=self._name)["sent"])


def stream(
    a: Guest,
    b: Guest,
    service: str,
    *,
    rate: float = 500,
    push: bool = False,
    over: int | None = None,
    within: float = 5.0,
) -> Stream:
    """Start a stream and see it arrive. Use it in a `with`, so that it ends.

    `a` sends to `b`; or, with `push`, `a` sends one packet and is silent from then on, and `b` streams back.
    """
    path = paths(a, b, service, over)[0]
    serve(path)
    opened = a.ask("udp.open", host=path.host, port=Service.parse(service).port)
    if "link" not in opened:
        raise AssertionError(f"{path}: the stream cannot start: {opened['outcome']}")
    name = fresh_word("stream")
    a.ask("udp.pull" if push else "udp.send", link=opened["link"], stream=name, rate=rate)
    running = Stream(path, rate, push, opened["link"], name)
    try:
        running.starts(within)
    except BaseException:
        running.__exit__(None, None, None)
        raise
    return running
