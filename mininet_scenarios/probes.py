"""Probes: scans, many connections at once, raw frames, and counting what arrives."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mininet_scenarios.guest import Guest, Service
from mininet_scenarios.tries import Path, name_of, paths, serve


@dataclass(frozen=True)
class Scan:
    """What a port scan found: the open ports, and how many were closed (a reset) or silent."""

    open: tuple[int, ...]
    closed: int
    silent: int
    seconds: float


def scan(a: Guest, b: Guest | str, first: int, last: int, *, over: int | None = None, rate: float = 2000) -> Scan:
    """`a` sends SYNs to the ports `first` to `last` of `b`, `rate` a second, twice to those that do not answer."""
    path = paths(a, b, "tcp/0", over)[0]
    begun = a.begin("scan.syn", host=path.host, first=first, last=last, rate=rate)
    found = a.answer(begun, 3 * (last - first + 1) / rate + 5)
    return Scan(tuple(found["open"]), found["closed"], found["silent"], found["seconds"])


@dataclass(frozen=True)
class Many:
    """What became of many connections: how many of each outcome, in how many seconds, the slowest single one."""

    path: Path
    outcomes: dict[str, int]
    seconds: float
    slowest: float

    @property
    def connected(self) -> int:
        """How many were established."""
        return self.outcomes.get("connected", 0)

    def __str__(self) -> str:
        told = ", ".join(f"{count} {outcome}" for outcome, count in sorted(self.outcomes.items()))
        return f"{self.path}: {told} in {self.seconds:.1f} s, the slowest {self.slowest:.3f} s"


def many(
    a: Guest,
    b: Guest | str,
    service: str,
    count: int,
    *,
    parallel: int = 1,
    timeout: float = 5.0,
    over: int | None = None,
) -> Many:
    """`a` opens and closes `count` TCP connections to `b`, `parallel` at a time. It tells; it claims nothing."""
    path = paths(a, b, service, over)[0]
    serve(path)
    port = Service.parse(service).port
    begun = a.begin("tcp.many", host=path.host, port=port, count=count, timeout=timeout, parallel=parallel)
    told = a.answer(begun, timeout * count / parallel)
    return Many(path, told["outcomes"], told["seconds"], told["slowest"])


class Sniffer:
    """Counts the frames that arrive at a guest and fit.

    `where` names fields and their values: src_mac, dst_mac, ethertype, vlan, src, dst, protocol, sport, dport,
    icmp_type (addresses as text, the rest as numbers); `contains` is a piece of the frame.
    """

    def __init__(self, guest: Guest, where: dict[str, Any] | None = None, contains: bytes = b"") -> None:
        self.guest = guest
        self.where = where or {}
        self._number = guest.ask("frames.sniff", where=self.where, contains=contains.hex())["sniffer"]

    @property
    def count(self) -> int:
        """How many have arrived so far."""
        return int(self.guest.ask("frames.seen", sniffer=self._number)["count"])

    @property
    def frames(self) -> list[bytes]:
        """The first of them (at most 50)."""
        return [bytes.fromhex(text) for text in self.guest.ask("frames.seen", sniffer=self._number)["frames"]]

    def sees(self, at_least: int = 1, within: float = 10.0) -> None:
        """At least so many frames arrive, within so many seconds."""
        seen = self.guest.ask("frames.seen", sniffer=self._number, at_least=at_least, timeout=within)
        if seen["count"] < at_least:
            raise AssertionError(
                f"{name_of(self.guest)} should see {at_least} frames with {self.where}, but saw {seen['count']} "
                f"in {within:.1f} s"
            )

    def sees_nothing(self, watch: float = 0.5) -> None:
        """Not one frame that fits has arrived since it began, nor arrives in the next `watch` seconds."""
        seen = self.guest.ask("frames.seen", sniffer=self._number, at_least=1, timeout=watch)
        if seen["count"]:
            raise AssertionError(
                f"{name_of(self.guest)} should see no frame with {self.where}, but saw {seen['count']}; "
                f"the first: {seen['frames'][0]}"
            )

    def close(self) -> None:
        """Stop counting."""
        self.guest.ask("frames.stop", sniffer=self._number)


@contextlib.contextmanager
def sniff(guest: Guest, where: dict[str, Any] | None = None, contains: bytes = b"") -> Iterator[Sniffer]:
    """Count what arrives at a guest while something else happens."""
    sniffer = Sniffer(guest, where, contains)
    try:
        yield sniffer
    finally:
        sniffer.close()


def send_frame(guest: Guest, frame: bytes, *, count: int = 1, rate: float = 1000) -> None:
    """The guest puts a raw frame on the wire, `count` times."""
    begun = guest.begin("frames.send", frame=frame.hex(), count=count, rate=rate)
    guest.answer(begun, 2 * count / rate)
