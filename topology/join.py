"""Who is on which port: OVSDB rows and the inventory joined into the values that flows are compiled from.

Pure: the same rows and inventory give the same topology, whatever the order in which they came. Nothing that OVSDB
holds makes it fail; what cannot be understood is isolated or reported.

A `Resolver` keeps what it made of each port for as long as the port's rows, and what the inventory says of it, stay as
they are: its answers are those of a new one, in the time that the changes take.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from fnmatch import translate
from itertools import chain
from typing import NamedTuple

from topology.breath import breathing
from topology.conflicts import Candidate, Contests, Less
from topology.identity import Index
from topology.inventory import Inventory
from topology.learned import Source
from topology.part import Part, Place
from topology.ports import Bridge, Finding, IsolatedPort, Port, Topology, UplinkPort, VnicPort
from topology.rows import BridgeRow, Database, PortRow
from topology.vlans import Problem
from topology.zones import Holders

__all__ = ["Bridge", "Finding", "IsolatedPort", "Port", "Resolver", "Topology", "UplinkPort", "VnicPort", "resolve"]


def resolve(
    databases: Mapping[str, Database],
    inventory: Inventory,
    uplink_globs: Iterable[str] = (),
    bridge_globs: Iterable[str] = ("*",),
    learn: frozenset[Source] = frozenset(),
) -> Topology:
    """The bridges whose names match one of ``bridge_globs``, with every interface of theirs in exactly one port.

    ``databases`` are by remote. ``uplink_globs`` are shell globs on port names, beside ``external_ids:role=uplink``.
    ``learn`` says from where vNICs whose addresses nobody states may have learned some (`topology.learned`).
    """
    return Resolver(uplink_globs, bridge_globs).resolve(databases, inventory, learn)


class Resolver:
    """One topology after the other."""

    def __init__(self, uplink_globs: Iterable[str] = (), bridge_globs: Iterable[str] = ("*",)) -> None:
        self._uplinks, self._ours = _globs(uplink_globs), _globs(bridge_globs)
        self._index = Index(Inventory())
        self._contests = Contests()
        self._holders: dict[str, Holders] = {}
        self._ports: dict[str, Mapping[str, PortRow]] = {}
        self._drafts: dict[tuple[str, str], _Draft] = {}
        self._last = Topology()

    def resolve(
        self, databases: Mapping[str, Database], inventory: Inventory, learn: frozenset[Source] = frozenset()
    ) -> Topology:
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
            ports = _changed(database.ports, self._ports.get(remote, {}))
            touched = Touched(self._holders[remote].changed, ports, names)
            for row in database.bridges.values():
                if self._ours.match(row.name):
                    place = Place(remote, database.host, row.name, row.uuid, self._uplinks, learn)
                    draft = known.pop((remote, row.uuid), None)
                    if draft is not None and draft.place != place:
                        draft.end(self._contests)
                        draft = None
                    draft = self._drafts[remote, row.uuid] = draft or _Draft(place)
                    draft.take(database, row, zones, self._index, touched, self._contests)
        self._ports = {remote: database.ports for remote, database in databases.items()}
        for gone in known.values():
            gone.end(self._contests)
        return self._finished(sorted(self._drafts.values(), key=_draft_order))

    def _finished(self, drafts: Sequence[_Draft]) -> Topology:
        claimed = _datapath_ids_of_several(drafts)
        shut, less, migrations = self._contests.outcome()
        nobody: Mapping[str, Problem] = {}
        nothing: Mapping[str, Less] = {}
        bridges = tuple(
            draft.finish(
                shut.get(draft.place.remote, nobody),
                less.get(draft.place.remote, nothing),
                claimed.get(draft.row.datapath_id),
            )
            for draft in drafts
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


def _changed(rows: Mapping[str, PortRow], older: Mapping[str, PortRow]) -> set[str]:
    """The rows that are other objects than they were, or gone, by UUID."""
    if rows is older:
        return set()
    return {uuid for uuid, row in rows.items() if older.get(uuid) is not row} | (older.keys() - rows.keys())


class Touched(NamedTuple):
    """What has changed: interfaces and ports by UUID; and the names of which the inventory says something else (None:
    all).
    """

    interfaces: set[str]
    ports: set[str]
    names: set[str] | None


class _Draft:
    """A bridge in the making: its ports are sorted into kinds one by one; vNICs stay candidates until all are known."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.row = BridgeRow(place.bridge_uuid, place.bridge)
        self._parts: dict[str, Part] = {}
        # Its ports and their interfaces, each with whether an earlier port has it; the ports of each interface.
        self._plugs: Mapping[str, tuple[PortRow, tuple[tuple[str, bool], ...]]] = {}
        self._ports_of: Mapping[str, Sequence[str]] = {}
        self._listed: frozenset[str] = frozenset()
        self._missing: tuple[str, ...] = ()
        # The bridge as it was last finished, and of what beside its ports.
        self._bridge: Bridge | None = None
        self._finished_with: tuple[str | None, Mapping[str, Problem], Mapping[str, Less]] = None, {}, {}

    def take(
        self,
        database: Database,
        row: BridgeRow,
        zones: Mapping[str, int],
        index: Index,
        touched: Touched,
        contests: Contests,
    ) -> None:
        """Take in the rows as they are now."""
        gone: list[Part] = []
        come: list[Part] = []
        if self.row is not row or not touched.ports.isdisjoint(self._listed):
            gone += self._survey(database, row)
            to_look_at: Iterable[str] = self._plugs
        else:
            to_look_at = self._affected(touched)
        for uuid in breathing(to_look_at):
            port, plugs = self._plugs[uuid]
            old = self._parts.get(uuid)
            interfaces = [(name, database.interfaces.get(name), taken) for name, taken in plugs]
            if old is not None and old.still(port, interfaces, zones) and old.answered_alike(index, touched.names):
                continue
            part = self._parts[uuid] = Part(self.place, port, interfaces, zones, index)
            if old is None or not part.becomes(old):
                self._bridge = None
            gone += [] if old is None else [old]
            come.append(part)
        # All that go before any that comes: an interface may have gone from one port to another.
        for part in breathing(gone):
            part.withdraw(contests)
        for part in breathing(come):
            part.enter(contests)

    def _survey(self, database: Database, row: BridgeRow) -> list[Part]:
        """Which ports there are, and which interfaces they have; the parts that are no more."""
        plugs: dict[str, tuple[PortRow, tuple[tuple[str, bool], ...]]] = {}
        ports_of: dict[str, list[str]] = {}
        for uuid in breathing(row.ports):
            port = database.ports.get(uuid)
            if port is not None:
                plugs[uuid] = port, tuple((name, name in ports_of) for name in port.interfaces)
                for name in port.interfaces:
                    ports_of.setdefault(name, []).append(uuid)
        removed = [self._parts.pop(uuid) for uuid in self._parts.keys() - plugs.keys()]
        missing = tuple(uuid for uuid in row.ports if uuid not in plugs)
        if removed or self.row is not row or missing != self._missing:
            self._bridge = None
        self.row, self._listed, self._missing = row, frozenset(row.ports), missing
        # In the order in which the bridge's ports will stand, so that these are in order already, or nearly.
        self._plugs = dict(sorted(plugs.items(), key=lambda plug: plug[1][0].name))
        self._ports_of = ports_of
        return removed

    def _affected(self, touched: Touched) -> Iterable[str]:
        """The ports whose interfaces have changed, or of which the inventory says something else."""
        if touched.names is None:
            return self._plugs
        found = {uuid for name in touched.interfaces for uuid in self._ports_of.get(name, ())}
        if touched.names:
            found.update(uuid for uuid, part in self._parts.items() if part.mentions(touched.names))
        return found

    def end(self, contests: Contests) -> None:
        """The bridge is gone."""
        for part in self._parts.values():
            part.withdraw(contests)

    def finish(self, shut: Mapping[str, Problem], less: Mapping[str, Less], of_several: str | None) -> Bridge:
        """The bridge, with those candidates isolated that ``shut`` names by `topology.ports.holder`.

        ``less`` names those whose learned addresses do not all count. ``of_several`` names the bridges that have its
        datapath id, where it is not its own.
        """
        if self._bridge is None or self._finished_with != (of_several, shut, less):
            self._bridge = self._made(shut, less, of_several)
            self._finished_with = of_several, shut, less
        return self._bridge

    def _made(self, shut: Mapping[str, Problem], less: Mapping[str, Less], of_several: str | None) -> Bridge:
        row, where = self.row, self.place.where
        ports: list[Port] = []
        findings = [Finding("no-port", where, f"its port {uuid} is not in the database") for uuid in self._missing]
        for part in breathing(map(self._parts.__getitem__, self._plugs)):
            ports += part.ports
            findings += part.findings
            for candidate in part.candidates:
                who = candidate.port.holder
                if who not in shut and who not in less:
                    ports.append(candidate.port)
                    continue
                left = less.get(who)
                ports.append(_standing(candidate, shut, left))
                findings += [Finding("learned-address", candidate.where, why) for why in (left.why if left else ())]
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
            ports=tuple(sorted(_each_its_own(ports), key=_port_order)),
            findings=tuple(sorted(findings, key=lambda finding: (finding.where, finding.code, finding.message))),
        )


