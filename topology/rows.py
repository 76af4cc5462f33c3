"""The rows of the Open_vSwitch database that the firewall looks at, as frozen values, and how changes add up.

Only the columns that decide something are kept; meanings are those of ovs-vswitchd.conf.db(5). What comes from outside
is bounded here in size and number; what it means, and whether it is well-formed, is judged in `topology.join`, which
reports a bad value at its port.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from topology.breath import breathing
from topology.inventory import MAX_VLAN
from topology.ports import OFPORT_LOCAL
from topology.shared_map import shared

# From this number on OpenFlow 1.0's ports mean something else: flood, controller, the bridge itself (OVS's OFPP_MAX).
FIRST_RESERVED = 0xFF00
# The type of a bridge's datapath where none is stated: the kernel's.
DEFAULT_DATAPATH = "system"
# Longer text is cut to one character more than this, so that whoever judges it can still see that it was too long.
MAX_TEXT = 4096

# Where a vNIC's conntrack zone is kept (`topology.zones`), and the addresses that it has learned (`topology.learned`).
# A sub-port's are kept at its parent's interface, under these keys with a point and its tag behind.
ZONE_KEY, LEARNED_KEY = "portcullis-zone", "portcullis-learned"

# The keys of Interface.external_ids that mean something to us; all others are left in the database.
INTERFACE_KEYS = frozenset(
    {
        "iface-id",
        "vm-id",
        "attached-mac",
        "iface-status",
        "xs-vif-uuid",
        "xs-vm-uuid",
        "vm-name",
        "tenant",
        "labels",
        "addresses",
        "role",
        ZONE_KEY,
        LEARNED_KEY,
    }
)
# Keys of which there is one for each sub-port, too: with a dot and its VLAN behind it.
_KEYS_OF_SUB_PORTS = (ZONE_KEY, LEARNED_KEY)
BRIDGE_KEYS = frozenset({"disable-in-band"})
SWITCH_KEYS = frozenset({"hostname", "system-id"})
OPTION_KEYS = frozenset({"peer", "remote_ip"})
# Marks the rows of Datapath and CT_Zone that are ours (`topology.zone_limits`).
LIMIT_KEY = "portcullis-limit"

# Tables and the columns read of each: what a client of the database has to ask for.
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "Open_vSwitch": ("external_ids", "ovs_version", "bridges"),
    "Bridge": ("name", "datapath_id", "datapath_type", "fail_mode", "other_config", "ports"),
    "Port": ("name", "tag", "trunks", "vlan_mode", "bond_mode", "interfaces"),
    "Interface": ("name", "type", "ofport", "external_ids", "error", "options"),
}
# What is read besides where the server's schema has `CT_Zone.limit`: conntrack's zones and their limits.
LIMIT_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "Open_vSwitch": ("datapaths",),
    "Datapath": ("ct_zones", "external_ids"),
    "CT_Zone": ("limit", "external_ids"),
}


@dataclass(frozen=True, slots=True)
class SwitchRow:
    """The one row of table Open_vSwitch: a host. ``bridges`` holds row UUIDs, and so does ``datapaths``, by type."""

    uuid: str
    hostname: str | None = None
    system_id: str | None = None
    ovs_version: str | None = None
    bridges: tuple[str, ...] = ()
    datapaths: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BridgeRow:
    """A bridge. ``datapath_id`` is None while OVS has not written one or it is not 16 hexadecimal digits.

    ``fail_mode`` None is OVS's default, standalone; ``datapath_type`` is never empty. ``other_config`` holds
    `BRIDGE_KEYS` only; ``ports`` row UUIDs.
    """

    uuid: str
    name: str
    datapath_id: int | None = None
    fail_mode: str | None = None
    other_config: Mapping[str, str] = field(default_factory=dict)
    ports: tuple[str, ...] = ()
    datapath_type: str = DEFAULT_DATAPATH


@dataclass(frozen=True, slots=True)
class PortRow:
    """A port of a bridge: one interface, or several in a bond. ``tag`` and ``trunks`` are VLANs; ``interfaces`` UUIDs.

    An empty ``trunks`` means all VLANs where ``vlan_mode`` makes the port a trunk.
    """

    uuid: str
    name: str
    tag: int | None = None
    trunks: tuple[int, ...] = ()
    vlan_mode: str | None = None
    bond_mode: str | None = None
    interfaces: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class InterfaceRow:
    """An interface. ``ofport`` is None while it has no OpenFlow port: not created yet, or failed (then ``error``).

    Else it is a number of 1 to 65279, or `topology.ports.OFPORT_LOCAL`.

    ``external_ids`` holds `INTERFACE_KEYS` only (and those of sub-ports), ``options`` `OPTION_KEYS` only (others may be
    secrets).
    """

    uuid: str
    name: str
    type: str = ""
    ofport: int | None = None
    external_ids: Mapping[str, str] = field(default_factory=dict)
    error: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DatapathRow:
    """What all bridges of a type share on a host: conntrack's zones among others. ``zones`` holds row UUIDs by zone.

    ``ours``: we have made the row.
    """

    uuid: str
    zones: Mapping[int, str] = field(default_factory=dict)
    ours: bool = False


@dataclass(frozen=True, slots=True)
class CtZoneRow:
    """How a conntrack zone is limited: to ``limit`` entries; None: to none. ``ours``: we have made the row."""

    uuid: str
    limit: int | None = None
    ours: bool = False


Row = SwitchRow | BridgeRow | PortRow | InterfaceRow | DatapathRow | CtZoneRow


def kept_at(holder: str, key: str) -> tuple[str, str]:
    """Where `ZONE_KEY` or `LEARNED_KEY` of a holder (`topology.ports.holder`) is: UUID of the interface, and key."""
    uuid, point, tag = holder.partition(".")
    return uuid, key + point + tag


@dataclass(frozen=True, slots=True)
class Change:
    """One row as it is now; ``row`` None: it is gone. ``table`` is a key of `FIELDS`."""

    table: str
    uuid: str
    row: Row | None


@dataclass(frozen=True, slots=True)
class Database:
    """All we know of one switch's database. ``remote`` is where it was read, such as ``unix:/run/…/db.sock``.

    ``limits``: its schema has limits of conntrack's zones (`LIMIT_COLUMNS`); only then ``datapaths`` and ``ct_zones``
    are known.

    The mappings are by row UUID and must not be changed: `apply_changes` makes new ones.
    """

    remote: str
    switches: Mapping[str, SwitchRow] = field(default_factory=dict)
    bridges: Mapping[str, BridgeRow] = field(default_factory=dict)
    ports: Mapping[str, PortRow] = field(default_factory=dict)
    interfaces: Mapping[str, InterfaceRow] = field(default_factory=dict)
    datapaths: Mapping[str, DatapathRow] = field(default_factory=dict)
    ct_zones: Mapping[str, CtZoneRow] = field(default_factory=dict)
    limits: bool = False

    @property
    def host(self) -> str:
        """The switch's hostname, else its system-id, else the remote."""
        for uuid in sorted(self.switches):
            row = self.switches[uuid]
            name = row.hostname or row.system_id
            if name:
                return name
        return self.remote

    @property
    def zone_rows(self) -> tuple[object, ...]:
        """All rows that say how conntrack's zones are limited."""
        return self.switches, self.datapaths, self.ct_zones

    def row(self, table: str, uuid: str) -> Row | None:
        """A row of a table named as in `FIELDS`, or None."""
        rows: Mapping[str, Row] = getattr(self, FIELDS[table])
        return rows.get(uuid)


