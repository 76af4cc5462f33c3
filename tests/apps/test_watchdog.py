"""What systemd is told: that the worker is alive, as long as it is."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = """
import os
from eventlet import monkey_patch
monkey_patch()
from ryu.lib import hub
from ryu_apps import watchdog
from ryu_apps.engine import Engine, EngineSettings
from ryu_apps.facts import GraceOver, SwitchUp
from ryu_apps.worker import Worker
worker = Worker(Engine(EngineSettings(("unix:a",))))
worker.start()
watchdog.start(worker, {environment})
{rest}
"""
# The worker has a fact in hand, and never comes to an end with it; the others go on.
STUCK = "worker.switches.read = lambda effect: hub.sleep(100)\nworker.put(SwitchUp(7, 1))\n"
BUSY = "hub.spawn(lambda: [(worker.put(GraceOver()), hub.sleep(0)) for _ in iter(int, 1)])\n"


def told(address, environment="{}", rest=""):
    """The messages that come within about two seconds; the watchdog is to be told thrice within 0.3 s."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(address)
        systemd.settimeout(0.1)
        settings = f"{{'NOTIFY_SOCKET': {address.replace(chr(0), '@')!r}, 'WATCHDOG_USEC': '300000'}} | {environment}"
        program = PROGRAM.replace("{environment}", settings).replace("{rest}", rest + "hub.sleep(2)")
        child = subprocess.Popen([sys.executable, "-W", "ignore", "-c", program], cwd=ROOT)
        messages = []
        while child.poll() is None:
            try:
                messages.append(systemd.recv(100))
            except TimeoutError:
                continue
        assert child.returncode == 0
        return messages


@pytest.mark.parametrize("rest", ["", BUSY], ids=["idle", "busy"])
def test_a_worker_that_works_or_has_nothing_to_do_is_alive(tmp_path, rest):
    messages = told(str(tmp_path / "notify"), rest=rest)
    assert len(messages) >= 8 and set(messages) == {b"WATCHDOG=1"}


def test_a_worker_that_is_stuck_is_not(tmp_path):
    assert len(told(str(tmp_path / "notify"), rest=STUCK)) <= 2


def test_the_abstract_namespace():
    assert told(f"\0portcullis-test-{os.getpid()}")


@pytest.mark.parametrize("environment", ["{'WATCHDOG_PID': '1'}", "{'WATCHDOG_USEC': ''}", "{'WATCHDOG_USEC': '0'}"])
def test_nobody_is_told_who_has_not_asked(tmp_path, environment):
    assert told(str(tmp_path / "notify"), environment) == []
