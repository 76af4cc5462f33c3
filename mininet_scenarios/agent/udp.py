"""UDP in a guest: servers, questions and answers, and streams of numbered packets in either direction.

Datagrams are words: `ask TEXT` is sent back as it is; `push STREAM RATE` makes the server stream to whoever asked;
`seq STREAM NUMBER` is a packet of a stream, counted where it arrives.
"""

import asyncio
import collections
import itertools
import socket
from collections.abc import Callable
from typing import Any, cast

from mininet_scenarios.agent.outcomes import ANSWERED, TIMED_OUT, outcome_of
from mininet_scenarios.agent.tally import Sender, Tally

Address = tuple[Any, ...]

RECEIVE_BUFFER = 4 << 20  # bytes


class _Endpoint(asyncio.DatagramProtocol):
    """One UDP socket, a server's or a client's."""

    def __init__(self, hear: Callable[["_Endpoint", bytes, Address], None]) -> None:
        self._hear = hear
        self.waiting: dict[bytes, asyncio.Future[str]] = {}
        self.transport: asyncio.DatagramTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not an isinstance check: asyncio's own datagram transport does not say that it is one.
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self._hear(self, data, addr)

    def error_received(self, exc: Exception) -> None:
        """The network said no (an ICMP error): whoever waits for an answer hears of it."""
        assert isinstance(exc, OSError)
        for future in self.waiting.values():
            if not future.done():
                future.set_exception(exc)


class Udp:
    """The agent's UDP commands. A link is a number that stands for a client's connected socket."""

    def __init__(self) -> None:
        self._servers: dict[int, list[_Endpoint]] = {}
        self._links: dict[int, _Endpoint] = {}
        self._senders: dict[str, Sender] = {}
        self._tallies: dict[str, Tally] = {}
        self._asked: collections.deque[bytes] = collections.deque(maxlen=10000)
        self._numbers = itertools.count(1)

    async def serve(self, port: int) -> dict[str, Any]:
        """Serve a port on every address, IPv4 and IPv6."""
        if port not in self._servers:
            self._servers[port] = []
            self._servers[port].append(await self._endpoint(self._serve_one, local_addr=("0.0.0.0", port)))
            if socket.has_dualstack_ipv6():
                sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)  # IPv4 has a socket of its own
                sock.bind(("::", port))
                self._servers[port].append(await self._endpoint(self._serve_one, sock=sock))
        return {}

    async def stop_serving(self, port: int) -> dict[str, Any]:
        """Take the servers of a port away."""
        for endpoint in self._servers.pop(port, []):
            endpoint.transport.close()
        return {}

    async def _endpoint(self, hear: Callable[[_Endpoint, bytes, Address], None], **where: Any) -> _Endpoint:  # noqa: ANN401 - create_datagram_endpoint's own keywords
        loop = asyncio.get_running_loop()
        transport, endpoint = await loop.create_datagram_endpoint(lambda: _Endpoint(hear), **where)
        # On a busy machine this process may not run for a second; what has arrived then is no loss of the network.
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        return endpoint

    def _serve_one(self, endpoint: _Endpoint, data: bytes, peer: Address) -> None:
        word, _, rest = data.partition(b" ")
        if word == b"ask":
            self._asked.append(rest)
            endpoint.transport.sendto(data, peer)
        elif word == b"push":
            stream, rate = rest.split()
            self._send(stream.decode(), float(rate), lambda packet: endpoint.transport.sendto(packet, peer))
        elif word == b"seq":
            self._count(rest)

    def _hear_one(self, endpoint: _Endpoint, data: bytes, peer: Address) -> None:
        word, _, rest = data.partition(b" ")
        if word == b"seq":
            self._count(rest)
        elif word == b"ask" and rest in endpoint.waiting and not endpoint.waiting[rest].done():
            endpoint.waiting[rest].set_result(ANSWERED)

    def _send(self, stream: str, rate: float, send: Callable[[bytes], None]) -> None:
        if stream in self._senders:  # a repeated `push`: the stream is already running
            return
        self._senders[stream] = Sender(stream, rate, send)

    def _count(self, rest: bytes) -> None:
        stream, number = rest.split()
        tally = self._tallies.setdefault(stream.decode(), Tally())
        tally.note(int(number), asyncio.get_running_loop().time())

    async def open(self, host: str, port: int, source_port: int = 0) -> dict[str, Any]:
        """A socket that talks to one server; sends nothing yet."""
        local = None
        if source_port:
            local = ("::" if ":" in host else "0.0.0.0", source_port)
        try:
            endpoint = await self._endpoint(self._hear_one, remote_addr=(host, port), local_addr=local)
        except OSError as error:  # no route to there at all
            return outcome_of(error)
        link = next(self._numbers)
        self._links[link] = endpoint
        address, own_port = endpoint.transport.get_extra_info("sockname")[:2]
        return {"outcome": "opened", "link": link, "address": address, "port": own_port}

    async def ask(self, link: int, text: str, timeout: float) -> dict[str, Any]:
        """Send one question and wait for its answer."""
        endpoint = self._links[link]
        key = text.encode()
        loop = asyncio.get_running_loop()
        began = loop.time()
        answer = endpoint.waiting[key] = loop.create_future()
        endpoint.transport.sendto(b"ask " + key)
        try:
            async with asyncio.timeout(timeout):
                outcome: dict[str, Any] = {"outcome": await answer}
        except TimeoutError:
            outcome = {"outcome": TIMED_OUT, "why": "no answer"}
        except OSError as error:
            outcome = outcome_of(error)
        finally:
            del endpoint.waiting[key]
        return outcome | {"seconds": loop.time() - began}

    async def asked(self, text: str) -> dict[str, Any]:
        """Whether a question has come to one of this guest's servers (whatever became of the answer)."""
        return {"heard": text.encode() in self._asked}

    async def close(self, link: int) -> dict[str, Any]:
        """Close a client's socket."""
        endpoint = self._links.pop(link, None)
        if endpoint is not None:
            endpoint.transport.close()
        return {}

    async def send(self, link: int, stream: str, rate: float) -> dict[str, Any]:
        """Stream numbered packets to the server, `rate` a second, until stopped."""
        transport = self._links[link].transport
        self._send(stream, rate, transport.sendto)
        return {}

    async def pull(self, link: int, stream: str, rate: float) -> dict[str, Any]:
        """Send a single packet that makes the server stream to us; then be silent and count."""
        self._tallies[stream] = Tally()
        self._links[link].transport.sendto(f"push {stream} {rate}".encode())
        return {}

    async def counts(self, stream: str) -> dict[str, Any]:
        """What has arrived here of a stream."""
        return self._tallies.get(stream, Tally()).counts(asyncio.get_running_loop().time())

    async def sent(self, stream: str) -> dict[str, Any]:
        """How many packets of a stream have been sent from here."""
        sender = self._senders.get(stream)
        return {"sent": sender.sent if sender else 0}

    async def stop(self, stream: str) -> dict[str, Any]:
        """Stop sending a stream; tell how many packets were sent from here."""
        sender = self._senders.get(stream)
        return {"sent": sender.stop() if sender else 0}
