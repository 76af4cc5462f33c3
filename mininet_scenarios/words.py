"""The words that tests and scenarios are written in: what the users of guests see of a network.

    reaches(web, db, "tcp/3306")
    blocked(web, db, "tcp/22", control="tcp/3306")
    link = connect(web, db, "tcp/3306")
    ...policy changes...
    now_cut(link)

Each word is a claim: it returns when the claim has been measured, and raises an AssertionError that reads like a
sentence when it does not hold. A positive claim may become true until a deadline; a negative one is watched for a
short, stated time, at both ends. A guest that is called serves by itself, so "blocked" never means "nobody is there".
Claims are about every address family that both guests have, unless `over=4` or `over=6`.
"""

import time

from mininet_scenarios.guest import Guest
from mininet_scenarios.links import Link, connect, now_cut, still_open
from mininet_scenarios.probes import Many, Scan, Sniffer, many, scan, send_frame, sniff
from mininet_scenarios.streams import Stream, stream
from mininet_scenarios.tries import Outcome, Path, attempt, came_through, paths, serve

__all__ = [
    "Guest",
    "Link",
    "Many",
    "Scan",
    "Sniffer",
    "Stream",
    "blocked",
    "connect",
    "many",
    "now_cut",
    "reaches",
    "rejected",
    "scan",
    "send_frame",
    "sniff",
    "still_open",
    "stream",
]

# One try of a positive claim: short enough to try often, longer than the kernel's first TCP retransmission.
TRY = 1.2


def reaches(a: Guest, b: Guest | str, service: str, *, over: int | None = None, within: float = 5.0) -> float:
    """A new connection (question, echo) of `a` is answered by `b`, at the latest after `within` seconds.

    Returns the seconds that the slowest family's successful try took.
    """
    slowest = 0.0
    for path in paths(a, b, service, over):
        serve(path)
        slowest = max(slowest, _reached(path, within).seconds)
    return slowest


def _reached(path: Path, within: float) -> Outcome:
    deadline = time.monotonic() + within
    tries = 0
    while True:
        tries += 1
        began = time.monotonic()
        outcome = attempt(path, TRY)
        if came_through(path, outcome):
            return outcome
        if time.monotonic() >= deadline:
            raise AssertionError(
                f"{path}: should get through, but did not in {within:.1f} s, {tries} tries; the last: {outcome}"
            )
        # A refusal comes at once: ask again in a moment, not in a loop that does nothing else.
        time.sleep(max(0.0, 0.05 - (time.monotonic() - began)))


def blocked(
    a: Guest,
    b: Guest | str,
    service: str,
    *,
    over: int | None = None,
    watch: float = 0.6,
    control: str | None = None,
) -> None:
    """Nothing of `a`'s gets through to `b` on this service, watched for `watch` seconds for each family.

    Watched at both ends: `a` gets no answer from `b`, and nothing of it arrives at `b`. With `control`, a service that
    must get through before and after, so that the silence is not that of a dead network.
    """
    for path in paths(a, b, service, over):
        if control is not None:
            reaches(a, b, control, over=path.family)
        serve(path)
        _watched(path, watch)
        if control is not None:
            reaches(a, b, control, over=path.family)


def _watched(path: Path, watch: float) -> None:
    sniffer = Sniffer(path.target, path.frame_filter()) if isinstance(path.target, Guest) else None
    deadline = time.monotonic() + watch
    tries = 0
    try:
        while (left := deadline - time.monotonic()) > 0:
            tries += 1
            began = time.monotonic()
            outcome = attempt(path, min(left, max(watch / 2, 0.1)))
            if came_through(path, outcome):
                raise AssertionError(f"{path}: should be blocked, but try {tries} came through: {outcome}")
            time.sleep(max(0.0, min(0.05, deadline - time.monotonic()) - (time.monotonic() - began)))
        if sniffer is not None and sniffer.count:
            raise AssertionError(
                f"{path}: should be blocked, and no answer came back, but {sniffer.count} packets of {tries} tries "
                f"arrived at {path.target}; the first: {sniffer.frames[0].hex()}"
            )
    finally:
        if sniffer is not None:
            sniffer.close()


def rejected(a: Guest, b: Guest | str, service: str, *, over: int | None = None, within: float = 5.0) -> None:
    """`a` is told "no" (a reset or an ICMP error) instead of silence, and `b`, who serves, hears nothing."""
    for path in paths(a, b, service, over):
        serve(path)
        sniffer = Sniffer(path.target, path.frame_filter()) if isinstance(path.target, Guest) else None
        try:
            _told_no(path, within)
            if sniffer is not None and sniffer.count:
                raise AssertionError(f"{path}: was rejected, yet {sniffer.count} packets arrived at {path.target}")
        finally:
            if sniffer is not None:
                sniffer.close()


def _told_no(path: Path, within: float) -> None:
    deadline = time.monotonic() + within
    while True:
        outcome = attempt(path, TRY)
        if outcome.outcome in ("refused", "unreachable", "reset"):
            return
        if came_through(path, outcome):
            raise AssertionError(f"{path}: should be rejected, but came through: {outcome}")
        if time.monotonic() >= deadline:
            raise AssertionError(f"{path}: should be rejected, but nobody said no in {within:.1f} s; last: {outcome}")
