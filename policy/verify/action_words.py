"""The actions of a line of `ovs-ofctl dump-flows` as bytes (`policy.verify.flow_words`)."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Mapping
from typing import Any

from policy.flows import fields as f
from policy.flows.action_wire import encode_actions
from policy.flows.fields import Field
from policy.flows.flow import (
    Action,
    Commit,
    Conjunction,
    Learn,
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
from policy.flows.match_wire import PARTS
from policy.flows.slots import FIRST, place
from policy.flows.wire import APPLY_ACTIONS, METER

LOCAL = 0xFFFE
# An instruction that no flow of ours has.
_STRANGE_INSTRUCTION = struct.pack("!HHI", 0xFFFE, 8, 0)


class NotOurs(Exception):
    """Words that no flow of ours holds."""


_FIELD_NAMES: dict[str, Field] = {
    "NXM_OF_ETH_DST": f.ETH_DST,
    "NXM_OF_ETH_SRC": f.ETH_SRC,
    "NXM_OF_IP_SRC": f.IPV4_SRC,
    "NXM_OF_IP_DST": f.IPV4_DST,
    "NXM_OF_ARP_SPA": f.ARP_SPA,
    "NXM_OF_ARP_TPA": f.ARP_TPA,
    "NXM_NX_ND_TARGET": f.ND_TARGET,
    "NXM_NX_IPV6_SRC": f.IPV6_SRC,
    "NXM_NX_IPV6_DST": f.IPV6_DST,
    "NXM_NX_CT_NW_SRC": f.CT_NW_SRC,
    "NXM_NX_CT_NW_DST": f.CT_NW_DST,
    "NXM_NX_CT_IPV6_SRC": f.CT_IPV6_SRC,
    "NXM_NX_CT_IPV6_DST": f.CT_IPV6_DST,
    "OXM_OF_VLAN_VID": f.VLAN_VID,
    "OXM_OF_IN_PORT": f.IN_PORT,
}
_SUBFIELD = r"([A-Z0-9_]+)\[(?:(\d+)(?:\.\.(\d+))?)?\]"
_ZONE = f"NXM_NX_REG{f.ZONE.oxm_field}[{f.ZONE.offset}..{f.ZONE.offset + f.ZONE.bits - 1}]"


def instructions(text: str) -> bytes:
    """The instructions that a list of actions stands for, as bytes."""
    try:
        return _encode(_split(text))
    except (NotOurs, ValueError, KeyError, struct.error):
        return _STRANGE_INSTRUCTION


def _encode(words: list[str]) -> bytes:
    if words == ["drop"]:
        return b""
    limit = b""
    if words[0].startswith("meter:"):
        limit = struct.pack("!HHI", METER, 8, int(words.pop(0)[6:]))
    packed = b"".join(map(_action, words))
    return limit + (struct.pack("!HH4x", APPLY_ACTIONS, 8 + len(packed)) + packed if packed else b"")


def _split(text: str) -> list[str]:
    """The actions of a list: at commas that stand in no brackets."""
    found, depth, begin = [], 0, 0
    for at, sign in enumerate(text):
        depth += (sign in "([") - (sign in ")]")
        if sign == "," and not depth:
            found.append(text[begin:at])
            begin = at + 1
    return [*found, text[begin:]]


def _action(word: str) -> bytes:
    for pattern, make in _ACTIONS:
        found = pattern.fullmatch(word)
        if found is not None:
            made: Action | tuple[Action, int] = make(*found.groups())
            action, slot = made if isinstance(made, tuple) else (made, FIRST)
            return encode_actions((action,), slot)
    raise NotOurs(word)


def _subfield(name: str, first: str | None, last: str | None) -> Field:
    """A field of ours, or a part of a register, by OVS's name and bits."""
    begin = int(first) if first is not None else 0
    bits = (int(last) - begin + 1 if last is not None else 1) if first is not None else None
    register = re.fullmatch(r"NXM_NX_REG(\d{1,2})", name)
    if register is None:
        field = _FIELD_NAMES.get(name)
        if field is None or begin or bits not in (None, field.bits):
            raise NotOurs(name)
        return field
    for part in PARTS.get(int(register[1]), ()):
        if part.offset == begin and part.bits == (bits or 32):
            return part
    raise NotOurs(name)


