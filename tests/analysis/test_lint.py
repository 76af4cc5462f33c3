"""Each code of lint on a policy that has it and on one that has not; silences; the page of codes."""

import re
from dataclasses import fields, replace
from pathlib import Path
from textwrap import dedent

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.analysis.lint.codes import CODES, table
from policy.analysis.lint.run import lint
from policy.analysis.lint.silence import comments
from policy.errors import PolicyError
from policy.flows.meters import vnic_meters
from policy.limits import NEEDS
from policy.load import load_texts
from policy.model import Limits

BASE = """\
version: 1
networks: {prod: {vlan: 10}}
vms:
  web-1: {labels: {role: web}, network: prod, addresses: [10.0.0.11, "2001:db8::11"]}
  web-2: {labels: {role: web}, network: prod, addresses: 10.0.0.12}
  db-1: {labels: {role: db}, network: prod, addresses: 10.0.0.21}
groups:
  web: {match: role == web}
  db: {match: role == db}
"""
CLIENTS = """
policies:
  - name: shop
    rules:
      - {name: clients, allow: tcp/443, from: any, to: web}
      - {name: storage, allow: tcp/3306, from: web, to: db}
"""


def linted(text, base=BASE, **options):
    files = {"p.yaml": (base + dedent(text)).encode()}
    return lint(load_texts(files), files, **options)


def found(text, base=BASE, **options):
    """(code, text of the line) of each finding."""
    lines = (base + dedent(text)).splitlines()
    return [
        (each.code, lines[each.place.line - 1].strip().removeprefix("- "))
        for each in linted(text, base, **options).findings
    ]


def rules(*more, tier="application", rest=""):
    listed = "".join(f"      - {rule}\n" for rule in more)
    return f"{CLIENTS}{listed}{rest}"


def test_a_plain_policy_has_no_findings():
    assert found(CLIENTS) == []


HIDDEN = "{deny: tcp/443, to: web, from: db}"
REPEATED = "{allow: tcp/3306, from: web, to: db}"
NOBODY = "{allow: tcp, from: {cidrs: 192.0.2.0/24}, to: {cidrs: 198.51.100.0/24}}"
WALL = "{deny: udp, from: web, to: web}"
ONE_END = "{allow: udp/53, from: web, to: db, direction: out}"


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        (HIDDEN, "PC101"),
        (NOBODY, "PC102"),
        ("{allow: icmp6, from: web, to: db}", "PC102"),
        (WALL, "PC104"),
        ("{reject: any, from: {cidrs: 192.0.2.0/24}, to: db, direction: out}", "PC102"),
        (ONE_END, "PC105"),
        (REPEATED, "PC107"),
        ("{allow: tcp/443, from: db, to: web}", "PC107"),
    ],
)  # fmt: skip
def test_rules(rule, code):
    assert found(rules(rule)) == [(code, rule)]


@pytest.mark.parametrize(
    "rule",
    [
        "{allow: udp/53, from: web, to: db}",
        "{allow: udp/53, from: web, to: {cidrs: 192.0.2.0/24}, direction: out}",
        "{allow: udp/5353, from: web, to: {cidrs: 224.0.0.251}}",
        "{deny: any, log: true}",
        "{reject: any, from: web, to: db}",
    ],
)
def test_rules_that_make_a_difference(rule):
    assert found(rules(rule)) == []


def test_a_rule_that_another_makes_redundant_names_it():
    (finding,) = linted(rules("{name: more, allow: tcp/3000-4000, from: web, to: db}")).findings
    assert (finding.code, finding.place.line) == ("PC103", 15)
    assert finding.message == "rule shop/storage changes nothing: shop/more would decide the same"
    assert [place.line for place in finding.related] == [16]


def test_a_hidden_rule_names_the_few_that_hide_it():
    wide = "{name: wide, allow: tcp, from: web, to: db}"
    (first, *_) = [
        each for each in linted(rules(wide, "{deny: tcp/80, from: web, to: db}")).findings if each.code == "PC101"
    ]
    assert first.message == "rule shop/#4 never decides: it is hidden by shop/wide (allow)"
    assert [place.line for place in first.related] == [16]


FTP = "services: {ftp: {terms: tcp/21, helper: ftp}}\n"
HELPED = "{name: helped, allow: ftp, from: web, to: db}"
UNHELPED = "{name: wide, allow: tcp/20-22, from: web, to: db}"


