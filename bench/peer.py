"""What is compared, seen from the measurements: a bridge with vNICs, a control plane, and changes one can ask for.

`Peer` holds what all have in common: a private Open vSwitch, dummy ports for the mass and three guests with traffic.
`Bridge` is a plain learning switch, the yardstick of the data plane; `Controlled` is what has a control plane.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.ovsdb import Ovsdb
from bench.workload import REAL, RIGHT, SECOND_ADDRESS, THIRD, Vm, Workload
from mininet_scenarios.guest import ROOT
from mininet_scenarios.lab import Lab, LiveGuest, Ovs
from mininet_scenarios.lab.shell import ip, run

# How long anything may take to come into force before the measurement is given up, in seconds.
PATIENCE = 60.0


class TrafficError(Exception):
    """A guest could not do what it was told."""


class Player:
    """A guest's traffic process (`traffic.py`), in the guest's namespace."""

    def __init__(self, guest: LiveGuest, peer: str) -> None:
        self.guest = guest
        self.peer = peer
        self._process = subprocess.Popen(
            ["ip", "netns", "exec", guest.namespace, sys.executable, "-S", "-m", "bench.traffic", guest.namespace],
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, do: str, **arguments: object) -> dict[str, Any]:
        """Have something done, and wait for the answer."""
        self.begin(do, **arguments)
        return self.answer()

    def begin(self, do: str, **arguments: object) -> None:
        """Have something done; `answer` waits for it."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
        self._process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        """The answer to what was begun."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise TrafficError(f"{self.peer}, {self.guest.name}: the traffic process ended")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise TrafficError(f"{self.peer}, {self.guest.name}: {answer['error']}")
        return answer

    def close(self) -> None:
        """End it."""
        with contextlib.suppress(OSError):
            self._process.communicate(timeout=5)


class Peer(ABC):
    """One of those compared: a switch with vNICs. The order of calls is that of `compare.py`."""

    name = "peer"

    def __init__(self, lab: Lab, work: Workload) -> None:
        self.lab = lab
        self.work = work
        self.ovs: Ovs = lab.ovs(dummy="ports")
        self.players: dict[str, Player] = {}
        self.database = Ovsdb(self.ovs.db_socket)

    @abstractmethod
    def prepare(self) -> None:
        """Make the bridge and start the control plane with the whole workload, while no vNIC is there yet."""

    @abstractmethod
    def wait_all(self) -> None:
        """Wait until the control plane says that all vNICs are enforced."""

    @abstractmethod
    def pids(self) -> list[int]:
        """The processes of the control plane."""

    @property
    def bridge(self) -> str:
        """The bridge's name."""
        return "br-int"

    def make_guests(self) -> None:
        """The three real guests, not yet plugged in; each knows the others' MACs, so that no ARP is measured."""
        for name in REAL:
            vm = self.work.vm(name)
            options: dict[str, Any] = {"mac": vm.mac, "iface_id": name, "plugged": False}
            options["external_ids"] = self.guest_ids(vm)
            guest = self.lab.guest(self.ovs, self.bridge, name, [f"{vm.address}/8"], **options)
            run(*self.ovs.inside("ethtool", "-K", guest.port, "tx", "off"))  # the guest's end is off already
            others = [self.work.vm(other) for other in REAL if other != name]
            ip(
                *(f"neigh replace {other.address} lladdr {other.mac} dev eth0 nud permanent" for other in others),
                f"neigh replace {SECOND_ADDRESS} lladdr {self.work.vm(THIRD).mac} dev eth0 nud permanent",
                inside=guest.namespace,
            )
            if name == THIRD:
                guest.add_address(f"{SECOND_ADDRESS}/8")
            self.players[name] = Player(guest, self.name)
        self.players[RIGHT].ask("serve", **SERVED)

    def guest_ids(self, vm: Vm) -> dict[str, str | None]:
        """What more (None: less) stands at a guest's port in the switch's database."""
        return {"vm-id": None}

    def plug_all(self) -> None:
        """Add the ports of all vNICs, dummies and guests, in one transaction; returns when the switch has them."""
        words = [word for vm in self.work.dummies for word in self._dummy(vm)]
        for name in REAL:
            guest = self.lab.guests[name]
            ids = [f'external_ids:{key}="{value}"' for key, value in guest.external_ids.items()]
            words += ["--", "add-port", self.bridge, guest.port, "--", "set", "interface", guest.port, *ids]
        run("ovs-vsctl", f"--db={self.ovs.db}", "--timeout=120", *words, env=self.ovs.env, timeout=130)

    def _dummy(self, vm: Vm) -> Sequence[str]:
        ids = {"iface-id": vm.name, "attached-mac": vm.mac, "iface-status": "active"}
        settings = [f'external_ids:{key}="{value}"' for key, value in ids.items()]
        return ["--", "add-port", self.bridge, vm.name, "--", "set", "interface", vm.name, "type=dummy", *settings]

    def unplug_third(self) -> None:
        """Pull *third*'s cable."""
        self.database.del_port(self.bridge, self.third.port)

    def plug_third(self) -> None:
        """Plug *third* in."""
        self.database.add_port(self.bridge, self.third.port, self.third.external_ids)

    @property
    def third(self) -> LiveGuest:
        """The guest that things happen to."""
        return self.players[THIRD].guest

    def flows(self) -> int:
        """OpenFlow flows of the bridge."""
        return self.ovs.ofctl("dump-flows", self.bridge).count("cookie=")

    def processor_times(self) -> dict[int, float]:
        """Processor time of each process of the control plane so far, in seconds."""
        return {pid: process_seconds(pid) for pid in self.pids()}

    def peak_memory(self) -> float:
        """The most memory that the processes of the control plane have had resident, in MB, summed."""
        return sum(map(peak_memory, self.pids()))

    def close(self) -> None:
        """End the traffic and the control plane."""
        for player in self.players.values():
            player.close()
        self.database.close()


