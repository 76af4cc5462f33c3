"""One controller, many bridges of one real Open vSwitch: start, a storm of new labels, all bridges calling again.

    sudo .venv/bin/python -m bench.scale [--size 100x50] [--storm 500] [--json FILE] [--markdown docs/performance.md]

The vNICs are ports of type dummy on bridges with the userspace datapath; policy, VMs and addresses are those of
`bench.engine`. All the time, from the controller's start on, somebody asks it for echoes, as each switch does now and
then: how long the longest took is the *lag* of its event loop; *over* are those above 200 ms. Each figure goes from the
first word of a change to the status that says all is enforced.

Bridges reconnect in two ways. Their connections are cut (`ss -K`), as by the network: they keep their flows, which are
read back and compared. Or all are told to have no controller, and then to have it again: Open vSwitch empties a bridge
then, so this is a start of all bridges.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from http.client import HTTPException
from itertools import chain
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.compare import FILE_WIDTH, machine
from bench.echo import Echo, Lag
from bench.engine_world import MAC, Size, policy_texts
from bench.ovsdb import Ovsdb
from bench.peer import peak_memory, process_seconds
from bench.table import inserted
from mininet_scenarios.lab import Lab, Ovs
from mininet_scenarios.lab.controller import Controller, ControllerError, Status
from mininet_scenarios.lab.ovs import PROTOCOLS
from mininet_scenarios.lab.shell import run

BEGIN = "<!-- generated: scale -->"
PATIENCE = 300.0
# Seconds that an echo may take.
GOAL = 0.2
# Changes of one transaction while the bridges are built.
BATCH = 1000
STORM = """\
groups: {stormy: {match: zone == dmz}}
policies: [{name: storm, rules: [{name: storm, allow: tcp/9443, from: stormy, to: stormy}]}]
"""


class Scale:
    """The bridges, their controller, and what is measured."""

    def __init__(self, lab: Lab, size: Size) -> None:
        self.size = size
        self.ovs: Ovs = lab.ovs(dummy="ports")
        texts = {name: text.decode() for name, text in policy_texts(size).items()}
        self.controller: Controller = lab.controller(
            texts | {"storm.yaml": STORM}, self.ovs, options=["--portcullis-uplink", "eth*"]
        )
        self.echo = Echo(self.ovs.namespace, self.controller.openflow_port, lambda: self.controller.pid)
        self._build()

    def _build(self) -> None:
        """All bridges and ports, before there is a controller."""
        words: list[list[str]] = []
        for bridge in range(self.size.bridges):
            name = f"br{bridge}"
            settings = ["datapath_type=netdev", "fail_mode=secure", f"protocols={PROTOCOLS}"]
            settings += ["other_config:disable-in-band=true"]
            options = ["connection_mode=out-of-band", "max_backoff=1000", "inactivity_probe=5000"]
            words.append(["--", "add-br", name, "--", "set", "bridge", name, *settings])
            words.append(["--", "set-controller", name, self.controller.target])
            words.append(["--", "set", "controller", name, *options])
            words.append(_port(name, f"eth{bridge}", {}))
            for place in range(self.size.vnics):
                number = bridge * self.size.vnics + place
                mac = f"{MAC + number:012x}"
                ids = {"iface-id": f"vm-{number}", "attached-mac": ":".join(mac[i : i + 2] for i in range(0, 12, 2))}
                words.append([*_port(name, f"tap{number}", ids), "--", "set", "port", f"tap{number}", "tag=10"])
        for begin in range(0, len(words), BATCH):
            batch = [word for each in words[begin : begin + BATCH] for word in each]
            last = begin + BATCH >= len(words)
            wait = () if last else ("--no-wait",)
            run("ovs-vsctl", f"--db={self.ovs.db}", "--timeout=600", *wait, *batch, env=self.ovs.env, timeout=610)

    def wait(self) -> Status:
        """Every vNIC is enforced."""

        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            # The page is large: it is asked for once when all is in force, and before that seldom.
            with contextlib.suppress(OSError, HTTPException):
                status: Status = self.controller.get("/status?wait=30", timeout=60.0)
                firewalled = sum(vnic["state"] == "enforced" for vnic in status["vnics"])
                if status["enforced"] and firewalled == self.size.ports:
                    return status
            time.sleep(0.2)  # it is starting, or has not noticed the change yet
        raise ControllerError("not enforced in time")

    def flows(self) -> int:
        """The flows of all bridges, as the switch counts them."""
        told = (self.ovs.ofctl("dump-aggregate", f"br{bridge}") for bridge in range(self.size.bridges))
        return sum(int(text.rpartition("flow_count=")[2]) for text in told)

    def relabel(self, many: int) -> None:
        """So many VMs get another label, each by a transaction of its own."""
        database = Ovsdb(self.ovs.db_socket)
        try:
            for number in range(many):
                database.set_ids(f"tap{number * self.size.ports // many}", {"labels": "zone=dmz"})
        finally:
            database.close()

    def cut(self) -> None:
        """One connection after the other is cut; the bridges connect again, and hold all their flows still."""
        connections = self._connections()
        for here, there in connections:
            self._ss("--kill", "src", here, "dst", there)
        gone, deadline = {here for here, _ in connections}, time.monotonic() + PATIENCE
        while not gone.isdisjoint(here for here, _ in self._connections()):
            if time.monotonic() > deadline:
                raise ControllerError("connections cannot be cut: does the kernel have INET_DIAG_DESTROY?")
            time.sleep(0.05)  # closing takes the kernel a moment

    def _connections(self) -> list[tuple[str, str]]:
        """The bridges' connections to the controller: either end's address."""
        lines = self._ss("state", "established", "dport", "=", str(self.controller.openflow_port)).splitlines()
        # After the lengths of two queues.
        ends = [(words[2], words[3]) for words in map(str.split, lines)]
        return [each for each in ends if each[0] != self.echo.here]

    def _ss(self, *words: str) -> str:
        inside = ("ip", "netns", "exec", self.ovs.namespace) if self.ovs.namespace else ()
        return run(*inside, "ss", "--no-header", "--tcp", "--numeric", *words)

    def replace(self) -> None:
        """All bridges lose their controller, and with it their flows, and are given it again."""
        names = [f"br{bridge}" for bridge in range(self.size.bridges)]
        self._together(["--", "del-controller", name] for name in names)
        options = ["connection_mode=out-of-band", "max_backoff=1000"]
        self._together(
            [*("--", "set-controller", name, self.controller.target), *("--", "set", "controller", name, *options)]
            for name in names
        )

    def _together(self, words: Iterable[list[str]]) -> None:
        said = chain.from_iterable(words)
        run("ovs-vsctl", f"--db={self.ovs.db}", "--timeout=600", *said, env=self.ovs.env, timeout=610)


def _port(bridge: str, name: str, ids: dict[str, str]) -> list[str]:
    settings = [f'external_ids:{key}="{value}"' for key, value in ids.items()]
    return ["--", "add-port", bridge, name, "--", "set", "interface", name, "type=dummy", *settings]


def measured(size: Size, storm: int, console: Console) -> Iterator[tuple[str, str]]:
    """What was measured, and what came out."""
    with ExitStack() as stack:
        lab = stack.enter_context(Lab())
        scale = Scale(lab, size)
        console.print(f"{size.ports:,} vNICs on {size.bridges} bridges are there", style="dim")
        controller, switch, echo = scale.controller, scale.ovs.pid(), scale.echo
        stack.callback(echo.stop)

        def timed(what: str, change: Callable[[], None]) -> Iterator[tuple[str, str]]:
            echo.take()
            used, start = process_seconds(controller.pid) if controller.running else 0.0, time.monotonic()
            switch_used = process_seconds(switch)
            change()
            said = time.monotonic() - start
            status = scale.wait()
            took, lags = time.monotonic() - start, echo.take()
            yield what, f"{took:.1f} s, of which {said:.1f} s to say it"
            yield "… processor time of the controller", f"{process_seconds(controller.pid) - used:.1f} s"
            yield "… processor time of ovs-vswitchd", f"{process_seconds(switch) - switch_used:.1f} s"
            yield "… longest lag of its event loop", _lag_text(lags)
            # Of bridges that have connected anew: since then.
            yield "… changes of flows", f"{sum(bridge['flow_mods'] for bridge in status['bridges']) - before[0]:,}"

        def start() -> None:
            controller.start()
            echo.start()

        before = [0]
        yield from timed("start, until all is enforced", start)
        flows = scale.flows()
        yield "flows of all bridges", f"{flows:,}"
        memory = peak_memory(controller.pid)
        yield "controller, most memory", f"{memory:.0f} MB, {1000 * memory / size.ports:.0f} kB per vNIC"
        before = [flows]
        yield from timed(f"{storm} VMs get another label", lambda: scale.relabel(storm))
        before = [0]
        yield from timed("all bridges reconnect, one after the other", scale.cut)
        yield from timed("all bridges lose their controller at once, and get it again", scale.replace)
        echo.take()
        time.sleep(5)  # what is measured is that nothing happens
        lags = echo.take()
        yield "idle: longest lag", _lag_text(lags)
        yield "controller, most memory in all", f"{peak_memory(controller.pid):.0f} MB"
        yield "ovs-vswitchd, most memory", f"{peak_memory(switch):.0f} MB"


def _lag_text(lags: Sequence[Lag]) -> str:
    """The longest of all, and how many were too long: without the time in which nobody had a processor, and with it."""
    both = [lag.own for lag in lags], [lag.seconds for lag in lags]
    one, other = (f"{1000 * max(found):.0f} ms ({sum(each > GOAL for each in found)} over)" for found in both)
    return f"{one}, with waiting for a processor {other}, of {len(lags)} echoes"


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="100x50", help="bridges x vNICs on each (default: %(default)s)")
    parser.add_argument("--storm", type=int, default=500, help="VMs that get another label (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="between the marks of a page")
    options = parser.parse_args()
    bridges, vnics = options.size.split("x")
    size = Size(int(bridges), int(vnics))
    console = Console()
    if not console.is_terminal:
        console = Console(width=FILE_WIDTH)
    where = machine()
    heading = f"{size.ports:,} vNICs, {size.bridges} bridges, {2 * size.vms:,} addresses"
    table = Table(heading, "measured")
    rows: list[tuple[str, str]] = []
    for row in measured(size, options.storm, console):
        rows.append(row)
        table.add_row(*row)
        console.print(f"{row[0]}: {row[1]}", style="dim")
    console.print(table)
    if options.json:
        found: dict[str, Any] = {"machine": where, "size": options.size, "rows": rows}
        options.json.write_text(json.dumps(found, indent=1) + "\n")
    if options.markdown:
        lines = [f"| {left} | {right} |" for left, right in [(heading, "measured"), ("---", "---:"), *rows]]
        told = ", ".join(f"{key} {value}" for key, value in where.items())
        text = "\n".join([f"{told}.", "", *lines]) + "\n"
        options.markdown.write_text(inserted(options.markdown.read_text(), text, BEGIN))


if __name__ == "__main__":
    main()
