"""Reads all flows and meters of a bridge by its management socket: OpenFlow 1.4, questions only, bounded.

Every bridge of Open vSwitch has such a socket beside its connections to controllers; of these nothing is touched, and
no controller is asked. The switch says itself where its answer ends, so one cut short is no answer.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Mapping
from dataclasses import dataclass

from policy.flows.match_wire import encode_match
from policy.flows.meter_wire import (
    OFPMP_METER_CONFIG,
    OFPMP_METER_FEATURES,
    decode_meter_configs,
    decode_most_meters,
)
from policy.flows.meters import HIGHEST_METER, Meter
from policy.flows.openflow import ANY, VERSION, WireError
from policy.verify.ovsdb import Unreadable

PATIENCE = 30.0  # seconds
MAX_OCTETS = 2**28
_HELLO, _ERROR, _ECHO_REQUEST, _ECHO_REPLY, _FEATURES_REQUEST, _FEATURES_REPLY = 0, 1, 2, 3, 5, 6
_MULTIPART_REQUEST, _MULTIPART_REPLY = 18, 19
_OFPMP_FLOW, _MORE = 1, 1
_FEATURES_XID = 1
_XIDS = {2: _OFPMP_FLOW, 3: OFPMP_METER_CONFIG, 4: OFPMP_METER_FEATURES}


@dataclass(frozen=True, slots=True)
class Told:
    """What a bridge holds. ``flows`` are the bodies of its flow statistics.

    ``metered``: it has the meters that we need; if not, nothing is limited there and nothing is logged.
    """

    dpid: int
    flows: tuple[bytes, ...]
    meters: Mapping[int, Meter | None]
    metered: bool


def read_bridge(path: str, *, seconds: float = PATIENCE) -> Told:
    """All that a bridge tells at its management socket. Raises `Unreadable`."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(seconds)
            connection.connect(path)
            return _Conversation(connection, time.monotonic() + seconds).told()
    except OSError as error:
        raise Unreadable(f"{path}: {error.strerror or error or type(error).__name__}") from None
    except (WireError, struct.error) as error:
        raise Unreadable(f"{path}: what it tells cannot be read: {error}") from None


class _Conversation:
    def __init__(self, connection: socket.socket, deadline: float) -> None:
        self._connection, self._deadline = connection, deadline
        self._octets = 0

    def told(self) -> Told:
        self._send(_HELLO, 0, struct.pack("!HHI", 1, 8, 1 << VERSION))
        version, kind, _, body = self._message()
        if kind != _HELLO:
            raise WireError(f"it begins with message type {kind}" + (f": {_text(body)}" if kind == _ERROR else ""))
        if version < VERSION:
            raise WireError("it speaks no OpenFlow 1.4; see its column 'protocols'")
        self._send(_FEATURES_REQUEST, _FEATURES_XID, b"")
        everything = struct.pack("!B3xII4xQQ", 0xFF, ANY, ANY, 0, 0) + encode_match(())
        bodies = {_OFPMP_FLOW: everything, OFPMP_METER_CONFIG: struct.pack("!I4x", 0xFFFFFFFF)}
        for xid, what in _XIDS.items():
            self._send(_MULTIPART_REQUEST, xid, struct.pack("!HH4x", what, 0) + bodies.get(what, b""))
        return self._answers()

    def _answers(self) -> Told:
        dpid: int | None = None
        open_questions = set(_XIDS)
        parts: dict[int, list[bytes]] = {what: [] for what in _XIDS.values()}
        while open_questions or dpid is None:
            _, kind, xid, body = self._message()
            if kind == _ECHO_REQUEST:
                self._send(_ECHO_REPLY, xid, body)
            elif kind == _FEATURES_REPLY and xid == _FEATURES_XID:
                (dpid,) = struct.unpack_from("!Q", body)
            elif kind == _MULTIPART_REPLY and xid in open_questions:
                what, flags = struct.unpack_from("!HH", body)
                if what != _XIDS[xid]:
                    raise WireError(f"it answers another question (multipart {what})")
                parts[what].append(body[8:])
                open_questions -= set() if flags & _MORE else {xid}
            elif kind == _ERROR:
                raise WireError(f"it refuses to tell: {_text(body)}")
        if len(parts[OFPMP_METER_FEATURES]) != 1:
            raise WireError("it tells more than once which meters it may have")
        (features,) = parts[OFPMP_METER_FEATURES]
        meters = dict(meter for part in parts[OFPMP_METER_CONFIG] for meter in decode_meter_configs(part))
        return Told(dpid, tuple(parts[_OFPMP_FLOW]), meters, decode_most_meters(features) >= HIGHEST_METER)

    def _send(self, kind: int, xid: int, body: bytes) -> None:
        self._connection.sendall(struct.pack("!BBHI", VERSION, kind, 8 + len(body), xid) + body)

    def _message(self) -> tuple[int, int, int, bytes]:
        version, kind, length, xid = struct.unpack("!BBHI", self._receive(8))
        if length < 8:
            raise WireError(f"a message of {length} octets")
        self._octets += length
        if self._octets > MAX_OCTETS:
            raise WireError("it tells no end of flows or meters")
        return version, kind, xid, self._receive(length - 8)

    def _receive(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            if (left := self._deadline - time.monotonic()) <= 0:
                raise TimeoutError("it takes too long")
            self._connection.settimeout(left)
            chunk = self._connection.recv(size - len(data))
            if not chunk:
                raise ConnectionError("it has ended the connection before it had told all")
            data += chunk
        return bytes(data)


def _text(error: bytes) -> str:
    kind, code = struct.unpack_from("!HH", error)
    return f"OpenFlow error type {kind}, code {code}"
