"""Whose vNIC is it: a port's claims matched with the inventory, as the policy language says.

By iface-id, else by vm-id, else by MAC. Keys that point to different VMs are a disagreement, which isolates the port:
nothing is guessed. What the inventory states wins over OVSDB, and the difference is reported.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from topology.addresses import Prefix
from topology.claims import Claims, quote
from topology.inventory import DEFAULT_SCOPE, Inventory, InventoryVnic, Network, Vm, differing, implicit_vlan
from topology.vlans import Problem
from topology.vnic import Vnic


class Match(enum.IntEnum):
    """How a port was matched with the inventory; the larger, the more its claim to be that vNIC weighs."""

    UNKNOWN = 0
    MAC = 1
    VM_ID = 2
    IFACE_ID = 3


@dataclass(frozen=True, slots=True)
class Identity:
    """The vNIC of the inventory that a port is; both None: unknown to the inventory.

    A VM that lists no vNICs has a ``spec`` made of the port's iface-id.
    """

    match: Match
    vm: Vm | None = None
    spec: InventoryVnic | None = None


# What the inventory says of claims: by iface-id, vm-id, MAC and the VM's name; and the networks of the port's VLAN and
# of the sub-ports of these VMs.
Answer = tuple[
    tuple[Vm, InventoryVnic] | None,
    Vm | None,
    tuple[Vm, InventoryVnic] | None,
    Vm | None,
    Network | None,
    tuple[Network, ...],
]


@dataclass(frozen=True, slots=True)
class Moved:
    """VMs that an inventory has no longer, and new ones; ``all``: what the others mean may have changed too."""

    gone: Sequence[Vm] = ()
    new: Sequence[Vm] = ()
    all: bool = False

    def __bool__(self) -> bool:
        return bool(self.gone or self.new or self.all)

    def names(self) -> set[str]:
        """Every text by which claims may point to one of them."""
        found = {vm.name for vm in (*self.gone, *self.new)}
        for vm in (*self.gone, *self.new):
            found.update({vm.id} - {None})  # type: ignore[arg-type]
            found.update(text for spec in vm.vnics for text in (spec.iface_id, spec.mac) if text is not None)
        return found


class Index:
    """The inventory by its keys. Where a key occurs twice (the loader does not let it) the first one counts."""

    def __init__(self, inventory: Inventory) -> None:
        self._inventory = inventory
        self._fill(inventory)

    def _fill(self, inventory: Inventory) -> None:
        self.by_iface_id: dict[str, tuple[Vm, InventoryVnic]] = {}
        self.by_mac: dict[str, tuple[Vm, InventoryVnic]] = {}
        self.by_vm_id: dict[str, Vm] = {}
        self.by_name: dict[str, Vm] = {}
        self._ambiguous = False
        for vm in inventory.vms:
            self._add(vm)
        self._take_networks(inventory)

    def _add(self, vm: Vm) -> None:
        self._ambiguous |= self.by_name.setdefault(vm.name, vm) is not vm
        if vm.id is not None:
            self._ambiguous |= self.by_vm_id.setdefault(vm.id, vm) is not vm
        for spec in vm.vnics:
            entry = vm, spec
            self._ambiguous |= self.by_iface_id.setdefault(spec.iface_id, entry) is not entry
            mac = _mac_of_port(spec)
            if mac is not None:
                self._ambiguous |= self.by_mac.setdefault(mac, entry) is not entry

    def _remove(self, vm: Vm) -> None:
        del self.by_name[vm.name]
        if vm.id is not None:
            del self.by_vm_id[vm.id]
        for spec in vm.vnics:
            del self.by_iface_id[spec.iface_id]
            mac = _mac_of_port(spec)
            if mac is not None:
                del self.by_mac[mac]

    def take(self, inventory: Inventory) -> Moved:
        """Become the index of another inventory. VMs that are the same objects cost next to nothing."""
        old = self._inventory
        if inventory is old:
            return Moved()
        if not self._ambiguous and inventory.networks == old.networks:
            gone, new = differing(old, inventory)
            for vm in gone:
                self._remove(vm)
            for vm in new:
                self._add(vm)
            self._inventory = inventory
            if not self._ambiguous:
                return Moved(gone, new)
        # Names mean other networks, or only the whole inventory tells which one of several is the first.
        self._fill(inventory)
        return Moved(old.vms, inventory.vms, True)

    def _take_networks(self, inventory: Inventory) -> None:
        self._networks: dict[int, Network] = {}
        for network in inventory.networks:
            self._networks.setdefault(network.vlan, network)
        self._by_name = {network.name: network for network in inventory.networks}
        self._inventory = inventory

    def answer(self, claims: Claims, vlan: int | None) -> Answer:
        """All that `identify` and `make_vnic` look up."""
        by_iface = self.by_iface_id.get(claims.iface_id)
        by_vm = self.by_vm_id.get(claims.vm_id) if claims.vm_id is not None else None
        by_mac = self.by_mac.get(claims.mac) if claims.mac is not None else None
        vms = (by_iface and by_iface[0], by_vm, by_mac and by_mac[0])
        specs = (spec for vm in vms if vm is not None for spec in vm.vnics if spec.parent is not None)
        return (
            by_iface,
            by_vm,
            by_mac,
            self.by_name.get(claims.vm_name) if claims.vm_name is not None else None,
            self.network_of_vlan(vlan) if vlan is not None else None,
            tuple(map(self.network_of_sub_port, specs)),
        )

    def network_of_vlan(self, vlan: int) -> Network:
        """As `Inventory.network_of_vlan`, without the search."""
        network = self._networks.get(vlan)
        if network is None:
            network = self._networks[vlan] = self._inventory.network_of_vlan(vlan)
        return network

    def network_of_sub_port(self, spec: InventoryVnic) -> Network:
        """The network of a sub-port: its own, else that of the VLAN with its tag's number."""
        declared = self._by_name.get(spec.network or "")
        if declared is not None:
            return declared
        vlan = implicit_vlan(spec.network or "")
        return self.network_of_vlan(spec.tag if vlan is None else vlan)

    def stated_scope(self, spec: InventoryVnic) -> str:
        """The scope of a vNIC that no port tells the VLAN of: its stated network's, else the default."""
        network = self._by_name.get(spec.network or "")
        return network.scope if network is not None else DEFAULT_SCOPE


