"""FTP and TFTP on a live switch, with a real FTP server: what is agreed on over an allowed connection comes through."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mininet_scenarios.guest import ROOT
from mininet_scenarios.lab import Lab, LiveGuest
from mininet_scenarios.words import sniff
from tests.live import file_ends
from tests.live.shop import VMS, Shop

RULE = "      - {name: files, allow: [ftp, boot], from: any, to: any}\n"
POLICY = f"""\
services:
  ftp: {{protocol: tcp, port: 21, helper: ftp}}
  boot: {{protocol: udp, port: 69, helper: tftp}}
  plain-ftp: tcp/21
  plain-boot: udp/69
policies:
  - name: files
    rules:
{RULE}"""
WITHOUT = POLICY.replace("[ftp, boot]", "[plain-ftp, plain-boot]")
NO_RULE = POLICY.replace(RULE, "      - {name: none, allow: tcp/9, from: any, to: any}\n")
SIZE, PIECE = 300_000, 50_000
# Two vNICs of one bridge; the server outside; the client outside.
ROLES = [("web", "app"), ("web", "client"), ("client", "app")]

roles = pytest.mark.parametrize(("client", "server"), ROLES, ids=["-".join(role) for role in ROLES])
families = pytest.mark.parametrize("family", [4, 6])
ways = pytest.mark.parametrize("passive", [False, True], ids=["active", "passive"])


class End:
    """A process of `file_ends` inside a guest."""

    def __init__(self, guest: LiveGuest, *arguments: str) -> None:
        inside = ("ip", "netns", "exec", guest.namespace, "env", f"PYTHONPATH={ROOT}")
        command = [*inside, sys.executable, "-m", file_ends.__name__, *arguments]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert self._line() == "ready"

    def ask(self, *words: object) -> dict[str, Any]:
        """What becomes of a command."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(words) + "\n")
        self.process.stdin.flush()
        return dict(json.loads(self._line()))

    def does(self, *words: object) -> Any:
        """What a command answers, which must not fail."""
        answer = self.ask(*words)
        assert "done" in answer, (words, answer)
        return answer["done"]

    def fails(self, *words: object) -> None:
        answer = self.ask(*words)
        assert "failed" in answer, (words, answer)

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def close(self) -> None:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(10)


@pytest.fixture(scope="module")
def the_shop(module_lab: Lab) -> Shop:
    return Shop(module_lab, {"inventory.yaml": VMS, "policy.yaml": POLICY})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("files")
    (path / "file").write_bytes(bytes(SIZE))
    (path / "loader").write_bytes(bytes(5_000))
    # The server forgets that it is root before it looks.
    path.chmod(0o777)
    return path


@pytest.fixture(scope="module")
def servers(the_shop: Shop, folder: Path) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for guest in (the_shop.app, the_shop.client):
            for kind in ("ftp", "tftp"):
                stack.callback(End(guest, kind, str(folder)).close)
        yield


@pytest.fixture
def shop(the_shop: Shop, servers: None) -> Iterator[Shop]:
    yield the_shop
    become(the_shop, POLICY)


def become(shop: Shop, text: str) -> None:
    """Another policy, enforced."""
    if shop.files["policy.yaml"] != text:
        shop.say("policy.yaml", text)
        shop.controller.wait_enforced()


@contextlib.contextmanager
def talking(shop: Shop, client: str, server: str, family: int, passive: bool) -> Iterator[End]:
    """A client that has logged in at a server."""
    end = End(getattr(shop, client), "client")
    try:
        end.does("connect", host_of(shop, server, family), passive)
        yield end
    finally:
        end.close()


def host_of(shop: Shop, name: str, family: int) -> str:
    guest: LiveGuest = getattr(shop, name)
    return next(str(address) for address in guest.addresses if address.version == family)


@roles
@families
@ways
def test_files_come_through(shop, client, server, family, passive):
    with talking(shop, client, server, family, passive) as end:
        assert [end.does("get", "file") for _ in range(3)] == [SIZE] * 3


@roles
@ways
def test_without_the_helper_only_the_control_connection_does(shop, client, server, passive):
    become(shop, WITHOUT)
    for family in (4, 6):
        with talking(shop, client, server, family, passive) as end:
            end.fails("get", "file")


@roles
@ways
@pytest.mark.parametrize("changed", [NO_RULE, WITHOUT], ids=["rule gone", "helper gone"])
def test_a_transfer_is_cut_with_its_rule(shop, folder, client, server, passive, changed):
    with talking(shop, client, server, 4, passive) as end:
        stored = folder / "stored"
        end.does("store", "stored")
        end.does("send", PIECE)
        wait_for_size(stored, 1)
        become(shop, changed)
        before = stored.stat().st_size
        end.does("send", PIECE)  # into the client's own buffer
        time.sleep(0.5)  # that nothing comes is no event: this is how long it is watched
        assert stored.stat().st_size == before
        become(shop, POLICY)
        wait_for_size(stored, before + 1)
    stored.unlink()


def wait_for_size(path: Path, size: int) -> None:
    """Wait until the server has written that much at least; it writes in blocks."""
    deadline = time.monotonic() + 10
    while not path.exists() or path.stat().st_size < size:
        assert time.monotonic() < deadline, f"{path} has not {size} bytes"
        time.sleep(0.02)


@pytest.mark.parametrize("client", ["web", "client"])
@families
def test_the_server_cannot_be_made_to_call_a_third(shop, client, family):
    """FTP bounce: the client names the address of db, and the server would connect to it."""
    address = host_of(shop, "db", family)
    words = f"EPRT |2|{address}|5000|" if family == 6 else f"PORT {address.replace('.', ',')},19,136"
    server = host_of(shop, "app", family)
    with talking(shop, client, "app", family, False) as end, sniff(shop.db, {"src": server, "proto": 6}) as at_db:
        end.fails("say", words)
        end.ask("say", "RETR file")
        at_db.sees_nothing()


@pytest.mark.parametrize("command", ["EPSV", "PASV"])
def test_over_ipv4_the_userspace_datapath_reads_pasv_only(shop, command):
    with talking(shop, "web", "app", 4, True) as end:
        said = end.does("say", command)
        numbers = [int(word) for word in re.findall(r"[0-9]+", said)]
        if command == "EPSV":
            end.fails("reach", numbers[-1])
        else:
            assert end.does("reach", numbers[-2] * 256 + numbers[-1]) == "reached"


@roles
@families
def test_tftp_comes_through_with_its_helper_only(shop, client, server, family):
    host = host_of(shop, server, family)
    end = End(getattr(shop, client), "client")
    try:
        assert end.does("tftp", host, "loader") == 5_000
        become(shop, WITHOUT)
        end.fails("tftp", host, "loader")
    finally:
        end.close()


@ways
def test_transfers_cost_few_megaflows(shop, passive):
    with talking(shop, "web", "app", 4, passive) as end:
        end.does("get", "file")
        few = len(shop.ovs.megaflows())
        for _ in range(20):
            end.does("get", "file")
        # Each has ports of its own, and must not cost an entry of its own for it.
        assert len(shop.ovs.megaflows()) <= few + 15
