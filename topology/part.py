"""One port of a bridge: which of the three kinds it is, by its rows in OVSDB and what the inventory says of it.

What comes out is a function of what goes in, and is kept until something of that changes (`Part.still`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_network
from itertools import chain

from topology.claims import Claims, quote, read_claims, shown, stated_iface_id
from topology.conflicts import Candidate, Contests
from topology.identity import Answer, Identity, Index, identify, make_sub_port, make_vnic
from topology.learned import Source, read_learned
from topology.ports import (
    OFPORT_LOCAL,
    Finding,
    IsolatedPort,
    Other,
    UplinkPort,
    VnicPort,
    holder,
    interfaces_of,
    port_name,
)
from topology.rows import InterfaceRow, PortRow
from topology.vlans import Problem, refused_tag, uplink_vlans, vnic_vlan
from topology.vnic import Vnic

PATCH_TYPES = frozenset({"patch"})
TUNNEL_TYPES = frozenset({"vxlan", "geneve", "gre", "ip6gre", "erspan", "ip6erspan", "stt", "lisp", "gtpu", "bareudp"})

# An interface of a port: its UUID, its row if there is one, and whether another port of the bridge has it already.
Interface = tuple[str, InterfaceRow | None, bool]


@dataclass(frozen=True, slots=True)
class Place:
    """The bridge that a port is on, as far as it matters to the port. ``where`` as in `Finding`.

    ``learn``: from where vNICs without stated addresses may have learned some.
    """

    remote: str
    host: str
    bridge: str
    bridge_uuid: str
    uplinks: re.Pattern[str]
    learn: frozenset[Source] = frozenset()

    @property
    def where(self) -> str:
        return f"{shown(self.host)}/{shown(self.bridge)}"


class Part:
    """A port. A vNIC and its sub-ports stay ``candidates`` until those of all bridges are known."""

    def __init__(
        self, place: Place, port: PortRow, interfaces: Sequence[Interface], zones: Mapping[str, int], index: Index
    ) -> None:
        self.ports: list[Other] = []
        self.findings: list[Finding] = []
        self.candidates: list[Candidate] = []
        self.claims: Claims | None = None
        self._place, self._index = place, index
        # The zones of its vNICs, as ``zones`` has them now.
        self._all_zones, self._zones = zones, dict[str, int | None]()
        self._port, self._interfaces = port, interfaces
        self._sort_in(port, interfaces)
        self._answer = self._asked(index)
        claims = self.claims
        # The names by which it may be meant in the inventory.
        found = (claims.iface_id, claims.vm_id, claims.mac, claims.vm_name) if claims is not None else ()
        self.names: frozenset[str] = frozenset(filter(None, found))
        # Its OpenFlow ports, one for each interface. A vNIC and its sub-ports are one interface.
        ports = (*self.ports, *(candidate.port for candidate in self.candidates))
        self.ofports = [ofport for ofport, _ in {*chain.from_iterable(map(interfaces_of, ports))}]

    def enter(self, contests: Contests) -> None:
        """Have its candidates count among all."""
        for candidate in self.candidates:
            contests.add(candidate)

    def withdraw(self, contests: Contests) -> None:
        """Have them count no longer."""
        for candidate in self.candidates:
            contests.remove(candidate)

    def still(self, port: PortRow, interfaces: Sequence[Interface], zones: Mapping[str, int]) -> bool:
        """True if these are the rows (the same objects) and the zones that it was made of."""
        return (
            self._port is port
            and all(zones.get(holder) == zone for holder, zone in self._zones.items())
            and len(self._interfaces) == len(interfaces)
            and all(
                mine[1] is other[1] and mine[2] == other[2]
                for mine, other in zip(self._interfaces, interfaces, strict=True)
            )
        )

    def answered_alike(self, index: Index, names: set[str] | None) -> bool:
        """True if the inventory says of it what it did; of ``names`` it may say something else (None: of all)."""
        return (names is not None and names.isdisjoint(self.names)) or self._asked(index) == self._answer

    def _asked(self, index: Index) -> Answer | None:
        vlan = vnic_vlan(self._port, trunk=True)
        return None if self.claims is None else index.answer(self.claims, None if isinstance(vlan, Problem) else vlan)

    def _report(self, code: str, message: str, port: str) -> None:
        self.findings.append(Finding(code, f"{self._place.where}/{shown(port)}", message))

    def _sort_in(self, port: PortRow, interfaces: Sequence[Interface]) -> None:
        rows: list[InterfaceRow] = []
        for uuid, row, seen in interfaces:
            if row is None:
                reason = "its interface is not in the database"
                self.ports.append(IsolatedPort(port.name, None, reason, None, "no-interface", uuid))
            elif seen:
                self._report("shared-interface", "its interface belongs to another port too", port.name)
            else:
                rows.append(row)
        if not rows:
            return
        who = next(filter(None, map(stated_iface_id, rows)), None)
        named = self._place.uplinks.match(port.name) is not None or any(
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

    def _vnic(
        self,
        port: PortRow,
        rows: Sequence[InterfaceRow],
        iface_id: str,
        kind: str | None,
        named: bool,
    ) -> None:
        index = self._index
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
        self.claims = claims = read_claims(row, iface_id)
        identity = identify(claims, index)
        if isinstance(identity, Problem):
            self._isolate(rows, identity, iface_id)
            return
        vm, spec = identity.vm, identity.spec
        who = iface_id if vm is None or spec is None else f"{vm.name}/{spec.iface_id}"
        subs = () if vm is None or spec is None else vm.sub_ports(spec.iface_id)
        vlan = vnic_vlan(port, trunk=bool(subs))
        if isinstance(vlan, Problem):
            self._isolate(rows, vlan, who)
            return
        made = make_vnic(claims, identity, index.network_of_vlan(vlan), self._place.host, self._place.bridge)
        if isinstance(made, Problem):
            self._isolate(rows, made, who)
            return
        vnic, told = made
        if claims.inactive:
            self._isolate(rows, Problem("inactive", "external_ids:iface-status is inactive"), who)
            return
        for code, message in told:
            self._report(code, message, row.name)
        if row.ofport is None:
            waiting = (row.uuid, *(holder(row.uuid, sub.tag) for sub in subs if refused_tag(port, sub.tag) is None))
            zoneless = tuple(each for each in waiting if self._zone_of(each) is None)
            self._isolate(rows, _no_ofport(row), who, zoneless=zoneless)
            return
        self._stand(row, row.ofport, iface_id, vnic, identity, vlan)
        for sub in subs:
            assert vm is not None
            problem = refused_tag(port, sub.tag)
            if problem is not None:
                self._isolate(rows, problem, f"{vm.name}/{sub.iface_id}", sub.tag)
                continue
            network = index.network_of_sub_port(sub)
            own = make_sub_port(vnic, vm, sub, network)
            who_it_is = replace(identity, spec=sub)
            self._stand(row, row.ofport, sub.iface_id, own, who_it_is, network.vlan, sub.tag)

    def _stand(
        self, row: InterfaceRow, ofport: int, iface_id: str, vnic: Vnic, identity: Identity, vlan: int, tag: int = 0
    ) -> None:
        """A vNIC is a candidate."""
        name, who = port_name(row.name, tag), holder(row.uuid, tag)
        learned, wrong = read_learned(vnic, row, who, self._place.learn)
        if wrong is not None:
            self._report(*wrong, name)
        if learned:
            vnic = replace(vnic, addresses=tuple(ip_network(entry.address) for entry in learned), learned=True)
        port = VnicPort(name, ofport, vlan, vnic, self._zone_of(who), row.uuid, tag)
        where = f"{self._place.where}/{shown(name)}"
        self.candidates.append(
            Candidate(self._place.remote, self._place.bridge_uuid, where, iface_id, port, identity, learned)
        )

    def _zone_of(self, who: str) -> int | None:
        """The zone of a vNIC, by `topology.ports.holder`; with another one this would be another part."""
        zone = self._zones[who] = self._all_zones.get(who)
        return zone

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
            self.ports.append(UplinkPort(port.name, kind, members, *vlans, bond_mode=port.bond_mode, peer=peer))

    def _isolate(
        self,
        rows: Iterable[InterfaceRow],
        problem: Problem,
        who: str | None = None,
        tag: int = 0,
        *,
        zoneless: tuple[str, ...] = (),
    ) -> None:
        code, reason = problem
        self.ports.extend(
            IsolatedPort(port_name(row.name, tag), row.ofport, reason, who, code, row.uuid, tag, zoneless)
            for row in rows
        )


def _kind(rows: Sequence[InterfaceRow], named: bool) -> str | None:
    """What kind of uplink these interfaces make; None: no uplink at all."""
    if all(row.type in PATCH_TYPES for row in rows):
        return "patch"
    if all(row.type in TUNNEL_TYPES for row in rows):
        return "tunnel"
    return "uplink" if named else None


def _no_ofport(row: InterfaceRow) -> Problem:
    return Problem("no-ofport", "no OpenFlow port yet" + (f": {quote(row.error)}" if row.error else ""))
