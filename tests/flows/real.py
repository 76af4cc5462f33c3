"""The world of `worlds` on a real Open vSwitch: two bridges joined by patch ports, with a dummy port for each vNIC.

Frames go in by `netdev-dummy/receive` and come out in each port's capture file. All in one process: quick enough for a
few hundred frames in a test.
"""

from __future__ import annotations

import json
import socket
import struct
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from mininet_scenarios.lab.ovs import Ovs
from policy.flows.difference import difference
from policy.flows.flow import Flow, Key
from policy.flows.tables import TABLES
from tests.flows.openflow import Switch
from tests.flows.worlds import OUTSIDE, PATCH, PLACES, World, bridge_meters, document, ports_of


class Control:
    """The switch's own control socket, without a process for each command."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(20)
        self._socket.connect(str(path))
        self._decoder = json.JSONDecoder()

    def __call__(self, command: str, *args: str) -> str:
        self._socket.sendall(json.dumps({"id": 0, "method": command, "params": args}).encode())
        data = ""
        while True:
            data += self._socket.recv(1 << 20).decode()
            try:
                answer, _ = self._decoder.raw_decode(data)
            except json.JSONDecodeError:
                continue
            assert not answer["error"], f"{command}: {answer['error']}"
            return answer["result"]

    def close(self) -> None:
        self._socket.close()


class Capture:
    """A port's capture file, read on from where it was read last."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        self._file.seek(24)

    def new(self) -> list[bytes]:
        frames = []
        while len(head := self._file.read(16)) == 16:
            frames.append(self._file.read(struct.unpack("=IIII", head)[2]))
        self._file.seek(-len(head), 1)
        return frames

    def close(self) -> None:
        self._file.close()


class Real:
    """The two bridges."""

    def __init__(self) -> None:
        self.ovs = Ovs(dummy="override")
        try:
            self._build()
        except BaseException:
            self.ovs.stop()
            raise

    def _build(self) -> None:
        self._captures: dict[tuple[str, int], Capture] = {}
        self.switches: dict[str, Switch] = {}
        self._installed: dict[str, Mapping[Key, Flow]] = {}
        for name in PLACES:
            self.ovs.add_bridge(name)
            for ofport in [*ports_of(name), *([OUTSIDE] if name == "left" else [])]:
                self._add_port(name, ofport)
            peer = "right" if name == "left" else "left"
            self._vsctl_port(name, PATCH, "type=patch", f"options:peer={self.port(peer, PATCH)}")
            self.switches[name] = Switch(self.ovs.run_dir / f"{name}.mgmt")
            self.switches[name].meters(bridge_meters(document(), World(document()).bridge(name)).values())
            self._installed[name] = {}
            self._set_prefixes(name)
        self.control = Control(self.ovs.run_dir / "ovs-vswitchd.ctl")
        for name, ofport in [*((each, port) for each in PLACES for port in ports_of(each)), ("left", OUTSIDE)]:
            self._captures[name, ofport] = Capture(self._capture_path(name, ofport))

    def _add_port(self, name: str, ofport: int) -> None:
        self._vsctl_port(name, ofport, "type=dummy", f"options:tx_pcap={self._capture_path(name, ofport)}")

    def _set_prefixes(self, name: str) -> None:
        for table in TABLES.values():
            if table.prefixes:
                row = ["--", "--id=@table", "create", "Flow_Table", f"prefixes={','.join(table.prefixes)}"]
                self.ovs.vsctl(*row, "--", "set", "bridge", name, f"flow_tables:{table.number}=@table")

    def _vsctl_port(self, name: str, ofport: int, *settings: str) -> None:
        port = self.port(name, ofport)
        more = [f"ofport_request={ofport}", *settings]
        self.ovs.vsctl("--", "add-port", name, port, "--", "set", "interface", port, *more)

    def _capture_path(self, name: str, ofport: int) -> Path:
        return self.ovs.run_dir / f"{self.port(name, ofport)}.pcap"

    @staticmethod
    def port(name: str, ofport: int) -> str:
        return f"{name}-{ofport}"

    def install(self, tables: Mapping[str, Mapping[Key, Flow]]) -> None:
        """Bring each bridge to these flows, with a bundle."""
        changes = {name: difference(wanted, self._installed[name]) for name, wanted in tables.items()}
        for name, change in changes.items():
            if change:
                self.switches[name].bundle(change.add, change.remove)
                self._installed[name] = tables[name]
        if any(changes.values()):
            # The switch's cache of recent packets' ways follows the flows some milliseconds later. Waiting for a round
            # of its revalidators is not enough: the round in progress may have begun before the change.
            self.control("revalidator/purge")

    def forget(self) -> None:
        """Forget all connections, and all MACs learned."""
        self.control("dpctl/flush-conntrack")
        # First its cache: what that has seen lately it would learn again.
        self.control("revalidator/purge")
        for switch in self.switches.values():
            switch.empty("LEARNED")

    def send(self, name: str, ofport: int, *frames: bytes) -> dict[tuple[str, int], list[bytes]]:
        """Frames come in by a port; what came out where."""
        self.control("netdev-dummy/receive", self.port(name, ofport), *(data.hex() for data in frames))
        return self.came_out()

    def came_out(self) -> dict[tuple[str, int], list[bytes]]:
        """What has come out since the last time. The switch works in one loop: two rounds of it are enough."""
        for _ in range(3):
            self.control("version")
            time.sleep(0.002)
        found = {where: capture.new() for where, capture in self._captures.items()}
        return {where: frames for where, frames in found.items() if frames}

    def trace(self, name: str, ofport: int, data: bytes, states: Iterable[str] = ()) -> str:
        """What would become of a frame, if conntrack said this at each visit."""
        options = [part for state in states for part in ("--ct-next", state)]
        return self.control("ofproto/trace", name, f"in_port={ofport}", *options, data.hex())

    def stop(self) -> None:
        for capture in self._captures.values():
            capture.close()
        self.ovs.stop()