def _mac_of_port(spec: InventoryVnic) -> str | None:
    """The MAC by which a vNIC's port may be known; a sub-port has no port of its own."""
    return spec.mac if spec.parent is None else None


def identify(claims: Claims, index: Index) -> Identity | Problem:
    """The inventory's VM and vNIC that the claims point to, or why they point nowhere."""
    by_iface = index.by_iface_id.get(claims.iface_id)
    by_vm = index.by_vm_id.get(claims.vm_id) if claims.vm_id is not None else None
    by_mac = index.by_mac.get(claims.mac) if claims.mac is not None else None
    if by_iface is not None and by_iface[1].parent is not None:
        told = f"but in the inventory that is a sub-port, whose frames come by the port of {quote(by_iface[1].parent)}"
        return _differ(f"the port has iface-id {quote(claims.iface_id)}", told)
    if by_iface is not None:
        found = Identity(Match.IFACE_ID, *by_iface)
    elif by_vm is not None:
        spec = _vnic_of_vm(claims, by_vm, by_mac)
        if isinstance(spec, Problem):
            return spec
        found = Identity(Match.VM_ID, by_vm, spec)
    elif by_mac is not None:
        found = Identity(Match.MAC, *by_mac)
    else:
        found = Identity(Match.UNKNOWN)
    problem = _disagreement(claims, found, by_vm, by_mac, index)
    return problem if problem is not None else found


