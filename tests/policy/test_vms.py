"""VMs and networks: the inventory's values, and what is refused."""

from ipaddress import ip_network

import pytest

from policy.errors import PolicyError
from policy.load import load_texts
from tests.policy.words import document, refused
from topology.inventory import InventoryVnic, Network, Place, Vm
from topology.vnic import offline_vnics


def test_a_vm_in_full():
    inventory = document("""
        networks: {prod: {vlan: 10}, back: {vlan: 0}}
        vms:
          web-1:
            id: 2f6cf7a2-1f0e-4b5c-9f7b-0b4a3a1c2d11
            tenant: acme
            network: prod
            labels: {app: shop, version: 1.10, canary: true, weight: 010, "k8s.io/x-y_z": "", no: no}
            vnics:
              - iface_id: 7d0e2c1a
                mac: "52:54:00:00:00:0A"
                addresses: [10.0.0.11, "2001:db8::11", 10.1.0.0/24]
              - {iface_id: second, network: back, addresses: 10.0.0.12}
    """).inventory
    (vm,) = inventory.vms
    assert vm == Vm(
        "web-1",
        id="2f6cf7a2-1f0e-4b5c-9f7b-0b4a3a1c2d11",
        tenant="acme",
        labels={
            "app": "shop",
            "version": "1.10",
            "canary": "true",
            "weight": "010",
            "k8s.io/x-y_z": "",
            "no": "no",
        },
        vnics=(
            InventoryVnic(
                "7d0e2c1a",
                "52:54:00:00:00:0a",
                (ip_network("10.0.0.11/32"), ip_network("2001:db8::11/128"), ip_network("10.1.0.0/24")),
                "prod",
                Place("p.yaml", 10, 9),
            ),
            InventoryVnic("second", None, (ip_network("10.0.0.12/32"),), "back", Place("p.yaml", 13, 9)),
        ),
        place=Place("p.yaml", 4, 3),
    )
    assert inventory.networks == (Network("prod", 10), Network("back", 0))


def test_the_short_form():
    inventory = document("""
        vms:
          db-1: {labels: {role: db}, addresses: [10.0.0.21], mac: 52:54:00:00:00:01}
          db-2: {}
          none: {vnics: []}
    """).inventory
    first, second, none = inventory.vms
    assert first.vnics[0].iface_id == "db-1" and first.vnics[0].mac == "52:54:00:00:00:01"
    assert first.vnics[0].addresses == (ip_network("10.0.0.21/32"),)
    assert [vnic.iface_id for vnic in second.vnics] == ["db-2"]
    assert none.vnics == ()
    assert [vnic.name for vnic in offline_vnics(inventory)] == ["db-1/db-1", "db-2/db-2"]


def test_roles_of_vms_and_vnics_add_up():
    loaded = document("""
        vms:
          one:  {roles: dhcp-server}
          two:  {roles: router, vnics: [{iface_id: a, roles: [dhcp-server, router]}, {iface_id: b}]}
          part: {vnics: [{iface_id: c, roles: router}, {iface_id: d}]}
    """)
    assert {vnic.name: set(vnic.roles) for vnic in offline_vnics(loaded.inventory)} == {
        "one/one": {"dhcp-server"},
        "two/a": {"dhcp-server", "router"},
        "two/b": {"router"},
        "part/c": {"router"},
        "part/d": set(),
    }


def test_implicit_networks_may_be_named():
    vms = document("networks: {prod: {vlan: 10}}\nvms: {a: {network: vlan-11}, b: {network: vlan-0}}").inventory.vms
    assert [vm.vnics[0].network for vm in vms] == ["vlan-11", "vlan-0"]
    assert document("networks: {vlan-7: {vlan: 7}}\nvms: {a: {network: vlan-7}}")


