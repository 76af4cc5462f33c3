"""A flow as one line with names, for people, golden files and `explain`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from ipaddress import IPv4Address, IPv6Address

from policy.flows import fields as f
from policy.flows.cookies import reason
from policy.flows.fields import Field
from policy.flows.flow import (
    Action,
    Commit,
    Condition,
    Conjunction,
    Flow,
    Learn,
    Limit,
    Load,
    Match,
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
from policy.flows.meters import meter_text

_ETH_TYPES = {f.IPV4_TYPE: "ip", f.ARP_TYPE: "arp", f.IPV6_TYPE: "ipv6"}
_TUPLES = {0: "packet", 1: "connection"}


def flow_text(flow: Flow) -> str:
    """``TABLE priority [why] match -> actions``."""
    why = reason(flow.cookie)
    tests = match_text(flow.match)
    return f"{flow.table.name} {flow.priority} [{why or hex(flow.cookie)}] {tests} -> {actions_text(flow.actions)}"


def flows_text(flows: Iterable[Flow]) -> str:
    """Flows in the order in which they are looked up, one a line."""
    lines = [
        (flow.table.number, -flow.priority, flow_text(flow))
        for flow in flows
    ]  # fmt: skip
    return "".join(f"{line}\n" for _, _, line in sorted(lines))


def match_text(match: Match) -> str:
    """The tests of a match, or ``any``."""
    return ",".join(condition_text(test) for test in match) or "any"


def actions_text(actions: Iterable[Action]) -> str:
    """The actions in order, or ``drop``."""
    return ",".join(map(action_text, actions)) or "drop"


def condition_text(test: Condition) -> str:
    field = test.field
    if field is f.ETH_TYPE:
        return _ETH_TYPES.get(test.value, f"eth_type={test.value:#06x}")
    if field is f.CT_STATE:
        flags = [
            ("+" if test.value & bit else "-") + name for name, bit in f.CT_FLAGS.items() if test.mask & bit
        ]  # fmt: skip
        return f"ct_state={''.join(flags)}"
    value = value_text(field, test.value)
    if test.mask == field.full:
        return f"{field.name}={value}"
    if field.kind in ("ipv4", "ipv6"):
        length = _prefix_length(field, test.mask)
        return f"{field.name}={value}/{length if length is not None else value_text(field, test.mask)}"
    mask = f"{test.mask:#x}" if field.kind == "number" else value_text(field, test.mask)
    return f"{field.name}={hex(test.value) if field.kind == 'number' else value}/{mask}"


def _prefix_length(field: Field, mask: int) -> int | None:
    length = mask.bit_count()
    return length if mask == field.full ^ (field.full >> length) else None


def _mac(value: int) -> str:
    return value.to_bytes(6, "big").hex(":")


_WRITERS: dict[str, Callable[[int], str]] = {
    "number": str,
    "hex": hex,
    "ct_state": hex,
    "mac": _mac,
    "ipv4": lambda value: str(IPv4Address(value)),
    "ipv6": lambda value: str(IPv6Address(value)),
    "tuple": lambda value: _TUPLES[value],
}


def value_text(field: Field, value: int) -> str:
    """A field's value as people write it."""
    return _WRITERS[field.kind](value)


def action_text(action: Action) -> str:
    """One action."""
    match action:
        case Load(field, value):
            return f"{field.name}:={value_text(field, value)}"
        case Move(source, target, bits):
            width = "" if bits == source.bits == target.bits else f"[{bits}]"
            return f"{target.name}:={source.name}{width}"
        case Push(field):
            return f"push({field.name})"
        case Pop(field):
            return f"pop({field.name})"
        case Resubmit(table):
            return table
        case Track(table):
            return f"ct(zone)->{table}"
        case Commit(mark, helper):
            return f"ct(commit,zone,ct_mark:={mark}{f',helper={helper}' if helper else ''})"
        case Limit(meter):
            return f"limit({meter_text(meter)})"
        case Punt(meter):
            return f"tell({meter_text(meter)})"
        case Output(port):
            return f"output({port})"
        case OutputTo(field):
            return f"output({field.name})"
        case OutputBond(members, algorithm):
            return f"output({algorithm} of {' '.join(map(str, members))})"
        case PushVlan():
            return "push_vlan"
        case PopVlan():
            return "pop_vlan"
        case Conjunction(number, clause, of):
            return f"conjunction({number:#x},{clause + 1}/{of})"
        case Learn(table, _, timeout, limit):
            return f"learn({table},vlan,eth_dst=eth_src,uplink_out:=uplink_in,{timeout}s,limit={limit})"
