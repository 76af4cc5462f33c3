"""`portcullis status`, and what it makes of controllers that are not there or not what they seem."""

import json
import socket
import threading
import time

import pytest

from policy.commands import client
from policy.errors import Problem
from ryu_apps.facts import SwitchDown
from ryu_apps.ovsdb_facts import OvsdbLost
from tests.commands.conftest import Controller, portcullis
from tests.commands.sample import DPID, REMOTE, engine, refused_page, status_page
from topology.inventory import Place

WAITING = status_page(engine(connect=False))


def test_enforced(shop, controller):
    result = portcullis("status")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("enforced: revision ")
    for word in ("br0", "hv1", "web-1/web-1", "isolated", "10.0.0.11, 2001:db8::11", "connected"):
        assert word in result.stdout


def test_learned_addresses_are_shown_with_source_and_times(shop, controller, monkeypatch):
    page = status_page()
    page["vnics"][0]["learned"] = [
        {"address": "10.0.0.50", "source": "dhcp4", "since": 1000, "until": 1000 + 90061},
        {"address": "2001:db8::50", "source": "nd", "since": 1000 - 7260, "until": None},
        {"address": "10.0.0.51", "source": "dhcp4", "since": 2000, "until": 1059},
        {"address": 5, "since": "x"},
    ]
    controller.pages["/portcullis/status"] = page
    monkeypatch.setattr(time, "time", lambda: 1000.5)
    lines = [" ".join(line.split()) for line in portcullis("status").stdout.splitlines()]
    start = lines.index("Learned addresses")
    assert lines[start + 1 : start + 6] == [
        "vNIC address source known for valid for",
        "web-1/web-1 10.0.0.50 dhcp4 0 s 1 d 1 h",
        "web-1/web-1 2001:db8::50 nd 2 h 1 min no end",
        "web-1/web-1 10.0.0.51 dhcp4 0 s 58 s",
        "web-1/web-1 5 - no end no end",
    ]


def test_what_should_be_looked_at_though_all_is_enforced(shop, controller):
    page = status_page()
    page["bridges"][0] |= {"drift": 3, "foreign_removed": 1}
    page["log"] = [
        {"sink": "file:/x", "error": "/x: No space left on device", "lost": 7},
        {"sink": "syslog", "error": None, "lost": 1},
        {"sink": "stdout", "error": None, "lost": 0},
    ]
    controller.pages["/portcullis/status"] = page
    result = portcullis("status")
    assert result.exit_code == 0
    for line in (
        "bridge br0 of hv1, since it connected: somebody else has changed it, drift 3 (put back)",
        "bridge br0 of hv1, since it connected: 1 flow of others removed",
        "log file:/x cannot be written: /x: No space left on device; 7 lines lost",
        "log syslog: 1 line lost",
    ):
        assert line in result.stdout.splitlines()
    assert "stdout" not in result.stdout


def test_not_enforced(shop, controller):
    controller.pages["/portcullis/status"] = status_page(engine(SwitchDown(DPID, 1), OvsdbLost(REMOTE, "gone away")))
    result = portcullis("status")
    assert result.exit_code == 1
    assert "  - bridge br0 is not connected" in result.stdout
    assert "gone away" in result.stdout


def test_vnics_are_counted_and_what_is_shut_comes_first(shop, controller):
    page = status_page()
    page["vnics"].append({**page["vnics"][0], "vnic": "app-1/app-1", "state": "isolated", "reason": "two of them"})
    controller.pages["/portcullis/status"] = page
    lines = portcullis("status").stdout.splitlines()
    assert lines[2] == "3 vNICs: 2 enforced, 1 isolated"
    start = lines.index(next(line for line in lines if line.startswith("vNICs and isolated ports"))) + 2
    assert [line.split()[:2] for line in lines[start : start + 4]] == [
        ["-", "isolated"], ["app-1/app-1", "isolated"], ["web-1/web-1", "enforced"], ["db-1/db-1", "enforced"],
    ]  # fmt: skip


def test_after_an_upgrade(shop, controller):
    page = status_page()
    assert "old version" not in portcullis("status").stdout
    page["bridges"][0]["old_slots"] = [0]
    controller.pages["/portcullis/status"] = page
    result = portcullis("status")
    assert result.exit_code == 0
    assert "the old version's tables are removed in a moment" in " ".join(result.stdout.split())


def test_refused(shop, controller):
    controller.pages["/portcullis/status"] = refused_page(Problem(Place("a.yaml", 3, 5), "no group is called 'x'"))
    result = portcullis("status", "--wait", "30")
    assert result.exit_code == 1
    assert len(controller.asked) == 1, "it has waited though there is nothing to wait for"
    assert "  a.yaml:3:5: no group is called 'x'" in result.stdout


