"""What the join of OVSDB and inventory says about each bridge: its ports, each of one of three kinds, and findings.

These are the values that flows are compiled from. `topology.join.resolve` makes them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

from topology.shared_map import SharedMap, shared
from topology.vnic import Vnic

# OVSDB's number of a bridge's own port (OFPP_LOCAL of OpenFlow 1.0); OpenFlow 1.1 and later write it 0xfffffffe.
OFPORT_LOCAL = 65534


@dataclass(frozen=True, slots=True)
class Finding:
    """Something the operator should know. ``where`` is ``host``, ``host/bridge`` or ``host/bridge/port``.

    ``code`` is stable and short, for metrics and tests; ``message`` is for people.
    """

    code: str
    where: str
    message: str

    def __str__(self) -> str:
        return f"{self.where}: {self.message}"


def holder(interface_uuid: str, tag: int) -> str:
    """Who keeps a zone and learned addresses at an interface: the vNIC of its frames with this tag (0: without)."""
    return f"{interface_uuid}.{tag}" if tag else interface_uuid


def port_name(interface: str, tag: int) -> str:
    """The name of a vNIC's port, as Linux names VLAN interfaces: ``tap1``, or ``tap1.20`` for a sub-port."""
    return f"{interface}.{tag}" if tag else interface


@dataclass(frozen=True, slots=True)
class VnicPort:
    """A port with a vNIC behind it. ``vlan`` is that of the vNIC's network; 0: untagged.

    ``tag`` is the 802.1Q tag by which the port's frames are this vNIC's: 0, those without; else the vNIC is a sub-port,
    and other vNICs have the same ``ofport`` and ``interface_uuid``. ``name`` is the interface's, a sub-port's with a
    point and its tag behind.

    ``zone`` is the conntrack zone that OVSDB holds for it; None until one is written (see `topology.zones`).
    ``vnic.mac`` is never None here. ``vnic.trusted`` takes the port out of the firewall.
    """

    name: str
    ofport: int
    vlan: int
    vnic: Vnic
    zone: int | None
    interface_uuid: str
    tag: int = 0

    @property
    def holder(self) -> str:
        """What tells it from all other vNICs' ports of its switch (see the function of that name)."""
        return holder(self.interface_uuid, self.tag)

    @property
    def ready(self) -> bool:
        """True if it has its conntrack zone, or needs none, being trusted: until then it is shut."""
        return self.zone is not None or self.vnic.trusted


@dataclass(frozen=True, slots=True)
class UplinkPort:
    """A port to the outside world; several ``members`` (interface name, ofport) make it a bond.

    VLANs are those of ovs-vswitchd.conf.db(5), table Port, brought into one form:

    ===============  ===========  ======================================  =============
    vlan_mode        native_vlan  trunks                                  tagged_native
    ===============  ===========  ======================================  =============
    access           tag (or 0)   ``()``                                  False
    trunk            None         as stated, None: all                    False
    native-tagged    tag (or 0)   as stated plus native, None: all        True
    native-untagged  tag (or 0)   as stated plus native, None: all        False
    ===============  ===========  ======================================  =============

    With ``native_vlan`` None a frame without tag is in VLAN 0. `carries`, `vlan_of` and `tags` say what follows.
    ``kind`` is ``patch``, ``tunnel`` or ``uplink``; ``peer`` is a patch port's other end (an interface's name).
    A member's ofport may be `OFPORT_LOCAL`.
    """

    name: str
    kind: str
    members: tuple[tuple[str, int], ...]
    native_vlan: int | None = None
    trunks: tuple[int, ...] | None = None
    tagged_native: bool = False
    bond_mode: str | None = None
    peer: str | None = None

    def carries(self, vlan: int) -> bool:
        """True if frames of the VLAN may come and go here."""
        if vlan == self.native_vlan:
            return True
        if self.trunks is None:
            # OVS takes VLAN 0 off a port whose frames without tag belong to another VLAN.
            return vlan != 0 or not self.native_vlan
        return vlan in self.trunks

    def vlan_of(self, tag: int | None) -> int | None:
        """The VLAN of a frame that comes in with this 802.1Q tag (None or 0: no tag); None: it is dropped."""
        if not tag:
            vlan = self.native_vlan or 0
            return vlan if self.carries(vlan) else None
        if self.trunks == ():
            # An access port: frames with a tag do not belong here.
            return None
        return tag if self.carries(tag) else None

    def tags(self, vlan: int) -> bool:
        """True if a frame of the VLAN, which the port carries, goes out with a tag."""
        return vlan != 0 and (vlan != self.native_vlan or self.tagged_native)


@dataclass(frozen=True, slots=True)
class IsolatedPort:
    """A shut interface and why, or only a sub-port, by ``tag``, of one (then ``name`` is as a `VnicPort`'s).

    ``name`` is the interface's; ``ofport`` None: there is nothing to shut yet.

    ``code`` is stable (metrics, tests), ``reason`` is for people; ``who`` is the vNIC as far as one is known.
    ``zoneless``: it waits for its OpenFlow port alone; those of its vNIC and the sub-ports, by `holder`, that have no
    conntrack zone yet.
    """

    name: str
    ofport: int | None
    reason: str
    who: str | None
    code: str
    interface_uuid: str | None = None
    tag: int = 0
    zoneless: tuple[str, ...] = ()


