"""What rules, drops and defaults have counted, from the switches' own counters. Pure: readings in, totals out.

A flow's counter begins again when the flow is replaced or its switch restarts, and ends with the flow; totals do
neither. What a flow counts between its last reading and its end is not known to us.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Set
from dataclasses import dataclass, field

from policy.flows.cookies import COUNTED, Reason, reason
from policy.flows.slots import place
from policy.flows.wire import Installed
from policy.model import Side
from topology.breath import breathing

# OpenFlow 1.4, 7.3.5.2: a counter that a switch does not have is all ones; no other comes near that.
UNKNOWN = 1 << 63

_Flow = tuple[int, int, bytes, int]


@dataclass(frozen=True, slots=True)
class Count:
    """Packets, and their bytes. A packet is counted at each side that decides about it."""

    packets: int = 0
    bytes: int = 0

    def __add__(self, other: Count) -> Count:
        return Count(self.packets + other.packets, self.bytes + other.bytes)


def since(before: Count, now: Count) -> Count:
    """What was counted between two readings; a counter that went backwards has begun again."""
    if now.packets < before.packets or now.bytes < before.bytes:
        return now
    return Count(now.packets - before.packets, now.bytes - before.bytes)


@dataclass
class Totals:
    """``meters``: packets that a bridge's meters have dropped, by datapath id; ``gone_meters``: of bridges gone."""

    meters: dict[int, int] = field(default_factory=dict)
    gone_meters: int = 0
    _counts: dict[tuple[Reason, Side | None], Count] = field(default_factory=dict)
    _flows: dict[int, dict[_Flow, Count]] = field(default_factory=dict)
    _meters: dict[tuple[int, int], int] = field(default_factory=dict)

    def read(self, dpid: int, entries: Iterable[Installed]) -> None:
        """All flows of a bridge, with what they have counted by now."""
        before = self._flows.get(dpid, {})
        found: dict[_Flow, Count] = {}
        for entry in breathing(entries, 128):
            why = reason(entry.cookie)
            if why is None or why.kind not in COUNTED or max(entry.packets, entry.bytes) >= UNKNOWN:
                continue
            flow = (entry.table, entry.priority, entry.raw_match, entry.cookie)
            # A switch that changes while it tells may tell a flow twice.
            found[flow] = Count(entry.packets, entry.bytes)
        for flow, count in breathing(found.items(), 128):
            why = reason(flow[3])
            assert why is not None
            key = (why, side_of(flow[0]))
            self._counts[key] = self.of(*key) + since(before.get(flow, Count()), count)
        self._flows[dpid] = {flow: count for flow, count in found.items() if count.packets}

    def read_meters(self, dpid: int, dropped: Iterable[tuple[int, int]]) -> None:
        """How many packets each meter of a bridge has dropped by now."""
        for meter, packets in dropped:
            if packets < UNKNOWN:
                more = since(Count(self._meters.get((dpid, meter), 0)), Count(packets)).packets
                self.meters[dpid] = self.meters.get(dpid, 0) + more
                self._meters[dpid, meter] = packets

    def of(self, why: Reason, side: Side | None) -> Count:
        """The total of one reason at one side; ``side`` None: what is of neither."""
        return self._counts.get((why, side), Count())

    def all(self, why: Reason) -> Count:
        """The total of one reason wherever."""
        return self.of(why, Side.EGRESS) + self.of(why, Side.INGRESS) + self.of(why, None)

    def keep(self, reasons: Collection[Reason]) -> None:
        """Forget the totals of all other reasons: their rules are gone."""
        self._counts = {key: count for key, count in self._counts.items() if key[0] in reasons}

    def keep_bridges(self, dpids: Set[int]) -> None:
        """Forget the readings of all other bridges; what they have counted stays in the totals."""
        for dpid in self._flows.keys() - dpids:
            del self._flows[dpid]
        for dpid in self.meters.keys() - dpids:
            self.gone_meters += self.meters.pop(dpid)
        self._meters = {key: packets for key, packets in self._meters.items() if key[0] in dpids}


def side_of(table: int) -> Side | None:
    """Whose policy a table holds, by its number on the wire."""
    found = place(table)
    name = found.table.name if found is not None else ""
    return next((side for side in Side if name.startswith(f"{side.name}_")), None)
