"""Addresses, networks and vNICs of files alone."""

from ipaddress import ip_address, ip_network

import pytest

from policy.model import Group
from topology.addresses import ends, link_local_of, may_flood, parse_address, parse_mac, parse_prefix, within
from topology.inventory import Inventory, InventoryVnic, Network, Vm
from topology.vnic import Vnic, offline_vnics


def test_one_spelling_of_a_mac():
    assert parse_mac(" 52:54:00:AB:CD:EF ") == "52:54:00:ab:cd:ef"


@pytest.mark.parametrize(
    "text", ["", "52-54-00-00-00-01", "52:54:00:00:00", "01:00:5e:00:00:01", "ff:ff:ff:ff:ff:ff", "00:00:00:00:00:00"]
)
def test_what_is_no_nic_s_mac(text):
    with pytest.raises(ValueError):
        parse_mac(text)


def test_host_bits_are_an_error_that_names_the_network():
    with pytest.raises(ValueError, match=r"10\.0\.0\.0/24"):
        parse_prefix("10.0.0.1/24")


@pytest.mark.parametrize("text", ["", "x", "10.0.0.256", "10.0.0", "fe80::1%eth0", "10.0.0.0/33"])
def test_what_is_no_address(text):
    with pytest.raises(ValueError):
        parse_prefix(text)
    with pytest.raises(ValueError):
        parse_address(text)


FAMILIES = ["10.1.2.3", "10.1.2.0/24", "0.0.0.0/0", "2001:db8::1", "2001:db8::/47", "::/0"]


@pytest.mark.parametrize("text", FAMILIES)
def test_the_ends_of_a_prefix(text):
    prefix, same = parse_prefix(text), ip_network(text)
    assert prefix == same and hash(prefix) == hash(same)
    assert ends(prefix) == (int(same[0]), int(same[-1]))


@pytest.mark.parametrize("outer", FAMILIES)
@pytest.mark.parametrize("inner", FAMILIES)
def test_prefixes_within_others(inner, outer):
    one, other = ip_network(inner), ip_network(outer)
    assert within(parse_prefix(inner), parse_prefix(outer)) == (one.version == other.version and one.subnet_of(other))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("224.0.0.251", True), ("224.0.0.0/4", True), ("0.0.0.0/0", True), ("192.0.0.0/2", True),
        ("239.255.0.0/16", True),
        ("255.255.255.255", True), ("255.255.255.254", False), ("240.0.0.0/5", False), ("223.255.255.255", False),
        ("10.0.0.0/8", False), ("ff02::1", True), ("fe00::/7", True), ("::/0", True), ("fe80::/10", False),
    ],
)  # fmt: skip
def test_what_packets_for_many_can_be_sent_to(text, expected):
    prefix = parse_prefix(text)
    assert may_flood(prefix) is expected
    assert Group(cidrs=(prefix,)).floods is Group(excepts=(prefix,)).floods is expected


@pytest.mark.parametrize("text", FAMILIES)
def test_a_prefix_keeps_nothing_that_could_be_worked_out(text):
    prefix = parse_prefix(text)
    ends(prefix), within(prefix, prefix), hash(prefix), str(prefix)
    assert set(vars(prefix)) == {"network_address", "netmask", "_prefixlen"}


def test_link_local_addresses_follow_from_the_mac():
    # The example of RFC 4291, appendix A, brought into this form.
    assert link_local_of("34:56:78:9a:bc:de") == ip_address("fe80::3656:78ff:fe9a:bcde")


def test_undeclared_vlans_have_implicit_networks():
    inventory = Inventory(networks=(Network("prod", 10, "s"),))
    assert inventory.network_of_vlan(10) == Network("prod", 10, "s")
    assert inventory.network_of_vlan(0) == Network("vlan-0", 0, "default")


def test_vnics_of_files_alone():
    vm = Vm("web", vnics=(InventoryVnic("a", network="prod"), InventoryVnic("b", trusted=True)))
    one, two = offline_vnics(Inventory((vm,), (Network("prod", 10, "s"),)))
    assert (one.name, one.scope, one.network, one.host, one.trusted) == ("web/a", "s", "prod", None, False)
    assert (two.scope, two.network, two.trusted) == ("default", None, True)


def test_roles_of_files_alone():
    server, router = frozenset({"dhcp-server"}), frozenset({"router"})
    vm = Vm("gate", vnics=(InventoryVnic("a", roles=server), InventoryVnic("b")), roles=router)
    assert [vnic.roles for vnic in offline_vnics(Inventory((vm, Vm("web", vnics=(InventoryVnic("c"),)))))] == [
        server | router, router, frozenset(),
    ]  # fmt: skip


def test_what_a_vnic_owns():
    vnic = Vnic("a", addresses=(parse_prefix("10.0.0.0/30"), parse_prefix("2001:db8::1")))
    assert vnic.name == "a"
    assert vnic.owns(ip_address("10.0.0.3")) and vnic.owns(ip_address("2001:db8::1"))
    assert not vnic.owns(ip_address("10.0.0.4")) and not vnic.owns(ip_address("::a00:1"))
