"""The evaluator, sentence by sentence of the language."""

from ipaddress import ip_address, ip_network

import pytest

from policy.evaluate import Connection, Endpoint, Side, evaluate
from policy.model import ICMP, ICMPV6, TCP, UDP
from policy.universe import Universe
from tests.policy.words import document
from topology.vnic import Vnic, offline_vnics

INVENTORY = """
vms:
  web: {labels: {role: web}, addresses: [10.0.0.1, 10.0.1.0/24, "2001:db8::1"]}
  app: {labels: {role: app}, addresses: [10.0.0.2, "2001:db8::2"]}
  db: {labels: {role: db}, addresses: 10.0.0.3}
groups:
  web: {match: role == web}
  app: {match: role == app}
  db: {match: role == db}
  office: {cidrs: 192.0.2.0/24, except: 192.0.2.66}
"""
OUT = "192.0.2.1"


def policy(*policies):
    return document(INVENTORY + "policies:\n" + "".join(f"  - {{{text}}}\n" for text in policies))


def rules(*texts):
    listed = ", ".join("{" + text + "}" for text in texts)
    return policy(f"name: p, rules: [{listed}]")


def connection(loaded, source, destination, port=80, protocol=TCP, source_port=50000):
    universe = Universe(offline_vnics(loaded.inventory))
    owner = {vnic.vm: vnic for vnic in universe.vnics}

    def end(who):
        if who in owner:
            return Endpoint(owner[who], owner[who].addresses[0].network_address)
        address = ip_address(who)
        return Endpoint(universe.owner(address, "default"), address)

    first, second = end(source), end(destination)
    return Connection(first, second, first.address.version, protocol, source_port, port)


def verdicts(loaded, source, destination, port=80, **more):
    """What egress, ingress and both together say; `-` for nobody."""
    decision = evaluate(loaded, connection(loaded, source, destination, port, **more))
    sides = (side.verdict.value if side else "-" for side in (decision.egress, decision.ingress))
    return (*sides, decision.verdict.value)


def by(loaded, source, destination, side, port=80, **more):
    """Tier, policy and rule that decide on one side."""
    decision = evaluate(loaded, connection(loaded, source, destination, port, **more))
    found = decision.egress if side is Side.EGRESS else decision.ingress
    return found.tier, found.policy, found.rule


def test_a_helper_is_no_matter_of_verdicts():
    text = (
        INVENTORY + "services: {ftp: {terms: tcp/21%s}}\n"
        "policies: [{name: p, rules: [{%s: ftp}]}, {name: q, tier: baseline, rules: [{allow: any}]}]"
    )
    for verdict in ("allow", "deny", "reject", "pass"):
        plain, helped = (document(text % (helper, verdict)) for helper in ("", ", helper: ftp"))
        for port in (20, 21, 22):
            assert verdicts(helped, "web", "app", port) == verdicts(plain, "web", "app", port)
            assert by(helped, "web", "app", Side.EGRESS, port) == by(plain, "web", "app", Side.EGRESS, port)


def test_the_default_is_deny_in_both_directions():
    nothing = rules()
    assert verdicts(nothing, "web", "app") == ("deny", "deny", "deny")
    assert verdicts(nothing, "web", OUT) == ("deny", "-", "deny")
    assert verdicts(nothing, OUT, "web") == ("-", "deny", "deny")
    assert by(nothing, "web", "app", Side.EGRESS) == ("default", None, None)


def test_both_sides_must_allow():
    assert verdicts(rules("allow: tcp/80, from: web, to: app"), "web", "app") == ("allow", "allow", "allow")
    assert verdicts(rules("allow: tcp/80, from: web, direction: out"), "web", "app") == ("allow", "deny", "deny")
    assert verdicts(rules("allow: tcp/80, from: web, direction: in"), "web", "app") == ("deny", "allow", "deny")
    assert verdicts(rules("allow: tcp/80, direction: in"), OUT, "web") == ("-", "allow", "allow")
    assert verdicts(rules("allow: tcp/80, direction: in"), "web", OUT) == ("deny", "-", "deny")


