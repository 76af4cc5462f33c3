"""The whole load: version, policies and rules, built-ins, what is not yet, all problems at once, the revision."""


import pytest

from policy.errors import PolicyError
from policy.load import Loader, load_texts, revision_of
from policy.model import Builtins, Term, Tier, Verdict
from policy.problems import MAX_PROBLEMS
from tests.policy.effort import PLAIN_VMS, costs_at_most, inventory
from tests.policy.words import document, refused


def test_five_mistakes_give_five_messages():
    with pytest.raises(PolicyError) as raised:
        load_texts(
            {
                "vms.yaml": b"version: 1\nvms:\n  web-1: {addresses: 10.0.0.1}\n  web-2:\n    addresses: [10.0.0.1]\n",
                "net/groups.yaml": b"groups:\n  web: {match: role = web}\n  office: {cidrs: 192.0.2.1/24}\n",
                "policy.yaml": b"policies:\n  - name: shop\n    rules:\n      - {allow: htps, to: web}\n"
                b"      - {allow: tcp/80, form: web}\nservices: {https: tcp/443}\n",
            }
        )
    assert str(raised.value).splitlines() == [
        "net/groups.yaml:2:21: group 'web': selector: unexpected '=': compare with '==' or '!='",
        "net/groups.yaml:3:19: '192.0.2.1/24' has host bits set; the network is 192.0.2.0/24",
        "policy.yaml:4:17: no service is called 'htps'; did you mean 'https'?",
        "policy.yaml:5:25: unknown key 'form'; did you mean 'from'?",
        "vms.yaml:5:17: address 10.0.0.1/32 is taken: VM 'web-1' has it at vms.yaml:3:22",
    ]


def test_policies_and_rules():
    loaded = document("""
        vms: {bastion: {}}
        groups:
          web: {match: role == web}
          db: {match: role == db}
        services: {https: tcp/443}
        policies:
          - name: shop
            tier: infrastructure
            order: 100
            mode: enforce
            rules:
              - {name: clients, allow: https, from: any, to: web}
              - deny: [udp, https]
                from: [web, {cidrs: 192.0.2.0/24}]
                to: {vms: bastion}
                at: db
                direction: in
              - {pass: any, direction: out, from: [web, any], at: any}
              - {allow: any, direction: both}
    """)
    (policy,) = loaded.policies
    assert (policy.name, policy.tier, policy.order, policy.tenant) == ("shop", Tier.INFRASTRUCTURE, 100, None)
    assert (policy.place.line, policy.place.column) == (8, 5)
    clients, second, third, fourth = policy.rules
    assert clients.name == "clients" and clients.verdict is Verdict.ALLOW and clients.terms == loaded.services["https"]
    assert clients.sources is None and clients.destinations == (loaded.groups["web"],) and clients.at is None
    assert clients.egress and clients.ingress
    assert (clients.place.file, clients.place.line, clients.place.column) == ("p.yaml", 13, 9)
    assert second.name == "#2" and second.verdict is Verdict.DENY and [t.protocol for t in second.terms] == [6, 17]
    assert second.sources is not None and second.sources[0] == loaded.groups["web"]
    assert [str(cidr) for cidr in second.sources[1].cidrs] == ["192.0.2.0/24"] and second.sources[1].name is None
    assert second.destinations is not None and second.destinations[0].vms == ("bastion",)
    assert second.at == (loaded.groups["db"],) and (second.egress, second.ingress) == (False, True)
    assert third.name == "#3" and third.verdict is Verdict.PASS and third.terms == (Term(),)
    assert third.sources is None and third.at is None and (third.egress, third.ingress) == (True, False)
    assert fourth.egress and fourth.ingress


