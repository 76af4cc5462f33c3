"""The language's sections "Tenants" and "Assertions", sentence by sentence: each docstring quotes what its test would
catch.
"""

import pytest

from policy import groups, services
from policy.errors import PolicyError
from policy.load import load_texts
from tests.policy.asking import decider, explain, sides, verdict
from tests.policy.words import document, refused

VMS = """
vms:
  a-web: {tenant: acme, labels: {role: web}, addresses: [10.0.0.1, "2001:db8::1"]}
  a-db:  {tenant: acme, labels: {role: db}, addresses: 10.0.0.2}
  b-web: {tenant: beta, labels: {role: web}, addresses: 10.0.0.3}
  free:  {labels: {role: web}, addresses: 10.0.0.4}
"""
PROVIDER = """
groups:
  web:     {match: role == web, shared: true}
  secret:  {match: role == db}
  offices: {cidrs: 192.0.2.0/24, shared: true}
services:
  dns:    {terms: [udp/53, tcp/53], shared: true}
  hidden: tcp/1
"""
OPEN = "policies: [{name: open, tier: baseline, rules: [{allow: any}]}]\n"
OUT = "192.0.2.1"


def tenant(text, provider=VMS, name="acme", **more):
    return document(provider, tenant=f"tenant: {name}\n{text}", **more)


def told(text, provider=VMS + PROVIDER):
    """What is said about acme's file, without its name."""
    with pytest.raises(PolicyError) as raised:
        load_texts({"p.yaml": (provider + "version: 1\n").encode(), "t.yaml": f"tenant: acme\n{text}".encode()})
    return [f"{problem.place.line - 1}:{problem.place.column}: {problem.message}" for problem in raised.value.problems]


@pytest.mark.parametrize("section", ["networks", "vms", "limits", "builtins"])
def test_the_keys_of_a_tenants_file(section):
    """A tenant's file may have `version`, `tenant`, `groups`, `services`, `policies` and `assertions`."""
    assert tenant("version: 1\ngroups: {}\nservices: {}\npolicies: []\nassertions: []")
    (problem,) = told(f"{section}: {{}}")
    assert problem.startswith(
        f"1:1: {section!r} is the provider's; a tenant's file has version, tenant, groups, services"
    )


def test_a_file_that_speaks_for_nobody():
    """A file with `tenant: acme` speaks for that tenant alone: if its name is wrong, for nobody."""
    with pytest.raises(PolicyError) as raised:
        load_texts(
            {
                "a.yaml": b"version: 1",
                "b.yaml": b"tenant: any\ngroups: {x: {any_of: nobody}}",
                "c.yaml": b"tenant: acme\ngroups: {y: {any_of: x}}",  # x may well be what b.yaml was to define
            }
        )
    assert [str(problem) for problem in raised.value.problems] == [
        "b.yaml:1:9: 'any' is reserved and cannot be a tenant's name"
    ]


def test_own_vms_only():
    """`vms:` in its groups names its own VMs only."""
    assert tenant("groups: {g: {vms: [a-web, a-db]}}")
    for other in ("b-web", "free", "nobody"):
        (problem,) = told(f"groups: {{g: {{vms: {other}}}}}")
        # Whether there is such a VM is not told.
        assert problem.startswith(f"1:19: no VM of tenant 'acme' is called {other!r}")
    assert "did you mean 'a-web'?" in told("groups: {g: {vms: a-wbe}}")[0]
    assert "b-web" not in told("groups: {g: {vms: b-wbe}}")[0].replace("'b-wbe'", "")


def test_namespaces():
    """Its groups and services live in the tenant's own namespace."""
    loaded = document(
        VMS + "groups: {g: {cidrs: 10.0.0.0/30}}\nservices: {s: tcp/1}\n" + OPEN,
        a="tenant: acme\ngroups: {g: {match: role == db}}\nservices: {s: tcp/2}\n"
        "policies: [{name: p, rules: [{deny: s, to: g}]}]",
        b="tenant: beta\ngroups: {g: {match: role == web}}\nservices: {s: tcp/3}\n"
        "policies: [{name: p, rules: [{deny: s, to: g}]}]",
    )
    assert set(loaded.groups) == {"g", "acme/g", "beta/g"} and set(loaded.services) == {"s", "acme/s", "beta/s"}
    assert [verdict(loaded, "free", "a-db", f"tcp/{port}") for port in (1, 2, 3)] == ["allow", "deny", "allow"]
    assert [verdict(loaded, "free", "b-web", f"tcp/{port}") for port in (1, 2, 3)] == ["allow", "allow", "deny"]


