"""Identities: the longest prefix of an address says just the groups that the address is in."""

from __future__ import annotations

from ipaddress import ip_address

from hypothesis import given
from hypothesis import strategies as st

from policy.flows.identity import EMPTY, NOBODY, matching, referenced_groups
from policy.flows.identity_book import identify
from policy.flows.membership import GroupIndex
from policy.members import group_has, side_has
from policy.universe import Universe
from tests.flows.strategies import OUTSIDERS, documents, labels
from tests.flows.worlds import World, cidrs, document, policy, rule, vnic, who

ADDRESSES = [
    *map(ip_address, OUTSIDERS),
    *(ip_address(f"10.0.{net}.{host}") for net in (0, 1) for host in (0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16)),
    *(ip_address(f"2001:db8::{host}") for host in (1, 2, 3, 4, 7)), ip_address("2001:db8:0:1::5"),
    ip_address("224.0.0.251"), ip_address("ff02::1"), ip_address("0.0.0.0"), ip_address("::"),
]  # fmt: skip


def looked_up(identities, scope, address):
    """The groups that the switch's longest-prefix match finds."""
    found = [
        (prefix.prefixlen, members)
        for (where, prefix), (members, *_) in identities.entries.items()
        if where == scope and prefix.version == address.version and address in prefix
    ]
    return max(found, key=lambda item: item[0])[1] if found else EMPTY


@given(documents(), labels)
def test_longest_prefix_is_membership(policy_document, some_labels):
    world = World(policy_document, some_labels)
    identities = world.compiled.identities
    universe = Universe(world.vnics())
    for scope in ("default", "lab"):
        for address in ADDRESSES:
            owner = universe.owner(address, scope)
            expected = {g for g in referenced_groups(policy_document) if group_has(g, owner, address, scope)}
            assert looked_up(identities, scope, address) == expected, (scope, address)


@given(documents(), labels)
def test_rules_see_the_same_side_by_identity_as_by_group(policy_document, some_labels):
    world = World(policy_document, some_labels)
    identities = world.compiled.identities
    for policies in policy_document.policies:
        for one in policies.rules:
            for found in world.vnics():
                for prefix in found.addresses:
                    address = prefix.network_address
                    number = identities.number(looked_up(identities, found.scope, address))
                    members = identities.members[number]
                    for side in (one.sources, one.destinations, one.at):
                        assert matching(members, side) == side_has(side, found, address, found.scope)


@given(documents(), labels)
def test_entries_are_only_there_where_something_changes(policy_document, some_labels):
    entries = World(policy_document, some_labels).compiled.identities.entries
    for (scope, prefix), (members, *_) in entries.items():
        wider = [
            (other.prefixlen, found)
            for (where, other), (found, *_) in entries.items()
            if where == scope and other != prefix and other.version == prefix.version and prefix.subnet_of(other)
        ]
        assert members != (max(wider, key=lambda item: item[0])[1] if wider else EMPTY)


@given(documents(), documents(), labels)
def test_a_set_of_groups_has_the_same_number_in_another_policy(one, other, some_labels):
    """Only the names count, so a change elsewhere does not renumber anybody."""
    first, second = (World(found, some_labels).compiled.identities for found in (one, other))
    for members, number in first.numbers.items():
        if members in second.numbers:
            assert second.numbers[members] == number


@given(st.permutations(range(4)))
def test_numbers_do_not_depend_on_the_order_of_vnics(order):
    vnics = [vnic(f"vm-{n}", n + 1, [f"10.0.0.{n + 1}"], role=("web", "db")[n % 2]) for n in range(4)]
    found = document(policy("p", rule("allow", "any", (who("role == web"),), (cidrs("10.0.0.0/30"),))))
    assert identify(found, [vnics[n] for n in order]).numbers == identify(found, vnics).numbers


def test_addresses_that_no_rule_can_tell_apart_share_an_identity():
    found = document(policy("p", rule("allow", "any", (cidrs("10.0.0.0/8", but=["10.1.0.0/16"]),))))
    identities = identify(found, [vnic("a", 1, ["10.2.0.1"]), vnic("b", 2, ["10.1.0.1"])])
    assert {str(prefix) for _, prefix in identities.entries} == {"10.0.0.0/8", "10.1.0.0/16"}
    assert sorted(identities.members) == sorted({NOBODY, *identities.numbers.values()})
    assert len(identities.members) == 2


def test_vnics_in_the_same_groups_have_one_set_of_them():
    index = GroupIndex([who("role == web", "webs"), who("app == shop", "shop")])
    found = [index.groups_of(vnic(f"w{n}", n, [f"10.0.0.{n}"], role="web", app="shop")) for n in (1, 2)]
    assert {group.name for group in found[0]} == {"webs", "shop"}
    assert found[0] is found[1]
