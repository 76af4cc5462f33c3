"""The language's sections "Groups" and "Services", sentence by sentence: each docstring quotes what its test would
catch.
"""

import pytest

from policy.evaluate import Connection, Endpoint, covers
from policy.members import group_has
from policy.model import ICMP, ICMPV6, SCTP, TCP, UDP
from policy.question import parse_question
from policy.terms import parse_term
from tests.policy.asking import verdict
from tests.policy.words import document, refused
from topology.addresses import parse_address
from topology.vnic import Vnic, offline_vnics

VMS = """
vms:
  web-1: {labels: {role: web, env: prod, a/b.c-d_e: x}, addresses: [10.0.0.1, "2001:db8::1"]}
  web-2: {labels: {role: web, env: test}, addresses: 10.0.0.2}
  db-1:  {labels: {role: db}, addresses: 10.0.0.3, tenant: acme, id: uuid-1, mac: 52:54:00:00:00:0a}
  other: {addresses: 10.0.0.4}
"""


def members(group, extra=""):
    """The names of the VMs, and those of some addresses of nobody, that are in a group."""
    loaded = document(VMS + f"groups:\n  g: {group}\n{extra}")
    found = [vnic.vm for vnic in offline_vnics(loaded.inventory) if in_group(loaded, vnic)]
    others = ["192.0.2.1", "192.0.2.66", "198.51.100.1", "2001:db8:1::1"]
    return {*found, *(who for who in others if group_has(loaded.groups["g"], None, parse_address(who), "default"))}


def in_group(loaded, vnic):
    addresses = [prefix.network_address for prefix in vnic.addresses] or [None]
    return any(group_has(loaded.groups["g"], vnic, address, vnic.scope) for address in addresses)


def selected(selector):
    return members("{match: '" + selector.replace("'", "''") + "'}")


@pytest.mark.parametrize(
    ("group", "expected"),
    [
        ('{match: "role == web and env == prod"}', {"web-1"}),
        ('{cidrs: [192.0.2.0/24, "2001:db8:1::/48"], except: [192.0.2.66/32]}', {"192.0.2.1", "2001:db8:1::1"}),
        ("{any_of: [d, c]}", {"db-1", "web-2"}),
        ("{vms: [other]}", {"other"}),
        ('{match: "role == db", cidrs: [198.51.100.0/24]}', {"db-1", "198.51.100.1"}),
    ],
)
def test_the_forms_of_a_group(group, expected):
    """The examples of the page; a group is the union of its parts."""
    assert members(group, "  d: {match: role == db}\n  c: {match: env == test}\n") == expected


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("role == web", {"web-1", "web-2"}),
        ("role != web", {"db-1", "other"}),
        ("role in (web, db)", {"web-1", "web-2", "db-1"}),
        ("role not in (web, x)", {"db-1", "other"}),
        ('vm.name like "web-*"', {"web-1", "web-2"}),
        ("vm.name like '*-[1]'", {"web-1", "db-1"}),
        ("has(env)", {"web-1", "web-2"}),
        ("not role == web", {"db-1", "other"}),
        ("role == web and env == prod", {"web-1"}),
        ("env == test or role == db", {"web-2", "db-1"}),
        ("(role == web or role == db) and not env == prod", {"web-2", "db-1"}),
        ("all()", {"web-1", "web-2", "db-1", "other"}),
        ('role == "web"', {"web-1", "web-2"}),
        ("role == 'web'", {"web-1", "web-2"}),
    ],
)
def test_selectors(selector, expected):
    """Selectors compare labels with words or quoted strings: `==`, `!=`, `in (a, b)`, `not in (a, b)`, `like "web-*"`
    (shell globs), `has(label)`, `not`, `and`, `or`, parentheses, `all()`.
    """
    assert selected(selector) == expected