def test_files_of_one_tenant_add_up():
    """The files of one directory add up to one document: a tenant's to one namespace."""
    loaded = document(VMS, a="tenant: acme\ngroups: {g: {vms: a-web}}", b="tenant: acme\ngroups: {h: {any_of: g}}")
    assert loaded.groups["acme/h"].any_of == (loaded.groups["acme/g"],)
    with pytest.raises(PolicyError, match=r"b.yaml:2:10: 'g' is already at a.yaml:2:10"):
        document(VMS, a="tenant: acme\ngroups: {g: {vms: a-web}}", b="tenant: acme\ngroups: {g: {vms: a-web}}")


@pytest.mark.parametrize("group", ["{match: all()}", "{match: role == web}", "{any_of: {match: role == web}}"])
def test_its_groups_select_only_its_own_vnics(group):
    """Its groups select only vNICs whose VM has that tenant (CIDRs excepted)."""
    for written in (group, "g"):
        rule = f"policies: [{{name: p, tier: environment, rules: [{{deny: any, from: {written}}}]}}]"
        loaded = tenant(f"groups: {{g: {group}}}\n{rule}", VMS + OPEN)
        assert verdict(loaded, "a-web", "a-db") == "deny"
        assert verdict(loaded, "b-web", "a-db") == verdict(loaded, "free", "a-db") == "allow"


def test_cidrs_excepted():
    """The same: CIDRs match whoever uses the address."""
    loaded = tenant(
        "policies: [{name: p, tier: environment, rules: [{deny: any, from: {cidrs: [10.0.0.3, 192.0.2.0/24]}}]}]",
        VMS + OPEN,
    )
    assert verdict(loaded, "b-web", "a-db") == verdict(loaded, OUT, "a-db") == "deny"
    assert verdict(loaded, "free", "a-db") == "allow"


@pytest.mark.parametrize("tier", ["emergency", "infrastructure", "baseline"])
def test_tiers(tier):
    """Its policies may use the tiers `environment` and `application` only."""
    for own in ("environment", "application"):
        assert tenant(f"policies: [{{name: p, tier: {own}, rules: []}}]").policies[0].tier.label == own
    assert tenant("policies: [{name: p, rules: []}]").policies[0].tier.label == "application"
    assert told(f"policies: [{{name: p, tier: {tier}, rules: []}}]") == [
        f"1:28: the tier {tier!r} is the provider's; a tenant's are environment and application"
    ]
    assert "did you mean 'application'?" in told("policies: [{name: p, tier: aplication, rules: []}]")[0]


@pytest.mark.parametrize("key", ["allow", "deny", "reject"])
def test_its_rules_are_enforced_only_at_its_own_vnics(key):
    """Its rules are enforced only at the tenant's own vNICs."""
    default = OPEN if key != "allow" else ""
    untouched = "allow" if default else "deny"
    loaded = tenant(f"policies: [{{name: p, tier: environment, rules: [{{{key}: any}}]}}]", VMS + default)
    assert sides(loaded, "a-web", OUT) == (key, None)
    assert sides(loaded, OUT, "a-web") == (None, key)
    assert sides(loaded, "a-web", "b-web") == (key, untouched)
    assert sides(loaded, "b-web", "a-web") == (untouched, key)
    assert sides(loaded, "b-web", "free") == (untouched, untouched)
    assert sides(loaded, "a-web", "a-db") == (key, key)


def test_any_in_a_tenants_rule():
    """`any` is every address and every vNIC: in a tenant's rule too; the rule is enforced at its own vNICs only."""
    for who in ("any", "{any_of: any}"):
        loaded = tenant(f"policies: [{{name: p, rules: [{{allow: any, from: {who}, to: {who}}}]}}]")
        assert sides(loaded, "b-web", "a-web") == ("deny", "allow")
        assert sides(loaded, OUT, "a-web") == (None, "allow")


def test_at_narrows_within_the_tenant():
    """`at` narrows the vNICs that enforce the rule, never widens."""
    loaded = tenant("policies: [{name: p, rules: [{allow: any, at: provider/web}]}]", VMS + PROVIDER)
    assert sides(loaded, "a-web", "a-db") == ("allow", "deny")
    assert sides(loaded, "b-web", "free") == ("deny", "deny")


