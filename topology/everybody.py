"""Every vNIC that is known: those on ports, and those of the inventory that have no port now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from topology.bags import Bags, put_in, take_out
from topology.breath import breathing
from topology.inventory import Inventory, differing
from topology.ports import Bridge, Topology, bridge_order, moves, port_order
from topology.shared_map import SharedMap
from topology.vnic import Vnic, scopes_of, vnics_of


class Everybody:
    """All vNICs, one time after the other; what stays as it was is not looked into."""

    def __init__(self) -> None:
        self._inventory = Inventory()
        self._offline: dict[str, Vnic] = {}
        self._topology = Topology()
        # The ports that each vNIC is on: their bridges, by `Bridge.key`, and holders.
        self._ports: Bags[str, tuple[tuple[str, str], str]] = {}
        self._known: SharedMap[str, Vnic] = SharedMap()

    def known(self, inventory: Inventory, topology: Topology) -> SharedMap[str, Vnic]:
        """All vNICs by id. Of one that is on several ports the first counts; one on a port counts as it is there.

        A port that waits for its conntrack zone is shut, and nobody need know of its vNIC: the change that brings it
        all is the first.
        """
        touched = [*self._take_inventory(inventory), *self._take_topology(topology)]
        if touched:
            bridges = {bridge.key: bridge for bridge in topology.bridges}
            self._known = self._known.with_changes({name: self._found(name, bridges) for name in breathing(touched)})
        return self._known

    def _take_inventory(self, inventory: Inventory) -> Iterator[str]:
        """The vNICs of which the inventory says something else now."""
        gone, new = differing(self._inventory, inventory)
        for vm in gone:
            for spec in vm.vnics:
                self._offline.pop(spec.iface_id, None)
                yield spec.iface_id
        scopes = scopes_of(inventory) if new else {}
        for vm in breathing(new):
            for vnic in vnics_of(vm, scopes):
                self._offline[vnic.id] = vnic
                yield vnic.id
        self._inventory = inventory

    def _take_topology(self, topology: Topology) -> Iterator[str]:
        """The vNICs that have come to a port, have gone from one, or are something else there."""
        for bridge, holder, before, now in breathing(moves(self._topology, topology)):
            if before is not None and before.ready:
                take_out(self._ports, before.vnic.id, (bridge, holder))
                yield before.vnic.id
            if now is not None and now.ready:
                put_in(self._ports, now.vnic.id, (bridge, holder))
                yield now.vnic.id
        self._topology = topology

    def _found(self, name: str, bridges: Mapping[tuple[str, str], Bridge]) -> Vnic | None:
        on = [(bridges[bridge], bridges[bridge].vnics[holder]) for bridge, holder in self._ports.get(name, ())]
        if not on:
            return self._offline.get(name)
        first = on[0] if len(on) == 1 else min(on, key=lambda each: (bridge_order(each[0]), port_order(each[1])))
        return first[1].vnic
