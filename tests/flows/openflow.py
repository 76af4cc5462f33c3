"""A small OpenFlow 1.4 client for tests: sends our own messages to a bridge's management socket, without Ryu.

Whatever it sends, OVS's own decoder judges; whatever it reads, OVS's own encoder wrote.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

from policy.flows import action_wire, meter_wire, openflow, wire
from policy.flows.flow import Action, Flow, Key
from policy.flows.match_wire import encode_match
from policy.flows.meters import Meter
from policy.flows.slots import FIRST
from policy.flows.tables import TABLES

HELLO, ERROR, ECHO_REQUEST, ECHO_REPLY, MULTIPART_REQUEST, MULTIPART_REPLY = 0, 1, 2, 3, 18, 19
SET_CONFIG, PACKET_IN, PACKET_OUT, CONTROLLER = 9, 10, 13, 0xFFFFFFFD
BARRIER_REQUEST, BARRIER_REPLY, BUNDLE_CONTROL = 20, 21, 33
OPEN, CLOSE, COMMIT = 0, 2, 4
ATOMIC_ORDERED = 3
OFPMP_FLOW = 1


class Refused(Exception):
    """The switch answered with an error."""


class Switch:
    """A connection to one bridge."""

    def __init__(self, socket_path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(30)
        self._socket.connect(str(socket_path))
        self._buffer = b""
        self._xid = 100
        self._send(HELLO, b"")
        self._receive(HELLO)

    def __enter__(self) -> Switch:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._socket.close()

    def bundle(self, add: Iterable[Flow], remove: Iterable[Flow] = (), *, slot: int = FIRST) -> None:
        """Send flows of a slot in one atomic bundle. Raises ``Refused``."""
        self._control(OPEN)
        messages = [wire.flow_mod(flow, slot, self._next(), wire.DELETE_STRICT) for flow in remove]
        messages += [wire.flow_mod(flow, slot, self._next()) for flow in add]
        self._socket.sendall(b"".join(wire.bundle_add(1, ATOMIC_ORDERED, message) for message in messages))
        self._control(COMMIT)

    def meters(self, meters: Iterable[Meter]) -> None:
        """Add meters. Raises ``Refused``."""
        self.message(b"".join(meter_wire.meter_mod(meter, meter_wire.ADD, self._next()) for meter in meters))

    def empty(self, table: str) -> None:
        """Remove all flows of a table. Raises ``Refused``."""
        self.message(wire.empty_table(TABLES[table].number, self._next()))

    def message(self, data: bytes) -> None:
        """Send one message and wait until the switch has done it. Raises ``Refused``."""
        self._socket.sendall(data)
        self._send(BARRIER_REQUEST, b"")
        self._receive(BARRIER_REPLY)

    def dump(self) -> list[wire.Installed]:
        """All flows of the bridge."""
        nothing = encode_match(())
        request = struct.pack("!HH4xB3xII4xQQ", OFPMP_FLOW, 0, 0xFF, openflow.ANY, openflow.ANY, 0, 0) + nothing
        self._send(MULTIPART_REQUEST, request)
        found: list[wire.Installed] = []
        while True:
            body = self._receive(MULTIPART_REPLY)
            found += wire.decode_flow_stats(body[8:])
            if not struct.unpack_from("!HH", body)[1] & 1:
                return found

    def listen(self) -> None:
        """Want packet-ins, too: they are read with `packet_in`."""
        self.message(struct.pack("!BBHIHH", openflow.VERSION, SET_CONFIG, 12, self._next(), 0, 0xFFFF))

    def packet_in(self) -> bytes:
        """The next packet-in, whole."""
        body = self._receive(PACKET_IN)
        return struct.pack("!BBHI", openflow.VERSION, PACKET_IN, 8 + len(body), 0) + body

    def packet_out(self, actions: Iterable[Action], frame: bytes) -> None:
        """Send a frame out. Raises ``Refused``."""
        packed = action_wire.encode_actions(actions, FIRST)
        body = struct.pack("!IIH6x", openflow.NO_BUFFER, CONTROLLER, len(packed)) + packed + frame
        self.message(struct.pack("!BBHI", openflow.VERSION, PACKET_OUT, 8 + len(body), self._next()) + body)

    def flows(self) -> dict[Key, Flow]:
        """All flows, every one of them of a shape that we write."""
        entries = self.dump()
        strange = [entry for entry in entries if entry.flow is None]
        assert not strange, f"not understood: {strange}"
        return {entry.flow.key: entry.flow for entry in entries if entry.flow is not None}

    def _next(self) -> int:
        self._xid += 1
        return self._xid

    def _control(self, kind: int) -> None:
        self._send(BUNDLE_CONTROL, struct.pack("!IHH", 1, kind, ATOMIC_ORDERED))
        self._receive(BUNDLE_CONTROL)

    def _send(self, kind: int, body: bytes) -> None:
        self._socket.sendall(struct.pack("!BBHI", openflow.VERSION, kind, 8 + len(body), self._next()) + body)

    def _receive(self, wanted: int) -> bytes:
        while True:
            head = self._exactly(8)
            _, kind, length, xid = struct.unpack("!BBHI", head)
            body = self._exactly(length - 8)
            if kind == ECHO_REQUEST:
                self._socket.sendall(struct.pack("!BBHI", openflow.VERSION, ECHO_REPLY, length, xid) + body)
            elif kind == ERROR:
                number, code = struct.unpack_from("!HH", body)
                raise Refused(f"error type {number}, code {code}, about {body[4:].hex()}")
            elif kind == wanted:
                return body

    def _exactly(self, size: int) -> bytes:
        while len(self._buffer) < size:
            data = self._socket.recv(65536)
            if not data:
                raise ConnectionError("the switch closed the connection")
            self._buffer += data
        data, self._buffer = self._buffer[:size], self._buffer[size:]
        return data
