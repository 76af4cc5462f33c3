"""The language's section "Policies", sentence by sentence: each docstring quotes what its test would catch."""

import pytest

from policy.model import Tier, Verdict
from tests.policy.asking import decider, explain, sides, verdict
from tests.policy.elsewhere import check_exists
from tests.policy.words import document, refused

VMS = """
networks: {prod: {vlan: 10}, lab: {vlan: 30, scope: lab}}
vms:
  web: {labels: {role: web}, addresses: [10.0.0.1, 10.0.1.0/24, "2001:db8::1"]}
  app: {labels: {role: app}, addresses: [10.0.0.2, "2001:db8::2"]}
  db:  {labels: {role: db}, addresses: 10.0.0.3}
groups:
  web: {match: role == web}
  app: {match: role == app}
  db:  {match: role == db}
"""
OUT = "192.0.2.1"


def policies(*texts):
    """A policy of VMS and these entries of `policies`, in flow style without their braces."""
    return document(VMS + "policies:\n" + "".join(f"  - {{{text}}}\n" for text in texts))


def rules(*texts):
    return policies("name: p, rules: [" + ", ".join(f"{{{text}}}" for text in texts) + "]")


def egress(loaded, source="web", destination="app", service="tcp/80"):
    """Who decides at the source's vNIC."""
    return decider(explain(loaded, source, destination, service)["egress"])


def test_the_keys_of_a_policy():
    """The example of the page: tier application (default), order default 1000, mode enforce."""
    loaded = document(
        VMS
        + """
services: {https: tcp/443, ping: icmp/echo}
policies:
  - name: shop
    tier: application
    order: 100
    mode: enforce
    rules:
      - {name: clients, allow: https, from: any, to: web, log: true}
      - {allow: "tcp/8080-8089", from: web, to: app}
      - {allow: [tcp/3306, ping], from: [app, web], to: db}
      - {reject: any, to: db, direction: in, log: true}
  - {name: least, rules: []}
"""
    )
    shop, least = loaded.policies
    assert (shop.tier, shop.order, shop.audit) == (Tier.APPLICATION, 100, False)
    assert (least.tier, least.order, least.audit) == (Tier.APPLICATION, 1000, False)
    assert [(rule.name, rule.log) for rule in shop.rules] == [
        ("clients", True),
        ("#2", False),
        ("#3", False),
        ("#4", True),
    ]


def test_names():
    """Policy names are unique per namespace (the provider, each tenant), rule names per policy; a rule without a name
    is called `#N` (its place, from 1).
    """
    refused("policies: [{name: p, rules: []}, {name: §p, rules: [], tier: baseline}]", "already")
    refused("policies: [{name: p, rules: [{name: r, allow: any}, §{name: r, deny: any}]}]", "already")
    loaded = document(
        "policies: [{name: p, rules: [{allow: any}, {name: r, allow: any}, {deny: any}]}, "
        "{name: q, rules: [{name: r, allow: any}]}]",
        acme="tenant: acme\npolicies: [{name: p, rules: [{name: r, allow: any}]}]",
        beta="tenant: beta\npolicies: [{name: p, rules: [{name: r, allow: any}]}]",
    )
    assert [rule.name for rule in loaded.policies[0].rules] == ["#1", "r", "#3"]


@pytest.mark.parametrize("bad", ["-1", "65536", "first", "'1'", "1.0"])
def test_order(bad):
    """`order` is 0 to 65535."""
    for order in (0, 65535):
        assert document(f"policies: [{{name: p, order: {order}, rules: []}}]").policies[0].order == order
    refused(f"policies: [{{name: p, order: §{bad}, rules: []}}]", "0 to 65535")


