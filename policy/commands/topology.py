"""`portcullis topology`: hosts, bridges, ports, vNICs and VMs, as the controller sees them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

import click
from rich.text import Text
from rich.tree import Tree

from policy.commands.client import Controller, Json, addresses, rows, text, url_option
from policy.commands.output import NoAnswer, out, print_json, say
from policy.plain import clean

# How a line of the tree looks, by the kind of its node (topology.graph lists the kinds).
_STYLES = {"host": "bold", "bridge": "bold cyan", "vm": "green", "isolated": "bold red", "outside": "dim"}
# What hangs from what: the graph has no directions, the tree goes down this list.
_DEPTH = {"host": 0, "bridge": 1, "vnic-port": 2, "patch": 2, "tunnel": 2, "uplink": 2, "isolated": 2, "vnic": 3}
_DEEPEST = 4  # VMs, and the outside


@click.command(short_help="Which VM is on which port of which bridge?")
@click.option("--dot", "as_dot", is_flag=True, help="Print a graph for Graphviz.")
@click.option("--json", "as_json", is_flag=True, help="Print the graph as JSON (docs/status.md).")
@url_option
def topology(as_dot: bool, as_json: bool, url: Controller) -> None:
    """Show which VM is on which port of which bridge.

    Isolated ports (shut, because it is not certain whose they are) come with the reason.

    Exit status: 0 shown; 2 no controller answers.

    \b
    Examples:
      portcullis topology
      portcullis topology --dot | dot -Tsvg > network.svg
      portcullis topology --json | jq '.nodes[] | select(.kind == "isolated")'
    """
    if as_dot and as_json:
        raise click.UsageError("--dot and --json exclude each other")
    page = url.get("/portcullis/topology")
    if not isinstance(page.get("nodes"), list) or not isinstance(page.get("edges"), list):
        raise NoAnswer(f"what answers at {url.url} is not Portcullis: its topology is no graph")
    if as_json:
        print_json(page)
    elif as_dot:
        click.echo(_dot(page), nl=False)
    else:
        _show(page)


def _dot(page: Json) -> str:
    # Here, because this takes longer than the rest of the command and is seldom asked for.
    import networkx as nx

    from topology.export import dot

    nodes, edges = _graph(page)
    graph = nx.Graph()
    for name, attributes in nodes.items():
        graph.add_node(name, kind=text(attributes, "kind"), label=text(attributes, "label"), reason=_reason(attributes))
    for source, target, kind in edges:
        graph.add_edge(source, target, kind=kind)
    return dot(graph)


def _reason(attributes: Json) -> str:
    return text(attributes, "reason", "no reason given")


def _graph(page: Json) -> tuple[dict[str, Json], list[tuple[str, str, str]]]:
    """Nodes by id, and edges between them with their kind; what has no id or leads nowhere is left out."""
    nodes = {str(row["id"]): row for row in rows(page, "nodes") if "id" in row}
    edges = [(str(row.get("source")), str(row.get("target")), text(row, "kind")) for row in rows(page, "edges")]
    return nodes, [edge for edge in edges if edge[0] in nodes and edge[1] in nodes]


def _show(page: Json) -> None:
    nodes, edges = _graph(page)
    neighbours: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for source, target, kind in edges:
        neighbours[source].append((target, kind))
        neighbours[target].append((source, kind))
    console = out()
    hosts = sorted(name for name, node in nodes.items() if node.get("kind") == "host")
    for host in hosts:
        tree = Tree(_line(nodes[host]), guide_style="dim")
        _grow(tree, host, nodes, neighbours)
        console.print(tree)
    if not hosts:
        say(console, "no bridge is known")


def _grow(tree: Tree, name: str, nodes: Mapping[str, Json], neighbours: Mapping[str, list[tuple[str, str]]]) -> None:
    """Hangs what is below a node into its branch. Each step goes deeper, so this ends whatever the graph is."""
    for child, kind in _below(name, nodes, neighbours):
        if kind == "patch":
            tree.add(Text(f"to {text(nodes[child], 'label')}", style="dim"))
        else:
            _grow(tree.add(_line(nodes[child])), child, nodes, neighbours)


def _below(
    name: str, nodes: Mapping[str, Json], neighbours: Mapping[str, list[tuple[str, str]]]
) -> Iterable[tuple[str, str]]:
    depth = _depth(nodes[name])
    found = ((child, kind) for child, kind in neighbours[name] if kind == "patch" or _depth(nodes[child]) > depth)
    return sorted(found, key=lambda item: text(nodes[item[0]], "label"))


def _depth(node: Json) -> int:
    return _DEPTH.get(text(node, "kind"), _DEEPEST)


def _line(node: Json) -> Text:
    kind = text(node, "kind")
    parts = [text(node, "label"), *_details(kind, node)]
    return Text(clean(", ".join(parts)), style=_STYLES.get(kind, ""))


def _details(kind: str, node: Json) -> Iterator[str]:
    """What is worth knowing of a node beside its name."""
    if kind == "bridge":
        yield f"datapath id {text(node, 'dpid', 'not known')}"
        yield f"fail mode {text(node, 'fail_mode', 'standalone')}"
    elif kind == "vnic-port":
        yield f"port {text(node, 'ofport')}"
        yield f"VLAN {text(node, 'vlan')}"
        yield f"zone {text(node, 'zone', 'not given yet')}"
    elif kind == "vnic":
        yield f"MAC {text(node, 'mac')}"
        yield ", ".join(addresses(node)) or "no address known"
        if node.get("trusted"):
            yield "trusted"
    elif kind == "vm":
        if node.get("tenant") is not None:
            yield f"tenant {text(node, 'tenant')}"
        labels = node.get("labels")
        if isinstance(labels, dict):
            yield from (f"{key}={value}" for key, value in sorted(labels.items()))
    elif kind == "isolated":
        yield f"isolated: {_reason(node)}"
    elif kind in ("patch", "tunnel", "uplink"):
        yield kind