def test_a_rule_that_helps_is_more_than_one_that_allows_the_same():
    base = BASE + FTP
    assert found(rules(HELPED, UNHELPED), base) == []  # without the first, nobody would help
    assert found(rules(HELPED.replace("ftp", "tcp/21"), UNHELPED), BASE) != []
    assert found(rules(UNHELPED, HELPED), base) == [("PC101", HELPED)]
    assert found(rules(HELPED, HELPED.replace("helped", "again")), base) == [
        ("PC107", HELPED.replace("helped", "again"))
    ]
    assert found(rules(HELPED, HELPED.replace("name: helped, allow: ftp", "allow: tcp/21")), base) == [
        ("PC107", "{allow: tcp/21, from: web, to: db}")
    ]
    denied = [rule.replace("allow", "deny") for rule in (UNHELPED, HELPED)]
    assert ("PC107", denied[1]) in found(rules(*denied), base)


def test_rules_of_audit_policies_are_left_alone():
    assert found(CLIENTS.replace("name: shop", "{name: shop, mode: audit, rules: [{allow: tcp}]}\n  - name: x")) == []


WALLS = """
  - name: walls
    tier: environment
    rules:
      - {name: apart, deny: any, from: web, to: web}
"""


def test_a_rule_that_an_earlier_tier_overrules_between_vms():
    listed = linted(rules(rest=WALLS)).findings
    finding = next(each for each in listed if each.code == "PC106")
    assert finding.message == (
        "rule shop/clients (allow) is overruled between some VMs by walls/apart (deny, tier environment)"
    )


def test_what_cuts_into_the_outside_contradicts_nobody():
    banned = WALLS.replace("from: web, to: web", "from: {cidrs: 192.0.2.66}")
    assert found(rules(rest=banned)) == []


def test_groups_and_services():
    base = BASE + (
        "  lost: {any_of: [deeper]}\n"
        "  deeper: {match: role == web}\n"
        "  offered: {match: role == db, shared: true}\n"
        "  typo: {match: role == wbe}\n"
        "  claimed: {match: role == web}\n"
        "  busy: {match: role == web}\n"
        "  crowd: {match: role == db}\n"
        "services:\n"
        "  used: inner\n"
        "  inner: tcp/1\n"
        "  idle: tcp/2\n"
        "assertions:\n"
        "  - {name: a, never: used, from: [claimed, typo], to: db}\n"
        "limits:\n"
        "  many: {for: [busy, {any_of: crowd}], connections: 9}\n"
    )
    assert found(CLIENTS, base) == [
        ("PC201", "lost: {any_of: [deeper]}"),
        ("PC201", "deeper: {match: role == web}"),
        ("PC202", "typo: {match: role == wbe}"),
        ("PC203", "idle: tcp/2"),
        ("PC601", "many: {for: [busy, {any_of: crowd}], connections: 9}"),
    ]


def test_a_limit_that_needs_a_newer_switch():
    entries = ("some: {for: web, connections: 9}", "both: {connections: 8, notices: 5}", "fine: {broadcasts: 9}")
    limits = "limits:\n" + "".join(f"  {entry}\n" for entry in entries)
    assert found(CLIENTS + limits) == [
        ("PC601", "some: {for: web, connections: 9}"),
        ("PC601", "both: {connections: 8, notices: 5}"),
    ]
    stated = "limit some states connections: 9, which needs Open vSwitch 3.3 or newer"
    assert stated in str(linted(CLIENTS + limits).findings)


def test_what_needs_a_newer_switch_is_just_what_changes_no_meter():
    usual = list(vnic_meters(5, Limits()))
    idle = {
        field.name
        for field in fields(Limits)
        if list(vnic_meters(5, replace(Limits(), **{field.name: getattr(Limits(), field.name) + 1}))) == usual
    }
    assert idle == NEEDS.keys()


def test_names_of_tenants_are_their_own():
    tenant = (
        "tenant: acme\n"
        "groups: {web: {match: role == web}, mine: {match: all()}}\n"
        "policies: [{name: t, rules: [{allow: udp, from: mine, to: provider/every}]}]\n"
    )
    base = BASE.replace("labels: {role: db}", "tenant: acme, labels: {role: db}") + (
        "  every: {match: all(), shared: true}\n"
    )
    files = {"p.yaml": (base + CLIENTS).encode(), "t.yaml": tenant.encode()}
    listed = [(each.code, each.place.file, each.message) for each in lint(load_texts(files), files).findings]
    assert ("PC201", "t.yaml", "no rule, assertion or limit uses group acme/web") in listed
    assert not [each for each in listed if each[0] == "PC201" and each[1] == "p.yaml"]