def test_defaults_and_walking_order():
    loaded = document(
        """
        policies:
          - {name: b, rules: []}
          - {name: a, rules: []}
          - {name: c, order: 999, rules: []}
          - {name: last, tier: baseline, order: 0, rules: []}
          - {name: first, tier: emergency, order: 65535, rules: []}
          - {name: env, tier: environment, rules: []}
        """,
        more="policies: [{name: aa, rules: []}, {name: B, rules: []}]",
    )
    assert [policy.name for policy in loaded.policies] == ["first", "env", "c", "B", "a", "aa", "b", "last"]
    assert loaded.policies[3].order == 1000 and loaded.policies[3].tier is Tier.APPLICATION


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("policies: §{name: a}", ["list"]),
        ("policies: [§a]", ["mapping"]),
        ("policies: [§{rules: []}]", ["'name'"]),
        ("policies: [§{name: a}]", ["'rules'"]),
        ("policies: [{name: §any, rules: []}]", ["reserved"]),
        ("policies: [{name: §7, rules: []}]", ["text"]),
        ("policies: [{name: a, rules: []}, {name: §a, rules: []}]", ["p.yaml:1:19"]),
        ("policies: [{name: a, rules: []}, {name: §a, rules: [], tier: baseline}]", ["p.yaml:1:19"]),
        ("policies: [&p {name: §a, rules: []}, *p]", ["already"]),
        ("policies: [{name: a, tier: §aplication, rules: []}]", ["did you mean 'application'?"]),
        ("policies: [{name: a, tier: §1, rules: []}]", ["text"]),
        ("policies: [{name: a, order: §65536, rules: []}]", ["65535"]),
        ("policies: [{name: a, order: §-1, rules: []}]", ["65535"]),
        ("policies: [{name: a, order: §first, rules: []}]", ["number"]),
        ("policies: [{name: a, mode: §audti, rules: []}]", ["did you mean 'audit'?"]),
        ("policies: [{name: a, mode: §enfroce, rules: []}]", ["did you mean 'enforce'?"]),
        ("policies: [{name: a, §teir: baseline, rules: []}]", ["did you mean 'tier'?"]),
        ("policies: [{name: a, rules: §}]", ["list"]),
        ("policies: [{name: a, rules: §{allow: any}}]", ["list"]),
        ("policies: [{name: a, rules: [§any]}]", ["mapping"]),
        ("policies: [{name: a, rules: [§{}]}]", ["one of allow, deny, reject, pass"]),
        ("policies: [{name: a, rules: [§{from: any}]}]", ["one of allow, deny, reject, pass"]),
        ("policies: [{name: a, rules: [{allow: any, §deny: any}]}]", ["'allow' already"]),
        ("policies: [{name: a, rules: [{allow: any, log: §yes}]}]", ["true or false"]),
        ("policies: [{name: a, rules: [{§permit: any, allow: any}]}]", ["unknown key"]),
        ("policies: [{name: a, rules: [{allow: §}]}]", ["empty"]),
        ("policies: [{name: a, rules: [{allow: §[]}]}]", ["empty"]),
        ("policies: [{name: a, rules: [{allow: §443}]}]", ["tcp/443"]),
        ("policies: [{name: a, rules: [{allow: tcp/80,§443}]}]", ["quote"]),
        ("policies: [{name: a, rules: [{allow: §{protocol: tcp}}]}]", ["'services'"]),
        ("policies: [{name: a, rules: [{allow: §provider/dns}]}]", ["here it is 'dns'"]),
        ("policies: [{name: a, rules: [{allow: any, from: §[]}]}]", ["empty"]),
        ("policies: [{name: a, rules: [{allow: any, from: §}]}]", ["empty"]),
        ("policies: [{name: a, rules: [{allow: any, from: §wbe}]}]", ["no group"]),
        ("policies: [{name: a, rules: [{allow: any, to: §10.0.0.0/8}]}]", ["{cidrs: "]),
        ("policies: [{name: a, rules: [{allow: any, to: [any, §nobody]}]}]", ["no group"]),
        ("policies: [{name: a, rules: [{allow: any, at: §provider/web}]}]", ["here it is 'web'"]),
        ("policies: [{name: a, rules: [{allow: any, at: {§any-of: web}}]}]", ["did you mean 'any_of'?"]),
        ("policies: [{name: a, rules: [{allow: any, direction: §egress}]}]", ["both, out, in"]),
        ("policies: [{name: a, rules: [{allow: any, name: §'#1'}]}]", ["letter or digit"]),
        ("policies: [{name: a, rules: [{allow: any, name: x}, §{allow: any, name: x}]}]", ["already"]),
        ("policies: [{name: a, rules: [&r {allow: any}, *r]}]", None),  # without names: #1 and #2
        ("builtins: {§arp: off}", ["cannot be turned off"]),
        ("builtins: {§related-errors: off}", ["cannot be turned off"]),
        ("builtins: {§dhcp: off}", ["did you mean 'dhcp-client'?"]),
        ("builtins: {dhcp-client: §no}", ["on or off"]),
        ("builtins: {dhcp-client: §0}", ["on or off"]),
        ("builtins: §off", ["mapping"]),
        ("assertions: §{name: a}", ["list"]),
        ("§polices: []", ["did you mean 'policies'?"]),
        ("§zzz: []", ["version, tenant, networks, vms, groups, services, limits, policies, assertions, builtins"]),
    ],
)
def test_refusals(text, words):
    if words is None:
        assert document(text)
    else:
        refused(text, words)


