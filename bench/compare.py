"""Portcullis, OVN and a plain bridge under the same workload, in one run: a table, JSON, a chart.

    sudo .venv/bin/python -m bench.compare [--sizes 50,200] [--peers bridge,ovn,portcullis] [--long] [--json FILE]

Everything is private: each peer has its own Open vSwitch with the userspace datapath in its own namespace. What is
measured and how: docs/performance.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from bench import control, dataplane
from bench.chart import draw
from bench.goals import judge
from bench.ovn_peer import Ovn
from bench.ovsdb import OvsdbError
from bench.peer import Bridge, Controlled, Peer, TrafficError
from bench.portcullis_peer import Portcullis
from bench.table import goals_table, inserted, markdown, tables
from bench.workload import SITE_ADDRESSES, Workload, workload
from mininet_scenarios.lab import Lab
from mininet_scenarios.lab.controller import ControllerError
from mininet_scenarios.lab.shell import CommandError, run

FILE_WIDTH = 130
FAILURE_LENGTH = 500
PEERS: dict[str, Callable[[Lab, Workload], Peer]] = {peer.name: peer for peer in (Bridge, Ovn, Portcullis)}


@dataclass(frozen=True)
class Form:
    """How long the measurements are."""

    sizes: tuple[int, ...]
    changes: int
    cuts: int
    restarts: int
    rounds: int
    # Whether every VM has an IPv6 address, too.
    ipv6: bool
    # So many groups by address more, ten addresses each, with a rule.
    sites: int
    # The data plane is measured at this many vNICs and fewer: it hardly depends on them.
    dataplane_up_to: int


SHORT = Form((50, 200), changes=20, cuts=3, restarts=3, rounds=10, ipv6=False, sites=0, dataplane_up_to=50)
LONG = Form((50, 200, 1000), changes=20, cuts=5, restarts=5, rounds=20, ipv6=False, sites=0, dataplane_up_to=200)

# What a peer may fail with; the others are measured all the same.
FAILURES = (CommandError, ControllerError, TrafficError, OvsdbError, OSError, ValueError)


def at_size(size: int, names: list[str], form: Form, console: Console) -> tuple[dict[str, Any], list[str]]:
    """Everything at one number of vNICs, by peer; and what failed, in words."""
    work = workload(size, ipv6=form.ipv6, sites=form.sites)
    found: dict[str, Any] = {}
    failed: list[str] = []
    with ExitStack() as stack:
        peers: list[Peer] = []
        for name in names:
            began = time.monotonic()
            if size > form.dataplane_up_to:
                stack.close()  # even an idle switch with a thousand ports takes from the next one's processors
                peers.clear()
            lab = stack.enter_context(Lab())
            peer = PEERS[name](lab, work)
            stack.callback(peer.close)
            try:
                found[name] = _controlled(peer, form)
                peers.append(peer)
            except FAILURES as error:
                failed.append(_said(f"{name} with {size} vNICs", error, console))
            console.print(f"{name} with {size} vNICs: {time.monotonic() - began:.0f} s", style="dim")
        if size <= form.dataplane_up_to and form.rounds and peers:
            began = time.monotonic()
            base = Bridge.name if Bridge.name in found else peers[0].name
            try:
                for name, values in dataplane.measured(peers, form.rounds, dataplane.Effort(), base).items():
                    found[name]["data plane"] = values
            except FAILURES as error:
                failed.append(_said(f"data plane with {size} vNICs", error, console))
            console.print(f"data plane with {size} vNICs: {time.monotonic() - began:.0f} s", style="dim")
    return found, failed


def _said(what: str, error: Exception, console: Console) -> str:
    text = f"{what}: {type(error).__name__}: {str(error)[:FAILURE_LENGTH]}"
    console.print(text, style="red", markup=False)
    return text


def _controlled(peer: Peer, form: Form) -> dict[str, Any]:
    peer.prepare()
    peer.make_guests()
    found: dict[str, Any] = {"cold": control.cold(peer), "flows": peer.flows()}
    control.start_steady(peer)
    found["changes"] = control.changes(peer, form.changes)
    if isinstance(peer, Controlled):
        found["cuts"] = control.cuts(peer, form.cuts)
        found["idle"] = control.idle(peer)
        found["memory"] = peer.peak_memory()
        found["restarts"] = control.restarts(peer, form.restarts)
    control.stop_streams(peer)
    return found


def machine() -> dict[str, Any]:
    """Where and with what the figures were made."""
    models = (line.split(":")[1].strip() for line in _lines("/proc/cpuinfo") if "model name" in line)
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    return {
        "processor": next(models, "unknown"),
        "processors": os.cpu_count(),
        "memory GB": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "ovs": _version("ovs-vswitchd"),
        "ovn": _version("ovn-controller"),
        "commit": commit.stdout.strip() or "unknown",
        "date": time.strftime("%Y-%m-%d"),
        "load before": round(os.getloadavg()[0], 2),
    }


def _version(program: str) -> str:
    return run(program, "--version").splitlines()[0].split()[-1]


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines()


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", help="numbers of vNICs, such as 50,200")
    parser.add_argument("--peers", default=",".join(PEERS), help="default: %(default)s")
    parser.add_argument("--long", action="store_true", help="with 1,000 vNICs, and more of everything")
    parser.add_argument("--changes", type=int, metavar="COUNT", help="repetitions of each change")
    parser.add_argument("--rounds", type=int, metavar="COUNT", help="rounds of the data plane; 0: none")
    parser.add_argument("--ipv6", action="store_true", help="every VM has an IPv6 address, too")
    parser.add_argument("--groups", type=int, default=0, metavar="COUNT", help="groups of ten addresses, a rule each")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="between the marks of a page, if it has them")
    parser.add_argument("--chart", type=Path, metavar="FILE.png")
    options = parser.parse_args()
    form = LONG if options.long else SHORT
    given = {name: getattr(options, name) for name in ("changes", "rounds") if getattr(options, name) is not None}
    given |= {"ipv6": options.ipv6, "sites": options.groups}
    if options.sizes:
        given["sizes"] = tuple(map(int, options.sizes.split(",")))
    form = Form(**{**form.__dict__, **given})
    names = options.peers.split(",")
    console = Console()
    if not console.is_terminal:
        console = Console(width=FILE_WIDTH)
    began = time.monotonic()
    what = {"families": "IPv4 and IPv6" if form.ipv6 else "IPv4"}
    if form.sites:
        what["groups"] = f"{form.sites:,} more, with {SITE_ADDRESSES * form.sites:,} addresses"
    result: dict[str, Any] = {"machine": machine() | what, "form": form.__dict__, "sizes": {}, "failed": []}
    for size in form.sizes:
        result["sizes"][str(size)], failed = at_size(size, names, form, console)
        result["failed"] += failed
    result["seconds"] = round(time.monotonic() - began)
    result["goals"] = judge(result)
    for table in (*tables(result), goals_table(result["goals"])):
        console.print(table)
    console.print(", ".join(f"{key} {value}" for key, value in result["machine"].items()), style="dim")
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")
    if options.markdown:
        page = options.markdown.read_text() if options.markdown.exists() else ""
        # Goals are about the workload as it is; the others have marks of their own.
        kind = "both families" if form.ipv6 else "many groups" if form.sites else None
        if kind:
            text = inserted(page, markdown(result | {"goals": []}), f"<!-- generated: comparison, {kind} -->")
        else:
            text = inserted(page, markdown(result))
        options.markdown.write_text(text)
    if options.chart:
        draw(result, options.chart)
    if result["failed"]:
        sys.exit(1)


if __name__ == "__main__":
    main()
