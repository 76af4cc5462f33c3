"""A line of `ovs-ofctl dump-flows` as the bytes by which a switch tells that flow: the way back from text.

Only what flows of ours can hold is understood. Whatever else a line says becomes a match, or an action, that no flow of
ours has, so such a flow is compared as foreign or altered, never passed over. What OVS writes: ovs-fields(7),
ovs-actions(7).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator, Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address
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


class NotOurs(Exception):
    """Words that no flow of ours holds."""


class BadLine(Exception):
    """No line of a flow dump, or not all of one."""


# What stands before the match and is no part of it. Flags are none of ours.
_HEAD = {"cookie", "duration", "table", "n_packets", "n_bytes", "idle_timeout", "hard_timeout", "idle_age", "hard_age"}
_HEAD |= {"priority", "importance"}
_FLAGS = {"send_flow_rem", "check_overlap", "reset_counts", "no_packet_counts", "no_byte_counts"}
# A match on a field, and an instruction, that no flow of ours has.
_STRANGE_TEST = struct.pack("!HBBB", 0xFFFE, 0, 1, 0)
_STRANGE_INSTRUCTION = struct.pack("!HHI", 0xFFFE, 8, 0)


def stats_entry(line: str) -> bytes:
    """The flow of a line as an entry of a flow-statistics reply. Raises `BadLine`."""
    head, arrow, does = line.strip().partition(" actions=")
    if not arrow or not does:
        raise BadLine
    words = [word for word in re.split(r"[, ]+", head) if word]
    values = dict(word.split("=", 1) for word in words if "=" in word)
    if len(values) != sum("=" in word for word in words) or "cookie" not in values:
        raise BadLine
    try:
        numbers = {name: int(values.get(name, default), 0) for name, default in _NUMBERS.items()}
    except ValueError:
        raise BadLine from None
    tests = [word for word in words if word.partition("=")[0] not in _HEAD and word not in _FLAGS]
    try:
        body = _match(tests) + _instructions(does)
        length, flags = _STATS.size + len(body), any(word in _FLAGS for word in words)
        return _STATS.pack(length, *map(numbers.__getitem__, _PLACES), flags, numbers["cookie"], 0, 0) + body
    except struct.error:
        raise BadLine from None


_NUMBERS = {"table": "0", "priority": "32768", "idle_timeout": "0", "hard_timeout": "0", "cookie": "0"}
_PLACES = ("table", "priority", "idle_timeout", "hard_timeout")
# struct ofp_flow_stats (OpenFlow 1.4, 7.3.5.2) up to its match.
_STATS = struct.Struct("!HBx8xHHHH4xQQQ")


# --- matches

_PROTOCOLS = {"icmp": 1, "tcp": 6, "udp": 17, "sctp": 132}
_SHORT: dict[str, tuple[tuple[Field, int], ...]] = {
    "ip": ((f.ETH_TYPE, f.IPV4_TYPE),),
    "ipv6": ((f.ETH_TYPE, f.IPV6_TYPE),),
    "arp": ((f.ETH_TYPE, f.ARP_TYPE),),
    "icmp6": ((f.ETH_TYPE, f.IPV6_TYPE), (f.IP_PROTO, 58)),
}
for _name, _number in _PROTOCOLS.items():
    _SHORT[_name] = ((f.ETH_TYPE, f.IPV4_TYPE), (f.IP_PROTO, _number))
    if _name != "icmp":
        _SHORT[f"{_name}6"] = ((f.ETH_TYPE, f.IPV6_TYPE), (f.IP_PROTO, _number))
_NAMES: dict[str, Field] = {
    "in_port": f.IN_PORT,
    "dl_src": f.ETH_SRC,
    "dl_dst": f.ETH_DST,
    "dl_type": f.ETH_TYPE,
    "nw_proto": f.IP_PROTO,
    "nw_ttl": f.IP_TTL,
    "nw_src": f.IPV4_SRC,
    "nw_dst": f.IPV4_DST,
    "ipv6_src": f.IPV6_SRC,
    "ipv6_dst": f.IPV6_DST,
    "arp_op": f.ARP_OP,
    "arp_spa": f.ARP_SPA,
    "arp_tpa": f.ARP_TPA,
    "arp_sha": f.ARP_SHA,
    "nd_target": f.ND_TARGET,
    "nd_sll": f.ND_SLL,
    "nd_tll": f.ND_TLL,
    "conj_id": f.CONJ_ID,
    "ct_mark": f.CT_MARK,
    "ct_nw_proto": f.CT_NW_PROTO,
    "ct_nw_src": f.CT_NW_SRC,
    "ct_nw_dst": f.CT_NW_DST,
    "ct_ipv6_src": f.CT_IPV6_SRC,
    "ct_ipv6_dst": f.CT_IPV6_DST,
    "ct_tp_src": f.CT_TP_SRC,
    "ct_tp_dst": f.CT_TP_DST,
}
# What these names mean depends on the protocol.
_PORTS = {
    6: {"tp_src": f.TCP_SRC, "tp_dst": f.TCP_DST},
    17: {"tp_src": f.UDP_SRC, "tp_dst": f.UDP_DST},
    132: {"tp_src": f.SCTP_SRC, "tp_dst": f.SCTP_DST},
    1: {"icmp_type": f.ICMP_TYPE, "icmp_code": f.ICMP_CODE},
    58: {"icmp_type": f.ICMPV6_TYPE, "icmp_code": f.ICMPV6_CODE},
}
_FRAGMENTS = {"no": (0, 3), "yes": (1, 1), "first": (1, 3), "later": (3, 3), "not_later": (0, 2)}
_TCI_MASK = 0x1FFF


def _match(words: list[str]) -> bytes:
    try:
        data = b"".join(_tests(words))
    except (NotOurs, ValueError, OverflowError):
        data = _STRANGE_TEST
    length = 4 + len(data)
    return struct.pack("!HH", 1, length) + data + bytes(-length % 8)


def _tests(words: list[str]) -> Iterator[bytes]:
    protocol = None
    for word in words:
        for short, number in _SHORT.get(word, ()):
            protocol = number if short is f.IP_PROTO else protocol
            yield _oxm(short, number)
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            if word not in _SHORT:
                raise NotOurs(word)
        elif name == "ct_state":
            yield _oxm(f.CT_STATE, *_flags(value))
        elif name == "nw_frag":
            yield _oxm(f.IP_FRAG, *_FRAGMENTS[value]) if value in _FRAGMENTS else _STRANGE_TEST
        elif name == "dl_vlan":
            yield _oxm(f.VLAN_VID, f.TAGGED | int(value, 0))
        elif name == "vlan_tci":
            tci, mask = _number_and_mask(value, 16)
            if mask & ~_TCI_MASK:
                raise NotOurs(word)
            yield _oxm(f.VLAN_VID, tci, mask)
        elif re.fullmatch(r"reg[0-9]{1,2}", name) and int(name[3:]) in PARTS:
            yield _oxm(PARTS[int(name[3:])][0], *_number_and_mask(value, 32))
        else:
            field = _NAMES.get(name) or _PORTS.get(protocol or 0, {}).get(name)
            if field is None:
                raise NotOurs(word)
            yield _oxm(field, *_value(field, value))


def _oxm(field: Field, value: int, mask: int | None = None) -> bytes:
    """A test of a field, or of a register by any part of it, as it stands in an ofp_match."""
    size = field.wire_bits + 7 >> 3
    full = (1 << field.wire_bits) - 1
    whole = mask is None or mask == full
    header = field.oxm_class << 16 | field.oxm_field << 9 | (not whole) << 8 | size << (not whole)
    if field is f.IN_PORT and value >= 0xFF00:
        value |= 0xFFFF0000
    data = struct.pack("!I", header) + value.to_bytes(size, "big")
    return data if mask is None or whole else data + mask.to_bytes(size, "big")


def _flags(text: str) -> tuple[int, int]:
    found = re.findall(r"([+-])([a-z]+)", text)
    if "".join(sign + word for sign, word in found) != text or any(word not in f.CT_FLAGS for _, word in found):
        raise NotOurs(text)
    mask = sum(f.CT_FLAGS[word] for _, word in found)
    return sum(f.CT_FLAGS[word] for sign, word in found if sign == "+"), mask


def _number_and_mask(text: str, bits: int) -> tuple[int, int]:
    value, slash, mask = text.partition("/")
    return int(value, 0), int(mask, 0) if slash else (1 << bits) - 1


def _value(field: Field, text: str) -> tuple[int, int]:
    """A value with its mask; of addresses it may be a length."""
    value, slash, mask = text.partition("/")
    full = field.full
    if field.kind == "mac":
        return _mac(value), _mac(mask) if slash else full
    if field.kind in ("ipv4", "ipv6"):
        if not slash:
            return _address(field, value), full
        if mask.isdigit():
            return _address(field, value), full ^ (full >> int(mask))
        return _address(field, value), _address(field, mask)
    if field is f.IN_PORT and value == "LOCAL":
        return LOCAL, full
    return int(value, 0), int(mask, 0) if slash else full


def _mac(text: str) -> int:
    if not re.fullmatch(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}", text):
        raise NotOurs(text)
    return int(text.replace(":", ""), 16)


def _address(field: Field, text: str) -> int:
    found: IPv4Address | IPv6Address = ip_address(text)
    if found.version != (4 if field.kind == "ipv4" else 6):
        raise NotOurs(text)
    return int(found)


# --- actions

_FIELD_NAMES: dict[str, Field] = {
    "NXM_OF_ETH_DST": f.ETH_DST,
    "NXM_OF_ETH_SRC": f.ETH_SRC,
    "NXM_OF_IP_SRC": f.IPV4_SRC,
    "NXM_OF_IP_DST": f.IPV4_DST,
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


def _instructions(text: str) -> bytes:
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