def test_builtins():
    assert document("builtins: {}").builtins == Builtins()
    switched = document(
        "builtins: {dhcp-client: off, router-discovery: false}", more="builtins: {multicast-listener: on}"
    )
    assert switched.builtins == Builtins(dhcp_client=False, router_discovery=False, multicast_listener=True)
    with pytest.raises(PolicyError) as raised:
        document("builtins: {dhcp-client: off}", more="builtins: {dhcp-client: off}")
    assert str(raised.value) == "p.yaml:1:12: 'dhcp-client' is already at more.yaml:1:12"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"a": "version: 1"}, None),
        ({"a": "version: 1", "b": "version: 1"}, None),
        ({"b": "vms: {}", "a": "groups: {}"}, ["a.yaml:1:1: no file says 'version: 1'"]),
        ({"a": ""}, ["a.yaml:1:1: no file says 'version: 1'"]),
        ({"a": "version: 2"}, ["a.yaml:1:10: "]),
        ({"a": "version: 1", "b": "version: 2"}, ["b.yaml:1:10: "]),
        ({"a": "version: '1'"}, ["a.yaml:1:10: "]),
        ({"a": "version: 1.0"}, ["a.yaml:1:10: "]),
        ({"a": "version: [1]"}, ["a.yaml:1:10: ", "a.yaml:1:1: "]),
    ],
)
def test_versions(files, expected):
    texts = {f"{name}.yaml": text.encode() for name, text in files.items()}
    if expected is None:
        load_texts(texts)
        return
    with pytest.raises(PolicyError) as raised:
        load_texts(texts)
    told = str(raised.value).splitlines()
    assert len(told) == len(expected)
    assert all(any(line.startswith(begin) for line in told) for begin in expected), told


def test_one_mistake_seen_through_many_aliases_is_told_once():
    refused("groups: {a: {cidrs: &c [§10.0.0.1/8]}, b: {cidrs: *c}, c: {cidrs: *c}}", "host bits")


def test_messages_are_cut_and_escaped():
    (problem,) = refused('groups: {a: {any_of: §"\\e[2J"}}')
    assert "\x1b" not in problem.message
    with pytest.raises(PolicyError) as raised:
        document('groups: {a: {"\\e[2J": 1, more}}')
    assert len(raised.value.problems) == 2 and "\x1b" not in str(raised.value)
    (problem,) = refused(f"groups: {{a: {{any_of: §{'x' * 255}}}}}")
    assert len(problem.message) < 150


def test_problems_are_bounded():
    text = "version: 1\ngroups: {" + ", ".join(f"a{i}: 1" for i in range(3 * MAX_PROBLEMS)) + "}"
    with pytest.raises(PolicyError) as raised:
        load_texts({"a.yaml": text.encode()})
    assert len(raised.value.problems) == MAX_PROBLEMS + 1
    assert "the rest is left out" in str(raised.value)


