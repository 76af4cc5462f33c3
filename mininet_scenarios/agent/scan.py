"""A TCP port scan with bare SYNs: thousands of ports in seconds, whatever does or does not answer."""

import asyncio
import contextlib
import os
import random
import socket
import struct
from typing import Any

from mininet_scenarios.agent.icmp import checksum

SYN, RST, ACK = 0x02, 0x04, 0x10


class Scan:
    """The agent's scan commands."""

    async def syn(
        self, host: str, first: int, last: int, rate: float = 2000, patience: float = 0.5, rounds: int = 2
    ) -> dict[str, Any]:
        """Send a SYN to each port, listen, and try the silent ones once more.

        `open` answered SYN and ACK, `closed` a reset, `silent` nothing. The kernel, which knows of no such connection,
        resets what answers: no connection stays.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        info = socket.getaddrinfo(host, None, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST)[0]
        family, address = info[0], info[4]
        own = _own_address(family, str(address[0]))
        # A fresh source port each time: a tuple used before may still have a connection tracking entry.
        source_port = random.randint(20000, 32000)
        answers: dict[int, str] = {}
        with socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_TCP) as sock:
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
            listener = asyncio.create_task(_listen(sock, str(address[0]), source_port, answers))
            pseudo = _pseudo_header(family, own, str(address[0]))
            for _ in range(rounds):
                for n, port in enumerate(p for p in range(first, last + 1) if p not in answers):
                    with contextlib.suppress(PermissionError, BlockingIOError):  # the second round tries it again
                        sock.sendto(_segment(pseudo, source_port, port), (address[0], 0, *address[2:]))
                    if n % 20 == 19:  # in small batches: one timer for each packet would be all timers
                        await asyncio.sleep(20 / rate)
                await asyncio.sleep(patience)
                if len(answers) > last - first:
                    break
            listener.cancel()
        found = {port: answers.get(port, "silent") for port in range(first, last + 1)}
        return {
            "open": [port for port, answer in found.items() if answer == "open"],
            "closed": sum(answer == "closed" for answer in found.values()),
            "silent": sum(answer == "silent" for answer in found.values()),
            "seconds": loop.time() - began,
        }


def _own_address(family: int, host: str) -> str:
    """The source address the kernel would take; connecting a UDP socket sends nothing."""
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect((host, 9))
        return str(probe.getsockname()[0])


def _pseudo_header(family: int, source: str, target: str) -> bytes:
    addresses = socket.inet_pton(family, source) + socket.inet_pton(family, target)
    layout = "!BBH" if family == socket.AF_INET else "!IHBB"
    return addresses + (struct.pack(layout, 0, 6, 20) if family == socket.AF_INET else struct.pack(layout, 20, 0, 0, 6))


def _segment(pseudo: bytes, source_port: int, port: int) -> bytes:
    number = int.from_bytes(os.urandom(4), "big")
    head = struct.pack("!HHIIBBHHH", source_port, port, number, 0, 5 << 4, SYN, 64240, 0, 0)
    return head[:16] + struct.pack("!H", checksum(pseudo + head)) + head[18:]


async def _listen(sock: socket.socket, host: str, own_port: int, answers: dict[int, str]) -> None:
    """Note what the scanned host answers."""
    loop = asyncio.get_running_loop()
    while True:
        data, sender = await loop.sock_recvfrom(sock, 65536)
        if sender[0] != host:
            continue
        if sock.family == socket.AF_INET:  # raw IPv4 sockets hand over the IP header too
            data = data[(data[0] & 0xF) * 4 :]
        port, target_port = struct.unpack_from("!HH", data)
        flags = data[13]
        if target_port != own_port:
            continue
        if flags & SYN and flags & ACK:
            answers[port] = "open"
        elif flags & RST:
            answers.setdefault(port, "closed")
