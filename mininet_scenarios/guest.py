"""A guest as its user sees it: a name, addresses, and an agent inside that does what it is told.

Where the guest lives (a network namespace, a Mininet host) is the business of the `spawn` function: it starts a
command there, with pipes for input and output.
"""

import contextlib
import itertools
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_interface
from pathlib import Path
from typing import Any, Self

Spawn = Callable[[Sequence[str]], "subprocess.Popen[bytes]"]

ROOT = Path(__file__).resolve().parents[1]
# -S: the agent needs nothing but the standard library, and starts faster without site packages.
AGENT = ("env", f"PYTHONPATH={ROOT}", sys.executable, "-S", "-m", "mininet_scenarios.agent")

# How much longer than the agent's own time limit we wait for its answer, on a busy machine.
GRACE = 15.0


class AgentError(Exception):
    """The agent could not do what it was told, or is gone: a fault of the equipment, not of the network."""


@dataclass(frozen=True)
class Service:
    """What is asked for: `tcp/443`, `udp/53`, or `icmp/echo`."""

    protocol: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """The service that a term names."""
        protocol, _, rest = text.partition("/")
        if protocol in ("tcp", "udp") and rest.isdigit():
            return cls(protocol, int(rest))
        if text == "icmp/echo":
            return cls("icmp", 0)
        raise ValueError(f"not a service of ours: {text!r} (tcp/PORT, udp/PORT, icmp/echo)")


class Guest:
    """A guest and the handle on its agent, which starts when it is first needed."""

    def __init__(self, name: str, addresses: Sequence[str], spawn: Spawn) -> None:
        self.name = name
        self.addresses: tuple[IPv4Address | IPv6Address, ...] = tuple(ip_interface(a).ip for a in addresses)
        self._spawn = spawn
        self._agent: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count(1)
        self._waiting: dict[int, Future[dict[str, Any]]] = {}
        self._lock = threading.Lock()
        self._served: set[str] = set()

    def __repr__(self) -> str:
        return f"{self.name} ({', '.join(map(str, self.addresses))})"

    def address(self, family: int) -> str:
        """Its first address of a family (4 or 6)."""
        for address in self.addresses:
            if address.version == family:
                return str(address)
        raise ValueError(f"{self.name} has no IPv{family} address")

    @property
    def families(self) -> set[int]:
        """The address families it has: 4, 6."""
        return {address.version for address in self.addresses}

    def begin(self, do: str, **arguments: Any) -> "Future[dict[str, Any]]":  # noqa: ANN401 - the command's own arguments
        """Tell the agent to do something, and go on: the future brings its answer."""
        with self._lock:
            agent = self._started()
            number = next(self._numbers)
            future: Future[dict[str, Any]] = Future()
            self._waiting[number] = future
            assert agent.stdin is not None
            try:
                agent.stdin.write(json.dumps({"id": number, "do": do, "with": arguments}).encode() + b"\n")
                agent.stdin.flush()
            except OSError as error:
                raise AgentError(f"{self.name}: the agent is gone ({error})") from error
        return future

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:  # noqa: ANN401 - the command's own arguments
        """Tell the agent to do something, and wait for its answer."""
        return self.answer(self.begin(do, **arguments), float(arguments.get("timeout", 0.0)))

    def answer(self, future: "Future[dict[str, Any]]", allowed: float = 0.0) -> dict[str, Any]:
        """The answer to something begun that may take `allowed` seconds."""
        try:
            return future.result(allowed + GRACE)
        except TimeoutError:
            raise AgentError(f"{self.name}: the agent did not answer in {allowed + GRACE:.0f} s") from None

    def serve(self, text: str) -> None:
        """Let it serve a service, if it does not already. Guests answer echo requests by themselves."""
        service = Service.parse(text)
        if service.protocol != "icmp" and text not in self._served:
            self.ask(f"{service.protocol}.serve", port=service.port)
            self._served.add(text)

    def stop_serving(self, text: str) -> None:
        """Let it serve a service no longer; established connections stay."""
        service = Service.parse(text)
        self._served.discard(text)
        self.ask(f"{service.protocol}.stop_serving", port=service.port)

    def close(self) -> None:
        """End the agent, and with it all its sockets."""
        with self._lock:
            agent, self._agent = self._agent, None
            self._served.clear()
        if agent is None:
            return
        assert agent.stdin is not None
        with contextlib.suppress(OSError):
            agent.stdin.close()
        try:
            agent.wait(5)
        except subprocess.TimeoutExpired:
            agent.kill()
            agent.wait()

    def _started(self) -> "subprocess.Popen[bytes]":
        if self._agent is None:
            self._agent = self._spawn(AGENT)
            threading.Thread(target=self._listen, args=(self._agent,), daemon=True).start()
        return self._agent

    def _listen(self, agent: "subprocess.Popen[bytes]") -> None:
        """Hand each answer to whoever waits for it, until the agent ends."""
        assert agent.stdout is not None
        with agent.stdout:
            for line in agent.stdout:
                message = json.loads(line)
                future = self._waiting.pop(message["id"], None)
                if future is None:  # the greeting
                    continue
                if "error" in message:
                    future.set_exception(AgentError(f"{self.name}: {message['error']}"))
                else:
                    future.set_result(message["result"])
        while self._waiting:
            _, future = self._waiting.popitem()
            future.set_exception(AgentError(f"{self.name}: the agent ended (status {agent.wait()})"))
