"""Raw frames: sending what a well-behaved stack would not, and counting what arrives at the guest's door."""

import asyncio
import contextlib
import itertools
import socket
import struct
from ipaddress import ip_address
from typing import Any

ETH_P_ALL = 0x0003
SOL_PACKET, PACKET_AUXDATA = 263, 8
PACKET_OUTGOING = 4
TP_STATUS_VLAN_VALID = 0x10
KEPT = 50

Fields = dict[str, Any]


def fields_of(frame: bytes) -> Fields:
    """The fields that a filter can name; those the frame does not have are missing."""
    fields: Fields = {"dst_mac": frame[0:6].hex(":"), "src_mac": frame[6:12].hex(":")}
    ethertype, at = int.from_bytes(frame[12:14], "big"), 14
    if ethertype == 0x8100:
        fields["vlan"] = int.from_bytes(frame[14:16], "big") & 0xFFF
        ethertype, at = int.from_bytes(frame[16:18], "big"), 18
    fields["ethertype"] = ethertype
    if ethertype == 0x0800 and len(frame) >= at + 20:
        fields |= {"protocol": frame[at + 9]}
        fields |= {"src": str(ip_address(frame[at + 12 : at + 16])), "dst": str(ip_address(frame[at + 16 : at + 20]))}
        at += (frame[at] & 0xF) * 4
    elif ethertype == 0x86DD and len(frame) >= at + 40:
        fields |= {"protocol": frame[at + 6]}
        fields |= {"src": str(ip_address(frame[at + 8 : at + 24])), "dst": str(ip_address(frame[at + 24 : at + 40]))}
        at += 40
    else:
        return fields
    if fields["protocol"] in (6, 17) and len(frame) >= at + 4:
        fields["sport"], fields["dport"] = struct.unpack_from("!HH", frame, at)
    elif fields["protocol"] in (1, 58) and len(frame) >= at + 1:
        fields["icmp_type"] = frame[at]
    return fields


class _Sniffer:
    """One AF_PACKET socket that counts the frames that arrive and fit."""

    def __init__(self, interface: str, where: Fields, contains: bytes) -> None:
        self.where = where
        self.contains = contains
        self.count = 0
        self.kept: list[str] = []
        self.news = asyncio.Event()
        self.sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self.sock.setblocking(False)
        self.sock.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.sock.bind((interface, ETH_P_ALL))
        asyncio.get_running_loop().add_reader(self.sock, self.take_in)

    def take_in(self) -> None:
        """Take in all that waits, so that a reader of the count is not behind."""
        while True:
            try:
                frame, extras, _, address = self.sock.recvmsg(65536, 128)
            except BlockingIOError:
                return
            if address[2] != PACKET_OUTGOING:
                self._note(_with_tag(frame, extras))

    def _note(self, frame: bytes) -> None:
        fields = fields_of(frame)
        if self.contains in frame and all(fields.get(name) == value for name, value in self.where.items()):
            self.count += 1
            if len(self.kept) < KEPT:
                self.kept.append(frame.hex())
            self.news.set()

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self.sock)
        self.sock.close()


def _with_tag(frame: bytes, extras: list[tuple[int, int, bytes]]) -> bytes:
    """The frame as it was on the wire: the kernel takes VLAN tags out and tells them beside the frame."""
    for level, kind, data in extras:
        if (level, kind) == (SOL_PACKET, PACKET_AUXDATA):
            status, _, _, _, _, tci, tpid = struct.unpack("=IIIHHHH", data[:20])
            if status & TP_STATUS_VLAN_VALID:
                return frame[:12] + struct.pack("!HH", tpid or 0x8100, tci) + frame[12:]
    return frame


class Frames:
    """The agent's commands for raw frames."""

    def __init__(self) -> None:
        self._sniffers: dict[int, _Sniffer] = {}
        self._numbers = itertools.count(1)

    async def send(self, frame: str, count: int = 1, rate: float = 1000, interface: str = "") -> dict[str, Any]:
        """Put a frame (hexadecimal) on the wire, `count` times."""
        data = bytes.fromhex(frame)
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sock:
            sock.setblocking(False)
            sock.bind((interface or _own_interface(), 0))
            for n in range(count):
                if n:
                    await asyncio.sleep(1 / rate)
                await asyncio.get_running_loop().sock_sendall(sock, data)
        return {"sent": count}

    async def sniff(self, where: Fields | None = None, contains: str = "", interface: str = "") -> dict[str, Any]:
        """Start to count arriving frames whose fields are as in `where` and that contain some bytes (hexadecimal)."""
        number = next(self._numbers)
        self._sniffers[number] = _Sniffer(interface or _own_interface(), where or {}, bytes.fromhex(contains))
        return {"sniffer": number}

    async def seen(self, sniffer: int, at_least: int = 0, timeout: float = 0) -> dict[str, Any]:
        """How many frames fitted so far, with the first of them; waits for `at_least` of them if told to."""
        it = self._sniffers[sniffer]
        it.take_in()
        with contextlib.suppress(TimeoutError):  # the count tells
            async with asyncio.timeout(timeout):
                while it.count < at_least:
                    it.news.clear()
                    await it.news.wait()
        return {"count": it.count, "frames": it.kept}

    async def stop(self, sniffer: int) -> dict[str, Any]:
        """Stop counting; the last count."""
        it = self._sniffers.pop(sniffer)
        it.take_in()
        it.close()
        return {"count": it.count, "frames": it.kept}


def _own_interface() -> str:
    """The guest's own (first) interface, whatever it is called."""
    return next(name for _, name in socket.if_nameindex() if name != "lo")
