"""Identity, VLANs and kinds of ports, one fact a test."""

import pytest

from tests.topology.builders import MAC_1, MAC_2, MAC_3, P, database, join, ports_of, vnic
from topology.addresses import parse_prefix
from topology.inventory import Inventory, InventoryVnic, Network, Vm
from topology.join import IsolatedPort, UplinkPort, VnicPort
from topology.rows import BridgeRow, Database

WEB = Vm(
    "web-1",
    id="uuid-web",
    tenant="acme",
    labels={"app": "shop", "role": "web"},
    vnics=(InventoryVnic("if-web", MAC_1, (parse_prefix("10.0.0.11"),), "prod"),),
)
DB = Vm("db-1", labels={"role": "db"}, vnics=(InventoryVnic("db-1", None, (parse_prefix("10.0.0.21"),)),))
TWO = Vm("two", id="uuid-two", vnics=(InventoryVnic("two-a", MAC_2), InventoryVnic("two-b", None)))
OPEN = Vm("open", id="uuid-open", labels={"role": "any-nic"})
ROUTER = Vm("router", trusted=True, vnics=(InventoryVnic("router"),))
LEASE = Vm(
    "lease",
    id="uuid-lease",
    roles=frozenset({"dhcp-server"}),
    vnics=(InventoryVnic("lease-a"), InventoryVnic("lease-b", roles=frozenset({"router"}))),
)
INVENTORY = Inventory((WEB, DB, TWO, OPEN, ROUTER, LEASE), (Network("prod", 10), Network("lab", 30, "lab")))


def one(port, **kwargs):
    topology = join(database(port), inventory=INVENTORY, **kwargs)
    (found,) = topology.bridges[0].ports
    return found


def findings(*ports):
    return join(database(*ports), inventory=INVENTORY).findings


# Who it is


def test_matched_by_iface_id_has_the_inventory_s_attributes():
    port = one(vnic("tap1", "if-web", MAC_1, vm_id="uuid-web", tag=10))
    assert isinstance(port, VnicPort)
    assert (port.ofport, port.vlan, port.zone, port.interface_uuid) == (1, 10, None, "i-tap1")
    found = port.vnic
    assert (found.id, found.vm, found.vm_id, found.tenant, found.mac) == (
        "if-web",
        "web-1",
        "uuid-web",
        "acme",
        MAC_1,
    )
    assert found.labels == {"app": "shop", "role": "web"}
    assert found.addresses == (parse_prefix("10.0.0.11"),)
    assert (found.network, found.scope, found.host, found.bridge) == ("prod", "default", "hv1", "br0")


def test_the_inventory_s_mac_stands_in_for_attached_mac():
    assert one(vnic("tap1", "if-web", tag=10)).vnic.mac == MAC_1


def test_matched_by_vm_id():
    port = one(vnic("tap1", "some-uuid", MAC_1, vm_id="uuid-web", tag=10))
    assert (port.vnic.vm, port.vnic.id) == ("web-1", "if-web")


def test_a_match_by_vm_id_in_spite_of_another_iface_id_is_reported():
    (finding,) = findings(vnic("tap1", "some-uuid", MAC_1, vm_id="uuid-web", tag=10))
    assert finding.code == "other-iface-id"
    assert finding.where == "hv1/br0/tap1"


def test_matched_by_mac():
    assert one(vnic("tap1", "some-uuid", MAC_2)).vnic.id == "two-a"


def test_of_several_vnics_the_mac_tells_which():
    assert one(vnic("tap1", "some-uuid", MAC_2, vm_id="uuid-two")).vnic.id == "two-a"


@pytest.mark.parametrize("mac", [None, MAC_3])
def test_of_several_vnics_none_is_guessed(mac):
    port = one(vnic("tap1", "some-uuid", mac, vm_id="uuid-two"))
    assert (port.code, port.who) == ("ambiguous-vnic", "some-uuid")
    assert "two" in port.reason


