"""What does one change cost the controller, and how does that grow with vNICs and bridges?

    .venv/bin/python -m bench.engine [--sizes 50,200,1000] [--bridges 20x50,100x10] [--groups 1000] [--times 20]

Everything from a fact to the bytes of the bundles, in one process, with no switch and no clock: the engine is handed
facts, a stand-in for the switches packs what is to be sent as the controller does and confirms it. Times are those of
the processor (nothing here waits for anything). Each size has a process of its own, so that its memory is its own.

*cold* goes from policy, database rows and empty switches known to all bundles packed, zones written on the way. The
changes are alternately made and taken back; each line tells median and 95th percentile in milliseconds, flow-mods and
bundles of one change (the most seen). *load* is what a policy's texts take to become a document: all of them, and after
an edit of one file.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path
from typing import Any

from bench.engine_world import EDITS, REMOTE, Size, database, policy_texts
from policy import collector
from policy.flows import wire
from policy.flows.meters import HIGHEST_METER
from policy.load import Loader
from policy.model import Document
from ryu_apps.engine import Engine, EngineSettings
from ryu_apps.facts import (
    BundleDone,
    ClaimBridge,
    Clock,
    Fact,
    FlowsRead,
    GoOn,
    Later,
    PolicyLoaded,
    ReadFlows,
    RoleTold,
    SendBundle,
    SwitchUp,
    WriteZones,
)
from ryu_apps.ovsdb_facts import OvsdbSnapshot, OvsdbUpdated
from ryu_apps.settling import Settling
from ryu_apps.status import status_of
from topology.rows import ZONE_KEY, BridgeRow, Change, InterfaceRow, PortRow

# What time it is.
NOW = 1_800_000_000.0


@dataclass
class Sent:
    """What came of some facts."""

    seconds: float = 0.0
    afterwards: float = 0.0
    flow_mods: int = 0
    bundles: int = 0
    octets: int = 0


@dataclass
class Switches:
    """The engine, and switches and a database that do what they are told."""

    engine: Engine
    rows: dict[str, InterfaceRow]
    settling: Settling = field(default_factory=Settling)

    def tell(self, *facts: Fact) -> Sent:
        """Hand over facts, and what comes of them; only the engine and the packing are timed."""
        sent = Sent()
        waiting = list(facts)
        while waiting:
            begin = time.process_time()
            with collector.paused():
                effects = self.engine.handle([Clock(NOW), *waiting])
                packed = [(effect, _packed(effect)) for effect in effects if isinstance(effect, SendBundle)]
                packed_at = time.process_time()
                self.settling.settle()
            sent.seconds += packed_at - begin
            sent.afterwards += time.process_time() - packed_at
            waiting = []
            for bundle, octets in packed:
                sent.bundles += 1
                sent.flow_mods += len(bundle)
                sent.octets += octets
                waiting.append(BundleDone(bundle.dpid, bundle.session, bundle.serial))
            for effect in effects:
                if isinstance(effect, ClaimBridge):
                    waiting.append(RoleTold(effect.dpid, effect.session, master=True))
                elif isinstance(effect, Later) and isinstance(effect.fact, GoOn):
                    waiting.append(effect.fact)
                elif isinstance(effect, ReadFlows):
                    waiting.append(FlowsRead(effect.dpid, effect.session, (), {}, HIGHEST_METER))
                elif isinstance(effect, WriteZones):
                    written = {uuid: {ZONE_KEY: str(zone)} for uuid, zone in effect.zones}
                    waiting.append(self.row_change(written))
        return sent

    def row_change(self, ids: Mapping[str, Mapping[str, str]], **columns: Any) -> OvsdbUpdated:  # noqa: ANN401
        """The fact that rows of table Interface have other ``external_ids`` and columns now."""
        changes = []
        for uuid, more in ids.items():
            row = self.rows[uuid]
            self.rows[uuid] = row = replace(row, external_ids={**row.external_ids, **more}, **columns)
            changes.append(Change("Interface", uuid, row))
        return OvsdbUpdated(REMOTE, tuple(changes))


def _packed(bundle: SendBundle) -> int:
    """Pack a bundle as the controller does; its length in octets."""
    packed = BytesIO()
    for flow in bundle.remove:
        packed.write(wire.bundle_add(1, 3, wire.flow_mod(flow, bundle.slot, 0, wire.DELETE_STRICT)))
    for flow in bundle.add:
        packed.write(wire.bundle_add(1, 3, wire.flow_mod(flow, bundle.slot, 0)))
    return len(packed.getvalue())


Steps = tuple[Callable[[], Fact], Callable[[], Fact]]


def changes(switches: Switches, edits: Mapping[str, tuple[Document, Document]]) -> Iterator[tuple[str, Steps]]:
    """The kinds of change: how one is made, and taken back. ``edits``: documents before a file's edit, and after."""
    tap = "i-tap7"
    for name, (before, after) in edits.items():
        switches.tell(PolicyLoaded(before))
        yield (
            f"{name}, policy file",
            (lambda after=after: PolicyLoaded(after), lambda before=before: PolicyLoaded(before)),  # type: ignore[misc]
        )
    port = switches.rows[tap].ofport
    yield (
        "label, OVSDB",
        (
            lambda: switches.row_change({tap: {"labels": "zone=dmz"}}),
            lambda: switches.row_change({tap: {"labels": ""}}),
        ),
    )
    yield (
        "port down or up",
        (lambda: switches.row_change({tap: {}}, ofport=None), lambda: switches.row_change({tap: {}}, ofport=port)),
    )
    # A vNIC that the inventory does not know: OVSDB says all of it.
    stranger = "i-stranger"
    switches.rows[stranger] = InterfaceRow(
        stranger, "stranger", ofport=59_999, external_ids={"iface-id": "stranger", "attached-mac": "52:54:00:ff:ff:ff"}
    )
    bridge = replace(_first_bridge(switches.engine), ports=(*_first_bridge(switches.engine).ports, "p-stranger"))
    switches.tell(
        OvsdbUpdated(
            REMOTE,
            (
                Change("Interface", stranger, switches.rows[stranger]),
                Change("Port", "p-stranger", PortRow("p-stranger", "stranger", tag=10, interfaces=(stranger,))),
                Change("Bridge", bridge.uuid, bridge),
            ),
        )
    )
    for name, key, one, other in (
        ("label of a stranger, OVSDB", "labels", "app=app-0,role=web", "app=app-0,role=db"),
        ("address, OVSDB", "addresses", "10.254.0.1", "10.254.0.1,2001:db8:ff::1"),
    ):
        yield (
            name,
            (
                lambda key=key, one=one: switches.row_change({stranger: {key: one}}),  # type: ignore[misc]
                lambda key=key, other=other: switches.row_change({stranger: {key: other}}),  # type: ignore[misc]
            ),
        )


