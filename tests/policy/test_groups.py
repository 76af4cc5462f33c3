"""Groups: the values that their forms make, and what is refused."""

from dataclasses import replace
from ipaddress import ip_network

import pytest

from policy.errors import PolicyError
from policy.groups import ANY
from policy.load import load_texts
from policy.model import Group
from policy.selectors import parse_selector
from tests.policy.words import document, refused

OFFICE = ip_network("192.0.2.0/24")


def test_the_forms_of_a_group():
    groups = document("""
        vms: {bastion-1: {}, bastion-2: {}}
        groups:
          web:    {match: "role == web and env in (prod, test)"}
          office: {cidrs: [192.0.2.0/24, "2001:db8:1::/48", 192.0.2.0/24], except: [192.0.2.66/32, 192.0.2.67]}
          jump:   {vms: [bastion-1, bastion-2, bastion-1]}
          one:    {cidrs: 192.0.2.0/24, except: 192.0.2.1, vms: bastion-1, match: all(), any_of: web}
    """).groups
    assert groups["web"].selector == parse_selector("role == web and env in (prod, test)")
    assert groups["web"].name == "web"
    assert (groups["web"].place.line, groups["web"].place.column) == (4, 3)
    assert groups["office"].cidrs == (OFFICE, ip_network("2001:db8:1::/48"))
    assert groups["office"].excepts == (ip_network("192.0.2.66/32"), ip_network("192.0.2.67/32"))
    assert groups["jump"].vms == ("bastion-1", "bastion-2")
    one = groups["one"]
    assert one.cidrs == (OFFICE,) and one.excepts == (ip_network("192.0.2.1/32"),) and one.vms == ("bastion-1",)
    assert one.selector == parse_selector("all()") and one.any_of == (groups["web"],)
    assert one.scope is None


def test_names_are_replaced_by_what_they_mean():
    groups = document("""
        groups:
          top:   {any_of: [mid, web, {match: role == inline}]}
          mid:   {any_of: [web, db], cidrs: 192.0.2.0/24}
          web:   {match: role == web}
          db:    {match: role == db}
    """).groups
    assert groups["mid"].any_of == (groups["web"], groups["db"])
    own, web, db, inline = groups["top"].any_of
    assert own.cidrs == (OFFICE,) and own.name is None and own.any_of == ()
    assert (web, db) == (groups["web"], groups["db"])
    assert inline.selector == parse_selector("role == inline") and inline.name is None


def test_any_among_other_groups():
    assert document("groups: {x: {any_of: [any]}}").groups["x"].any_of == (ANY,)


def test_criss_cross_does_not_grow():
    """2 ** 200 ways lead from the top to the bottom; the top still has two parts."""
    lines = ["groups:", "  a0: {match: x == a}", "  b0: {match: x == b}"]
    for level in range(1, 200):
        lines += [f"  {side}{level}: {{any_of: [a{level - 1}, b{level - 1}]}}" for side in "ab"]
    groups = document("\n".join(lines)).groups
    assert len(groups["a199"].any_of) == 2
    hash(groups["a199"])


def test_growth_is_bounded():
    lines = ["groups:", "  g0: {match: a == b}"]
    lines += [f"  g{i}: {{any_of: g{i - 1}, match: all()}}" for i in range(1, 2000)]
    with pytest.raises(PolicyError, match="parts"):
        document("\n".join(lines))


def test_selector_text_is_bounded():
    lines = ["groups:"] + [f"  g{i}: {{match: 'a == \"{'x' * 4000}{i}\"'}}" for i in range(140)]
    with pytest.raises(PolicyError, match="characters together"):
        document("\n".join(lines))


