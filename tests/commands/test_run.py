"""`portcullis run`: the command line of ryu-manager."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from mininet_scenarios.lab.controller import free_port
from policy.commands.run import ENVIRONMENT
from tests.commands.conftest import portcullis

ROOT = Path(__file__).parents[2]
APPLICATION = ROOT / "ryu_apps"


def command(*words):
    result = portcullis("run", "--dry-run", *words)
    assert (result.exit_code, result.stderr) == (0, "")
    return shlex.split(result.stdout)


def test_the_least(shop):
    assert command(".") == [
        str(Path(sys.executable).parent / "ryu-manager"),
        "--user-flags",
        str(APPLICATION / "settings.py"),
        f"--portcullis-policy={shop}",
        "--ofp-listen-host=127.0.0.1",
        "--ofp-tcp-listen-port=6653",
        "--ofp-ssl-listen-port=6653",
        "--wsapi-host=127.0.0.1",
        "--wsapi-port=8080",
        str(APPLICATION / "portcullis.py"),
    ]


def test_everything(shop):
    (shop / "ryu.conf").write_text("")
    words = shlex.split(
        ". --ovsdb tcp:h:6640 --ovsdb unix:/a --uplink eth1 --uplink 'bond*' --bridge br0 --listen [::1]:7000 "
        "--learn dhcp --learn first-use --learn-limit 4 --log stdout --log file:x --log-rate 50 --grace 2.5 "
        "--status-port 9000 --config-file ryu.conf --verbose"
    )
    assert command(*words, "--", "--log-file", "--x", "more")[3:] == [
        "--config-file=ryu.conf",
        f"--portcullis-policy={shop}",
        "--portcullis-ovsdb=tcp:h:6640",
        "--portcullis-ovsdb=unix:/a",
        "--portcullis-uplink=eth1",
        "--portcullis-uplink=bond*",
        "--portcullis-bridge=br0",
        "--portcullis-learn=dhcp",
        "--portcullis-learn=first-use",
        "--portcullis-learn-limit=4",
        "--portcullis-log=stdout",
        "--portcullis-log=file:x",
        "--portcullis-log-rate=50.0",
        "--portcullis-grace=2.5",
        "--ofp-listen-host=::1",
        "--ofp-tcp-listen-port=7000",
        "--ofp-ssl-listen-port=7000",
        "--wsapi-host=127.0.0.1",
        "--wsapi-port=9000",
        "--verbose",
        str(APPLICATION / "portcullis.py"),
        "--log-file",
        "--x",
        "more",
    ]


@pytest.mark.parametrize("listen", ["6653", "h:1", "1.2.3.4", "1.2.3.4:0", "1.2.3.4:65536", "::1:6653", "[1.2.3.4]:1"])
def test_where_nobody_can_listen(shop, listen):
    result = portcullis("run", ".", "--listen", listen, "--dry-run")
    assert result.exit_code == 2
    assert "--listen" in result.stderr


@pytest.mark.parametrize("option", ["--log-rate", "--grace"])
@pytest.mark.parametrize("value", ["", "-1", "nan", "inf", "x"])
def test_numbers_that_are_none(shop, option, value):
    result = portcullis("run", ".", option, value, "--dry-run")
    assert (result.exit_code, result.stdout) == (2, "")
    assert option in result.stderr


def test_the_help_says_how_a_port_becomes_an_uplink():
    assert "external_ids:role=uplink" in portcullis("run", "--help").output.replace("\n", "")


def test_defaults_are_those_of_the_settings():
    """The command line's own help states them; the application has them."""
    from ryu_apps.settings import OPTIONS

    defaults = {option.name: option.default for option in OPTIONS}
    text = " ".join(portcullis("run", "--help").output.split())
    for name in ("log-rate", "grace"):
        said = text.split(f"--{name} ")[1].split(" --")[0]
        assert f"[default: {defaults[name]:g}]" in said


@pytest.mark.parametrize("words", [["nothing"], [".", "stray"], [], [".", "--config-file", "nothing"]])
def test_wrong_usage(shop, words):
    result = portcullis("run", *words, "--dry-run")
    assert (result.exit_code, result.stdout) == (2, "")


@pytest.mark.parametrize(
    "words",
    [["--learn", "none", "--learn", "dhcp"], ["--learn", "all"], ["--learn-limit", "0"], ["--learn-limit", "17"]],
)
def test_ways_to_learn_that_are_none(shop, words):
    result = portcullis("run", ".", *words, "--dry-run")
    assert (result.exit_code, result.stdout) == (2, "")
    assert words[0] in result.stderr


