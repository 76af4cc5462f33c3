"""How a frame could get from one VM to another: the wiring and its VLANs, not the policy.

What lies outside is taken to carry all VLANs between all uplinks, and likewise between all tunnels; so there, "yes"
means "as far as our side is concerned".
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from topology.graph import bridge_node, outside_node, patch_pairs, port_node
from topology.ports import Bridge, Topology, UplinkPort, VnicPort

# A frame is either on a bridge in a VLAN, or outside with a tag or none: (node, VLAN or tag).
_Place = tuple[str, int | None]
# The nodes that a frame passes on its way to the next place, the next place's own included.
_Step = tuple[_Place, tuple[str, ...]]


def path(topology: Topology, source: str, target: str) -> tuple[str, ...] | None:
    """A shortest way from ``source`` to ``target``, as nodes of `topology.graph.build`; None: there is none.

    Both are names of VMs, or iface-ids. The way begins and ends at ``vnic:…``. An isolated port is on no way.
    """
    wiring = _Wiring(topology)
    arrivals: dict[_Place, list[tuple[str, ...]]] = {}
    for bridge, port in _plugs(topology, target):
        arrivals.setdefault((bridge_node(bridge), port.vlan), []).append((port_node(bridge, port), _vnic_node(port)))
    ways: dict[_Place, tuple[str, ...]] = {}
    queue: deque[_Place] = deque()
    for bridge, port in _plugs(topology, source):
        place: _Place = bridge_node(bridge), port.vlan
        if place not in ways:
            ways[place] = _vnic_node(port), port_node(bridge, port), place[0]
            queue.append(place)
    while queue:
        place = queue.popleft()
        for end in arrivals.get(place, ()):
            # Not back through the port it came from: that would be the way of a vNIC to itself.
            if end[0] not in ways[place]:
                return ways[place] + end
        for following, nodes in wiring.steps(place):
            if following not in ways:
                ways[following] = ways[place] + nodes
                queue.append(following)
    return None


def _plugs(topology: Topology, who: str) -> list[tuple[Bridge, VnicPort]]:
    """The ports of a VM by name, or where there is none of that name, of a vNIC by its iface-id."""
    ports = [(bridge, port) for bridge in topology.bridges for port in bridge.vnic_ports]
    return [each for each in ports if each[1].vnic.vm == who] or [each for each in ports if each[1].vnic.id == who]


def _vnic_node(port: VnicPort) -> str:
    return f"vnic:{port.vnic.id}"


class _Wiring:
    def __init__(self, topology: Topology) -> None:
        self._uplinks: dict[str, list[tuple[Bridge, UplinkPort]]] = {}
        self._outside: dict[str, list[tuple[Bridge, UplinkPort]]] = {}
        self._peers: dict[str, tuple[Bridge, UplinkPort]] = {}
        for bridge in topology.bridges:
            for port in bridge.uplinks:
                self._uplinks.setdefault(bridge_node(bridge), []).append((bridge, port))
                if port.kind != "patch":
                    self._outside.setdefault(outside_node(port), []).append((bridge, port))
        for one, other in patch_pairs(topology):
            self._peers[port_node(*one)] = other
            self._peers[port_node(*other)] = one

    def steps(self, place: _Place) -> Iterator[_Step]:
        """Where a frame can go from here."""
        node, tag = place
        for bridge, port in self._outside.get(node, ()):
            vlan = port.vlan_of(tag)
            if vlan is not None:
                yield (bridge_node(bridge), vlan), (port_node(bridge, port), bridge_node(bridge))
        for bridge, port in self._uplinks.get(node, ()):
            vlan = tag or 0
            if not port.carries(vlan):
                continue
            here = port_node(bridge, port)
            wire = vlan if port.tags(vlan) else None
            if port.kind != "patch":
                yield (outside_node(port), wire), (here, outside_node(port))
            elif here in self._peers:
                other, peer = self._peers[here]
                vlan_there = peer.vlan_of(wire)
                if vlan_there is not None:
                    passed = here, port_node(other, peer), bridge_node(other)
                    yield (bridge_node(other), vlan_there), passed
