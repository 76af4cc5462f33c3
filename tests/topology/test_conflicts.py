"""The same vNIC, MAC or address twice."""

import pytest

from tests.topology.builders import MAC_1, MAC_2, MAC_3, P, database, join, ports_of, vnic
from topology.addresses import parse_prefix
from topology.inventory import Inventory, InventoryVnic, Network, Vm
from topology.join import IsolatedPort, VnicPort


def a_vm(name, mac=None, *addresses, network=None, id=None):
    prefixes = tuple(map(parse_prefix, addresses))
    return Vm(name, id=id, vnics=(InventoryVnic(f"if-{name}", mac, prefixes, network),))


NETWORKS = (Network("prod", 10), Network("lab", 30, "lab"))
INVENTORY = Inventory((a_vm("web", MAC_1, "10.0.0.11", id="id-web"), a_vm("db")), NETWORKS)


def verdicts(*databases, inventory=INVENTORY):
    """'ok' or the isolation's code, by port."""
    ports = ports_of(join(*databases, inventory=inventory))
    return {name: "ok" if isinstance(port, VnicPort) else port.code for name, port in ports.items()}


def test_one_iface_id_twice_shuts_both_and_names_the_other():
    ports = ports_of(join(database(vnic("a", "x", MAC_2), vnic("b", "x", MAC_3)), inventory=INVENTORY))
    assert {port.code for port in ports.values()} == {"duplicate-iface-id"}
    assert "hv1/br0/b" in ports["a"].reason
    assert "hv1/br0/a" in ports["b"].reason
    assert ports["a"].who == "x"


def test_it_holds_across_the_bridges_of_a_switch():
    rows = database(vnic("a", "x", MAC_2), br1=[vnic("b", "x", MAC_3)])
    assert verdicts(rows) == {"a": "duplicate-iface-id", "b": "duplicate-iface-id"}


def test_an_inactive_or_dead_interface_is_no_rival():
    rows = database(
        vnic("a", "x", MAC_2), vnic("b", "x", MAC_2, iface_status="inactive"), vnic("c", "x", MAC_2, ofport=None)
    )
    assert verdicts(rows) == {"a": "ok", "b": "inactive", "c": "no-ofport"}


def test_of_two_ports_of_one_inventory_vnic_the_iface_id_wins():
    rows = database(vnic("a", "if-web", MAC_1), vnic("b", "other", MAC_1, vm_id="id-web"))
    assert verdicts(rows) == {"a": "ok", "b": "duplicate-vnic"}


def test_what_a_vnic_promised_by_the_inventory_owns_is_not_free_while_two_claim_to_be_it():
    thief = vnic("c", "y", MAC_3, addresses="10.0.0.11")
    rows = database(vnic("a", "if-web", MAC_1), vnic("b", "if-web", MAC_1), thief)
    assert verdicts(rows) == {"a": "duplicate-iface-id", "b": "duplicate-iface-id", "c": "duplicate-address"}


def test_on_two_switches_both_stand_and_it_is_told():
    one = database(vnic("a", "if-web", MAC_1))
    two = database(vnic("b", "if-web", MAC_1), remote="unix:b", host="hv2", dpid=9)
    topology = join(one, two, inventory=INVENTORY)
    assert verdicts(one, two) == {"a": "ok", "b": "ok"}
    (finding,) = topology.findings
    assert finding.code == "several-switches"
    assert "hv1/br0/a" in finding.message and "hv2/br0/b" in finding.message


def test_one_mac_twice_in_a_vlan():
    assert verdicts(database(vnic("a", "x", MAC_3), vnic("b", "y", MAC_3))) == {
        "a": "duplicate-mac",
        "b": "duplicate-mac",
    }


def test_the_mac_of_the_inventory_s_vnic_cannot_be_taken():
    # By MAC, port b would be web's vNIC: as with any second port of a vNIC, the better match stands.
    assert verdicts(database(vnic("a", "if-web", MAC_1), vnic("b", "y", MAC_1))) == {"a": "ok", "b": "duplicate-vnic"}


def test_the_inventory_s_vnic_wins_a_mac_that_only_ovsdb_states():
    assert verdicts(database(vnic("a", "if-db", MAC_3), vnic("b", "y", MAC_3))) == {"a": "ok", "b": "duplicate-mac"}


def test_one_mac_in_two_vlans_or_bridges_is_no_conflict():
    assert verdicts(database(vnic("a", "x", MAC_3, tag=1), vnic("b", "y", MAC_3, tag=2))) == {"a": "ok", "b": "ok"}
    assert verdicts(database(vnic("a", "x", MAC_3), br1=[vnic("b", "y", MAC_3)])) == {"a": "ok", "b": "ok"}