def test_what_the_provider_shares():
    """It may name the provider's groups and services as `provider/NAME` where those say `shared: true`."""
    loaded = tenant(
        "groups: {g: {any_of: [provider/web, provider/offices]}}\nservices: {s: [provider/dns, tcp/80]}\n"
        "policies: [{name: p, rules: [{allow: [provider/dns, tcp/90], from: provider/offices}, {allow: s, from: g}]}]",
        VMS + PROVIDER,
    )
    assert sides(loaded, OUT, "a-db", "udp/53") == (None, "allow")
    assert sides(loaded, OUT, "a-db", "tcp/90") == (None, "allow")
    assert sides(loaded, OUT, "a-db", "tcp/80") == (None, "allow")
    # The provider's group means what the provider says: VMs of others too.
    assert sides(loaded, "b-web", "a-db", "tcp/80") == ("deny", "allow")
    assert sides(loaded, "b-web", "a-db", "tcp/90") == ("deny", "deny")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("groups: {g: {any_of: provider/secret}}", "1:22: no group is called 'provider/secret'"),
        ("groups: {g: {any_of: provider/nobody}}", "1:22: no group is called 'provider/nobody'"),
        (
            "groups: {g: {any_of: provider/wbe}}",
            "1:22: no group is called 'provider/wbe'; did you mean 'provider/web'?",
        ),
        ("groups: {g: {any_of: web}}", "1:22: no group is called 'web'; did you mean 'provider/web'?"),
        ("groups: {g: {any_of: secret}}", "1:22: no group is called 'secret'"),
        ("services: {s: provider/hidden}", "1:15: no service is called 'provider/hidden'"),
        ("services: {s: provider/dsn}", "1:15: no service is called 'provider/dsn'; did you mean 'provider/dns'?"),
        ("services: {s: hidden}", "1:15: no service is called 'hidden'"),
        ("groups: {g: {any_of: beta/web}}", "1:22: 'beta/web' is not the name of a group; only tenants name what"),
        ("groups: {g: {match: a == b, shared: true}}", "1:29: 'shared' is the provider's"),
        ("services: {s: {terms: any, shared: true}}", "1:28: 'shared' is the provider's"),
    ],
)
def test_what_the_provider_does_not_share(text, message):
    """It may name what says `shared: true`, and nothing else: unshared names are as if they were not there, also where
    the nearest name is told.
    """
    (problem,) = told(text)
    assert problem.startswith(message)
    assert problem == message or not message.endswith("'")


@pytest.mark.parametrize(
    ("module", "bound", "text", "word"),
    [
        (groups, "MAX_PARTS", "groups: {a: {match: x == y}, b: {any_of: a}, c: {any_of: [a, b]}}", "parts"),
        (groups, "MAX_SELECTOR_TEXT", "groups: {a: {match: tenant == '%s'}}", "characters together"),
        (services, "MAX_RANGES", "services: {a: [tcp/1, tcp/3], b: [a, tcp/5]}", "port ranges"),
    ],
)
def test_bounds_are_the_whole_loads(monkeypatch, module, bound, text, word):
    """Sizes are bounded: many tenants cannot together have more than one could."""
    files = {f"{name}.yaml": f"tenant: {name}\n{text.replace('%s', name)}".encode() for name in ("aa", "bb", "cc")}
    files["p.yaml"] = b"version: 1"
    monkeypatch.setattr(module, bound, 25 if bound != "MAX_PARTS" else 12)
    assert load_texts({name: files[name] for name in ("aa.yaml", "p.yaml")})
    with pytest.raises(PolicyError, match=word):
        load_texts(files)


def test_no_tenant_sees_another():
    """The same, between tenants."""
    with pytest.raises(PolicyError) as raised:
        document(VMS, a="tenant: acme\ngroups: {front: {match: a == b}}", b="tenant: beta\ngroups: {g: {any_of: frnt}}")
    assert [str(problem) for problem in raised.value.problems] == ["b.yaml:2:22: no group is called 'frnt'"]


def test_the_provider_calls_its_own_by_their_names():
    """`provider/NAME` is a tenant's word; the provider's files say NAME, and cannot name what is a tenant's."""
    refused(PROVIDER + "policies: [{name: p, rules: [{allow: §provider/dns, to: §provider/web}]}]", "'dns'", "'web'")
    refused(
        "policies: [{name: p, rules: [{allow: any, to: §acme/web}]}]", a="tenant: acme\ngroups: {web: {match: a == b}}"
    )