def test_at_equal_order_and_name_the_provider_goes_first_then_tenants_by_name():
    """Smaller first; equal orders go by name. At equal order and name the provider goes first, then tenants by name."""
    one = "policies: [{name: %s, order: %s, tier: environment, rules: []}]"
    loaded = document(
        one % ("m", 5),
        z=one % ("l", 5),
        y=one % ("n", 4),
        b="tenant: beta\n" + one % ("m", 5),
        a="tenant: acme\n" + one % ("m", 5),
        c="tenant: acme2\n" + one % ("k", 5),
    )
    assert [(policy.name, policy.tenant) for policy in loaded.policies] == [
        ("n", None),
        ("k", "acme2"),
        ("l", None),
        ("m", None),
        ("m", "acme"),
        ("m", "beta"),
    ]


@pytest.mark.parametrize("key", ["allow", "deny", "reject", "pass"])
def test_a_rule_has_exactly_one_verdict(key):
    """A rule has exactly one of `allow`, `deny` (drop silently), `reject` (TCP reset, or ICMP/ICMPv6 unreachable,
    administratively prohibited) or `pass`, naming a service, a term or a list.
    """
    refused("policies: [{name: p, rules: [§{from: any}]}]", "one of allow, deny, reject, pass")
    other = "deny" if key != "deny" else "allow"
    refused(f"policies: [{{name: p, rules: [{{{key}: any, §{other}: any}}]}}]", f"{key!r} already")
    for what in ("tcp/80", "s", "[s, tcp/2]"):
        found = document(f"services: {{s: tcp/1}}\npolicies: [{{name: p, rules: [{{{key}: {what}}}]}}]")
        assert found.policies[0].rules[0].verdict is Verdict(key)
    assert verdict(rules(f"{key}: tcp/80", "allow: any"), "web", OUT) == ("deny" if key == "pass" else key)


@pytest.mark.parametrize("side", ["from", "to"])
def test_sides(side):
    """`from` and `to` take a group, a list of groups, or inline groups (`{match: …}`, `{cidrs: …}`), in lists too;
    absent means `any`.
    """
    pair = ("web", "app") if side == "from" else ("app", "web")
    for who in ("web", "[db, web]", "{match: role == web}", "{cidrs: 10.0.0.1}", "[db, {cidrs: 10.0.0.1}]", "any"):
        loaded = rules(f"allow: any, {side}: {who}")
        assert verdict(loaded, *pair) == "allow", who
    assert verdict(rules(f"allow: any, {side}: db"), "web", "app") == "deny"
    assert verdict(rules("allow: any"), "web", "app") == "allow"


def test_direction():
    """`direction: out` enforces the rule only where the connection leaves (at the source's vNIC), `in` only where it
    arrives (at the destination's vNIC), `both` (default) at either.
    """
    assert sides(rules("allow: any, direction: out"), "web", "app") == ("allow", "deny")
    assert sides(rules("allow: any, direction: in"), "web", "app") == ("deny", "allow")
    assert sides(rules("allow: any, direction: both"), "web", "app") == ("allow", "allow")
    assert sides(rules("allow: any"), "web", "app") == ("allow", "allow")


def test_at():
    """`at` takes groups too and narrows the vNICs that enforce the rule. `at` is tested like a side of the connection:
    this vNIC with its own address in it.
    """
    for at in ("web", "[db, web]", "{vms: web}"):
        assert sides(rules(f"allow: any, at: {at}"), "web", "app") == ("allow", "deny")
        assert sides(rules(f"allow: any, at: {at}"), "app", "web") == ("deny", "allow")
    own = rules("allow: any, at: {cidrs: 10.0.1.0/24}")
    assert sides(own, "web@10.0.1.7", "app") == ("allow", "deny")
    assert sides(own, "web@10.0.0.1", "app") == ("deny", "deny")


# What is decided, and where


def test_every_firewalled_vnic_decides_twice():
    """Every firewalled vNIC decides twice about a connection (its first packet's source, destination and service):
    egress, when it opens the connection; ingress, when the connection comes to it.
    """
    assert sides(rules("allow: any"), "web", OUT) == ("allow", None)
    assert sides(rules("allow: any"), OUT, "web") == (None, "allow")
    assert sides(rules("allow: any"), "web", "app") == ("allow", "allow")
    assert sides(rules("allow: any, from: web"), "app", "web") == ("deny", "deny")


