"""The graph, its questions, and what others get of it."""

import json
import re
import subprocess

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.topology.builders import MAC_1, MAC_2, MAC_3, P, database, join, vnic
from topology.export import dot, node_link, tree, tree_lines
from topology.graph import build, patch_pairs, ports_of_vm, uplinks_of_bridge
from topology.inventory import Inventory, InventoryVnic, Network, Vm
from topology.paths import path

INVENTORY = Inventory(
    (
        Vm("web", labels={"role": "web"}, vnics=(InventoryVnic("if-web", MAC_1),)),
        Vm("db", vnics=(InventoryVnic("if-db", MAC_2), InventoryVnic("if-db2", MAC_3))),
    ),
    (Network("prod", 10),),
)


def patch(name, peer, **more):
    return P(name, type="patch", options={"peer": peer}, **more)


def two_bridges(web_vlan=10, db_vlan=10, **of_the_patch):
    return join(
        database(
            vnic("tap1", "if-web", tag=web_vlan),
            patch("p0", "p1", **of_the_patch),
            br1=[vnic("tap2", "if-db", tag=db_vlan), patch("p1", "p0")],
        ),
        inventory=INVENTORY,
    )


def two_hosts(kind="vxlan", inventory=INVENTORY, **of_one_uplink):
    uplink = {"ids": {"role": "uplink"}} if kind == "" else {"type": kind}
    return join(
        database(vnic("tap1", "if-web", tag=10), P("up1", **uplink, **of_one_uplink)),
        database(vnic("tap2", "if-db", tag=10), P("up2", **uplink), remote="unix:b", host="hv2", dpid=9),
        inventory=inventory,
    )


def test_nodes_and_edges():
    graph = build(two_bridges())
    assert {graph.nodes[node]["kind"] for node in graph} == {"host", "bridge", "vnic-port", "patch", "vnic", "vm"}
    assert graph.edges["port:unix:a-b-br0/p0", "port:unix:a-b-br1/p1"]["kind"] == "patch"
    assert graph.nodes["vm:web"] == {"kind": "vm", "label": "web", "tenant": None, "labels": {"role": "web"}}
    assert graph.nodes["bridge:unix:a-b-br0"]["dpid"] == "0000000000000001"
    assert nx.has_path(graph, "vm:web", "vm:db")


def test_patch_ports_must_name_each_other():
    others = [patch("p1", "p0"), patch("p3", "nowhere"), patch("p4", "p4")]
    rows = database(patch("p0", "p1"), patch("p2", "p1"), br1=others)
    pairs = [(one[1].name, other[1].name) for one, other in patch_pairs(join(rows, inventory=INVENTORY))]
    assert pairs == [("p0", "p1")]


def test_a_path_over_a_patch():
    topology = two_bridges()
    found = path(topology, "web", "db")
    assert found == (
        "vnic:if-web",
        "port:unix:a-b-br0/tap1",
        "bridge:unix:a-b-br0",
        "port:unix:a-b-br0/p0",
        "port:unix:a-b-br1/p1",
        "bridge:unix:a-b-br1",
        "port:unix:a-b-br1/tap2",
        "vnic:if-db",
    )
    assert nx.is_path(build(topology), found)
    assert path(topology, "if-db", "if-web") == found[::-1]


def test_vlans_do_not_meet():
    assert path(two_bridges(db_vlan=20), "web", "db") is None
    assert path(two_bridges(trunks=(11,)), "web", "db") is None


def test_a_patch_between_access_ports_joins_two_vlans():
    topology = join(
        database(
            vnic("tap1", "if-web", tag=10),
            patch("p0", "p1", tag=10),
            br1=[vnic("tap2", "if-db", tag=20), patch("p1", "p0", tag=20)],
        ),
        inventory=INVENTORY,
    )
    assert path(topology, "web", "db") is not None


@pytest.mark.parametrize(("kind", "outside"), [("vxlan", "outside:tunnel"), ("", "outside:uplink")])
def test_a_path_from_host_to_host(kind, outside):
    topology = two_hosts(kind)
    found = path(topology, "web", "db")
    assert outside in found
    assert nx.is_path(build(topology), found)


def test_an_access_uplink_carries_no_tag():
    # VLAN 10 leaves hv1 without a tag, and comes to hv2's trunk in VLAN 0.
    assert path(two_hosts("", tag=10), "web", "db") is None
    assert path(two_hosts("", trunks=(10,)), "web", "db") is not None


