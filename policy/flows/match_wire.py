"""Matches of flows as the bytes of an ofp_match, and back.

Layout: OpenFlow 1.4 specification, 7.2.3; the fields of Nicira: Open vSwitch's ``nicira-ext.h``.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import lru_cache

from policy.flows import fields as f
from policy.flows.fields import FIELDS, Field
from policy.flows.flow import Condition, FlowError, Match, match
from policy.flows.openflow import WireError, port16, port32


def _header(field: Field, has_mask: bool) -> int:
    size = field.wire_bits + 7 >> 3
    return field.oxm_class << 16 | field.oxm_field << 9 | has_mask << 8 | size << has_mask


def encode_match(tests: Match) -> bytes:
    """An ofp_match, padded. Prerequisites come first, as OVS wants them."""
    parts: dict[tuple[int, int], tuple[Field, int, int]] = {}
    for field, value, mask in tests:
        key = (field.oxm_class, field.oxm_field)
        _, old_value, old_mask = parts.get(key, (field, 0, 0))
        parts[key] = (field, old_value | value << field.offset, old_mask | mask << field.offset)
    data = b"".join(_encode_condition(*part) for _, part in sorted(parts.items(), key=_wire_order))
    length = 4 + len(data)
    return struct.pack("!HH", 1, length) + data + bytes(-length % 8)


def _wire_order(item: tuple[tuple[int, int], tuple[Field, int, int]]) -> tuple[int, int, int]:
    (oxm_class, number), _ = item
    # ct_state is the prerequisite of the connection's tuple, basic fields are in order of dependence already.
    return (0 if oxm_class == f.OXM else 1, number, 0)


# Three of four conditions are few, and met all the time; the others are an address's or a MAC's own, met once or twice.
@lru_cache(maxsize=1024)
def _encode_condition(field: Field, value: int, mask: int) -> bytes:
    size = field.wire_bits + 7 >> 3
    if field is f.IN_PORT:
        value = port32(value)
    if mask == (1 << field.wire_bits) - 1:
        return struct.pack("!I", _header(field, False)) + value.to_bytes(size, "big")
    return struct.pack("!I", _header(field, True)) + value.to_bytes(size, "big") + mask.to_bytes(size, "big")


# Fields by class and number; parts of registers by the register's.
PLAIN = {(field.oxm_class, field.oxm_field): field for field in FIELDS.values() if not field.is_register}
PARTS: dict[int, list[Field]] = {}
for _part in f.register_parts():
    PARTS.setdefault(_part.oxm_field, []).append(_part)


def decode_match(data: bytes) -> Match:
    """The tests of an ofp_match without its padding.

    Raises ``WireError`` for a field we never match or that is told twice, and for whatever is no match at all.
    """
    if len(data) < 4:
        raise WireError("match cut short")
    kind, length = struct.unpack_from("!HH", data)
    if kind != 1:
        raise WireError(f"match type {kind}")
    if not 4 <= length <= len(data):
        raise WireError("match cut short")
    tests: list[Condition] = []
    at = 4
    while at < length:
        if length - at < 4:
            raise WireError("match cut short")
        (header,) = struct.unpack_from("!I", data, at)
        oxm_class, number, has_mask, size = header >> 16, header >> 9 & 0x7F, header >> 8 & 1, header & 0xFF
        if at + 4 + size > length:
            raise WireError("match cut short")
        tests += _decode_condition(oxm_class, number, bool(has_mask), bytes(data[at + 4 : at + 4 + size]))
        at += 4 + size
    try:
        return match(tests)
    except FlowError as error:
        raise WireError(str(error)) from None


# Most conditions are those of many flows, on all bridges. A switch that tells others has 255 bytes for each at most.
@lru_cache(maxsize=1024)
def _decode_condition(oxm_class: int, number: int, has_mask: bool, body: bytes) -> tuple[Condition, ...]:
    return tuple(_conditions(oxm_class, number, has_mask, body))


def _conditions(oxm_class: int, number: int, has_mask: bool, body: bytes) -> Iterator[Condition]:
    field = PLAIN.get((oxm_class, number))
    parts = PARTS.get(number, []) if oxm_class == f.NXM_1 and field is None else []
    known = field or (parts[0] if parts else None)
    if known is None:
        raise WireError(f"match on field {oxm_class:#x}:{number}")
    value, mask = _value_and_mask(known, has_mask, body)
    if field is not None:
        yield Condition(field, port16(value) if field is f.IN_PORT else value, mask)
        return
    covered = 0
    for part in parts:
        part_mask = mask >> part.offset & part.full
        covered |= part.full << part.offset
        if part_mask:
            yield Condition(part, value >> part.offset & part.full, part_mask)
    if mask & ~covered:
        raise WireError(f"match on unused bits of reg{number}")


def _value_and_mask(field: Field, has_mask: bool, body: bytes) -> tuple[int, int]:
    """Both as wide as the field is on the wire. No switch tells others, unless it lies."""
    size = field.wire_bits + 7 >> 3
    if len(body) != size << has_mask:
        raise WireError(f"a match on {field.name} in {len(body)} bytes")
    full = (1 << field.wire_bits) - 1
    value = int.from_bytes(body[:size], "big")
    mask = int.from_bytes(body[size:], "big") if has_mask else full
    if mask != full and not field.maskable:
        raise WireError(f"a masked match on {field.name}")
    if value & ~mask or not 0 < mask <= full:
        raise WireError(f"a match on {field.name} that no value passes, or every value")
    return value, mask
