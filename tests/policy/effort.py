"""What work may cost, in units of other work of the same process: seconds would tell how busy the machine is.

The unit is the processor time that a plain inventory of `PLAIN_VMS` takes to load.
"""

import functools
import time
from collections.abc import Iterator
from contextlib import contextmanager

from policy.load import load_texts

PLAIN_VMS = 500


def inventory(count: int) -> dict[str, bytes]:
    """The files of a policy of so many VMs with a vNIC each."""
    lines = ["version: 1", "vms:"]
    for number in range(count):
        lines += [
            f"  vm-{number}:",
            f"    labels: {{app: app-{number % 50}, role: web, env: prod}}",
            "    vnics:",
            f"      - iface_id: if-{number}",
            f"        mac: 52:54:00:00:{number // 256:02x}:{number % 256:02x}",
            f'        addresses: [10.0.{number // 256}.{number % 256}, "2001:db8::{number:x}"]',
        ]
    return {"a.yaml": "\n".join(lines).encode()}


@functools.cache
def unit() -> float:
    """Processor seconds: the least of three, the first of which also fills caches."""
    files = inventory(PLAIN_VMS)
    return min(_timed(files) for _ in range(3))


def _timed(files: dict[str, bytes]) -> float:
    began = time.thread_time()
    load_texts(files)
    return time.thread_time() - began


@contextmanager
def costs_at_most(units: float) -> Iterator[None]:
    """What happens within takes no more of this thread's processor time than so many units."""
    bound = units * unit()
    began = time.thread_time()
    yield
    took = time.thread_time() - began
    assert took <= bound, f"{took:.2f} s of the processor; {units:g} units are {bound:.2f} s"
