"""Learned addresses in the join: when they count, and who of several has one."""

import pytest

from tests.topology.builders import MAC_1, MAC_2, MAC_3, database, join, ports_of, vnic
from topology.addresses import parse_prefix
from topology.inventory import Inventory, InventoryVnic, Network, Vm
from topology.learned import FIRST_USE, LEASES, Source
from topology.ports import IsolatedPort

ALL = frozenset(Source)


def book(mac, *entries, stamp=100):
    return " ".join((mac, str(stamp), *entries))


def tap(number, *entries, mac=None, **other):
    """A port of the vNIC with this number, which has learned these."""
    mac = mac or (MAC_1, MAC_2, MAC_3)[number - 1]
    return vnic(f"tap{number}", f"id{number}", mac, portcullis_learned=book(mac, *entries), **other)


def addresses(*ports, learn=ALL, inventory=None):
    topology = join(database(*ports), inventory=inventory or Inventory(), learn=learn)
    found = {
        port.vnic.id: ([str(prefix) for prefix in port.vnic.addresses], port.vnic.learned)
        for port in topology.vnic_ports
    }
    return found, [(finding.code, finding.where) for finding in topology.findings]


LEASE, USED = "10.0.0.50,dhcp4,100,3700", "2001:db8::50,nd,100,-"


@pytest.mark.parametrize(
    ("learn", "found"),
    [
        (ALL, (["10.0.0.50/32", "2001:db8::50/128"], True)),
        (LEASES, (["10.0.0.50/32"], True)),
        (FIRST_USE, (["2001:db8::50/128"], True)),
        (frozenset(), ([], False)),
    ],
)
def test_what_counts_is_what_the_operator_lets_count(learn, found):
    assert addresses(tap(1, LEASE, USED), learn=learn) == ({"id1": found}, [])


def test_stated_addresses_hold_alone():
    stated = {"id1": (["10.0.0.9/32"], False)}
    assert addresses(tap(1, LEASE, addresses="10.0.0.9")) == (stated, [])
    inventory = Inventory((Vm("one", vnics=(InventoryVnic("id1", None, (parse_prefix("10.0.0.9"),)),)),))
    assert addresses(tap(1, LEASE), inventory=inventory) == (stated, [])


def test_trusted_vnics_learn_nothing():
    inventory = Inventory((Vm("one", vnics=(InventoryVnic("id1", None),), trusted=True),))
    assert addresses(tap(1, LEASE), inventory=inventory) == ({"id1": ([], False)}, [])


@pytest.mark.parametrize(
    ("text", "code"),
    [("nonsense", "bad-learned"), ("", "bad-learned"), (book(MAC_2, LEASE), "foreign-learned")],
)
def test_what_is_wrong_is_reported_and_does_not_count(text, code):
    found = addresses(vnic("tap1", "id1", MAC_1, portcullis_learned=text))
    assert found == ({"id1": ([], False)}, [(code, "hv1/br0/tap1")])
    stated = addresses(vnic("tap1", "id1", MAC_1, portcullis_learned=text, addresses="10.0.0.9"))
    assert stated == ({"id1": (["10.0.0.9/32"], False)}, [])


def test_what_somebody_states_is_not_learned():
    found, findings = addresses(tap(1, LEASE, USED), vnic("tap2", "id2", MAC_2, addresses="10.0.0.0/24"))
    assert found == {"id1": (["2001:db8::50/128"], True), "id2": (["10.0.0.0/24"], False)}
    assert findings == [("learned-address", "hv1/br0/tap1")]


def test_nor_what_the_inventory_promises_to_a_vm_that_is_off():
    inventory = Inventory((Vm("off", vnics=(InventoryVnic("off", None, (parse_prefix("10.0.0.50"),)),)),))
    found, findings = addresses(tap(1, LEASE), inventory=inventory)
    assert found == {"id1": ([], False)}
    assert findings == [("learned-address", "hv1/br0/tap1")]


def test_nor_what_a_port_states_that_is_shut():
    twins = [vnic(f"tap{number}", f"id{number}", MAC_2, addresses="10.0.0.50") for number in (2, 3)]
    topology = join(database(tap(1, LEASE), *twins), inventory=Inventory(), learn=ALL)
    ports = ports_of(topology)
    assert all(isinstance(ports[name], IsolatedPort) for name in ("tap2", "tap3"))
    assert ports["tap1"].vnic.addresses == ()


def test_of_two_who_learned_the_older_has_it_and_nobody_is_shut():
    old, new = "10.0.0.50,dhcp4,90,3690", "10.0.0.50,dhcp4,100,3700"
    for one, other in ((old, new), (new, old)):
        found, findings = addresses(tap(1, one), tap(2, other))
        owner = "id1" if one is old else "id2"
        assert {name for name, (has, _) in found.items() if has} == {owner}
        assert findings == [("learned-address", "hv1/br0/tap2" if one is old else "hv1/br0/tap1")]


def test_a_lease_counts_before_what_somebody_just_uses_however_long():
    lease, use = "10.0.0.50,dhcp4,100,3700", "10.0.0.50,arp,90,-"
    found, findings = addresses(tap(1, use), tap(2, lease))
    assert {name for name, (has, _) in found.items() if has} == {"id2"}
    assert findings == [("learned-address", "hv1/br0/tap1")]


def test_of_two_who_learned_in_one_second_one_has_it():
    found, findings = addresses(tap(1, LEASE), tap(2, LEASE), tap(3, LEASE))
    assert sorted(len(has) for has, _ in found.values()) == [0, 0, 1]
    assert len(findings) == 2


def test_scopes_do_not_meet():
    inventory = Inventory(networks=(Network("lab", 5, "lab"),))
    found, findings = addresses(tap(1, LEASE), tap(2, LEASE, tag=5), inventory=inventory)
    assert [has for has, _ in found.values()] == [["10.0.0.50/32"]] * 2
    assert findings == []


def test_a_vnic_that_moves_has_its_address_on_both_switches():
    databases = [database(tap(1, LEASE), remote=remote, dpid=dpid) for remote, dpid in (("unix:a", 1), ("unix:b", 2))]
    topology = join(*databases, inventory=Inventory(), learn=ALL)
    assert [len(port.vnic.addresses) for port in topology.vnic_ports] == [1, 1]
    assert [finding.code for finding in topology.findings] == ["several-switches"]