def _standing(candidate: Candidate, shut: Mapping[str, Problem], left: Less | None) -> Port:
    port = candidate.port
    problem = shut.get(port.holder)
    if problem is not None:
        return _shut(port, problem)
    if left is None:
        return port
    return replace(port, vnic=replace(port.vnic, addresses=left.addresses, learned=bool(left.addresses)))


def _shut(port: VnicPort, problem: Problem) -> IsolatedPort:
    code, reason = problem
    return IsolatedPort(port.name, port.ofport, reason, port.vnic.name, code, port.interface_uuid, port.tag)


def _each_its_own(ports: Sequence[Port]) -> Sequence[Port]:
    """The ports of a bridge, those shut that are said to have the same OpenFlow port: whose frames are they?

    A vNIC and its sub-ports are one interface, and have one.
    """
    interfaces = {*chain.from_iterable(map(_interfaces, ports))}
    if len(interfaces) == len({ofport for ofport, _ in interfaces}):
        return ports
    several = {ofport for ofport, count in Counter(ofport for ofport, _ in interfaces).items() if count > 1}
    found: list[Port] = []
    for port in ports:
        shared = several.intersection(ofport for ofport, _ in _interfaces(port))
        if isinstance(port, IsolatedPort) or not shared:
            found.append(port)
            continue
        reason = f"several interfaces of the bridge have OpenFlow port {min(shared)}, this one among them"
        if isinstance(port, VnicPort):
            found.append(_shut(port, Problem("duplicate-ofport", reason)))
        else:
            found += [IsolatedPort(name, ofport, reason, None, "duplicate-ofport") for name, ofport in port.members]
    return found


def _interfaces(port: Port) -> Iterable[tuple[int, str | None]]:
    """A port's OpenFlow ports, and something that tells their interfaces apart."""
    if isinstance(port, UplinkPort):
        return [(ofport, name) for name, ofport in port.members]
    return [] if port.ofport is None else [(port.ofport, port.interface_uuid)]


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
