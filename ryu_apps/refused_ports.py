"""vNICs whose own flows a switch refuses: they must not hold up the others, so they are shut, and say so."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from policy.flows.cookies import Kind, reason
from policy.flows.flow import Flow
from topology.ports import Bridge, IsolatedPort, Topology, VnicPort, port_order

# Code of a port that is shut because a switch does not take its flows.
REFUSED = "refused-by-switch"


class RefusedPorts:
    """Ports by datapath and holder, each with the switch's error. They stay shut until they are other ports."""

    def __init__(self) -> None:
        self._ports: dict[tuple[int, str], tuple[VnicPort, str]] = {}

    def __bool__(self) -> bool:
        return bool(self._ports)

    def holders(self) -> Iterator[str]:
        """What `topology.ports.holder` calls them."""
        return (holder for _, holder in self._ports)

    def refuse(self, bridge: Bridge | None, flow: Flow | None, error: str) -> bool:
        """A switch has refused a flow; True if that shuts a vNIC."""
        why = reason(flow.cookie) if flow is not None else None
        if why is None or why.kind is not Kind.VNIC or bridge is None or bridge.dpid is None:
            return False
        shut = [port for port in bridge.vnic_ports if port.zone == why.number]
        for port in shut:
            self._ports[bridge.dpid, port.holder] = port, f"the switch refused its flows: {error}"
        return bool(shut)

    def forgive(self, dpid: int) -> bool:
        """Perhaps it is another OVS by now, which can do what the last one refused; True if that opens a port."""
        left = {key: told for key, told in self._ports.items() if key[0] != dpid}
        fewer = len(left) < len(self._ports)
        self._ports = left
        return fewer

    def without(self, topology: Topology) -> Topology:
        """The topology with these ports shut. Forgets those that are other ones now."""
        if not self._ports:
            return topology
        bridges = {bridge.dpid: bridge for bridge in topology.bridges if bridge.dpid is not None}
        self._ports = {
            (dpid, holder): (port, why)
            for (dpid, holder), (port, why) in self._ports.items()
            if dpid in bridges and bridges[dpid].vnics.get(holder) == port
        }
        if not self._ports:
            return topology
        return replace(topology, bridges=tuple(map(self._without, topology.bridges)))

    def _without(self, bridge: Bridge) -> Bridge:
        told = {holder: why for (dpid, holder), (_, why) in self._ports.items() if dpid == bridge.dpid}
        if not told:
            return bridge
        shut = [_shut(bridge.vnics[holder], why) for holder, why in told.items()]
        return replace(
            bridge,
            vnics=bridge.vnics.with_changes(dict.fromkeys(told)),
            others=tuple(sorted((*bridge.others, *shut), key=port_order)),
        )


def _shut(port: VnicPort, why: str) -> IsolatedPort:
    return IsolatedPort(port.name, port.ofport, why, port.vnic.name, REFUSED, port.interface_uuid, port.tag)
