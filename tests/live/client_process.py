"""An OVSDB client in a process of its own (`ovsdb_child.py`), and what its facts add up to."""

from __future__ import annotations

import base64
import os
import pickle
import select
import subprocess
import sys
import time
from pathlib import Path

from ryu_apps.ovsdb_facts import OvsdbSnapshot, OvsdbUpdated
from tests.live.private_ovs import DEADLINE
from topology.rows import Database, apply_changes

ROOT = Path(__file__).parents[2]


class Child:
    """The client's process, and the database as its facts have built it."""

    def __init__(self, remote, write_timeout=5.0, tls=()):
        self.remote = remote
        self.facts = []
        self.database = Database(remote)
        self._rest = b""
        self._process = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("ovsdb_child.py"), remote, str(write_timeout), *tls],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            bufsize=0,
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()

    def signal(self, number):
        self._process.send_signal(number)

    def do(self, command, *arguments):
        self._process.stdin.write(repr((command, arguments)).encode() + b"\n")

    def next(self, timeout=DEADLINE):
        """The next thing the child says, or None after ``timeout`` seconds."""
        deadline = time.monotonic() + timeout
        while b"\n" not in self._rest:
            ready, _, _ = select.select([self._process.stdout], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                return None
            more = self._process.stdout.read(65536)
            assert more, "the client's process has ended"
            self._rest += more
        line, self._rest = self._rest.split(b"\n", 1)
        said = pickle.loads(base64.b64decode(line))
        if isinstance(said, OvsdbSnapshot):
            self.database = said.database
        elif isinstance(said, OvsdbUpdated):
            self.database = apply_changes(self.database, said.changes)
        self.facts.append(said)
        return said

    def wait(self, condition, what):
        """Takes in facts until one of them, or what is known after it, fulfils the condition; returns that fact."""
        deadline = time.monotonic() + DEADLINE
        while (left := deadline - time.monotonic()) > 0:
            said = self.next(left)
            if said is not None and condition(said):
                return said
        raise AssertionError(f"no {what} within {DEADLINE:g} s; last facts: {self.facts[-3:]}")

    def wait_for(self, kind):
        return self.wait(lambda said: isinstance(said, kind), kind.__name__)

    def wait_until(self, condition, what):
        """The same for the database alone, which may fulfil the condition already."""
        if not condition(self.database):
            self.wait(lambda _: condition(self.database), what)

    def cpu(self):
        self.do("cpu")
        return self.wait(lambda said: isinstance(said, tuple) and said[0] == "cpu", "answer")[1]


def interface(database, name):
    return next((row for row in database.interfaces.values() if row.name == name), None)


def port(database, name):
    return next((row for row in database.ports.values() if row.name == name), None)


def bridge(database, name):
    return next((row for row in database.bridges.values() if row.name == name), None)


def add_bridge(ovs, *names):
    for name in names:
        ovs.vsctl(f"add-br {name} -- set bridge {name} datapath_type=dummy")


ADD_TAP1 = (
    "add-port br0 tap1 tag=10 -- set interface tap1 type=dummy external_ids:iface-id=vm1 "
    'external_ids:attached-mac="52:54:00:00:00:01" external_ids:other=theirs'
)
