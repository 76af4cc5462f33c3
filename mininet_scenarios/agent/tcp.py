"""TCP in a guest: servers, connections that stay, and many short ones."""

import asyncio
import contextlib
import itertools
import socket
from typing import Any

from mininet_scenarios.agent.outcomes import CLOSED, CONNECTED, RESET, TIMED_OUT, outcome_of

# What one end remembers of what it heard: enough for any words of ours, bounded for sinks.
REMEMBERED = 65536


class Line:
    """One end of a TCP connection. It reads all the time, remembers what it heard, and echoes at an echo server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, mode: str) -> None:
        self.reader = reader
        self.writer = writer
        self.mode = mode
        self.heard = bytearray()
        self.bytes_heard = 0
        self.ended: str | None = None
        self.news = asyncio.Event()

    async def listen(self) -> None:
        """Read until the connection ends."""
        try:
            while data := await self.reader.read(65536):
                self.bytes_heard += len(data)
                self.heard += data
                del self.heard[:-REMEMBERED]
                self.news.set()
                if self.mode == "echo":
                    self.writer.write(data)
            self.ended = CLOSED
        except OSError as error:
            self.ended = str(outcome_of(error)["outcome"])
        finally:
            self.writer.close()
            self.news.set()

    async def hear(self, text: bytes, timeout: float) -> str:
        """Wait until `text` has been heard, the connection has ended, or time is up."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while text not in self.heard and self.ended is None:
                    self.news.clear()
                    await self.news.wait()
        if text in self.heard:
            return "heard"
        return self.ended or TIMED_OUT


class Tcp:
    """The agent's TCP commands. A link is a number that stands for one end of a connection, client's or server's."""

    def __init__(self) -> None:
        self._servers: dict[int, list[asyncio.Server]] = {}
        self._links: dict[int, Line] = {}
        self._accepted: dict[tuple[int, str, int], int] = {}
        self._arrival = asyncio.Event()
        self._numbers = itertools.count(1)
        self._listening: set[asyncio.Task[None]] = set()

    async def serve(self, port: int, mode: str = "echo") -> dict[str, Any]:
        """Serve a port on every address, IPv4 and IPv6: `echo` sends back what it hears, `sink` only listens."""
        if port not in self._servers:
            self._servers[port] = []
            for host, family in (("0.0.0.0", socket.AF_INET), ("::", socket.AF_INET6)):
                if family == socket.AF_INET6 and not socket.has_dualstack_ipv6():
                    continue

                async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                    await self._serve_one(port, mode, reader, writer)

                server = await asyncio.start_server(accept, host, port, family=family, backlog=1024)
                self._servers[port].append(server)
        return {}

    async def stop_serving(self, port: int) -> dict[str, Any]:
        """Take the servers of a port away; connections that exist stay."""
        for server in self._servers.pop(port, []):
            server.close()
        return {}

    async def _serve_one(
        self, port: int, mode: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        peer = writer.get_extra_info("peername")
        link = next(self._numbers)
        line = self._links[link] = Line(reader, writer, mode)
        key = (port, peer[0], peer[1])
        self._accepted[key] = link
        self._arrival.set()
        await line.listen()
        if self._accepted.get(key) == link:
            del self._accepted[key]
        self._links.pop(link, None)

    async def accepted(self, port: int, peer: str, peer_port: int, timeout: float) -> dict[str, Any]:
        """The server's end of a connection, by its client's address and port; `link` is None if it never came."""
        key = (port, peer, peer_port)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while key not in self._accepted:
                    self._arrival.clear()
                    await self._arrival.wait()
        return {"link": self._accepted.get(key)}

    async def connect(self, host: str, port: int, timeout: float, source_port: int = 0) -> dict[str, Any]:
        """Open a connection and keep it."""
        began = asyncio.get_running_loop().time()
        try:
            sock = await _open(host, port, timeout, source_port)
        except OSError as error:
            return outcome_of(error) | {"seconds": asyncio.get_running_loop().time() - began}
        seconds = asyncio.get_running_loop().time() - began
        address, own_port = sock.getsockname()[:2]
        reader, writer = await asyncio.open_connection(sock=sock)
        link = next(self._numbers)
        line = self._links[link] = Line(reader, writer, "keep")
        task = asyncio.create_task(line.listen())
        self._listening.add(task)
        task.add_done_callback(self._listening.discard)
        return {
            "outcome": CONNECTED,
            "link": link,
            "address": address,
            "port": own_port,
            "seconds": seconds,
        }

    async def say(self, link: int, text: str) -> dict[str, Any]:
        """Send a text over a link."""
        line = self._links.get(link)
        if line is None or line.ended is not None:
            return {"outcome": line.ended if line else CLOSED}
        line.writer.write(text.encode())
        return {"outcome": "said"}

    async def hear(self, link: int, text: str, timeout: float) -> dict[str, Any]:
        """Wait for a text on a link."""
        line = self._links.get(link)
        if line is None:
            return {"outcome": CLOSED}
        return {"outcome": await line.hear(text.encode(), timeout), "bytes": line.bytes_heard}

    async def echo(self, link: int, text: str, timeout: float) -> dict[str, Any]:
        """Send a text and wait for it to come back."""
        said = await self.say(link, text)
        if said["outcome"] in (CLOSED, RESET):
            return said
        return await self.hear(link, text, timeout)

    async def close(self, link: int) -> dict[str, Any]:
        """End a connection in good order."""
        line = self._links.pop(link, None)
        if line is not None:
            line.writer.close()
        return {}

    async def many(self, host: str, port: int, count: int, timeout: float, parallel: int = 1) -> dict[str, Any]:
        """Open and close `count` connections, `parallel` at a time; tell how each kind of outcome went."""
        loop = asyncio.get_running_loop()
        outcomes: dict[str, int] = {}
        slowest = 0.0
        began = loop.time()
        left = iter(range(count))

        async def worker() -> None:
            nonlocal slowest
            for _ in left:
                start = loop.time()
                try:
                    (await _open(host, port, timeout)).close()
                    outcome = CONNECTED
                except OSError as error:
                    outcome = str(outcome_of(error)["outcome"])
                outcomes[outcome] = outcomes.get(outcome, 0) + 1
                slowest = max(slowest, loop.time() - start)

        await asyncio.gather(*(worker() for _ in range(parallel)))
        return {"outcomes": outcomes, "seconds": loop.time() - began, "slowest": slowest}


async def _open(host: str, port: int, timeout: float, source_port: int = 0) -> socket.socket:
    """A connected socket, or the kernel's error."""
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)[0]
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setblocking(False)
    try:
        if source_port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(("", source_port))
        async with asyncio.timeout(timeout):
            await asyncio.get_running_loop().sock_connect(sock, address)
    except BaseException:
        sock.close()
        raise
    return sock
