"""The language's sections "Networks" and "VMs", sentence by sentence: each docstring quotes what its test would catch.

Who a port belongs to is the matter of `topology`: those sentences are at the end, with the tests that hold them.
"""

from ipaddress import ip_network

import pytest

from tests.policy.asking import sides, verdict
from tests.policy.elsewhere import check_exists
from tests.policy.words import document, refused
from topology.inventory import DEFAULT_SCOPE, Network
from topology.vnic import offline_vnics

SCOPES = """
networks:
  prod: {vlan: 10}
  test: {vlan: 20, scope: default}
  lab:  {vlan: 30, scope: lab}
  lab2: {vlan: 31, scope: lab}
"""


def vnics(loaded):
    return {vnic.name: vnic for vnic in offline_vnics(loaded.inventory)}


def test_networks():
    """`scope` names an address scope. The default scope is `default`, shared by all networks that name none."""
    assert document(SCOPES).inventory.networks == (
        Network("prod", 10, "default"),
        Network("test", 20, "default"),
        Network("lab", 30, "lab"),
        Network("lab2", 31, "lab"),
    )
    assert DEFAULT_SCOPE == "default"


@pytest.mark.parametrize(
    ("first", "second", "free"),
    [("prod", "lab", True), ("prod", "prod", False), ("prod", "test", False), ("lab", "lab2", False)],
)
def test_addresses_are_unique_within_a_scope(first, second, free):
    """Addresses are unique within a scope, and two scopes may reuse the same addresses."""
    text = SCOPES + "vms:\n  a: {network: %s, addresses: 10.0.0.1}\n  b: {network: %s, addresses: %s10.0.0.1}"
    if free:
        assert document(text % (first, second, ""))
    else:
        refused(text % (first, second, "§"), "address 10.0.0.1/32 is taken: VM 'a'")


def test_a_scope_is_that_of_the_vnic():
    """The same, where the network stands at the vNIC."""
    text = SCOPES + "vms:\n  a: {network: lab, vnics: [{iface_id: x, network: %s, addresses: 10.0.0.1}]}\n"
    text += "  b: {addresses: %s10.0.0.1}"
    assert document(text % ("lab2", ""))
    refused(text % ("prod", "§"), "is taken")


@pytest.mark.parametrize("vlan", [0, 4094])
def test_vlans(vlan):
    """VLANs are 0 to 4094, one network each."""
    assert document(f"networks: {{a: {{vlan: {vlan}}}}}").inventory.network_of_vlan(vlan).name == "a"
    refused(f"networks: {{a: {{vlan: {vlan}}}, b: {{vlan: §{vlan}}}}}", f"VLAN {vlan} is network 'a'")
    refused("networks: {a: {vlan: §4095}}")
    refused("networks: {a: {vlan: §-1}}")


def test_implicit_networks():
    """A VLAN that no network declares belongs to an implicit network `vlan-N` (`vlan-0`: untagged) in scope
    `default`.
    """
    loaded = document(SCOPES + "vms: {a: {network: vlan-0}, b: {network: vlan-77}}")
    assert loaded.inventory.network_of_vlan(77) == Network("vlan-77", 77, "default")
    assert loaded.inventory.network_of_vlan(0) == Network("vlan-0", 0, "default")
    assert {vnic.scope for vnic in vnics(loaded).values()} == {"default"}
    refused(SCOPES + "vms: {a: {network: §vlan-30}}", "VLAN 30 is network 'lab'")


def test_a_group_of_cidrs_matches_in_every_scope_unless_it_says_scope():
    """A group of CIDRs matches in every scope unless it says `scope:`."""
    rules = "policies: [{name: p, rules: [{allow: any, from: %s, direction: in}]}]\n"
    machines = "vms: {a: {network: prod, addresses: 10.0.0.1}, b: {network: lab, addresses: 10.0.0.1}}\n"
    for scope, there, lab in (
        ("", "allow", "allow"),
        (", scope: lab", "deny", "allow"),
        (", scope: default", "allow", "deny"),
    ):
        loaded = document(SCOPES + machines + rules % f"{{cidrs: 192.0.2.0/24{scope}}}")
        assert verdict(loaded, "192.0.2.1", "a") == there
        assert verdict(loaded, "192.0.2.1", "b") == lab