def test_nobody_firewalls_the_outside():
    assert verdicts(rules("deny: any"), OUT, "198.51.100.1") == ("-", "-", "allow")


def test_services_and_directions_of_connections():
    one_way = rules("allow: tcp/80, from: web, to: app")
    assert verdicts(one_way, "web", "app", 81)[2] == "deny"
    assert verdicts(one_way, "web", "app", protocol=UDP)[2] == "deny"
    assert verdicts(one_way, "app", "web")[2] == "deny"


def test_rules_from_the_top_and_the_first_decides():
    loaded = rules("deny: tcp/80, from: web", "allow: any", "name: late, deny: any")
    assert by(loaded, "web", "app", Side.EGRESS) == ("application", "p", "#1")
    assert by(loaded, "web", "app", Side.EGRESS, 81) == ("application", "p", "#2")


def test_a_decision_tells_its_place():
    loaded = rules("deny: tcp/80", "allow: any, name: rest")
    side = evaluate(loaded, connection(loaded, "web", "app", 22)).ingress
    assert (side.vnic.name, side.tenant, side.file) == ("app/app", None, "p.yaml")
    assert side.line == loaded.policies[0].rules[1].place.line


def test_tiers_then_order_then_name():
    loaded = policy(
        "name: a, tier: baseline, order: 0, rules: [{deny: any}]",
        "name: z, order: 5, rules: [{deny: tcp/1}]",
        "name: m, order: 5, rules: [{allow: tcp/1-2}]",
        "name: b, order: 6, rules: [{deny: tcp/1-3}]",
        "name: y, tier: emergency, order: 9, rules: [{deny: tcp/9}]",
        "name: c, tier: environment, rules: [{allow: tcp/9}]",
        "name: d, tier: infrastructure, rules: [{deny: tcp/8}]",
        "name: e, tier: environment, rules: [{allow: tcp/8}]",
    )
    decided = {port: by(loaded, "web", "app", Side.EGRESS, port)[:2] for port in (1, 2, 3, 4, 8, 9)}
    assert decided == {
        1: ("application", "m"),
        2: ("application", "m"),
        3: ("application", "b"),
        4: ("baseline", "a"),
        8: ("infrastructure", "d"),
        9: ("emergency", "y"),
    }


def test_pass_skips_the_rest_of_its_tier_only():
    loaded = policy(
        "name: a, tier: environment, order: 1, rules: [{pass: tcp/80, from: web}, {deny: any}]",
        "name: b, tier: environment, order: 2, rules: [{deny: any}]",
        "name: c, rules: [{allow: tcp/80}]",
    )
    assert by(loaded, "web", "app", Side.EGRESS) == ("application", "c", "#1")
    assert by(loaded, "web", "app", Side.EGRESS, 81) == ("environment", "a", "#2")
    assert by(loaded, "app", "web", Side.EGRESS) == ("environment", "a", "#2")
    assert verdicts(rules("pass: any", "allow: any"), "web", "app") == ("deny", "deny", "deny")


def test_at_narrows_who_enforces():
    loaded = rules("allow: any, at: web")
    assert verdicts(loaded, "web", "app") == ("allow", "deny", "deny")
    assert verdicts(loaded, "app", "web") == ("deny", "allow", "deny")
    assert verdicts(loaded, OUT, "web") == ("-", "allow", "allow")


def test_at_is_tested_with_the_vnics_own_address():
    loaded = rules("allow: any, at: {cidrs: 10.0.0.0/24}")
    assert verdicts(loaded, "10.0.0.1", OUT)[0] == "allow"
    assert verdicts(loaded, "10.0.1.1", OUT)[0] == "deny"
    assert verdicts(loaded, OUT, "10.0.1.1")[1] == "deny"
    assert verdicts(rules("allow: any, at: {cidrs: 192.0.2.0/24}"), OUT, "web")[1] == "deny"  # not the peer's