def _vnic_of_vm(claims: Claims, vm: Vm, by_mac: tuple[Vm, InventoryVnic] | None) -> InventoryVnic | Problem:
    """Which vNIC of a VM that was found by its vm-id."""
    if by_mac is not None and by_mac[0] is vm:
        return by_mac[1]
    if not vm.vnics:
        return InventoryVnic(claims.iface_id)
    own = [spec for spec in vm.vnics if spec.parent is None]
    if len(own) == 1:
        return own[0]
    mac = "there is no attached-mac" if claims.mac is None else f"none of them has MAC {claims.mac}"
    return Problem(
        "ambiguous-vnic",
        f"vm-id {quote(claims.vm_id or '')} is VM {vm.name}, which has {len(own)} vNICs in the inventory, and "
        f"which one this is cannot be told: none has iface-id {quote(claims.iface_id)}, and {mac}",
    )


def _disagreement(
    claims: Claims,
    found: Identity,
    by_vm: Vm | None,
    by_mac: tuple[Vm, InventoryVnic] | None,
    index: Index,
) -> Problem | None:
    """The first pair of statements about this port that cannot both be true."""
    vm, spec = found.vm, found.spec
    named = index.by_name.get(claims.vm_name) if claims.vm_name is not None else None
    if vm is None or spec is None:
        if named is None:
            return None
        return _differ(
            f"external_ids:vm-name says {named.name}",
            f"but no vNIC of that VM in the inventory has iface-id {quote(claims.iface_id)}, nor do vm-id or MAC match",
        )
    who = f"iface-id {quote(claims.iface_id)}" if found.match is Match.IFACE_ID else "the port"
    if by_vm is not None and by_vm is not vm:
        return _differ(f"{who} is VM {vm.name}", f"but vm-id {quote(claims.vm_id or '')} is VM {by_vm.name}")
    if claims.vm_id is not None and vm.id is not None and claims.vm_id != vm.id:
        return _differ(
            f"{who} is VM {vm.name}, whose id in the inventory is {quote(vm.id)}",
            f"but external_ids says vm-id {quote(claims.vm_id)}",
        )
    if claims.mac is not None and spec.mac is not None and claims.mac != spec.mac:
        return _differ(
            f"the inventory gives vNIC {vm.name}/{spec.iface_id} the MAC {spec.mac}",
            f"but external_ids:attached-mac is {claims.mac}",
        )
    if by_mac is not None and by_mac[1] is not spec:
        return _differ(
            f"{who} is {vm.name}/{spec.iface_id}",
            f"but MAC {claims.mac} is {by_mac[0].name}/{by_mac[1].iface_id} in the inventory",
        )
    if named is not None and named is not vm:
        return _differ(f"{who} is VM {vm.name}", f"but external_ids:vm-name says {named.name}")
    return None


def _differ(one: str, other: str) -> Problem:
    return Problem("disagreement", f"{one}, {other}")


