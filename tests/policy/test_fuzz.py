"""The loader's promise: whatever it is given, a document or a `PolicyError` with places that exist, and soon."""

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from policy.errors import PolicyError
from policy.load import load_texts
from policy.model import Document
from policy.selectors import SelectorError, parse_selector
from tests.examples import examples
from tests.policy.effort import costs_at_most
from tests.policy.schema import complaints

# In inventories of 500 VMs (`costs_at_most`). The dearest of the hostile files takes 7, a small one next to none.
SOON, LITTLE = 10, 25

GOOD = """\
version: 1
networks: {prod: {vlan: 10}, lab: {vlan: 30, scope: lab}}
vms:
  web-1:
    id: 2f6cf7a2
    tenant: acme
    network: prod
    labels: {app: shop, role: web}
    vnics:
      - {iface_id: a, mac: 52:54:00:00:00:01, addresses: [10.0.0.11, "2001:db8::11"]}
  db-1: {labels: {role: db}, addresses: 10.0.0.21, roles: [dhcp-server, router]}
  router: {trusted: true, network: lab, addresses: 10.0.0.21}
groups:
  web: {match: "role == web and not env in (dev, test)", shared: true}
  lab: {cidrs: 10.0.0.0/8, scope: lab}
  office: &office {cidrs: [192.0.2.0/24], except: 192.0.2.66}
  all-of: {any_of: [web, {vms: db-1}]}
services:
  https: tcp/443
  web: [tcp/80, https, icmp/echo]
  odd: {protocol: tcp, port: [80, 90-99], source_port: 1024-65535}
  lent: {terms: [https, udp/53], shared: true}
  files: {protocol: tcp, port: [21, 2121], helper: ftp, shared: true}
  boot: {terms: udp/69, helper: tftp}
policies:
  - name: shop
    tier: application
    order: 100
    mode: enforce
    rules:
      - {name: clients, allow: web, from: [web, *office], to: all-of, direction: in}
      - {deny: any, at: web}
      - {reject: https, from: lab, log: true}
assertions:
  - {name: shut, never: tcp/22, to: web}
builtins: {dhcp-client: off}
limits:
  everyone: {new_connections: 500, notices: 10}
  busy: {for: [web, {cidrs: 10.0.0.0/8}], connections: 50000, broadcasts: 9}
"""
GOOD_TENANT = """\
tenant: acme
groups:
  mine: {vms: web-1, any_of: provider/web}
services: {s: [provider/lent, tcp/1]}
policies:
  - name: shop
    tier: environment
    mode: audit
    rules: [{pass: s, from: [mine, provider/web], to: {match: all()}}]
assertions: [{name: shut, never: tcp/1, from: mine}]
"""
VOCABULARY = """
version networks vms groups services policies builtins tenant assertions vlan scope id network labels vnics iface_id mac
addresses trusted roles match cidrs except any_of protocol port source_port terms shared name tier order mode rules
allow deny pass reject from to at direction log any all provider web db prod 10.0.0.0/8 10.0.0.1/8 2001:db8::/32 tcp/80
tcp/90-80 tcp/80-90,443 icmp icmp/echo proto/6 https application emergency both in out dhcp-client arp on off audit
vlan-3 router dhcp-server helper ftp tftp udp/69 limits for connections new_connections broadcasts fragments notices
52:54:00:00:00:01 provider/x << ~ true 0x10 1.5 é
"""
WORDS = [*VOCABULARY.split(), "role == web", "role in (a, b)", "role = web", "((", "'", "", "a\nb", "\x1b", "x" * 300]
SCALARS = st.one_of(
    st.sampled_from(WORDS), st.integers(-2, 70000), st.booleans(), st.none(), st.floats(), st.text(max_size=5)
)
TREES = st.recursive(
    SCALARS,
    lambda below: st.one_of(st.lists(below, max_size=4), st.dictionaries(st.sampled_from(WORDS), below, max_size=5)),
    max_leaves=25,
)
SECTIONS = st.fixed_dictionaries(
    {},
    optional={
        "version": st.one_of(st.just(1), SCALARS),
        **{
            section: st.one_of(TREES, st.dictionaries(st.sampled_from(WORDS), TREES, max_size=4))
            for section in ("networks", "vms", "groups", "services", "limits", "builtins")
        },
        "tenant": st.sampled_from(["acme", "any", 1]),
        "policies": st.one_of(TREES, st.lists(TREES, max_size=3)),
        "assertions": st.one_of(TREES, st.lists(TREES, max_size=3)),
    },
)
TOKENS = st.lists(
    st.sampled_from([*WORDS, *"{}[]:,-?*&!|>'\"#%@`\n\t ", ": ", "- ", "\n  ", "&a ", "*a", "---\n"]), max_size=60
)


def check(files):
    try:
        with costs_at_most(SOON):
            document = load_texts(files)
    except PolicyError as error:
        assert error.problems
        for problem in error.problems:
            text = files[problem.place.file].decode("utf-8", "replace")
            assert 1 <= problem.place.line <= text.count("\n") + text.count("\r") + text.count("\x85") + 9
            assert problem.place.column >= 1
            assert problem.message.isprintable() and len(problem.message) < 600
    else:
        assert isinstance(document, Document)
        assert [told for text in files.values() for told in complaints(text)] == []


