"""The worker and the handlers: a defect is logged with what it was about, and ends the process."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAD = """
from eventlet import monkey_patch
monkey_patch()
import logging
logging.basicConfig()
from ryu.lib import hub
from ryu_apps.engine import Engine, EngineSettings
from ryu_apps.facts import *
from ryu_apps.worker import Worker

def broken(*_):
    raise RuntimeError("a defect")

worker = Worker(Engine(EngineSettings(("unix:a",))))
worker.start()
"""


def run(program):
    command = [sys.executable, "-W", "ignore", "-c", HEAD + program]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(
    "program",
    [
        "worker.engine.handle = broken",
        # An effect that cannot be carried out.
        "worker.switches.read = broken\nworker.put(SwitchUp(7, 1))",
    ],
)
def test_a_defect_in_the_worker_ends_the_process(program):
    done = run(f"{program}\nworker.put(GraceOver())\nhub.sleep(20)")
    assert done.returncode == 70
    assert "defect while handling [" in done.stderr and "GraceOver()" in done.stderr
    assert "RuntimeError: a defect" in done.stderr


def test_a_defect_in_a_handler_ends_the_process():
    done = run(
        """
from ryu_apps.portcullis import Portcullis
class EventOFPErrorMsg: msg = None
app = type("App", (), {"worker": worker})
worker.switches.heard_error = broken
Portcullis.on_error(app, EventOFPErrorMsg)
"""
    )
    assert done.returncode == 70
    assert "defect while handling on_error of type" in done.stderr and "RuntimeError: a defect" in done.stderr


def test_who_waits_is_told_when_all_that_was_heard_is_in_the_status():
    done = run(
        """
import time
assert worker.idle
began = time.monotonic()
worker.wait_for_change(0.2)
assert time.monotonic() - began >= 0.2
hub.spawn_after(0.2, worker.put, GraceOver())
worker.wait_for_change(1000)
assert worker.engine.grace_over and worker.idle
# Carrying out an effect may let others run: meanwhile nothing is settled.
begun, go_on = hub.Event(), hub.Event()
def slow(effect):
    begun.set()
    go_on.wait()
worker.switches.read = slow
worker.put(SwitchUp(7, 1))
begun.wait(20)
assert not worker.idle
go_on.set()
worker.wait_for_change(20)
assert worker.idle and worker.status["unmanaged"]
print("fine")
"""
    )
    assert done.stdout == "fine\n", done.stderr


def test_what_is_shut_is_logged_once_and_once_when_it_is_not_any_more():
    done = run(
        """
from ryu_apps.ovsdb_facts import OvsdbSnapshot
from tests.apps.shops import ONE, WEB, A, a
from tests.apps.worlds import policy_fact
from tests.topology.builders import P
logging.getLogger().setLevel(logging.INFO)
class Client:
    def write_zones(self, zones): pass
    def set_bridge(self, uuid): pass
    def name_prefixes(self, uuid, prefixes): pass
worker.databases = {A: Client()}
worker.put(policy_fact(ONE))
for ports in ((WEB, P("tap-x")), (WEB, P("tap-x")), (WEB,)):
    worker.put(OvsdbSnapshot(A, a(*ports)))
    worker.wait_for_change(20)
"""
    )
    assert done.returncode == 0, done.stderr
    lines = [line.split(":", 2)[2] for line in done.stderr.splitlines() if "tap-x" in line]
    line = "bridge br0: port tap-x is shut: nobody's port: it has no iface-id and is not named as an uplink"
    assert lines == [line, f"no longer: {line}"]


def test_the_log_calls_a_bridge_by_its_name():
    done = run(
        """
from tests.apps.reporting import world
engine = world().engine
worker = Worker(engine)
(bridge,) = engine.topology.bridges
for dpid in (bridge.dpid, 7):
    worker._alarm(DriftFound(dpid, 1, 0, 0, "a flow"))
"""
    )
    assert done.returncode == 0, done.stderr
    known, unknown = (line.split(":", 2)[2] for line in done.stderr.splitlines())
    assert known.startswith("ALARM bridge br0 of hv1 (0000")
    assert unknown.startswith("ALARM bridge 0000000000000007: somebody else has changed it: 1 missing")


def test_what_a_bridge_refuses_is_logged_with_its_name():
    done = run(
        """
from tests.apps.reporting import world
engine = world().engine
worker = Worker(engine)
(bridge,) = engine.topology.bridges
worker._handle([BundleRefused(bridge.dpid, 99, 7, "OFPFMFC_TABLE_FULL"), ReadFailed(bridge.dpid, 99, "it\\ntells")])
"""
    )
    assert done.returncode == 0, done.stderr
    refused, failed = (line.split(":", 2)[2] for line in done.stderr.splitlines())
    assert refused.startswith("bridge br0 of hv1 (0000") and refused.endswith("): bundle 7 refused: OFPFMFC_TABLE_FULL")
    assert failed.startswith("bridge br0 of hv1 (0000") and failed.endswith("): it\\ntells")


def test_reports_go_beside_the_worker_into_a_file(tmp_path):
    done = run(
        f"""
