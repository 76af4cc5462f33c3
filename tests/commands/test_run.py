"""`portcullis run`: the command line of ryu-manager."""

import os
import shlex
import sys
from pathlib import Path

import pytest

from tests.commands.conftest import portcullis

APPLICATION = Path(__file__).parents[2] / "ryu_apps"


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
        "--wsapi-host=127.0.0.1",
        "--wsapi-port=8080",
        str(APPLICATION / "portcullis.py"),
    ]


def test_everything(shop):
    (shop / "ryu.conf").write_text("")
    words = shlex.split(
        ". --ovsdb tcp:h:6640 --ovsdb unix:/a --uplink eth1 --uplink 'bond*' --bridge br0 --listen [::1]:7000 "
        "--log stdout --log file:x --status-port 9000 --config-file ryu.conf --verbose"
    )
    assert command(*words, "--", "--log-file", "--x", "more")[3:] == [
        "--config-file=ryu.conf",
        f"--portcullis-policy={shop}",
        "--portcullis-ovsdb=tcp:h:6640",
        "--portcullis-ovsdb=unix:/a",
        "--portcullis-uplink=eth1",
        "--portcullis-uplink=bond*",
        "--portcullis-bridge=br0",
        "--portcullis-log=stdout",
        "--portcullis-log=file:x",
        "--ofp-listen-host=::1",
        "--ofp-tcp-listen-port=7000",
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


@pytest.mark.parametrize("words", [["nothing"], [".", "stray"], [], [".", "--config-file", "nothing"]])
def test_wrong_usage(shop, words):
    result = portcullis("run", *words, "--dry-run")
    assert (result.exit_code, result.stdout) == (2, "")


def test_the_process_becomes_ryu_manager(shop, monkeypatch):
    became = []
    monkeypatch.setattr(os, "execv", lambda path, words: became.append((path, words)))
    portcullis("run", ".")
    ((path, words),) = became
    assert words[0] == path
    assert words == command(".")


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
