"""Flows as OpenFlow 1.4 messages, and back from the switch's flow statistics.

Written here because Ryu's encoder lacks the conntrack tuple fields and because a change must be packed fast; tests hold
it against Ryu's encoder where that can say the same, and against OVS's own decoder everywhere. Layouts: OpenFlow 1.4
specification.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from policy.flows.action_wire import decode_actions, encode_actions
from policy.flows.flow import Action, Flow, Limit
from policy.flows.match_wire import decode_match, encode_match
from policy.flows.openflow import ANY, NO_BUFFER, VERSION, WireError
from policy.flows.tables import BY_NUMBER

FLOW_MOD, BUNDLE_ADD = 14, 34
ADD, DELETE, DELETE_STRICT = 0, 3, 4
APPLY_ACTIONS, METER = 4, 6


def flow_mod(flow: Flow, xid: int, command: int = ADD) -> bytes:
    """A flow-mod that adds (or replaces) a flow, or with ``DELETE_STRICT`` removes just it."""
    tests = encode_match(flow.match)
    body = b""
    if command == ADD:
        body = encode_instructions(flow.actions)
    return _flow_mod(flow.table.number, command, flow.priority, flow.cookie, tests + body, xid)


def encode_instructions(actions: tuple[Action, ...]) -> bytes:
    """The instructions of a flow: its meter, and its actions."""
    meter = b""
    if actions and isinstance(actions[0], Limit):
        meter = struct.pack("!HHI", METER, 8, actions[0].meter)
        actions = actions[1:]
    packed = encode_actions(actions)
    return meter + (struct.pack("!HH4x", APPLY_ACTIONS, 8 + len(packed)) + packed if packed else b"")


def _decode_instructions(data: bytes) -> tuple[Action, ...]:
    limit: tuple[Action, ...] = ()
    if data[:4] == struct.pack("!HH", METER, 8):
        limit = (Limit(struct.unpack_from("!I", data, 4)[0]),)
        data = data[8:]
    if not data:
        return limit
    kind, length = struct.unpack_from("!HH", data)
    if kind != APPLY_ACTIONS or length != len(data):
        raise WireError("instructions of another shape")
    return limit + decode_actions(data[8:])


def raw_delete(table: int, priority: int, raw_match: bytes, xid: int) -> bytes:
    """A flow-mod that removes a foreign flow, by its match exactly as the switch told it."""
    return _flow_mod(table, DELETE_STRICT, priority, 0, raw_match, xid)


def empty_table(table: int, xid: int) -> bytes:
    """A flow-mod that removes all flows of a table."""
    return _flow_mod(table, DELETE, 0, 0, encode_match(()), xid)


def _flow_mod(table: int, command: int, priority: int, cookie: int, rest: bytes, xid: int) -> bytes:
    # A removal goes by its match alone: no cookie, no mask.
    kept = cookie if command == ADD else 0
    head = struct.pack("!QQBBHHHIIIHH", kept, 0, table, command, 0, 0, priority, NO_BUFFER, ANY, ANY, 0, 0)
    return struct.pack("!BBHI", VERSION, FLOW_MOD, 8 + len(head) + len(rest), xid) + head + rest


def bundle_add(bundle: int, flags: int, message: bytes) -> bytes:
    """A bundle-add message around another message, with that one's xid (OpenFlow 1.4, 7.3.9.6)."""
    xid = message[4:8]
    head = struct.pack("!I2xH", bundle, flags)
    return struct.pack("!BBH", VERSION, BUNDLE_ADD, 8 + len(head) + len(message)) + xid + head + message


@dataclass(frozen=True, slots=True)
class Installed:
    """One entry of a flow-statistics reply. ``flow`` None: not one that we could have written."""

    table: int
    priority: int
    cookie: int
    raw_match: bytes
    flow: Flow | None
    packets: int
    bytes: int


def decode_flow_stats(body: bytes, *, counters_only: bool = False) -> Iterator[Installed]:
    """The entries of one OFPMP_FLOW reply's body (after the multipart header). Raises ``WireError`` if cut short.

    ``counters_only``: the flows themselves are not looked into, which is quicker.
    """
    at = 0
    while at < len(body):
        if len(body) - at < 56:
            raise WireError("flow statistics cut short")
        length, table, priority, idle, hard, flags, cookie, packets, octets = struct.unpack_from(
            "!HBx8xHHHH4xQQQ", body, at
        )
        if length < 56 or at + length > len(body):
            raise WireError("flow statistics cut short")
        entry = body[at : at + length]
        at += length
        match_length = struct.unpack_from("!H", entry, 50)[0]
        padded = -(-match_length // 8) * 8
        raw_match = bytes(entry[48 : 48 + padded])
        plain = not (idle or hard or flags or counters_only)
        flow = _decode_flow(table, priority, cookie, raw_match, entry[48 + padded :]) if plain else None
        yield Installed(table, priority, cookie, raw_match, flow, packets, octets)


def _decode_flow(table: int, priority: int, cookie: int, raw_match: bytes, instructions: bytes) -> Flow | None:
    if table not in BY_NUMBER:
        return None
    try:
        tests = decode_match(raw_match)
        actions = _decode_instructions(instructions)
    except (WireError, struct.error):
        return None
    return Flow(BY_NUMBER[table], priority, tests, actions, cookie)
