"""Sub-ports in the inventory: vNICs that come by another's port, each by its VLAN tag."""

import pytest

from tests.policy.words import document, refused
from topology.vnic import offline_vnics

TRUNK = """
    networks: {prod: {vlan: 10}, lab: {vlan: 30, scope: lab}}
    vms:
      web-1:
        labels: {role: web}
        network: prod
        vnics:
          - {iface_id: a, parent: web-1, vlan: 20, network: prod, mac: "52:54:00:00:00:02", addresses: 10.0.0.2}
          - {iface_id: web-1, mac: "52:54:00:00:00:01", addresses: 10.0.0.1}
          - {iface_id: b, parent: web-1, vlan: 30, addresses: 10.0.0.1, roles: router}
          - {iface_id: c, parent: web-1, vlan: 4094, mac: "52:54:00:00:00:01"}
"""


def test_a_trunk():
    inventory = document(TRUNK).inventory
    (vm,) = inventory.vms
    assert [(spec.iface_id, spec.parent, spec.tag, spec.network) for spec in vm.vnics] == [
        ("a", "web-1", 20, "prod"),
        ("web-1", None, 0, "prod"),
        ("b", "web-1", 30, "lab"),
        ("c", "web-1", 4094, "vlan-4094"),
    ]
    assert [spec.iface_id for spec in vm.sub_ports("web-1")] == ["a", "b", "c"]
    found = {vnic.id: vnic for vnic in offline_vnics(inventory)}
    assert (found["b"].scope, found["b"].mac, found["b"].roles) == ("lab", "52:54:00:00:00:01", {"router"})
    assert found["c"].labels == {"role": "web"}


def test_its_addresses_are_its_scopes():
    refused("""
        networks: {lab: {vlan: 30, scope: lab}}
        vms:
          web-1:
            vnics:
              - {iface_id: web-1, addresses: 10.0.0.1}
              - {iface_id: a, parent: web-1, vlan: 30, addresses: 10.0.0.1}
              - {iface_id: b, parent: web-1, vlan: 20, addresses: §10.0.0.1}
    """, "is taken")


def test_the_network_of_the_vm_is_that_of_the_vnics_with_a_port():
    """A sub-port without a network is in that of its VLAN, whatever its VM is in."""
    (vm,) = document("""
        networks: {prod: {vlan: 10}}
        vms:
          web-1: {network: prod, vnics: [{iface_id: web-1}, {iface_id: a, parent: web-1, vlan: 20}]}
    """).inventory.vms
    assert [spec.network for spec in vm.vnics] == ["prod", "vlan-20"]


@pytest.mark.parametrize("vlan", ["0", "4095", "-1", "x", "1.5", "null"])
def test_tags_are_1_to_4094(vlan):
    refused(f"""
        vms:
          web-1: {{vnics: [{{iface_id: web-1}}, {{iface_id: a, parent: web-1, vlan: §{vlan}}}]}}
    """, "must be a number from 1 to 4094")


@pytest.mark.parametrize(("key", "other"), [("parent: web-1", "vlan"), ("vlan: 20", "parent")])
def test_a_tag_needs_a_parent_and_a_parent_a_tag(key, other):
    refused(f"""
        vms:
          web-1: {{vnics: [{{iface_id: web-1}}, §{{iface_id: a, {key}}}]}}
    """, f"a sub-port of VM 'web-1' needs {other!r}")


@pytest.mark.parametrize("parent", ["web-2", "a", "nobody"])
def test_the_parent_is_another_vnic_of_the_vm_and_has_a_port(parent):
    refused(f"""
        vms:
          web-1: {{vnics: [{{iface_id: web-1}}, {{iface_id: a, parent: §{parent}, vlan: 20}}]}}
          web-2: {{}}
    """, f"no vNIC of VM 'web-1' with a port of its own is called {parent!r}")


def test_a_tag_is_one_sub_ports():
    refused("""
        vms:
          web-1:
            vnics:
              - {iface_id: web-1}
              - {iface_id: other}
              - {iface_id: a, parent: web-1, vlan: 20, network: vlan-1}
              - {iface_id: b, parent: other, vlan: 20, network: vlan-2}
              - {iface_id: c, parent: web-1, vlan: §20, network: vlan-3}
    """, "VLAN 20 of vNIC 'web-1' is another sub-port's: p.yaml:7:9")


def test_in_one_network_each_has_a_mac_of_its_own():
    refused("""
        networks: {prod: {vlan: 10}}
        vms:
          web-1:
            vnics:
              - {iface_id: web-1, network: prod, mac: "52:54:00:00:00:01"}
              - §{iface_id: a, parent: web-1, vlan: 10}
              - {iface_id: b, parent: web-1, vlan: 20, network: vlan-7}
              - §{iface_id: c, parent: web-1, vlan: 30, network: vlan-7, mac: "52:54:00:00:00:01"}
              - {iface_id: d, parent: web-1, vlan: 40, network: vlan-7, mac: "52:54:00:00:00:02"}
    """, ("needs a 'mac' of its own", "'prod'", "p.yaml:6:9"), ("'vlan-7'", "p.yaml:8:9"))


def test_a_mac_is_its_own_or_its_parents():
    refused("""
        vms:
          web-1:
            vnics:
              - {iface_id: web-1, mac: "52:54:00:00:00:01"}
              - {iface_id: a, parent: web-1, vlan: 10, mac: "52:54:00:00:00:02"}
              - {iface_id: b, parent: web-1, vlan: 20, mac: §"52:54:00:00:00:02"}
    """, "MAC '52:54:00:00:00:02' is taken")


def test_iface_ids_are_unique_among_all():
    refused("""
        vms:
          web-1: {vnics: [{iface_id: web-1}, {iface_id: §web-1, parent: web-1, vlan: 10}]}
    """, "iface-id 'web-1' is taken")


def test_nothing_of_a_trunk_is_trusted():
    told = "a whole port is taken out of the firewall by external_ids:role=uplink"
    refused("""
        vms:
          web-1: {vnics: [{iface_id: web-1}, {iface_id: a, parent: web-1, vlan: 20, §trusted: true}]}
          web-2: {vnics: [{iface_id: web-2, trusted: true}, {iface_id: b, parent: §web-2, vlan: 20}]}
          web-3: {trusted: true, vnics: [{iface_id: web-3}, {iface_id: c, parent: §web-3, vlan: 20}]}
    """, told, told, told)
