"""Ports come, go, change and move: each is enforced by itself, and shut until it is."""

import pytest

from mininet_scenarios.lab import Lab
from mininet_scenarios.words import blocked, connect, now_cut, reaches, sniff, still_open
from tests.live.shop import RULES, VMS, Shop

LATE = VMS + '  late: {labels: {role: web}, addresses: [10.0.0.14, "2001:db8::14"]}\n'
NETWORKS = VMS + "networks:\n  other: {vlan: 7}\n"


@pytest.fixture
def shop(lab: Lab) -> Shop:
    return Shop(lab, {"inventory.yaml": LATE, "policy.yaml": RULES})


def test_a_port_plugged_in_is_enforced_by_itself(shop):
    late = shop.lab.guest(shop.ovs, shop.bridge, "late", ["10.0.0.14/24", "2001:db8::14/64"])
    reaches(late, shop.app, "tcp/8080")
    reaches(shop.client, late, "tcp/443")
    blocked(late, shop.db, "tcp/3306")
    blocked(shop.client, late, "tcp/22")


def test_a_port_without_flows_reaches_nobody(shop):
    shop.controller.kill9()
    late = shop.lab.guest(shop.ovs, shop.bridge, "late", ["10.0.0.14/24", "2001:db8::14/64"])
    with sniff(shop.app, {"src_mac": late.mac}) as at_app, sniff(shop.client, {"src_mac": late.mac}) as outside:
        blocked(late, shop.app, "tcp/8080")
        blocked(late, shop.client, "icmp/echo")
        blocked(shop.client, late, "tcp/443")
        at_app.sees_nothing()
        outside.sees_nothing()
    shop.start()
    reaches(late, shop.app, "tcp/8080")


def test_an_unknown_vnic_is_firewalled_by_default_deny(shop):
    ids = {"addresses": "10.0.0.50,2001:db8::50"}
    stranger = shop.lab.guest(shop.ovs, shop.bridge, "stranger", ["10.0.0.50/24", "2001:db8::50/64"], external_ids=ids)
    shop.controller.wait_enforced()
    blocked(stranger, shop.app, "tcp/8080")
    blocked(stranger, shop.client, "tcp/80")
    # A rule for anybody is a rule for it too.
    reaches(stranger, shop.web, "tcp/443")


def test_labels_from_ovsdb_count(shop):
    ids = {"addresses": "10.0.0.50,2001:db8::50", "labels": "role=web"}
    web = shop.lab.guest(shop.ovs, shop.bridge, "more", ["10.0.0.50/24", "2001:db8::50/64"], external_ids=ids)
    reaches(web, shop.app, "tcp/8080")
    link = connect(web, shop.app, "tcp/8080")
    web.set_ids(labels="role=nothing")
    shop.controller.wait_enforced()
    now_cut(link)


def test_a_nameless_port_is_isolated(shop):
    nobody = shop.lab.outside(
        shop.ovs, shop.bridge, "nobody", ["10.0.0.60/24"], external_ids={"role": None, "note": "none"}
    )
    shop.controller.wait_enforced()
    assert shop.vnic("nobody")["state"] == "isolated"
    with sniff(nobody) as there:
        blocked(nobody, shop.web, "tcp/443")
        blocked(shop.client, nobody, "icmp/echo", over=4)
        there.sees_nothing()


def test_unplugged_and_plugged_in_again(shop):
    link = connect(shop.app, shop.db, "tcp/3306")
    shop.web.unplug()
    shop.controller.wait_enforced()
    shop.web.plug()
    reaches(shop.web, shop.app, "tcp/8080")
    reaches(shop.client, shop.web, "tcp/443")
    blocked(shop.web, shop.db, "tcp/3306")
    still_open(link)


def test_a_changed_ofport_is_followed(shop):
    old = shop.web.ofport
    shop.ovs.vsctl("set", "interface", shop.web.port, "ofport_request=77")
    assert shop.ovs.ofport(shop.web.port) == 77 != old
    reaches(shop.web, shop.app, "tcp/8080")
    reaches(shop.client, shop.web, "tcp/443")
    blocked(shop.web, shop.db, "tcp/3306")


def test_a_changed_vlan_tag_parts_and_joins(shop):
    link = connect(shop.web, shop.app, "tcp/8080")
    shop.ovs.vsctl("set", "port", shop.web.port, "tag=7")
    shop.controller.wait_enforced()
    now_cut(link)
    blocked(shop.web, shop.app, "tcp/8080")
    blocked(shop.client, shop.web, "tcp/443")
    shop.ovs.vsctl("set", "port", shop.app.port, "tag=7")
    reaches(shop.web, shop.app, "tcp/8080")
    shop.ovs.vsctl("clear", "port", shop.web.port, "tag")
    shop.ovs.vsctl("clear", "port", shop.app.port, "tag")
    reaches(shop.client, shop.web, "tcp/443")


def test_a_port_moves_to_another_bridge(shop):
    other = shop.ovs.add_bridge("br1", controller=shop.controller.target)
    for here, there, bridge in (("patch0", "patch1", "br0"), ("patch1", "patch0", "br1")):
        patch = ("set", "interface", here, "type=patch", f"options:peer={there}")
        shop.ovs.vsctl("add-port", bridge, here, "--", *patch)
    shop.controller.wait_enforced()
    shop.web.unplug()
    shop.web.bridge = other
    shop.web.plug()
    reaches(shop.web, shop.app, "tcp/8080")
    reaches(shop.client, shop.web, "tcp/443")
    blocked(shop.web, shop.db, "tcp/3306")
    link = connect(shop.web, shop.app, "tcp/8080")
    shop.change("policy.yaml", "allow: [tcp/8080, ", "allow: [tcp/8081, ")
    now_cut(link)
