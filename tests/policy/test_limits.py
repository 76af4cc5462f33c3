"""Limits: who states which number for a vNIC, and what is refused."""

from dataclasses import fields, replace
from ipaddress import ip_address, ip_network
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy import limit_reader
from policy.errors import PolicyError
from policy.limits import limits_of
from policy.load import load_texts
from policy.members import side_has, vnic_in
from policy.model import Group, Limits
from policy.selectors import parse_selector
from tests.policy.asking import verdict
from tests.policy.words import document, refused
from topology.vnic import Vnic, offline_vnics

VMS = """
networks: {prod: {vlan: 10}, lab: {vlan: 30, scope: lab}}
vms:
  web: {labels: {role: web}, addresses: [10.0.0.1, "2001:db8::1"]}
  db:  {labels: {role: db}, addresses: 10.0.0.16/28}
  bare: {labels: {role: web}}
  lab: {network: lab, addresses: 10.0.0.1}
groups:
  web: {match: role == web}
"""


def of(loaded, name="web"):
    (vnic,) = (vnic for vnic in offline_vnics(loaded.inventory) if vnic.vm == name)
    return limits_of(loaded, vnic)


def limits(*texts):
    return document(VMS + "limits:\n" + "".join(f"  l{number}: {{{text}}}\n" for number, text in enumerate(texts)))


def test_the_built_in_defaults():
    assert limits_of(document(""), Vnic("unknown")) == Limits()
    assert Limits() == Limits(connections=100_000, new_connections=1000, broadcasts=500, fragments=50, notices=20)


def test_the_reader_knows_every_number():
    assert tuple(limit_reader.BOUNDS) == tuple(field.name for field in fields(Limits))
    for name, (lowest, highest) in limit_reader.BOUNDS.items():
        assert lowest <= getattr(Limits(), name) <= highest
        for number in (lowest, highest):
            assert of(limits(f"{name}: {number}")) == replace(Limits(), **{name: number})
        refused(f"limits: {{a: {{{name}: §{lowest - 1}}}}}", f"{name!r} must be a number from {lowest} to {highest}")
        refused(f"limits: {{a: {{{name}: §{highest + 1}}}}}", f"from {lowest} to {highest}")


def test_each_number_by_itself():
    loaded = limits("new_connections: 500, broadcasts: 90", "for: web, connections: 50000, new_connections: 5000")
    assert of(loaded) == Limits(connections=50000, new_connections=5000, broadcasts=90)
    assert of(loaded, "db") == Limits(new_connections=500, broadcasts=90)


def test_the_smallest_of_each_kind_in_any_order():
    texts = ["broadcasts: 7", "broadcasts: 6", "for: web, broadcasts: 9", "for: {match: has(role)}, broadcasts: 8"]
    for order in permutations(texts):
        loaded = limits(*order)
        assert [of(loaded, name).broadcasts for name in ("web", "db", "lab")] == [8, 8, 6]


def test_files_add_up():
    texts = ("limits: {x: {notices: 3}}", "limits: {y: {notices: 2}}")
    for names in (("a", "b"), ("b", "a")):
        loaded = document(VMS, **dict(zip(names, texts, strict=True)))
        assert of(loaded).notices == 2
        assert {entry.name for entry in loaded.limits} == {"x", "y"}
    with pytest.raises(PolicyError, match=r"p.yaml:1:10: 'x' is already at a.yaml:1:10"):
        document("limits: {x: {notices: 3}}", a="limits: {x: {notices: 3}}")


def test_for_any_is_not_the_same_as_none():
    assert of(limits("for: any, notices: 5", "for: web, notices: 9")).notices == 5
    assert of(limits("notices: 5", "for: web, notices: 9")).notices == 9
    assert of(limits("for: any, notices: 9", "notices: 5")).notices == 9