def test_revision():
    files = {"a.yaml": b"version: 1", "b.yaml": b"vms: {}"}
    revision = load_texts(files).revision
    assert revision == load_texts(dict(reversed(files.items()))).revision
    assert len(revision) == 12 and int(revision, 16) >= 0
    others = [
        {"a.yaml": b"version: 1", "b.yaml": b"vms: {} "},
        {"a.yaml": b"version: 1", "c.yaml": b"vms: {}"},
        {"a.yaml": b"version: 1"},
        {"a.yaml": b"vms: {}", "b.yaml": b"version: 1"},
        {"a.yaml": b"version: 1", "b.yaml": b"vms: {}", "c.yaml": b""},
    ]
    assert revision_of({"a": b"bc"}) != revision_of({"ab": b"c"})
    assert len({revision, *(load_texts(other).revision for other in others)}) == 1 + len(others)


def test_four_times_as_many_vms_cost_some_four_times_as_much():
    many = inventory(4 * PLAIN_VMS)
    with costs_at_most(10):  # with its square: 16
        document = load_texts(many)
    assert len(document.inventory.vms) == 4 * PLAIN_VMS


BASE, VMS = "version: 1\n", "vms: {web: {network: lab, addresses: 10.0.0.1}}"
OTHERS = "vms: {db: {addresses: [10.0.0.2, 10.0.0.3], labels: {role: db}}, web-2: {}}"
# Each is the one before with something changed, mistakes made and mended.
HISTORY = (
    {"a": BASE + "networks: {lab: {vlan: 1}}", "b": VMS, "c": OTHERS},
    {"a": BASE + "networks: {lab: {vlan: 1, scope: lab}}", "b": VMS, "c": OTHERS},
    {"a": BASE + "networks: {lab: {vlan: nonsense}}", "b": VMS, "c": OTHERS},
    {"a": BASE, "b": VMS, "c": OTHERS},
    {"a": BASE + "networks: {lab: {vlan: 1}}", "b": VMS.replace("10.0.0.1", "10.0.0.2"), "c": OTHERS},
    {"a": BASE + "networks: {lab: {vlan: 1}}", "b": VMS.replace("10.0.0.1", "10.0.0.9"), "c": OTHERS},
    {"a": BASE + "networks: {lab: {vlan: 1}}", "b": VMS, "c": OTHERS, "d": "vms: {web: {}}"},
    {"a": BASE + "networks: {lab: {vlan: 1}}", "b": VMS, "d": OTHERS},
    {"a": BASE + "networks: {lab: {vlan: 1}}", "b": VMS, "c": "vms: {db: {adresses: 10.0.0.2}, web-2: !x {}}"},
    {"a": BASE + "networks: {lab: {vlan: 1}}", "b": VMS, "c": "vms: {db: {adresses: 10.0.0.2}, web-2: !x {}}", "d": ""},
    {"a": BASE + "networks: {lab: {vlan: 1}}", "b": VMS, "c": OTHERS},
)


def outcome(loader, files):
    """What comes of files, in full, places included."""
    try:
        return repr(loader.load_texts({f"{name}.yaml": text.encode() for name, text in files.items()}))
    except PolicyError as error:
        return str(error)


def test_a_loader_says_of_files_what_a_new_one_says():
    loader = Loader()
    assert [outcome(loader, files) for files in HISTORY] == [outcome(Loader(), files) for files in HISTORY]


def test_what_has_not_changed_is_the_same_object():
    loader = Loader()
    one = loader.load_texts({"a.yaml": BASE.encode(), "b.yaml": b"vms: {web: {}, db: {}}"})
    two = loader.load_texts({"a.yaml": BASE.encode(), "b.yaml": b"vms: {web: {}, db: {}}", "c.yaml": b"groups: {}"})
    assert two.inventory is one.inventory and two.revision != one.revision
    three = loader.load_texts({"a.yaml": BASE.encode(), "b.yaml": b"vms: {web: {}, db: {tenant: acme}}"})
    assert [mine is other for mine, other in zip(three.inventory.vms, one.inventory.vms, strict=True)] == [True, False]