def test_any_that_opens_many_pairs():
    assert found(CLIENTS, pairs=6) == []
    (finding,) = linted(CLIENTS, pairs=5).findings  # 3 VMs and the outside, each to both, but not to itself
    assert finding.code == "PC301"
    assert finding.message == "rule shop/clients opens 6 pairs with 'any' (more than 5)"


def test_any_is_counted_only_where_it_is_written():
    assert found(CLIENTS, pairs=0) == [("PC301", "{name: clients, allow: tcp/443, from: any, to: web}")]


def test_a_vm_that_no_rule_mentions():
    new = "  new-1: {addresses: 10.0.0.31}\n  router: {addresses: 10.0.0.1, trusted: true}\n"
    base = BASE.replace("groups:\n", new + "groups:\n")
    assert found(CLIENTS, base) == [("PC401", "new-1: {addresses: 10.0.0.31}")]
    by_address = CLIENTS + "      - {allow: udp/53, from: {cidrs: 10.0.0.31}, to: db}\n"
    assert found(by_address, base) == []


def test_assertions_about_nothing():
    claim = "assertions:\n  - {name: a, never: any, from: %s, to: db}\n"
    assert found(CLIENTS + claim % "{match: role == x}") == [
        ("PC501", "{name: a, never: any, from: {match: role == x}, to: db}")
    ]
    assert found(CLIENTS + claim % "{cidrs: 192.0.2.0/24}") == []


def test_a_silence_with_a_reason_silences_its_code_at_its_line():
    silent = linted(rules(WALL + " # lint: ignore PC104 a wall for whatever comes"))
    assert silent.findings == ()
    ((finding, silence),) = silent.silenced
    assert (finding.code, silence.reason) == ("PC104", "a wall for whatever comes")
    above = "# lint: ignore PC104 a wall\n\n      # for whatever comes\n      - " + WALL
    assert linted(CLIENTS + "      " + above + "\n").findings == ()


@pytest.mark.parametrize(
    ("comment", "codes"),
    [
        ("# lint: ignore PC104", {"PC104", "PC901"}),
        ("# lint: ignore PC105 why not", {"PC104", "PC902"}),
        ("# lint: ignore PC999 why not", {"PC104", "PC903"}),
        ("# lint: ignore PC902 why not", {"PC104", "PC903"}),
        ("# lint: off", {"PC104", "PC903"}),
        ("# we lint: ignore PC104 a lot", {"PC104"}),
    ],
)
def test_silences_that_do_not_silence(comment, codes):
    assert {each.code for each in linted(rules(f"{WALL} {comment}")).findings} == codes


def test_a_silence_that_is_not_needed_is_told_where_it_is():
    (finding,) = linted(CLIENTS.replace("to: web}", "to: web} # lint: ignore PC101 x")).findings
    assert (finding.code, finding.place.line, finding.place.column) == ("PC902", 14, 61)


def test_comments_are_what_yaml_takes_for_comments():
    text = dedent("""\
        # one
        a: "# no" # two # still two
        b: it's#no # three
        c: |
          # no
        # four
        d: 'x
          # no' # five
        e: [a, # six
          b]
        \tf: # not reached
        """).replace("\tf: # not reached\n", "")
    assert [(line, comment) for line, _, comment in comments(text)] == [
        (1, "# one"), (2, "# two # still two"), (3, "# three"), (6, "# four"), (8, "# five"), (9, "# six"),
    ]  # fmt: skip


def test_every_code_is_tested_and_on_its_page():
    here = Path(__file__)
    assert [name for name in CODES if name not in here.read_text()] == []
    page = (here.parents[2] / "docs/lint.md").read_text()
    assert table() in page, "put the output of policy.analysis.lint.codes.table() into docs/lint.md"


COMMENT = "# lint: ignore PC104 x"
PIECES = st.sampled_from(
    ("#", " #", COMMENT, "\n", "\r\n", "  ", "- a", "k: ", "'", '"', "|", ">", "\u00e9", "\u2028", "[", "]")
)


@given(st.lists(PIECES, max_size=12).map("".join))
def test_whatever_loads_is_searched_for_comments(text):
    files = {"p.yaml": BASE.encode(), "q.yaml": ("services: {a: tcp/1}\n" + text).encode()}
    try:
        document = load_texts(files)
    except PolicyError:
        return
    for finding in lint(document, files).findings:
        assert finding.place.file == "p.yaml" or 1 <= finding.place.line <= 1 + len(re.split("\r\n|[\r\n\u2028]", text))
