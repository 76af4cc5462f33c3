"""Flows as OpenFlow 1.4 messages, and back from the switch's flow statistics.

Written here because Ryu's encoder lacks the conntrack tuple fields and because a change must be packed fast; tests hold
it against Ryu's encoder where that can say the same, and against OVS's own decoder everywhere. Layouts: OpenFlow 1.4
specification.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from policy.flows.action_wire import decode_actions, encode_actions, slot_named
from policy.flows.flow import Action, Flow, Limit, same
from policy.flows.match_wire import decode_match, encode_match
from policy.flows.openflow import ANY, NO_BUFFER, VERSION, WireError
from policy.flows.slots import FIRST, on_wire, place, slot_of

FLOW_MOD, BUNDLE_ADD = 14, 34
ADD, DELETE, DELETE_STRICT = 0, 3, 4
APPLY_ACTIONS, METER = 4, 6


def flow_mod(flow: Flow, slot: int, xid: int, command: int = ADD) -> bytes:
    """A flow-mod that adds (or replaces) a flow in a slot, or with ``DELETE_STRICT`` removes just it."""
    tests = encode_match(flow.match)
    body = b""
    if command == ADD:
        body = encode_instructions(flow.actions, slot)
    return _flow_mod(on_wire(flow.table, slot), command, flow.priority, flow.cookie, tests + body, xid)


def encode_instructions(actions: tuple[Action, ...], slot: int) -> bytes:
    """The instructions of a flow in a slot: its meter, and its actions."""
    meter = b""
    if actions and isinstance(actions[0], Limit):
        meter = struct.pack("!HHI", METER, 8, actions[0].meter)
        actions = actions[1:]
    packed = encode_actions(actions, slot)
    return meter + (struct.pack("!HH4x", APPLY_ACTIONS, 8 + len(packed)) + packed if packed else b"")


def _decode_instructions(data: bytes, slot: int) -> tuple[Action, ...]:
    limit, actions = _split_instructions(data)
    return limit + decode_actions(actions, slot)


def _split_instructions(data: bytes) -> tuple[tuple[Action, ...], bytes]:
    """The limit of a flow, if it has one, and its actions as bytes."""
    limit: tuple[Action, ...] = ()
    if data[:4] == struct.pack("!HH", METER, 8):
        limit = (Limit(struct.unpack_from("!I", data, 4)[0]),)
        data = data[8:]
    if not data:
        return limit, b""
    kind, length = struct.unpack_from("!HH", data)
    if kind != APPLY_ACTIONS or length != len(data):
        raise WireError("instructions of another shape")
    return limit, data[8:]


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
    """One entry of a flow-statistics reply. ``flow`` None: not one that we could have written.

    ``table`` is the number on the wire. ``leads_to``: of table 0, the slot where it sends packets, in whatever layout
    it is written; None: nowhere, or that cannot be told.
    """

    table: int
    priority: int
    cookie: int
    raw_match: bytes
    flow: Flow | None
    packets: int
    bytes: int
    leads_to: int | None = None

    @property
    def slot(self) -> int | None:
        """The slot in which it stands; None: in table 0, or in no table that could be ours."""
        return slot_of(self.table)


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
        rest = entry[48 + padded :]
        leads_to = _leads_to(rest) if table == 0 and not counters_only else None
        flow = _decode_flow(table, leads_to, priority, cookie, raw_match, rest) if plain else None
        yield Installed(table, priority, cookie, raw_match, flow, packets, octets, leads_to)


def _leads_to(instructions: bytes) -> int | None:
    try:
        return slot_named(_split_instructions(instructions)[1])
    except (WireError, struct.error):
        return None


def _decode_flow(
    number: int, leads_to: int | None, priority: int, cookie: int, raw_match: bytes, instructions: bytes
) -> Flow | None:
    found = place(number)
    if found is None:
        return None
    slot = leads_to if found.slot is None else found.slot
    try:
        tests = decode_match(raw_match)
        actions = _decode_instructions(instructions, FIRST if slot is None else slot)
    except (WireError, struct.error):
        return None
    return Flow(found.table, priority, tests, *same(actions, cookie))