def test_a_file_without_tenant_is_the_providers():
    """A file without `tenant` is the provider's and may do everything: at all vNICs, in every tier."""
    loaded = document(VMS + "policies: [{name: p, tier: emergency, rules: [{deny: any, to: {vms: [a-web, b-web]}}]}]")
    assert decider(explain(loaded, OUT, "a-web")["ingress"]) == "emergency p/#1"
    assert decider(explain(loaded, OUT, "b-web")["ingress"]) == "emergency p/#1"


@pytest.mark.parametrize("tier", ["emergency", "infrastructure"])
def test_a_tenant_can_never_weaken_a_decision_above_it(tier):
    """So a tenant can never weaken an emergency or infrastructure decision, nor reach into another tenant's vNICs."""
    loaded = tenant(
        "policies: [{name: a, tier: environment, order: 0, rules: [{allow: any}]}]",
        VMS + f"policies: [{{name: z, tier: {tier}, order: 65535, rules: [{{deny: tcp/80}}]}}]",
    )
    assert sides(loaded, "a-web", "a-db") == ("deny", "deny")
    assert sides(loaded, "a-web", "a-db", "tcp/81") == ("allow", "allow")
    assert sides(loaded, "a-web", "b-web", "tcp/81") == ("allow", "deny")


def test_a_side_names_the_tenant():
    """`tenant` is null for the provider."""
    loaded = tenant("policies: [{name: p, rules: [{name: r, allow: any}]}]", VMS + OPEN)
    answer = explain(loaded, "a-web", "b-web")
    assert decider(answer["egress"]) == "application acme:p/r" and answer["egress"]["file"] == "tenant.yaml"
    assert decider(answer["ingress"]) == "baseline open/#1" and answer["ingress"]["tenant"] is None


# Assertions

SHOP = """
vms:
  web: {labels: {role: web}, addresses: 10.0.0.1}
  dev: {labels: {role: dev}, addresses: 10.0.0.2}
  new: {labels: {role: web}}
groups: {web: {match: role == web}, dev: {match: role == dev}, outside: {cidrs: 192.0.2.0/24}}
services: {https: tcp/443}
policies: [{name: p, rules: [{allow: https, to: web, from: [web, outside]}, {allow: tcp/22, from: dev, to: outside}]}]
"""


def failures(assertion, text=SHOP, **more):
    """What is said about an assertion; nothing if it holds."""
    with_it = f"{text}\nassertions:\n  - {{name: it, {assertion}}}\nversion: 1\n"
    try:
        load_texts({"p.yaml": with_it.encode(), **{f"{name}.yaml": more[name].encode() for name in more}})
    except PolicyError as error:
        return [problem.message for problem in error.problems]
    return []


@pytest.mark.parametrize(
    ("assertion", "holds"),
    [
        ("never: any, from: dev, to: web", True),
        ("never: tcp/22, from: dev, to: outside", False),
        ("never: tcp/23-65535, from: dev, to: outside", True),
        ("never: [udp, tcp/1-22], from: dev, to: outside", False),
        ("always: https, from: outside, to: web", True),
        ("always: [https, tcp/22], from: outside, to: web", False),
        ("always: https, from: [outside, dev], to: web", False),
        ("always: https, from: any, to: web", False),
        ("always: any, from: dev, to: dev", True),
        ("never: https, from: web, to: web", False),
    ],
)
def test_never_and_always(assertion, holds):
    """`never` holds if no connection of that service goes through from any member of `from` to any member of `to`;
    `always` if every one does. A vNIC to itself does not count; a VM without an address counts by its groups. (`always`
    from `any` includes every VM's egress.)
    """
    assert (failures(assertion) == []) is holds


def test_a_failed_assertion_is_an_error_with_a_counter_example():
    """A failed assertion is an error of the load, with a concrete counter-example (who, to whom, which service, which
    rules).
    """
    (problem,) = failures("never: any, from: dev, to: outside")
    for word in ("assertion 'it' fails", "tcp/22", "from dev (10.0.0.2)", "to 192.0.2.0", "p/#2, p.yaml:8"):
        assert word in problem
    refused(SHOP + "assertions:\n  - §{name: it, never: any, from: dev, to: outside}")


