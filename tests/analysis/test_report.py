"""The report: what it tells against brute force; the page is whole, closed in itself, and holds text as text."""

import json
from html.parser import HTMLParser

import pytest
from hypothesis import given

from policy.analysis.contexts import Contexts, places_of
from policy.analysis.lint.run import lint
from policy.analysis.reach import Reach
from policy.analysis.report.elements import element, page
from policy.analysis.report.facts import gather
from policy.analysis.report.page import report_page
from policy.load import load_texts
from tests.analysis.test_lint_rules import documents, talking
from tests.examples import examples

EVIL = "<script>alert(1)</script><img src=x onerror=y>&lt;\\\"'"
POLICY = """\
version: 1
networks: {prod: {vlan: 10}}
vms:
  web-1: {labels: {role: web, note: 'EVIL'}, network: prod, addresses: 10.0.0.11}
  db-1: {labels: {role: db}, network: prod}
  router: {trusted: true, network: prod, addresses: 10.0.0.1}
groups:
  web: {match: role == web}
  db: {match: role == db}
builtins: {dhcp-client: off}
policies:
  - name: shop
    rules:
      - {name: clients, allow: tcp/443, from: any, to: web}
      - {name: storage, allow: tcp/3306, from: web, to: db}
      - {name: wall, deny: udp, from: web, to: web} # lint: ignore PC102 EVIL
      - {name: all-ping, allow: icmp/echo}
  - {name: tried, mode: audit, rules: [{allow: any}]}
assertions:
  - {name: closed, never: tcp/22, from: any, to: db}
"""
VOID = {"meta", "br", "img", "input", "link", "hr"}


WITH_EVIL = POLICY.replace("'EVIL'", "'" + EVIL.replace("'", "''") + "'").replace("EVIL", EVIL)


def values(text=WITH_EVIL):
    files = {"p.yaml": text.encode()}
    document = load_texts(files)
    return gather(document, lint(document, files))


class Page(HTMLParser):
    """Raises where tags do not match; keeps tags and text."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.texts, self.attributes = [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def test_the_page_is_whole_and_holds_text_as_text():
    read = Page(report_page(values(), []))
    assert {"script", "img"}.isdisjoint(read.tags)
    told = "".join(read.texts)
    assert f"note={EVIL}" in told
    assert f"PC102 is silenced ({EVIL})" in told
    assert {"html", "head", "body", "table", "h1"} <= set(read.tags)


def test_the_page_loads_nothing():
    text = report_page(values(), [])
    read = Page(text)
    assert {"link", "iframe", "object"}.isdisjoint(read.tags)
    assert not [name for name, _ in read.attributes if name in ("src", "href", "action", "style") or name[:2] == "on"]
    assert "url(" not in text
    assert "default-src 'none'" in dict(read.attributes).get("content", "")


def test_any_text_stays_text():
    evil = f"{EVIL}\x00\x1b]\x85"
    read = Page(page(evil, "", element("p", evil, element("b", evil), evil, kind=EVIL)))
    assert {"script", "img"}.isdisjoint(read.tags)
    assert "".join(read.texts).count(EVIL) == 4


def test_what_is_told():
    found = values()
    assert json.loads(json.dumps(found)) == found
    assert found["scope"]["vms"] == 3
    assert found["coverage"] == {
        "firewalled": 2, "trusted": ["router"], "without_address": ["db-1"], "unmentioned": [],
    }  # fmt: skip
    (assertion,) = found["assertions"]
    assert (assertion["name"], assertion["claim"], assertion["holds"]) == ("closed", "never", True)
    exceptions = [each["text"] for each in found["exceptions"]]
    assert any(text.startswith("VM router is trusted") for text in exceptions)
    assert "the built-in rule dhcp-client is off" in exceptions
    open_ends = [each["text"] for each in found["open_ends"]]
    assert "policy tried is only audited: its rules decide nothing" in open_ends
    assert "rule shop/all-ping allows from any to any" in open_ends
    assert "rule shop/clients lets the outside in: tcp/443" in open_ends
    storage = next(each for each in found["talks"] if each["rule"] == "storage")
    assert storage["from"] == {"vms": ["web-1"], "outside": False}
    assert (storage["to"], storage["services"], storage["pairs"], storage["line"]) == (
        {"vms": ["db-1"], "outside": False}, ["tcp/3306"], 1, 15,
    )  # fmt: skip


def test_roles_are_told_as_exceptions():
    vms = "  gate: {roles: router, vnics: [{iface_id: a, roles: [dhcp-server, router]}, {iface_id: b}]}\n"
    exceptions = values(POLICY.replace("vms:\n", "vms:\n" + vms))["exceptions"]
    assert [(each["text"], each["line"]) for each in exceptions if "gate" in each["text"]] == [
        ("VM gate has the role router: it may send IPv6 router advertisements", 4),
        ("vNIC gate/a has the role dhcp-server: it may answer DHCP requests", 4),
    ]


@examples(15)
@given(documents())
def test_who_talks_by_which_rule_is_all_and_only_what_goes_through(found):
    reach = Reach(Contexts(found))
    opened = reach.opened()
    pairs = talking(found)
    deciders = reach.contexts.rules.deciders
    assert {(deciders[rule].policy.name, deciders[rule].rule.name) for rule in opened} == pairs.keys()
    for rule, told in opened.items():
        expected = pairs[deciders[rule].policy.name, deciders[rule].rule.name]
        assert told.pairs == len(expected)
        for nodes, ends in ((told.sources, {a for a, _ in expected}), (told.destinations, {b for _, b in expected})):
            assert {vm for node in places_of(nodes) for vm in reach.nodes[node].vms or [None]} == ends


@pytest.mark.parametrize("vms", [10, 3000])
def test_the_page_grows_with_kinds_of_vms_not_with_vms(vms):
    more = "".join(f"  n-{number}: {{labels: {{role: web}}, network: prod}}\n" for number in range(vms))
    text = report_page(values(POLICY.replace("groups:\n", more + "groups:\n")), [])
    assert len(Page(text).tags) < 600