@pytest.mark.parametrize(
    ("text", "word"),
    [
        # Networks.
        ("networks: {§any: {vlan: 1}}", "reserved"),
        ("networks: {§a: {}}", "'vlan'"),
        ("networks: {a: §10}", "mapping"),
        ("networks: {a: {vlan: §4095}}", "0 to 4094"),
        ("networks: {a: {vlan: §-1}}", "0 to 4094"),
        ("networks: {a: {vlan: §ten}}", "number"),
        ("networks: {a: {vlan: §'10'}}", "number"),
        ("networks: {a: {vlan: §1.0}}", "number"),
        (f"networks: {{a: {{vlan: §{'9' * 5000}}}}}", "number"),
        ("networks: {a: {vlan: 10}, b: {vlan: §0xa}}", ["VLAN 10 is network 'a'", "p.yaml:1:12"]),
        ("networks: {a: {vlan: 10, scope: §any}}", "reserved"),
        ("networks: {a: {vlan: 10, scope: §7}}", "text"),
        ("networks: {a: {vlan: 10, §scop: lab}}", "unknown key"),
        ("networks: {§vlan-10: {vlan: 11}}", "VLAN 10"),
        # VMs.
        ("vms: {§10.0.0.1: {}}", "like an address"),
        ("vms: {§1: {}}", "text"),
        ("vms: {a: §}", "mapping"),
        ("vms: {a: §[]}", "mapping"),
        ("vms: {a: {§labls: {}}}", "did you mean 'labels'?"),
        ("vms: {a: {trusted: §yes}}", "true or false"),
        ("vms: {a: {vnics: [{iface_id: x, trusted: §1}]}}", "true or false"),
        ("vms: {a: {trusted: true, vnics: [{iface_id: x, trusted: §false}]}}", "the VM is trusted"),
        ("vms: {a: {roles: §dhcp}}", "dhcp-server, router; did you mean 'dhcp-server'?"),
        ("vms: {a: {roles: §[]}}", "empty list"),
        ("vms: {a: {roles: §}}", "empty"),
        ("vms: {a: {roles: [router, §[router]]}}", "text"),
        ("vms: {a: {vnics: [{iface_id: x, roles: [router, §trusted]}]}}", "dhcp-server, router"),
        ("vms: {a: {vnics: [{iface_id: x, §role: router}]}}", "did you mean 'roles'?"),
        ("vms: {a: {id: §12}}", '"12"'),
        ("vms: {a: {id: §''}}", "empty"),
        (f"vms: {{a: {{id: §{'x' * 256}}}}}", "255"),
        ("vms: {a: {tenant: §any}}", "reserved"),
        ("vms: {a: {tenant: §a b}}", "letters"),
        ("networks: {prod: {vlan: 1}}\nvms: {a: {network: §prd}}", "did you mean 'prod'?"),
        ("vms: {a: {network: §vlan-4095}}", "no network"),
        ("networks: {prod: {vlan: 1}}\nvms: {a: {network: §vlan-1}}", "VLAN 1 is network 'prod'"),
        ("vms: {a: {labels: §[a]}}", "mapping"),
        ("vms: {a: {labels: {a: §[b]}}}", "a value"),
        ("vms: {a: {labels: {a: §}}}", "a value"),
        ("vms: {a: {labels: {§a b: c}}}", "label"),
        ("vms: {a: {labels: {§vm.name: c}}}", "attributes"),
        ("vms: {a: {labels: {§vnic.x: c}}}", "attributes"),
        (f"vms: {{a: {{labels: {{a: §{'x' * 256}}}}}}}", "255"),
        ('vms: {a: {labels: {a: §"x\\ny"}}}', "printed"),
        ("vms: {a: {vnics: §{iface_id: x}}}", "list"),
        ("vms: {a: {vnics: §}}", "list"),
        ("vms: {a: {vnics: [§x]}}", "mapping"),
        ("vms: {a: {vnics: [§{mac: 52:54:00:00:00:01}]}}", "'iface_id'"),
        ("vms: {a: {vnics: [{iface_id: §12}]}}", '"12"'),
        ("vms: {a: {vnics: [], §mac: 52:54:00:00:00:01}}", "at a vNIC"),
        ("vms: {a: {vnics: [], §addresses: 10.0.0.1}}", "at a vNIC"),
        ("vms: {a: {vnics: [{iface_id: x, §labels: {}}]}}", "unknown key"),
        ("vms: {a: {mac: §52:54:00:00:00}}", "not a MAC"),
        ("vms: {a: {mac: §53:54:00:00:00:01}}", "multicast"),
        ("vms: {a: {mac: §00:00:00:00:00:00}}", "nobody"),
        (f"vms: {{a: {{mac: §{'5' * 100}x}}}}", "32"),
        ("vms: {a: {addresses: §10.0.0.1/24}}", "host bits"),
        ("vms: {a: {addresses: §[]}}", "empty"),
        ("vms: {a: {addresses: §}}", "empty"),
        ("vms: {a: {addresses: [10.0.0.1, §10.0.0]}}", "not an IPv4"),
        *((f"vms: {{a: {{addresses: §'{address}'}}}}", "no host") for address in ("224.0.0.1", "127.0.0.1", "ff02::1")),
        *((f"vms: {{a: {{addresses: §'{address}'}}}}", "no host") for address in ("0.0.0.0", "255.255.255.255", "::1")),
        # Only once.
        ("vms: {a: {mac: 52:54:00:00:00:0a}, b: {mac: §52:54:00:00:00:0A}}", ["'a'", "p.yaml:1:16"]),
        ("vms: {a: {id: x}, b: {id: §x}}", ["vm-id", "'a'", "p.yaml:1:15"]),
        ("vms: {a: {}, b: {vnics: [{iface_id: §a}]}}", ["iface-id", "p.yaml:1:7"]),
        ("vms: {a: {vnics: [{iface_id: x}, {iface_id: §x}]}}", "iface-id"),
        ("vms: {a: {vnics: [&v {iface_id: §x}, *v]}}", "iface-id"),
        ("vms: {a: {addresses: 10.0.0.1}, b: {addresses: §10.0.0.1}}", ["is taken", "'a'", "p.yaml:1:22"]),
        ("vms: {a: {addresses: §10.0.0.1}, b: {addresses: 10.0.0.0/24}}", ["overlaps 10.0.0.0/24", "p.yaml:1:48"]),
        ("vms: {a: {addresses: [10.0.0.0/24, §10.0.0.5]}}", "overlaps"),
        ("vms: {a: {addresses: '2001:db8::/64'}, b: {addresses: §'2001:db8::1'}}", "overlaps"),
    ],
)
def test_refusals(text, word):
    refused(text, word)


