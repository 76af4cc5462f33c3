"""A network namespace of our own for as long as a `with` lasts: what is made in it is gone with it, whatever happens.

Mininet puts switches, cables and controllers into the namespace of whoever runs it. In one of our own it meets nothing
of the machine's, several scenarios run side by side, and no veth is left behind, not even by a scenario that is killed.
"""

import contextlib
import ctypes
import os
from collections.abc import Iterator
from pathlib import Path

from mininet_scenarios.lab.shell import ip

CLONE_NEWNET = 0x40000000

_libc = ctypes.CDLL(None, use_errno=True)


@contextlib.contextmanager
def own_network() -> Iterator[None]:
    """This thread, and all threads and processes it starts, are in a fresh network namespace."""
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        _check(_libc.unshare(CLONE_NEWNET), "cannot make a network namespace (it needs root)")
        try:
            # The kernel is to carry frames here, not to take part: it would speak IPv6 on every cable by itself.
            Path("/proc/sys/net/ipv6/conf/default/disable_ipv6").write_text("1")
            ip("link set lo up")
            yield
        finally:
            _check(_libc.setns(before, CLONE_NEWNET), "cannot return to the network namespace we came from")
    finally:
        os.close(before)


def _check(status: int, message: str) -> None:
    if status != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{message}: {os.strerror(number)}")