def make_vnic(
    claims: Claims, identity: Identity, network: Network, host: str, bridge: str
) -> tuple[Vnic, tuple[tuple[str, str], ...]] | Problem:
    """The vNIC as policy sees it, and the differences that the inventory has decided, as (code, message).

    The network is that of the port's VLAN; what the inventory states about it must agree. A value of OVSDB that cannot
    be read isolates the port where it would have counted.
    """
    vm, spec = identity.vm, identity.spec
    if spec is not None and spec.network is not None and spec.network != network.name:
        return Problem(
            "wrong-network",
            f"the inventory puts this vNIC into network {spec.network}, "
            f"but the port's VLAN {network.vlan} is network {network.name}",
        )
    overruled = _overruled(vm, spec)
    for key, problem in claims.problems.items():
        if key not in overruled:
            return Problem("bad-value", problem)
    mac = claims.mac or (spec.mac if spec is not None else None)
    if mac is None:
        return Problem("no-mac", "its MAC is not known: neither external_ids:attached-mac nor the inventory states it")
    if vm is None or spec is None:
        unknown = Vnic(
            claims.iface_id,
            vm=claims.vm_name,
            vm_id=claims.vm_id,
            tenant=claims.tenant,
            labels=claims.labels,
            mac=mac,
            addresses=claims.addresses,
            network=network.name,
            scope=network.scope,
            host=host,
            bridge=bridge,
        )
        return unknown, ()
    vnic = Vnic(
        spec.iface_id,
        vm=vm.name,
        vm_id=vm.id if vm.id is not None else claims.vm_id,
        tenant=vm.tenant if vm.tenant is not None else claims.tenant,
        labels={**claims.labels, **vm.labels} if claims.labels else vm.labels,
        mac=mac,
        addresses=spec.addresses or claims.addresses,
        network=network.name,
        scope=network.scope,
        host=host,
        bridge=bridge,
        trusted=vm.trusted or spec.trusted,
        roles=vm.roles | spec.roles,
    )
    return vnic, _differences(claims, identity, vm, spec)


def make_sub_port(parent: Vnic, vm: Vm, spec: InventoryVnic, network: Network) -> Vnic:
    """The vNIC of a sub-port: of the same VM and in the same place, and nothing else of its parent's but the MAC."""
    return replace(
        parent,
        id=spec.iface_id,
        mac=spec.mac or parent.mac,
        addresses=spec.addresses,
        network=network.name,
        scope=network.scope,
        trusted=False,
        roles=vm.roles | spec.roles,
    )


def _overruled(vm: Vm | None, spec: InventoryVnic | None) -> set[str]:
    """The keys of external_ids whose values do not count, since the inventory states them."""
    if vm is None or spec is None:
        return set()
    stated = {"vm-name": True, "tenant": vm.tenant is not None, "addresses": bool(spec.addresses)}
    return {key for key in stated if stated[key]}


def _differences(
    claims: Claims, identity: Identity, vm: Vm, spec: InventoryVnic
) -> tuple[tuple[str, str], ...]:
    """Where OVSDB and the inventory say different things and the inventory has won."""
    told = [("bad-value", f"{problem} (the inventory's value holds)") for problem in claims.problems.values()]

    def differ(what: str, ours: str, theirs: str) -> None:
        told.append(("inventory-wins", f"{what} is {ours} in the inventory, {theirs} in OVSDB: the inventory's holds"))

    if claims.vm_name is not None and claims.vm_name != vm.name:
        differ("the VM's name", vm.name, claims.vm_name)
    if claims.tenant is not None and vm.tenant is not None and claims.tenant != vm.tenant:
        differ(f"the tenant of {vm.name}", vm.tenant, claims.tenant)
    for key, value in _conflicts(vm.labels, claims.labels):
        differ(f"label {key} of {vm.name}", quote(vm.labels[key]), quote(value))
    if claims.addresses and spec.addresses and set(claims.addresses) != set(spec.addresses):
        differ(f"what {vm.name}/{spec.iface_id} may use", _listed(spec.addresses), _listed(claims.addresses))
    if identity.match is not Match.IFACE_ID and spec.iface_id not in (vm.name, claims.iface_id):
        by = "vm-id" if identity.match is Match.VM_ID else "MAC"
        told.append(
            (
                "other-iface-id",
                f"matched by {by} with {vm.name}/{spec.iface_id}, though OVSDB says iface-id {quote(claims.iface_id)}",
            )
        )
    return tuple(told)


def _conflicts(ours: Mapping[str, str], theirs: Mapping[str, str]) -> list[tuple[str, str]]:
    return [(key, value) for key, value in sorted(theirs.items()) if ours.get(key, value) != value]


def _listed(addresses: tuple[Prefix, ...]) -> str:
    return ", ".join(map(str, addresses[:8])) + (", …" if len(addresses) > 8 else "")
