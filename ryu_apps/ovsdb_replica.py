"""A replica of the part of an Open_vSwitch database that we read and write, kept by python-ovs' IDL.

The schema stands here in OVSDB's own notation (RFC 7047; vswitch.ovsschema of OVS), so that the controller needs
neither OVS's files nor a first connection to know it. All these columns are in every OVS since 2.9, but for those of
conntrack's zone limits: whether a server has them is asked at the start of each connection, as another may be there.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import ovs.db.idl
import ovs.jsonrpc

from ryu_apps.turns import Turns
from topology.rows import COLUMNS, LIMIT_COLUMNS, Change, Row, make_row

# The lock (RFC 7047, 4.1.8) of whoever enforces on a server's bridges. The server gives it to one client, and to the
# next as soon as that one's connection ends: a second controller stands by, a restarted one does not wait for itself.
LOCK = "portcullis"

DATABASE = "Open_vSwitch"

_TEXT: dict[str, Any] = {"type": "string"}
_OPTIONAL_TEXT: dict[str, Any] = {"type": {"key": "string", "min": 0, "max": 1}}
_OPTIONAL_NUMBER: dict[str, Any] = {"type": {"key": "integer", "min": 0, "max": 1}}
_MAP: dict[str, Any] = {"type": {"key": "string", "value": "string", "min": 0, "max": "unlimited"}}


def _references_by(key: dict[str, Any], table: str) -> dict[str, Any]:
    return {"type": {"key": key, "value": {"type": "uuid", "refTable": table}, "min": 0, "max": "unlimited"}}


def _references(table: str) -> dict[str, Any]:
    return {"type": {"key": {"type": "uuid", "refTable": table}, "min": 0, "max": "unlimited"}}


_TYPES: dict[str, dict[str, Any]] = {
    "Open_vSwitch": {
        "external_ids": _MAP,
        "ovs_version": _OPTIONAL_TEXT,
        "bridges": _references("Bridge"),
        "datapaths": _references_by({"type": "string"}, "Datapath"),
    },
    "Bridge": {
        "name": _TEXT,
        "datapath_id": _OPTIONAL_TEXT,
        "fail_mode": _OPTIONAL_TEXT,
        "other_config": _MAP,
        "ports": _references("Port"),
        "datapath_type": _TEXT,
        "flow_tables": _references_by({"type": "integer", "minInteger": 0, "maxInteger": 254}, "Flow_Table"),
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
    "Datapath": {
        "datapath_version": _TEXT,
        "ct_zones": _references_by({"type": "integer", "minInteger": 0, "maxInteger": 65535}, "CT_Zone"),
        "external_ids": _MAP,
    },
    "CT_Zone": {
        "limit": {
            "type": {"key": {"type": "integer", "minInteger": 0, "maxInteger": 4294967295}, "min": 0, "max": 1}
        },
        "external_ids": _MAP,
    },
}

# What is read only to be written: no facts come of it.
_FOR_WRITING: dict[str, tuple[str, ...]] = {"Bridge": ("flow_tables",), "Flow_Table": ("prefixes",)}
# What we write, and nothing else of it is read.
_LIMITS_FOR_WRITING: dict[str, tuple[str, ...]] = {"Datapath": ("datapath_version",)}


def _merged(*parts: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    merged: dict[str, tuple[str, ...]] = {}
    for part in parts:
        for table, columns in part.items():
            merged[table] = (*merged.get(table, ()), *columns)
    return merged


# By whether the server has limits of conntrack's zones: what facts come of, and all that is asked for.
_TOLD = {False: dict(COLUMNS), True: _merged(COLUMNS, LIMIT_COLUMNS)}
_ASKED = {False: _merged(COLUMNS, _FOR_WRITING), True: _merged(_TOLD[True], _FOR_WRITING, _LIMITS_FOR_WRITING)}


def schema(limits: bool) -> dict[str, Any]:
    """The schema as far as we use it, with or without limits of conntrack's zones."""
    tables = {
        table: {"columns": {column: _TYPES[table][column] for column in columns}}
        for table, columns in _ASKED[limits].items()
    }
    return {"name": DATABASE, "version": "8.0.0", "tables": tables}


