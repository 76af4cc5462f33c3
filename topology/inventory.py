"""The operator's inventory: which VMs and networks there are, as the policy files say it. Frozen values only.

The policy loader makes these values; `topology.join` matches them with what OVSDB says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from topology.addresses import Prefix

DEFAULT_SCOPE = "default"
# What a firewalled vNIC may be for others, if the inventory says so.
DHCP_SERVER, ROUTER = "dhcp-server", "router"
ROLES = (DHCP_SERVER, ROUTER)


@dataclass(frozen=True, slots=True)
class Place:
    """Where something was written: file as the loader was given it, line and column from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Network:
    """A named VLAN. ``vlan`` is 0 (untagged) to 4094; ``scope`` names the address scope."""

    name: str
    vlan: int
    scope: str = DEFAULT_SCOPE


@dataclass(frozen=True, slots=True)
class InventoryVnic:
    """One vNIC of a VM in the inventory. ``mac`` None: not stated. ``network`` None: not stated.

    ``trusted``: this vNIC is taken out of the firewall. ``roles``: those of `ROLES` that it has beside its VM's.
    """

    iface_id: str
    mac: str | None = None
    addresses: tuple[Prefix, ...] = ()
    network: str | None = None
    place: Place | None = None
    trusted: bool = False
    roles: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Vm:
    """One VM of the inventory. ``id`` is OVSDB's ``vm-id``; None: not stated.

    ``trusted`` and ``roles`` go for all its vNICs.
    """

    name: str
    id: str | None = None
    tenant: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    vnics: tuple[InventoryVnic, ...] = ()
    place: Place | None = None
    trusted: bool = False
    roles: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Inventory:
    """All VMs and declared networks. Names are unique; MACs and iface-ids too (the loader has checked)."""

    vms: tuple[Vm, ...] = ()
    networks: tuple[Network, ...] = ()

    def network_of_vlan(self, vlan: int) -> Network:
        """The declared network of a VLAN, else the implicit ``vlan-N`` in the default scope."""
        for network in self.networks:
            if network.vlan == vlan:
                return network
        return Network(f"vlan-{vlan}", vlan)
