"""A vNIC as the rest of the program knows it: the join of inventory and OVSDB, or the inventory alone.

A policy is evaluated on these values; the flows of a port are compiled from them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from topology.addresses import Address, Prefix
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
    scopes = scopes_of(inventory)
    return tuple(vnic for vm in inventory.vms for vnic in vnics_of(vm, scopes))


def scopes_of(inventory: Inventory) -> Mapping[str, str]:
    """The scope of each network, by its name."""
    return {network.name: network.scope for network in inventory.networks}


def vnics_of(vm: Vm, scopes: Mapping[str, str]) -> tuple[Vnic, ...]:
    """A VM's vNICs, as the inventory alone has them."""
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
