"""The firewalled vNICs of one bridge, who of them owns which address, and which identities they can have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from policy.flows.identity import Identities, Members
from policy.flows.places import Place, PlaceIndex
from topology.ports import VnicPort

Numbers = frozenset[int]


class LocalVnics:
    """The vNICs, by zone, from one time to the next.

    ``owners``: whose a prefix is. ``ranges``: those of more than one address. ``opening``: the identities under which a
    vNIC here can open connections. ``meant``: these, and those under which connections and floods can be for one.
    """

    def __init__(self) -> None:
        self.by_zone: Mapping[int, VnicPort] = {}
        self.owners: dict[Place, int] = {}
        self.ranges = PlaceIndex()
        self.opening: Numbers = frozenset()
        self.meant: Numbers = frozenset()
        self._wide: dict[int, VnicPort] = {}
        # Zones of vNICs with addresses that are in the identities only by what encloses them: another port of the same
        # vNIC says otherwise about its addresses, and counts.
        self._strays: set[int] = set()
        self._zones: dict[str, int] = {}
        # The sets of groups under which a vNIC opens connections or is meant by them.
        self._reach: dict[int, tuple[frozenset[Members], frozenset[Members]]] = {}

    def take(self, vnics: Mapping[int, VnicPort]) -> dict[int, VnicPort | None]:
        """These are there now. Tells the zones where that is new, with who was there."""
        before = self.by_zone
        moved = {zone for zone, port in vnics.items() if before.get(zone) is not port}
        moved.update(before.keys() - vnics.keys())
        for zone in moved & before.keys():
            self._remove(zone, before[zone])
        for zone in moved & vnics.keys():
            self._add(zone, vnics[zone])
        self.by_zone = vnics
        return {zone: before.get(zone) for zone in moved}

    def _remove(self, zone: int, port: VnicPort) -> None:
        for place in places_of(port):
            if self.owners.get(place) == zone:
                del self.owners[place]
        self._wide.pop(zone, None)
        self._strays.discard(zone)
        if self._zones.get(port.vnic.id) == zone:
            del self._zones[port.vnic.id]
        self._reach.pop(zone, None)

    def _add(self, zone: int, port: VnicPort) -> None:
        self.owners.update((place, zone) for place in places_of(port))
        if any(prefix.prefixlen < prefix.max_prefixlen for prefix in port.vnic.addresses):
            self._wide[zone] = port
        self._zones[port.vnic.id] = zone

    def regrouped(self, identities: Identities, last: Identities) -> tuple[set[int], set[int]]:
        """The zones of vNICs that are in other groups now; and of those with an address that is."""
        vnics: set[int] = set()
        addresses: set[int] = set()
        if identities.flooded is not last.flooded and identities.flooded != last.flooded:
            vnics.update(self.by_zone)
        if identities.of_vnic is not last.of_vnic:
            changed = (vnic for vnic, _, _ in identities.of_vnic.changes_since(last.of_vnic))
            vnics.update(self._zones[vnic] for vnic in changed if vnic in self._zones)
        if identities.blocks is not last.blocks:
            places = [place for place, _, _ in identities.blocks.changes_since(last.blocks)]
            addresses.update(self.owners[place] for place in places if place in self.owners)
            if places:
                addresses.update(self._wide, self._strays)
        return vnics, addresses

    def find(self, identities: Identities, moved: set[int]) -> None:
        """Find the identities again, after something has changed about the vNICs of these zones."""
        if not moved:
            return
        self.ranges = PlaceIndex(place for port in self._wide.values() for place in places_of(port))
        for zone in moved & self.by_zone.keys():
            port = self.by_zone[zone]
            groups = identities.of_vnic[port.vnic.id]
            own = {identities.at(*place) for place in places_of(port)}
            if any(place not in identities.blocks for place in places_of(port)):
                self._strays.add(zone)
            else:
                self._strays.discard(zone)
            floods = identities.flooded[port.vnic.scope]
            self._reach[zone] = frozenset(own), frozenset(groups | shared for shared in floods)
        opening = identities.inside(self.ranges).union(*(own for own, _ in self._reach.values()))
        meant = opening.union(*(arriving for _, arriving in self._reach.values()))
        self.opening = frozenset(map(identities.number, opening))
        self.meant = frozenset(map(identities.number, meant))

    def places_in(self, sets: set[Members]) -> Iterator[Place]:
        """What vNICs own of which some address is in one of these sets of groups."""
        for zone, (own, _) in self._reach.items():
            if not own.isdisjoint(sets):
                yield from places_of(self.by_zone[zone])

    def meant_by_floods(self, sets: set[Members]) -> Iterator[int]:
        """The zones of vNICs that get copies of floods under one of these sets of groups."""
        return (zone for zone, (_, arriving) in self._reach.items() if not arriving.isdisjoint(sets))


def places_of(port: VnicPort) -> Iterator[Place]:
    """What a vNIC owns."""
    return ((port.vnic.scope, prefix) for prefix in port.vnic.addresses)