import json
from pathlib import Path
from ryu_apps.reports.reporter import Reporter
from tests.apps.reporting import number, punted, tcp, world
engine = world().engine
log = Path({str(tmp_path / "log")!r})
worker = Worker(engine, Reporter(engine, sinks=[f"file:{{log}}"]))
answers = hub.Queue()
worker._carry_out = answers.put
worker.start()
worker.put(punted(number(engine, "shop/loud-no"), tcp(target="10.0.0.13", dport=23)))
assert answers.get(timeout=20).in_port == 2
with hub.Timeout(20):
    while not worker.reporter.spouts[0].written:
        hub.sleep(0.01)
assert json.loads(log.read_text())["rule"] == "loud-no"
assert worker.idle and not worker.reporter.waiting
# A defect there is a defect like any other.
worker.reporter.reports.hear = broken
worker.put(punted(0))
hub.sleep(20)
"""
    )
    assert done.returncode == 70, done.stderr
    assert "defect while handling [Punted(" in done.stderr


def test_a_log_that_cannot_be_written_is_told_before_there_is_a_line(tmp_path):
    log = tmp_path / "folder" / "log"
    done = run(
        f"""
from pathlib import Path
from ryu_apps.reports import spout
from ryu_apps.reports.reporter import Reporter
spout.PAUSE = 0.05
worker = Worker(worker.engine, Reporter(worker.engine, sinks=["file:{log}"]))
worker.start()
def until(bad):
    with hub.Timeout(20):
        while (worker.reporter.page()["sinks"][0]["error"] is not None) is not bad:
            hub.sleep(0.01)
until(bad=True)
Path("{log.parent}").mkdir()
until(bad=False)
"""
    )
    assert done.returncode == 0, done.stderr
    assert f"the log file:{log} cannot be written: {log}: No such file or directory" in done.stderr
    assert "is written again; 0 lines of it are lost" in done.stderr


def test_copies_about_addresses_reach_the_engine_with_the_time_before_them_and_write_what_was_learned():
    done = run(
        """
import time
from ryu_apps.ovsdb_facts import OvsdbSnapshot
from ryu_apps.worker import MAX_COPIES
from tests.apps.shops import ETH, A, a
from tests.apps.learning_room import EXCHANGE, POLICY, copy_of
from tests.apps.worlds import policy_fact
from tests.topology.builders import vnic, MAC_1
from tests.topology.exchanges import arp
from topology.learned import parse_book
written = hub.Queue()
class Client:
    def write_zones(self, zones): pass
    def set_bridge(self, uuid): pass
    def name_prefixes(self, uuid, prefixes): pass
    def write_learned(self, texts): written.put(texts)
worker.databases = {A: Client()}
web = vnic("tap-web", "web", MAC_1, portcullis_zone="7")
worker.put(policy_fact(POLICY))
worker.put(OvsdbSnapshot(A, a(ETH, web)))
worker.put(SwitchUp(1, 1))
worker.wait_for_change(20)
reported = []
worker.reporter.put = reported.append
for number, frame in enumerate(EXCHANGE):
    zones = (0, 7) if number % 2 else (7, 0)
    worker.put(Punted(1, 1, copy_of(frame, *zones)))
(uuid, text), = written.get(timeout=20).items()
(entry,) = parse_book(text).entries
assert str(entry.address) == "10.0.0.50" and abs(entry.since - time.time()) < 30, text
# What is learned from is no report; what is only refused is one. First use is off here, so that is all it is.
assert reported == []
worker.put(Punted(1, 1, copy_of(arp("10.0.0.51"), 7, 0)))
assert len(reported) == 1 and worker.waiting == 0
# A flood of them waits in bounds.
go_on = hub.Event()
worker.engine.handle = lambda facts: [] if go_on.wait() else None
for _ in range(MAX_COPIES + 500):
    worker.put(Punted(1, 1, copy_of(EXCHANGE[0], 7, 0)))
assert worker.waiting == MAX_COPIES and worker.copies_lost == 500
go_on.set()
worker.wait_for_change(20)
worker.put(Punted(1, 1, copy_of(EXCHANGE[0], 7, 0)))
assert worker.copies_lost == 500
print("fine")
"""
    )
    assert done.stdout == "fine\n", done.stderr
    assert done.stderr.count("more copies about addresses than can be looked at") == 1
