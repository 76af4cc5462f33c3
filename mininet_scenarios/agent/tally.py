"""Numbered packets: who sends them at a steady rate, and who counts what arrives."""

import asyncio
from collections.abc import Callable
from typing import Any

# After a pause of the whole machine a sender catches up by no more than this, so as not to overrun buffers.
MOST_TO_CATCH_UP = 20


class Sender:
    """Sends numbered packets at a steady rate until it is stopped."""

    def __init__(self, stream: str, rate: float, send: Callable[[bytes], None]) -> None:
        self.stream = stream
        self.sent = 0
        self._rate = rate
        self._send = send
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            self._send(f"seq {self.stream} {self.sent}".encode().ljust(64))
            self.sent += 1
            due = max(due + 1 / self._rate, loop.time() - MOST_TO_CATCH_UP / self._rate)
            await asyncio.sleep(due - loop.time())

    def stop(self) -> int:
        """Stop; tell how many packets were sent."""
        self._task.cancel()
        return self.sent


class Tally:
    """Counts numbered packets as they arrive."""

    def __init__(self) -> None:
        self._seen = bytearray()
        self.received = 0
        self.duplicates = 0
        self.longest_gap = 0.0
        self._last: float | None = None

    def note(self, number: int, now: float) -> None:
        """Packet `number` arrived."""
        if number >= len(self._seen):
            self._seen.extend(bytes(number + 1 - len(self._seen)))
        if self._seen[number]:
            self.duplicates += 1
            return
        self._seen[number] = 1
        self.received += 1
        if self._last is not None:
            self.longest_gap = max(self.longest_gap, now - self._last)
        self._last = now

    def counts(self, now: float) -> dict[str, Any]:
        """All there is to know; `expected` is up to the highest number seen, `silent_for` None before the first."""
        return {
            "received": self.received,
            "expected": len(self._seen),
            "lost": len(self._seen) - self.received,
            "duplicates": self.duplicates,
            "longest_gap": self.longest_gap,
            "silent_for": None if self._last is None else now - self._last,
        }
