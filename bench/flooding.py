"""A guest that floods: SYNs and UDP to random ports, lone fragments and ARP requests, as fast as one process sends.

    python -S -m bench.flooding FROM_MAC FROM_ADDRESS TO_MAC TO_ADDRESS [KIND...]

Runs in the guest's namespace, on its device eth0, until its standard input ends; then it says, as JSON, how many frames
it has sent in how many seconds. It needs nothing but the standard library, so that it starts at once.
"""

from __future__ import annotations

import itertools
import json
import random
import select
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

# So many different frames of each kind, over and over; so many of a kind in a row, before the clock is looked at.
DIFFERENT, IN_A_ROW = 4096, 16
TCP, UDP = 6, 17
MORE_FRAGMENTS = 0x2000
NOBODY, EVERYBODY = bytes(6), b"\xff" * 6


@dataclass(frozen=True)
class Ends:
    """Who floods, and whom: MACs and IPv4 addresses as they are on the wire."""

    mac: bytes
    address: bytes
    to_mac: bytes
    to: bytes

    @classmethod
    def of(cls, mac: str, address: str, to_mac: str, to: str) -> Ends:
        """From text."""
        return cls(_mac(mac), socket.inet_aton(address), _mac(to_mac), socket.inet_aton(to))


def _mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def _sum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _ip(ends: Ends, protocol: int, payload: bytes, ident: int, fragment: int = 0) -> bytes:
    def head(checksum: int) -> bytes:
        fields = (0x45, 0, 20 + len(payload), ident, fragment, 64, protocol, checksum)
        return struct.pack("!BBHHHBBH", *fields) + ends.address + ends.to

    return ends.to_mac + ends.mac + b"\x08\x00" + head(_sum(head(0))) + payload


def _checked(ends: Ends, protocol: int, packed: Callable[[int], bytes]) -> bytes:
    """A TCP or UDP packet whose checksum is right."""
    data = packed(0)
    pseudo = ends.address + ends.to + struct.pack("!BBH", 0, protocol, len(data))
    return packed(_sum(pseudo + data))


def _syn(ends: Ends, chance: random.Random) -> bytes:
    ports, sequence = (chance.randrange(1024, 65536), chance.randrange(1, 65536)), chance.getrandbits(32)
    fields = (*ports, sequence, 0, 0x50, 2, 65535)
    return _ip(ends, TCP, _checked(ends, TCP, lambda said: struct.pack("!HHIIBBHHH", *fields, said, 0)), 0)


def _udp(ends: Ends, chance: random.Random) -> bytes:
    ports = (chance.randrange(1024, 65536), chance.randrange(1, 65536))
    return _ip(ends, UDP, _checked(ends, UDP, lambda said: struct.pack("!HHHH", *ports, 26, said) + bytes(18)), 0)


def _fragment(ends: Ends, chance: random.Random) -> bytes:
    data = struct.pack("!HHHH", 4000, 9, 1400, 0) + bytes(1200)
    return _ip(ends, UDP, data, chance.randrange(65536), MORE_FRAGMENTS)


def _arp(ends: Ends, chance: random.Random) -> bytes:
    asked = ends.to[:2] + struct.pack("!H", chance.randrange(65536))
    head = EVERYBODY + ends.mac + b"\x08\x06" + struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1)
    return head + ends.mac + ends.address + NOBODY + asked


KINDS: dict[str, Callable[[Ends, random.Random], bytes]] = {
    "syn": _syn, "udp": _udp, "fragments": _fragment, "arp": _arp,
}  # fmt: skip


def frames(ends: Ends, kind: str, count: int = DIFFERENT) -> list[bytes]:
    """So many frames of a kind, the same ones each time."""
    chance = random.Random(kind)
    return [KINDS[kind](ends, chance) for _ in range(count)]


def _rows(ends: Ends, kinds: list[str]) -> Iterator[list[bytes]]:
    made = [frames(ends, kind) for kind in kinds]
    for start in itertools.cycle(range(0, DIFFERENT, IN_A_ROW)):
        for each in made:
            yield each[start : start + IN_A_ROW]


def main() -> None:
    """Flood until the input ends."""
    ends, kinds = Ends.of(*sys.argv[1:5]), sys.argv[5:] or list(KINDS)
    rows, sent = _rows(ends, kinds), 0
    door = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    door.bind(("eth0", 0))
    row = next(rows)
    print("{}", flush=True)
    began = time.monotonic()
    while not select.select([sys.stdin], [], [], 0)[0]:
        for frame in row:
            try:
                door.send(frame)
            except OSError:  # no buffer left: the cable is full
                continue
            sent += 1
        row = next(rows)
    print(json.dumps({"sent": sent, "seconds": time.monotonic() - began}), flush=True)


if __name__ == "__main__":
    main()
