"""Differences of two policies: against the evaluator, and in the words of the page."""

from dataclasses import replace
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.analysis.group_names import GroupNames
from policy.analysis.lines import difference
from policy.analysis.words import Service
from policy.evaluate import Endpoint
from policy.load import load_texts
from policy.model import Verdict
from tests.analysis.strategies import VMS, connections, document, documents, policies, rules, truth, universe, vm
from tests.examples import examples

# What a VM may become: the same, gone, other labels, other addresses, learned addresses, another name, trusted.
OTHERS = {
    "web-1": (None, vm("web-1", "10.0.0.99", role="web"), vm("web-1", ""), vm("web-1", "10.0.0.1", role="db")),
    "web-2": (vm("web-2", "10.0.0.2", role="web", trusted=True), vm("web-2", "192.0.2.5 2001:db8::3", role="web")),
    "db-1": (vm("db-1", "10.0.1.0/29", role="db", tenant="acme"), vm("db-1", "10.0.0.2", role="db")),
    "db-2": (vm("db-2", "2001:db8::4", role="web"), vm("db-2", "2001:db8::4", "lab", role="db")),
    "new-1": (None, vm("new-1", "10.0.0.99", role="web"), vm("new-1", "10.0.0.99", "lab"), vm("new-1", "", role="db")),
    "router": (vm("router", "10.0.0.9 2001:db8::9", role="web"),),
}


@st.composite
def second_documents(draw, first):
    """A policy not far from the first."""
    found = list(first.policies)
    change = draw(st.sampled_from(("none", "other rule", "new policy", "gone", "all")))
    if change == "other rule":
        place = draw(st.integers(0, len(found) - 1))
        own = list(found[place].rules)
        own[draw(st.integers(0, len(own) - 1))] = draw(rules("other", found[place].tenant))
        found[place] = replace(found[place], rules=tuple(own))
    elif change == "new policy":
        found.append(draw(policies("policy-a")))
    elif change == "gone":
        found.pop()
    elif change == "all":
        found = list(draw(documents()).policies)
    vms = {each.name: each for each in VMS}
    for name in draw(st.lists(st.sampled_from(sorted(OTHERS)), max_size=2, unique=True)):
        vms[name] = draw(st.sampled_from(OTHERS[name]))
    kept, owned = [], set()
    for each in vms.values():
        mine = {(a, each.vnics[0].network) for v in each.vnics for p in v.addresses for a in p} if each and all(
            p.num_addresses < 99 for v in each.vnics for p in v.addresses) else set()  # fmt: skip
        if each is not None and not mine & owned:
            kept.append(each)
            owned |= mine
    return document(found, kept)


def owner(mine, other, end, scope):
    """Who it is that has an end in one policy: its vNIC, None for the outside, False for nobody."""
    here, there = universe(mine), universe(other)
    if end.address is None:
        return next((v for v in here.vnics if v.id == end.vnic.id and v.scope == scope and not v.addresses), False)
    found, elsewhere = here.owner(end.address, scope), there.owner(end.address, scope)
    if found is None and elsewhere is not None:
        return next((v for v in here.vnics if v.id == elsewhere.id and v.scope == scope and not v.addresses), None)
    return found


def goes_through(mine, other, connection, scope):
    ends = [owner(mine, other, end, scope) for end in (connection.source, connection.destination)]
    if False in ends or ends == [None, None]:
        return False, None, None
    asked = replace(
        connection,
        source=Endpoint(ends[0], connection.source.address),
        destination=Endpoint(ends[1], connection.destination.address),
    )
    verdict, egress, ingress = truth(mine, asked)
    return verdict is Verdict.ALLOW, egress, ingress


def is_meant(names, end, old, new, scope):
    """True if a side of a line means this end."""
    owners = owner(new, old, end, scope), owner(old, new, end, scope)
    vnic = next((each for each in owners if each), None)
    for name in names:
        who, at, own = name.partition("@")
        if vnic is not None:
            if name in (vnic.vm, vnic.name) or (
                at and who == vnic.vm and end.address is not None and within(end.address, own)
            ):
                return True
        elif not at and (":" in name or name[0].isdigit()) and end.address is not None and within(end.address, name):
            return True
    return False


def within(address, prefix):
    prefix = ip_network(prefix)
    return address.version == prefix.version and address in prefix


def lines_about(changes, connection, old, new, scope):
    service = Service(*[getattr(connection, name) for name in Service._fields])
    return [
        change
        for change in changes
        if change.scope == scope
        and change.family in (None, connection.family)
        and service.within(change.region)
        and is_meant(change.sources.names, connection.source, old, new, scope)
        and is_meant(change.destinations.names, connection.destination, old, new, scope)
    ]


def counts(connection, old, new, scope):
    """False if a vNIC would speak to itself, or nobody owns either end in either policy."""
    ends = connection.source, connection.destination
    first, second = (owner(new, old, end, scope) or owner(old, new, end, scope) or None for end in ends)
    return (first is not None or second is not None) and (first is None or second is None or first.id != second.id)