class Replica(ovs.db.idl.Idl):
    """The IDL, which also notes the rows an update has touched and why a connection ended, and lets others have their
    turn while it reads and parses: of thousands of interfaces that takes seconds. To be made and used by one green
    thread; whatever others do meanwhile, the replica changes only by `run`, and is current only when all is parsed.

    ``limits``: the server that we are connected to has limits of conntrack's zones.
    """

    def __init__(self, remote: str, probe_interval: float) -> None:
        super().__init__(remote, _helper(False), probe_interval=int(probe_interval * 1000))
        self.limits = False
        self._schema_request: object = None
        self._breathing: object = None
        self._receive = self._session.recv
        self._session.recv = self._received
        self.touched: dict[tuple[str, uuid.UUID], None] = {}
        self.last_error: int | None = None
        self._turns = Turns()
        self.set_lock(LOCK)
        reconnect = self._session.reconnect
        for name in ("disconnected", "connect_failed"):
            setattr(reconnect, name, self._noting_error(getattr(reconnect, name)))

    def _noting_error(self, report: Callable[[int, int], None]) -> Callable[[int, int], None]:
        def noted(now: int, error: int) -> None:
            self.last_error = error
            report(now, error)

        return noted

    # --- what the server's schema has

    def restart_fsm(self) -> None:
        """A connection begins: the IDL asks for rows when we know which the server has."""
        self.state = self.IDL_S_INITIAL
        request = ovs.jsonrpc.Message.create_request("get_schema", [DATABASE])
        self._schema_request = request.id
        self._session.send(request)

    def _received(self) -> ovs.jsonrpc.Message | None:
        """The next message, if it is not the answer to our question about the schema."""
        self._breathe_while_reading()
        message = self._receive()
        if message is not None and message.method == "monitor_canceled":
            # The database has been converted while the server runs: it tells us nothing any more.
            self.force_reconnect()
        if message is None or self._schema_request is None or message.id != self._schema_request:
            return message
        self._schema_request = None
        self._use(has_limits(message.result))
        super().restart_fsm()
        return self._receive()

    def _breathe_while_reading(self) -> None:
        """A message of megabytes is read by four kilobytes, all in one go: others get their turn in between."""
        connection = self._session.rpc
        if connection is None or connection.stream is None or connection.stream is self._breathing:
            return
        self._breathing = stream = connection.stream
        receive = stream.recv

        def received(octets: int) -> tuple[int, bytes]:
            self.cooperative_yield()
            return receive(octets)

        stream.recv = received

    def _use(self, limits: bool) -> None:
        """Another server than before, or another version of it: nothing that we hold is its."""
        if limits is self.limits:
            return
        self.limits = limits
        self._db = _helper(limits).get_idl_schema()
        self.tables = ovs.db.idl.IdlTable.schema_tables(self, self._db)
        self.readonly = self._db.readonly
        self.last_id = str(uuid.UUID(int=0))
        self.touched.clear()

    @property
    def columns(self) -> Mapping[str, tuple[str, ...]]:
        """The tables and columns that facts come of."""
        return _TOLD[self.limits]

    def notify(self, event: str, row: ovs.db.idl.Row, updates: ovs.db.idl.Row | None = None) -> None:
        self.cooperative_yield()
        # The server's own table of databases comes here as well.
        if row._table.name in self.columns:
            self.touched[row._table.name, row.uuid] = None

    def cooperative_yield(self) -> None:
        self._turns.moment()

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
        for column in self.columns[table]:
            value = getattr(row, column)
            if isinstance(value, list):
                value = [_reference(item) for item in value]
            elif isinstance(value, dict):
                value = {key: _reference(item) for key, item in value.items()}
            columns[column] = value
        return make_row(table, str(row_uuid), columns)


def has_limits(schema_json: object) -> bool:
    """True if a schema, as a server tells it, has limits of conntrack's zones. Whatever is no schema has none."""
    tables = schema_json.get("tables") if isinstance(schema_json, dict) else None
    zone = tables.get("CT_Zone") if isinstance(tables, dict) else None
    columns = zone.get("columns") if isinstance(zone, dict) else None
    return isinstance(columns, dict) and "limit" in columns


def _helper(limits: bool) -> ovs.db.idl.SchemaHelper:
    helper = ovs.db.idl.SchemaHelper(schema_json=schema(limits))
    for table, columns in _ASKED[limits].items():
        helper.register_columns(table, list(columns))
    return helper


def _reference(item: Any) -> Any:  # noqa: ANN401 (an OVSDB value)
    return item.uuid if isinstance(item, ovs.db.idl.Row) else item
