"""A flow as a value: table, priority, match, actions, cookie. And the check that its table declared what it does.

A match is a tuple of `Condition` values sorted by field name, each field at most once. Values and masks are integers;
a test with the field's full mask is exact; a test never asks about bits outside its mask.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from policy.flows import fields as f
from policy.flows.fields import Field
from policy.flows.icmpv6 import NEIGHBOUR_ADVERTISEMENT, NEIGHBOUR_SOLICITATION
from policy.flows.tables import TABLES, Table
from policy.model import UDP
from topology.addresses import Prefix


class FlowError(Exception):
    """A flow that its table did not declare: a defect of the compiler, never of the policy."""


class Condition(NamedTuple):
    """One condition of a match: ``field & mask == value``."""

    field: Field
    value: int
    mask: int


Match = tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Load:
    """Write a constant into a register part."""

    field: Field
    value: int


@dataclass(frozen=True, slots=True)
class Move:
    """Copy the low ``bits`` bits of one field to the low bits of another."""

    source: Field
    target: Field
    bits: int


@dataclass(frozen=True, slots=True)
class Push:
    """Keep a header field on the stack."""

    field: Field


@dataclass(frozen=True, slots=True)
class Pop:
    """Put the header field back from the stack."""

    field: Field


@dataclass(frozen=True, slots=True)
class Resubmit:
    """Look the packet up in another table, then go on with the next action."""

    table: str


@dataclass(frozen=True, slots=True)
class Track:
    """Send a copy of the packet through conntrack in the zone that `fields.ZONE` holds, and on to a table."""

    table: str


@dataclass(frozen=True, slots=True)
class Commit:
    """Remember the connection in the zone that `fields.ZONE` holds, with this mark (`fields.MARK_OURS` and others).

    ``helper``: one of `policy.model.HELPERS`, which from now on listens to what the two ends say; or None.
    """

    mark: int
    helper: str | None = None


@dataclass(frozen=True, slots=True)
class Limit:
    """Drop the packet if the meter's rate is exceeded. Stands first in a flow (an OpenFlow meter instruction)."""

    meter: int


@dataclass(frozen=True, slots=True)
class Punt:
    """A copy of the packet to the controller, if the meter's rate allows it. It is whole: OVS cuts off nothing."""

    meter: int


@dataclass(frozen=True, slots=True)
class Output:
    """Out by a port; OVS drops what would go back to the port it came from."""

    port: int


@dataclass(frozen=True, slots=True)
class OutputTo:
    """Out by the port that a register part holds."""

    field: Field


@dataclass(frozen=True, slots=True)
class OutputBond:
    """Out by one live member of a bond: ``hrw`` spreads source MACs, ``active_backup`` takes the first live one."""

    members: tuple[int, ...]
    algorithm: str


@dataclass(frozen=True, slots=True)
class PushVlan:
    """Add an 802.1Q tag (TPID 0x8100, VLAN 0)."""


@dataclass(frozen=True, slots=True)
class PopVlan:
    """Remove the outer VLAN tag."""


@dataclass(frozen=True, slots=True)
class Conjunction:
    """This flow satisfies clause ``clause`` (from 0) of ``of`` of a conjunction."""

    id: int
    clause: int
    of: int


@dataclass(frozen=True, slots=True)
class Learn:
    """Have the switch write into table ``table``: this packet's source MAC in this VLAN lives behind this uplink.

    ``hard_timeout`` in seconds after the last packet that refreshed it; ``limit`` entries at most.
    """

    table: str
    cookie: int
    hard_timeout: int
    limit: int


Action = (
    Load | Move | Push | Pop | Resubmit | Track | Commit | Limit | Punt | Output | OutputTo | OutputBond | PushVlan
    | PopVlan | Conjunction | Learn
)  # fmt: skip


class Key(NamedTuple):
    """What identifies a flow on a switch."""

    table: int
    priority: int
    match: Match