@pytest.mark.parametrize(
    ("rule", "applies"),
    [
        ("from: web, to: app", True),
        ("from: web, to: {cidrs: 10.0.0.2}", True),
        ("from: {cidrs: 10.0.0.1}, to: {cidrs: 10.0.0.0/8}", True),
        ("from: app, to: app", False),
        ("from: web, to: web", False),
        ("from: {cidrs: 10.0.1.0/24}", False),
        ("direction: in", False),
        ("at: app", False),
        ("at: web", True),
    ],
)
def test_egress(rule, applies):
    """Egress: a rule applies if `direction` is not `in`, the vNIC is in `at` (if given), its side of the connection
    (this vNIC with this source address) is in `from`, the peer's address is in `to`, and the service matches.
    """
    assert egress(rules(f"allow: tcp/80, {rule}")) == ("application p/#1" if applies else "default")
    assert egress(rules(f"allow: tcp/81, {rule}")) == "default"


@pytest.mark.parametrize(
    ("rule", "applies"),
    [
        ("from: web, to: app", True),
        ("from: {cidrs: 10.0.0.1}, to: app", True),
        ("from: {cidrs: 10.0.0.0/8}, to: {cidrs: 10.0.0.2}", True),
        ("from: app, to: app", False),
        ("from: web, to: web", False),
        ("to: {cidrs: 10.0.1.0/24}", False),
        ("direction: out", False),
        ("at: web", False),
        ("at: app", True),
    ],
)
def test_ingress(rule, applies):
    """Ingress: a rule applies if `direction` is not `out`, the vNIC is in `at` (if given), its side (this vNIC with
    this destination address) is in `to`, the peer's address is in `from`, and the service matches.
    """
    for port, expected in ((80, "application p/#1" if applies else "default"), (81, "default")):
        answer = explain(rules(f"allow: tcp/{port}, {rule}"), "web", "app")
        assert decider(answer["ingress"]) == expected


def test_the_walk():
    """Tiers are walked in the order above, policies in a tier by `order` then `name`, rules from the top; the first
    rule that applies decides.
    """
    tiers = ("emergency", "infrastructure", "environment", "application", "baseline")
    assert [tier.label for tier in Tier] == list(tiers)
    texts = [f"name: p{place}, tier: {tier}, rules: [{{deny: tcp/{place}-9}}]" for place, tier in enumerate(tiers)]
    loaded = policies(*reversed(texts))
    assert [egress(loaded, service=f"tcp/{place}") for place in range(5)] == ["emergency p0/#1"] * 5
    loaded = policies(*(text.replace("-9", "") for text in texts))
    for place, tier in enumerate(tiers):
        assert egress(loaded, service=f"tcp/{place}") == f"{tier} p{place}/#1"
    loaded = policies(
        "name: a, order: 2, rules: [{deny: tcp/1-9}]",
        "name: c, order: 1, rules: [{deny: tcp/1}, {allow: tcp/1-2}]",
        "name: b, order: 1, rules: [{deny: tcp/3}]",
    )
    assert [egress(loaded, service=f"tcp/{n}") for n in (1, 2, 3, 4)] == [
        "application c/#1",
        "application c/#2",
        "application b/#1",
        "application a/#1",
    ]


@pytest.mark.parametrize("final", ["allow", "deny", "reject"])
def test_final_verdicts_and_pass(final):
    """`allow`, `deny` and `reject` are final. `pass` skips the rest of the tier."""
    others = [
        f"name: b, tier: environment, rules: [{{{'deny' if final != 'deny' else 'allow'}: any}}]",
        "name: c, rules: [{allow: tcp/80}]",
    ]
    decided = policies(f"name: a, tier: environment, rules: [{{{final}: any}}]", *others)
    assert explain(decided, "web", OUT)["egress"]["verdict"] == final
    passed = policies("name: a, tier: environment, rules: [{pass: any}, {deny: any}]", *others)
    assert egress(passed) == "application c/#1"