def _first_bridge(engine: Engine) -> BridgeRow:
    known = engine.remotes[REMOTE].database
    assert known is not None
    return known.bridges["b-0"]


def _memory(name: str) -> float:
    """VmRSS or VmHWM of this process, in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name + ":")) / 1024


def _timed(task: Callable[[], Any]) -> tuple[float, Any]:
    begin = time.process_time()
    made = task()
    return time.process_time() - begin, made


def measured(size: Size, times: int) -> dict[str, Any]:
    """All numbers of one size."""
    empty = _memory("VmRSS")
    texts = policy_texts(size)
    loader = Loader()
    load, document = _timed(lambda: loader.load_texts(texts))
    reading: dict[str, float] = {}
    edits: dict[str, tuple[Document, Document]] = {}
    with collector.paused():
        for name in EDITS:
            other, before = policy_texts(size, **{name: True}), loader.load_texts(texts)
            reading[name], edited = _timed(lambda other=other: loader.load_texts(other))  # type: ignore[misc]
            edits[name] = before, edited
    gc.collect()
    policy = _memory("VmRSS")
    rows = database(size)
    switches = Switches(Engine(EngineSettings((REMOTE,), ("eth*",))), dict(rows.interfaces))
    ups = (SwitchUp(bridge + 1, 1) for bridge in range(size.bridges))
    cold = switches.tell(PolicyLoaded(document), OvsdbSnapshot(REMOTE, rows), *ups)
    status, told = _timed(lambda: status_of(switches.engine))
    assert told["enforced"], told["waiting_for"]
    gc.collect()
    after = _memory("VmRSS")
    kinds = {}
    for name, steps in changes(switches, edits):
        found = [switches.tell(steps[number % 2]()) for number in range(times)]
        seconds = sorted(each.seconds for each in found)
        kinds[name] = {
            "median": statistics.median(seconds),
            "p95": seconds[math.ceil(0.95 * len(seconds)) - 1],
            "flow_mods": max(each.flow_mods for each in found),
            "bundles": max(each.bundles for each in found),
        }
    return {
        "bridges": size.bridges,
        "vnics": size.ports,
        "addresses": 2 * size.vms,
        "groups": len(document.groups),
        "rules": sum(len(policy.rules) for policy in document.policies),
        "flows": cold.flow_mods,
        "load": load,
        "load_after_edit": reading,
        "cold": cold.seconds,
        "collector": cold.afterwards,
        "octets": cold.octets,
        "status": status,
        "memory": {
            "process": empty,
            "policy": policy,
            "cold": after,
            "end": _memory("VmRSS"),
            "peak": _memory("VmHWM"),
        },
        "changes": kinds,
    }


def report(found: Mapping[str, Any]) -> Iterator[str]:
    """The numbers of one size as lines of text."""
    memory = found["memory"]
    yield (
        f"{found['bridges']} bridges, {found['vnics']:,} vNICs, {found['addresses']:,} addresses, "
        f"{found['groups']:,} groups, {found['rules']:,} rules: {found['flows']:,} flows"
    )
    edits = ", ".join(f"{name} {1000 * seconds:.0f}" for name, seconds in found["load_after_edit"].items())
    yield f"  load {1000 * found['load']:,.0f} ms; after an edit: {edits}"
    yield (
        f"  cold {1000 * found['cold']:,.0f} ms, {found['octets'] / 1e6:.1f} MB packed "
        f"(and {1000 * found['collector']:,.0f} ms of the cycle collector afterwards); "
        f"status {1000 * found['status']:.1f} ms"
    )
    yield (
        f"  memory {memory['process']:.0f} MB empty, {memory['policy']:.0f} with policies, {memory['cold']:.0f} cold, "
        f"{memory['end']:.0f} end, {memory['peak']:.0f} peak"
    )
    yield f"  {'':28}{'median':>9}{'p95':>9}{'flow-mods':>11}{'bundles':>9}"
    for name, each in found["changes"].items():
        yield (
            f"  {name:28}{1000 * each['median']:9.2f}{1000 * each['p95']:9.2f}"
            f"{each['flow_mods']:11,}{each['bundles']:9,}"
        )


def main() -> None:
    """Measure, print tables, and write JSON if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="50,200,1000", help="vNICs on one bridge (default: %(default)s)")
    parser.add_argument("--bridges", default="20x50,100x10", help="bridges x vNICs on each (default: %(default)s)")
    parser.add_argument(
        "--groups", type=int, default=0, help="so many groups more, a rule each, ten to a VM (default: none)"
    )
    parser.add_argument("--times", type=int, default=20, help="changes of each kind (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--one", metavar="BxN", help="only this size, in this process; prints JSON")
    options = parser.parse_args()
    if options.one:
        bridges, vnics = options.one.split("x")
        print(json.dumps(measured(Size(int(bridges), int(vnics), options.groups), options.times)))
        return
    wanted = [f"1x{size}" for size in options.sizes.split(",") if size]
    wanted += [each for each in options.bridges.split(",") if each]
    print(f"Python {platform.python_version()}; milliseconds from fact to packed bundles")
    results = []
    for each in wanted:
        command = [sys.executable, "-m", "bench.engine", "--one", each, "--times", str(options.times)]
        command += ["--groups", str(options.groups)]
        results.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
        print("\n".join(report(results[-1])), flush=True)
    if options.json:
        options.json.write_text(json.dumps({"python": platform.python_version(), "sizes": results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