def test_every_overlap_is_told_not_only_the_neighbours():
    refused(
        "vms: {a: {addresses: 10.0.0.0/8}, b: {addresses: §10.0.0.0/24}, c: {addresses: §10.0.1.0/24}, "
        "d: {addresses: 11.0.0.0/8}, e: {addresses: §11.255.255.255}}",
        "10.0.0.0/8",
        "10.0.0.0/8",
        "11.0.0.0/8",
    )


def test_no_overlap():
    assert document("vms: {a: {addresses: [10.0.0.0/25, '::a/127']}, b: {addresses: [10.0.0.128/25, '::c']}}")


def test_clashes_between_files():
    files = {
        "a.yaml": b"version: 1\nvms:\n  x: {addresses: 10.0.0.1}\nnetworks:\n  n: {vlan: 1}\n",
        "b.yaml": b"vms:\n  x: {}\n  y: {addresses: 10.0.0.1}\nnetworks:\n  m: {vlan: 1}\n",
    }
    with pytest.raises(PolicyError) as raised:
        load_texts(files)
    assert [str(problem) for problem in raised.value.problems] == [
        "b.yaml:2:3: 'x' is already at a.yaml:3:3",
        "b.yaml:3:18: address 10.0.0.1/32 is taken: VM 'x' has it at a.yaml:3:18",
        "b.yaml:5:13: VLAN 1 is network 'n' (a.yaml:5:3)",
    ]
