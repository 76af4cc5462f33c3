"""A blast radius as a graph, and drawn: Graphviz's language, and SVG without any program to draw it.

Nodes are VMs that are alike (many at once stay readable), edges the first way by which each is reached.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree as ET

import networkx as nx

from policy.analysis.blast import THE_OUTSIDE, Radius, names
from policy.analysis.reach import OUTSIDE, Reach
from policy.analysis.words import summary

START = "start"
_SERVICES = 40  # characters
# Sizes of the drawing, in pixels.
_COLUMN, _ROW, _WIDTH, _HEIGHT, _MARGIN, _HEAD = 330, 46, 190, 34, 20, 30
_MOST_ROWS = 60
_LABEL = 22  # characters in a box
_STYLE = (
    "text{font:13px sans-serif;fill:#222}.s{font-size:10px;fill:#555;text-anchor:end;"
    "paint-order:stroke;stroke:#fff;stroke-width:3px}.h{font-weight:bold}"
    "rect{fill:#eef3fa;stroke:#4a6fa5}.start{fill:#fbe3df;stroke:#b03a2e}.out{fill:#f4f4f4;stroke:#777}"
    "path{fill:none;stroke:#9aa7b8}"
)


def graph(reach: Reach, of: Radius) -> nx.DiGraph:
    """From `START` to whatever is reached. Nodes have ``label``, ``hop``, ``vms``; edges ``services`` and ``rules``."""
    found = nx.DiGraph()
    found.add_node(START, label=of.start or THE_OUTSIDE, hop=0, vms=(of.start,) if of.start else ())
    for step in of.steps:
        # The one where it began may be found again through others like it: those are a node of their own.
        source: int | str = START if step.hop == 1 else step.source
        rules = [reach.contexts.rules.deciders[rule] for rule in step.rules]
        found.add_node(step.node, label=names(step.vms), hop=step.hop, vms=step.vms)
        found.add_edge(
            source,
            step.node,
            services=summary(step.services),
            rules=tuple(f"{each.policy.name}/{each.rule.name}" for each in rules),
        )
    return found


def dot(found: nx.DiGraph) -> str:
    """The graph in Graphviz's language."""
    lines = ["digraph blast {", "  rankdir=LR;", "  node [shape=box];"]
    for node, told in found.nodes(data=True):
        lines.append(f"  {_quoted(str(node))} [label={_quoted(told['label'])}];")
    for source, target, told in found.edges(data=True):
        label = f"{_cut(told['services'])}\n{', '.join(told['rules'])}"
        lines.append(f"  {_quoted(str(source))} -> {_quoted(str(target))} [label={_quoted(_cut(label, 80))}];")
    return "\n".join([*lines, "}", ""])


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _cut(text: str, most: int = _SERVICES) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def svg(found: nx.DiGraph) -> str:
    """The graph as a picture of its own: a column for each hop."""
    return ET.tostring(picture(found), encoding="unicode") + "\n"


def picture(found: nx.DiGraph) -> ET.Element:
    """The same as an element, to be put into a page."""
    columns = _columns(found)
    places: dict[Any, tuple[int, int]] = {
        node: (_MARGIN + hop * _COLUMN, _MARGIN + _HEAD + row * _ROW)
        for hop, nodes in columns.items()
        for row, node in enumerate(nodes[:_MOST_ROWS])
    }
    rows = max(min(len(nodes), _MOST_ROWS + 1) for nodes in columns.values())
    width = 2 * _MARGIN + (len(columns) - 1) * _COLUMN + _WIDTH
    height = 2 * _MARGIN + _HEAD + rows * _ROW
    root = ET.Element(
        "svg",
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {width} {height}",
        width=str(width),
        height=str(height),
        role="img",
    )
    ET.SubElement(root, "style").text = _STYLE
    drawn = [
        (places[source], places[target], told)
        for source, target, told in found.edges(data=True)
        if source in places and target in places
    ]
    for source, target, told in drawn:
        _edge(root, source, target, told)
    for _, (x, y), told in drawn:  # above all lines
        _text(root, x - 6, y + _HEIGHT // 2 - 4, _cut(told["services"], 18), "s")
    for hop, nodes in columns.items():
        x = _MARGIN + hop * _COLUMN
        _text(root, x, _MARGIN + 12, "start" if hop == 0 else f"hop {hop}", "h")
        for node in nodes[:_MOST_ROWS]:
            _box(root, places[node], node, found.nodes[node])
        if len(nodes) > _MOST_ROWS:
            y = _MARGIN + _HEAD + _MOST_ROWS * _ROW + 20
            left_out = sum(len(found.nodes[node]["vms"]) for node in nodes[_MOST_ROWS:])
            _text(root, x, y, f"and {left_out} more VMs", "")
    return root


def _columns(found: nx.DiGraph) -> Mapping[int, list[Any]]:
    """The nodes of each hop in the order of those they are reached from, so that few lines cross; the outside last."""
    columns: dict[int, list[Any]] = {}
    rows: dict[Any, int] = {}
    for node, told in found.nodes(data=True):
        columns.setdefault(told["hop"], []).append(node)
    for _, nodes in sorted(columns.items()):
        above = {node: min((rows[source] for source in found.predecessors(node)), default=0) for node in nodes}
        nodes.sort(
            key=lambda node: (node == OUTSIDE, above[node], -len(found.nodes[node]["vms"]), found.nodes[node]["label"])
        )
        rows.update({node: row for row, node in enumerate(nodes)})
    return columns


def _box(root: ET.Element, place: tuple[int, int], node: object, told: Mapping[str, Any]) -> None:
    x, y = place
    kind = "start" if node == START else "out" if node == OUTSIDE else "vm"
    box = {"x": str(x), "y": str(y), "width": str(_WIDTH), "height": str(_HEIGHT), "rx": "4", "class": kind}
    ET.SubElement(ET.SubElement(root, "rect", box), "title").text = names(told["vms"], 20)
    label = told["label"]
    if len(label) > _LABEL:
        more = f" +{len(told['vms']) - 1}" if len(told["vms"]) > 1 else ""
        label = _cut(told["vms"][0], _LABEL - len(more)) + more
    _text(root, x + 8, y + 21, label, "")


def _edge(root: ET.Element, source: tuple[int, int], target: tuple[int, int], told: Mapping[str, Any]) -> None:
    x, y = source[0] + _WIDTH, source[1] + _HEIGHT // 2
    to_x, to_y = target[0], target[1] + _HEIGHT // 2
    # Bent near where they begin, so that they are apart, and even, where they arrive.
    path = ET.SubElement(root, "path", d=f"M{x} {y}C{x + 40} {y} {x + 10} {to_y} {to_x} {to_y}")
    ET.SubElement(path, "title").text = f"{told['services']}: {', '.join(told['rules'])}"


def _text(root: ET.Element, x: int, y: int, text: str, kind: str) -> None:
    attributes = {"x": str(x), "y": str(y)} | ({"class": kind} if kind else {})
    ET.SubElement(root, "text", attributes).text = text