def test_an_unknown_scope():
    """A dangling reference: an error with the nearest valid name."""
    refused(SCOPES + "groups: {a: {cidrs: 192.0.2.1, scope: §lap}}", "did you mean 'lab'?")


def test_a_vm_in_full():
    """The example of the page, and what is optional."""
    loaded = document("""
        networks: {prod: {vlan: 10}}
        vms:
          web-1:
            id: 2f6cf7a2-1f0e-4b5c-9f7b-0b4a3a1c2d11
            tenant: acme
            network: prod
            labels: {app: shop, role: web, env: prod}
            vnics:
              - iface_id: 7d0e2c1a-1
                mac: 52:54:00:00:00:01
                addresses: [10.0.0.11, "2001:db8::11"]
          db-1: {labels: {role: db}, addresses: [10.0.0.21]}
          bare: {}
    """)
    found = vnics(loaded)["web-1/7d0e2c1a-1"]
    assert (found.vm_id, found.tenant, found.network) == ("2f6cf7a2-1f0e-4b5c-9f7b-0b4a3a1c2d11", "acme", "prod")
    assert found.mac == "52:54:00:00:00:01" and found.labels["env"] == "prod"
    assert found.addresses == (ip_network("10.0.0.11"), ip_network("2001:db8::11"))
    assert {"db-1/db-1", "bare/bare"} < vnics(loaded).keys()


def test_the_network_stands_here_or_at_a_vnic():
    """`network` is optional, here or at a vNIC."""
    loaded = document(SCOPES + "vms: {a: {network: prod, vnics: [{iface_id: x}, {iface_id: y, network: lab}]}}")
    assert {name: (vnic.network, vnic.scope) for name, vnic in vnics(loaded).items()} == {
        "a/x": ("prod", "default"),
        "a/y": ("lab", "lab"),
    }


def test_cidrs_are_addresses_too():
    """What it may use; CIDRs allowed."""
    (vm,) = document("vms: {a: {addresses: [10.0.0.0/24, '2001:db8::/64']}}").inventory.vms
    assert vm.vnics[0].addresses == (ip_network("10.0.0.0/24"), ip_network("2001:db8::/64"))


def test_macs():
    """MACs are unicast and unique."""
    refused("vms: {a: {mac: §01:00:5e:00:00:01}}", "multicast")
    refused("vms: {a: {mac: 52:54:00:00:00:01}, b: {mac: §52:54:00:00:00:01}}", "taken")
    # In other scopes too: frames know no scope.
    refused(SCOPES + "vms: {a: {mac: 52:54:00:00:00:01}, b: {network: lab, mac: §52:54:00:00:00:01}}", "taken")


@pytest.mark.parametrize(
    ("first", "second"), [("10.0.0.0/24", "§10.0.0.255"), ("10.0.0.0/24", "§10.0.0.0/25"), ("§10.0.0.9", "10.0.0.0/28")]
)
def test_two_entries_overlap_if_they_share_any_address(first, second):
    """Two entries overlap if they share any address."""
    refused(f"vms: {{a: {{addresses: {first}}}, b: {{addresses: {second}}}}}", "overlaps")


def test_without_a_network():
    """Without a `network`, what works on files alone (`check`, `explain`, …) uses the scope `default`, and
    `vnic.network`, `vnic.host`, `vnic.bridge` are missing labels.
    """
    for attribute in ("network", "host", "bridge"):
        loaded = document(f"""
            vms: {{a: {{addresses: 10.0.0.1}}}}
            policies:
              - name: p
                rules:
                  - {{allow: tcp/1, from: {{match: has(vnic.{attribute})}}}}
                  - {{allow: tcp/2, from: {{match: vnic.{attribute} != x}}}}
        """)
        assert verdict(loaded, "a", "192.0.2.1", "tcp/1") == "deny"
        assert verdict(loaded, "a", "192.0.2.1", "tcp/2") == "allow"
    assert vnics(loaded)["a/a"].scope == "default"


