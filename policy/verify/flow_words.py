"""A line of `ovs-ofctl dump-flows` as the bytes by which a switch tells that flow: the way back from text.

Only what flows of ours can hold is understood. Whatever else a line says becomes a match, or an action, that no flow of
ours has, so such a flow is compared as foreign or altered, never passed over. What OVS writes: ovs-fields(7),
ovs-actions(7).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address

from policy.flows import fields as f
from policy.flows.fields import Field
from policy.flows.match_wire import PARTS
from policy.verify.action_words import LOCAL, NotOurs, instructions


class BadLine(Exception):
    """No line of a flow dump, or not all of one."""


# What stands before the match and is no part of it. Flags are none of ours.
_HEAD = {"cookie", "duration", "table", "n_packets", "n_bytes", "idle_timeout", "hard_timeout", "idle_age", "hard_age"}
_HEAD |= {"priority", "importance"}
_FLAGS = {"send_flow_rem", "check_overlap", "reset_counts", "no_packet_counts", "no_byte_counts"}
# A match on a field that no flow of ours has.
_STRANGE_TEST = struct.pack("!HBBB", 0xFFFE, 0, 1, 0)


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
        body = _match(tests) + instructions(does)
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
