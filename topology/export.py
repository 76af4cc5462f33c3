"""The topology for others: JSON for programs, Graphviz for pictures, a tree for people. All escaped, all sorted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import networkx as nx

from topology.claims import shown
from topology.ports import Bridge, Finding, Port, Topology, UplinkPort, VnicPort
from topology.rows import MAX_TEXT

_SHAPES = {
    "host": "house",
    "bridge": "box3d",
    "vm": "box",
    "vnic": "ellipse",
    "outside": "octagon",
    "isolated": "diamond",
}


def node_link(graph: nx.Graph) -> dict[str, Any]:
    """A graph of `topology.graph.build` as JSON values: ``{"version": 1, "nodes": […], "edges": […]}``.

    A node is ``{"id": …, "kind": …, "label": …}`` and the attributes of its kind; an edge ``{"source": …, "target": …,
    "kind": …}``. networkx reads it back with ``node_link_graph(data, edges="edges")``.
    """
    return {
        "version": 1,
        "directed": False,
        "multigraph": False,
        "graph": {},
        "nodes": [{"id": node, **graph.nodes[node]} for node in sorted(graph.nodes)],
        "edges": [
            {"source": source, "target": target, "kind": graph.edges[source, target]["kind"]}
            for source, target in _edges(graph)
        ],
    }


def dot(graph: nx.Graph) -> str:
    """The graph in Graphviz's language."""
    lines = ["graph portcullis {", "  rankdir=LR;"]
    for node in sorted(graph.nodes):
        attributes = graph.nodes[node]
        label = attributes["label"]
        if attributes["kind"] == "isolated":
            label = f"{label}\nisolated: {attributes['reason']}"
        shape = _SHAPES.get(attributes["kind"], "plain")
        lines.append(f"  {_quoted(node)} [label={_quoted(label)}, shape={shape}];")
    for source, target in _edges(graph):
        style = "dashed" if graph.edges[source, target]["kind"] in ("patch", "leads") else "solid"
        lines.append(f"  {_quoted(source)} -- {_quoted(target)} [style={style}];")
    return "\n".join([*lines, "}", ""])


def _edges(graph: nx.Graph) -> list[tuple[str, str]]:
    return sorted((min(edge), max(edge)) for edge in graph.edges)


def _quoted(text: str) -> str:
    """A string of Graphviz's: a backslash would begin an escape there, a quote end it, other signs spoil the file."""
    out = text[:MAX_TEXT].replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return '"' + "".join(sign if sign.isprintable() else "?" for sign in out) + '"'


@dataclass(frozen=True, slots=True)
class Branch:
    """A line of the tree and what hangs from it. ``kind`` is a node's kind (see `topology.graph`) or ``finding``."""

    kind: str
    text: str
    children: tuple[Branch, ...] = ()


def tree(topology: Topology) -> tuple[Branch, ...]:
    """Hosts, their bridges, and each bridge's ports, one line each; findings where they belong."""
    hosts: dict[tuple[str, str], list[Branch]] = {}
    told: set[Finding] = set()
    for bridge in topology.bridges:
        hosts.setdefault((bridge.host, bridge.remote), []).append(_bridge(bridge))
        told.update(bridge.findings)
    return (
        *(Branch("host", f"{shown(host)} ({shown(remote)})", tuple(its)) for (host, remote), its in hosts.items()),
        *(Branch("finding", str(finding)) for finding in topology.findings if finding not in told),
    )


def tree_lines(branches: Iterable[Branch], indent: str = "") -> Iterator[str]:
    """The tree as lines of text, without colours."""
    for branch in branches:
        yield f"{indent}{'! ' if branch.kind == 'finding' else ''}{branch.text}"
        yield from tree_lines(branch.children, indent + "  ")


def _bridge(bridge: Bridge) -> Branch:
    dpid = "no datapath id" if bridge.dpid is None else f"datapath id {bridge.dpid:016x}"
    return Branch(
        "bridge",
        f"{shown(bridge.name)}: {dpid}, fail mode {bridge.fail_mode or 'standalone'}",
        (
            *map(_port, bridge.ports),
            *(Branch("finding", str(finding)) for finding in bridge.findings),
        ),
    )


def _port(port: Port) -> Branch:
    name = shown(port.name)
    if isinstance(port, VnicPort):
        vnic = port.vnic
        addresses = ", ".join(map(str, vnic.addresses)) or "no address known"
        zone = "no zone yet" if port.zone is None else f"zone {port.zone}"
        trusted = ", trusted" if vnic.trusted else ""
        tag = f"tag {port.tag}, " if port.tag else ""
        where = f"port {port.ofport}, {tag}VLAN {port.vlan}, {zone}"
        return Branch("vnic-port", f"{name}: {shown(vnic.name)}, {vnic.mac}, {addresses} ({where}{trusted})")
    if isinstance(port, UplinkPort):
        members = ", ".join(f"{shown(member)} {ofport}" for member, ofport in port.members)
        peer = "" if port.peer is None else f" to {shown(port.peer)}"
        return Branch(port.kind, f"{name}: {port.kind}{peer}, {_vlans(port)} (ports {members})")
    ofport = "" if port.ofport is None else f" (port {port.ofport})"
    who = "" if port.who is None else f", {shown(port.who)}"
    return Branch("isolated", f"{name}{ofport}{who}: isolated: {port.reason}")


def _vlans(port: UplinkPort) -> str:
    native = ""
    if port.native_vlan is not None:
        native = f"VLAN {port.native_vlan} {'tagged' if port.tagged_native else 'untagged'}"
    if port.trunks == ():
        return native
    trunks = "all VLANs" if port.trunks is None else "VLANs " + ", ".join(map(str, port.trunks))
    return f"{trunks}, {native}" if native else trunks
