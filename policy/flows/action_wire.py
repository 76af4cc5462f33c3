"""Actions of flows as bytes, and back.

Layouts: OpenFlow 1.4 specification, 7.2.5; for the Nicira extensions Open vSwitch's ``ovs-actions(7)`` and
``nicira-ext.h``. Actions name tables by their numbers in a slot (`policy.flows.slots`).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache

from policy.flows import fields as f
from policy.flows.fields import Field
from policy.flows.flow import (
    Action,
    Commit,
    Conjunction,
    Learn,
    Limit,
    Load,
    Move,
    Output,
    OutputBond,
    OutputTo,
    Pop,
    PopVlan,
    Punt,
    Push,
    PushVlan,
    Resubmit,
    Track,
)
from policy.flows.match_wire import PARTS, PLAIN
from policy.flows.openflow import NICIRA, WireError, port16, port32
from policy.flows.slots import on_wire, place, slot_of
from policy.flows.tables import TABLES
from policy.model import HELPER_PORTS

# Nicira action subtypes.
REG_MOVE, REG_LOAD, RESUBMIT_TABLE, BUNDLE, OUTPUT_REG = 6, 7, 14, 12, 15
STACK_PUSH, STACK_POP, CONJUNCTION, CT, CONTROLLER2, LEARN2 = 27, 28, 34, 35, 37, 45
OFPP_IN_PORT = 0xFFF8
# ovs-actions(7), bundle: algorithms; hash field eth_src.
_ALGORITHMS = {"active_backup": 0, "hrw": 1}


# In actions OVS tells these by their older Nicira names (class, field); so do we, and what it tells back is the same.
_OLD_NAMES = {
    f.ETH_DST: (0x0000, 1),
    f.ETH_SRC: (0x0000, 2),
    f.IPV4_SRC: (0x0000, 7),
    f.IPV4_DST: (0x0000, 8),
    f.ARP_SPA: (0x0000, 16),
    f.ARP_TPA: (0x0000, 17),
    f.IPV6_SRC: (f.NXM_1, 19),
    f.IPV6_DST: (f.NXM_1, 20),
    f.ND_TARGET: (f.NXM_1, 23),
}
_BY_OLD_NAME = {name: field for field, name in _OLD_NAMES.items()}


def _name(field: Field) -> int:
    """The header that names a field in an action."""
    oxm_class, number = _OLD_NAMES.get(field, (field.oxm_class, field.oxm_field))
    return oxm_class << 16 | number << 9 | field.wire_bits + 7 >> 3


def encode_actions(actions: Iterable[Action], slot: int) -> bytes:
    """A list of actions of a flow in a slot; of table 0, one that leads there."""
    return b"".join(_encode_action(action, slot) for action in actions)


def _nicira(subtype: int, body: bytes) -> bytes:
    length = 10 + len(body)
    padded = -(-length // 8) * 8
    return struct.pack("!HHIH", 0xFFFF, padded, NICIRA, subtype) + body + bytes(padded - length)


def _number(table: str, slot: int) -> int:
    return on_wire(TABLES[table], slot)


def _bits(field: Field, bits: int | None = None) -> int:
    """ofs_nbits: where a subfield begins and how long it is."""
    return field.offset << 6 | (bits or field.bits) - 1


# A helper is named by the port that its protocol has with IANA (ovs-actions(7), ct, alg).
_BY_HELPER_PORT: Mapping[int, str | None] = {0: None, **{port: helper for helper, port in HELPER_PORTS.items()}}
_HELPER_PORTS = {helper: port for port, helper in _BY_HELPER_PORT.items()}
# Inside a commit: set_field -> ct_mark, as OpenFlow 1.4 writes it. The mark itself is its second but last word.
_SET_MARK = struct.Struct("!HHII4x")
_CT_MARK = f.CT_MARK.oxm_class << 16 | f.CT_MARK.oxm_field << 9 | 4


# As with conditions: nine of ten are few, the others are met once or twice.
@lru_cache(maxsize=2048)
def _encode_action(action: Action, slot: int) -> bytes:
    match action:
        case Load(f.VLAN_VID, value):
            # Its 13th bit says that there is a tag, which a set_field action can tell (OpenFlow 1.4, 7.2.3.7).
            return struct.pack("!HHIH6x", 25, 16, _name(f.VLAN_VID), value)
        case Load(field, value):
            return _nicira(REG_LOAD, struct.pack("!HIQ", _bits(field), _name(field), value))
        case Move(source, target, bits):
            headers = struct.pack("!II", _name(source), _name(target))
            return _nicira(REG_MOVE, struct.pack("!HHH", bits, source.offset, target.offset) + headers)
        case Push(field):
            return _nicira(STACK_PUSH, struct.pack("!HIH6x", field.offset, _name(field), field.bits))
        case Pop(field):
            return _nicira(STACK_POP, struct.pack("!HIH6x", field.offset, _name(field), field.bits))
        case Resubmit(table):
            return _nicira(RESUBMIT_TABLE, struct.pack("!HB3x", OFPP_IN_PORT, _number(table, slot)))
        case Track(table):
            zone = struct.pack("!IH", _name(f.ZONE), _bits(f.ZONE))
            return _nicira(CT, struct.pack("!H", 0) + zone + struct.pack("!B3xH", _number(table, slot), 0))
        case Commit(mark, helper):
            zone = struct.pack("!IH", _name(f.ZONE), _bits(f.ZONE))
            way = struct.pack("!B3xH", 0xFF, _HELPER_PORTS[helper])
            return _nicira(CT, struct.pack("!H", 1) + zone + way + _SET_MARK.pack(25, 16, _CT_MARK, mark))
        case Punt(meter):
            # nicira-ext.h, struct nx_action_controller2: property 5 is the meter
            return _nicira(CONTROLLER2, struct.pack("!6xHHI", 5, 8, meter))
        case Limit():
            raise WireError("a limit is an instruction, not an action")
        case Output(port):
            return struct.pack("!HHIH6x", 0, 16, port32(port), 0)
        case OutputTo(field):
            return _nicira(OUTPUT_REG, struct.pack("!HIH6x", _bits(field), _name(field), 0xFFFF))
        case OutputBond(members, algorithm):
            # basis 0, hash field eth_src (0), slave type in_port, no register to write to
            head = struct.pack("!HHHIHHI4x", _ALGORITHMS[algorithm], 0, 0, 0x00000002, len(members), 0, 0)
            return _nicira(BUNDLE, head + b"".join(struct.pack("!H", port) for port in members))
        case PushVlan():
            return struct.pack("!HHH2x", 17, 8, 0x8100)
        case PopVlan():
            return struct.pack("!HH4x", 18, 8)
        case Conjunction(number, clause, of):
            return _nicira(CONJUNCTION, struct.pack("!BBI", clause, of, number))
        case Learn():
            return _encode_learn(action, slot)


# A learn specification: bits 0..10 width, bit 11 load (else match), bit 13 immediate value (else a field).
_LOAD = 1 << 11
# What LEARN writes: the entry matches on vlan and on eth_dst = this packet's eth_src, and loads uplink_out.
_SPECS = ((0, f.VLAN, f.VLAN), (0, f.ETH_SRC, f.ETH_DST), (_LOAD, f.UPLINK_IN, f.UPLINK_OUT))


def _encode_learn(action: Learn, slot: int) -> bytes:
    table = _number(action.table, slot)
    head = struct.pack(
        "!HHHQHBxHHIH2x", 0, action.hard_timeout, LEARN_PRIORITY, action.cookie, 0, table, 0, 0, action.limit, 0
    )
    specs = b"".join(
        struct.pack("!H", flags | source.bits)
        + struct.pack("!IH", _name(source), source.offset)
        + struct.pack("!IH", _name(target), target.offset)
        for flags, source, target in _SPECS
    )
    return _nicira(LEARN2, head + specs)


LEARN_PRIORITY = 100


def decode_actions(data: bytes, slot: int) -> tuple[Action, ...]:
    """A list of actions as OVS writes them, of a flow in a slot. Raises ``WireError`` for an action of ours never
    written there."""
    return tuple(_decode_action(kind, raw, slot) for kind, raw in _split(data))


def _split(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(data):
        kind, length = struct.unpack_from("!HH", data, at)
        if length < 8 or at + length > len(data):
            raise WireError("action cut short")
        yield kind, bytes(data[at : at + length])
        at += length


# By subtype, where an action tells a table: resubmit, ct, learn. 255: a ct action that goes on in its own.
_TABLE_AT = {RESUBMIT_TABLE: 12, CT: 18, LEARN2: 26}


def slot_named(data: bytes) -> int | None:
    """The slot whose tables actions name, in whatever layout they are written; None: none, or several.

    Raises ``WireError`` if they are cut short.
    """
    found: set[int | None] = set()
    for kind, raw in _split(data):
        if kind == 0xFFFF and len(raw) > 9:
            vendor, subtype = struct.unpack_from("!IH", raw, 4)
            at = _TABLE_AT.get(subtype) if vendor == NICIRA else None
            if at is not None and at < len(raw):
                found.add(slot_of(raw[at]))
    found.discard(None)
    return found.pop() if len(found) == 1 else None


@lru_cache(maxsize=2048)
def _decode_action(kind: int, data: bytes, slot: int) -> Action:
    if kind == 0:
        return Output(port16(struct.unpack_from("!I", data, 4)[0]))
    if kind == 17:
        return PushVlan()
    if kind == 18:
        return PopVlan()
    if kind == 25:
        return _decode_set_field(data)
    if kind != 0xFFFF:
        raise WireError(f"action type {kind}")
    vendor, subtype = struct.unpack_from("!IH", data, 4)
    if vendor != NICIRA:
        raise WireError(f"action of vendor {vendor:#x}")
    body = data[10:]
    return _decode_nicira(subtype, body, slot)


def _decode_set_field(data: bytes) -> Action:
    (header,) = struct.unpack_from("!I", data, 4)
    size = header & 0xFF
    if header >> 8 & 1:
        raise WireError("masked set_field")
    # OVS has no use for the bits beyond the field.
    bits = min(size * 8, _field(header, 0).bits)
    return _load(header, 0, bits, int.from_bytes(data[8 : 8 + size], "big"))


def _decode_nicira(subtype: int, body: bytes, slot: int) -> Action:
    if subtype == REG_LOAD:
        ofs_nbits, header, value = struct.unpack_from("!HIQ", body)
        return _load(header, ofs_nbits >> 6, (ofs_nbits & 0x3F) + 1, value)
    if subtype == REG_MOVE:
        bits, source_offset, target_offset, source, target = struct.unpack_from("!HHHII", body)
        return Move(_field(source, source_offset), _field(target, target_offset), bits)
    if subtype in (STACK_PUSH, STACK_POP):
        offset, header, _ = struct.unpack_from("!HIH", body)
        field = _field(header, offset)
        return Push(field) if subtype == STACK_PUSH else Pop(field)
    if subtype == RESUBMIT_TABLE:
        return Resubmit(_table(struct.unpack_from("!HB", body)[1], slot))
    if subtype == CT:
        flags, zone, bits, number, alg = struct.unpack_from("!HIHB3xH", body)
        if zone != _name(f.ZONE) or bits != _bits(f.ZONE):
            raise WireError("ct action of another shape")
        if flags == 1 and number == 0xFF and alg in _BY_HELPER_PORT and len(body) == 14 + _SET_MARK.size:
            mark = _SET_MARK.unpack_from(body, 14)[3]
            if body[14:] == _SET_MARK.pack(25, 16, _CT_MARK, mark):
                return Commit(mark, _BY_HELPER_PORT[alg])
        if flags == 0 and not alg and not any(body[14:]):
            return Track(_table(number, slot))
        raise WireError("ct action of another shape")
    if subtype == OUTPUT_REG:
        ofs_nbits, header, _ = struct.unpack_from("!HIH", body)
        return OutputTo(_field(header, ofs_nbits >> 6))
    if subtype == BUNDLE:
        algorithm, _, _, _, count = struct.unpack_from("!HHHIH", body)
        names = {number: name for name, number in _ALGORITHMS.items()}
        if algorithm not in names:
            raise WireError("bundle action of another shape")
        return OutputBond(struct.unpack_from(f"!{count}H", body, 22), names[algorithm])
    if subtype == CONJUNCTION:
        clause, of, number = struct.unpack_from("!BBI", body)
        return Conjunction(number, clause, of)
    if subtype == CONTROLLER2:
        return _decode_punt(body)
    if subtype == LEARN2:
        _, hard, _, cookie, _, number, _, _, limit, _ = struct.unpack_from("!HHHQHBxHHIH", body)
        learn = Learn(_table(number, slot), cookie, hard, limit)
        if _encode_learn(learn, slot)[10:] == body:
            return learn
        raise WireError("learn action of another shape")
    raise WireError(f"Nicira action {subtype}")


def _table(number: int, slot: int) -> str:
    """The name of a table that a flow in a slot leads to."""
    found = place(number)
    if found is None or found.slot not in (None, slot):
        raise WireError(f"table {number} is not one of slot {slot}")
    return found.table.name


def _decode_punt(body: bytes) -> Punt:
    if len(body) == 14:
        kind, size, meter = struct.unpack_from("!6xHHI", body)
        if (kind, size) == (5, 8):
            return Punt(meter)
    raise WireError("controller action of another shape")


def _field(header: int, offset: int) -> Field:
    oxm_class, number = header >> 16, header >> 9 & 0x7F
    plain = _BY_OLD_NAME.get((oxm_class, number)) or PLAIN.get((oxm_class, number))
    if plain is not None and offset == 0:
        return plain
    for part in PARTS.get(number, ()) if oxm_class == f.NXM_1 else ():
        if part.offset == offset:
            return part
    raise WireError(f"field {header:#x} at bit {offset} is not one of ours")


def _load(header: int, offset: int, bits: int, value: int) -> Load:
    field = _field(header, offset)
    if field.bits != bits or value > field.full:
        raise WireError(f"load of {value:#x}, {bits} bits, into {field.name}")
    return Load(field, value)