def test_the_first_address_of_a_cidr_entry_is_its_network_address():
    """The first address of a CIDR entry is its network address."""
    rule = "policies: [{name: p, rules: [{allow: any, from: {cidrs: %s}}]}]"
    for first, expected in (("10.0.0.0", "allow"), ("10.0.0.1", "deny")):
        loaded = document("vms: {a: {addresses: 10.0.0.0/24}}\n" + rule % first)
        assert verdict(loaded, "a", "192.0.2.1") == expected


@pytest.mark.parametrize("where", ["trusted: true", "vnics: [{iface_id: t, trusted: true, addresses: 10.0.0.1}]"])
def test_trusted(where):
    """`trusted: true` on a VM or vNIC takes it out of the firewall."""
    address = "" if "vnics" in where else ", addresses: 10.0.0.1"
    loaded = document(
        f"vms: {{t: {{labels: {{role: router}}, {where}{address}}}, a: {{addresses: 10.0.0.2}}}}\n"
        "policies: [{name: p, rules: [{allow: tcp/1, from: {match: role == router}}, {deny: any}]}]"
    )
    assert sides(loaded, "t", "192.0.2.1") == (None, None) and verdict(loaded, "t", "192.0.2.1") == "allow"
    assert sides(loaded, "192.0.2.1", "t") == (None, None)
    # Others' sides stay, and know it by its labels.
    assert sides(loaded, "t", "a", "tcp/1") == (None, "allow")
    assert sides(loaded, "t", "a", "tcp/2") == (None, "deny")
    assert sides(loaded, "a", "t", "tcp/2") == ("deny", None)


def test_one_trusted_vnic_of_two():
    """The same: only that vNIC."""
    loaded = document(
        "vms: {t: {vnics: [{iface_id: x, trusted: true, addresses: 10.0.0.1}, {iface_id: y, addresses: 10.0.0.2}]}}"
    )
    assert sides(loaded, "t/x", "192.0.2.1") == (None, None)
    assert sides(loaded, "t/y", "192.0.2.1") == ("deny", None)


ELSEWHERE = {
    "A vNIC's network follows from the VLAN tag of its OVSDB port (`Port.tag`; no tag: VLAN 0)":
        "topology/test_join.py::test_tags",
    "the port's tag must agree": "topology/test_join.py::test_the_network_must_agree_with_the_tag",
    "external_ids:attached-mac must agree when both are known":
        "topology/test_join.py::test_a_disagreement_isolates_and_names_both",
    "A port is matched to a VM by `iface-id`":
        "topology/test_join.py::test_matched_by_iface_id_has_the_inventory_s_attributes",
    "else by `vm-id`": "topology/test_join.py::test_matched_by_vm_id",
    "else by `attached-mac`": "topology/test_join.py::test_matched_by_mac",
    "a disagreement between these is an error state for that port: it is isolated and reported, never guessed":
        "topology/test_join.py::test_a_disagreement_isolates_and_names_both",
    "A port with an `iface-id` that no VM claims is an unknown vNIC: it has the attributes that OVSDB gives it":
        "topology/test_join.py::test_an_unknown_vnic_without_attributes",
    "and is firewalled like any other (default deny)":
        "live/test_ports.py::test_an_unknown_vnic_is_firewalled_by_default_deny",
    "A port may also carry labels itself, in OVSDB": "topology/test_join.py::test_an_unknown_vnic_has_what_ovsdb_says",
    "the inventory wins over OVSDB, and a conflict is reported":
        "topology/test_join.py::test_labels_of_ovsdb_add_up_and_the_inventory_wins",
    "`trusted` is not for a port to say": "topology/test_join.py::test_trusted_is_the_inventory_s_word",
    "patch and tunnel ports are uplinks": "topology/test_join.py::test_tunnels",
    "ports named as uplinks in the controller's configuration or by `external_ids:role=uplink`, are uplinks":
        "topology/test_join.py::test_uplinks_are_named_by_glob_or_role",
    "Any other port is isolated and reported, so that nothing is let in by forgetting it":
        "live/test_ports.py::test_a_nameless_port_is_isolated",
    "VLANs that no network declares have implicit networks":
        "topology/test_values.py::test_undeclared_vlans_have_implicit_networks",
}  # fmt: skip


@pytest.mark.parametrize("sentence", ELSEWHERE)
def test_elsewhere(sentence):
    check_exists(ELSEWHERE[sentence])
