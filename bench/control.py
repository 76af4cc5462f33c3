"""Measures of a control plane: cold start, changes, cuts, restart. What is measured are packets, not promises.

*third* sends a numbered packet to *right* every millisecond. A change that opens is in force when the first of them
arrives, one that shuts when the last has arrived; a change's command is part of its time. All the while *left* sends a
thousand packets a second to *right*, which no change concerns, and none of which may be lost.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from bench.figures import summary
from bench.peer import PATIENCE, PROBE_PORT, STEADY_PORT, Controlled, Peer, now, seconds_between, threads_seconds
from bench.workload import LEFT, RIGHT, SECOND_ADDRESS, THIRD
from mininet_scenarios.lab.controller import ControllerError

RATE = 1000.0
# A stream counts as cut when nothing has come for so long; seconds.
QUIET = 0.3
# After this a stream whose rule is gone counts as never cut; seconds.
NEVER = 3.0
# What is said to be established before its rule goes.
CUT_RATE = 200.0
# Long enough for what is done every few seconds.
IDLE = 10.0
# Between a change and the next: whoever watches files takes what comes at once for a part of the same change; seconds.
APART = 0.2
# What still may be on its way when a stream is counted.
DRAIN = 0.3


def cold(peer: Peer) -> dict[str, Any]:
    """All vNICs appear at once on a running control plane; then the control plane starts on a bridge without flows."""
    right, third = peer.players[RIGHT], peer.players[THIRD]
    right.ask("receive", name="probe", port=PROBE_PORT)
    third.ask("send", name="probe", host=peer.work.vm(RIGHT).address, port=PROBE_PORT, rate=RATE)
    before = peer.processor_times()
    began = now()
    peer.plug_all()
    known = now()
    bound = _all_in_force(peer, began)
    result = {
        "ports known": seconds_between(began, known),
        "ports to enforced": seconds_between(began, bound),
        "ports processor": _used(peer, before),
    }
    if not isinstance(peer, Controlled):
        return result
    # Processes that stay (OVN's databases) are counted from here, new ones from their start.
    before = peer.processor_times()
    peer.forget()
    began = now()
    peer.start()
    started = _all_in_force(peer, began)
    result |= {"cold start": seconds_between(began, started), "cold start processor": _used(peer, before)}
    return result


def _used(peer: Peer, before: dict[int, float]) -> float:
    return sum(seconds - before.get(pid, 0.0) for pid, seconds in peer.processor_times().items())


def _all_in_force(peer: Peer, began: int) -> int:
    """When the control plane says that all is in force, and a packet has come through."""
    peer.wait_all()
    said = now()
    return max(said, _first(peer, "probe", began))


def _first(peer: Peer, stream: str, began: int) -> int:
    at = peer.players[RIGHT].ask("first_after", name=stream, time_ns=began, timeout=PATIENCE)["at"]
    if at is None:
        raise ControllerError(f"{peer.name}: nothing of {stream} arrived in {PATIENCE:.0f} s")
    return int(at)


def _last(peer: Peer, stream: str) -> int:
    at = peer.players[RIGHT].ask("last", name=stream, quiet=QUIET, timeout=PATIENCE)["at"]
    if at is None:
        raise ControllerError(f"{peer.name}: {stream} still arrives after {PATIENCE:.0f} s")
    return int(at)


class Steady:
    """The stream that no change concerns: counts what is lost from its making to `result`."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._first = self._sent()

    def result(self) -> dict[str, Any]:
        """sent, lost, and the longest stall in seconds."""
        end = self._sent()
        time.sleep(DRAIN)
        tally = self._peer.players[RIGHT].ask("tally", name="steady", first=self._first, end=end)
        return {"sent": end - self._first, "lost": tally["lost"], "stall": tally["stall"]}

    def _sent(self) -> int:
        return int(self._peer.players[LEFT].ask("sent", name="steady")["sent"])


def start_steady(peer: Peer) -> None:
    """*left* begins to send; returns when it arrives."""
    peer.players[RIGHT].ask("receive", name="steady", port=STEADY_PORT)
    began = now()
    peer.players[LEFT].ask("send", name="steady", host=peer.work.vm(RIGHT).address, port=STEADY_PORT, rate=RATE)
    _first(peer, "steady", began)


