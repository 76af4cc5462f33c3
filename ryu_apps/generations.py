"""Which generation of the pipeline is in force on a bridge, where the next one goes, and when the old one may go. Pure.

A generation is what one program has put into one slot (`policy.flows.slots`), and the flows of table 0 that lead
there. A program of another layout finds that none of those is its own: it puts its generation into a free slot, and has
table 0 lead there in the same bundle. The old slot is left alone until every packet that was on its way in it has come
out. Whoever finds such remains empties them, also after a restart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from policy.flows.cookies import LAYOUT, Kind, kind_of, layout_of, reason
from policy.flows.fields import ETH_SRC
from policy.flows.flow import Flow, Key
from policy.flows.match_wire import decode_match
from policy.flows.meters import Meter
from policy.flows.openflow import WireError
from policy.flows.slots import FIRST, SLOTS, place
from policy.flows.wire import Installed
from topology.breath import breathing

# Seconds for which an old generation stays when nothing leads to it any more. Packets are on their way for
# microseconds; the datapath's remembered ways (megaflows) that lead there are gone after a round of its revalidators,
# which takes half a second, and two when it is very busy.
RETIRE_AFTER = 5.0

# Who holds a conntrack zone: its number, and the MAC of the vNIC.
Holder = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Found:
    """What a bridge holds, sorted. ``slot``: where our generation is, or is to be put.

    ``ours`` are its flows and those of table 0 that lead there, ``outdated`` what other generations have left in its
    way, ``foreign`` others' flows there. ``holders``: of conntrack zones, as ``outdated`` flows tell. ``remains``:
    slots with flows of other generations. ``enforcing``: a generation of ours is in force, or something of it.
    """

    slot: int
    ours: Mapping[Key, Flow]
    outdated: tuple[Installed, ...]
    foreign: tuple[Installed, ...]
    holders: frozenset[Holder]
    remains: frozenset[int]
    enforcing: bool


def sort(entries: Iterable[Installed], held: int | None = None) -> Found:
    """Sort what a bridge holds. ``held``: the slot where we have put our generation ourselves, if we have."""
    entries = [entry for entry in entries if entry.table == 0 or entry.slot is not None]
    slot = _slot(entries, held)
    ours: dict[Key, Flow] = {}
    outdated: list[Installed] = []
    foreign: list[Installed] = []
    holders: set[Holder] = set()
    remains: set[int] = set()
    enforcing = False
    for entry in breathing(entries, 128):
        layout, where = layout_of(entry.cookie), entry.slot
        marked = layout is not None
        if where not in (None, slot):
            if marked and where is not None:
                remains.add(where)
            continue
        if place(entry.table) is None or _learned(entry):
            continue
        enforcing = enforcing or marked
        if marked and (layout != LAYOUT or entry.leads_to not in (None, slot)):
            outdated.append(entry)
            holders |= _holders(entry)
        elif marked and entry.flow is not None:
            ours[entry.flow.key] = entry.flow
        else:
            foreign.append(entry)
    told = tuple(outdated), tuple(foreign), frozenset(holders), frozenset(remains)
    return Found(slot, ours, *told, enforcing)


def _slot(entries: Iterable[Installed], held: int | None) -> int:
    """Where our generation is: where flows of our layout in table 0 lead to. Else, where it is to go."""
    layouts = {slot: set[int | None]() for slot in SLOTS}
    leads: Counter[int] = Counter()
    elsewhere: set[int | None] = set()
    outdated = False
    for entry in entries:
        layout = layout_of(entry.cookie)
        if entry.slot is not None:
            layouts[entry.slot].add(layout)
        elif layout == LAYOUT:
            leads.update({entry.leads_to: 1} if entry.leads_to is not None else {})
        elif layout is not None:
            outdated = True
            elsewhere.add(entry.leads_to)
    if leads:
        return max(leads, key=lambda slot: (leads[slot], slot == held, -slot))
    if not outdated:
        # Nothing leads anywhere: what is there may be used again.
        if held is not None:
            return held
        for slot, found in layouts.items():
            if LAYOUT in found and found <= {LAYOUT, None}:
                return slot
    free = [slot for slot in SLOTS if slot not in elsewhere]
    empty = [slot for slot in free if not layouts[slot]]
    # Four generations within seconds, or flows of somebody else's everywhere.
    return min(empty or free, default=FIRST)


def _learned(entry: Installed) -> bool:
    """True for what the switch itself has written, in the slot of its table."""
    if kind_of(entry.cookie) != Kind.LEARNED:
        return False
    where, why = place(entry.table), reason(entry.cookie)
    return where is not None and where.table.dynamic and why is not None and why.kind is Kind.LEARNED


def _holders(entry: Installed) -> set[Holder]:
    """Who has which conntrack zone, as a vNIC's flow of table 0 tells it in all layouts."""
    if entry.table or kind_of(entry.cookie) != Kind.VNIC:
        return set()
    try:
        tests = decode_match(entry.raw_match)
    except WireError:
        # Then nobody has it, and it is forgotten: better than to give one vNIC's connections to another.
        return set()
    return {(entry.cookie & 0xFFFF, test.value) for test in tests if test.field is ETH_SRC}


def shared_meters(
    wanted: Mapping[int, Meter], there: Mapping[int, Meter | None]
) -> dict[int, Meter | None]:
    """The meters while an old generation is still there: those of both; where they are one, the more generous."""
    found: dict[int, Meter | None] = {**there, **wanted}
    for number, old in there.items():
        new = wanted.get(number)
        if old is not None and new is not None:
            found[number] = Meter(number, max(old.rate, new.rate), max(old.burst, new.burst))
    return found


@dataclass(slots=True)
class Remains:
    """The slots where old generations remain, and whether they may go: a time after nothing leads there any more.

    ``number``: of the wait. It begins anew where remains are found that were not known, or that are still in use.
    """

    slots: frozenset[int] = frozenset()
    number: int = 0
    waiting: bool = False
    waited: bool = False

    @property
    def due(self) -> bool:
        """True if there are some, and they may go."""
        return self.waited and bool(self.slots)

    def found(self, slots: frozenset[int], *, in_use: bool = False) -> None:
        """These are there now; ``in_use``: something leads to one of them, perhaps again."""
        if in_use or slots - self.slots or not slots:
            self.number += 1
            self.waiting = self.waited = False
        self.slots = slots

    def wait(self) -> int | None:
        """Nothing leads there any more: the number of the wait that begins now; None if there is nothing to wait for,
        or it has begun before."""
        if not self.slots or self.waiting:
            return None
        self.waiting = True
        return self.number

    def over(self, number: int) -> None:
        """A wait is over."""
        self.waited = self.waited or (self.waiting and number == self.number)

    def gone(self) -> None:
        """The switch has emptied them."""
        self.found(frozenset())