@dataclass(frozen=True, slots=True)
class Flow:
    """One flow. ``actions`` empty: drop."""

    table: Table
    priority: int
    match: Match
    actions: tuple[Action, ...]
    cookie: int

    @property
    def key(self) -> Key:
        return Key(self.table.number, self.priority, self.match)


def refuses(flow: Flow) -> bool:
    """True if a packet ends at this flow: nothing sends it on, though somebody may be told."""
    return all(
        isinstance(action, Load | Punt) or (isinstance(action, Resubmit) and action.table in ("TELL", "TELL_ONCE"))
        for action in flow.actions
    )


# Half of all conditions, and most actions and cookies, are those of the flows just before: as the same objects they
# take no memory.
_ALIKE = 1024


@lru_cache(maxsize=_ALIKE)
def exact(field: Field, value: int) -> Condition:
    """The test that a field has a value. Raises ``FlowError`` if the value does not fit."""
    if not 0 <= value <= field.full:
        raise FlowError(f"{value:#x} does not fit {field.name} ({field.bits} bits)")
    return Condition(field, value, field.full)


def masked(field: Field, value: int, mask: int) -> Condition:
    """The test of some bits of a field."""
    if value & ~mask or not 0 < mask <= field.full:
        raise FlowError(f"{field.name}: {value:#x}/{mask:#x} is no mask of {field.bits} bits with its value inside")
    return Condition(field, value, mask)


def match(*tests: Condition | Iterable[Condition]) -> Match:
    """A match of tests; a field tested twice alike counts once, tested differently is a ``FlowError``."""
    found: dict[str, Condition] = {}
    for item in tests:
        for test in (item,) if isinstance(item, Condition) else item:
            if found.setdefault(test.field.name, test) != test:
                raise FlowError(f"{test.field.name} is tested twice, differently")
    return tuple(found[name] for name in sorted(found))


IPV4 = exact(f.ETH_TYPE, f.IPV4_TYPE)
IPV6 = exact(f.ETH_TYPE, f.IPV6_TYPE)
ARP = exact(f.ETH_TYPE, f.ARP_TYPE)
FAMILY = {4: IPV4, 6: IPV6}
# By the bit of the destination MAC that says "for many".
MULTICAST, UNICAST = masked(f.ETH_DST, 1 << 40, 1 << 40), masked(f.ETH_DST, 0, 1 << 40)
FRAGMENT = masked(f.IP_FRAG, 1, 1)


def udp_conditions(family: int, source: int, destination: int) -> tuple[Condition, ...]:
    """The tests that a packet is UDP of this family, from port to port."""
    return (FAMILY[family], exact(f.IP_PROTO, UDP), exact(f.UDP_SRC, source), exact(f.UDP_DST, destination))


def prefix_conditions(prefix: Prefix, source: bool) -> tuple[Condition, ...]:
    """The tests that a packet's source (or destination) lies in a prefix, its Ethernet type included."""
    if prefix.version == 4:
        field = f.IPV4_SRC if source else f.IPV4_DST
    else:
        field = f.IPV6_SRC if source else f.IPV6_DST
    mask = int(prefix.netmask)
    if not mask:
        return (FAMILY[prefix.version],)
    return (FAMILY[prefix.version], Condition(field, int(prefix.network_address), mask))


def ct_state(flags: str) -> Condition:
    """A test like ``+trk-inv``, written as in ovs-ofctl."""
    value = mask = 0
    sign = ""
    word = ""
    for letter in flags + "+":
        if letter in "+-":
            if word:
                bit = f.CT_FLAGS[word]
                mask |= bit
                value |= bit if sign == "+" else 0
            sign, word = letter, ""
        else:
            word += letter
    return masked(f.CT_STATE, value, mask)


def _protocols(*numbers: int) -> frozenset[Condition]:
    return frozenset(exact(f.IP_PROTO, number) for number in numbers)