def test_overlapping_addresses_of_unknown_vnics_shut_both():
    rows = database(vnic("a", "x", MAC_2, addresses="10.1.0.0/24"), vnic("b", "y", MAC_3, addresses="10.1.0.7"))
    ports = ports_of(join(rows, inventory=INVENTORY))
    assert {port.code for port in ports.values()} == {"duplicate-address"}
    assert "10.1.0.0/24" in ports["b"].reason and "hv1/br0/a" in ports["b"].reason


def test_they_conflict_across_switches_too():
    one = database(vnic("a", "x", MAC_2, addresses="10.1.0.7"))
    two = database(vnic("b", "y", MAC_3, addresses="10.1.0.7"), remote="unix:b", host="hv2", dpid=9)
    assert verdicts(one, two) == {"a": "duplicate-address", "b": "duplicate-address"}


def test_not_across_scopes():
    rows = database(
        vnic("a", "x", MAC_2, addresses="10.1.0.7", tag=10), vnic("b", "y", MAC_3, addresses="10.1.0.7", tag=30)
    )
    assert verdicts(rows) == {"a": "ok", "b": "ok"}


def test_the_inventory_s_address_cannot_be_taken():
    rows = database(vnic("a", "if-web", MAC_1), vnic("b", "y", MAC_3, addresses="10.0.0.0/24"))
    assert verdicts(rows) == {"a": "ok", "b": "duplicate-address"}


def test_not_even_while_its_vm_is_off_or_elsewhere():
    ports = ports_of(join(database(vnic("b", "y", MAC_3, addresses="10.0.0.11")), inventory=INVENTORY))
    assert isinstance(ports["b"], IsolatedPort)
    assert "web/if-web in the inventory" in ports["b"].reason


def test_not_even_by_another_vm_of_the_inventory():
    rows = database(vnic("a", "if-db", MAC_3, addresses="10.0.0.11"))
    assert verdicts(rows) == {"a": "duplicate-address"}


def test_a_vnic_in_the_wrong_scope_does_not_shut_the_one_that_belongs_there():
    inventory = Inventory((a_vm("here", MAC_1, "10.0.0.1", network="lab"), a_vm("lost", MAC_2, "10.0.0.1")), NETWORKS)
    rows = database(vnic("a", "if-here", tag=30), vnic("b", "if-lost", tag=30))
    assert verdicts(rows, inventory=inventory) == {"a": "ok", "b": "duplicate-address"}


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_the_order_of_rows_does_not_matter(order):
    ports = (
        vnic("a", "x", MAC_2, addresses="10.1.0.7", ofport=1),
        vnic("b", "y", MAC_2, addresses="10.1.0.8", ofport=2),
        vnic("c", "z", MAC_3, addresses="10.1.0.8", ofport=3),
    )
    topology = join(database(*(ports[n] for n in order)), inventory=INVENTORY)
    assert topology == join(database(*ports), inventory=INVENTORY)
    assert [port.code for port in topology.bridges[0].ports] == ["duplicate-mac", "duplicate-mac", "duplicate-address"]


def test_a_promise_does_not_count_where_its_vnic_is_on_a_port_in_another_scope():
    inventory = Inventory((a_vm("web", None, "10.0.0.1"),), NETWORKS)
    elsewhere, stranger = vnic("a", "if-web", MAC_2, tag=30), vnic("b", "y", MAC_3, addresses="10.0.0.1")
    assert verdicts(database(elsewhere, stranger), inventory=inventory) == {"a": "ok", "b": "ok"}
    assert verdicts(database(stranger), inventory=inventory) == {"b": "duplicate-address"}


def test_two_that_share_addresses_of_both_families_lose():
    both = {"addresses": "10.0.0.1,2001:db8::1"}
    ports = ports_of(join(database(vnic("a", "x", MAC_2, **both), vnic("b", "y", MAC_3, **both)), inventory=INVENTORY))
    assert {port.code for port in ports.values()} == {"duplicate-address"}
    assert "its address 10.0.0.1/32" in ports["a"].reason


def test_interfaces_with_one_openflow_port_are_all_shut():
    one, other = vnic("a", "x", MAC_2, ofport=5), vnic("b", "y", MAC_3, ofport=5)
    uplink, third = P("eth0", ofport=6), vnic("c", "z", MAC_1.replace("00", "0a"), ofport=6)
    found = ports_of(join(database(one, other, uplink, third), inventory=INVENTORY, uplinks=["eth*"]))
    assert {name: (port.code, port.ofport) for name, port in found.items()} == {
        "a": ("duplicate-ofport", 5),
        "b": ("duplicate-ofport", 5),
        "c": ("duplicate-ofport", 6),
        "eth0": ("duplicate-ofport", 6),
    }
    assert verdicts(database(vnic("a", "x", MAC_2, ofport=None), vnic("b", "y", MAC_3, ofport=5)))["b"] == "ok"