def test_a_vm_that_lists_no_vnics_is_matched_with_any_of_its_own():
    port = one(vnic("tap1", "nic-7", MAC_3, vm_id="uuid-open"))
    assert (port.vnic.vm, port.vnic.id, port.vnic.labels) == ("open", "nic-7", {"role": "any-nic"})


def test_xapi_s_keys_count_where_the_usual_ones_are_missing():
    ids = {"xs-vif-uuid": "some-uuid", "xs-vm-uuid": "uuid-web", "attached-mac": MAC_1}
    assert one(P("vif1.0", ids, tag=10)).vnic.vm == "web-1"
    assert one(P("vif1.0", {"xs-vif-uuid": "if-web"}, tag=10)).vnic.vm == "web-1"
    assert one(P("vif1.0", {**ids, "iface-id": "db-1"})).code == "disagreement"


def test_an_unknown_vnic_has_what_ovsdb_says():
    port = one(
        vnic(
            "tap1",
            "x",
            MAC_3,
            vm_id="uuid-x",
            vm_name="xen",
            tenant="blue",
            labels="role=web, env=prod",
            addresses="10.0.0.9, 2001:db8::/64",
            tag=30,
        )
    )
    found = port.vnic
    assert (found.id, found.vm, found.vm_id, found.tenant) == ("x", "xen", "uuid-x", "blue")
    assert found.labels == {"role": "web", "env": "prod"}
    assert found.addresses == (parse_prefix("10.0.0.9"), parse_prefix("2001:db8::/64"))
    assert (found.network, found.scope) == ("lab", "lab")


def test_an_unknown_vnic_without_attributes():
    port = one(vnic("tap1", "x", MAC_3, tag=77))
    assert (port.vnic.vm, port.vnic.labels, port.vnic.network, port.vnic.scope) == (None, {}, "vlan-77", "default")


def test_trusted_is_the_inventory_s_word():
    assert one(vnic("tap1", "router", MAC_3)).vnic.trusted
    assert not one(vnic("tap1", "x", MAC_3, trusted="true")).vnic.trusted


def test_roles_are_the_inventory_s_word():
    assert one(vnic("tap1", "lease-a", MAC_3)).vnic.roles == {"dhcp-server"}
    assert one(vnic("tap1", "lease-b", MAC_3)).vnic.roles == {"dhcp-server", "router"}
    for said in ({"roles": "dhcp-server"}, {"role": "router"}, {"labels": "roles=router"}):
        assert one(vnic("tap1", "x", MAC_3, **said)).vnic.roles == frozenset()
        assert one(vnic("tap1", "if-web", MAC_1, tag=10, **said)).vnic.roles == frozenset()


def test_roles_of_a_vm_that_lists_no_vnics_go_for_all_of_its_own():
    inventory = Inventory((Vm("open", id="uuid-open", roles=frozenset({"router"})),))
    topology = join(database(vnic("tap1", "nic-7", MAC_3, vm_id="uuid-open")), inventory=inventory)
    assert topology.bridges[0].ports[0].vnic.roles == {"router"}


@pytest.mark.parametrize(
    ("port", "names"),
    [
        (vnic("t", "if-web", MAC_1, vm_id="uuid-two", tag=10), ("web-1", "two")),
        (vnic("t", "if-web", MAC_1, vm_id="nobody", tag=10), ("uuid-web", "nobody")),
        (vnic("t", "if-web", MAC_3, tag=10), (MAC_1, MAC_3)),
        (vnic("t", "db-1", MAC_1), ("db-1", "web-1/if-web")),
        (vnic("t", "y", MAC_2, vm_id="uuid-web", tag=10), (MAC_1, MAC_2)),
        (vnic("t", "y", MAC_1, vm_id="else", tag=10), ("uuid-web", "else")),
        (vnic("t", "if-web", MAC_1, vm_name="db-1", tag=10), ("web-1", "db-1")),
        (vnic("t", "y", MAC_3, vm_name="db-1"), ("db-1", "'y'")),
    ],
)
def test_a_disagreement_isolates_and_names_both(port, names):
    found = one(port)
    assert isinstance(found, IsolatedPort)
    assert found.code == "disagreement"
    for name in names:
        assert name in found.reason


