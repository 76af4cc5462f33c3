"""Tells systemd that the worker is alive (sd_notify(3), WATCHDOG=1), if the unit asks for that by WatchdogSec=.

A controller that hangs keeps its connections, and with them the OVSDB server's lock: nobody would take its place.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import Any

from eventlet import patcher
from ryu.lib import hub

from ryu_apps.worker import Worker

LOG = logging.getLogger(__name__)

socket: Any = patcher.original("socket")


def start(worker: Worker, environment: Mapping[str, str] = os.environ) -> None:
    """Begin, if that is wanted of this process; returns at once."""
    address, microseconds = environment.get("NOTIFY_SOCKET", ""), environment.get("WATCHDOG_USEC", "")
    meant = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    if meant and address and microseconds.isascii() and microseconds.isdigit() and int(microseconds):
        # Thrice within the time, so that one that comes late is no alarm.
        hub.spawn(_run, worker, address, int(microseconds) / 3e6)


def _run(worker: Worker, address: str, pause: float) -> None:
    # A leading @ stands for the null byte of the abstract namespace.
    where = "\0" + address[1:] if address.startswith("@") else address
    turns = -1
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.setblocking(False)
        while True:
            # A worker that has had something to do all the time, and has finished none of it, is not alive.
            if worker.idle or worker.turns != turns:
                try:
                    notify.sendto(b"WATCHDOG=1", where)
                except OSError as error:
                    LOG.warning("systemd's watchdog cannot be told: %s", error)
            turns = worker.turns
            hub.sleep(pause)
