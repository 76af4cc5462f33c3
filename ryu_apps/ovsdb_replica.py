"""A replica of the part of an Open_vSwitch database that we read and write, kept by python-ovs' IDL.

The schema stands here in OVSDB's own notation (RFC 7047; vswitch.ovsschema of OVS), so that the controller needs
neither OVS's files nor a first connection to know it. All these columns are in every OVS since 2.9.
"""

from __future__ import annotations

import copy
import uuid
from collections.abc import Callable, Iterable
from typing import Any

import ovs.db.idl
from ryu.lib import hub

from topology.rows import COLUMNS, Change, Row, make_row

# The lock (RFC 7047, 4.1.8) of whoever enforces on a server's bridges. The server gives it to one client, and to the
# next as soon as that one's connection ends: a second controller stands by, a restarted one does not wait for itself.
LOCK = "portcullis"

# Rows between two yields to other green threads while a large update is parsed or told (about 10 ms).
YIELD_EVERY = 128

_TEXT: dict[str, Any] = {"type": "string"}
_OPTIONAL_TEXT: dict[str, Any] = {"type": {"key": "string", "min": 0, "max": 1}}
_OPTIONAL_NUMBER: dict[str, Any] = {"type": {"key": "integer", "min": 0, "max": 1}}
_MAP: dict[str, Any] = {"type": {"key": "string", "value": "string", "min": 0, "max": "unlimited"}}


def _references(table: str) -> dict[str, Any]:
    return {"type": {"key": {"type": "uuid", "refTable": table}, "min": 0, "max": "unlimited"}}


_TYPES: dict[str, dict[str, Any]] = {
    "Open_vSwitch": {
        "external_ids": _MAP,
        "ovs_version": _OPTIONAL_TEXT,
        "bridges": _references("Bridge"),
    },
    "Bridge": {
        "name": _TEXT,
        "datapath_id": _OPTIONAL_TEXT,
        "fail_mode": _OPTIONAL_TEXT,
        "other_config": _MAP,
        "ports": _references("Port"),
        "flow_tables": {
            "type": {
                "key": {"type": "integer", "minInteger": 0, "maxInteger": 254},
                "value": {"type": "uuid", "refTable": "Flow_Table"},
                "min": 0,
                "max": "unlimited",
            }
        },
    },
    "Flow_Table": {
        "prefixes": {"type": {"key": "string", "min": 0, "max": 4}},
    },
    "Port": {
        "name": _TEXT,
        "tag": _OPTIONAL_NUMBER,
        "trunks": {"type": {"key": "integer", "min": 0, "max": 4096}},
        "vlan_mode": _OPTIONAL_TEXT,
        "bond_mode": _OPTIONAL_TEXT,
        "interfaces": _references("Interface"),
    },
    "Interface": {
        "name": _TEXT,
        "type": _TEXT,
        "ofport": _OPTIONAL_NUMBER,
        "external_ids": _MAP,
        "error": _OPTIONAL_TEXT,
        "options": _MAP,
    },
}

# What is read only to be written: no facts come of it.
_FOR_WRITING: dict[str, tuple[str, ...]] = {"Bridge": ("flow_tables",), "Flow_Table": ("prefixes",)}
_ALL_COLUMNS = {table: (*COLUMNS.get(table, ()), *_FOR_WRITING.get(table, ())) for table in (*COLUMNS, *_FOR_WRITING)}

SCHEMA: dict[str, Any] = {
    "name": "Open_vSwitch",
    "version": "8.0.0",
    "tables": {
        table: {"columns": {column: _TYPES[table][column] for column in columns}}
        for table, columns in _ALL_COLUMNS.items()
    },
}


class Replica(ovs.db.idl.Idl):
    """The IDL, which also notes the rows an update has touched and why a connection ended."""

    def __init__(self, remote: str, probe_interval: float) -> None:
        # The IDL changes the schema it is given.
        helper = ovs.db.idl.SchemaHelper(schema_json=copy.deepcopy(SCHEMA))
        for table, columns in _ALL_COLUMNS.items():
            helper.register_columns(table, list(columns))
        super().__init__(remote, helper, probe_interval=int(probe_interval * 1000))
        self.touched: dict[tuple[str, uuid.UUID], None] = {}
        self.last_error: int | None = None
        self._parsed = 0
        self.set_lock(LOCK)
        reconnect = self._session.reconnect
        for name in ("disconnected", "connect_failed"):
            setattr(reconnect, name, self._noting_error(getattr(reconnect, name)))

    def _noting_error(self, report: Callable[[int, int], None]) -> Callable[[int, int], None]:
        def noted(now: int, error: int) -> None:
            self.last_error = error
            report(now, error)

        return noted

    def notify(self, event: str, row: ovs.db.idl.Row, updates: ovs.db.idl.Row | None = None) -> None:
        # The server's own table of databases comes here as well.
        if row._table.name in COLUMNS:
            self.touched[row._table.name, row.uuid] = None

    def cooperative_yield(self) -> None:
        self._parsed += 1
        if self._parsed % YIELD_EVERY == 0:
            hub.sleep(0)

    def session_number(self) -> int:
        """A number that differs between connections."""
        return self._session.get_seqno()

    def is_connected(self) -> bool:
        return self._session.is_connected()

    def is_current(self) -> bool:
        """True if the replica is that of the connection we have."""
        return (
            self._session.is_connected()
            and self._last_seqno == self._session.get_seqno()
            and self.state == self.IDL_S_MONITORING
        )

    def lock_answered(self) -> bool:
        """True if the server has said whether the lock is ours."""
        return bool(self.has_lock or self.is_lock_contended)

    def find(self, table: str, row_uuid: str) -> ovs.db.idl.Row | None:
        """The IDL's own row, for writing."""
        try:
            return self.tables[table].rows.get(uuid.UUID(row_uuid))
        except ValueError:
            return None

    def insert(self, table: str) -> ovs.db.idl.Row:
        """A new row, in the transaction that is open."""
        return self.txn.insert(self.tables[table])

    def changes(self, touched: Iterable[tuple[str, uuid.UUID]]) -> list[Change]:
        """These rows as they are now. Lets other green threads run in between: the replica changes only by `run`."""
        changes = []
        for table, row_uuid in touched:
            changes.append(Change(table, str(row_uuid), self.read(table, row_uuid)))
            self.cooperative_yield()
        return changes

    def read(self, table: str, row_uuid: uuid.UUID) -> Row | None:
        """A row as our value; None: it is not there."""
        row = self.tables[table].rows.get(row_uuid)
        if row is None:
            return None
        columns = {}
        for column in COLUMNS[table]:
            value = getattr(row, column)
            if isinstance(value, list):
                value = [item.uuid if isinstance(item, ovs.db.idl.Row) else item for item in value]
            columns[column] = value
        return make_row(table, str(row_uuid), columns)
