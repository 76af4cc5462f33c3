"""The operator's inventory: which VMs and networks there are, as the policy files say it. Frozen values only.

The policy loader makes these values; `topology.join` matches them with what OVSDB says.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from operator import is_

from topology.addresses import Prefix

DEFAULT_SCOPE = "default"
# 802.1Q reserves 4095.
MAX_VLAN = 4094
_IMPLICIT = re.compile(r"vlan-(0|[1-9][0-9]{0,3})")
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

    A *sub-port* has no port of its own: its frames come by that of its ``parent``, another vNIC of the VM (by
    iface-id), with the 802.1Q tag ``tag`` (1 to 4094). ``mac`` None: its parent's. ``network`` None: that of the VLAN
    with the tag's number.
    """

    iface_id: str
    mac: str | None = None
    addresses: tuple[Prefix, ...] = ()
    network: str | None = None
    place: Place | None = None
    trusted: bool = False
    roles: frozenset[str] = frozenset()
    parent: str | None = None
    tag: int = 0


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

    def sub_ports(self, parent: str) -> tuple[InventoryVnic, ...]:
        """The sub-ports of the vNIC with this iface-id."""
        return tuple(spec for spec in self.vnics if spec.parent == parent)


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


def differing(old: Inventory, new: Inventory) -> tuple[Sequence[Vm], Sequence[Vm]]:
    """The VMs that an inventory has no longer, and those that it has now; all, where networks are others.

    Those that are the same objects cost next to nothing.
    """
    if old is new:
        return (), ()
    if old.networks != new.networks:
        return old.vms, new.vms
    # Mostly what differs stands close together.
    start = _alike(old.vms, new.vms)
    end = min(_alike(reversed(old.vms), reversed(new.vms)), len(old.vms) - start, len(new.vms) - start)
    before, now = old.vms[start : len(old.vms) - end], new.vms[start : len(new.vms) - end]
    known, standing = set(map(id, before)), set(map(id, now))
    return [vm for vm in before if id(vm) not in standing], [vm for vm in now if id(vm) not in known]


def _alike(one: Iterable[Vm], other: Iterable[Vm]) -> int:
    """How many VMs are the same objects until one is not."""
    return len([*takewhile(bool, map(is_, one, other))])


def implicit_vlan(name: str) -> int | None:
    """The VLAN that `vlan-N` names where no network declares it; None for any other name."""
    found = _IMPLICIT.fullmatch(name)
    return int(found[1]) if found and int(found[1]) <= MAX_VLAN else None