def test_the_process_becomes_ryu_manager(shop, monkeypatch):
    became = []
    monkeypatch.setattr(os, "execve", lambda *what: became.append(what))
    monkeypatch.setenv("HOME", "/nowhere")
    portcullis("run", ".")
    ((path, words, environment),) = became
    assert words[0] == path
    assert words == command(".")
    assert environment["HOME"] == "/nowhere"


@pytest.mark.parametrize("own", [None, "error"])
def test_what_eventlet_advises_programmers_is_told_only_to_who_asks_for_warnings(shop, monkeypatch, own):
    became = []
    monkeypatch.setattr(os, "execve", lambda *what: became.append(what))
    monkeypatch.delenv("PYTHONWARNINGS", raising=False)
    if own is not None:
        monkeypatch.setenv("PYTHONWARNINGS", own)
    portcullis("run", ".")
    assert became[0][2]["PYTHONWARNINGS"] == (own or "ignore:::ryu.lib.hub")


def test_the_environment_is_ours_where_nobody_has_said_otherwise(shop, monkeypatch):
    became = []
    monkeypatch.setattr(os, "execve", lambda *what: became.append(what))
    for name in ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MALLOC_ARENA_MAX", "4")
    portcullis("run", ".")
    ((_, _, environment),) = became
    assert {name: environment[name] for name in ENVIRONMENT} == ENVIRONMENT | {"MALLOC_ARENA_MAX": "4"}


def test_what_only_takes_memory_stays_away():
    """Of what Ryu would bring along: a resolver of names, setuptools; of ours: what only commands need."""
    names = ("ryu.cmd.manager", "ryu_apps.settings", "ryu_apps.portcullis")
    program = f"import sys, {', '.join(names)}; print(*sorted(name for name in sys.modules if '.' not in name))"
    command, environment = [sys.executable, "-c", program], os.environ | ENVIRONMENT
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    found = set(done.stdout.split())
    assert "eventlet" in found
    assert found & {"dns", "setuptools", "networkx", "rich", "click", "mininet", "pytest"} == set()


def test_no_ryu_manager(shop, monkeypatch):
    monkeypatch.setattr(sys, "executable", str(shop / "python"))
    result = portcullis("run", ".", "--dry-run")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "install Ryu" in result.stderr


def test_no_application(shop, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    result = portcullis("run", ".", "--dry-run")
    assert result.exit_code == 2
    assert "not installed" in result.stderr


# --- where it connects to, and where it listens


@pytest.mark.parametrize(
    "remote",
    ["tcp:host", "tcp::6640", "tcp:host:0", "tcp:host:x", "tcp:a:b:1", "ssl:host", "unix:", "bogus", "http://h:1", ""],
)
def test_servers_that_are_none(remote, shop):
    result = portcullis("run", ".", "--dry-run", "--ovsdb", remote)
    assert result.exit_code == 2 and "is not an OVSDB server like unix:FILE" in result.stderr


@pytest.mark.parametrize("remote", ["tcp:host:6640", "ssl:[::1]:6640", "tcp:10.0.0.1:6640", "unix:/run/x/db.sock"])
def test_servers(remote, shop):
    assert portcullis("run", ".", "--dry-run", "--ovsdb", remote).exit_code == 0


@pytest.mark.parametrize("openflow", [True, False])
def test_a_port_that_is_taken(shop, monkeypatch, taken, openflow):
    became = []
    monkeypatch.setattr("os.execve", lambda *words: became.append(words))
    ports = (taken, free_port()) if openflow else (free_port(), taken)
    result = portcullis("run", ".", "--listen", f"127.0.0.1:{ports[0]}", "--status-port", ports[1])
    assert (result.exit_code, became) == (2, [])
    assert result.stderr == f"portcullis: cannot listen at 127.0.0.1:{taken}: Address already in use\n"


@pytest.mark.parametrize("address", ["192.0.2.1", "[2001:db8::1]"])
def test_an_address_that_is_elsewhere(shop, monkeypatch, address):
    monkeypatch.setattr("os.execve", lambda *words: pytest.fail("it starts, and is deaf"))
    result = portcullis("run", ".", "--listen", f"{address}:6653", "--status-port", free_port())
    assert result.exit_code == 2
    assert re.fullmatch(rf"portcullis: cannot listen at {re.escape(address)}:6653: [A-Z][a-z ]+\n", result.stderr)
