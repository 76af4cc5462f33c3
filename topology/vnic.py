"""A vNIC as the rest of the program knows it: the join of inventory and OVSDB, or the inventory alone.

A policy is evaluated on these values; the flows of a port are compiled from them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from topology.addresses import Address, Prefix
from topology.breath import breathing
from topology.inventory import DEFAULT_SCOPE, Inventory, Vm


@dataclass(frozen=True, slots=True)
class Vnic:
    """Identity and attributes of one vNIC.

    ``id`` is the iface-id. ``vm`` is None for an unknown vNIC (no VM claims it). ``network``, ``host`` and ``bridge``
    are None where only files are known: a selector then sees a missing label. ``trusted`` takes
    the vNIC out of the firewall; ``roles`` (of `topology.inventory.ROLES`) are what it may be for others. Both are the
    inventory's word only. ``learned``: neither inventory nor OVSDB state its addresses, they were learned
    (`topology.learned`).
    """

    id: str
    vm: str | None = None
    vm_id: str | None = None
    tenant: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    mac: str | None = None
    addresses: tuple[Prefix, ...] = ()
    network: str | None = None
    scope: str = DEFAULT_SCOPE
    host: str | None = None
    bridge: str | None = None
    trusted: bool = False
    roles: frozenset[str] = frozenset()
    learned: bool = False

    @property
    def name(self) -> str:
        """``VM/IFACE-ID``, or the iface-id alone for an unknown vNIC."""
        return f"{self.vm}/{self.id}" if self.vm is not None else self.id

    def owns(self, address: Address) -> bool:
        """True if the vNIC may use the address."""
        return any(address.version == prefix.version and address in prefix for prefix in self.addresses)


def offline_vnics(inventory: Inventory) -> tuple[Vnic, ...]:
    """The vNICs of the inventory alone, as commands that work on files see them."""
    scopes = _scopes(inventory)
    return tuple(vnic for vm in inventory.vms for vnic in _of_vm(vm, scopes))


def _scopes(inventory: Inventory) -> Mapping[str, str]:
    return {network.name: network.scope for network in inventory.networks}


def _of_vm(vm: Vm, scopes: Mapping[str, str]) -> tuple[Vnic, ...]:
    macs = {spec.iface_id: spec.mac for spec in vm.vnics}
    return tuple(
        Vnic(
            id=spec.iface_id,
            vm=vm.name,
            vm_id=vm.id,
            tenant=vm.tenant,
            labels=vm.labels,
            mac=spec.mac or macs.get(spec.parent or ""),
            addresses=spec.addresses,
            network=spec.network,
            scope=scopes.get(spec.network or "", DEFAULT_SCOPE),
            trusted=vm.trusted or spec.trusted,
            roles=vm.roles | spec.roles,
        )
        for spec in vm.vnics
    )


class Plugged(Protocol):
    """A port that has a vNIC."""

    @property
    def vnic(self) -> Vnic: ...


class Everybody:
    """Every vNIC that is known: those on ports, and those of the inventory that have no port now.

    Keeps what it made of a VM for as long as that VM is the same object.
    """

    def __init__(self) -> None:
        self._inventory: Inventory | None = None
        self._scopes: Mapping[str, str] = {}
        self._of_vm: dict[str, tuple[Vm, tuple[Vnic, ...]]] = {}
        self._offline: dict[str, Vnic] = {}

    def known(self, inventory: Inventory, ports: Iterable[Plugged]) -> Mapping[str, Vnic]:
        """All vNICs by id. Of one that is on several ports the first counts; one on a port counts as it is there."""
        if inventory is not self._inventory:
            self._take(inventory)
        live: dict[str, Vnic] = {}
        for port in ports:
            live.setdefault(port.vnic.id, port.vnic)
        return {**self._offline, **live}

    def _take(self, inventory: Inventory) -> None:
        scopes = _scopes(inventory)
        vms = {vm.name: vm for vm in inventory.vms}
        if scopes != self._scopes:
            self._of_vm, self._offline = {}, {}
        gone = [name for name, (vm, _) in self._of_vm.items() if vms.get(name) is not vm]
        for name in gone:
            for vnic in self._of_vm.pop(name)[1]:
                self._offline.pop(vnic.id, None)
        for name, vm in breathing(vms.items()):
            if name not in self._of_vm:
                self._of_vm[name] = vm, _of_vm(vm, scopes)
                self._offline.update((vnic.id, vnic) for vnic in self._of_vm[name][1])
        self._inventory, self._scopes = inventory, scopes
