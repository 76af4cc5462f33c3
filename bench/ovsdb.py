"""Transactions on a switch's database, straight over its socket (RFC 7047): no start of a program is measured."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

Operation = dict[str, Any]


class OvsdbError(Exception):
    """The database refused a transaction."""


class Ovsdb:
    """One connection, one transaction at a time. Nothing is monitored: what changes is somebody else's to notice."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(20)
        self._socket.connect(str(path))
        self._decoder = json.JSONDecoder()
        self._pending = ""

    def set_ids(self, interface: str, ids: Mapping[str, str]) -> None:
        """Change external_ids of an interface; the others stay."""
        self.transact(
            {
                "op": "mutate",
                "table": "Interface",
                "where": [["name", "==", interface]],
                "mutations": [
                    ["external_ids", "delete", ["set", list(ids)]],
                    ["external_ids", "insert", _map(ids)],
                ],
            }
        )

    def add_port(self, bridge: str, name: str, ids: Mapping[str, str]) -> None:
        """A port with its interface, in one transaction."""
        self.transact(
            {
                "op": "insert",
                "table": "Interface",
                "row": {"name": name, "external_ids": _map(ids)},
                "uuid-name": "interface",
            },
            {
                "op": "insert",
                "table": "Port",
                "row": {"name": name, "interfaces": ["named-uuid", "interface"]},
                "uuid-name": "port",
            },
            _ports(bridge, "insert", ["named-uuid", "port"]),
        )

    def del_port(self, bridge: str, name: str) -> None:
        """Take a port away; the database clears what belonged to it."""
        found = self.transact({"op": "select", "table": "Port", "where": [["name", "==", name]], "columns": ["_uuid"]})
        (row,) = found[0]["rows"]
        self.transact(_ports(bridge, "delete", row["_uuid"]))

    def transact(self, *operations: Operation) -> list[dict[str, Any]]:
        """All operations or none; their results."""
        request = {"method": "transact", "params": ["Open_vSwitch", *operations], "id": 1}
        self._socket.sendall(json.dumps(request).encode())
        while (message := self._message()).get("id") != 1:
            if message.get("method") == "echo":  # the server asks whether we live
                self._socket.sendall(json.dumps({"result": message["params"], "error": None, "id": "echo"}).encode())
        if failed := [each for each in message["result"] or [{"error": message["error"]}] if each and "error" in each]:
            raise OvsdbError(str(failed[0]))
        return list(message["result"])

    def close(self) -> None:
        """End the connection."""
        self._socket.close()

    def _message(self) -> dict[str, Any]:
        while True:
            try:
                message, end = self._decoder.raw_decode(self._pending)
            except ValueError:
                data = self._socket.recv(65536)
                if not data:
                    raise OvsdbError("the database closed the connection") from None
                self._pending += data.decode()
                continue
            self._pending = self._pending[end:].lstrip()
            return dict(message)


def _map(values: Mapping[str, str]) -> list[Any]:
    return ["map", [[key, value] for key, value in values.items()]]


def _ports(bridge: str, what: str, port: list[Any]) -> Operation:
    return {
        "op": "mutate",
        "table": "Bridge",
        "where": [["name", "==", bridge]],
        "mutations": [["ports", what, ["set", [port]]]],
    }
