"""`portcullis topology`."""

import json

import pytest

from tests.commands.conftest import portcullis
from tests.commands.sample import topology_page
from tests.topology.builders import P, database, join, vnic
from topology.export import dot, node_link
from topology.graph import build
from topology.inventory import Inventory


def test_the_tree(shop, controller):
    result = portcullis("topology")
    assert (result.exit_code, result.stderr) == (0, "")
    lines = [line.strip(" │├└─") for line in result.stdout.splitlines()]
    assert lines[:2] == ["hv1", "br0, datapath id 00005254000000a1, fail mode secure"]
    assert "web-1, role=web" in lines
    assert any(line.startswith("tap9, isolated: nobody's port") for line in lines)


def test_json_is_the_page(shop, controller):
    result = portcullis("topology", "--json")
    assert json.loads(result.stdout) == topology_page()


def test_dot_is_that_of_the_topology(shop, controller):
    network = join(database(vnic("t1", "a", "52:54:00:00:00:01"), P("x")), inventory=Inventory())
    controller.pages["/portcullis/topology"] = node_link(build(network))
    result = portcullis("topology", "--dot")
    assert result.exit_code == 0
    assert result.stdout == dot(build(network))


def test_both_forms_at_once(shop, controller):
    assert portcullis("topology", "--dot", "--json").exit_code == 2


def test_patch_ports_name_their_other_ends(shop, controller):
    ports = [P("to1", type="patch", options={"peer": "to0"})], [P("to0", type="patch", options={"peer": "to1"})]
    network = join(database(*ports[0], br1=ports[1]), inventory=Inventory())
    controller.pages["/portcullis/topology"] = node_link(build(network))
    lines = [line.strip(" │├└─") for line in portcullis("topology").stdout.splitlines()]
    assert lines[1:] == [
        "br0, datapath id 0000000000000001, fail mode secure",
        "to1, patch",
        "to to0",
        "br1, datapath id 0000000000000002, fail mode secure",
        "to0, patch",
        "to to1",
    ]


@pytest.mark.parametrize("form", [[], ["--dot"]])
def test_any_graph_is_shown(shop, controller, form):
    """Loops, edges that lead nowhere, nodes of other kinds, and names that mean something to a terminal."""
    nodes = [{"id": "h", "kind": "host", "label": "\x1b[31m"}, {"id": "b", "kind": "bridge"}, {"id": 5}, {}, None]
    edges = [("h", "b"), ("b", "h"), ("b", "b"), ("b", "nowhere"), ("b", 5)]
    page = {"nodes": nodes, "edges": [{"source": a, "target": b} for a, b in edges]}
    controller.pages["/portcullis/topology"] = page
    result = portcullis("topology", *form)
    assert result.exit_code == 0
    assert "\x1b" not in result.stdout


def test_nothing_known(shop, controller):
    controller.pages["/portcullis/topology"] = {"nodes": [], "edges": []}
    assert portcullis("topology").stdout == "no bridge is known\n"
