"""Echo requests, IPv4 and IPv6, over raw sockets, with the errors that come back."""

import asyncio
import os
import socket
import struct
from typing import Any

from mininet_scenarios.agent.outcomes import ANSWERED, TIMED_OUT, UNREACHABLE, outcome_of

ECHO_REQUEST = {socket.AF_INET: 8, socket.AF_INET6: 128}
ECHO_REPLY = {socket.AF_INET: 0, socket.AF_INET6: 129}
ERRORS = {socket.AF_INET: (3, 11, 12), socket.AF_INET6: (1, 2, 3, 4)}


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


class Icmp:
    """The agent's ICMP commands."""

    async def ping(self, host: str, timeout: float, size: int = 56) -> dict[str, Any]:
        """One echo request, and what comes of it."""
        family, _, _, _, address = socket.getaddrinfo(host, None, type=socket.SOCK_RAW, flags=socket.AI_NUMERICHOST)[0]
        protocol = socket.IPPROTO_ICMP if family == socket.AF_INET else socket.IPPROTO_ICMPV6
        mark = os.urandom(4)  # identifier and sequence number: what makes an answer ours
        loop = asyncio.get_running_loop()
        began = loop.time()
        with socket.socket(family, socket.SOCK_RAW, protocol) as sock:
            sock.setblocking(False)
            try:
                await loop.sock_sendto(sock, _request(family, mark, size), address)
                async with asyncio.timeout(timeout):
                    outcome = await _answer(sock, family, mark)
            except TimeoutError:
                outcome = {"outcome": TIMED_OUT, "why": "no answer"}
            except OSError as error:
                outcome = outcome_of(error)
        return outcome | {"seconds": loop.time() - began}


def _request(family: int, mark: bytes, size: int) -> bytes:
    header = struct.pack("!BBH", ECHO_REQUEST[socket.AddressFamily(family)], 0, 0) + mark
    body = bytes(i & 0xFF for i in range(size))
    if family == socket.AF_INET6:  # the kernel fills in ICMPv6 checksums: they cover addresses that it chooses
        return header + body
    return header[:2] + struct.pack("!H", checksum(header + body)) + mark + body


async def _answer(sock: socket.socket, family: int, mark: bytes) -> dict[str, Any]:
    """Read ICMP messages until one of them is about our request."""
    loop = asyncio.get_running_loop()
    family = socket.AddressFamily(family)
    while True:
        data, sender = await loop.sock_recvfrom(sock, 65536)
        if family == socket.AF_INET:  # raw IPv4 sockets hand over the IP header too
            data = data[(data[0] & 0xF) * 4 :]
        kind, code = data[0], data[1]
        if kind == ECHO_REPLY[family] and data[4:8] == mark:
            return {"outcome": ANSWERED, "from": sender[0]}
        if kind in ERRORS[family]:
            inner = data[8:]
            inner = inner[(inner[0] & 0xF) * 4 :] if family == socket.AF_INET else inner[40:]
            if inner[4:8] == mark:
                return {"outcome": UNREACHABLE, "why": f"ICMP {kind}/{code} from {sender[0]}", "from": sender[0]}
