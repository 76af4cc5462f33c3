"""Numbered packets: sent at a steady rate, noted where they arrive, so that a loss, however short, can be counted.

A packet is 18 bytes, number, time of sending and padding: with Ethernet's headers and checksum a frame of 64.
"""

import struct
import threading
import time
from array import array
from collections.abc import Callable

PACKET = struct.Struct("!qq2x")


class Arrivals:
    """What has come from one sender: number, time of sending and of arrival of each packet."""

    def __init__(self) -> None:
        self.numbers = array("q")
        self.sent = array("q")
        self.came = array("q")

    def note(self, data: bytes, now: int) -> None:
        """A packet arrived."""
        number, sent = PACKET.unpack(data[: PACKET.size])
        self.numbers.append(number)
        self.sent.append(sent)
        self.came.append(now)

    def tally(self, first: int, end: int) -> dict[str, float | int]:
        """Of the packets `first` up to `end`: how many arrived, how many never did, and the longest stall, in seconds.

        A stall is how long packets that were sent did not arrive: from the sending of the last packet before those that
        are missing, to the next arrival. So a sender that pauses makes none.
        """
        times = {
            number: (sent, came)
            for number, sent, came in zip(self.numbers, self.sent, self.came, strict=True)
            if first <= number < end
        }
        longest = 0
        previous: int | None = None
        for number in sorted(times):
            sent, came = times[number]
            if previous is not None and number > previous + 1:
                sent = times[previous][0]  # the missing one was sent no earlier
            longest = max(longest, came - sent)
            previous = number
        return {"lost": end - first - len(times), "stall": longest / 1e9, "received": len(times)}


class Sender:
    """Sends numbered packets at a rate, in a thread; late packets are sent at once, none is left out."""

    def __init__(self, rate: float, send: Callable[[bytes], object]) -> None:
        self.number = 0
        self._rate = rate
        self._send = send
        self._running = True
        self._thread = in_thread(self._go)

    def stop(self) -> int:
        """End it; how many were sent."""
        self._running = False
        self._thread.join()
        return self.number

    def _go(self) -> None:
        began = time.monotonic()
        while self._running:
            due = int((time.monotonic() - began) * self._rate)
            while self.number < due:
                try:
                    self._send(PACKET.pack(self.number, time.time_ns()))
                except ConnectionRefusedError:
                    pass  # an ICMP error for an earlier one; this one was not sent, but it counts as lost
                except OSError:  # closed, or a TCP connection whose buffer is full: the packet is lost
                    if not self._running:
                        return
                self.number += 1
            time.sleep(max(0.0, began + (self.number + 1) / self._rate - time.monotonic()))


def in_thread(what: Callable[..., None], *arguments: object) -> threading.Thread:
    """Do something in a thread that ends with the process."""
    thread = threading.Thread(target=what, args=arguments, daemon=True)
    thread.start()
    return thread