def test_no_rule_in_any_tier():
    """No rule in any tier: deny. So the default is always deny, for both directions; whoever wants another default
    writes it in `baseline`.
    """
    assert sides(rules(), "web", "app") == ("deny", "deny")
    assert egress(rules()) == "default"
    assert sides(policies("name: b, tier: baseline, rules: [{allow: any}]"), "web", "app") == ("allow", "allow")
    assert sides(policies("name: b, tier: baseline, rules: [{pass: any}]"), "web", "app") == ("deny", "deny")


def test_both_must_allow():
    """A connection between two firewalled vNICs goes through if the source's egress and the destination's ingress both
    allow it; with the outside world there is only the one side.
    """
    for out, into in (("allow", "deny"), ("deny", "allow"), ("allow", "allow"), ("deny", "deny")):
        loaded = rules(f"{out}: any, direction: out", f"{into}: any, direction: in")
        assert sides(loaded, "web", "app") == (out, into)
        assert verdict(loaded, "web", "app") == ("allow" if (out, into) == ("allow", "allow") else "deny")
        assert verdict(loaded, "web", OUT) == out
        assert verdict(loaded, OUT, "web") == into


def test_the_verdict_is_that_of_the_first_side():
    """The verdict of the first side on the path (egress, then ingress) that does not allow."""
    loaded = rules(
        "deny: tcp/1, direction: out",
        "reject: tcp/1-2, direction: in",
        "reject: tcp/3, direction: out",
        "allow: any",
    )
    assert [verdict(loaded, "web", "app", f"tcp/{n}") for n in (1, 2, 3, 4)] == ["deny", "reject", "reject", "allow"]


def test_the_peers_membership():
    """The peer's membership follows from its address in the vNIC's scope: the groups of the VM that owns the address,
    and the CIDRs that contain it. An address nobody owns has only the CIDRs.
    """
    scoped = VMS.replace("db:  {labels", "db:  {network: lab, labels")
    rule = "policies: [{name: p, rules: [{allow: tcp/1, from: [web, db]}, {allow: tcp/2, from: {cidrs: 10.0.0.0/8}}]}]"
    loaded = document(scoped + rule)
    assert sides(loaded, "web", "app", "tcp/1")[1] == "allow"
    assert sides(loaded, "10.0.1.77", "app", "tcp/1")[1] == "allow"
    assert sides(loaded, "10.0.2.1", "app", "tcp/1") == (None, "deny")
    assert sides(loaded, "10.0.2.1", "app", "tcp/2") == (None, "allow")
    # db's address is db's in its own scope only.
    assert sides(loaded, "10.0.0.3", "app", "tcp/1") == (None, "deny")
    assert sides(loaded, "10.0.0.1", "db", "tcp/1") == (None, "deny")


# Built-in rules


@pytest.mark.parametrize(("who", "ports"), [(OUT, ("68", "67")), ("2001:db8:f::1", ("546", "547"))])
def test_dhcp_client(who, ports):
    """They come before all tiers (tier `builtin` in `explain`), and the provider can turn those marked * off
    (`builtins: {dhcp-client: off}`): `dhcp-client`* (DHCPv4 and DHCPv6). In a SIDE, `rule` is their name and `tenant`,
    `policy`, `file`, `line` are null.
    """
    client, server = ports
    shut = "policies: [{name: p, tier: emergency, rules: [{deny: any}]}]\n"
    asked = {"service": f"udp/{server}", "source_port": int(client)}
    on = explain(document(VMS + shut), "web", who, **asked)["egress"]
    assert (on["tier"], on["rule"], on["verdict"]) == ("builtin", "dhcp-client", "allow")
    assert [on[key] for key in ("tenant", "policy", "file", "line")] == [None] * 4
    off = explain(document(VMS + shut + "builtins: {dhcp-client: off}"), "web", who, **asked)["egress"]
    assert decider(off) == "emergency p/#1"


@pytest.mark.parametrize("rule", ["dhcp-client", "router-discovery", "multicast-listener"])
def test_what_can_be_turned_off(rule):
    """Those marked * can be turned off; `arp`, `neighbour-discovery`, `related-errors` cannot."""
    field = rule.replace("-", "_")
    assert getattr(document("").builtins, field) is True
    assert getattr(document(f"builtins: {{{rule}: off}}").builtins, field) is False
    for other in ("arp", "neighbour-discovery", "related-errors"):
        refused(f"builtins: {{§{other}: off}}", "cannot be turned off")