# Where the rows of each table are kept.
FIELDS = {
    "Open_vSwitch": "switches",
    "Bridge": "bridges",
    "Port": "ports",
    "Interface": "interfaces",
    "Datapath": "datapaths",
    "CT_Zone": "ct_zones",
}
# Tables with a row or more for each vNIC: two versions of them are to be compared without going through all.
_LONG = frozenset({"ports", "interfaces", "ct_zones"})


def apply_changes(database: Database, changes: Iterable[Change]) -> Database:
    """The database after the changes, in their order. The same change twice is the same as once."""
    tables: dict[str, dict[str, Row | None]] = {}
    for change in breathing(changes):
        tables.setdefault(FIELDS[change.table], {})[change.uuid] = change.row
    fields: dict[str, Any] = {name: _with(getattr(database, name), name, rows) for name, rows in tables.items()}
    return replace(database, **fields) if fields else database


def _with(rows: Mapping[str, Row], name: str, changes: Mapping[str, Row | None]) -> Mapping[str, Row]:
    if name in _LONG:
        return shared(rows).with_changes(changes)
    return {uuid: row for uuid, row in {**rows, **changes}.items() if row is not None}


def make_row(table: str, uuid: str, columns: Mapping[str, Any]) -> Row:
    """A row from its columns as an OVSDB client has them: sets and optional values as lists, maps as dicts.

    References are row UUIDs (anything whose ``str`` is one). Missing columns count as empty. An unknown table is a
    ``KeyError``; no *value* of a known column type makes it fail.
    """
    return _MAKERS[table](uuid, columns)


def _switch(uuid: str, columns: Mapping[str, Any]) -> SwitchRow:
    ids = _texts(columns.get("external_ids"), SWITCH_KEYS.__contains__)
    return SwitchRow(
        uuid,
        hostname=ids.get("hostname") or None,
        system_id=ids.get("system-id") or None,
        ovs_version=_text(columns.get("ovs_version")),
        bridges=_references(columns.get("bridges")),
        datapaths={str(name): str(row) for name, row in (columns.get("datapaths") or {}).items()},
    )


