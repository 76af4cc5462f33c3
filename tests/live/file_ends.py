"""The two ends of file transfers, run inside guests: an FTP server, a TFTP server, and a client that obeys.

The servers say a line when they listen, and end when their standard input does. The client reads a JSON list a line,
a word and its arguments, and answers each with a JSON object: ``{"done": …}``, or ``{"failed": "why"}``.
"""

from __future__ import annotations

import ftplib
import json
import socket
import struct
import sys
import threading
from collections.abc import Callable
from pathlib import Path

BLOCK = 512
# How long an end waits for the other: much longer than anything takes here that is not stopped.
PATIENCE = 2.0


def until_told() -> None:
    """Wait until whoever started this process wants no more of it."""
    print("ready", flush=True)
    sys.stdin.read()


def serve_ftp(folder: str) -> None:
    """A server that does whatever it is asked, connections to third hosts included: it is not what protects them."""
    from pyftpdlib.authorizers import DummyAuthorizer
    from pyftpdlib.handlers import FTPHandler
    from pyftpdlib.servers import FTPServer

    authorizer = DummyAuthorizer()
    authorizer.add_anonymous(folder, perm="elrw")

    class Careless(FTPHandler):
        permit_foreign_addresses = True

    Careless.authorizer = authorizer
    server = FTPServer(("::", 21), Careless)
    threading.Thread(target=server.serve_forever, kwargs={"handle_exit": False}, daemon=True).start()
    until_told()


def serve_tftp(folder: str) -> None:
    """RFC 1350, reading only; each transfer from a port of its own."""
    with _udp(69) as asked:
        threading.Thread(target=_answer, args=(asked, Path(folder)), daemon=True).start()
        until_told()


def _udp(port: int) -> socket.socket:
    made = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    made.bind(("::", port))
    return made


def _answer(asked: socket.socket, folder: Path) -> None:
    while True:
        request, whom = asked.recvfrom(BLOCK)
        data = (folder / request[2:].split(b"\0")[0].decode()).read_bytes()
        with _udp(0) as own:
            own.settimeout(PATIENCE)
            for number in range(len(data) // BLOCK + 1):
                own.sendto(struct.pack("!HH", 3, number + 1) + data[number * BLOCK :][:BLOCK], whom)
                try:
                    own.recvfrom(BLOCK)
                except TimeoutError:
                    break


class Client:
    """What a client can be told to do."""

    def connect(self, host: str, passive: bool) -> str:
        """Log in; ``passive``: the server listens for data connections, not the client."""
        self.ftp = ftplib.FTP(timeout=PATIENCE)
        self.ftp.connect(host, 21)
        self.ftp.set_pasv(passive)
        return self.ftp.login()

    def get(self, name: str) -> int:
        """Get a file; how many bytes there were."""
        sizes: list[int] = []
        self.ftp.retrbinary(f"RETR {name}", lambda data: sizes.append(len(data)))
        return sum(sizes)

    def store(self, name: str) -> str:
        """Begin a transfer to the server."""
        self.data = self.ftp.transfercmd(f"STOR {name}")
        return "begun"

    def send(self, size: int) -> int:
        """Some bytes more of the transfer that was begun."""
        self.data.sendall(bytes(size))
        return size

    def say(self, command: str) -> str:
        """A command as it is; the server's answer."""
        return self.ftp.sendcmd(command)

    def reach(self, port: int) -> str:
        """Connect to a port of the server's."""
        socket.create_connection((self.ftp.host, port), PATIENCE).close()
        return "reached"

    def tftp(self, host: str, name: str) -> int:
        """Get a file by TFTP; how many bytes there were."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as own:
            own.settimeout(PATIENCE)
            own.sendto(struct.pack("!H", 1) + name.encode() + b"\0octet\0", (host, 69))
            got = 0
            while True:
                data, whom = own.recvfrom(4 + BLOCK)
                own.sendto(struct.pack("!H", 4) + data[2:4], whom)
                got += len(data) - 4
                if len(data) < 4 + BLOCK:
                    return got


def obey() -> None:
    """Do what each line says."""
    client = Client()
    print("ready", flush=True)
    for line in sys.stdin:
        word, *arguments = json.loads(line)
        try:
            answer: dict[str, object] = {"done": getattr(client, word)(*arguments)}
        except (OSError, EOFError, ftplib.Error) as error:
            answer = {"failed": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


ENDS: dict[str, Callable[..., None]] = {"ftp": serve_ftp, "tftp": serve_tftp, "client": obey}

if __name__ == "__main__":
    ENDS[sys.argv[1]](*sys.argv[2:])
