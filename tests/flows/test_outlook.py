"""What one bridge tells apart: only what its own rules ask about, and that without mistaking one for another."""

from __future__ import annotations

from itertools import pairwise
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from policy.flows.bridge_book import bridge_flows
from policy.flows.compile import prepare
from policy.flows.identity import EMPTY, NOBODY
from policy.flows.identity_book import identify
from policy.flows.outlook import Outlook
from tests.flows.strategies import documents, labels
from tests.flows.worlds import PLACES, World, cidrs, document, policy, rule, vnic, who

WEB, DB = who("role == web", "web"), who("role == db", "db")
VNICS = [found for ports in PLACES.values() for found in ports.values()]
# VMs that are on no bridge of ours.
ELSEWHERE = [vnic(f"far-{n}", 100 + n, [f"10.8.0.{n}"], role="web" if n % 2 else "cache") for n in range(1, 21)]


def entries(policy_document, name, elsewhere=ELSEWHERE):
    """The addresses that a bridge knows, and under which number each."""
    found = prepare(policy_document, [*VNICS, *elsewhere])
    flows = bridge_flows(found, World(policy_document).bridge(name), {}).values()
    shown = {}
    for each in flows:
        if each.table.name == "SRC_ID" and each.match:
            address = next((test.value for test in each.match if test.field.name == "ipv4_src"), None)
            if address is not None:
                shown[address] = each.actions[0].value
    return shown


def number(text):
    first, *others = map(int, text.split("."))
    for each in others:
        first = first << 8 | each
    return first


def test_a_rule_that_no_vnic_here_decides_by_needs_no_addresses():
    caches = who("role == cache", "caches")
    one = document(policy("p", rule("allow", "tcp/80", (caches,), (caches,))))
    assert entries(one, "left") == {}


def test_peers_are_known_wherever_they_are():
    one = document(policy("p", rule("allow", "tcp/80", (who("role == cache", "caches"),), (DB,))))
    shown = entries(one, "left")
    assert {number(f"10.8.0.{n}") for n in range(2, 21, 2)} <= shown.keys()
    assert not {number(f"10.8.0.{n}") for n in range(1, 20, 2)} & shown.keys()


def test_who_only_decides_elsewhere_is_nobody_here():
    """Everybody may be asked; but of VMs elsewhere this bridge need not know that they are everybody."""
    one = document(policy("p", rule("allow", "tcp/22", (who("vm.name == web-1", "admins"),), (who("all()", "all"),))))
    assert not any(number(f"10.8.0.{n}") in entries(one, "right") for n in range(1, 21))
    # Where the administrator's own vNIC is, those are its peers.
    assert all(number(f"10.8.0.{n}") in entries(one, "left") for n in range(1, 21))


def test_an_address_within_a_range_that_counts_is_told_apart_only_where_it_differs():
    office = cidrs("10.8.0.0/24", name="office")
    plain = document(policy("p", rule("allow", "tcp/80", (office,), (WEB,))))
    assert number("10.8.0.0") in (shown := entries(plain, "left"))
    assert not any(number(f"10.8.0.{n}") in shown for n in range(1, 21))
    but = document(policy("p", rule("allow", "tcp/80", (cidrs("10.8.0.0/24", but=["10.8.0.7/32"], name="o"),), (WEB,))))
    assert entries(but, "left")[number("10.8.0.7")] == NOBODY


@given(documents(), labels)
def test_sets_that_a_rule_tells_apart_have_numbers_of_their_own(policy_document, some_labels):
    identities = identify(policy_document, World(policy_document, some_labels).vnics())
    groups = sorted(identities.holding, key=identities.labels.__getitem__)
    outlook = Outlook()
    for near, far in pairwise([groups[:2], groups[1:], groups]):
        near, far = frozenset(near), frozenset(far)
        outlook.turn(identities, near, far)
        for number_of, asked in ((outlook.of_own, near | far), (outlook.of_peer, far)):
            by_number = {}
            for members in identities.numbers:
                assert by_number.setdefault(number_of(members), members & asked) == members & asked
            assert by_number.get(NOBODY, EMPTY) == EMPTY


@given(documents(), labels, st.integers(1, 3))
@settings(max_examples=30)
def test_numbers_differ_where_digests_do_not(policy_document, some_labels, most):
    identities = identify(policy_document, World(policy_document, some_labels).vnics())
    with patch("policy.flows.outlook.digest", lambda text, salt=0: len(text) % most + 1 + salt * most):
        outlook = Outlook()
        everything = frozenset(identities.holding)
        outlook.turn(identities, everything, everything)
        numbers = {outlook.of_own(members) for members in identities.numbers}
        assert len(numbers) == len(identities.numbers)
        assert outlook.of_own(EMPTY) == NOBODY


def test_an_outlook_that_has_seen_too_much_begins_anew():
    identities = identify(document(), ())
    outlook = Outlook()
    assert not outlook.crowded(identities)
    for n in range(1100):
        one = cidrs(f"10.{n >> 8}.{n & 255}.0/24", name=f"g{n}")
        found = identify(document(policy("p", rule("allow", "any", (one,), None))), ())
        outlook.turn(found, frozenset(), frozenset((one,)))
        outlook.of_peer(frozenset((one,)))
    assert outlook.crowded(identities)