def test_the_network_must_agree_with_the_tag():
    port = one(vnic("tap1", "if-web", MAC_1, tag=30))
    assert port.code == "wrong-network"
    assert "prod" in port.reason and "lab" in port.reason


def test_no_mac_known():
    assert one(vnic("tap1", "db-1")).code == "no-mac"


def test_inactive():
    assert one(vnic("tap1", "db-1", MAC_3, iface_status="inactive")).code == "inactive"
    assert isinstance(one(vnic("tap1", "db-1", MAC_3, iface_status="active")), VnicPort)


# What OVSDB adds


def test_labels_of_ovsdb_add_up_and_the_inventory_wins():
    port = vnic("tap1", "if-web", MAC_1, labels="role=db,env=prod", tag=10)
    assert one(port).vnic.labels == {"app": "shop", "role": "web", "env": "prod"}
    (finding,) = findings(port)
    assert finding.code == "inventory-wins"
    assert "'web'" in finding.message and "'db'" in finding.message


def test_addresses_tenant_and_name_of_the_inventory_win():
    port = vnic("tap1", "if-web", MAC_1, addresses="10.0.0.99", tenant="blue", vm_name="w", tag=10)
    assert one(port).vnic.tenant == "acme"
    assert one(port).vnic.addresses == (parse_prefix("10.0.0.11"),)
    assert [finding.code for finding in findings(port)] == ["inventory-wins"] * 3


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("iface-id", "x" * 300),
        ("iface-id", "a\nb"),
        ("vm-id", "x" * 5000),
        ("attached-mac", "01:00:5e:00:00:01"),
        ("attached-mac", "hello"),
        ("iface-status", "perhaps"),
        ("vm-name", "a b"),
        ("tenant", "provider"),
        ("labels", "role"),
        ("labels", "role=a,role=b"),
        ("labels", "vm.name=root"),
        ("labels", ",".join(f"k{n}=v" for n in range(65))),
        ("labels", "k=" + "v" * 257),
        ("addresses", "10.0.0.1/24"),
        ("addresses", "10.0.0.1%eth0"),
        ("addresses", ",".join(f"10.0.0.{n}" for n in range(65))),
    ],
)
def test_a_bad_value_isolates_where_it_would_have_counted(key, value):
    port = one(P("tap1", {"iface-id": "x", "attached-mac": MAC_3, "vm-id": "v", key: value}))
    assert isinstance(port, IsolatedPort)
    assert port.code == "bad-value"
    assert key in port.reason
    assert len(port.reason) < 500


def test_a_bad_value_that_the_inventory_overrules_is_only_reported():
    port = vnic("tap1", "if-web", MAC_1, addresses="nonsense", tenant="a b", vm_name="!", tag=10)
    assert isinstance(one(port), VnicPort)
    assert {finding.code for finding in findings(port)} >= {"bad-value"}


# What kind of port it is


@pytest.mark.parametrize("type_", ["vxlan", "geneve", "gre", "stt", "lisp", "erspan", "ip6gre", "gtpu", "bareudp"])
def test_tunnels(type_):
    assert one(P("tun0", type=type_)) == UplinkPort("tun0", "tunnel", (("tun0", 1),))


def test_patch_ports_know_their_peer():
    port = one(P("patch-a", type="patch", options={"peer": "patch-b"}))
    assert (port.kind, port.peer) == ("patch", "patch-b")


def test_uplinks_are_named_by_glob_or_role():
    assert one(P("eth0"), uplinks=["eth*"]).kind == "uplink"
    assert one(P("eth0", {"role": "uplink"})).kind == "uplink"
    assert one(P("eth0"), uplinks=["bond*"]).code == "nobody"