# Ports of *right*, all of them open to *left*.
BLAST_PORT = 7001
SERVED = {"echo": 7000, "accept": 7002, "sink": 7003}
STEADY_PORT, PROBE_PORT = 7010, 7110


class Bridge(Peer):
    """A learning switch that controls nothing."""

    name = "bridge"

    def prepare(self) -> None:
        """A bridge with one flow."""
        self.ovs.add_bridge(self.bridge)
        self.ovs.normal(self.bridge)

    def wait_all(self) -> None:
        """Ports of the switch forward as soon as they are there."""

    def pids(self) -> list[int]:
        """No control plane."""
        return []


class Controlled(Peer):
    """A peer with a control plane that can be asked for changes, and that can die."""

    @abstractmethod
    def confirm(self) -> None:
        """Wait until the last change is in force, as the control plane tells it."""

    @abstractmethod
    def set_rule(self, present: bool) -> None:
        """Put the probe rules into force, or out of it."""

    @abstractmethod
    def set_member(self, present: bool) -> None:
        """Let *third* be a member of the group of probers, or not."""

    @abstractmethod
    def set_address(self, present: bool) -> None:
        """Let *third* use its second address, or not."""

    @abstractmethod
    def kill(self) -> None:
        """The control plane dies without a chance to say anything."""

    @abstractmethod
    def start(self) -> None:
        """The control plane starts (again); does not wait."""

    @abstractmethod
    def forget(self) -> None:
        """Stop the control plane and take its flows away: the next start is a cold one."""


def process_seconds(pid: int) -> float:
    """Processor time that a process has used, with threads that have ended; the kernel counts it in steps of 10 ms."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def threads_seconds(pid: int) -> float:
    """Processor time that the living threads of a process have used; the kernel counts it in nanoseconds."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):  # a thread that has just ended
            total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def peak_memory(pid: int) -> float:
    """The most memory that a process has had resident, in MB (10^6 bytes)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("VmHWM:"))


def now() -> int:
    """The machine's clock, in nanoseconds: that of the guests' time stamps."""
    return time.time_ns()


def seconds_between(began: int, at: int) -> float:
    """From nanoseconds to seconds."""
    return (at - began) / 1e9