def test_sides_are_matched_with_the_address_in_use():
    loaded = rules("allow: any, from: {cidrs: 10.0.1.0/24}")
    assert verdicts(loaded, "10.0.1.5", "app") == ("allow", "allow", "allow")
    assert verdicts(loaded, "10.0.0.1", "app") == ("deny", "deny", "deny")


def test_the_peer_is_who_owns_the_address():
    loaded = rules("allow: any, from: web, to: app")
    assert verdicts(loaded, "10.0.1.77", "10.0.0.2")[2] == "allow"  # web's by its CIDR
    assert verdicts(loaded, "10.0.2.1", "10.0.0.2") == ("-", "deny", "deny")  # nobody's
    assert verdicts(rules("allow: any, from: office"), OUT, "web")[2] == "allow"
    assert verdicts(rules("allow: any, from: office"), "192.0.2.66", "web")[2] == "deny"


def test_a_peer_of_another_scope_is_outside():
    loaded = rules("allow: any, from: web")
    here = Vnic("a", vm="a", labels={"role": "app"}, addresses=(ip_network("10.0.0.9"),))
    there = Vnic("b", vm="b", labels={"role": "web"}, addresses=(ip_network("10.0.0.1"),), scope="lab")
    end = Endpoint(there, ip_address("10.0.0.1"))
    decision = evaluate(loaded, Connection(end, Endpoint(here, ip_address("10.0.0.9")), 4, TCP, 1, 2))
    assert (decision.egress.verdict.value, decision.ingress.verdict.value) == ("allow", "deny")


def test_a_vnic_without_an_address_has_its_groups():
    loaded = rules("allow: any, from: web, to: any", "allow: any, from: {cidrs: 0.0.0.0/0}")
    bare = Endpoint(Vnic("x", vm="x", labels={"role": "web"}))
    other = Endpoint(Vnic("y", vm="y", labels={"role": "none"}))
    assert evaluate(loaded, Connection(bare, other, 4, TCP, 1, 2)).verdict.value == "allow"
    assert evaluate(loaded, Connection(other, bare, 4, TCP, 1, 2)).verdict.value == "deny"


def test_source_ports():
    text = INVENTORY + "services: {s: {protocol: tcp, port: 80, source_port: 1-5}}\n"
    loaded = document(text + "policies: [{name: p, rules: [{allow: s}]}]")
    assert verdicts(loaded, "web", "app", source_port=5)[2] == "allow"
    assert verdicts(loaded, "web", "app", source_port=6)[2] == "deny"


@pytest.mark.parametrize(
    ("service", "allowed"),
    [
        ("icmp", {(4, 8, 0), (4, 3, 1), (6, 128, 0), (6, 1, 4)}),
        ("icmp/echo", {(4, 8, 0), (6, 128, 0)}),
        ("icmp4/3", {(4, 3, 1)}),
        ("icmp4/3/0", set()),
        ("icmp6/1/4", {(6, 1, 4)}),
        ("proto/1", {(4, 8, 0), (4, 3, 1)}),
        ("tcp", set()),
        ("any", {(4, 8, 0), (4, 3, 1), (6, 128, 0), (6, 1, 4)}),
    ],
)
def test_icmp(service, allowed):
    loaded = rules(f"allow: {service}")
    web = next(vnic for vnic in offline_vnics(loaded.inventory) if vnic.vm == "web")
    for family, number, code in ((4, 8, 0), (4, 3, 1), (6, 128, 0), (6, 1, 4)):
        asked = Connection(
            Endpoint(web), Endpoint(), family, ICMP if family == 4 else ICMPV6, icmp_type=number, icmp_code=code
        )
        assert (evaluate(loaded, asked).verdict.value == "allow") == ((family, number, code) in allowed)


