"""Who and what the numbers in a packet's copy stand for, by the policy and the topology of a moment. Pure look-ups."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

from policy.flows.compile import Compiled
from policy.flows.rules import NumberedRule
from topology.addresses import Address
from topology.inventory import DEFAULT_SCOPE
from topology.owners import Owners
from topology.ports import Bridge, Topology, VnicPort
from topology.vnic import Vnic


@dataclass(frozen=True)
class Known:
    """A policy and a topology, made ready for look-ups; each index is made when it is first asked for.

    ``owners`` tells who has which address at the time that it is asked.
    """

    compiled: Compiled
    topology: Topology
    owners: Callable[[], Owners]

    @property
    def revision(self) -> str:
        return self.compiled.document.revision

    @cached_property
    def rules(self) -> Mapping[int, NumberedRule]:
        """The rules that decide, by their numbers."""
        return {entry.number: entry for entry in self.compiled.rules if not entry.audit}

    @cached_property
    def audits(self) -> Mapping[int, NumberedRule]:
        """The rules that only tell, by their numbers."""
        return {entry.number: entry for entry in self.compiled.rules if entry.audit}

    @cached_property
    def bridges(self) -> Mapping[int, Bridge]:
        """The managed bridges by datapath id."""
        return {bridge.dpid: bridge for bridge in self.topology.bridges if bridge.dpid is not None}

    def in_zone(self, dpid: int, zone: int) -> VnicPort | None:
        """The firewalled vNIC's port that has this conntrack zone; zone 0 is nobody's."""
        return self._zones.get((dpid, zone)) if zone else None

    def at_port(self, dpid: int, ofport: int, tag: int | None) -> tuple[str | None, VnicPort | None]:
        """The name of an OpenFlow port, or of its sub-port with this tag, and the vNIC's port if it is one's."""
        whole = self._ofports.get((dpid, ofport, 0), (None, None))
        return self._ofports.get((dpid, ofport, tag or 0), whole)

    def owner(self, scope: str, address: Address) -> Vnic | None:
        """The vNIC that has the address now, in a range of its own or as the one address; a trusted one too."""
        return next(self.owners().of(scope, address), None)

    def scope_of_vlan(self, vlan: int) -> str:
        """The address scope of a network."""
        return self._scopes.get(vlan, DEFAULT_SCOPE)

    @cached_property
    def _scopes(self) -> Mapping[int, str]:
        return {network.vlan: network.scope for network in self.compiled.document.inventory.networks}

    @cached_property
    def _zones(self) -> Mapping[tuple[int, int], VnicPort]:
        return {
            (dpid, port.zone): port
            for dpid, bridge in self.bridges.items()
            for port in bridge.vnic_ports
            if port.zone is not None
        }

    @cached_property
    def _ofports(self) -> Mapping[tuple[int, int, int], tuple[str | None, VnicPort | None]]:
        found: dict[tuple[int, int, int], tuple[str | None, VnicPort | None]] = {}
        for dpid, bridge in self.bridges.items():
            for uplink in bridge.uplinks:
                found.update({(dpid, ofport, 0): (name, None) for name, ofport in uplink.members})
            shut = (port for port in bridge.isolated if port.ofport)
            found.update({(dpid, port.ofport or 0, port.tag): (port.name, None) for port in shut})
            found.update({(dpid, port.ofport, port.tag): (port.name, port) for port in bridge.vnic_ports})
        return found