def stood_for(end, old, new, scope):
    """True if a vNIC without an address has some in the other policy: they stand for it."""
    return end.address is None and any(
        each.id == end.vnic.id and each.scope == scope and each.addresses
        for mine in (old, new)
        for each in universe(mine).vnics
    )


def told(ref):
    return ref and (ref.policy, ref.rule)


@examples(40)
@given(st.data())
def test_lines_say_just_what_changes(data):
    old = data.draw(documents(2))
    new = data.draw(second_documents(old))
    found = difference(old, new)
    for _ in range(8):
        which = data.draw(st.sampled_from((old, new)))
        scope, connection = data.draw(connections(which))
        if not counts(connection, old, new, scope) or any(
            stood_for(end, old, new, scope) for end in (connection.source, connection.destination)
        ):
            continue
        was, *was_by = goes_through(old, new, connection, scope)
        now, *now_by = goes_through(new, old, connection, scope)
        widened = lines_about(found.widened, connection, old, new, scope)
        narrowed = lines_about(found.narrowed, connection, old, new, scope)
        assert bool(widened) == (now and not was), (connection, widened)
        assert bool(narrowed) == (was and not now), (connection, narrowed)
        for line in widened + narrowed:
            assert told(line.old) in was_by
            assert told(line.new) in now_by


NET = """\
version: 1
vms:
  web-1: {labels: {role: web}, addresses: [10.0.0.11, "2001:db8::11"]}
  web-2: {labels: {role: web}, addresses: 10.0.0.12}
  db-1: {labels: {role: db}, addresses: [10.0.0.21, "2001:db8::21"]}
groups:
  web: {match: role == web}
  db: {match: role == db}
  office: {cidrs: [192.0.2.0/24, "2001:db8:1::/48"], except: 192.0.2.66}
  old-db: {cidrs: 10.0.0.0/24}
policies:
  - name: shop
    rules:
      - {name: storage, allow: tcp/3306, from: web, to: db}
      - {name: clients, allow: tcp/443, from: any, to: web, direction: in}
"""
STORAGE = "- {name: storage, allow: tcp/3306, from: web, to: db}"
CLIENTS = "- {name: clients, allow: tcp/443, from: any, to: web, direction: in}"
NEVER = "policies:\n"


def changes(*edits, base=NET):
    text = base
    for before, after in edits:
        assert before in text
        text = text.replace(before, after)
    found = difference(load_texts({"p.yaml": base.encode()}), load_texts({"p.yaml": text.encode()}))
    return tuple(
        [(" ".join(c.sources.names), " ".join(c.destinations.names), " ".join(c.services)) for c in side]
        for side in (found.widened, found.narrowed)
    )


@pytest.mark.parametrize(
    "edit",
    [
        (STORAGE, STORAGE.replace("storage", "mysql")),
        ("name: shop", "name: store"),
        (f"{STORAGE}\n      {CLIENTS}", f"{CLIENTS}\n      {STORAGE}"),
        (STORAGE, f"{STORAGE}\n      - {{allow: tcp/3306, from: web, to: db}}"),
        ("from: web, to: db", "from: {match: role == web}, to: db"),
        (STORAGE, "- {name: a, allow: tcp/3300-3306, from: web, to: db}\n      - {deny: any, to: db}"
                  .replace("tcp/3300-3306", "tcp/3306")),
        ("db-1:", "base-1:"),
    ],
)  # fmt: skip
def test_what_has_no_effect_is_not_told(edit):
    assert changes(edit) == ([], [])


def test_a_rule_widened_and_narrowed():
    assert changes((STORAGE, STORAGE.replace("3306", "3300-3305"))) == (
        [("web-1 web-2", "db-1", "tcp/3300-3305")],
        [("web-1 web-2", "db-1", "tcp/3306")],
    )


def test_the_whole_outside_is_one_cidr_of_each_family():
    wider = CLIENTS.replace("tcp/443", "[tcp/443, icmp/echo]")
    assert changes((CLIENTS, wider)) == ([("0.0.0.0/0 ::/0", "web-1 web-2", "icmp/echo")], [])


def test_some_of_the_outside():
    wider = f"{CLIENTS}\n      - {{allow: any, from: office, to: db}}"
    (line,), narrowed = changes((CLIENTS, wider))
    sources = line[0].split()
    assert narrowed == []
    assert line[1:] == ("db-1", "any")
    assert len(sources) == 9, "a /24 without one address is eight prefixes"
    assert "192.0.2.128/25" in sources and "2001:db8:1::/48" in sources


def test_a_part_of_a_vm_is_named_by_its_address():
    peers = f"{STORAGE}\n      - {{allow: udp/53, from: old-db, to: old-db}}"
    found, _ = changes((STORAGE, peers))
    assert ("db-1@10.0.0.21 web-1@10.0.0.11", "db-1@10.0.0.21 web-1@10.0.0.11", "udp/53") in found
    assert ("db-1 web-1", "web-2 10.0.0.0/24", "udp/53") in found, "with these ends it can only be IPv4"


