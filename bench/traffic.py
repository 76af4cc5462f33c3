"""Traffic of one measured guest: a process in the guest's namespace that is told what to do, a line of JSON at a time.

It needs nothing but the standard library, so that it starts at once. Every request is answered by one line. Times are
nanoseconds of the machine's clock (CLOCK_REALTIME), which all guests share; arrivals of UDP packets are stamped by the
kernel (SO_TIMESTAMPNS), so it does not matter when this process gets to run.
"""

import json
import os
import socket
import struct
import sys
import time
from typing import Any

from bench.packets import PACKET, Arrivals, Sender, in_thread

STAMP = struct.Struct("@qq")
SO_TIMESTAMPNS = 35
LOOK_AGAIN = 0.002
BULK = bytes(65536)


class Traffic:
    """The commands. Streams and what arrived of them have names that the caller chooses."""

    def __init__(self) -> None:
        self._arrivals: dict[str, Arrivals] = {}
        self._senders: dict[str, Sender] = {}
        self._sockets: dict[str, socket.socket] = {}

    def serve(self, echo: int, accept: int, sink: int) -> dict[str, Any]:
        """Serve UDP echo, TCP that closes at once, and TCP that swallows all."""
        in_thread(_echo, self._udp("", echo))
        in_thread(_accept_and_close, _listener(accept))
        in_thread(_accept_and_swallow, _listener(sink))
        return {}

    def answer_once(self, port: int) -> dict[str, Any]:
        """A UDP port that answers the first datagram and reads no other: the rest costs this guest next to nothing."""
        if "once" in self._sockets:
            self._sockets.pop("once").close()
        sock = self._sockets["once"] = self._udp("", port)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        in_thread(lambda: sock.sendto(*sock.recvfrom(100)))
        return {}

    def receive(self, name: str, port: int) -> dict[str, Any]:
        """Note what comes to a UDP port; a datagram that is no numbered packet (a greeting) only tells the sender."""
        sock = self._sockets[name] = self._udp("", port)
        self._note_from(name, sock)
        return {}

    def send(
        self, name: str, host: str, port: int, rate: float, source: str = "", source_port: int = 0
    ) -> dict[str, Any]:
        """Send numbered packets at a rate, until told to stop; note what comes back."""
        sock = self._sockets[name] = self._udp(source, source_port)
        sock.connect((host, port))
        self._note_from(name, sock)
        self._senders[name] = Sender(rate, sock.send)
        return {"port": sock.getsockname()[1]}

    def pull(self, name: str, host: str, port: int) -> dict[str, Any]:
        """Greet a port once, be silent from then on, and note what it sends."""
        sock = self._sockets[name] = self._udp("", 0)
        sock.connect((host, port))
        sock.send(b"hello")
        self._note_from(name, sock)
        return {}

    def push(self, name: str, port: int, rate: float) -> dict[str, Any]:
        """Send numbered packets to whoever greets this port; returns at once."""
        sock = self._sockets[name] = self._udp("", port)

        def go() -> None:
            _, peer = sock.recvfrom(100)
            self._senders[name] = Sender(rate, lambda packet: sock.sendto(packet, peer))

        in_thread(go)
        return {}

    def talk(self, name: str, host: str, port: int, rate: float) -> dict[str, Any]:
        """Open a TCP connection and send numbered packets over it, at a rate."""
        sock = self._sockets[name] = socket.create_connection((host, port), 5)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setblocking(False)
        self._senders[name] = Sender(rate, sock.send)
        return {}

    def listen(self, name: str, port: int) -> dict[str, Any]:
        """Take one TCP connection and note the numbered packets that come over it."""
        listener = self._sockets[name] = _listener(port)

        def go() -> None:
            sock, _ = listener.accept()
            arrivals = self._arrivals[name] = Arrivals()
            with sock:
                while data := sock.recv(PACKET.size, socket.MSG_WAITALL):
                    if len(data) == PACKET.size:
                        arrivals.note(data, time.time_ns())

        in_thread(go)
        return {}

    def first_after(self, name: str, time_ns: int, timeout: float) -> dict[str, Any]:
        """When the first packet arrived after a moment: waited for; null if none came in time."""
        deadline = time.monotonic() + timeout
        looked = 0
        while True:
            arrivals = self._arrivals.get(name)
            for place in range(looked, len(arrivals.came) if arrivals else 0):
                looked = place + 1
                if arrivals is not None and arrivals.came[place] > time_ns:
                    return {"at": arrivals.came[place]}
            if time.monotonic() > deadline:
                return {"at": None}
            time.sleep(LOOK_AGAIN)

    def last(self, name: str, quiet: float, timeout: float) -> dict[str, Any]:
        """When the last packet arrived, once none has for `quiet` seconds; null if it does not stop in time."""
        deadline = time.monotonic() + timeout
        while True:
            came = self._arrivals[name].came
            last = came[-1]
            if time.time_ns() - last > quiet * 1e9:
                return {"at": last}
            if time.monotonic() > deadline:
                return {"at": None}
            time.sleep(LOOK_AGAIN)

    def stop(self, name: str) -> dict[str, Any]:
        """Stop sending; how many packets were sent."""
        sender = self._senders.pop(name)
        return {"sent": sender.stop()}

    def sent(self, name: str) -> dict[str, Any]:
        """How many packets have been sent so far."""
        return {"sent": self._senders[name].number}

    def tally(self, name: str, first: int, end: int) -> dict[str, Any]:
        """What became of the packets `first` up to `end` of a stream."""
        return self._arrivals[name].tally(first, end)

    def blast(self, host: str, port: int, seconds: float, source_port: int) -> dict[str, Any]:
        """64-byte frames as fast as one process can, over one conversation that has been answered once."""
        with self._udp("", source_port) as sock:
            sock.settimeout(2)
            sock.connect((host, port))
            sock.send(PACKET.pack(0, 0))
            sock.recv(100)
            packet, count = PACKET.pack(0, 0), 0
            send = sock.send
            began = time.monotonic()
            while (now := time.monotonic()) - began < seconds:
                for _ in range(50):
                    send(packet)
                count += 50
            return {"sent": count, "seconds": now - began}

    def connects(self, host: str, port: int, count: int, source_port: int) -> dict[str, Any]:
        """Open and close connections, one after the other, from source ports that nobody has used before."""
        began = time.monotonic()
        for number in range(count):
            with socket.socket() as sock:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                sock.settimeout(5)
                sock.bind(("", source_port + number))
                sock.connect((host, port))
                sock.recv(1)
        return {"seconds": time.monotonic() - began}

    def opens(self, host: str, port: int, seconds: float, source_port: int) -> dict[str, Any]:
        """Open and close connections for so long, one after the other; one that takes over a second is given up."""
        began = time.monotonic()
        opened = tried = 0
        while (now := time.monotonic()) - began < seconds:
            with socket.socket() as sock:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                sock.settimeout(1)
                sock.bind(("", source_port + tried))
                tried += 1
                try:
                    sock.connect((host, port))
                    sock.recv(1)
                except OSError:
                    continue
                opened += 1
        return {"opened": opened, "tried": tried, "seconds": now - began}

    def bulk(self, host: str, port: int, seconds: float) -> dict[str, Any]:
        """TCP as fast as it goes, with a send buffer of 64 KiB; bytes a second that the other end has taken."""
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
            sock.settimeout(5)
            sock.connect((host, port))
            began = time.monotonic()
            count = 0
            while time.monotonic() - began < seconds:
                count += sock.send(BULK)
            return {"bytes_per_second": count / (time.monotonic() - began)}

    def round_trips(self, host: str, port: int, count: int) -> dict[str, Any]:
        """Seconds of round trips to a UDP echo, one after the other, over one conversation; how many never came back.

        The first tenth is not counted: it takes the datapath by surprise.
        """
        times, lost = [], 0
        with self._udp("", 0) as sock:
            sock.settimeout(1)
            sock.connect((host, port))
            for number in range(count):
                began = time.perf_counter()
                sock.send(PACKET.pack(number, 0))
                try:
                    while PACKET.unpack(sock.recv(100))[0] != number:  # one that was given up comes after all
                        pass
                except TimeoutError:
                    lost += 1
                    if lost * 10 > count:
                        raise
                    continue
                times.append(time.perf_counter() - began)
        return {"seconds": times[count // 10 :], "lost": lost}

    def arrived(self) -> dict[str, Any]:
        """Frames that this guest's device has received."""
        with open("/proc/net/dev") as devices:  # noqa: PTH123 - of this namespace, and nothing else is needed of it
            line = next(line for line in devices if "eth0:" in line)
        return {"frames": int(line.split(":")[1].split()[1])}

    def forget(self, name: str) -> dict[str, Any]:
        """Close what a stream had open."""
        if name in self._senders:
            self.stop(name)
        if name in self._sockets:
            self._sockets.pop(name).close()
        self._arrivals.pop(name, None)
        return {}

    def _udp(self, source: str, port: int) -> socket.socket:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        sock.bind((source, port))
        return sock

    def _note_from(self, name: str, sock: socket.socket) -> None:
        arrivals = self._arrivals[name] = Arrivals()

        def go() -> None:
            while True:
                try:
                    data, extra, _, _ = sock.recvmsg(2048, 128)
                except ConnectionRefusedError:
                    continue
                except OSError:  # closed: nobody wants to know any more
                    return
                if len(data) == PACKET.size:
                    arrivals.note(data, _stamp(extra))

        in_thread(go)


def _stamp(extra: list[tuple[int, int, bytes]]) -> int:
    for level, kind, data in extra:
        if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS:
            seconds, nanoseconds = STAMP.unpack(data[: STAMP.size])
            return int(seconds * 1_000_000_000 + nanoseconds)
    return time.time_ns()


def _listener(port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("", port))
    listener.listen(1024)
    return listener


def _echo(sock: socket.socket) -> None:
    while True:
        data, peer = sock.recvfrom(2048)
        sock.sendto(data, peer)


def _accept_and_close(listener: socket.socket) -> None:
    while True:
        listener.accept()[0].close()


def _accept_and_swallow(listener: socket.socket) -> None:
    while True:
        sock, _ = listener.accept()
        in_thread(_swallow, sock)


def _swallow(sock: socket.socket) -> None:
    with sock:
        while sock.recv(1 << 18):
            pass


def main() -> None:
    """Read requests until the input ends; then go at once, with all sockets."""
    traffic = Traffic()
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = getattr(traffic, request.pop("do"))(**request)
        except Exception as error:  # whoever asked must hear of it
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
