"""Sub-ports: vNICs that come by another's port, each by its VLAN tag. One fact a test."""

from dataclasses import replace

import pytest

from tests.topology.builders import MAC_1, MAC_2, MAC_3, database, join, ports_of, vnic
from topology.addresses import parse_prefix
from topology.export import tree, tree_lines
from topology.graph import build
from topology.inventory import Inventory, InventoryVnic, Network, Vm
from topology.join import Resolver
from topology.learned import Source
from topology.ports import IsolatedPort, VnicPort
from topology.rows import LEARNED_KEY, ZONE_KEY, kept_at, make_row
from topology.vnic import offline_vnics
from topology.zones import assign

PARENT = InventoryVnic("web-1", MAC_1, (parse_prefix("10.0.0.1"),))
SAME = InventoryVnic("web-1-a", MAC_2, (parse_prefix("10.0.0.2"),), "prod", parent="web-1", tag=20)
ROUTER = frozenset({"router"})
LAB = InventoryVnic("web-1-b", None, (parse_prefix("10.0.0.1"),), "lab", roles=ROUTER, parent="web-1", tag=7)
PLAIN = InventoryVnic("web-1-c", None, (), None, parent="web-1", tag=300)
WEB = Vm("web-1", id="id-web", tenant="acme", labels={"role": "web"}, vnics=(PARENT, SAME, LAB, PLAIN))
INVENTORY = Inventory((WEB,), (Network("prod", 10), Network("lab", 30, "lab")))


def here(*ports, inventory=INVENTORY, **more):
    return ports_of(join(database(*ports), inventory=inventory, **more))


def tap(**how):
    return vnic("tap1", "web-1", MAC_1, **{"tag": 10} | how)


def test_each_is_a_vnic_of_its_own_at_its_parents_port():
    found = here(tap())
    assert list(found) == ["tap1", "tap1.20", "tap1.300", "tap1.7"]
    told = {name: (port.ofport, port.tag, port.vlan, port.vnic.mac, port.vnic.network) for name, port in found.items()}
    assert told == {
        "tap1": (1, 0, 10, MAC_1, "prod"),
        "tap1.20": (1, 20, 10, MAC_2, "prod"),
        "tap1.7": (1, 7, 30, MAC_1, "lab"),
        "tap1.300": (1, 300, 300, MAC_1, "vlan-300"),
    }
    lab = found["tap1.7"].vnic
    assert (lab.name, lab.tenant, lab.labels, lab.scope) == ("web-1/web-1-b", "acme", {"role": "web"}, "lab")
    assert lab.addresses == (parse_prefix("10.0.0.1"),)
    assert lab.roles == {"router"} and not found["tap1"].vnic.roles


def test_what_ovsdb_says_of_addresses_is_about_the_parent():
    bare = replace(WEB, vnics=(replace(PARENT, addresses=()), PLAIN))
    found = here(tap(addresses="10.9.9.9"), inventory=replace(INVENTORY, vms=(bare,)))
    assert [str(prefix) for prefix in found["tap1"].vnic.addresses] == ["10.9.9.9/32"]
    assert found["tap1.300"].vnic.addresses == ()


def test_zones_are_kept_by_tag():
    rows = database(tap(portcullis_zone="5"))
    row = next(iter(rows.interfaces.values()))
    rows = replace(rows, interfaces={row.uuid: replace(row, external_ids={**row.external_ids, f"{ZONE_KEY}.20": "6"})})
    ports = list(join(rows, inventory=INVENTORY).vnic_ports)
    assert {port.name: port.zone for port in ports} == {"tap1": 5, "tap1.20": 6, "tap1.7": None, "tap1.300": None}
    missing = assign(rows, [port.holder for port in ports])
    assert set(missing) == {"i-tap1.7", "i-tap1.300"}
    assert len({*missing.values(), 5, 6}) == 4


def test_all_of_a_trunk_that_waits_for_its_openflow_port_get_zones_meanwhile():
    """But those that its row does not list: they are shut."""
    waiting = tap(ofport=None, trunks=[7, 20], portcullis_zone="5")
    waiting.ids[f"{ZONE_KEY}.20"] = "6"
    topology = join(database(waiting), inventory=INVENTORY)
    assert list(topology.vnic_ports) == []
    assert [holder for bridge in topology.bridges for holder in bridge.zoneless] == ["i-tap1.7"]