def test_a_long_chain_of_names():
    lines = ["groups:"] + [f"  g{i}: {{any_of: g{i + 1}}}" for i in range(3000)] + ["  g3000: {match: a == b}"]
    groups = document("\n".join(lines)).groups
    assert groups["g0"].any_of == (groups["g3000"],)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("groups: {§any: {match: a == b}}", "reserved"),
        ("groups: {§all: {match: a == b}}", "reserved"),
        ("groups: {§provider: {match: a == b}}", "reserved"),
        ("groups: {§-a: {match: a == b}}", "beginning with a letter or digit"),
        ("groups: {§a b: {match: a == b}}", "letters"),
        ("groups: {§é: {match: a == b}}", "letters"),
        (f"groups: {{§{'a' * 64}: {{match: a == b}}}}", "1 to 63"),
        ("groups: {§12: {match: a == b}}", "text"),
        ("groups: {§1.5: {match: a == b}}", "text"),
        ("groups: {§true: {match: a == b}}", "text"),
        ("groups: {a: §{}}", "empty"),
        ("groups: {a: §}", "mapping"),
        ("groups: {a: §b, b: {match: a == b}}", "mapping"),
        ("groups: {a: {§mach: a == b}}", "did you mean 'match'?"),
        ("groups: {a: {scope: §lab, cidrs: 192.0.2.0/24}}", "no address scope is called 'lab'"),
        ("networks: {l: {vlan: 1, scope: lab}}\ngroups: {a: {scope: §lap, cidrs: 192.0.2.0/24}}", "'lab'?"),
        ("groups: {a: {§scope: default, match: a == b}}", "'scope' narrows 'cidrs'"),
        ("groups: {a: §{shared: true}}", "empty"),
        ("groups: {a: {match: a == b, shared: §yes}}", "true or false"),
        ("groups: {a: {match: §}}", "text"),
        ("groups: {a: {match: §''}}", "empty"),
        ("groups: {a: {match: §12}}", "text"),
        ("groups: {a: {match: §[a == b]}}", "text"),
        ("groups: {a: {match: role §= web}}", "'=='"),
        ("groups: {a: {match: 'role §= web'}}", "'=='"),
        ("groups:\n  a:\n    match: role == web §&& env == prod", "'and'"),
        ("groups:\n  a:\n    match: §>\n      role ==\n      web web", "'web'"),
        ("groups: {a: {match: role in (a, §b)}}", ["'b)' stands alone", "quote", "'match'"]),
        ("groups: {a: {match: role in (a, §b, c), cidrs: 192.0.2.0/24}}", "quote"),
        ("groups: {a: {match: role not in (a,§b)}}", "quote"),
        ("policies: [{name: p, rules: [{allow: any, from: {match: role in (a, §b)}}]}]", "quote"),
        ("groups: {a: {§except: 192.0.2.1}}", "'cidrs'"),
        ("groups: {a: {match: a == b, §except: 192.0.2.1}}", "'cidrs'"),
        ("groups: {a: {cidrs: §192.0.2.1/24}}", "the network is 192.0.2.0/24"),
        ("groups: {a: {cidrs: [192.0.2.0/24, §2001:db8::1/64]}}", "host bits"),
        ("groups: {a: {cidrs: 192.0.2.0/24, except: §192.0.2.1/31}}", "host bits"),
        ("groups: {a: {cidrs: §192.0.2.0/33}}", "not an IPv4 or IPv6"),
        ("groups: {a: {cidrs: §192.0.2}}", "not an IPv4 or IPv6"),
        ("groups: {a: {cidrs: §fe80::1%eth0}}", "zone"),
        (f"groups: {{a: {{cidrs: §{'1' * 70}.1}}}}", ""),
        ("groups: {a: {cidrs: §10}}", "text"),
        ("groups: {a: {cidrs: §[]}}", "empty"),
        ("groups: {a: {cidrs: §}}", "empty"),
        ("groups: {a: {cidrs: §{a: b}}}", "text"),
        ("groups: {a: {cidrs: [§[192.0.2.0/24]]}}", "text"),
        ("vms: {web-1: {}}\ngroups: {a: {vms: §web1}}", "did you mean 'web-1'?"),
        ("groups: {a: {vms: §[]}}", "empty"),
        ("groups: {a: {any_of: §[]}}", "empty"),
        ("groups: {web: {match: a == b}, a: {any_of: [web, §wbe]}}", "did you mean 'web'?"),
        ("groups: {§a: {any_of: b}, b: {any_of: [{any_of: c}]}, c: {any_of: a}}", "a -> b -> c -> a"),
        ("groups: {§a: {any_of: a}}", "a -> a"),
        ("groups: {x: {match: a == b}, a: {any_of: §provider/x}}", "here it is 'x'"),
        ("groups: {a: {any_of: §acme/x}}", "provider/NAME"),
        ("groups: {a: {any_of: §192.0.2.0/24}}", "{cidrs: "),
        ("groups: {a: {any_of: §2001:db8::1}}", "{cidrs: "),
        ("vms: {web-1: {}}\ngroups: {a: {any_of: §web-1}}", "{vms: web-1}"),
        ("groups: {a: {any_of: §role == web}}", "{match: "),
        ("groups: §[a]", "mapping of names"),
    ],
)
def test_refusals(text, word):
    refused(text, word)