@pytest.mark.parametrize(
    ("who", "names"),
    [
        ("web", ["web", "bare"]),
        ("[web, {vms: db}]", ["web", "db", "bare"]),
        ("{any_of: [web, {vms: db}]}", ["web", "db", "bare"]),
        ("{cidrs: 10.0.0.1}", ["web", "lab"]),
        ("{cidrs: 10.0.0.1, scope: lab}", ["lab"]),
        ("{cidrs: '2001:db8::/32'}", ["web"]),
        ("{cidrs: 10.0.0.31}", ["db"]),
        ("{cidrs: 10.0.0.32}", []),
        ("{cidrs: 10.0.0.0/24, except: 10.0.0.16/28}", ["web", "lab"]),
        ("{cidrs: 10.0.0.0/24, except: [10.0.0.1, 10.0.0.16/29, 10.0.0.24/30, 10.0.0.28/31]}", ["db"]),
        ("{cidrs: 10.0.0.0/24, except: [10.0.0.1, 10.0.0.16/29, 10.0.0.24/29]}", []),
        ("{cidrs: 0.0.0.0/0}", ["web", "db", "lab"]),
        ("any", ["web", "db", "bare", "lab"]),
    ],
)
def test_who_is_meant(who, names):
    """By labels, or with any of its addresses."""
    loaded = limits(f"for: {who}, notices: 3")
    assert [vm.name for vm in loaded.inventory.vms if of(loaded, vm.name).notices == 3] == names


SMALL = st.builds(
    lambda first, bits: ip_network((first >> bits << bits, 32 - bits)), st.integers(0, 15), st.integers(0, 4)
)
PREFIXES = st.lists(SMALL, max_size=4).map(tuple)
SELECTORS = st.sampled_from((None, None, None, parse_selector("role == web"), parse_selector("role == db")))
PARTS = st.builds(
    Group, selector=SELECTORS, cidrs=PREFIXES, excepts=PREFIXES, scope=st.sampled_from((None, "default", "lab"))
)
GROUPS = st.builds(lambda group, parts: replace(group, any_of=tuple(parts)), PARTS, st.lists(PARTS, max_size=2))


@given(st.lists(GROUPS, max_size=2).map(tuple), PREFIXES)
def test_in_a_group_is_what_a_rule_says_with_some_address(groups, addresses):
    """The same as `at`, with any of the vNIC's addresses."""
    vnic = Vnic("a", labels={"role": "web"}, addresses=addresses)
    own = [None, *filter(vnic.owns, map(ip_address, range(16)))]
    assert vnic_in(groups, vnic) == any(side_has(groups, vnic, address, vnic.scope) for address in own)


def test_limits_decide_nothing():
    policy = VMS + "policies: [{name: p, rules: [{allow: tcp/1}]}]\n"
    for text in (policy, policy + "limits: {a: {for: web, connections: 1, new_connections: 1, notices: 1}}"):
        assert verdict(document(text), "web", "db", "tcp/1") == "allow"
        assert verdict(document(text), "web", "db", "tcp/2") == "deny"


def test_a_limit_is_part_of_the_revision():
    one, other = (load_texts({"p.yaml": f"version: 1\nlimits: {{a: {{notices: {n}}}}}".encode()}) for n in (1, 2))
    assert one.revision != other.revision


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("limits: §[]", "a mapping of names"),
        ("limits:§", "a mapping of names"),
        ("limits: {§any: {notices: 1}}", "reserved"),
        ("limits: {§a b: {notices: 1}}", "a limit's name"),
        ("limits: {a: §5}", "limit 'a' must be a mapping"),
        ("limits: {a: §{}}", "limit 'a' says nothing: it needs 'connections' or 'new_connections'"),
        ("limits: {a: §{for: any}}", "says nothing"),
        ("limits: {a: {§conections: 5}}", "did you mean 'connections'?"),
        ("limits: {a: {§zzz: web, notices: 1}}", "limit 'a' takes for, connections"),
        ("limits: {a: {notices: §'5'}}", "must be a number"),
        ("limits: {a: {notices: §1.5}}", "must be a number"),
        ("limits: {a: {notices: §-1}}", "from 1 to 1000"),
        ("limits: {a: {notices: §}}", "must be a number"),
        ("groups: {web: {match: a == b}}\nlimits: {a: {for: §wbe, notices: 1}}", "did you mean 'web'?"),
        ("limits: {a: {for: §10.0.0.0/8, notices: 1}}", "addresses stand in {cidrs: …}"),
        ("vms: {v: {}}\nlimits: {a: {for: §v, notices: 1}}", "{vms: v}"),
        ("limits: {a: {for: {match: a §= b}, notices: 1}}", "selector"),
        ("limits: {a: {for: §[], notices: 1}}", "empty list"),
        ("limits: {a: {for: §, notices: 1}}", "empty"),
        ("limits: {a: {notices: 1, notices: 2}}", "already"),
    ],
)
def test_refusals(text, word):
    if "§" in text:
        refused(text, word)
    else:
        with pytest.raises(PolicyError, match=word):
            document(text)