def test_missing_labels():
    """For a missing label `==`, `in` and `like` are false, `!=` and `not in` true."""
    for false in ("none == x", "none in (x, y)", "none like '*'", "has(none)"):
        assert selected(false) == set()
    for true in ("none != x", "none not in (x, y)"):
        assert selected(true) == {"web-1", "web-2", "db-1", "other"}


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ("vm.name", "db-1"),
        ("vm.id", "uuid-1"),
        ("vm.tenant", "acme"),
        ("vnic.id", "if-1"),
        ("vnic.mac", "52:54:00:00:00:0a"),
        ("vnic.network", "prod"),
        ("vnic.host", "hv1"),
        ("vnic.bridge", "br0"),
    ],
)
def test_built_in_attributes(attribute, value):
    """Built-in attributes carry a prefix: `vm.name`, `vm.id`, `vm.tenant`, `vnic.id`, `vnic.mac`, `vnic.network`,
    `vnic.host`, `vnic.bridge`.
    """
    vnic = Vnic("if-1", "db-1", "uuid-1", "acme", {}, "52:54:00:00:00:0a", (), "prod", "default", "hv1", "br0")
    loaded = document(f"""groups: {{g: {{match: '{attribute} == "{value}"'}}, h: {{match: '{attribute} == x'}}}}""")
    assert group_has(loaded.groups["g"], vnic, None, "default")
    assert not group_has(loaded.groups["h"], vnic, None, "default")
    refused("groups: {g: {match: §vm.nam == x}}", "vm.name")


def test_label_keys():
    """Label keys may contain letters, digits, `_`, `-`, `.` and `/`."""
    assert selected("a/b.c-d_e == x") == {"web-1"}
    refused("vms: {a: {labels: {§a b: c}}}", "letters")


def test_except():
    """`except` without `cidrs` is an error. `except` narrows only the `cidrs` of the same group."""
    refused("groups: {g: {match: all(), §except: 10.0.0.1}}", "'except' narrows 'cidrs'")
    narrowed = "{cidrs: 10.0.0.0/24, except: 10.0.0.1, %s}"
    assert members(narrowed % "vms: db-1") == {"web-2", "db-1", "other"}
    assert "web-1" in members(narrowed % "match: role == web")
    assert "web-1" in members(narrowed % "any_of: {cidrs: 10.0.0.1}")


@pytest.mark.parametrize(
    "group",
    [
        "{match: role == web}",
        "{cidrs: 10.0.0.0/24, except: 10.0.0.1, scope: default}",
        "{vms: web-1, any_of: {match: role == db}}",
        "{match: role == web, shared: true}",
    ],
)
def test_inline_groups(group):
    """An inline group may have every key a named one may."""
    rule = "policies: [{name: p, rules: [{allow: any, from: %s, direction: out}]}]"
    named, inline = document(VMS + f"groups: {{g: {group}}}\n" + rule % "g"), document(VMS + rule % group)
    for who in ("web-1", "web-2", "db-1", "other"):
        assert verdict(named, who, "198.51.100.1") == verdict(inline, who, "198.51.100.1")


def test_precedence():
    """Precedence: `not` before `and` before `or`."""
    assert selected("not role == web and role == db or env == test") == {"db-1", "web-2"}
    assert selected("env == test or role == web and env == prod") == {"web-1", "web-2"}
    assert selected("not (role == web and env == prod)") == {"web-2", "db-1", "other"}


def test_strings_and_words():
    """Strings in single or double quotes, without escapes; words are letters, digits, `_`, `-`, `.`, `/`."""
    loaded = document('vms: {a: {labels: {x: \'b\\c "d"\'}}}\ngroups: {g: {match: "x == \'b\\\\c \\"d\\"\'"}}')
    assert in_group(loaded, offline_vnics(loaded.inventory)[0])
    assert document("groups: {g: {match: a_b-c.d/9 == e_f-g.h/0}}")
    refused("groups: {g: {match: 'a == §ü'}}", "quotes")


def test_a_forgotten_quote():
    """In a YAML flow mapping a selector with commas must be quoted (the error for a forgotten quote says so)."""
    refused("groups: {g: {match: role in (web, §db)}}", "quote that value")
    assert document("groups:\n  g:\n    match: role in (web, db)")
    assert document('groups: {g: {match: "role in (web, db)"}}')


