"""Who is on which port: OVSDB rows and the inventory joined into the values that flows are compiled from.

Pure: the same rows and inventory give the same topology, whatever the order in which they came. Nothing that OVSDB
holds makes it fail; what cannot be understood is isolated or reported.

A `Resolver` keeps what it made of each port for as long as the port's rows, and what the inventory says of it, stay as
they are: its answers are those of a new one, in the time that the changes take.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import translate

from topology.conflicts import Candidate, Contests
from topology.identity import Index
from topology.inventory import Inventory
from topology.part import Interface, Part, Place
from topology.ports import Bridge, Finding, IsolatedPort, Port, Topology, UplinkPort, VnicPort
from topology.rows import BridgeRow, Database
from topology.vlans import Problem
from topology.zones import Holders

__all__ = ["Bridge", "Finding", "IsolatedPort", "Port", "Resolver", "Topology", "UplinkPort", "VnicPort", "resolve"]


def resolve(
    databases: Mapping[str, Database],
    inventory: Inventory,
    uplink_globs: Iterable[str] = (),
    bridge_globs: Iterable[str] = ("*",),
) -> Topology:
    """The bridges whose names match one of ``bridge_globs``, with every interface of theirs in exactly one port.

    ``databases`` are by remote. ``uplink_globs`` are shell globs on port names, beside ``external_ids:role=uplink``.
    """
    return Resolver(uplink_globs, bridge_globs).resolve(databases, inventory)


class Resolver:
    """One topology after the other."""

    def __init__(self, uplink_globs: Iterable[str] = (), bridge_globs: Iterable[str] = ("*",)) -> None:
        self._uplinks, self._ours = _globs(uplink_globs), _globs(bridge_globs)
        self._index = Index(Inventory())
        self._contests = Contests()
        self._holders: dict[str, Holders] = {}
        self._drafts: dict[tuple[str, str], _Draft] = {}
        self._last = Topology()

    def resolve(self, databases: Mapping[str, Database], inventory: Inventory) -> Topology:
        """As the function of that name."""
        moved = self._index.take(inventory)
        if moved:
            self._contests.take(moved, self._index)
        names = None if moved.all else moved.names()
        known, self._drafts = self._drafts, {}
        self._holders = {remote: self._holders.get(remote, Holders()) for remote in databases}
        for remote in sorted(databases):
            database = databases[remote]
            zones = self._holders[remote].take(database)
            for row in database.bridges.values():
                if self._ours.match(row.name):
                    place = Place(remote, database.host, row.name, row.uuid, self._uplinks)
                    draft = known.pop((remote, row.uuid), None)
                    if draft is not None and draft.place != place:
                        draft.end(self._contests)
                        draft = None
                    draft = self._drafts[remote, row.uuid] = draft or _Draft(place)
                    draft.take(database, row, zones, self._index, names, self._contests)
        for gone in known.values():
            gone.end(self._contests)
        return self._finished(sorted(self._drafts.values(), key=_draft_order))

    def _finished(self, drafts: Sequence[_Draft]) -> Topology:
        claimed = _datapath_ids_of_several(drafts)
        shut, migrations = self._contests.outcome()
        nobody: Mapping[str, Problem] = {}
        bridges = tuple(
            draft.finish(shut.get(draft.place.remote, nobody), claimed.get(draft.row.datapath_id)) for draft in drafts
        )
        findings = tuple(finding for bridge in bridges for finding in bridge.findings) + tuple(migrations)
        same = len(bridges) == len(self._last.bridges) and all(map(_is, bridges, self._last.bridges))
        if not same or findings != self._last.findings:
            self._last = Topology(bridges, findings)
        return self._last


def _is(one: object, other: object) -> bool:
    return one is other


def _globs(globs: Iterable[str]) -> re.Pattern[str]:
    """One expression for any of the globs; none of them: matches nothing."""
    return re.compile("|".join(translate(glob) for glob in globs) or r"(?!)")


class _Draft:
    """A bridge in the making: its ports are sorted into kinds one by one; vNICs stay candidates until all are known."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.row = BridgeRow(place.bridge_uuid, place.bridge)
        self._parts: dict[str, Part] = {}
        self._missing: tuple[str, ...] = ()
        # The bridge as it was last finished, and of what beside its ports.
        self._bridge: Bridge | None = None
        self._finished_with: tuple[str | None, Mapping[str, Problem]] = None, {}

    def take(
        self,
        database: Database,
        row: BridgeRow,
        zones: Mapping[str, int],
        index: Index,
        names: set[str] | None,
        contests: Contests,
    ) -> None:
        """Take in the rows as they are now. ``names``: those that the inventory says something else of (None: all)."""
        seen: set[str] = set()
        missing: list[str] = []
        parts: dict[str, Part] = {}
        gone: list[Part] = []
        come: list[Part] = []
        for uuid in row.ports:
            port = database.ports.get(uuid)
            if port is None:
                missing.append(uuid)
                continue
            interfaces: list[Interface] = []
            for name in port.interfaces:
                interfaces.append((name, database.interfaces.get(name), name in seen))
                seen.add(name)
            zone = next((zones.get(name) for name, found, taken in interfaces if found and not taken), None)
            part = self._parts.get(uuid)
            still = part is not None and part.still(port, interfaces, zone)
            if part is None or not still or not part.answered_alike(index, names):
                old, part = part, Part(self.place, port, interfaces, zone, index)
                if old is None or not part.becomes(old):
                    self._bridge = None
                gone += [] if old is None else [old]
                come.append(part)
            parts[uuid] = part
        removed = [self._parts[uuid] for uuid in self._parts.keys() - parts.keys()]
        if removed or self.row is not row or tuple(missing) != self._missing:
            self._bridge = None
        # All that go before any that comes: an interface may have gone from one port to another.
        for part in (*gone, *removed):
            part.withdraw(contests)
        for part in come:
            part.enter(contests)
        self.row, self._parts, self._missing = row, parts, tuple(missing)

    def end(self, contests: Contests) -> None:
        """The bridge is gone."""
        for part in self._parts.values():
            part.withdraw(contests)

    def finish(self, shut: Mapping[str, Problem], of_several: str | None) -> Bridge:
        """The bridge, with those candidates isolated that ``shut`` names by interface UUID.

        ``of_several`` names the bridges that have its datapath id, where it is not its own.
        """
        if self._bridge is None or self._finished_with != (of_several, shut):
            self._bridge = self._made(shut, of_several)
            self._finished_with = of_several, shut
        return self._bridge

    def _made(self, shut: Mapping[str, Problem], of_several: str | None) -> Bridge:
        row, where = self.row, self.place.where
        ports: list[Port] = []
        findings = [Finding("no-port", where, f"its port {uuid} is not in the database") for uuid in self._missing]
        for part in self._parts.values():
            ports += part.ports
            findings += part.findings
            if part.candidate is not None:
                ports.append(_standing(part.candidate, shut))
        if of_several is not None:
            told = f"several bridges have datapath id {row.datapath_id:016x}: {of_several}"
            findings.append(Finding("duplicate-datapath-id", where, told))
        if row.datapath_id is None:
            told = "it has no datapath id, so OpenFlow cannot reach it (is ovs-vswitchd up?)"
            findings.append(Finding("no-datapath-id", where, told))
        return Bridge(
            remote=self.place.remote,
            uuid=row.uuid,
            host=self.place.host,
            name=row.name,
            dpid=row.datapath_id if of_several is None else None,
            fail_mode=row.fail_mode,
            in_band=row.other_config.get("disable-in-band", "").lower() != "true",
            ports=tuple(sorted(ports, key=_port_order)),
            findings=tuple(sorted(findings, key=lambda finding: (finding.where, finding.code, finding.message))),
        )


def _standing(candidate: Candidate, shut: Mapping[str, Problem]) -> Port:
    port = candidate.port
    problem = shut.get(port.interface_uuid)
    if problem is None:
        return port
    code, reason = problem
    return IsolatedPort(port.name, port.ofport, reason, port.vnic.name, code, port.interface_uuid)


def _draft_order(draft: _Draft) -> tuple[str, str, str, str]:
    return draft.place.host, draft.place.bridge, draft.place.bridge_uuid, draft.place.remote


def _port_order(port: Port) -> tuple[str, str]:
    return port.name, "" if isinstance(port, UplinkPort) else port.interface_uuid or ""


def _datapath_ids_of_several(drafts: Sequence[_Draft]) -> Mapping[int | None, str]:
    """The datapath ids of several bridges, and which: they are nobody's, as flows meant for one would reach another."""
    owners: dict[int | None, list[str]] = {}
    for draft in drafts:
        owners.setdefault(draft.row.datapath_id, []).append(draft.place.where)
    return {dpid: ", ".join(several) for dpid, several in owners.items() if dpid is not None and len(several) > 1}