def test_json_is_the_page(shop, controller):
    for page, status in ((status_page(), 0), (WAITING, 1)):
        controller.pages["/portcullis/status"] = page
        result = portcullis("status", "--json")
        assert (json.loads(result.stdout), result.exit_code) == (page, status)


def test_wait_returns_when_it_is_enforced(shop, controller):
    pages = [WAITING, WAITING, status_page()]
    controller.pages["/portcullis/status"] = lambda: pages.pop(0)
    assert portcullis("status", "--wait", "20").exit_code == 0
    assert pages == []
    assert all("?wait=" in asked for asked in controller.asked)


def test_wait_ends(shop, controller):
    controller.pages["/portcullis/status"] = WAITING
    began = time.monotonic()
    assert portcullis("status", "--wait", "0.5").exit_code == 1
    assert time.monotonic() - began > 0.4


def test_wait_waits_for_a_controller_to_start(shop, nobody):
    started = []
    timer = threading.Timer(0.4, lambda: started.append(Controller(int(nobody.rpartition(":")[2]))))
    timer.start()
    try:
        assert portcullis("status", "--wait", "20").exit_code == 0
    finally:
        timer.join()
        started[0].stop()


@pytest.mark.parametrize("command", ["status", "topology"])
def test_nobody_answers(shop, nobody, command):
    result = portcullis(command)
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"no controller answers at {nobody}" in result.stderr
    assert "portcullis run DIR" in result.stderr


@pytest.mark.parametrize("command", ["status", "topology"])
@pytest.mark.parametrize(
    "answer", [(404, b""), (302, b""), (200, b"<html>"), (200, b"[]"), (200, b'{"a": 1}'), (200, b"[" * 100_000)]
)
def test_something_else_answers(shop, controller, command, answer):
    controller.pages = {"/portcullis/status": answer, "/portcullis/topology": answer}
    result = portcullis(command)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "is not Portcullis" in result.stderr


def test_an_answer_has_a_largest_size(shop, controller, monkeypatch):
    monkeypatch.setattr(client, "MAX_ANSWER", 2**20)
    controller.pages["/portcullis/status"] = (200, b" " * (2**20 + 1))
    result = portcullis("status")
    assert result.exit_code == 2
    assert "larger than 1 MiB" in result.stderr


def test_a_silent_server_is_not_waited_for_long(shop, monkeypatch):
    monkeypatch.setattr("policy.commands.status.PATIENCE", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as server:
        result = portcullis("status", "--url", f"http://127.0.0.1:{server.getsockname()[1]}")
    assert result.exit_code == 2
    assert "no controller answers" in result.stderr


@pytest.mark.parametrize("words", [b"SSH-2.0-x\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort", b""])
def test_other_protocols(shop, words):
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer():
            peer, _ = server.accept()
            with peer:
                peer.recv(1000)
                peer.sendall(words)

        thread = threading.Thread(target=answer)
        thread.start()
        result = portcullis("status", "--url", f"http://127.0.0.1:{server.getsockname()[1]}")
        thread.join()
    assert (result.exit_code, result.stdout) == (2, "")
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "url",
    ["", "x", "ftp://h", "http://", "http://h:x", "http://h:99999", "http://h\r\n:1", "http://a b", "http://h/?q"],
)
def test_what_is_no_url(shop, url):
    result = portcullis("status", "--url", url)
    assert result.exit_code == 2
    assert "is not a URL" in result.stderr


@pytest.mark.parametrize("seconds", ["-1", "nan", "x"])
def test_what_is_no_time(shop, nobody, seconds):
    assert portcullis("status", "--wait", seconds).exit_code == 2


def test_names_cannot_speak_to_the_terminal(shop, controller):
    page = status_page()
    page["vnics"][0]["vnic"] = page["policy"]["path"] = page["findings"] = "[red]\x1b]0;x\x07"
    page["waiting_for"] = ["\x1b[2J"]
    page["enforced"] = False
    controller.pages["/portcullis/status"] = page
    result = portcullis("status")
    assert "\x1b" not in result.stdout
    assert "[red]\\x1b]0;x\\x07" in result.stdout


def test_a_page_of_another_version_is_shown_as_far_as_it_goes(shop, controller):
    controller.pages["/portcullis/status"] = {"enforced": True, "vnics": [{"vnic": 5}, None], "bridges": {"a": 1}}
    result = portcullis("status")
    assert result.exit_code == 0
    assert "5" in result.stdout