def test_for_all_addresses():
    """Checked on every load against the whole policy, for all VMs and addresses (not samples)."""
    rule = "policies: [{name: p, rules: [{allow: tcp/77, from: {cidrs: 198.51.100.77}, to: {vms: v}}]}]"
    text = "vms: {v: {addresses: 10.0.0.1}}\n" + rule
    assert failures("never: any, to: {vms: v}, from: {cidrs: 198.51.100.0/24, except: 198.51.100.77}", text) == []
    (problem,) = failures("never: any, to: {vms: v}, from: {cidrs: 0.0.0.0/0}", text)
    assert "tcp/77 from 198.51.100.77" in problem


@pytest.mark.parametrize(
    "address", ["224.0.0.1", "255.255.255.255", "0.0.0.0", "127.0.0.1", "'::1'", "'ff02::1'", "'::'"]
)
def test_addresses_that_no_host_can_have(address):
    """Nor do addresses that no host can have count (multicast, unspecified, loopback, broadcast)."""
    text = "vms: {v: {addresses: [10.0.0.1, '2001:db8::1']}}\n"
    text += "policies: [{name: p, rules: [{allow: any, from: {vms: v}}]}]"
    assert failures(f"never: any, from: {{vms: v}}, to: {{cidrs: {address}}}", text) == []
    assert failures("never: any, from: {vms: v}, to: {cidrs: 192.0.2.1}", text)


def test_outside_to_outside_does_not_count():
    """Outside to outside does not count."""
    assert failures("never: any, from: outside, to: outside") == []


def test_each_scope_is_checked_on_its_own():
    """Each scope is checked on its own."""
    text = """
networks: {prod: {vlan: 10}, lab: {vlan: 30, scope: lab}}
vms: {a: {network: prod, addresses: 10.0.0.1}, b: {network: lab, addresses: 10.0.0.2}}
policies: [{name: p, rules: [{allow: any, from: {vms: [a, b]}, to: {vms: [a, b]}}]}]
"""
    assert failures("never: any, from: {vms: a}, to: {vms: b}", text) == []
    assert failures("never: any, from: {vms: a}, to: {vms: b}", text.replace(", scope: lab", ""))


def test_assertions_leave_built_in_rules_out():
    """Assertions, `matrix`, `diff` and `lint` leave them (the built-in rules) out."""
    assert failures("never: udp/67, from: {vms: web}", "vms: {web: {addresses: 10.0.0.1}}") == []


def test_audited_rules_do_not_help_an_assertion():
    """`mode: audit` on a policy: its rules never decide."""
    assert failures("always: https, from: outside, to: web", SHOP.replace("name: p,", "name: p, mode: audit,"))


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("assertions: [§{never: any}]", "needs 'name'"),
        ("assertions: [§{name: a}]", "needs 'never' or 'always'"),
        ("assertions: [{name: a, §nevr: any}]", "did you mean 'never'?"),
        ("assertions: [{name: a, never: any, §always: any}]", "says 'never' already"),
        ("assertions: [{name: a, never: §nobody, to: {vms: v}}]\nvms: {v: {}}", "no service"),
        ("assertions: [{name: a, never: any, from: §nobody}]", "no group"),
        ("assertions: [{name: a, always: any, to: {vms: v}, from: {vms: v}}, "
         "{name: §a, always: any, to: {vms: v}, from: {vms: v}}]\nvms: {v: {}}", "already"),
        ("assertions: [§any]", "mapping"),
    ],
)  # fmt: skip
def test_wrong_assertions(text, word):
    """An unknown key, a dangling reference, a bad value: an error with its place."""
    refused(text, word)


def test_tenants_assertions():
    """A tenant's file may have `assertions`: about its own groups, and unique in its own namespace."""
    own = "tenant: %s\ngroups: {g: {match: role == web}}\n"
    own += "assertions: [{name: q, never: tcp/80, from: g, to: {cidrs: %s}}]"
    loaded = document(VMS, a=own % ("acme", OUT), b=own % ("beta", OUT))
    assert [(assertion.name, assertion.tenant) for assertion in loaded.assertions] == [("q", "acme"), ("q", "beta")]
    rule = "policies: [{name: p, rules: [{allow: tcp/80, from: {vms: b-web}}]}]\n"
    with pytest.raises(PolicyError) as raised:
        document(VMS + rule, a=own % ("acme", OUT), b=own % ("beta", OUT))
    (problem,) = raised.value.problems
    assert problem.place.file == "b.yaml" and "from b-web (10.0.0.3)" in problem.message
