"""Conntrack zones: each vNIC has one of its own, kept in OVSDB so that it outlives the controller.

The zone is in ``Interface.external_ids:portcullis-zone`` (a sub-port's in ``portcullis-zone.TAG`` of its parent's
interface), a number of 1 to 33332 (0 is everybody's default zone), unique on its switch: conntrack knows zones by their
number for all bridges of a datapath. The zones from 61440 on
belong to networks, by VLAN: they keep the connections between two vNICs of one bridge.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping

from topology.ports import holder
from topology.rows import ZONE_KEY, Database, InterfaceRow
from topology.shared_map import changed_keys

# The zone of VLAN 0's network; that of VLAN n is n further. The low 12 bits are free, so a switch can fill in the VLAN.
FIRST_SHARED_ZONE = 0xF000
# A vNIC's zone is also its number, and each of its meters has one of its own: Linux has 200,000 meters, enough for six
# kinds (`policy.flows.meters`).
MAX_ZONE = 33_332


def parse_zone(text: str | None) -> int | None:
    """A zone as we write it, decimal without leading zeros; None for anything else."""
    if text is None or not (text.isascii() and text.isdigit()) or len(text) > 5 or text.startswith("0"):
        return None
    zone = int(text)
    return zone if zone <= MAX_ZONE else None


def holders(database: Database) -> Mapping[str, int]:
    """The zone of each vNIC's port that holds one, by `topology.ports.holder`.

    Where several hold the same, as a careless copy of external_ids leaves it, an interface that has an OpenFlow port
    keeps it before one that has not, then the smallest UUID and tag; the others hold none.
    """
    return Holders().take(database)


class Holders:
    """The holders of one database after the other."""

    def __init__(self) -> None:
        self._rows: Mapping[str, InterfaceRow] = {}
        self._by_zone: dict[int, dict[str, InterfaceRow]] = {}
        self._zones: dict[str, int] = {}
        # The interfaces whose rows are other objects than the last time, or whose zone may be another.
        self.changed: set[str] = set()

    def take(self, database: Database) -> Mapping[str, int]:
        """As `holders`; valid until the next time."""
        rows, self.changed = database.interfaces, changed_keys(database.interfaces, self._rows)
        touched: set[int] = set()
        for uuid in tuple(self.changed):
            for who, zone in _zones_in(self._rows.get(uuid)):
                del self._by_zone[zone][who]
                touched.add(zone)
                self._zones.pop(who, None)
            row = rows.get(uuid)
            for who, zone in _zones_in(row):
                assert row is not None
                self._by_zone.setdefault(zone, {})[who] = row
                touched.add(zone)
        for zone in touched:
            several = self._by_zone[zone]
            for who, row in several.items():
                self.changed.add(row.uuid)
                self._zones.pop(who, None)
            if several:
                self._zones[min(several, key=lambda who: (several[who].ofport is None, who))] = zone
            else:
                del self._by_zone[zone]
        self._rows = rows
        return self._zones


def _zones_in(row: InterfaceRow | None) -> Iterator[tuple[str, int]]:
    """The zones that a row of interfaces holds, and for whom."""
    for key, text in row.external_ids.items() if row is not None else ():
        name, _, tag = key.partition(".")
        zone = parse_zone(text) if name == ZONE_KEY else None
        if row is not None and zone is not None:
            yield holder(row.uuid, int(tag or 0)), zone


def assign(database: Database, wanting: Iterable[str], reserved: Iterable[int] = ()) -> Mapping[str, int]:
    """The zones that must be written, by `topology.ports.holder`: for each of these of this switch that holds none.

    A zone that any interface of the switch holds is never given, whether its port is up or not, nor one of
    ``reserved``: those that were asked for and are not in the database yet. Without free zones
    (more than 33,332 interfaces) those left over get none, and so stay shut.

    A zone that a port had which is gone may still have entries in conntrack. Two things keep the next holder from
    inheriting them: the search begins at a place that follows from the holder, so that a zone just given
    back is met again by a chance of 1 in 33,332 only (for each port ever removed, as long as its entries live); and an
    entry opens nothing by itself, because policy is evaluated for every packet of a connection, not only for its first.
    """
    held = holders(database)
    taken = set(held.values()).union(reserved)
    wanted: dict[str, int] = {}
    for who in sorted({*wanting} - held.keys()):
        if len(taken) >= MAX_ZONE:
            break
        zone = int.from_bytes(hashlib.sha256(who.encode()).digest()[:4], "big") % MAX_ZONE + 1
        while zone in taken:
            zone = zone % MAX_ZONE + 1
        taken.add(zone)
        wanted[who] = zone
    return wanted
