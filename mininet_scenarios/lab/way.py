"""A way between two programs that can be broken: reset at a chosen byte, stalled, opened again.

It stands between a switch and its controller, or between the controller and a database, and carries bytes. Nothing in
it knows what they mean.
"""

import contextlib
import os
import select
import socket
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Self

from mininet_scenarios.lab.inside import made_inside

# Closing a socket that lingers for no time sends a reset (socket(7)).
_NO_LINGER = struct.pack("ii", 1, 0)


class Way:
    """Listens, and carries each connection on to where `connect` leads."""

    def __init__(self, listener: socket.socket, connect: Callable[[], socket.socket]) -> None:
        self._listener = listener
        self._connect = connect
        self._lock = threading.Condition()
        self._pairs: set[tuple[socket.socket, socket.socket]] = set()
        self._left: int | None = None
        self._stalled = False
        self._closed = False
        self._wake_reader, self._wake_writer = os.pipe()
        self.resets = 0
        # Bytes that have come back from where it leads.
        self.carried = 0
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @classmethod
    def tcp(cls, namespace: str | None, port: int) -> tuple[Self, str]:
        """A way to a TCP port of the loopback in a namespace; the way, and where its other end is (`tcp:…`)."""

        def listen() -> socket.socket:
            return socket.create_server(("127.0.0.1", 0))

        def connect() -> socket.socket:
            return made_inside(namespace, lambda: socket.create_connection(("127.0.0.1", port), 5.0))

        listener = made_inside(namespace, listen)
        return cls(listener, connect), f"tcp:127.0.0.1:{listener.getsockname()[1]}"

    @classmethod
    def unix(cls, path: Path, target: Path) -> tuple[Self, str]:
        """A way to a local socket; the way, and where its other end is (`unix:…`)."""

        def connect() -> socket.socket:
            there = socket.socket(socket.AF_UNIX)
            there.connect(str(target))
            return there

        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(path))
        listener.listen()
        return cls(listener, connect), f"unix:{path}"

    def reset(self) -> None:
        """Break every connection at once."""
        with self._lock:
            self._left = 0
        self._wake()

    def reset_after(self, count: int) -> None:
        """Break every connection when so many more bytes have come from where the way leads."""
        with self._lock:
            self._left = count

    def wait_reset(self, resets: int, within: float = 10.0) -> None:
        """Wait until it has been broken so many times."""
        with self._lock:
            if not self._lock.wait_for(lambda: self.resets >= resets, within):
                raise AssertionError(f"the way was broken {self.resets} times in {within:.1f} s, not {resets}")

    def stall(self) -> None:
        """Carry nothing any more; connections stay, and so does what is sent meanwhile."""
        with self._lock:
            self._stalled = True
        self._wake()

    def go(self) -> None:
        """Carry on."""
        with self._lock:
            self._stalled = False
        self._wake()

    def close(self) -> None:
        """Take it away."""
        with self._lock:
            self._closed = True
        self._wake()
        self._thread.join()
        self._listener.close()
        os.close(self._wake_reader)
        os.close(self._wake_writer)

    # --- the one thread that carries

    def _wake(self) -> None:
        os.write(self._wake_writer, b"w")

    def _serve(self) -> None:
        while True:
            with self._lock:
                if self._left == 0 or self._closed:
                    self._left = None
                    self._break_all()
                if self._closed:
                    return
                ends = {} if self._stalled else {end.fileno(): end for pair in self._pairs for end in pair}
            ready, _, _ = select.select([self._wake_reader, self._listener.fileno(), *ends], [], [])
            # One at a time: to carry one may close others.
            if self._wake_reader in ready:
                os.read(self._wake_reader, 4096)
            elif self._listener.fileno() in ready:
                self._accept()
            else:
                self._carry(ends[ready[0]])

    def _accept(self) -> None:
        here, _ = self._listener.accept()
        try:
            there = self._connect()
        except OSError:
            here.close()
            return
        self._pairs.add((here, there))

    def _carry(self, end: socket.socket) -> None:
        here, there = pair = next(pair for pair in self._pairs if end in pair)
        try:
            data = end.recv(65536)
            if data and end is there:
                data = self._measured(data)
            if data:
                (here if end is there else there).sendall(data)
        except OSError:
            data = b""
        if not data and self._left != 0:
            self._pairs.discard(pair)
            here.close()
            there.close()

    def _measured(self, data: bytes) -> bytes:
        """As much of it as may still pass."""
        with self._lock:
            if self._left is not None:
                data = data[: self._left]
                self._left -= len(data)
            self.carried += len(data)
        return data

    def _break_all(self) -> None:
        for pair in self._pairs:
            for end in pair:
                with contextlib.suppress(OSError):
                    if end.family == socket.AF_INET:
                        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
                end.close()
        self._pairs.clear()
        self.resets += 1
        self._lock.notify_all()