def test_a_zone_that_is_written_meanwhile_is_not_asked_for_again():
    rows, resolver = database(tap(ofport=None)), Resolver()
    for key in (f"{ZONE_KEY}.20", ZONE_KEY, f"{ZONE_KEY}.300", f"{ZONE_KEY}.7"):
        (bridge,) = resolver.resolve({"unix:a": rows}, INVENTORY).bridges
        assert needed(bridge) >= {key}
        (row,) = rows.interfaces.values()
        held = {**row.external_ids, key: str(len(row.external_ids))}
        rows = replace(rows, interfaces={row.uuid: replace(row, external_ids=held)})
        (bridge,) = resolver.resolve({"unix:a": rows}, INVENTORY).bridges
        assert key not in needed(bridge)
    assert needed(bridge) == set()


def needed(bridge):
    """The keys of the zones that a bridge's vNICs still need."""
    return {kept_at(holder, ZONE_KEY)[1] for holder in bridge.zoneless}


def test_of_a_zone_held_twice_at_one_interface_one_counts():
    port = tap(portcullis_zone="5")
    port.ids[f"{ZONE_KEY}.20"] = "5"
    assert [found.zone for found in here(port).values()] == [5, None, None, None]


def test_only_tags_that_can_be_are_read():
    keys = (ZONE_KEY, f"{ZONE_KEY}.1", f"{ZONE_KEY}.4094", f"{LEARNED_KEY}.20")
    strange = (f"{ZONE_KEY}.0", f"{ZONE_KEY}.4095", f"{ZONE_KEY}.020", f"{ZONE_KEY}.", f"{ZONE_KEY}.x", "iface-id.20")
    row = make_row("Interface", "i", {"name": "tap1", "external_ids": dict.fromkeys((*keys, *strange), "5")})
    assert sorted(row.external_ids) == sorted(keys)


def test_what_a_sub_port_has_learned_is_its_own():
    port = tap()
    port.ids[f"{LEARNED_KEY}.300"] = f"{MAC_1} 5 10.3.0.9,dhcp4,4,9"
    found = here(port, learn=frozenset(Source))
    assert found["tap1.300"].vnic.learned and not found["tap1"].vnic.learned
    assert [str(prefix) for prefix in found["tap1.300"].vnic.addresses] == ["10.3.0.9/32"]


# The row and the inventory


@pytest.mark.parametrize(
    ("how", "vlan"),
    [
        ({"tag": None}, 0),
        ({"tag": 10}, 10),
        ({"tag": 10, "trunks": (20, 7, 300)}, 10),
        ({"tag": 10, "vlan_mode": "native-untagged", "trunks": (20, 7, 300)}, 10),
        ({"tag": 10, "vlan_mode": "trunk"}, 0),
        ({"tag": 10, "vlan_mode": "access"}, 10),
    ],
)
def test_frames_without_a_tag_are_in_the_ports_native_vlan(how, vlan):
    found = here(tap(**how))
    assert {name: port.vlan for name, port in found.items()} == {
        "tap1": vlan,
        "tap1.20": 10,
        "tap1.7": 30,
        "tap1.300": 300,
    }


def test_a_tag_that_the_row_does_not_carry_is_shut_and_only_that():
    found = here(tap(vlan_mode="native-untagged", trunks=(20, 300)))
    shut = found.pop("tap1.7")
    assert isinstance(shut, IsolatedPort)
    assert (shut.code, shut.who, shut.ofport, shut.tag) == ("trunk", "web-1/web-1-b", 1, 7)
    assert shut.reason == "the inventory gives it VLAN 7, but the port's trunks are 20, 300"
    assert all(isinstance(port, VnicPort) for port in found.values())


@pytest.mark.parametrize("mode", ["native-tagged", "dot1q-tunnel", "new"])
def test_a_mode_that_contradicts_the_inventory_shuts_the_port(mode):
    (port,) = here(tap(vlan_mode=mode)).values()
    assert (port.code, port.tag) == ("trunk", 0)
    why = "but a vNIC with sub-ports sends its own frames without a tag"
    assert port.reason == f"the port's vlan_mode is {mode}, {why}"