def test_cidrs():
    """Host bits in a CIDR are an error; a bare address is a /32 or /128."""
    refused("groups: {g: {cidrs: §192.0.2.1/24}}", "the network is 192.0.2.0/24")
    loaded = document("groups: {g: {cidrs: [192.0.2.1, '2001:db8::1']}}")
    assert [str(prefix) for prefix in loaded.groups["g"].cidrs] == ["192.0.2.1/32", "2001:db8::1/128"]


def test_whatever_addresses_they_have():
    """A selector matches vNICs, with whatever addresses they have. A CIDR matches by address alone, whoever uses the
    address: a VM or the outside world.
    """
    loaded = document(VMS + "groups: {s: {match: role == web}, c: {cidrs: [10.0.0.3, 192.0.2.1]}}")
    web, _, db, _ = offline_vnics(loaded.inventory)
    for address in ("10.0.0.1", "192.0.2.1", "2001:db8::99"):
        assert group_has(loaded.groups["s"], web, parse_address(address), "default")
        assert not group_has(loaded.groups["s"], None, parse_address(address), "default")
    for vnic in (db, web, None):
        assert group_has(loaded.groups["c"], vnic, parse_address("10.0.0.3"), "default")
        assert not group_has(loaded.groups["c"], vnic, parse_address("10.0.0.4"), "default")


def test_any():
    """`any` is every address and every vNIC, and is reserved."""
    refused("groups: {§any: {match: all()}}", "reserved")
    loaded = document("vms: {a: {}}\npolicies: [{name: p, rules: [{allow: tcp/1, from: any, to: {any_of: [any]}}]}]")
    for who in ("192.0.2.1", "2001:db8::1"):
        assert verdict(loaded, "a", who, "tcp/1") == verdict(loaded, who, "a", "tcp/1") == "allow"
    assert verdict(loaded, "a", "a", "tcp/1") == "allow"


# Services


def kinds():
    """Some connections: (family, protocol, source port, port or type, code)."""
    for protocol in (TCP, UDP, SCTP):
        for port in (0, 79, 80, 81, 443, 1023, 1024, 65535):
            yield 4, protocol, 2000, port, None
    yield from ((4, TCP, 80, 443, None), (6, TCP, 2000, 443, None))
    for number, code in ((0, 0), (8, 0), (8, 1), (3, 4), (128, 0)):
        yield from ((4, ICMP, None, number, code), (6, ICMPV6, None, number, code))
    yield from ((4, 47, None, None, None), (6, 47, None, None, None), (4, 50, None, None, None))


def covered(terms):
    found = set()
    for kind in kinds():
        family, protocol, source, number, code = kind
        icmp = protocol in (ICMP, ICMPV6)
        ports = (None, None, number, code) if icmp else (source, number, None, None)
        if any(covers(term, Connection(Endpoint(), Endpoint(), family, protocol, *ports)) for term in terms):
            found.add(kind)
    return found


def where(condition):
    return {kind for kind in kinds() if condition(*kind)}


TERMS = {
    "any": lambda *_: True,
    "tcp": lambda family, protocol, *_: protocol == TCP,
    "udp": lambda family, protocol, *_: protocol == UDP,
    "sctp": lambda family, protocol, *_: protocol == SCTP,
    "tcp/80": lambda family, protocol, source, port, _: protocol == TCP and port == 80,
    "sctp/80-443": lambda family, protocol, source, port, _: protocol == SCTP and 80 <= port <= 443,
    "udp/0,79,1023-1024": lambda family, protocol, source, port, _: protocol == UDP and port in (0, 79, 1023, 1024),
    "icmp": lambda family, protocol, *_: protocol in (ICMP, ICMPV6),
    "icmp/echo": lambda family, protocol, source, kind, _: (protocol, kind) in ((ICMP, 8), (ICMPV6, 128)),
    "icmp4/8": lambda family, protocol, source, kind, _: (protocol, kind) == (ICMP, 8),
    "icmp4/8/1": lambda family, protocol, source, kind, code: (protocol, kind, code) == (ICMP, 8, 1),
    "icmp6/3": lambda family, protocol, source, kind, _: (protocol, kind) == (ICMPV6, 3),
    "icmp6/3/4": lambda family, protocol, source, kind, code: (protocol, kind, code) == (ICMPV6, 3, 4),
    "proto/47": lambda family, protocol, *_: protocol == 47,
    "proto/6": lambda family, protocol, *_: protocol == TCP,
}