# What a field's match needs beside it: one of these (ovs-fields(7), "Prerequisites").
_PREREQUISITES: dict[str, frozenset[Condition]] = {
    "ip": frozenset({IPV4, IPV6}),
    "ipv4": frozenset({IPV4}),
    "ipv6": frozenset({IPV6}),
    "arp": frozenset({ARP}),
    "icmp": _protocols(1),
    "tcp": _protocols(6),
    "udp": _protocols(17),
    "icmpv6": _protocols(58),
    "sctp": _protocols(132),
    "ns": frozenset({exact(f.ICMPV6_TYPE, NEIGHBOUR_SOLICITATION)}),
    "na": frozenset({exact(f.ICMPV6_TYPE, NEIGHBOUR_ADVERTISEMENT)}),
    "nd": frozenset(exact(f.ICMPV6_TYPE, kind) for kind in (NEIGHBOUR_SOLICITATION, NEIGHBOUR_ADVERTISEMENT)),
    "tracked": frozenset({ct_state("+trk-inv")}),
}


def _implies(test: Condition, want: Condition) -> bool:
    """True if whatever passes the one test passes the other."""
    return test.field is want.field and not want.mask & ~test.mask and test.value & want.mask == want.value


@lru_cache(maxsize=_ALIKE)
def same(actions: tuple[Action, ...], cookie: int) -> tuple[tuple[Action, ...], int]:
    """The same actions and cookie as the last time, as the same objects."""
    return actions, cookie


def flow(table: str, priority: int, tests: Match, actions: Iterable[Action], cookie: int) -> Flow:
    """A flow that has been checked against its table's declaration. Raises ``FlowError``."""
    result = Flow(TABLES[table], priority, tests, *same(tuple(actions), cookie))
    check(result)
    return result


# What other tests may need beside them.
_NEEDED = frozenset(want.field for wants in _PREREQUISITES.values() for want in wants)
# The shapes of matches that have been found right: a table, its tests with their masks, and the values that count for
# others. There are few; a flow of a known shape is checked in a moment.
_RIGHT: set[tuple[object, ...]] = set()
_MOST_SHAPES = 10_000


def check(candidate: Flow) -> None:
    """Raises ``FlowError`` if the table did not declare a match, a jump or a conntrack visit of this flow."""
    table = candidate.table
    if not 0 <= candidate.priority <= 0xFFFF:
        raise FlowError(f"{_where(candidate)}: priorities have 16 bits")
    shape = (
        table.number,
        *((test.field, test.mask, test.value if test.field in _NEEDED else None) for test in candidate.match),
    )
    if shape not in _RIGHT:
        _check_match(candidate)
        if len(_RIGHT) < _MOST_SHAPES:
            _RIGHT.add(shape)
    if any(isinstance(action, Limit) for action in candidate.actions[1:]):
        raise FlowError(f"{_where(candidate)}: a limit stands first")
    for action in candidate.actions:
        if isinstance(action, Resubmit):
            if action.table not in table.jumps:
                raise FlowError(f"{_where(candidate)}: does not declare a jump to {action.table}")
            if TABLES[action.table].number <= table.number:
                raise FlowError(f"{_where(candidate)}: jumps backwards to {action.table}")
        elif isinstance(action, Track) and action.table not in table.tracks:
            raise FlowError(f"{_where(candidate)}: does not declare conntrack on to {action.table}")
        elif isinstance(action, Load) and not 0 <= action.value <= action.field.full:
            raise FlowError(f"{_where(candidate)}: {action.value:#x} does not fit {action.field.name}")


def _where(candidate: Flow) -> str:
    return f"table {candidate.table.name}, priority {candidate.priority}"


def _check_match(candidate: Flow) -> None:
    where = _where(candidate)
    for test in candidate.match:
        if test.field.name not in candidate.table.matches:
            raise FlowError(f"{where}: does not declare a match on {test.field.name}")
        if test.mask != test.field.full and not test.field.maskable:
            raise FlowError(f"{where}: {test.field.name} cannot be masked")
        for needed in test.field.prerequisites:
            if not any(_implies(test, want) for want in _PREREQUISITES[needed] for test in candidate.match):
                raise FlowError(f"{where}: a match on {test.field.name} needs one on {needed} beside it")