def test_a_parent_that_is_shut_takes_its_sub_ports_with_it():
    (port,) = here(tap(iface_status="inactive")).values()
    assert (port.code, port.name, port.tag) == ("inactive", "tap1", 0)


# Who it is


def test_a_port_cannot_say_that_it_is_a_sub_port():
    found = here(vnic("tap2", "web-1-a", MAC_2, tag=10), tap())
    assert found["tap2"].code == "disagreement"
    assert found["tap2"].reason == (
        "the port has iface-id 'web-1-a', but in the inventory that is a sub-port, whose frames come by the port of "
        "'web-1'"
    )
    assert isinstance(found["tap1.20"], VnicPort)


def test_a_sub_ports_mac_tells_no_port():
    found = here(vnic("tap2", "stranger", MAC_2, tag=40))
    assert (found["tap2"].vnic.id, found["tap2"].vnic.vm) == ("stranger", None)


def test_a_vm_with_one_port_is_known_by_its_id():
    found = here(vnic("tap1", "other", MAC_1, vm_id="id-web", tag=10))
    assert [port.vnic.id for port in found.values()] == ["web-1", "web-1-a", "web-1-c", "web-1-b"]


def test_the_parents_mac_is_the_one_that_the_port_has():
    bare = replace(WEB, vnics=(replace(PARENT, mac=None), LAB))
    found = here(vnic("tap1", "web-1", MAC_3, tag=10), inventory=replace(INVENTORY, vms=(bare,)))
    assert found["tap1.7"].vnic.mac == MAC_3
    offline = {vnic.id: vnic.mac for vnic in offline_vnics(INVENTORY)}
    assert offline == {"web-1": MAC_1, "web-1-a": MAC_2, "web-1-b": MAC_1, "web-1-c": MAC_1}


def test_a_stranger_with_a_sub_ports_mac_in_its_network_is_shut():
    found = here(tap(), vnic("tap2", "stranger", MAC_2, tag=10), vnic("tap3", "other", MAC_2, tag=40))
    assert found["tap2"].code == "duplicate-mac"
    assert isinstance(found["tap1.20"], VnicPort) and isinstance(found["tap3"], VnicPort)


def test_a_stranger_with_a_sub_ports_address_is_shut():
    found = here(tap(), vnic("tap2", "stranger", MAC_3, tag=30, addresses="10.0.0.1"))
    assert found["tap2"].code == "duplicate-address"
    assert isinstance(found["tap1.7"], VnicPort)


def test_in_its_parents_network_the_parents_mac_is_the_parents():
    """The port's tag alone tells that: the loader cannot know. The sub-port is shut, not its parent."""
    found = here(tap(tag=300))
    assert found["tap1.300"].code == "duplicate-mac"
    assert isinstance(found["tap1"], VnicPort)


def test_two_ports_that_are_the_same_vnic_lose_all_of_it():
    found = here(tap(), replace(tap(), name="tap2"))
    assert {port.code for port in found.values()} == {"duplicate-iface-id"}
    assert len(found) == 8


def test_a_migration_has_the_sub_ports_on_both_switches():
    both = join(database(tap()), database(tap(), remote="unix:b", host="hv2", dpid=2), inventory=INVENTORY)
    assert [port.name for port in both.vnic_ports] == ["tap1", "tap1.20", "tap1.300", "tap1.7"] * 2
    assert {finding.code for finding in both.findings} == {"several-switches"}
    assert len(both.findings) == 4


def test_the_ports_of_one_interface_are_no_duplicates_but_those_of_two_are():
    found = here(tap(ofport=3), vnic("tap2", "stranger", MAC_3, ofport=3))
    assert {port.code for port in found.values()} == {"duplicate-ofport"}
    assert [port.tag for port in found.values()] == [0, 20, 300, 7, 0]


# For people and programs


def test_the_tree_and_the_graph_tell_them_apart():
    topology = join(database(tap()), inventory=INVENTORY)
    assert any("tap1.20: web-1/web-1-a" in line and "tag 20, VLAN 10" in line for line in tree_lines(tree(topology)))
    graph = build(topology)
    ports = {data["label"]: data["tag"] for _, data in graph.nodes(data=True) if data["kind"] == "vnic-port"}
    assert ports == {"tap1": None, "tap1.20": 20, "tap1.300": 300, "tap1.7": 7}
