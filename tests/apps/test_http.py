"""The status pages: what may be asked, how long it may take, and who can reach them."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from http.client import HTTPConnection
from pathlib import Path

import pytest
from ryu.app.wsgi import WSGIApplication
from webob import Request

from mininet_scenarios.lab.controller import free_port
from ryu_apps.engine import Engine, EngineSettings
from ryu_apps.http import MAX_WAIT, StatusPages
from ryu_apps.worker import Worker

ROOT = Path(__file__).parents[2]
DEADLINE = 60.0


class Watch:
    """A watch that has nothing to look at."""

    path = Path("/etc/portcullis")
    writing = ("/etc/portcullis/a.yaml",)

    def __init__(self):
        self.asked = []

    def check(self, seconds):
        self.asked.append(seconds)


class Told(Worker):
    """A worker that says that all is enforced when it is told to."""

    enforced = False

    @property
    def status(self):
        return {**super().status, "enforced": self.enforced}

    @property
    def settled(self):
        return self.enforced


class Pages:
    """The pages of a controller that is just starting; ``waited`` are the times that somebody would have waited."""

    def __init__(self):
        self.worker = Told(Engine(EngineSettings(("unix:a",))))
        self.watch = Watch()
        self.waited = []
        self.worker.wait_for_change = self._wait
        self.application = WSGIApplication()
        self.application.register(StatusPages, {"worker": self.worker, "watch": self.watch})

    def _wait(self, seconds):
        self.waited.append(seconds)
        self.worker.enforced = True

    def get(self, path, method="GET"):
        return Request.blank(path, method=method).get_response(self.application)


@pytest.fixture
def pages():
    return Pages()


def test_the_status_while_the_controller_starts(pages):
    answer = pages.get("/portcullis/status")
    assert (answer.status_code, answer.content_type) == (200, "application/json")
    assert answer.json["enforced"] is False
    assert answer.json["policy"]["path"] == "/etc/portcullis"
    assert answer.json["policy"]["being_written"] == ["/etc/portcullis/a.yaml"]
    assert pages.waited == [] and pages.watch.asked == []


def test_the_topology_while_the_controller_starts(pages):
    assert pages.get("/portcullis/topology").json["nodes"] == []


@pytest.mark.parametrize(
    "wait,seconds", [("1", 1), ("2.5", 2.5), ("inf", MAX_WAIT), ("1e400", MAX_WAIT), ("99999999999999999999", MAX_WAIT)]
)
def test_a_wait_is_bounded(pages, wait, seconds):
    answer = pages.get(f"/portcullis/status?wait={wait}")
    assert answer.status_code == 200 and answer.json["enforced"] is True
    assert pages.watch.asked == [seconds]
    assert [round(waited) for waited in pages.waited] == [round(seconds)]


@pytest.mark.parametrize("wait", ["0", "0.0", "-0", "1e-400"])
def test_no_wait(pages, wait):
    assert pages.get(f"/portcullis/status?wait={wait}").status_code == 200
    assert pages.waited == []


@pytest.mark.parametrize("wait", ["nan", "-nan", "-1", "-inf", "", "soon", "1,5", "0x10", "%00", "9" * 5000 + "x"])
def test_a_wait_that_is_no_time(pages, wait):
    answer = pages.get(f"/portcullis/status?wait={wait}")
    assert (answer.status_code, answer.json) == (400, {"error": "wait must be a number of seconds"})
    assert pages.waited == []


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"])
def test_nothing_but_get(pages, method):
    assert pages.get("/portcullis/status", method).status_code == 404
    assert pages.get("/portcullis/topology", method).status_code == 404


@pytest.mark.parametrize("path", ["/", "/portcullis", "/portcullis/", "/portcullis/status/x", "/portcullis/../status"])
def test_no_other_pages(pages, path):
    assert pages.get(path).status_code == 404


# --- the real thing


@contextlib.contextmanager
def controller(folder, *options):
    """ryu-manager with the application and nothing around it; the port of its pages."""
    (folder / "policy.yaml").write_text("version: 1\n")
    port = free_port()
    command = [
        str(Path(sys.executable).with_name("ryu-manager")),
        *("--user-flags", "ryu_apps/settings.py", "ryu_apps/portcullis.py"),
        *("--portcullis-policy", str(folder), "--portcullis-ovsdb", f"unix:{folder}/db.sock"),
        *("--ofp-listen-host", "127.0.0.1", "--ofp-tcp-listen-port", str(free_port()), "--wsapi-port", str(port)),
        *options,
    ]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, env=os.environ)
    try:
        deadline = time.monotonic() + DEADLINE
        while True:
            with contextlib.suppress(OSError):
                status(port)
                break
            assert process.poll() is None and time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.05)
        yield port
        assert process.poll() is None, (folder / "log").read_text()
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def status(port, query="", host="127.0.0.1"):
    connection = HTTPConnection(host, port, timeout=DEADLINE)
    with contextlib.closing(connection):
        connection.request("GET", "/portcullis/status" + query)
        return json.loads(connection.getresponse().read())


def test_only_this_machine_can_reach_it_unless_told_otherwise(tmp_path):
    with controller(tmp_path) as port:
        assert status(port)["enforced"] is False
        # All of 127/8 is this machine; a server that listens everywhere would answer.
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.2", port), 5)


@pytest.mark.parametrize("journal", [False, True])
def test_the_log_has_times_and_levels_and_no_line_for_each_request(tmp_path, monkeypatch, journal):
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    if journal:
        monkeypatch.setenv("JOURNAL_STREAM", "8:1234")
    with controller(tmp_path) as port:
        status(port)
    log = (tmp_path / "log").read_text()
    line = r"OVSDB unix:\S+: lost: No such file or directory\n"
    stamp = "" if journal else r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z WARNING "
    assert re.search(f"^{stamp}{line}", log, re.MULTILINE), log
    assert "GET" not in log and "accepted" not in log


def test_many_who_wait_hold_nobody_up(tmp_path):
    with controller(tmp_path) as port:
        # Nothing is ever enforced here: there is no database.
        answers = []

        def ask(query):
            began = time.monotonic()
            answers.append((query, status(port, query)["enforced"], time.monotonic() - began))

        # Fewer than the connections that there may be at once.
        waiters = [threading.Thread(target=ask, args=("?wait=3",)) for _ in range(80)]
        for waiter in waiters:
            waiter.start()
        ask("")
        for waiter in waiters:
            waiter.join()
        assert [query for query, _, _ in answers] == ["", *["?wait=3"] * 80]
        assert not any(enforced for _, enforced, _ in answers)
        assert min(took for query, _, took in answers if query) >= 2.5
        # Those who hang up, and those who say nothing or nonsense, leave nothing behind.
        for said in (b"", b"GET", b"\x00\xff\r\n\r\n", b"GET /portcullis/status?wait=1 HTTP/1.1\r\n\r\n"):
            with socket.create_connection(("127.0.0.1", port)) as rude:
                rude.sendall(said)
        assert status(port)["policy"]["state"] == "loaded"


# --- counters and metrics


def test_counters_and_metrics_while_the_controller_starts(pages):
    answer = pages.get("/portcullis/counters")
    assert (answer.status_code, answer.json["rules"], answer.json["revision"]) == (200, [], None)
    answer = pages.get("/portcullis/metrics")
    assert answer.content_type == "text/plain" and "portcullis_enforced 0.0" in answer.text
    assert pages.get("/portcullis/status").json["log"] == []


def test_a_way_to_learn_that_is_none_is_told_at_the_start(tmp_path):
    with pytest.raises(AssertionError, match=r"--portcullis-learn: 'guess' is not one of"), controller(
        tmp_path, "--portcullis-learn", "guess"
    ):
        pass


def test_a_log_that_cannot_be_is_told_at_the_start(tmp_path):
    with pytest.raises(AssertionError, match="'nowhere' is no place for a log"), controller(
        tmp_path, "--portcullis-log", "nowhere"
    ):
        pass