def test_on_one_bridge_and_not_to_oneself():
    topology = join(
        database(vnic("tap1", "if-web"), vnic("tap2", "if-db"), vnic("tap3", "if-db2")), inventory=INVENTORY
    )
    assert len(path(topology, "web", "db")) == 5
    assert path(topology, "db", "db") == (
        "vnic:if-db",
        "port:unix:a-b-br0/tap2",
        "bridge:unix:a-b-br0",
        "port:unix:a-b-br0/tap3",
        "vnic:if-db2",
    )
    assert path(topology, "web", "web") is None
    assert path(topology, "web", "nobody") is None


def test_ports_of_a_vm():
    topology = join(
        database(vnic("tap1", "if-db"), vnic("tap2", "if-db2", iface_status="inactive"), P("x")), inventory=INVENTORY
    )
    assert [port.name for _, port in ports_of_vm(topology, "db")] == ["tap1", "tap2"]
    assert ports_of_vm(topology, "web") == ()


def test_uplinks_of_a_bridge():
    topology = two_bridges()
    assert [port.name for port in uplinks_of_bridge(topology, "hv1", "br0")] == ["p0"]
    assert uplinks_of_bridge(topology, "hv2", "br0") == ()


def test_json_reads_back():
    graph = build(two_hosts())
    data = json.loads(json.dumps(node_link(graph)))
    assert data["version"] == 1
    again = nx.node_link_graph(data, edges="edges")
    assert nx.utils.graphs_equal(again, nx.node_link_graph(node_link(graph), edges="edges"))
    assert set(again.nodes) == set(graph.nodes)
    assert {frozenset(edge) for edge in again.edges} == {frozenset(edge) for edge in graph.edges}


def test_the_tree():
    zones = {"portcullis-zone": "77"}
    rows = database(
        vnic("tap1", "if-web", tag=10, addresses="10.0.0.1", **zones),
        P("bond0", {"role": "uplink"}, members=("eth0", "eth1"), vlan_mode="native-untagged", tag=5, trunks=(7,)),
        P("br0", type="internal", ofport=65534),
        vnic("tap9", "if-db", ofport=None),
    )
    assert list(tree_lines(tree(join(rows, inventory=INVENTORY)))) == [
        "hv1 (unix:a)",
        "  br0: datapath id 0000000000000001, fail mode secure",
        "    bond0: uplink, VLANs 5, 7, VLAN 5 untagged (ports eth0 2, eth1 3)",
        "    br0 (port 65534): isolated: nobody's port: this is the bridge's own port, and it has no iface-id and is"
        " not named as an uplink",
        f"    tap1: web/if-web, {MAC_1}, 10.0.0.1/32 (port 1, VLAN 10, zone 77)",
        "    tap9, db/if-db: isolated: no OpenFlow port yet",
    ]


def test_findings_are_in_the_tree_once():
    one = database(vnic("a", "if-web", labels="role=x"), dpid=0)
    two = database(vnic("b", "if-web"), remote="unix:b", host="hv2", dpid=9)
    lines = list(tree_lines(tree(join(one, two, inventory=INVENTORY))))
    assert sum("! hv1/br0/a: label role" in line for line in lines) == 1
    assert sum(line.startswith("! ") and "several switches" in line for line in lines) == 1


_STRING = r'"(?:[^"\\\n]|\\.)*"'
_DOT_LINE = re.compile(rf"  {_STRING} (?:-- {_STRING} )?\[(?:label={_STRING}, )?(?:shape|style)=\w+\];")

ANY_NAME = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)


@given(ANY_NAME, ANY_NAME, ANY_NAME)
def test_names_from_outside_stay_inside_their_strings(host, port, iface_id):
    rows = database(
        vnic(port, iface_id, MAC_3), P(port + '"]; evil [label="'), P("\\", error='\\"'), host=host, br1=[P("x\n}")]
    )
    topology = join(rows, inventory=INVENTORY)
    text = dot(build(topology))
    lines = text.split("\n")
    assert lines[:2] == ["graph portcullis {", "  rankdir=LR;"]
    assert lines[-2:] == ["}", ""]
    assert all(_DOT_LINE.fullmatch(line) for line in lines[2:-2])
    assert all("\n" not in line for line in tree_lines(tree(topology)))
    json.dumps(node_link(build(topology)))


def test_graphviz_reads_it():
    rows = database(vnic('a"b\\', "x\\N", MAC_3), P("new\nline"), host="{|}<>")
    text = dot(build(join(rows, inventory=INVENTORY)))
    done = subprocess.run(["dot", "-Tplain"], input=text, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("\nnode ") == len(build(join(rows, inventory=INVENTORY)))
