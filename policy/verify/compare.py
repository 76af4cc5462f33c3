"""What a bridge holds, compared with what the policy wants there: every difference, with what it is about. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from policy.flows import fields as f
from policy.flows.bridge_book import BridgeBook
from policy.flows.compile import Compiled
from policy.flows.flow import Flow, Key, Match
from policy.flows.meters import HIGHEST_METER, STRANGERS, Meter, meter_text
from policy.flows.pieces import unmetered
from policy.flows.slots import place, table_text
from policy.flows.text import actions_text, match_text
from policy.flows.uplinks import as_uplink, number_of
from policy.verify.found import Entry, Holdings, held_priorities, holdings
from policy.verify.openflow import Told
from topology.ports import Bridge
from topology.zones import MAX_ZONE

MISSING, ALTERED, FOREIGN = "missing", "altered", "foreign"


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not as it is to be. ``kind``: `MISSING`, `ALTERED` or `FOREIGN` (nobody wants it).

    ``what`` is ``flow``, ``meter`` or ``setting``; ``where`` says which; ``wanted`` and ``found`` are in words, None:
    nothing. ``cookie`` is the wanted flow's, a foreign one's own. ``zones`` and ``ports`` (OpenFlow's) are those of the
    vNICs that it names.
    """

    kind: str
    what: str
    where: str
    wanted: str | None
    found: str | None
    cookie: int | None = None
    zones: tuple[int, ...] = ()
    ports: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Compared:
    """What came of a bridge. ``metered``: it has meters; without them nothing is limited and nothing is logged."""

    holdings: Holdings
    flows: int
    meters: int
    metered: bool
    differences: tuple[Difference, ...]


def compare(compiled: Compiled, bridge: Bridge, told: Told) -> Compared:
    """Compare one bridge. Raises what `policy.verify.found.holdings` does."""
    trusted = (as_uplink(port) for port in bridge.vnic_ports if port.vnic.trusted)
    held = holdings(told.flows, frozenset(map(number_of, (*bridge.uplinks, *trusted))))
    wanted = BridgeBook().wanted(compiled, bridge, held_priorities(held.entries))
    if not told.metered:
        wanted = unmetered(wanted)
    flows, meters = wanted.flat(), dict(wanted.meters)
    differences = [*_settings(bridge), *_flows(flows, held), *_meters(meters, told.meters)]
    differences.sort(key=lambda each: (each.what, each.where, each.kind))
    return Compared(held, len(flows), len(meters), told.metered, tuple(differences))


def _settings(bridge: Bridge) -> Iterator[Difference]:
    """What OVSDB says of the bridge: it must stay shut without a controller, and have no hidden flows of its own."""
    if bridge.fail_mode != "secure":
        yield Difference(ALTERED, "setting", "fail_mode", "secure", bridge.fail_mode or "standalone")
    if bridge.in_band:
        yield Difference(ALTERED, "setting", "other_config:disable-in-band", "true", "false")


def _flows(wanted: Mapping[Key, Flow], held: Holdings) -> Iterator[Difference]:
    there = {entry.key for entry in held.entries}
    for entry in held.entries:
        flow = wanted.get(entry.key) if entry.key is not None else None
        if flow is None:
            about = _about(entry.key.match if entry.key is not None else ())
            yield Difference(FOREIGN, "flow", _told(entry), None, _found(entry), entry.cookie, *about)
        elif flow != entry.flow:
            found = _found(entry) + (f" (cookie {entry.cookie:#x})" if entry.cookie != flow.cookie else "")
            about = _about(flow.match)
            yield Difference(ALTERED, "flow", _where(flow), _does(flow), found, flow.cookie, *about)
    for key, flow in wanted.items():
        if key not in there:
            about = _about(flow.match)
            yield Difference(MISSING, "flow", _where(flow), _does(flow), None, flow.cookie, *about)


def _where(flow: Flow) -> str:
    return f"{flow.table.name} {flow.priority} {match_text(flow.match)}"


def _does(flow: Flow) -> str:
    return actions_text(flow.actions)


def _told(entry: Entry) -> str:
    """Where a flow is that nobody wants."""
    where = place(entry.table)
    table = table_text(where) if where is not None else str(entry.table)
    tests = match_text(entry.key.match) if entry.key is not None else "a match that no flow of ours has"
    return f"{table} {entry.priority} {tests}"


def _found(entry: Entry) -> str:
    return _does(entry.flow) if entry.flow is not None else "what no flow of ours does there, or for a time only"


def _about(tests: Match) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The vNICs that a match names: by their conntrack zones, by their ports."""
    exact = [test for test in tests if test.mask == test.field.full]
    zones = tuple(test.value for test in exact if test.field in (f.SRC_VNIC, f.DST_VNIC, f.PAYER))
    return zones, tuple(test.value for test in exact if test.field is f.IN_PORT)


def _meters(wanted: Mapping[int, Meter], there: Mapping[int, Meter | None]) -> Iterator[Difference]:
    for number in sorted({*wanted, *there}):
        want, found = wanted.get(number), there.get(number)
        if want == found and want is not None:
            continue
        kind = FOREIGN if want is None else ALTERED if number in there else MISSING
        told = _rate(found) if found is not None else "none of ours" if number in there else None
        zone = number % (MAX_ZONE + 1) if number <= HIGHEST_METER else STRANGERS
        zones = (zone,) if zone != STRANGERS else ()
        yield Difference(kind, "meter", meter_text(number), _rate(want) if want else None, told, None, zones)


def _rate(meter: Meter) -> str:
    return f"{meter.rate} packets a second, {meter.burst} at once"
