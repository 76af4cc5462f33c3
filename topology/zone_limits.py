"""Limits of conntrack's zones, kept in OVSDB where its schema has them (`CT_Zone.limit`, Open vSwitch 3.3 and later).

    Open_vSwitch.datapaths --type--> Datapath.ct_zones --zone--> CT_Zone.limit

OVS applies a limit to all bridges of a datapath, and again when ovs-vswitchd starts. A row that somebody else has made,
for a timeout policy say, is left alone, and the zone then has no limit of ours. Rows of ours bear a mark, so that
whoever comes after a restart knows what to remove.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from topology.rows import DEFAULT_DATAPATH, CtZoneRow, Database, DatapathRow

# The most entries of zones, by zone, by the type of the datapath; what is to be changed, None: no limit any more.
Limits = Mapping[str, Mapping[int, int]]
Changes = dict[tuple[str, int], int | None]


def datapath_of(database: Database, bridge_uuid: str) -> str:
    """The type of the datapath that a bridge is in."""
    row = database.bridges.get(bridge_uuid)
    return row.datapath_type if row is not None else DEFAULT_DATAPATH


def zone_row(database: Database, datapath: str, zone: int) -> CtZoneRow | None:
    """What OVSDB says of a zone; None: nothing."""
    row = _datapath(database, datapath)
    return database.ct_zones.get(row.zones.get(zone, "")) if row is not None else None


def changes(database: Database, wanted: Limits) -> Changes:
    """What must be written so that our rows are these and no others. Zones of which others have rows are left out."""
    found: Changes = {}
    for datapath in sorted({*wanted, *_datapaths(database)}):
        standing, limits = _zones(database, datapath), wanted.get(datapath, {})
        for zone, limit in limits.items():
            row = standing.get(zone)
            if row is None or (row.ours and row.limit != limit):
                found[datapath, zone] = limit
        found.update({(datapath, zone): None for zone, row in standing.items() if row.ours and zone not in limits})
    return found


def shared_limit(together: int, least: int) -> int:
    """The limit of a zone that vNICs share for what they open to each other: ``least``, or more if they may have so
    many connections ``together``.

    Each entry there is two vNICs': as long as each keeps to its own limit, there are half as many as all together may
    have. Whoever does not keep to his own can take all of it from the others, so it is never small.
    """
    return max(least, together // 2)


def _datapaths(database: Database) -> Iterable[str]:
    return (name for switch in database.switches.values() for name in switch.datapaths)


def _datapath(database: Database, datapath: str) -> DatapathRow | None:
    rows = (database.datapaths.get(switch.datapaths.get(datapath, "")) for switch in database.switches.values())
    return next((row for row in rows if row is not None), None)


def _zones(database: Database, datapath: str) -> Mapping[int, CtZoneRow]:
    row = _datapath(database, datapath)
    zones = row.zones if row is not None else {}
    return {zone: found for zone, uuid in zones.items() if (found := database.ct_zones.get(uuid))}
