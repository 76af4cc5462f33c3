"""Reads an OVSDB server's rows, all in one transaction: JSON-RPC over a socket (RFC 7047), bounded in time and size.

Nothing is written, no lock is asked for. The controller's own client keeps a replica and needs python-ovs; to read
once needs neither.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator, Mapping
from typing import Any

from topology.rows import COLUMNS, FIELDS, Database, Row, make_row

# A database with tens of thousands of ports takes some tens of MiB.
MAX_ANSWER = 2**28  # bytes
PATIENCE = 30.0  # seconds
_CHUNK = 2**18
_DATABASE = "Open_vSwitch"


class Unreadable(Exception):
    """What should be compared cannot be read: there is no answer."""


def read_database(remote: str, *, seconds: float = PATIENCE) -> Database:
    """The rows of a server, ``unix:FILE`` or ``tcp:HOST:PORT``. Raises `Unreadable`."""
    columns = {table: ["_uuid", *names] for table, names in COLUMNS.items()}
    selects = [
        {"op": "select", "table": table, "where": [], "columns": names} for table, names in columns.items()
    ]  # fmt: skip
    deadline = time.monotonic() + seconds
    try:
        with _connect(remote, seconds) as connection:
            request = {"method": "transact", "params": [_DATABASE, *selects], "id": 0}
            connection.sendall(json.dumps(request).encode())
            answer = _answer(connection, deadline)
    except OSError as error:
        raise Unreadable(f"OVSDB {remote}: {error.strerror or error or type(error).__name__}") from None
    except (ValueError, RecursionError):
        raise Unreadable(f"OVSDB {remote}: it does not answer in JSON") from None
    try:
        tables: dict[str, Any] = dict(_tables(answer, tuple(columns)))
        return Database(remote, **tables)
    except (KeyError, TypeError, ValueError, IndexError, RecursionError) as error:
        raise Unreadable(f"OVSDB {remote}: its answer cannot be read: {type(error).__name__}: {error}") from None


def _connect(remote: str, seconds: float) -> socket.socket:
    kind, _, rest = remote.partition(":")
    if kind == "unix":
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(seconds)
        try:
            connection.connect(rest)
        except OSError:
            connection.close()
            raise
        return connection
    if kind == "tcp":
        host, _, port = rest.rpartition(":")
        return socket.create_connection((host.strip("[]"), int(port)), timeout=seconds)
    raise Unreadable(f"OVSDB {remote}: only unix: and tcp: can be read here")


def _answer(connection: socket.socket, deadline: float) -> Any:  # noqa: ANN401 (JSON)
    """The answer to the request; what else a server says meanwhile (it asks whether we live) is passed over."""
    decoder = json.JSONDecoder()
    data = bytearray()
    while True:
        if (left := deadline - time.monotonic()) <= 0:
            raise TimeoutError("it takes too long")
        connection.settimeout(left)
        chunk = connection.recv(_CHUNK)
        if not chunk:
            raise ConnectionError("it has ended the connection without an answer")
        data += chunk
        if len(data) > MAX_ANSWER:
            raise ValueError
        # JSON-RPC has no frames: a message may be whole only where a brace is closed.
        if not data.rstrip().endswith(b"}"):
            continue
        text = data.decode()
        while text := text.lstrip():
            try:
                message, end = decoder.raw_decode(text)
            except json.JSONDecodeError:
                break
            if isinstance(message, dict) and message.get("id") == 0 and "result" in message:
                return message
            text = text[end:]


def _tables(answer: Mapping[str, Any], tables: tuple[str, ...]) -> Iterator[tuple[str, Mapping[str, Row]]]:
    if answer.get("error") is not None:
        raise ValueError(str(answer["error"])[:200])
    results = answer["result"]
    if len(results) != len(tables):
        raise ValueError(str(results[-1])[:200])
    for table, result in zip(tables, results, strict=True):
        rows = {}
        for told in result["rows"]:
            uuid, columns = row_columns(told)
            rows[uuid] = make_row(table, uuid, columns)
        yield FIELDS[table], rows


def row_columns(told: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """A row's UUID and its columns. Raises ``ValueError`` for what is no value of OVSDB's."""
    columns = {name: _value(value) for name, value in told.items()}
    return str(columns.pop("_uuid")), columns


def _value(value: Any) -> Any:  # noqa: ANN401 (an OVSDB value)
    """A column as `topology.rows.make_row` takes it (RFC 7047, 5.1): an atom, a list or a dict."""
    if not isinstance(value, list):
        return value
    kind, content = value
    if kind == "set":
        return [_value(item) for item in content]
    if kind == "map":
        return {_value(key): _value(item) for key, item in content}
    if kind == "uuid":
        return str(content)
    raise ValueError(f"a value of kind {str(kind)[:40]}")
