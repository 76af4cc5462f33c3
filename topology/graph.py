"""The network as a graph: hosts, bridges, ports, vNICs and VMs, and what lies outside; and questions about it.

Nodes are strings, ``KIND:…``, unique and stable as long as the thing lives. Every node has ``kind`` and ``label``:

=============  ====================================  ===============================================
kind           node                                  further attributes
=============  ====================================  ===============================================
``host``       ``host:REMOTE``                       ``remote``
``bridge``     ``bridge:UUID``                       ``dpid`` (16 hexadecimal digits or None), ``fail_mode``
``vnic-port``  ``port:BRIDGE-UUID/NAME``             ``ofport``, ``tag`` (of a sub-port, else None), ``vlan``, ``zone``
``patch``      ``port:…``                            ``members`` (name: ofport), ``native_vlan``, ``trunks``
``tunnel``     ``port:…``                            the same
``uplink``     ``port:…``                            the same
``isolated``   ``port:…``                            ``ofport``, ``code``, ``reason``, ``who``
``vnic``       ``vnic:IFACE-ID``                     ``mac``, ``network``, ``scope``, ``addresses``, ``trusted``
``vm``         ``vm:NAME``                           ``tenant``, ``labels``
``outside``    ``outside:uplink``, ``outside:tunnel``  none
=============  ====================================  ===============================================

Every edge has a ``kind``: ``has`` (host to bridge to port), ``plugged`` (port to vNIC), ``of`` (vNIC to VM), ``patch``
(between two patch ports that name each other) and ``leads`` (uplink or tunnel to outside). The graph is undirected.
"""

from __future__ import annotations

from collections.abc import Iterator

import networkx as nx

from topology.claims import shown
from topology.ports import Bridge, IsolatedPort, Port, Topology, UplinkPort, VnicPort


def build(topology: Topology) -> nx.Graph:
    """The graph of a topology; see this module's head for nodes and edges."""
    graph = nx.Graph()
    for bridge in topology.bridges:
        host, here = f"host:{bridge.remote}", bridge_node(bridge)
        graph.add_node(host, kind="host", label=shown(bridge.host), remote=bridge.remote)
        graph.add_node(
            here,
            kind="bridge",
            label=shown(bridge.name),
            dpid=None if bridge.dpid is None else f"{bridge.dpid:016x}",
            fail_mode=bridge.fail_mode,
        )
        graph.add_edge(host, here, kind="has")
        for port in bridge.ports:
            _add_port(graph, bridge, port)
    for (bridge, port), (other_bridge, other) in patch_pairs(topology):
        graph.add_edge(port_node(bridge, port), port_node(other_bridge, other), kind="patch")
    return graph


def bridge_node(bridge: Bridge) -> str:
    return f"bridge:{bridge.uuid}"


def port_node(bridge: Bridge, port: Port) -> str:
    return f"port:{bridge.uuid}/{port.name}"


def outside_node(port: UplinkPort) -> str:
    """What an uplink or tunnel leads to. It is not known, and taken to connect all that lead there."""
    return f"outside:{port.kind}"


def patch_pairs(topology: Topology) -> Iterator[tuple[tuple[Bridge, UplinkPort], tuple[Bridge, UplinkPort]]]:
    """The patch ports of a switch that name each other, each pair once."""
    ends: dict[tuple[str, str], tuple[Bridge, UplinkPort]] = {}
    for bridge in topology.bridges:
        for port in bridge.uplinks:
            if port.kind == "patch":
                ends.update({(bridge.remote, name): (bridge, port) for name, _ in port.members})
    for (remote, name), end in sorted(ends.items()):
        peer = end[1].peer
        if peer is not None and name < peer:
            other = ends.get((remote, peer))
            if other is not None and other[1].peer == name:
                yield end, other


def _add_port(graph: nx.Graph, bridge: Bridge, port: Port) -> None:
    node = port_node(bridge, port)
    label = shown(port.name)
    if isinstance(port, VnicPort):
        graph.add_node(
            node,
            kind="vnic-port",
            label=label,
            ofport=port.ofport,
            tag=port.tag or None,
            vlan=port.vlan,
            zone=port.zone,
        )
        _add_vnic(graph, node, port)
    elif isinstance(port, UplinkPort):
        graph.add_node(
            node,
            kind=port.kind,
            label=label,
            members=dict(port.members),
            native_vlan=port.native_vlan,
            trunks=None if port.trunks is None else list(port.trunks),
        )
        if port.kind != "patch":
            graph.add_node(outside_node(port), kind="outside", label=f"outside ({port.kind}s)")
            graph.add_edge(node, outside_node(port), kind="leads")
    else:
        graph.add_node(
            node,
            kind="isolated",
            label=label,
            ofport=port.ofport,
            code=port.code,
            reason=port.reason,
            who=port.who,
        )
    graph.add_edge(bridge_node(bridge), node, kind="has")


def _add_vnic(graph: nx.Graph, port_id: str, port: VnicPort) -> None:
    vnic = port.vnic
    node = f"vnic:{vnic.id}"
    graph.add_node(
        node,
        kind="vnic",
        label=shown(vnic.name),
        mac=vnic.mac,
        network=vnic.network,
        scope=vnic.scope,
        addresses=[str(prefix) for prefix in vnic.addresses],
        trusted=vnic.trusted,
    )
    graph.add_edge(port_id, node, kind="plugged")
    if vnic.vm is not None:
        vm = f"vm:{vnic.vm}"
        graph.add_node(vm, kind="vm", label=shown(vnic.vm), tenant=vnic.tenant, labels=dict(vnic.labels))
        graph.add_edge(node, vm, kind="of")


# Questions


def ports_of_vm(topology: Topology, vm: str) -> tuple[tuple[Bridge, VnicPort | IsolatedPort], ...]:
    """Where a VM is plugged in, isolated ports included as far as it is known that they are the VM's."""
    return tuple(
        (bridge, port)
        for bridge in topology.bridges
        for port in bridge.ports
        if (isinstance(port, VnicPort) and port.vnic.vm == vm)
        or (isinstance(port, IsolatedPort) and port.who is not None and port.who.startswith(f"{vm}/"))
    )


def uplinks_of_bridge(topology: Topology, host: str, bridge: str) -> tuple[UplinkPort, ...]:
    """The uplinks of a bridge by its names; empty if there is no such bridge."""
    return tuple(
        port for each in topology.bridges if (each.host, each.name) == (host, bridge) for port in each.uplinks
    )