def test_an_internal_port_is_a_vnic_by_its_iface_id_else_nobody_s():
    assert isinstance(one(vnic("vnet0", "db-1", MAC_3, type="internal")), VnicPort)
    assert one(P("br0", type="internal", ofport=65534)).code == "nobody"
    assert "bridge's own port" in one(P("br0", type="internal", ofport=65534)).reason


@pytest.mark.parametrize("port", [vnic("eth0", "db-1", MAC_3), vnic("p0", "db-1", MAC_3, type="patch")])
def test_a_vnic_is_no_uplink(port):
    found = one(port, uplinks=["eth*"])
    assert found.code == "vnic-and-uplink"
    assert "db-1" in found.reason


def test_bonds():
    bond = P("bond0", members=("eth0", "eth1"), bond_mode="balance-slb", tag=None, trunks=(10, 20))
    port = one(bond, uplinks=["bond0"])
    assert port.members == (("eth0", 1), ("eth1", 2))
    assert (port.bond_mode, port.trunks, port.native_vlan) == ("balance-slb", (10, 20), None)


def test_a_bond_works_with_the_members_that_are_up():
    bond = P("bond0", members=("eth0", P("eth1", ofport=None, error="no such device")))
    ports = ports_of(join(database(bond), inventory=INVENTORY, uplinks=["bond0"]))
    assert ports["bond0"].members == (("eth0", 1),)
    assert ports["eth1"].code == "no-ofport"
    assert "no such device" in ports["eth1"].reason


def test_bonds_of_vnics_are_shut():
    bond = P("bond0", members=(vnic("tap1", "db-1", MAC_3), P("eth1")))
    ports = ports_of(join(database(bond), inventory=INVENTORY))
    assert {name: port.code for name, port in ports.items()} == {"tap1": "bond", "eth1": "bond"}


def test_a_port_without_ofport_is_in_no_flows():
    port = one(vnic("tap1", "if-web", MAC_1, tag=10, ofport=None, error="could not open tap1"))
    assert (port.code, port.ofport, port.who) == ("no-ofport", None, "web-1/if-web")
    assert port.reason == "no OpenFlow port yet: 'could not open tap1'"


# VLANs


@pytest.mark.parametrize(
    "how", [{"trunks": (1, 2)}, {"vlan_mode": "trunk"}, {"vlan_mode": "native-tagged", "tag": 1}]
)
def test_trunk_vnics_are_shut(how):
    port = one(vnic("tap1", "db-1", MAC_3, **how))
    assert port.code == "trunk"
    assert port.reason.endswith("each VLAN needs a sub-port in the inventory, a vNIC with `parent` and `vlan`")


def test_vlan_4095_is_none():
    assert one(vnic("tap1", "db-1", MAC_3, tag=4095)).code == "reserved-vlan"


def uplink(**how):
    return one(P("eth0", {"role": "uplink"}, **how))


@pytest.mark.parametrize(
    ("how", "native", "trunks", "tagged"),
    [
        ({}, None, None, False),
        ({"tag": 5}, 5, (), False),
        ({"tag": 5, "trunks": (7,)}, 5, (), False),
        ({"vlan_mode": "access"}, 0, (), False),
        ({"vlan_mode": "trunk", "tag": 5, "trunks": (7, 8)}, None, (7, 8), False),
        ({"vlan_mode": "native-tagged", "tag": 5}, 5, None, True),
        ({"vlan_mode": "native-untagged", "tag": 5, "trunks": (0, 7)}, 5, (5, 7), False),
    ],
)
def test_vlans_of_uplinks(how, native, trunks, tagged):
    port = uplink(**how)
    assert (port.native_vlan, port.trunks, port.tagged_native) == (native, trunks, tagged)


def test_dot1q_tunnels_are_shut():
    assert uplink(vlan_mode="dot1q-tunnel", tag=5).code == "dot1q-tunnel"