Other = UplinkPort | IsolatedPort
Port = VnicPort | Other


@dataclass(frozen=True)
class Bridge:
    """A bridge of a host. ``remote`` names the database it is in.

    ``dpid`` None: not known, or not its own (see findings); such a bridge cannot be reached by OpenFlow. ``in_band`` is
    OVS's default, which lets its own flows (ARP, DHCP, the controller's TCP) pass before ours.

    ``vnics``: the ports of vNICs, by `holder`; ``others``: all other ports, in the order of ``ports``. ``zoneless``:
    the vNICs, by `holder`, without a conntrack zone. Those that wait for their OpenFlow port are among them: by the
    time that the switch has made it, a vNIC is to have its zone.
    """

    remote: str
    uuid: str
    host: str
    name: str
    dpid: int | None
    fail_mode: str | None
    in_band: bool
    vnics: SharedMap[str, VnicPort] = field(default_factory=SharedMap)
    others: tuple[Other, ...] = ()
    zoneless: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()

    def with_ports(self, ports: Iterable[Port]) -> Bridge:
        """The same bridge with these ports, and no others."""
        found = tuple(ports)
        vnics = {port.holder: port for port in found if isinstance(port, VnicPort)}
        others = tuple(port for port in found if not isinstance(port, VnicPort))
        return replace(self, vnics=shared(vnics), others=others, zoneless=zoneless_of(found))

    @property
    def key(self) -> tuple[str, str]:
        """What tells it from all other bridges."""
        return self.remote, self.uuid

    @cached_property
    def ports(self) -> tuple[Port, ...]:
        """All ports, by name."""
        return tuple(sorted((*self.others, *(port for _, port in self.vnics.pairs())), key=port_order))

    @property
    def vnic_ports(self) -> Iterator[VnicPort]:
        return (port for port in self.ports if isinstance(port, VnicPort))

    @cached_property
    def by_zone(self) -> Mapping[int, VnicPort]:
        """The ports of vNICs that have a conntrack zone."""
        return {port.zone: port for _, port in self.vnics.pairs() if port.zone is not None}

    @property
    def uplinks(self) -> Iterator[UplinkPort]:
        return (port for port in self.others if isinstance(port, UplinkPort))

    @property
    def isolated(self) -> Iterator[IsolatedPort]:
        return (port for port in self.others if isinstance(port, IsolatedPort))


def zoneless_of(ports: Iterable[Port]) -> tuple[str, ...]:
    """Those of some ports' vNICs, by `holder`, that have no conntrack zone."""
    found: list[str] = []
    for port in ports:
        if isinstance(port, VnicPort):
            found += [port.holder] if port.zone is None else []
        elif isinstance(port, IsolatedPort):
            found += port.zoneless
    return tuple(found)


def interfaces_of(port: Port) -> Iterable[tuple[int, str | None]]:
    """A port's OpenFlow ports, and something that tells their interfaces apart."""
    if isinstance(port, UplinkPort):
        return [(ofport, name) for name, ofport in port.members]
    return [] if port.ofport is None else [(port.ofport, port.interface_uuid)]


def bridge_order(bridge: Bridge) -> tuple[str, str, str, str]:
    """The order of a topology's bridges."""
    return bridge.host, bridge.name, bridge.uuid, bridge.remote


def port_order(port: Port) -> tuple[str, str]:
    """The order of a bridge's ports."""
    return port.name, "" if isinstance(port, UplinkPort) else port.interface_uuid or ""


@dataclass(frozen=True, slots=True)
class Topology:
    """All bridges, sorted by host, name and UUID; ports sorted by name. ``findings`` repeats those of the bridges
    and adds the ones that belong to no single bridge."""

    bridges: tuple[Bridge, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def vnic_ports(self) -> Iterator[VnicPort]:
        return (port for bridge in self.bridges for port in bridge.vnic_ports)


class Move(NamedTuple):
    """The port of a vNIC as it was, and as it is; None: it was not there, or is not. ``bridge``: the bridge's key."""

    bridge: tuple[str, str]
    holder: str
    before: VnicPort | None
    now: VnicPort | None


def moves(old: Topology, new: Topology) -> Iterator[Move]:
    """The ports of vNICs in which two topologies differ; bridges that are the same objects are not looked into."""
    if old is new:
        return
    known = {bridge.key: bridge for bridge in old.bridges}
    nothing: SharedMap[str, VnicPort] = SharedMap()
    for bridge in new.bridges:
        before = known.pop(bridge.key, None)
        if before is not bridge:
            changes = bridge.vnics.changes_since(before.vnics if before is not None else nothing)
            yield from (Move(bridge.key, *change) for change in changes)
    for gone in known.values():
        yield from (Move(gone.key, holder, port, None) for holder, port in gone.vnics.pairs())
