"""Sockets in another network namespace, made from within this process."""

import ctypes
import http.client
import os
import socket
import threading
from collections.abc import Callable

CLONE_NEWNET = 0x40000000

_libc = ctypes.CDLL(None, use_errno=True)


def connected_socket(namespace: str | None, address: tuple[str, int], timeout: float) -> socket.socket:
    """A TCP connection made in a namespace (None: in our own)."""
    return made_inside(namespace, lambda: socket.create_connection(address, timeout))


def made_inside(namespace: str | None, make: Callable[[], socket.socket]) -> socket.socket:
    """A socket as `make` makes it in a namespace (None: in our own).

    A thread goes there and makes the socket: a socket stays in the namespace it was made in, whoever uses it.
    """
    if namespace is None:
        return make()
    made: list[socket.socket] = []
    failed: list[OSError] = []

    def go() -> None:
        try:
            handle = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
            try:
                if _libc.setns(handle, CLONE_NEWNET) != 0:
                    raise OSError(ctypes.get_errno(), f"cannot enter namespace {namespace}")
            finally:
                os.close(handle)
            made.append(make())
        except OSError as error:
            failed.append(error)

    # The thread ends there: its namespace ends with it, and ours was never another.
    thread = threading.Thread(target=go)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return made[0]


class HttpConnection(http.client.HTTPConnection):
    """HTTP to a server in a namespace."""

    def __init__(self, namespace: str | None, host: str, port: int, timeout: float) -> None:
        super().__init__(host, port, timeout=timeout)
        self._namespace = namespace
        self._patience = timeout

    def connect(self) -> None:
        """Connect there."""
        self.sock = connected_socket(self._namespace, (self.host, self.port), self._patience)