@pytest.mark.parametrize(
    ("how", "comes_in"),
    [
        # {tag of the frame: VLAN}, as OVS's input_vid_is_valid and input_vid_to_vlan have it
        ({}, {None: 0, 0: 0, 5: 5, 7: 7}),
        ({"trunks": (5,)}, {None: None, 0: None, 5: 5, 7: None}),
        ({"tag": 5}, {None: 5, 0: 5, 5: None, 7: None}),
        ({"vlan_mode": "access"}, {None: 0, 5: None}),
        ({"vlan_mode": "native-untagged", "tag": 5}, {None: 5, 5: 5, 7: 7}),
        ({"vlan_mode": "native-tagged", "tag": 5, "trunks": (7,)}, {None: 5, 5: 5, 7: 7, 8: None}),
    ],
)
def test_the_vlan_of_a_frame(how, comes_in):
    port = uplink(**how)
    assert {tag: port.vlan_of(tag) for tag in comes_in} == comes_in


def test_a_native_vlan_takes_vlan_0_away():
    port = uplink(vlan_mode="native-untagged", tag=5)
    assert not port.carries(0)
    assert port.carries(9)


def test_tags():
    assert not uplink(vlan_mode="native-untagged", tag=5).tags(5)
    assert uplink(vlan_mode="native-tagged", tag=5).tags(5)
    assert uplink().tags(5)
    assert not uplink().tags(0)
    assert not uplink(tag=5).tags(5)


# Bridges


def test_bridges_are_chosen_by_glob_and_sorted():
    rows = database(P("a"), bridge="br-z", **{"br-a": [P("b")], "other": []})
    topology = join(rows, inventory=INVENTORY, bridges=["br-*"])
    assert [bridge.name for bridge in topology.bridges] == ["br-a", "br-z"]


def test_in_band_is_ovs_s_default():
    rows = {
        uuid: BridgeRow(uuid, uuid, 1, "secure", {"disable-in-band": text} if text else {})
        for uuid, text in {"a": "", "b": "false", "c": "true"}.items()
    }
    bridges = join(Database("unix:a", bridges=rows), inventory=INVENTORY).bridges
    assert [bridge.in_band for bridge in bridges] == [True, True, False]


def test_a_bridge_without_datapath_id_is_reported():
    topology = join(Database("unix:a", bridges={"b": BridgeRow("b", "br0")}), inventory=INVENTORY)
    assert topology.bridges[0].dpid is None
    assert [finding.code for finding in topology.findings] == ["no-datapath-id"]
    assert topology.findings == topology.bridges[0].findings


def test_one_datapath_id_for_two_bridges_is_neither_s():
    topology = join(
        database(remote="unix:a", host="hv1", dpid=7),
        database(remote="unix:b", host="hv2", dpid=7),
        inventory=INVENTORY,
    )
    assert [bridge.dpid for bridge in topology.bridges] == [None, None]
    assert {finding.code for finding in topology.findings} == {"duplicate-datapath-id"}
    assert "hv1/br0, hv2/br0" in topology.findings[0].message


def test_rows_that_are_missing_are_reported():
    full = database(P("a"), P("b"))
    partly = Database(full.remote, full.switches, full.bridges, {"p-a": full.ports["p-a"]}, {})
    topology = join(partly, inventory=INVENTORY)
    assert ports_of(topology)["a"].code == "no-interface"
    assert "no-port" in {finding.code for finding in topology.findings}


def test_names_from_outside_cannot_forge_a_line_of_a_log():
    rows = database(P("x"), host="hv1\nfine", dpid=0)
    rows = Database(rows.remote, rows.switches, {k: BridgeRow(k, "b\nr") for k in rows.bridges})
    topology = join(rows, inventory=INVENTORY)
    assert topology.findings
    assert all("\n" not in str(finding) for finding in topology.findings)
