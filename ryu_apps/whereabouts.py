"""Which vNICs may learn addresses, on which interfaces, and of which of them something has changed."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from ryu_apps.learn_bounds import Who
from topology.bags import Bags, put_in, take_out
from topology.breath import breathing
from topology.claims import shown
from topology.learned import stated
from topology.ports import Bridge, Topology, VnicPort, moves
from topology.rows import Database, InterfaceRow
from topology.shared_map import changed_keys
from topology.vnic import Vnic

# Where a vNIC's text is: the remote of the database, and `topology.ports.holder`.
Place = tuple[str, str]


class Whereabouts:
    """One topology after the other; what stays as it was is not looked into."""

    def __init__(self) -> None:
        self._topology = Topology()
        self._rows: dict[str, Mapping[str, InterfaceRow]] = {}
        self._at: dict[Place, tuple[Who, str]] = {}
        self._places: Bags[Who, Place] = {}
        # The places at each interface: those of a vNIC and of its sub-ports.
        self._of_interface: Bags[tuple[str, str], Place] = {}

    def everybody(self) -> Collection[Who]:
        """Those who may learn."""
        return self._places.keys()

    def places(self, who: Who) -> tuple[Place, ...]:
        """The interfaces of a vNIC that may learn."""
        return self._places.get(who, ())

    def where(self, place: Place) -> str:
        """A place as people know it."""
        return self._at[place][1]

    def look_again(self) -> None:
        """Next time, everything is as if it had changed."""
        self._rows = {}

    def take(self, topology: Topology, databases: Mapping[str, Database]) -> set[Who]:
        """These are the ports and rows now. Tells of which vNICs something has changed; some of them may be gone."""
        touched: set[Who] = set()
        come: list[tuple[Bridge, VnicPort]] = []
        bridges = {bridge.key: bridge for bridge in topology.bridges} if topology is not self._topology else {}
        for key, holder, before, now in breathing(moves(self._topology, topology)):
            if before is not None and may_learn(before):
                touched.add(self._leave((key[0], holder), before))
            if now is not None and may_learn(now):
                come.append((bridges[key], now))
        # All that go before any that comes: an interface may have gone from one bridge to another.
        touched.update(self._come(bridge, port) for bridge, port in come)
        for remote, database in databases.items():
            for uuid in breathing(changed_keys(database.interfaces, self._rows.get(remote, {}))):
                touched.update(self._at[place][0] for place in self._of_interface.get((remote, uuid), ()))
        self._topology = topology
        self._rows = {remote: database.interfaces for remote, database in databases.items()}
        return touched

    def _come(self, bridge: Bridge, port: VnicPort) -> Who:
        who, place = who_is(port.vnic), (bridge.remote, port.holder)
        self._at[place] = who, f"{shown(bridge.host)}/{shown(bridge.name)}/{shown(port.name)}"
        put_in(self._places, who, place)
        put_in(self._of_interface, (bridge.remote, port.interface_uuid), place)
        return who

    def _leave(self, place: Place, port: VnicPort) -> Who:
        who, _ = self._at.pop(place)
        take_out(self._places, who, place)
        take_out(self._of_interface, (place[0], port.interface_uuid), place)
        return who


def who_is(vnic: Vnic) -> Who:
    """What tells a vNIC that may learn from all others."""
    return vnic.id, vnic.mac or ""


def may_learn(port: VnicPort) -> bool:
    """True if nobody states the addresses of a port's vNIC."""
    return not port.vnic.trusted and not stated(port.vnic)