def test_a_new_vm():
    more = "vms:\n  web-3: {labels: {role: web}, addresses: 10.0.0.13}"
    assert changes(("vms:", more)) == (
        [("0.0.0.0/0", "web-3", "tcp/443"), ("web-3", "db-1", "tcp/3306")],
        [("web-3", "web-1 web-2", "tcp/443")],
    ), "from 10.0.0.13 anybody could come to web-1; now there is a firewall at its side"


def test_a_vm_that_goes():
    gone = "  web-2: {labels: {role: web}, addresses: 10.0.0.12}\n"
    widened, narrowed = changes((gone, ""))
    assert ("web-2", "db-1", "tcp/3306") in narrowed
    assert widened == [("web-2", "web-1", "tcp/443")]


def test_an_address_that_changes_hands():
    first = ("web-2: {labels: {role: web}, addresses: 10.0.0.12}", "web-2: {labels: {role: web}, addresses: 10.0.0.99}")
    second = ('addresses: [10.0.0.21, "2001:db8::21"]', 'addresses: [10.0.0.21, "2001:db8::21", 10.0.0.12]')
    assert changes(first, second) == (
        [
            ("0.0.0.0/0", "web-2", "tcp/443"),
            ("web-1", "db-1@10.0.0.12", "tcp/3306"),
            ("web-2", "db-1@10.0.0.12 db-1@10.0.0.21", "tcp/3306"),
        ],
        [("web-2", "db-1@10.0.0.12 web-1", "tcp/443"), ("0.0.0.0/0", "db-1@10.0.0.12", "tcp/443")],
    ), "10.0.0.12 was web-2's and is db-1's; 10.0.0.99, which is web-2's, was outside"


def test_a_vm_that_gets_its_address_listed_is_the_same():
    base = NET.replace(", addresses: 10.0.0.12", "")
    assert changes(("web-2: {labels: {role: web}}", "web-2: {labels: {role: web}, addresses: 10.0.0.12}"),
                   base=base) == ([], [])  # fmt: skip


def test_deny_and_reject_are_the_same_here():
    assert changes((CLIENTS, f"{CLIENTS}\n      - {{reject: any, to: web}}")) == ([], [])


def test_rules_old_and_new_are_told():
    text = NET.replace(STORAGE, f"- {{name: no, deny: tcp/3306, to: db, direction: in}}\n      {STORAGE}")
    found = difference(load_texts({"p.yaml": NET.encode()}), load_texts({"p.yaml": text.encode()}))
    (line,) = found.narrowed
    assert line.old == ("application", None, "shop", "storage", "p.yaml", 14)
    assert line.new == ("application", None, "shop", "no", "p.yaml", 14)


def test_a_vm_name_stands_for_both_families_only_if_both_change():
    wider = f"{STORAGE}\n      - {{allow: udp/1, from: {{cidrs: 0.0.0.0/0}}, to: {{cidrs: 0.0.0.0/0}}}}"
    found, _ = changes((STORAGE, wider))
    assert ("web-1@10.0.0.11 web-2", "db-1@10.0.0.21", "udp/1") not in found
    assert all("::" not in line[0] + line[1] for line in found)
    assert any("db-1@10.0.0.21" in line[1] for line in found)


def texts(before, after):
    return texts_of(NET, NET.replace(before, after))


def texts_of(old, new):
    new = load_texts({"p.yaml": new.encode()})
    names = GroupNames(new)
    found = difference(load_texts({"p.yaml": old.encode()}), new)
    return [f"{names.text(c.sources)} -> {names.text(c.destinations)}: {c.summary}" for c in found.widened]


def test_people_are_told_groups_and_what_is_left_out():
    assert texts(CLIENTS, CLIENTS.replace("tcp/443", "[tcp/443, udp/443]")) == ["outside -> web-1, web-2: udp/443"]
    wide = "{cidrs: [0.0.0.0/0], except: [198.51.100.0/24, 203.0.113.1]}"
    assert texts(CLIENTS, f"{CLIENTS}\n      - {{allow: udp/1, from: {wide}, to: [web, db]}}") == [
        "db-1, web-1 -> web-2: udp/1",
        "db-1@10.0.0.21, web-1@10.0.0.11 -> db-1@10.0.0.21, web-1@10.0.0.11: udp/1",
        "web-2, outside (IPv4) but 198.51.100.0/24, 203.0.113.1/32 -> all 3 VMs: udp/1",
    ]
    label = "web-2: {labels: {role: web}, addresses"
    more = "web-3: {labels: {role: web}, addresses: 10.0.0.13}\n  web-2: {labels: {role: web}, addresses"
    assert "web (3 VMs) -> db-1: tcp/3307" in texts_of(
        NET.replace(label, more), NET.replace(label, more).replace("tcp/3306", "[tcp/3306, tcp/3307]")
    )
