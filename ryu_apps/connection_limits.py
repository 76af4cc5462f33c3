"""How many connections each vNIC may have at one time: what OVSDB must say of conntrack's zones, and whether it does.

A vNIC's own zone holds its connections with everybody but the firewalled vNICs of its bridge, opened by whomever. What
two vNICs of a bridge open to each other is in their network's zone, which is limited for all of them together.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from policy.limits import limits_of
from policy.model import Document, Limits
from topology.ports import Bridge, VnicPort
from topology.rows import Database
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


class ConnectionLimits:
    """The limits by vNIC, each worked out once for a policy."""

    def __init__(self) -> None:
        self._document: Document | None = None
        self._known: dict[str, tuple[VnicPort, int]] = {}

    def of(self, document: Document, port: VnicPort) -> int:
        """The most connections of a firewalled vNIC."""
        if document is not self._document:
            self._document, self._known = document, {}
        known = self._known.get(port.holder)
        if known is None or known[0].vnic is not port.vnic:
            known = self._known[port.holder] = port, limits_of(document, port.vnic).connections
        return known[1]

    def wanted(self, document: Document, database: Database, bridges: Iterable[Bridge]) -> ZoneLimits:
        """The limits of all zones that these bridges, which are in this database, put connections into."""
        zones: dict[str, dict[int, int]] = {}
        shared: dict[tuple[str, int], list[int]] = {}
        alive: set[str] = set()
        for bridge in bridges:
            datapath = datapath_of(database, bridge.uuid)
            for port in bridge.vnic_ports:
                if port.vnic.trusted or port.zone is None:
                    continue
                alive.add(port.holder)
                limit = self.of(document, port)
                zones.setdefault(datapath, {})[port.zone] = limit
                shared.setdefault((datapath, FIRST_SHARED_ZONE + port.vlan), []).append(limit)
        for (datapath, zone), limits in shared.items():
            # Alone in its network, a vNIC has nobody there to open connections to.
            if len(limits) > 1:
                zones[datapath][zone] = shared_limit(limits, LEAST_SHARED)
        if len(self._known) > 2 * len(alive):
            self._known = {holder: known for holder, known in self._known.items() if holder in alive}
        return zones

    def state(self, document: Document, database: Database, bridge: Bridge, port: VnicPort) -> ConnectionLimit:
        """A firewalled vNIC's limit, and whether OVSDB says so of its zone."""
        limit = self.of(document, port)
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
