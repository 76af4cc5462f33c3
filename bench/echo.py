"""How soon a controller answers a switch's echo requests: the lag of its event loop, seen from outside.

The switch is none: it says who it is, refuses whatever it is asked, and asks for echoes all the time. A controller that
lets echoes wait for seconds is taken for dead by its switches (``inactivity_probe``).

On a machine that others use too, an echo also waits for a processor: for the controller's turn, and for that of whoever
asks. How long that was the kernel tells (``schedstat``).
"""

from __future__ import annotations

import os
import socket
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from mininet_scenarios.lab.inside import connected_socket

VERSION = 5  # OpenFlow 1.4
HELLO, ERROR, ECHO_REQUEST, ECHO_REPLY, FEATURES_REQUEST, FEATURES_REPLY = 0, 1, 2, 3, 5, 6
HEAD = struct.Struct("!BBHI")
# Messages that want no answer, so that none is refused: errors, packets out, flow and meter mods within a bundle.
SILENT = {HELLO, ERROR, ECHO_REPLY, 13, 14, 29, 34}
BAD_REQUEST, BAD_TYPE = 1, 1
PERIOD = 0.02
# Seconds for whoever is called to listen.
PATIENCE = 60.0
STRANGER = 0xFFFF_0000_0000_0001


class Lag(NamedTuple):
    """Seconds until an answer came, and for how much of them both could not have run for want of a processor."""

    seconds: float
    starved: float

    @property
    def own(self) -> float:
        """What the controller itself has taken."""
        return max(self.seconds - self.starved, 0.0)


def starved(pid: int, thread: int | None = None) -> float:
    """Seconds for which a thread (by default the process's first) has been ready to run, and has waited, so far."""
    return int(Path(f"/proc/{pid}/task/{thread or pid}/schedstat").read_text().split()[1]) / 1e9


class Echo(threading.Thread):
    """Asks until it is stopped. ``pid`` tells the controller's process."""

    def __init__(self, namespace: str | None, port: int, pid: Callable[[], int]) -> None:
        super().__init__(daemon=True)
        self._address = namespace, ("127.0.0.1", port)
        self._pid = pid
        self._lags: list[Lag] = []
        self._lock = threading.Lock()
        self._ends = threading.Event()
        self._failed: Exception | None = None
        # Its own address, as `ss` writes it.
        self.here = ""

    def take(self) -> list[Lag]:
        """The lags since the last time. Raises what has ended the connection, if something has."""
        with self._lock:
            found, self._lags = self._lags, []
        if self._failed is not None:
            raise self._failed
        return found

    def stop(self) -> None:
        """End it."""
        self._ends.set()
        if self.is_alive():
            self.join()

    def run(self) -> None:
        """Keep a connection, and ask; who is called may not listen yet."""
        try:
            with self._connected() as line:
                self.here = "{}:{}".format(*line.getsockname())
                self._talk(line)
        except (OSError, ValueError) as error:
            self._failed = error

    def _connected(self) -> socket.socket:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                return connected_socket(*self._address, 10.0)
            except ConnectionRefusedError:
                if self._ends.is_set() or time.monotonic() > deadline:
                    raise
                time.sleep(PERIOD)  # nothing tells when it does

    def _talk(self, line: socket.socket) -> None:
        line.sendall(HEAD.pack(VERSION, HELLO, HEAD.size, 0))
        line.settimeout(PERIOD)
        pending, asked, due, before = b"", 0.0, time.monotonic(), 0.0
        while not self._ends.is_set():
            now = time.monotonic()
            if not asked and now >= due:
                asked, before = now, self._starved()
                line.sendall(HEAD.pack(VERSION, ECHO_REQUEST, HEAD.size, 1))
            try:
                data = line.recv(65536)
            except TimeoutError:
                continue
            if not data:
                raise ConnectionError("the controller has ended the connection")
            pending += data
            while len(pending) >= HEAD.size:
                _, kind, length, xid = HEAD.unpack_from(pending)
                if length < HEAD.size:
                    raise ValueError("a message that is too short")
                if len(pending) < length:
                    break
                pending = pending[length:]
                if kind == ECHO_REPLY:
                    with self._lock:
                        self._lags.append(Lag(time.monotonic() - asked, self._starved() - before))
                    asked, due = 0.0, time.monotonic() + PERIOD
                else:
                    line.sendall(_answer(kind, xid))

    def _starved(self) -> float:
        return starved(self._pid()) + starved(os.getpid(), self.native_id)


def _answer(kind: int, xid: int) -> bytes:
    if kind == FEATURES_REQUEST:
        body = struct.pack("!QIBBxxII", STRANGER, 0, 254, 0, 0, 0)
        return HEAD.pack(VERSION, FEATURES_REPLY, HEAD.size + len(body), xid) + body
    if kind == ECHO_REQUEST:
        return HEAD.pack(VERSION, ECHO_REPLY, HEAD.size, xid)
    if kind in SILENT:
        return b""
    return HEAD.pack(VERSION, ERROR, HEAD.size + 4, xid) + struct.pack("!HH", BAD_REQUEST, BAD_TYPE)
