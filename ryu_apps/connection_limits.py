"""How many connections each vNIC may have at one time: what OVSDB must say of conntrack's zones, and whether it does.

A vNIC's own zone holds its connections with everybody but the firewalled vNICs of its bridge, opened by whomever. What
two vNICs of a bridge open to each other is in their network's zone, which is limited for all of them together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from policy.limits import limits_of
from policy.model import Document, LimitEntry, Limits
from topology.breath import breathing
from topology.ports import Bridge, VnicPort
from topology.rows import Database
from topology.shared_map import SharedMap
from topology.zone_limits import Limits as ZoneLimits
from topology.zone_limits import datapath_of, shared_limit, zone_row
from topology.zones import FIRST_SHARED_ZONE

# However low the limits are, the vNICs of a network have room for as many connections with each other on a host.
LEAST_SHARED = Limits().connections
OLD_SWITCH = "its OVSDB server knows no limits of conntrack's zones: that needs Open vSwitch 3.3 or newer"

# Why it is not so yet; a moment later it is.
NO_ZONE, NOT_YET = "it has no conntrack zone yet", "it is not in OVSDB yet"


@dataclass(frozen=True, slots=True)
class ConnectionLimit:
    """A vNIC's limit, and why it is not enforced; None: it is."""

    limit: int
    why_not: str | None


class _OfBridge:
    """The limits of one bridge's own zones, and what its networks' zones follow from; kept as its ports change."""

    def __init__(self) -> None:
        self._vnics: SharedMap[str, VnicPort] = SharedMap()
        self.limits: dict[int, int] = {}
        # How many vNICs there are in each network, by VLAN, and how many connections all of them may have.
        self.vnics: Counter[int] = Counter()
        self.together: Counter[int] = Counter()

    def take(self, bridge: Bridge, limit_of: Callable[[VnicPort], int]) -> None:
        moves = [(before, now) for _, before, now in bridge.vnics.changes_since(self._vnics)]
        for before, _ in breathing(moves):
            if before is not None and before.zone in self.limits:
                self._count(before.vlan, -1, self.limits.pop(before.zone))
        for _, now in breathing(moves):
            if now is not None and now.zone is not None and not now.vnic.trusted:
                self.limits[now.zone] = limit = limit_of(now)
                self._count(now.vlan, 1, limit)
        self._vnics = bridge.vnics

    def _count(self, vlan: int, times: int, limit: int) -> None:
        self.vnics[vlan] += times
        self.together[vlan] += times * limit


class ConnectionLimits:
    """The limits by vNIC, each worked out once for the limits of a policy."""

    def __init__(self) -> None:
        self._stated: tuple[LimitEntry, ...] = ()
        self._bridges: dict[tuple[str, str], _OfBridge] = {}

    def wanted(self, document: Document, database: Database, bridges: Iterable[Bridge]) -> ZoneLimits:
        """The limits of all zones that these bridges, all there are in this database, put connections into."""
        if document.limits != self._stated:
            self._stated, self._bridges = document.limits, {}
        zones: dict[str, dict[int, int]] = {}
        vnics: Counter[tuple[str, int]] = Counter()
        together: Counter[tuple[str, int]] = Counter()
        known = {key: found for key, found in self._bridges.items() if key[0] == database.remote}
        for bridge in bridges:
            datapath = datapath_of(database, bridge.uuid)
            found = known.pop(bridge.key, None) or self._bridges.setdefault(bridge.key, _OfBridge())
            found.take(bridge, lambda port: limits_of(document, port.vnic).connections)
            zones.setdefault(datapath, {}).update(found.limits)
            vnics.update({(datapath, vlan): count for vlan, count in found.vnics.items()})
            together.update({(datapath, vlan): limit for vlan, limit in found.together.items()})
        for key in known:
            del self._bridges[key]
        for (datapath, vlan), count in vnics.items():
            # Alone in its network, a vNIC has nobody there to open connections to.
            if count > 1:
                zones[datapath][FIRST_SHARED_ZONE + vlan] = shared_limit(together[datapath, vlan], LEAST_SHARED)
        return zones

    def state(self, document: Document, database: Database, bridge: Bridge, port: VnicPort) -> ConnectionLimit:
        """A firewalled vNIC's limit, and whether OVSDB says so of its zone."""
        found = self._bridges.get(bridge.key) if document.limits == self._stated else None
        limit = found.limits.get(port.zone) if found is not None and port.zone is not None else None
        if limit is None:
            limit = limits_of(document, port.vnic).connections
        return ConnectionLimit(limit, _why_not(database, bridge, port, limit))


def _why_not(database: Database, bridge: Bridge, port: VnicPort, limit: int) -> str | None:
    if not database.limits:
        return OLD_SWITCH
    if port.zone is None:
        return NO_ZONE
    row = zone_row(database, datapath_of(database, bridge.uuid), port.zone)
    if row is not None and not row.ours:
        return f"somebody else's row in OVSDB's table CT_Zone is about its zone, {port.zone}"
    if row is None or row.limit != limit:
        return NOT_YET
    return None
