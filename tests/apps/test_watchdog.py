"""What systemd is told: that the worker is alive, as long as it is.

All watchdogs are of one process, and each tells a socket of its own; time is told by the one whose worker has nothing
to do, so that a busy machine is no failure.
"""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys
from eventlet import monkey_patch
monkey_patch()
from ryu.lib import hub
from ryu_apps import watchdog
from ryu_apps.engine import Engine, EngineSettings
from ryu_apps.facts import GraceOver, SwitchUp
from ryu_apps.worker import Worker

def watched(address, **environment):
    worker = Worker(Engine(EngineSettings(("unix:a",))))
    worker.start()
    watchdog.start(worker, {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "60000"} | environment)
    return worker

def keep_busy(worker):
    while True:
        worker.put(GraceOver())
        hub.sleep(0.001)

folder, abstract = sys.argv[1:]
# The worker has a fact in hand, and never comes to an end with it; the others go on.
stuck = watched(f"{folder}/stuck")
stuck.switches.read = lambda effect: hub.sleep(1000)
stuck.put(SwitchUp(7, 1))
hub.spawn(keep_busy, watched(f"{folder}/busy"))
watched(f"{folder}/another process", WATCHDOG_PID="1")
watched(f"{folder}/no time", WATCHDOG_USEC="")
watched(f"{folder}/never", WATCHDOG_USEC="0")
watched(abstract)
watched(f"{folder}/idle")
hub.sleep(1000)
"""
ALIVE = b"WATCHDOG=1"
# What the idle one's watchdog has told when it is known what the others have told; before, one look may find a worker
# that has not begun with what it will be stuck in.
BEATS, FIRST_LOOK = 8, 2


class Systemd:
    """The sockets that are told, by name, and who tells them."""

    def __init__(self, folder):
        abstract = f"portcullis-test-{os.getpid()}"
        names = ("idle", "busy", "stuck", "another process", "no time", "never")
        self.sockets = {name: socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) for name in (*names, "abstract")}
        for name in names:
            self.sockets[name].bind(str(folder / name))
        self.sockets["abstract"].bind(f"\0{abstract}")
        command = [sys.executable, "-W", "ignore", "-c", PROGRAM, str(folder), f"@{abstract}"]
        self.child = subprocess.Popen(command, cwd=ROOT)

    def hears(self, name):
        """The next message to a socket; pytest's time limit is the limit."""
        return self.sockets[name].recv(100)

    def waiting(self, name):
        """The messages to a socket that have not been heard."""
        self.sockets[name].setblocking(False)
        found = []
        while True:
            try:
                found.append(self.sockets[name].recv(100))
            except BlockingIOError:
                return found

    def end(self):
        self.child.kill()
        self.child.wait()
        for each in self.sockets.values():
            each.close()


@pytest.fixture(scope="module")
def systemd(tmp_path_factory):
    there = Systemd(tmp_path_factory.mktemp("systemd"))
    yield there
    there.end()


@pytest.fixture(scope="module")
def heard(systemd):
    """What everybody has been told by the time that the idle worker has been found alive several times."""
    idle = [systemd.hears("idle") for _ in range(BEATS)]
    assert set(idle) == {ALIVE}
    return {name: systemd.waiting(name) for name in ("stuck", "another process", "no time", "never")}


@pytest.mark.parametrize("name", ["idle", "busy", "abstract"])
def test_a_worker_that_works_or_has_nothing_to_do_is_alive(systemd, heard, name):
    assert {systemd.hears(name) for _ in range(BEATS)} == {ALIVE}


def test_a_worker_that_is_stuck_is_not(heard):
    assert len(heard["stuck"]) <= FIRST_LOOK


@pytest.mark.parametrize("name", ["another process", "no time", "never"])
def test_nobody_is_told_who_has_not_asked(heard, name):
    assert heard[name] == []