@given(st.dictionaries(st.sampled_from(["a.yaml", "b.yaml"]), st.binary(max_size=200), min_size=1))
@examples(200)
def test_bytes(files):
    check(files)


@given(TOKENS)
@example(["[", "*a"])
@examples(300)
def test_tokens(tokens):
    check({"a.yaml": "".join(tokens).encode()})


@given(SECTIONS, st.booleans())
@examples(250)
def test_trees(tree, flow):
    check({"a.yaml": yaml.safe_dump(tree, allow_unicode=True, default_flow_style=flow).encode()})


@given(st.data())
@examples(200)
def test_mutations_of_a_good_policy(data):
    files = {"a.yaml": GOOD, "b.yaml": GOOD_TENANT}
    for _ in range(data.draw(st.integers(1, 4))):
        name = data.draw(st.sampled_from(["a.yaml", "b.yaml"]))
        text = files[name]
        begin = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(begin, min(len(text), begin + 12)))
        instead = data.draw(st.one_of(st.just(""), st.sampled_from(WORDS), st.text(max_size=3)))
        files[name] = text[:begin] + instead + text[end:]
    check({name: text.encode("utf-8", "replace") for name, text in files.items()})


def test_the_good_policy_is_good():
    assert load_texts({"a.yaml": GOOD.encode(), "b.yaml": GOOD_TENANT.encode()}).policies


@given(
    st.one_of(
        st.text(max_size=40),
        st.lists(
            st.sampled_from(
                [
                    "a",
                    "not ",
                    " and ",
                    " or ",
                    "(",
                    ")",
                    " in ",
                    " == ",
                    " != ",
                    " like ",
                    "has(",
                    "all()",
                    ",",
                    "'x'",
                    '"',
                ]
            ),
            max_size=30,
        ).map("".join),
    )
)
@examples(400)
def test_selectors(text):
    try:
        parse_selector(text)
    except SelectorError as error:
        assert 0 <= error.offset <= len(text)
        assert str(error)


def chain(count, line):
    return "".join(line.format(i=i, j=i - 1, n=i % 65536) for i in range(1, count))


HOSTILE = {
    "billion laughs": "a0: &a0 [x]\n" + chain(25, "a{i}: &a{i} [*a{j}, *a{j}, *a{j}]\n"),
    "services growing as a square": "services:\n  s0: tcp/1\n" + chain(2000, "  s{i}: [s{j}, tcp/{n}]\n"),
    "groups growing as a square": "groups:\n  g0: {match: all()}\n"
    + chain(2000, "  g{i}: {{any_of: g{j}, match: all()}}\n"),
    "dangling names among many": "groups:\n" + chain(4000, "  name-{i}: {{any_of: nmae-{i}}}\n"),
    "one cycle through all": "groups:\n  g0: {any_of: g4999}\n" + chain(5000, "  g{i}: {{any_of: g{j}}}\n"),
    "a clique": "groups:\n" + chain(150, "  g{i}: {{any_of: [" + ", ".join(f"g{i}" for i in range(1, 150)) + "]}}\n"),
    "many failing assertions": "vms: {v: {addresses: 10.0.0.1}}\n"
    "policies: [{name: p, rules: [{allow: any}]}]\nassertions:\n"
    + chain(1000, "  - {{name: a{i}, never: tcp/{n}, from: {{vms: v}}}}\n"),
    "overlaps": "vms:\n" + chain(4000, "  v{i}: {{addresses: 10.0.0.0/8}}\n"),
    "deep flow": "a: " + "[" * 100_000,
    "deep blocks": "- " * 100_000,
    "deep keys": "? " * 100_000,
    "tag directives": "%TAG !a! tag:x,2000:\n" * 100_000,
    "anchors": "a: [" + "&a x, " * 20_000 + "]",
    "many empty lines": "\n" * 4_000_000,
    "one long scalar": "a: " + "x " * 2_000_000,
    "unclosed quote": "a: '" + "\n" * 2_000_000,
    "huge number": "networks: {a: {vlan: " + "9" * 60_000 + "}}",
    "long selector": "groups: {a: {match: '" + "a == b or " * 400 + "a == b'}}",
    "stars": "groups: {a: {match: 'a like \"" + "*a" * 2000 + "\"'}}",
    "long port list": "services: {a: 'tcp/" + "1," * 1300 + "1'}",
    "a long bad list through aliases": "services: {a: &a 'tcp/" + "1," * 1300 + "x'}\n"
    + "policies: [{name: p, rules: [" + "{allow: *a}, " * 900 + "]}]",
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_cost_little(name):
    with_version = HOSTILE[name] if name.startswith(("tag", "deep")) else "version: 1\n" + HOSTILE[name]
    with costs_at_most(LITTLE):
        try:
            load_texts({"a.yaml": with_version.encode()})
        except PolicyError as error:
            assert len(error.problems) <= 1001