def test_icmp_in_the_other_familys_packets_is_not_icmp():
    web = next(vnic for vnic in offline_vnics(rules().inventory) if vnic.vm == "web")
    for family, protocol in ((6, ICMP), (4, ICMPV6)):
        asked = Connection(Endpoint(web), Endpoint(), family, protocol, icmp_type=8, icmp_code=0)
        for service in ("icmp", "icmp4", "icmp6", "proto/1", "proto/58"):
            assert evaluate(rules(f"allow: {service}"), asked).verdict.value == "deny"
        assert evaluate(rules("allow: any"), asked).verdict.value == "allow"


def test_other_protocols():
    loaded = rules("allow: proto/47")
    web = next(vnic for vnic in offline_vnics(loaded.inventory) if vnic.vm == "web")
    assert evaluate(loaded, Connection(Endpoint(web), Endpoint(), 4, 47)).verdict.value == "allow"
    assert evaluate(loaded, Connection(Endpoint(web), Endpoint(), 6, 47)).verdict.value == "allow"
    assert evaluate(loaded, Connection(Endpoint(web), Endpoint(), 4, 50)).verdict.value == "deny"


@pytest.mark.parametrize(("family", "client", "server", "out"), [(4, 68, 67, OUT), (6, 546, 547, "2001:db8:f::1")])
def test_dhcp(family, client, server, out):
    web, peer = {4: ("10.0.0.1", "10.0.0.2"), 6: ("2001:db8::1", "2001:db8::2")}[family]
    asks = {"port": server, "source_port": client, "protocol": UDP}
    answers = {"port": client, "source_port": server, "protocol": UDP}
    shut = policy("name: p, tier: emergency, rules: [{deny: any}]")
    assert by(shut, web, out, Side.EGRESS, **asks) == ("builtin", None, "dhcp-client")
    assert by(shut, out, web, Side.INGRESS, **answers) == ("builtin", None, "dhcp-client")
    assert by(shut, web, peer, Side.INGRESS, **asks) == (
        "emergency",
        "p",
        "#1",
    )  # a server in a VM
    assert verdicts(shut, web, out, server, source_port=client, protocol=TCP)[2] == "deny"
    assert verdicts(shut, web, out, server, source_port=50000, protocol=UDP)[2] == "deny"
    # A vNIC is no DHCP server, whatever the policy says.
    for text in ("", "builtins: {dhcp-client: off}\n"):
        lax = document(text + INVENTORY + "policies: [{name: p, rules: [{allow: any}]}]")
        assert by(lax, peer, web, Side.EGRESS, **answers) == ("builtin", None, "dhcp-server")
        assert verdicts(lax, peer, web, **answers)[2] == "deny"
        assert by(lax, peer, web, Side.INGRESS, **answers) == ("application", "p", "#1")
        # Unless it has the role; whoever takes leases from it needs none.
        granted = document(text + INVENTORY.replace("app: {labels", "app: {roles: dhcp-server, labels"))
        assert by(granted, peer, web, Side.EGRESS, **answers) == ("builtin", None, "dhcp-server")
        assert verdicts(granted, peer, web, **answers)[0] == "allow"
        assert by(granted, web, peer, Side.EGRESS, **answers) == ("builtin", None, "dhcp-server")
        assert verdicts(granted, web, peer, **answers)[0] == "deny"
        assert by(granted, web, peer, Side.INGRESS, **asks) == ("default", None, None)
        off = ("default", None, None) if text else ("builtin", None, "dhcp-client")
        assert by(granted, peer, web, Side.INGRESS, **answers) == off
        router = document(text + INVENTORY.replace("app: {labels", "app: {roles: router, labels"))
        assert by(router, peer, web, Side.INGRESS, **answers) == ("default", None, None)
        assert verdicts(router, peer, web, **answers)[:2] == ("deny", "deny")
    # Turned off, asking is the policy's business.
    off = document("builtins: {dhcp-client: off}\n" + INVENTORY)
    assert by(off, web, out, Side.EGRESS, **asks) == ("default", None, None)
    assert by(off, out, web, Side.INGRESS, **answers) == ("default", None, None)
