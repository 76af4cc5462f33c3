"""The firewall's controller as a process of its own: started, watched through its status page, killed, restarted."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path
from typing import IO, Any

from mininet_scenarios.guest import ROOT
from mininet_scenarios.lab.inside import HttpConnection
from mininet_scenarios.lab.shell import last_lines
from policy.commands.run import ENVIRONMENT

Status = dict[str, Any]

# Seconds until what is sure to come is given up: an end to what hangs, far from what a busy machine needs.
PATIENCE = 60.0


def free_port() -> int:
    """A TCP port on our loopback that nobody uses just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def write_policy(path: Path, text: str) -> None:
    """Put a policy file in place whole: a reader sees the old one or the new one, never half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Hidden files are none of the policy's.
    draft = path.with_name(f".{path.name}.draft")
    draft.write_text(text)
    draft.rename(path)


def exchange_policy(policy: Path, revision: Path) -> None:
    """Have ``policy``, a symlink, lead to another directory from one moment to the next (docs/operation.md)."""
    draft = policy.with_name(f".{policy.name}.draft")
    draft.symlink_to(revision)
    draft.rename(policy)


def vnics_enforced(*ports: str) -> Callable[[Status], bool]:
    """For `wait_enforced(until=...)`: these switch ports are known as vNICs and enforced."""

    def known(status: Status) -> bool:
        return {vnic["port"] for vnic in status["vnics"] if vnic["state"] == "enforced"} >= set(ports)

    return known


class ControllerError(AssertionError):
    """The controller did not come to enforce, or ended."""


class Controller:
    """ryu-manager with the firewall's application, in the namespace of its switches (None: our own).

    Its ports are chosen when the object is made, so that bridges can be told (`target`) before it runs. In a namespace
    of its own it has the loopback for itself: talk to it through `get` and `request`, which go there.
    """

    def __init__(
        self,
        policy: Path,
        databases: Sequence[str],
        log: Path,
        *,
        namespace: str | None = None,
        listen: str = "127.0.0.1",
        options: Sequence[str] = (),
        settle: Callable[[], None] = lambda: None,
    ) -> None:
        self.policy = policy
        self.databases = list(databases)
        self.log = log
        self.listen = listen
        self.namespace = namespace
        self.options = list(options)
        # Where its program is.
        self.root = ROOT
        self._settle = settle
        # More for its environment, and where else than to its log its output goes, from the next start on.
        self.environment: dict[str, str] = {}
        self.output: Path | None = None
        # In a session of its own, as a service is: Linux shares processors out among sessions first (sched(7), "The
        # autogroup feature"), so it would go halves with whoever has started it.
        self.own_session = False
        self.openflow_port = free_port()
        self.rest_port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._log_file: IO[bytes] | None = None

    @property
    def target(self) -> str:
        """Where bridges of its own namespace find it."""
        return self.target_at("127.0.0.1")

    def target_at(self, address: str) -> str:
        """Where bridges find it that reach it at an address."""
        return f"tcp:{address}:{self.openflow_port}"

    @property
    def url(self) -> str:
        """Where its REST interface is, seen from its namespace."""
        return f"http://127.0.0.1:{self.rest_port}/portcullis"

    @property
    def pid(self) -> int:
        """Its process number."""
        assert self._process is not None, "the controller is not running"
        return self._process.pid

    def command(self) -> list[str]:
        """How it is started."""
        return [
            str(Path(sys.executable).with_name("ryu-manager")),
            *("--user-flags", str(self.root / "ryu_apps/settings.py")),
            str(self.root / "ryu_apps/portcullis.py"),
            *("--portcullis-policy", str(self.policy)),
            *(word for database in self.databases for word in ("--portcullis-ovsdb", database)),
            *("--ofp-listen-host", self.listen),
            *("--ofp-tcp-listen-port", str(self.openflow_port)),
            *("--wsapi-host", "127.0.0.1"),
            *("--wsapi-port", str(self.rest_port)),
            *self.options,
        ]

    def start(self) -> None:
        """Start it (again), and go on: `wait_enforced` waits."""
        assert self._process is None, "the controller is already running"
        if self.output is None:
            self._log_file = self.log.open("ab")
            self._log_file.write(f"=== start at {time.strftime('%X')}\n".encode())
            self._log_file.flush()
        else:
            self._log_file = self.output.open("ab")
        where = ["ip", "netns", "exec", self.namespace] if self.namespace else []
        self._process = subprocess.Popen(
            where + self.command(),
            stdin=subprocess.DEVNULL,
            stdout=self._log_file,
            stderr=subprocess.STDOUT,
            cwd=self.root,
            # The modules of `root` too: the script looks where the project is installed, which may be another checkout.
            env=ENVIRONMENT
            | os.environ
            | {"PYTHONUNBUFFERED": "1", "PYTHONPATH": str(self.root)}
            | self.environment,
            start_new_session=self.own_session,
        )

    def kill9(self) -> None:
        """It dies without a chance to say or do anything."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """It ends in good order, if it runs at all."""
        if self._process is not None:
            self._end(signal.SIGTERM)

    @contextlib.contextmanager
    def stalled(self) -> Iterator[None]:
        """It is there, but does nothing (SIGSTOP), and then goes on."""
        pid = self.pid
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    @property
    def running(self) -> bool:
        """Whether it has been started and not ended."""
        return self._process is not None and self._process.poll() is None

    def exited(self) -> int | None:
        """Its exit status, if it has ended by itself."""
        return None if self._process is None else self._process.poll()

    def get(self, path: str, timeout: float = 10.0) -> Any:  # noqa: ANN401 - whatever JSON the page holds
        """A page of its REST interface, as JSON: `get("/status")`."""
        status, body = self.request("GET", path, timeout=timeout)
        if status != HTTPStatus.OK:
            raise ControllerError(f"GET {path}: HTTP status {status}: {body[:500].decode(errors='replace')}")
        return json.loads(body)

    def request(self, method: str, path: str, body: bytes | None = None, timeout: float = 10.0) -> tuple[int, bytes]:
        """One HTTP request to its REST interface: the status code and the body of the answer."""
        connection = HttpConnection(self.namespace, "127.0.0.1", self.rest_port, timeout)
        with contextlib.closing(connection):
            connection.request(method, "/portcullis" + path, body)
            response = connection.getresponse()
            return response.status, response.read()

    def status(self) -> Status:
        """Its status page."""
        return dict(self.get("/status"))

    def told(self, condition: Callable[[Status], object], within: float = PATIENCE) -> Status:
        """Its status page, as soon as that fits, enforced or not; it may not have started yet."""
        deadline = time.monotonic() + within
        seen: object = "no answer yet"
        while time.monotonic() < deadline:
            try:
                seen = status = self.status()
                if condition(status):
                    return status
            except (OSError, HTTPException) as error:
                seen = error
            time.sleep(0.05)  # the page tells of no change that it has not noticed: ask again in a moment
        raise ControllerError(f"not told in {within:.1f} s; the last status: {seen}\n{last_lines(self.log)}")

    def change_policy(self, text: str, name: str = "policy.yaml", timeout: float = PATIENCE) -> Status:
        """Write a policy file anew and wait until it is in force everywhere; one with errors is an error here."""
        write_policy(self.policy / name, text)

        def settled(status: Status) -> bool:
            if errors := status["policy"]["errors"]:
                raise ControllerError(f"the policy was refused: {errors}")
            return True

        return self.wait_enforced(timeout, settled)

    def wait_enforced(
        self, timeout: float = PATIENCE, until: Callable[[Status], bool] | None = None, *, settle: bool = True
    ) -> Status:
        """Wait until every bridge enforces the newest policy and topology; return the status.

        `until` may ask for more, such as a revision other than the last: a change that the controller has not yet
        noticed is not yet "newest" for it. With `settle`, wait also for the switches' datapaths, which follow the
        controller's "enforced" by some milliseconds (`Ovs.settle`); without, whoever measures these sees them.
        """
        deadline = time.monotonic() + timeout
        seen: object = "no answer yet"
        while (left := deadline - time.monotonic()) > 0:
            if self.exited() is not None:
                raise ControllerError(f"the controller ended with status {self.exited()}\n{last_lines(self.log)}")
            try:
                seen = status = dict(self.get(f"/status?wait={min(left, 5.0):.1f}", timeout=left + 5))
            except (OSError, HTTPException) as error:
                seen = error
                time.sleep(0.05)  # it is starting: nothing to wait on yet but its port
                continue
            # Asked of every status, enforced or not: it may see that there is nothing to wait for, and raise.
            fits = until is None or until(status)
            if fits and status.get("enforced") is True:
                if settle:
                    self._settle()
                return status
            time.sleep(0.02)  # it may answer at once, having nothing newer to wait for
        raise ControllerError(f"not enforced in {timeout:.1f} s; the last status: {seen}\n{last_lines(self.log)}")

    def report(self) -> str:
        """For the reader of a failure: the end of its log, and its status if it has one to give."""
        text = last_lines(self.log)
        with contextlib.suppress(OSError, ValueError, HTTPException, ControllerError):
            text += "\n--- status\n" + json.dumps(self.get("/status", timeout=2.0), indent=1)
        return text

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        assert process is not None, "the controller is not running"
        process.send_signal(number)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise ControllerError(f"the controller did not end in 10 s on {number.name}") from None
        finally:
            if self._log_file is not None:
                self._log_file.close()
