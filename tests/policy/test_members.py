"""Membership of groups, and who owns an address."""

from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest

from policy.members import group_has, side_has
from policy.model import Group
from policy.selectors import parse_selector
from policy.universe import Universe
from topology.vnic import Vnic

WEB = Vnic("if-1", vm="web-1", labels={"role": "web"}, addresses=(ip_network("10.0.0.1"), ip_network("10.1.0.0/24")))
UNKNOWN = Vnic("if-2")
INSIDE, OUTSIDE, EXCEPTED, V6 = map(ip_address, ("192.0.2.1", "198.51.100.1", "192.0.2.66", "2001:db8::1"))
SELECTOR = Group(selector=parse_selector("role == web"))
NAMED = Group(vms=("web-1",))
OFFICE = Group(cidrs=(ip_network("192.0.2.0/24"), ip_network("2001:db8::/64")), excepts=(ip_network("192.0.2.66"),))


@pytest.mark.parametrize("group", [SELECTOR, NAMED, Group(any_of=(OFFICE, SELECTOR))])
@pytest.mark.parametrize("address", [OUTSIDE, EXCEPTED, V6, None])
def test_a_vnic_is_in_whatever_its_address(group, address):
    assert group_has(group, WEB, address, "default")


@pytest.mark.parametrize("group", [SELECTOR, NAMED])
def test_others_are_not(group):
    assert not group_has(group, UNKNOWN, INSIDE, "default")
    assert not group_has(group, None, INSIDE, "default")
    assert not group_has(group, replace(WEB, vm="web-2", labels={}), INSIDE, "default")


@pytest.mark.parametrize("vnic", [WEB, UNKNOWN, None])
def test_a_cidr_matches_by_address_alone(vnic):
    assert group_has(OFFICE, vnic, INSIDE, "default")
    assert group_has(OFFICE, vnic, V6, "elsewhere")
    assert not group_has(OFFICE, vnic, OUTSIDE, "default")
    assert not group_has(OFFICE, vnic, EXCEPTED, "default")
    assert not group_has(OFFICE, vnic, None, "default")


def test_except_narrows_only_the_cidrs_of_its_own_group():
    assert group_has(replace(OFFICE, vms=("web-1",)), WEB, EXCEPTED, "default")
    assert group_has(replace(OFFICE, selector=SELECTOR.selector), WEB, EXCEPTED, "default")
    assert group_has(replace(OFFICE, any_of=(Group(cidrs=(ip_network("192.0.2.0/25"),)),)), None, EXCEPTED, "default")
    assert group_has(Group(any_of=(OFFICE, Group(cidrs=(ip_network("192.0.2.66"),)))), None, EXCEPTED, "default")


def test_a_scope_narrows_the_cidrs_alone():
    lab = replace(OFFICE, scope="lab", vms=("web-1",))
    assert group_has(lab, None, INSIDE, "lab")
    assert not group_has(lab, None, INSIDE, "default")
    assert group_has(lab, WEB, INSIDE, "default")


def test_families_do_not_mix():
    everything = Group(cidrs=(ip_network("0.0.0.0/0"),))
    assert group_has(everything, None, INSIDE, "default")
    assert not group_has(everything, None, V6, "default")


def test_sides():
    assert side_has(None, None, None, "default")
    assert side_has((SELECTOR, OFFICE), None, INSIDE, "default")
    assert side_has((SELECTOR, OFFICE), WEB, OUTSIDE, "default")
    assert not side_has((SELECTOR, OFFICE), None, OUTSIDE, "default")
    assert not side_has((), WEB, INSIDE, "default")


def test_owners():
    lab = replace(WEB, id="if-3", scope="lab")
    six = Vnic("if-4", addresses=(ip_network("2001:db8::/64"), ip_network("10.0.0.3")))
    universe = Universe([WEB, UNKNOWN, lab, six])
    for address, scope, owner in [
        ("10.0.0.1", "default", WEB),
        ("10.1.0.0", "default", WEB),
        ("10.1.0.255", "default", WEB),
        ("10.1.1.0", "default", None),
        ("10.0.255.255", "default", None),
        ("10.0.0.0", "default", None),
        ("10.0.0.2", "default", None),
        ("10.0.0.3", "default", six),
        ("10.0.0.3", "lab", None),
        ("10.0.0.1", "lab", lab),
        ("10.0.0.1", "nowhere", None),
        ("2001:db8::ffff:ffff:ffff:ffff", "default", six),
        ("2001:db8:0:1::", "default", None),
        ("::a00:1", "default", None),  # the number of 10.0.0.1
    ]:
        assert universe.owner(ip_address(address), scope) is owner, address


def test_two_owners_are_an_error():
    with pytest.raises(ValueError, match="share an address"):
        Universe([WEB, Vnic("if-5", addresses=(ip_network("10.0.0.1"),))])
    with pytest.raises(ValueError, match="web-1/if-1 and if-5"):
        Universe([WEB, Vnic("if-5", addresses=(ip_network("10.1.0.7"),))])
