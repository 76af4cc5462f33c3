"""Who is on which port: OVSDB rows and the inventory joined into the values that flows are compiled from.

Pure: the same rows and inventory give the same topology, whatever the order in which they came. Nothing that OVSDB
holds makes it fail; what cannot be understood is isolated or reported.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import translate

from topology.claims import quote, read_claims, shown, stated_iface_id
from topology.conflicts import Candidate, conflicts, migrations
from topology.identity import Index, identify, make_vnic
from topology.inventory import Inventory
from topology.ports import OFPORT_LOCAL, Bridge, Finding, IsolatedPort, Port, Topology, UplinkPort, VnicPort
from topology.rows import BridgeRow, Database, InterfaceRow, PortRow
from topology.vlans import Problem, uplink_vlans, vnic_vlan
from topology.zones import holders

__all__ = ["Bridge", "Finding", "IsolatedPort", "Port", "Topology", "UplinkPort", "VnicPort", "resolve"]

PATCH_TYPES = frozenset({"patch"})
TUNNEL_TYPES = frozenset({"vxlan", "geneve", "gre", "ip6gre", "erspan", "ip6erspan", "stt", "lisp", "gtpu", "bareudp"})


def resolve(
    databases: Mapping[str, Database],
    inventory: Inventory,
    uplink_globs: Iterable[str] = (),
    bridge_globs: Iterable[str] = ("*",),
) -> Topology:
    """The bridges whose names match one of ``bridge_globs``, with every interface of theirs in exactly one port.

    ``databases`` are by remote. ``uplink_globs`` are shell globs on port names, beside ``external_ids:role=uplink``.
    """
    index = Index(inventory)
    uplinks, ours = _globs(uplink_globs), _globs(bridge_globs)
    drafts: list[_Draft] = []
    for remote in sorted(databases):
        database = databases[remote]
        zones = holders(database)
        drafts.extend(
            _Draft(database, row, zones, index, uplinks) for row in database.bridges.values() if ours.match(row.name)
        )
    drafts.sort(key=lambda draft: (draft.host, draft.row.name, draft.row.uuid, draft.remote))
    _claim_datapath_ids(drafts)
    candidates = sorted(
        (candidate for draft in drafts for candidate in draft.candidates),
        key=lambda candidate: (candidate.where, candidate.remote, candidate.port.interface_uuid),
    )
    lost = conflicts(candidates, inventory, index)
    shut = {(candidates[number].remote, candidates[number].port.interface_uuid): lost[number] for number in lost}
    bridges = tuple(draft.finish(shut) for draft in drafts)
    standing = [candidate for number, candidate in enumerate(candidates) if number not in lost]
    return Topology(
        bridges,
        tuple(finding for bridge in bridges for finding in bridge.findings) + tuple(migrations(standing)),
    )


def _globs(globs: Iterable[str]) -> re.Pattern[str]:
    """One expression for any of the globs; none of them: matches nothing."""
    return re.compile("|".join(translate(glob) for glob in globs) or r"(?!)")


class _Draft:
    """A bridge in the making: its ports are sorted into kinds one by one; vNICs stay candidates until all are known."""

    def __init__(
        self,
        database: Database,
        row: BridgeRow,
        zones: Mapping[str, int],
        index: Index,
        uplinks: re.Pattern[str],
    ) -> None:
        self.remote, self.host, self.row = database.remote, database.host, row
        self.dpid = row.datapath_id
        self.candidates: list[Candidate] = []
        self.findings: list[Finding] = []
        self._zones, self._index, self._uplinks = zones, index, uplinks
        self._where = f"{shown(self.host)}/{shown(row.name)}"
        self._ports: list[Port] = []
        self._seen: set[str] = set()
        for uuid in row.ports:
            port = database.ports.get(uuid)
            if port is None:
                self.report("no-port", f"its port {uuid} is not in the database")
            else:
                self._sort_in(port, database)

    def report(self, code: str, message: str, port: str | None = None) -> None:
        where = self._where if port is None else f"{self._where}/{shown(port)}"
        self.findings.append(Finding(code, where, message))

    def _sort_in(self, port: PortRow, database: Database) -> None:
        rows: list[InterfaceRow] = []
        for uuid in port.interfaces:
            row = database.interfaces.get(uuid)
            if row is None:
                reason = "its interface is not in the database"
                self._ports.append(IsolatedPort(port.name, None, reason, None, "no-interface", uuid))
            elif uuid in self._seen:
                self.report("shared-interface", "its interface belongs to another port too", port.name)
            else:
                self._seen.add(uuid)
                rows.append(row)
        if not rows:
            return
        who = next(filter(None, map(stated_iface_id, rows)), None)
        named = self._uplinks.match(port.name) is not None or any(
            row.external_ids.get("role") == "uplink" for row in rows
        )
        kind = _kind(rows, named)
        if who is not None:
            self._vnic(port, rows, who, kind, named)
        elif kind is not None:
            self._uplink(port, rows, kind)
        else:
            what = "this is the bridge's own port, and it" if rows[0].ofport == OFPORT_LOCAL else "it"
            reason = f"nobody's port: {what} has no iface-id and is not named as an uplink"
            self._isolate(rows, Problem("nobody", reason))

    def _vnic(self, port: PortRow, rows: Sequence[InterfaceRow], iface_id: str, kind: str | None, named: bool) -> None:
        if kind is not None:
            is_what = "is named as an uplink" if named else f"is a {kind} port"
            reason = f"it has iface-id {quote(iface_id)}, as a vNIC has, but also {is_what}"
            self._isolate(rows, Problem("vnic-and-uplink", reason), iface_id)
            return
        if len(rows) > 1:
            reason = f"bonds of vNICs are not supported (port {quote(port.name)} has {len(rows)} interfaces)"
            self._isolate(rows, Problem("bond", reason), iface_id)
            return
        row = rows[0]
        claims = read_claims(row, iface_id)
        identity = identify(claims, self._index)
        if isinstance(identity, Problem):
            self._isolate(rows, identity, iface_id)
            return
        vm, spec = identity.vm, identity.spec
        who = iface_id if vm is None or spec is None else f"{vm.name}/{spec.iface_id}"
        vlan = vnic_vlan(port)
        if isinstance(vlan, Problem):
            self._isolate(rows, vlan, who)
            return
        made = make_vnic(claims, identity, self._index.network_of_vlan(vlan), self.host, self.row.name)
        if isinstance(made, Problem):
            self._isolate(rows, made, who)
            return
        vnic, told = made
        if claims.inactive:
            self._isolate(rows, Problem("inactive", "external_ids:iface-status is inactive"), who)
            return
        for code, message in told:
            self.report(code, message, row.name)
        if row.ofport is None:
            self._isolate(rows, _no_ofport(row), who)
            return
        ready = VnicPort(row.name, row.ofport, vlan, vnic, self._zones.get(row.uuid), row.uuid)
        where = f"{self._where}/{shown(row.name)}"
        self.candidates.append(Candidate(self.remote, self.row.uuid, where, iface_id, ready, identity))

    def _uplink(self, port: PortRow, rows: Sequence[InterfaceRow], kind: str) -> None:
        vlans = uplink_vlans(port)
        if isinstance(vlans, Problem):
            self._isolate(rows, vlans)
            return
        members = tuple(sorted((row.name, row.ofport) for row in rows if row.ofport is not None))
        for row in rows:
            if row.ofport is None:
                self._isolate([row], _no_ofport(row))
        if members:
            peer = rows[0].options.get("peer") if kind == "patch" else None
            self._ports.append(UplinkPort(port.name, kind, members, *vlans, bond_mode=port.bond_mode, peer=peer))

    def _isolate(self, rows: Iterable[InterfaceRow], problem: Problem, who: str | None = None) -> None:
        code, reason = problem
        self._ports.extend(IsolatedPort(row.name, row.ofport, reason, who, code, row.uuid) for row in rows)

    def finish(self, shut: Mapping[tuple[str, str], Problem]) -> Bridge:
        """The bridge, with those candidates isolated that ``shut`` names by (remote, interface UUID)."""
        for candidate in self.candidates:
            port = candidate.port
            problem = shut.get((self.remote, port.interface_uuid))
            if problem is None:
                self._ports.append(port)
            else:
                code, reason = problem
                self._ports.append(
                    IsolatedPort(port.name, port.ofport, reason, port.vnic.name, code, port.interface_uuid)
                )
        if self.row.datapath_id is None:
            self.report("no-datapath-id", "it has no datapath id, so OpenFlow cannot reach it (is ovs-vswitchd up?)")
        return Bridge(
            remote=self.remote,
            uuid=self.row.uuid,
            host=self.host,
            name=self.row.name,
            dpid=self.dpid,
            fail_mode=self.row.fail_mode,
            in_band=self.row.other_config.get("disable-in-band", "").lower() != "true",
            ports=tuple(sorted(self._ports, key=_port_order)),
            findings=tuple(sorted(self.findings, key=lambda finding: (finding.where, finding.code, finding.message))),
        )

    @property
    def where(self) -> str:
        return self._where


def _kind(rows: Sequence[InterfaceRow], named: bool) -> str | None:
    """What kind of uplink these interfaces make; None: no uplink at all."""
    if all(row.type in PATCH_TYPES for row in rows):
        return "patch"
    if all(row.type in TUNNEL_TYPES for row in rows):
        return "tunnel"
    return "uplink" if named else None


def _no_ofport(row: InterfaceRow) -> Problem:
    return Problem("no-ofport", "no OpenFlow port yet" + (f": {quote(row.error)}" if row.error else ""))


def _port_order(port: Port) -> tuple[str, str]:
    return port.name, "" if isinstance(port, UplinkPort) else port.interface_uuid or ""


def _claim_datapath_ids(drafts: Sequence[_Draft]) -> None:
    """A datapath id of several bridges is nobody's: flows meant for one would reach another."""
    owners: dict[int, list[_Draft]] = {}
    for draft in drafts:
        if draft.dpid is not None:
            owners.setdefault(draft.dpid, []).append(draft)
    for dpid, several in owners.items():
        if len(several) > 1:
            everybody = ", ".join(draft.where for draft in several)
            for draft in several:
                draft.dpid = None
                draft.report("duplicate-datapath-id", f"several bridges have datapath id {dpid:016x}: {everybody}")