def _bridge(uuid: str, columns: Mapping[str, Any]) -> BridgeRow:
    return BridgeRow(
        uuid,
        name=_text(columns.get("name")) or "",
        datapath_id=parse_datapath_id(_text(columns.get("datapath_id"))),
        fail_mode=_text(columns.get("fail_mode")),
        other_config=_texts(columns.get("other_config"), BRIDGE_KEYS.__contains__),
        ports=_references(columns.get("ports")),
        datapath_type=_text(columns.get("datapath_type")) or DEFAULT_DATAPATH,
    )


def _port(uuid: str, columns: Mapping[str, Any]) -> PortRow:
    trunks = columns.get("trunks") or ()
    return PortRow(
        uuid,
        name=_text(columns.get("name")) or "",
        tag=_optional(columns.get("tag")),
        trunks=tuple(sorted(set(trunks if isinstance(trunks, list | tuple | set) else (trunks,)))),
        vlan_mode=_text(columns.get("vlan_mode")),
        bond_mode=_text(columns.get("bond_mode")),
        interfaces=_references(columns.get("interfaces")),
    )


def _interface(uuid: str, columns: Mapping[str, Any]) -> InterfaceRow:
    return InterfaceRow(
        uuid,
        name=_text(columns.get("name")) or "",
        type=_text(columns.get("type")) or "",
        ofport=_ofport(_optional(columns.get("ofport"))),
        external_ids=_texts(columns.get("external_ids"), _is_interface_key),
        error=_text(columns.get("error")),
        options=_texts(columns.get("options"), OPTION_KEYS.__contains__),
    )


def _datapath(uuid: str, columns: Mapping[str, Any]) -> DatapathRow:
    zones = {int(zone): str(row) for zone, row in (columns.get("ct_zones") or {}).items()}
    return DatapathRow(uuid, zones, ours=_is_ours(columns))


def _ct_zone(uuid: str, columns: Mapping[str, Any]) -> CtZoneRow:
    return CtZoneRow(uuid, _optional(columns.get("limit")), ours=_is_ours(columns))


def _is_ours(columns: Mapping[str, Any]) -> bool:
    return LIMIT_KEY in (columns.get("external_ids") or {})


def _ofport(number: int | None) -> int | None:
    """A port that can be (OpenFlow 1.0's numbers, which OVS keeps to), else None.

    -1 says that OVS could not create the port, an empty column that it has not tried yet; anybody may write others.
    """
    return number if number is not None and (0 < number < FIRST_RESERVED or number == OFPORT_LOCAL) else None


_MAKERS: Mapping[str, Callable[[str, Mapping[str, Any]], Row]] = {
    "Open_vSwitch": _switch,
    "Bridge": _bridge,
    "Port": _port,
    "Interface": _interface,
    "Datapath": _datapath,
    "CT_Zone": _ct_zone,
}


def parse_datapath_id(text: str | None) -> int | None:
    """A datapath id as OVS writes it, exactly 16 hexadecimal digits; None for anything else, and for zero."""
    if text is None or len(text) != 16:
        return None
    try:
        return int(text, 16) or None
    except ValueError:
        return None


def _optional(value: Any) -> Any:  # noqa: ANN401 (an OVSDB column)
    """The value of a column that holds at most one: the database client gives a list."""
    if isinstance(value, list | tuple | set):
        return next(iter(value), None)
    return value


def _text(value: Any) -> str | None:  # noqa: ANN401 (an OVSDB column)
    value = _optional(value)
    return None if value is None else str(value)[: MAX_TEXT + 1] or None


def _texts(value: Mapping[str, str] | None, is_read: Callable[[str], bool]) -> dict[str, str]:
    return {key: text[: MAX_TEXT + 1] for key, text in (value or {}).items() if is_read(key)}


def _is_interface_key(key: str) -> bool:
    """True for a key of an interface that is read: of a sub-port's, in the one spelling that `kept_at` has."""
    if key in INTERFACE_KEYS:
        return True
    name, _, tag = key.rpartition(".")
    if name not in _KEYS_OF_SUB_PORTS or not (tag.isascii() and tag.isdigit()):
        return False
    return tag[0] != "0" and len(tag) <= len(str(MAX_VLAN)) and int(tag) <= MAX_VLAN


def _references(value: Any) -> tuple[str, ...]:  # noqa: ANN401 (an OVSDB column)
    """Row UUIDs, sorted: sets have no order in OVSDB."""
    if value is None:
        return ()
    return tuple(sorted(str(item) for item in (value if isinstance(value, list | tuple | set) else (value,))))