def test_two_groups_of_one_name():
    files = {"a.yaml": b"version: 1\ngroups:\n  web: {match: a == b}\n", "b.yaml": b"groups:\n  web: {match: a == c}\n"}
    for order in (files, dict(reversed(files.items()))):
        with pytest.raises(PolicyError) as raised:
            load_texts(order)
        assert [str(problem) for problem in raised.value.problems] == ["b.yaml:2:3: 'web' is already at a.yaml:3:3"]


def test_files_add_up_in_any_order():
    files = {
        "z.yaml": b"version: 1\ngroups: {all-of: {any_of: [web, db]}}\n",
        "b.yaml": b"groups: {web: {match: a == b}}\n",
        "a.yaml": b"groups: {db: {match: a == c}}\nservices: {s: t}\n",
        "c.yaml": b"services: {t: tcp/1}\n",
    }
    assert load_texts(files) == load_texts(dict(reversed(files.items())))


def test_groups_that_differ_have_other_hashes():
    """Groups with one hash are compared each with each: 80 of them kept the worker for a minute."""
    rules = "\n".join(
        f"      - {{allow: any, from: {{cidrs: 192.0.2.0/24, except: 192.0.2.{n % 256}/{32 - n // 256}}}}}"
        for n in range(0, 512, 2)
    )
    rules += "".join(
        f"\n      - {{allow: any, from: {{any_of: [{{cidrs: 192.0.2.{n}}}, {{cidrs: 192.0.2.{n + 1}}}]}}}}"
        for n in range(250)
    )
    loaded = document(f"policies:\n  - name: p\n    rules:\n{rules}")
    sides = {rule.sources[0] for policy in loaded.policies for rule in policy.rules}
    assert len({hash(group) for group in sides}) == len(sides) >= 500
    assert len({hash(Group("a", scope=scope)) for scope in (None, "default", "lab")}) == 3


def test_addresses_with_one_hash_do_not_make_groups_with_one_hash():
    """Python's own hash of an address is the number less all whole multiples of 2**61 - 1: anybody can find others."""
    twins = [ip_network(2**126 + number * (2**61 - 1)) for number in range(500)]
    assert len(set(map(hash, twins))) == 1
    for groups in ([Group(cidrs=(twin,)) for twin in twins], [Group(excepts=(twin,)) for twin in twins]):
        assert len(set(map(hash, groups))) == 500


def test_a_copy_of_a_group_has_the_hash_of_what_it_is():
    group = document("groups: {a: {cidrs: 192.0.2.0/24}}").groups["a"]
    assert replace(group, shared=True, place=None) == group
    assert hash(replace(group, shared=True, place=None)) == hash(group)
    assert hash(replace(group, cidrs=())) == hash(Group("a")) != hash(group)