def _move(*names: str | None) -> Move:
    """Its two sides may have fields of ours that are longer than what is moved."""
    (source, s_first, s_last), (target, t_first, t_last) = names[:3], names[3:]
    fields, widths = [], []
    for name, first, last in ((source, s_first, s_last), (target, t_first, t_last)):
        begin = int(first) if first is not None else 0
        register = re.fullmatch(r"NXM_NX_REG(\d{1,2})", name or "")
        if register is None:
            field = _FIELD_NAMES.get(name or "")
        else:
            field = next((part for part in PARTS.get(int(register[1]), ()) if part.offset == begin), None)
        if field is None or (register is None and begin):
            raise NotOurs(name)
        widths.append(int(last) - begin + 1 if last is not None else 1 if first is not None else _whole(field))
        fields.append(field)
    if widths[0] != widths[1]:
        raise NotOurs(names)
    return Move(fields[0], fields[1], widths[0])


def _whole(field: Field) -> int:
    """How many bits OVS moves of a whole field; a VLAN's bit for "there is a tag" is none of them."""
    if field is f.VLAN_VID:
        return f.VLAN.bits
    return field.wire_bits


def _to(number: str) -> tuple[str, int]:
    """The name of a table, and its slot."""
    found = place(int(number))
    if found is None or found.slot is None:
        raise NotOurs(number)
    return found.table.name, found.slot


def _resubmit(number: str) -> tuple[Action, int]:
    table, slot = _to(number)
    return Resubmit(table), slot


def _track(number: str) -> tuple[Action, int]:
    table, slot = _to(number)
    return Track(table), slot


def _learn(number: str, timeout: str, cookie: str, limit: str) -> tuple[Action, int]:
    table, slot = _to(number)
    return Learn(table, int(cookie, 0), int(timeout), int(limit)), slot


_RESERVED = {"IN_PORT": 0xFFF8, "NORMAL": 0xFFFA, "FLOOD": 0xFFFB, "ALL": 0xFFFC, "LOCAL": LOCAL}


def _port(text: str) -> int:
    return _RESERVED[text] if text in _RESERVED else int(text)


def _bits(field: Field) -> str:
    return re.escape(f"NXM_NX_REG{field.oxm_field}[{field.offset}..{field.offset + field.bits - 1}]")


_LEARNS = rf"{_bits(f.VLAN)},NXM_OF_ETH_DST\[\]=NXM_OF_ETH_SRC\[\],load:{_bits(f.UPLINK_IN)}->{_bits(f.UPLINK_OUT)}"
_Maker = Callable[..., Action | tuple[Action, int]]
_PATTERNS: Mapping[str, _Maker] = {
    r"resubmit\(,(\d+)\)": _resubmit,
    rf"load:(0x[0-9a-f]+|0)->{_SUBFIELD}": lambda value, *name: Load(_subfield(*name), int(value, 0)),
    r"set_field:(0x[0-9a-f]+|\d+)->vlan_vid": lambda value: Load(f.VLAN_VID, int(value, 0)),
    rf"move:{_SUBFIELD}->{_SUBFIELD}": _move,
    rf"push:{_SUBFIELD}": lambda *name: Push(_subfield(*name)),
    rf"pop:{_SUBFIELD}": lambda *name: Pop(_subfield(*name)),
    rf"ct\(table=(\d+),zone={re.escape(_ZONE)}\)": _track,
    rf"ct\(commit,zone={re.escape(_ZONE)},exec\(set_field:(0x[0-9a-f]+)->ct_mark\)(?:,alg=([a-z]+))?\)": (
        lambda mark, helper: Commit(int(mark, 0), helper)
    ),
    r"controller\(meter_id=(\d+)\)": lambda meter: Punt(int(meter)),
    rf"(?:output:)?(\d+|{'|'.join(_RESERVED)})": lambda port: Output(_port(port)),
    rf"output:{_SUBFIELD}": lambda *name: OutputTo(_subfield(*name)),
    r"bundle\(eth_src,0,(hrw|active_backup),ofport,(?:members|slaves):([0-9,]+)\)": (
        lambda algorithm, members: OutputBond(tuple(map(int, members.split(","))), algorithm)
    ),
    r"push_vlan:0x8100": PushVlan,
    r"(?:pop|strip)_vlan": PopVlan,
    r"conjunction\((\d+),(\d+)/(\d+)\)": lambda number, clause, of: Conjunction(int(number), int(clause) - 1, int(of)),
    rf"learn\(table=(\d+),hard_timeout=(\d+),priority=100,cookie=(0x[0-9a-f]+),limit=(\d+),{_LEARNS}\)": _learn,
}
_ACTIONS: list[tuple[re.Pattern[str], Any]] = [(re.compile(pattern), make) for pattern, make in _PATTERNS.items()]
