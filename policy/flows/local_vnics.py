"""The firewalled vNICs of one bridge, who of them owns which address, and which identities they can have."""

from __future__ import annotations

from collections.abc import Iterator

from policy.flows.identity import Identities, Members
from policy.flows.places import Place, PlaceIndex
from policy.flows.vnics import zone_of
from topology.ports import VnicPort
from topology.shared_map import SharedMap

Numbers = frozenset[int]


class LocalVnics:
    """The vNICs, by zone, from one time to the next.

    ``owners``: whose a prefix is. ``ranges``: those of more than one address. ``opening``: the identities under which a
    vNIC here can open connections. ``meant``: these, and those under which connections and floods can be for one.
    """

    def __init__(self) -> None:
        self.by_zone: dict[int, VnicPort] = {}
        self.owners: dict[Place, int] = {}
        self.ranges = PlaceIndex()
        self.opening: Numbers = frozenset()
        self.meant: Numbers = frozenset()
        self._ports: SharedMap[str, VnicPort] = SharedMap()
        self._wide: dict[int, VnicPort] = {}
        # Zones of vNICs with addresses that are in the identities only by what encloses them: another port of the same
        # vNIC says otherwise about its addresses, and counts.
        self._strays: set[int] = set()
        self._zones: dict[str, int] = {}
        # The sets of groups under which a vNIC opens connections or is meant by them, and the zones that have each.
        self._reach: dict[int, tuple[frozenset[Members], frozenset[Members]]] = {}
        self._opening: dict[Members, set[int]] = {}
        self._arriving: dict[Members, set[int]] = {}
        # True if these are other sets than when the identities were last found.
        self._others = True

    def take(self, ports: SharedMap[str, VnicPort]) -> dict[int, VnicPort | None]:
        """These are a bridge's ports of vNICs now. Tells the zones where that is new, with who was there."""
        moved: dict[int, VnicPort | None] = {}
        come: list[VnicPort] = []
        for _, before, now in ports.changes_since(self._ports):
            if before is not None and is_firewalled(before):
                zone = zone_of(before)
                moved[zone] = self.by_zone.pop(zone)
                self._remove(zone, before)
            if now is not None and is_firewalled(now):
                come.append(now)
        # All that go before any that comes: a zone may have gone from one to another.
        for port in come:
            zone = zone_of(port)
            moved.setdefault(zone)
            self.by_zone[zone] = port
            self._add(zone, port)
        self._ports = ports
        return moved

    def _remove(self, zone: int, port: VnicPort) -> None:
        for place in places_of(port):
            if self.owners.get(place) == zone:
                del self.owners[place]
        self._wide.pop(zone, None)
        self._strays.discard(zone)
        if self._zones.get(port.vnic.id) == zone:
            del self._zones[port.vnic.id]
        self._reached(zone, None)

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
        if self._wide or self.ranges:
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
            self._reached(zone, (frozenset(own), frozenset(groups | shared for shared in floods)))
        if self._others or self.ranges:
            self.opening = frozenset(map(identities.number, identities.inside(self.ranges).union(self._opening)))
            self.meant = self.opening.union(map(identities.number, self._arriving))
            self._others = False

    def _reached(self, zone: int, now: tuple[frozenset[Members], frozenset[Members]] | None) -> None:
        """A vNIC has these sets of groups now; None: it is gone."""
        nothing: frozenset[Members] = frozenset()
        before = self._reach.pop(zone, (nothing, nothing))
        if now is not None:
            self._reach[zone] = now
        for zones, then, after in zip((self._opening, self._arriving), before, now or (nothing, nothing), strict=True):
            for members in then - after:
                zones[members].discard(zone)
                if not zones[members]:
                    del zones[members]
                    self._others = True
            for members in after - then:
                self._others |= members not in zones
                zones.setdefault(members, set()).add(zone)

    def places_in(self, sets: set[Members]) -> Iterator[Place]:
        """What vNICs own of which some address is in one of these sets of groups."""
        zones = set[int]().union(*(self._opening.get(members, ()) for members in sets))
        return (place for zone in zones for place in places_of(self.by_zone[zone]))

    def meant_by_floods(self, sets: set[Members]) -> set[int]:
        """The zones of vNICs that get copies of floods under one of these sets of groups."""
        return set[int]().union(*(self._arriving.get(members, ()) for members in sets))


def is_firewalled(port: VnicPort) -> bool:
    """True if the port's vNIC has flows of its own: one without a zone is shut, and a trusted one an uplink."""
    return port.zone is not None and not port.vnic.trusted


def places_of(port: VnicPort) -> Iterator[Place]:
    """What a vNIC owns."""
    return ((port.vnic.scope, prefix) for prefix in port.vnic.addresses)