def changes(peer: Peer, repetitions: int) -> dict[str, Any]:
    """Latencies of each kind of change, in seconds, and what the steady stream lost meanwhile."""
    kinds: dict[str, tuple[str, Callable[[bool], None]]] = {
        "port": ("probe", lambda present: peer.plug_third() if present else peer.unplug_third()),
    }
    if isinstance(peer, Controlled):
        kinds = {
            "rule": ("probe", peer.set_rule),
            "member": ("probe", peer.set_member),
            "address": ("second", peer.set_address),
        } | kinds
        peer.players[RIGHT].ask("receive", name="second", port=PROBE_PORT + 1)
        peer.players[THIRD].ask(
            *("send",), name="second", host=peer.work.vm(RIGHT).address, port=PROBE_PORT + 1, rate=RATE,
            source=SECOND_ADDRESS,
        )  # fmt: skip
        _opens(peer, "second", peer.set_address)
    result: dict[str, Any] = {}
    for kind, (stream, change) in kinds.items():
        steady = Steady(peer)
        opened, shut = [], []
        for _ in range(repetitions):
            time.sleep(APART)
            began = now()
            change(False)
            shut.append(seconds_between(began, _last(peer, stream)))
            opened.append(_opens(peer, stream, change))
        result[kind] = {"opens": summary(opened), "steady": steady.result()}
        if kind != "port":  # a port that is gone lets nothing through, whoever controls it
            result[kind]["shuts"] = summary(shut)
    return result


def _opens(peer: Peer, stream: str, change: Callable[[bool], None]) -> float:
    began = now()
    change(True)
    return seconds_between(began, _first(peer, stream, began))


def cuts(peer: Controlled, repetitions: int) -> dict[str, list[float | None]]:
    """How long after its rule is gone a connection still carries packets, in seconds; None: it is never cut."""
    found: dict[str, list[float | None]] = {"tcp": [], "udp": [], "push": []}
    right, third = peer.players[RIGHT], peer.players[THIRD]
    host = peer.work.vm(RIGHT).address
    for number in range(repetitions):
        # Never a port twice: nothing of an earlier connection is found again.
        tcp, udp, push = (PROBE_PORT + 10 + 3 * number + place for place in range(3))
        right.ask("listen", name="tcp", port=tcp)
        right.ask("receive", name="udp", port=udp)
        right.ask("push", name="push", port=push, rate=CUT_RATE)
        third.ask("talk", name="tcp", host=host, port=tcp, rate=CUT_RATE)
        third.ask("send", name="udp", host=host, port=udp, rate=CUT_RATE)
        third.ask("pull", name="push", host=host, port=push)
        receivers = {"tcp": right, "udp": right, "push": third}
        began = now()
        for name, receiver in receivers.items():
            if receiver.ask("first_after", name=name, time_ns=began, timeout=5.0)["at"] is None:
                raise ControllerError(f"{peer.name}: the {name} connection does not come up")
        time.sleep(APART)
        began = now()
        peer.set_rule(False)
        peer.confirm()
        for name, receiver in receivers.items():
            at = receiver.ask("last", name=name, quiet=QUIET, timeout=NEVER)["at"]
            found[name].append(None if at is None else max(0.0, seconds_between(began, at)))
        for player in (right, third):
            for name in receivers:
                player.ask("forget", name=name)
        _opens(peer, "probe", peer.set_rule)
    return found


def restarts(peer: Controlled, repetitions: int) -> list[dict[str, Any]]:
    """The control plane is killed (-9) and started: what the steady stream lost, and how long until all was said to be
    in force again, in seconds."""
    found = []
    for _ in range(repetitions):
        steady = Steady(peer)
        peer.kill()
        began = now()
        peer.start()
        peer.wait_all()
        peer.confirm()
        seconds = seconds_between(began, now())
        time.sleep(1.0)  # what comes after "in force" is part of the restart
        found.append(steady.result() | {"seconds": seconds})
    return found


def idle(peer: Controlled) -> float:
    """Processor time of the control plane when nothing happens: seconds per second."""
    before = sum(map(threads_seconds, peer.pids()))
    time.sleep(IDLE)
    return (sum(map(threads_seconds, peer.pids())) - before) / IDLE


def stop_streams(peer: Peer) -> None:
    """End all streams: the data plane is measured alone."""
    for name, streams in ((LEFT, ["steady"]), (THIRD, ["probe", "second"])):
        for stream in streams:
            peer.players[name].ask("forget", name=stream)