@pytest.mark.parametrize("term", TERMS)
def test_terms(term):
    """Terms: `any`; `tcp`, `udp`, `sctp` (all ports), `tcp/PORT`, `tcp/LOW-HIGH`, `tcp/A,B,C-D`; `icmp` (both families,
    all types), `icmp/echo`, `icmp4/TYPE`, `icmp4/TYPE/CODE`, `icmp6/TYPE`, `icmp6/TYPE/CODE`; `proto/NUMBER`.
    """
    assert covered(parse_term(term)) == where(TERMS[term])
    # A rule may use a service's name or a term directly.
    named = document(f"services: {{s: '{term}'}}\npolicies: [{{name: p, rules: [{{allow: s}}, {{allow: '{term}'}}]}}]")
    first, second = named.policies[0].rules
    assert first.terms == second.terms == named.services["s"]


def test_ports():
    """Ports are 0 to 65535."""
    assert covered(parse_term("tcp/0-65535")) == where(TERMS["tcp"])
    for bad in ("tcp/65536", "tcp/-1", "tcp/1-65536", "tcp/", "tcp/x"):
        refused(f"services: {{s: '{bad}'}}".replace("'", "§'", 1), "port")


SERVICES = """
services:
  https: tcp/443
  web:   [tcp/80, https]
  rpc:   tcp/1024-65535
  dns:   [udp/443, tcp/443]
  ping:  icmp/echo
  odd:   {protocol: tcp, port: 443, source_port: 1024-65535}
  lent:  {terms: [udp/443, tcp/443], shared: true}
  form:  {protocol: udp, port: [79-80, 443], shared: true}
"""


@pytest.mark.parametrize(
    ("name", "condition"),
    [
        ("https", lambda family, protocol, source, port, _: (protocol, port) == (TCP, 443)),
        ("web", lambda family, protocol, source, port, _: protocol == TCP and port in (80, 443)),
        ("rpc", lambda family, protocol, source, port, _: protocol == TCP and port >= 1024),
        ("dns", lambda family, protocol, source, port, _: protocol in (TCP, UDP) and port == 443),
        ("ping", TERMS["icmp/echo"]),
        ("odd", lambda family, protocol, source, port, _: (protocol, port) == (TCP, 443) and source >= 1024),
        ("lent", lambda family, protocol, source, port, _: protocol in (TCP, UDP) and port == 443),
        ("form", lambda family, protocol, source, port, _: protocol == UDP and port in (79, 80, 443)),
    ],
)
def test_services(name, condition):
    """The examples of the page: lists; they may name other services; echo requests of both families; the `protocol:`
    form; `{terms: …, shared: true}` (`shared` fits the `protocol:` form too).
    """
    assert covered(document(SERVICES).services[name]) == where(condition)


def test_lists_of_services():
    """A list of services holds names and terms, not lists."""
    refused("services: {a: [tcp/1, §[tcp/2]]}", "names and terms, not lists")
    refused("policies: [{name: p, rules: [{allow: [tcp/1, §[tcp/2]]}]}]", "names and terms, not lists")


def test_a_service_is_not_one_connection():
    """A rule may use a service's name: what it means is then asked by terms."""
    loaded = document("vms: {a: {addresses: 10.0.0.1}}\n" + SERVICES + "policies: [{name: p, rules: [{allow: web}]}]")
    assert verdict(loaded, "a", "192.0.2.1", "tcp/80") == verdict(loaded, "a", "192.0.2.1", "tcp/443") == "allow"
    assert verdict(loaded, "a", "192.0.2.1", "tcp/81") == "deny"
    with pytest.raises(ValueError, match="is a service"):
        parse_question(loaded, "a", "192.0.2.1", "web")
