"""A bridge in the making: its ports are sorted into kinds one by one; vNICs stay candidates until those of all bridges
are known.

What was made of each port is kept: the bridge that comes out is that of a new draft, in the time that the changes take.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import chain
from typing import NamedTuple

from topology.bags import Bags, put_in, take_out
from topology.breath import breathing
from topology.conflicts import Candidate, Contests, Less
from topology.identity import Index
from topology.learned import Source
from topology.part import Part, Place
from topology.ports import Bridge, Finding, IsolatedPort, Other, Port, VnicPort, interfaces_of, port_order, zoneless_of
from topology.rows import BridgeRow, Database, PortRow
from topology.shared_map import SharedMap
from topology.vlans import Problem


class Touched(NamedTuple):
    """What has changed: interfaces and ports by UUID; and the names of which the inventory says something else (None:
    all).
    """

    interfaces: set[str]
    ports: set[str]
    names: set[str] | None


class Against(NamedTuple):
    """What stands against ports: who is shut, whose learned addresses do not all count, each by
    `topology.ports.holder`; and the OpenFlow ports that several interfaces are said to have."""

    shut: Mapping[str, Problem]
    less: Mapping[str, Less]
    ofports: frozenset[int]


class Draft:
    """One bridge after the other, of one place. Ports are told apart by the UUIDs of their rows."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.row = BridgeRow(place.bridge_uuid, place.bridge)
        self._listed: frozenset[str] = frozenset()
        self._plugs: dict[str, PortRow] = {}
        self._parts: dict[str, Part] = {}
        # The ports that have an interface, that a name of the inventory is about, that a candidate is of, by its
        # holder, and that have an OpenFlow port; and the OpenFlow ports of several.
        self._ports_of: Bags[str, str] = {}
        self._about: Bags[str, str] = {}
        self._having: dict[str, str] = {}
        self._at: Bags[int, str] = {}
        self._crowded: set[int] = set()
        # The ports of which something has changed since the bridge was last finished.
        self._stale: set[str] = set()
        # What came of each port then: vNICs, by holder, and those of them without a zone; other ports; findings.
        self._vnics: dict[str, tuple[str, ...]] = {}
        self._standing: SharedMap[str, VnicPort] = SharedMap()
        self._zoneless: dict[str, tuple[str, ...]] = {}
        self._others: dict[str, list[Other]] = {}
        self._findings: dict[str, list[Finding]] = {}
        self._against = Against({}, {}, frozenset())
        self._of_several: str | None = None
        self._bridge = Bridge(place.remote, place.bridge_uuid, place.host, place.bridge, None, None, False)
        self._as_it_is = False

    def is_at(self, host: str, name: str, learn: frozenset[Source]) -> bool:
        """True if it is of this place."""
        return (self.place.host, self.place.bridge, self.place.learn) == (host, name, learn)

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
        stale = self._plug(database, row, touched.ports)
        gone = [(uuid, self._parts[uuid]) for uuid in stale if uuid in self._parts and uuid not in self._plugs]
        come: list[tuple[str, Part]] = []
        for uuid in breathing(self._plugs if touched.names is None else self._affected(stale, touched)):
            port, old = self._plugs[uuid], self._parts.get(uuid)
            interfaces = [
                (name, database.interfaces.get(name), uuid != min(self._ports_of[name])) for name in port.interfaces
            ]
            if old is not None and old.still(port, interfaces, zones) and old.answered_alike(index, touched.names):
                continue
            come.append((uuid, Part(self.place, port, interfaces, zones, index)))
            gone += [] if old is None else [(uuid, old)]
        # All that go before any that comes: an interface may have gone from one port to another.
        for uuid, part in breathing(gone):
            self._withdraw(uuid, part, contests)
        for uuid, part in breathing(come):
            self._enter(uuid, part, contests)

    def _plug(self, database: Database, row: BridgeRow, touched: set[str]) -> set[str]:
        """Find out which ports there are. Tells those that have come, gone or changed, or share an interface with one
        that has."""
        listed, stale = self._listed, touched & self._listed
        if row is not self.row:
            listed = frozenset(row.ports)
            stale = (touched & listed) | (listed ^ self._listed)
            self._as_it_is = False
        self._as_it_is &= not stale
        self.row, self._listed = row, listed
        names: set[str] = set()
        for uuid in breathing(stale):
            old, new = self._plugs.pop(uuid, None), database.ports.get(uuid) if uuid in listed else None
            before, after = ({*port.interfaces} if port is not None else set[str]() for port in (old, new))
            for name in before - after:
                take_out(self._ports_of, name, uuid)
            for name in after - before:
                put_in(self._ports_of, name, uuid)
            names |= before | after
            if new is not None:
                self._plugs[uuid] = new
        return stale.union(*(self._ports_of.get(name, ()) for name in names))

    def _affected(self, stale: set[str], touched: Touched) -> set[str]:
        """The ports that must be looked at: these, and those whose interfaces have changed, or of which the inventory
        says something else."""
        named = (self._about.get(name, ()) for name in touched.names or ())
        plugged = (self._ports_of.get(name, ()) for name in touched.interfaces)
        return {uuid for uuid in stale.union(*named, *plugged) if uuid in self._plugs}

    def _withdraw(self, uuid: str, part: Part, contests: Contests) -> None:
        part.withdraw(contests)
        del self._parts[uuid]
        self._stale.add(uuid)
        for name in part.names:
            take_out(self._about, name, uuid)
        for candidate in part.candidates:
            del self._having[candidate.port.holder]
        for ofport in part.ofports:
            take_out(self._at, ofport, uuid)
            self._count(ofport)

    def _enter(self, uuid: str, part: Part, contests: Contests) -> None:
        part.enter(contests)
        self._parts[uuid] = part
        self._stale.add(uuid)
        for name in part.names:
            put_in(self._about, name, uuid)
        for candidate in part.candidates:
            self._having[candidate.port.holder] = uuid
        for ofport in part.ofports:
            put_in(self._at, ofport, uuid)
            self._count(ofport)

    def _count(self, ofport: int) -> None:
        if len(self._at.get(ofport, ())) > 1:
            self._crowded.add(ofport)
        else:
            self._crowded.discard(ofport)

    def end(self, contests: Contests) -> None:
        """The bridge is gone."""
        for part in self._parts.values():
            part.withdraw(contests)

    def finish(self, shut: Mapping[str, Problem], less: Mapping[str, Less], of_several: str | None) -> Bridge:
        """The bridge, with those candidates isolated that ``shut`` names by `topology.ports.holder`.

        ``less`` names those whose learned addresses do not all count. ``of_several`` names the bridges that have its
        datapath id, where it is not its own.
        """
        against = Against(shut, less, frozenset(self._crowded))
        if against != self._against:
            self._stale |= self._concerned(against)
            self._against = against
        if self._stale or not self._as_it_is or of_several != self._of_several:
            self._of_several = of_several
            self._finish_ports()
            bridge = self._made(of_several)
            # What is equal stays what it was.
            self._bridge = self._bridge if bridge == self._bridge else bridge
            self._as_it_is = True
        return self._bridge

    def _concerned(self, against: Against) -> set[str]:
        """The ports against which something else stands now."""
        found: set[str] = set()
        for now, then in ((against.shut, self._against.shut), (against.less, self._against.less)):
            holders = (who for who in now.keys() | then.keys() if now.get(who) != then.get(who))
            found.update(self._having[who] for who in holders if who in self._having)
        return found.union(*(self._at.get(ofport, ()) for ofport in against.ofports ^ self._against.ofports))

    def _finish_ports(self) -> None:
        gone: dict[str, None] = {}
        come: dict[str, VnicPort] = {}
        for uuid in breathing(self._stale):
            for kept in (self._zoneless, self._others, self._findings):
                kept.pop(uuid, None)
            gone.update(dict.fromkeys(self._vnics.pop(uuid, ())))
            part = self._parts.get(uuid)
            if part is None:
                continue
            ports, findings = _ended(part, self._against)
            vnics = {port.holder: port for port in ports if isinstance(port, VnicPort)}
            come.update(vnics)
            self._vnics[uuid] = tuple(vnics)
            zoneless, others = zoneless_of(ports), [port for port in ports if not isinstance(port, VnicPort)]
            if zoneless:
                self._zoneless[uuid] = zoneless
            if others:
                self._others[uuid] = others
            if findings:
                self._findings[uuid] = findings
        self._stale.clear()
        self._standing = self._standing.with_changes({**gone, **come})

    def _made(self, of_several: str | None) -> Bridge:
        row, where = self.row, self.place.where
        missing = sorted(self._listed - self._plugs.keys())
        findings = [Finding("no-port", where, f"its port {uuid} is not in the database") for uuid in missing]
        findings += chain.from_iterable(self._findings.values())
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
            vnics=self._standing,
            others=tuple(sorted(chain.from_iterable(self._others.values()), key=port_order)),
            zoneless=tuple(sorted(chain.from_iterable(self._zoneless.values()))),
            findings=tuple(sorted(findings, key=lambda finding: (finding.where, finding.code, finding.message))),
        )


def _ended(part: Part, against: Against) -> tuple[list[Port], list[Finding]]:
    """What comes of a part."""
    ports: list[Port] = [*part.ports]
    findings = [*part.findings]
    for candidate in part.candidates:
        left = against.less.get(candidate.port.holder)
        ports.append(_standing(candidate, against.shut, left))
        findings += [Finding("learned-address", candidate.where, why) for why in (left.why if left else ())]
    return _each_its_own(ports, against.ofports), findings


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


def _each_its_own(ports: list[Port], several: frozenset[int]) -> list[Port]:
    """Those shut that are said to have an OpenFlow port that others have too: whose frames are they?"""
    if not several:
        return ports
    found: list[Port] = []
    for port in ports:
        shared = several.intersection(ofport for ofport, _ in interfaces_of(port))
        if isinstance(port, IsolatedPort) or not shared:
            found.append(port)
            continue
        reason = f"several interfaces of the bridge have OpenFlow port {min(shared)}, this one among them"
        if isinstance(port, VnicPort):
            found.append(_shut(port, Problem("duplicate-ofport", reason)))
        else:
            found += [IsolatedPort(name, ofport, reason, None, "duplicate-ofport") for name, ofport in port.members]
    return found