def test_dhcp_servers():
    """DHCP servers from firewalled vNICs are dropped under names of their own; a trusted vNIC may be one."""
    lax = VMS + "policies: [{name: p, rules: [{allow: any}]}]\n"
    answer = {"service": "udp/68", "source_port": 67}
    assert decider(explain(document(lax), "app", "web", **answer)["egress"]) == "builtin dhcp-server"
    trusted = document(lax.replace("app: {labels", "app: {trusted: true, labels").replace("allow: any", "deny: any"))
    answered = explain(trusted, "app", "web", **answer)
    assert answered["egress"] is None and decider(answered["ingress"]) == "builtin dhcp-client"


# Audit, logging


@pytest.mark.parametrize("key", ["allow", "deny", "reject", "pass"])
def test_audit(key):
    """`mode: audit` on a policy: its rules never decide."""
    for tier in ("emergency", "application", "baseline"):
        audited = f"name: a, tier: {tier}, mode: audit, rules: [{{{key}: any}}]"
        allowed = policies(audited, "name: b, rules: [{allow: any}]")
        denied = policies(audited, "name: b, rules: [{deny: any}]")
        assert egress(allowed) == egress(denied) == "application b/#1"
        assert egress(policies(audited)) == "default"
        enforced = policies(audited.replace("audit", "enforce"))
        assert (egress(enforced) == "default") == (key == "pass")


def test_log():
    """`log: true` logs each connection's decision once: it decides nothing."""
    loaded = rules("allow: any, log: true")
    assert loaded.policies[0].rules[0].log
    assert verdict(loaded, "web", "app") == "allow"
    refused("policies: [{name: p, rules: [{allow: any, log: §yes}]}]", "true or false")


ELSEWHERE = {
    "replies of an allowed connection pass":
        "flows/test_roads.py::test_evaluator_and_walker_agree_on_the_life_of_a_connection",
    "and ICMP errors": "live/test_policy.py::test_an_icmp_error_comes_back_with_its_connection",
    "when policy changes so that the connection would no longer be allowed, it stops at once in both directions":
        "live/test_changes.py::test_a_removed_rule_cuts_what_is_established",
    "when labels change": "live/test_changes.py::test_a_changed_label_cuts_what_is_established",
    "A connection that stays allowed loses nothing when policy changes":
        "live/test_changes.py::test_connections_that_stay_allowed_lose_nothing_over_twenty_reloads",
    "`arp` and `neighbour-discovery` for addresses the vNIC owns":
        "flows/test_tricks.py::test_without_a_policy_neighbours_find_each_other",
    "`router-discovery`* (solicitations out), `multicast-listener`* reports":
        "flows/test_tricks.py::test_without_a_policy_control_protocols_reach_the_outside_only",
    "advertisements in from uplinks": "flows/test_tricks.py::test_discovery_comes_from_the_link_only",
    "or trusted vNICs only": "flows/test_language.py::test_a_trusted_vnic_may_serve_dhcp_and_advertise_routes",
    "`related-errors` of allowed connections": "live/test_policy.py::test_an_icmp_error_comes_back_with_its_connection",
    "Spoofed MAC or IP sources, foreign ARP or ND claims, DHCP servers and router advertisements from firewalled vNICs":
        "flows/test_tricks.py::test_a_guest_cannot",
    "are dropped and counted under names of their own": "commands/test_flows.py::test_every_drop_has_words",
    "Nothing of a bad load is enforced: the last good revision stays in force, and status and logs say so":
        "live/test_bad_input.py::test_five_mistakes_give_five_messages_and_the_old_policy_stays",
}  # fmt: skip


@pytest.mark.parametrize("sentence", ELSEWHERE)
def test_elsewhere(sentence):
    check_exists(ELSEWHERE[sentence])
