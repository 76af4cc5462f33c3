"""What a bridge holds, sorted by whether packets can reach it. Pure; written anew here, not shared with the controller.

Every packet begins in table 0. So of the four slots (`policy.flows.slots`) the one counts to which table 0 leads; flows
in other tables than that slot's are out of reach as long as every flow of table 0 and of the slot is as wanted.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from policy.flows import fields as f
from policy.flows.action_wire import LEARN_PRIORITY
from policy.flows.cookies import LAYOUT, Kind, layout_of, reason
from policy.flows.flow import Flow, Key, Load
from policy.flows.match_wire import decode_match
from policy.flows.openflow import WireError
from policy.flows.plumbing import LEARN
from policy.flows.slots import FIRST, place
from policy.flows.wire import Installed, decode_flow_stats
from policy.verify.ovsdb import Unreadable


@dataclass(frozen=True, slots=True)
class Entry:
    """A flow within reach; ``table`` is its number on the wire.

    ``flow`` None: not one that we could have written, or it leads into another slot. ``key`` None: its match is none of
    ours either.
    """

    table: int
    priority: int
    cookie: int
    key: Key | None
    flow: Flow | None


@dataclass(frozen=True, slots=True)
class Holdings:
    """What a bridge holds. ``learned``: MACs that the switch itself has learned. ``elsewhere``: flows out of reach."""

    slot: int
    entries: tuple[Entry, ...]
    learned: int
    elsewhere: int


def holdings(bodies: Iterable[bytes], uplinks: frozenset[int]) -> Holdings:
    """Sort the flows of a bridge; ``bodies`` of its flow statistics. ``uplinks``: the numbers that these have.

    Raises ``WireError`` if they are cut short, `Unreadable` if another version of Portcullis has written them.
    """
    told = [pair for body in bodies for pair in _pairs(body)]
    slot = _slot([installed for installed, _ in told])
    entries: list[Entry] = []
    learned = elsewhere = 0
    for installed, raw in told:
        if installed.table and installed.slot != slot:
            elsewhere += 1
            continue
        where = place(installed.table)
        if where is None:
            # A number of the slot that no table has: nothing of ours leads there.
            elsewhere += 1
        elif where.table.dynamic and _is_learned(raw, uplinks):
            learned += 1
        else:
            entries.append(_entry(installed, where.table.number, slot))
    return Holdings(slot, tuple(entries), learned, elsewhere)


def held_priorities(entries: Sequence[Entry]) -> Mapping[int, int]:
    """The priority that most flows of each rule have, by its number.

    The order of rules is fixed, their priorities are not: a controller leaves them where they are as long as the
    order is right. So they are taken as they are, and put right where the order is wrong.
    """
    found: dict[int, Counter[int]] = {}
    for entry in entries:
        why = reason(entry.cookie)
        if entry.flow is not None and why is not None and why.kind in (Kind.RULE, Kind.AUDIT):
            found.setdefault(why.number, Counter())[entry.priority] += 1
    return {number: counts.most_common(1)[0][0] for number, counts in found.items()}


def _pairs(body: bytes) -> Iterator[tuple[Installed, bytes]]:
    """Each entry of a body, and its bytes."""
    at = 0
    for installed in decode_flow_stats(body):
        (length,) = struct.unpack_from("!H", body, at)
        yield installed, body[at : at + length]
        at += length


def _slot(told: Sequence[Installed]) -> int:
    """The slot to which most flows of table 0 lead. Raises `Unreadable` if these are another version's."""
    layouts = {layout_of(entry.cookie) for entry in told if entry.table == 0} - {None}
    if layouts and LAYOUT not in layouts:
        names = ", ".join(map(str, sorted(layout for layout in layouts if layout is not None)))
        raise Unreadable(f"its tables are of layout {names}; this program knows layout {LAYOUT} only")
    ours = (entry.leads_to for entry in told if layout_of(entry.cookie) == LAYOUT)
    leads = Counter(slot for slot in ours if slot is not None)
    return min(leads, key=lambda slot: (-leads[slot], slot)) if leads else FIRST


def _entry(installed: Installed, table: int, slot: int) -> Entry:
    flow = installed.flow if installed.leads_to in (None, slot) else None
    try:
        key: Key | None = Key(table, installed.priority, decode_match(installed.raw_match))
    except (WireError, struct.error):
        key = None
    return Entry(installed.table, installed.priority, installed.cookie, key, flow)


# Of an entry of flow statistics: where its timeouts and flags are (OpenFlow 1.4, 7.3.5.2).
_TIMES = struct.Struct("!HHH")
_TIMES_AT = 14


def _is_learned(raw: bytes, uplinks: frozenset[int]) -> bool:
    """True for what the switch's own learning may have written, and that is harmless: a MAC is behind an uplink."""
    if _TIMES.unpack_from(raw, _TIMES_AT) != (0, LEARN.hard_timeout, 0):
        return False
    # Without its timeout it is read like any other flow.
    lasting = raw[:_TIMES_AT] + bytes(_TIMES.size) + raw[_TIMES_AT + _TIMES.size :]
    (installed,) = decode_flow_stats(lasting)
    flow = installed.flow
    if flow is None or flow.cookie != LEARN.cookie or flow.priority != LEARN_PRIORITY or len(flow.actions) != 1:
        return False
    exact = {test.field for test in flow.match if test.mask == test.field.full}
    (action,) = flow.actions
    return (
        exact == {f.VLAN, f.ETH_DST}
        and len(flow.match) == 2
        and isinstance(action, Load)
        and action.field is f.UPLINK_OUT
        and action.value in uplinks
    )
