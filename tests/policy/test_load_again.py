"""A loader that loads a policy after each of many edits says what a new one says: the same values, and mistakes."""

import random
from copy import deepcopy

import pytest

from policy import groups, services, source
from policy.errors import PolicyError
from policy.load import Loader
from policy.twins import MAX_TWINS

# Pieces of which files are made, by section: right ones, wrong ones, and such as clash with others.
NETWORKS = ("lab: {vlan: 1}", "lab: {vlan: 1, scope: lab}", "lan: {vlan: 2}", "lan: {vlan: 1}", "lan: {vlan: x}")
VMS = (
    "web: {network: lab, addresses: 10.0.0.1}",
    "web: {network: lan, addresses: 10.0.0.1, labels: {role: web}}",
    "web:\n    vnics:\n      - {iface_id: if-1, mac: '52:54:00:00:00:01', addresses: [10.0.0.2, '2001:db8::1']}",
    "web: {vnics: [{iface_id: trunk}, {iface_id: trunk-2, parent: trunk, vlan: 2, addresses: 10.0.0.1}]}",
    "trunk: {vnics: [{iface_id: trunk, mac: '52:54:00:00:00:09'}, {iface_id: s, parent: trunk, vlan: 9}]}",
    "trunk:\n    vnics:\n      - {iface_id: trunk, mac: '52:54:00:00:00:09', addresses: 10.0.0.3}\n"
    "      - {iface_id: s, parent: trunk, vlan: 2, mac: '52:54:00:00:00:09', addresses: 10.0.0.3, roles: router}",
    "trunk:\n    vnics:\n      - {iface_id: s, parent: trunk, vlan: 3, mac: '52:54:00:00:00:01', addresses: 10.0.0.2}"
    "\n      - {iface_id: trunk, mac: '52:54:00:00:00:09', network: lan, addresses: 10.0.0.4}",
    "web-2: {vnics: [{iface_id: if-2, mac: '52:54:00:00:00:09'}, {iface_id: if-3, parent: trunk, vlan: 5}]}",
    "web-2: {network: vlan-1, addresses: 10.0.0.1}",
    "web-2: {id: one, network: vlan-9, addresses: 10.0.0.0/24, labels: {role: web, app: shop}}",
    "db: {id: one, tenant: acme, labels: {role: db}}",
    "db: {id: two, mac: '52:54:00:00:00:01'}",
    "if-1: {tenant: acme, labels: &labels {role: db}}",
    "other: {labels: *labels}",
    "other: {lables: {role: db}}",
    "10.0.0.9: {}",
    "three: {labels: {größe: 'ü'}}",
    "three: {labels: {note: 'ü'}, addresses: [10.0.3.1, 10.0.3.1]}",
    "long: {addresses: [" + ", ".join(f"10.9.0.{n}" for n in range(1, 250)) + "]}",
)
GROUPS = (
    "web: {match: role == web}",
    "web: {match: role == web, shared: true}",
    "web: {any_of: [db, {vms: [db, web]}]}",
    "db: {match: role == db}",
    "db: {any_of: web}",
    "db: {match: role = db}",
    "office: {cidrs: [192.0.2.0/24, '2001:db8:1::/48'], except: 192.0.2.1}",
    "office: {cidrs: 192.0.2.0/24, scope: lab}",
)
SERVICES = (
    "https: tcp/443",
    "https: {protocol: tcp, port: 443, shared: true}",
    "https: [http, tcp/8443]",
    "http: tcp/80",
)
LIMITS = ("slow: {for: web, new_connections: 10}", "slow: {notices: 5}", "slow: {for: nobody, notices: 5}")
POLICIES = (
    "{name: shop, rules: [{allow: https, from: any, to: web}, {allow: tcp/22, from: {vms: [web]}, to: db}]}",
    "{name: shop, tier: baseline, rules: [{deny: any}]}",
    "{name: back, rules: [{name: sql, allow: tcp/3306, from: web, to: db}]}",
    "{name: back, rules: [{name: sql, allow: tcp/3306, from: web, to: office, log: true}]}",
    "&p {name: twice, rules: []}",
    "*p",
    "{name: wrong, rules: [{allow: htps, from: wbe, to: web}]}",
)
ASSERTIONS = (
    "{name: closed, never: tcp/1, from: web, to: db}",
    "{name: closed, never: tcp/3306, from: any, to: db}",
    "{name: open, always: https, from: any, to: nobody}",
)
TENANTS = {
    "groups": ("mine: {match: role == db}", "mine: {vms: db}", "both: {any_of: [mine, provider/web]}"),
    "services": ("ours: provider/https", "ours: tcp/1"),
    "policies": (
        "{name: own, rules: [{allow: ours, from: provider/web, to: mine}]}",
        "{name: own, rules: [{allow: provider/https, from: any, to: both}]}",
    ),
}
NAMES = {"networks": NETWORKS, "groups": GROUPS, "services": SERVICES, "limits": LIMITS}
RULES = {"vms": VMS, "policies": POLICIES, "assertions": ASSERTIONS}
LISTS = ("policies", "assertions")
FILES = {"a": NAMES, "b": RULES, "c": {"vms": VMS, "limits": LIMITS} | RULES, "acme": TENANTS, "umbrella": TENANTS}
AT_FIRST = {
    "networks": ["lab: {vlan: 1}", "lan: {vlan: 2}"],
    "groups": ["web: {match: role == web, shared: true}", "db: {match: role == db}"],
    "services": ["https: {protocol: tcp, port: 443, shared: true}"],
}
# Lines before everything, and between sections: they move what follows, or are no YAML.
BETWEEN = ("", "# a comment, größer\n", "\n\n", "? ", "x: [\n", "%TAG ! x\n", "\t")


class Files:
    """A policy's files, edited at random; some of the mistakes are soon taken back."""

    def __init__(self, rng):
        self.rng = rng
        self.pieces = {name: {section: [] for section in pool} for name, pool in FILES.items()}
        self.pieces["a"].update({section: list(pieces) for section, pieces in AT_FIRST.items()})
        self.head = dict.fromkeys(FILES, "")
        self.ends = dict.fromkeys(FILES, "\n")

    def edit(self):
        """One change of one file."""
        name = self.rng.choice([*FILES, "b", "c"])
        section = self.rng.choice(list(FILES[name]))
        pieces, pool = self.pieces[name][section], FILES[name][section]
        chosen = self.rng.choice(pool)
        kind = self.rng.random()
        if kind < 0.1:
            # Mistakes in the text itself are rare, and mended soon.
            self.head[name] = self.rng.choice(BETWEEN) if not self.head[name] else ""
        elif kind < 0.15:
            self.ends[name] = self.rng.choice(["\n", "\r\n", "\n\n"])
        elif kind < 0.45 and pieces:
            del pieces[self.rng.randrange(len(pieces))]
        elif pieces and kind < 0.7:
            pieces[self.rng.randrange(len(pieces))] = chosen
        elif chosen.split(":")[0] not in {piece.split(":")[0] for piece in pieces}:
            pieces.insert(self.rng.randint(0, len(pieces)), chosen)

    def texts(self):
        """What the files say, as bytes by name."""
        found = {}
        for name, sections in self.pieces.items():
            lines = ["version: 1"] if name == "a" else []
            lines += [f"tenant: {name}"] if FILES[name] is TENANTS else []
            for section, pieces in sections.items():
                mark = "- " if section in LISTS else ""
                lines += [f"{section}:", *(f"  {mark}{piece}" for piece in pieces)] if pieces else []
            if len(lines) > (FILES[name] is TENANTS):
                found[f"{name}.yaml"] = (self.head[name] + self.ends[name].join(lines) + "\n").encode()
        return found

    def state(self):
        return deepcopy((self.pieces, self.head, self.ends))

    def back(self, state):
        """Take back all since a state."""
        self.pieces, self.head, self.ends = deepcopy(state)


def outcome(loader, files):
    """What comes of files, in full, places included."""
    try:
        return repr(loader.load_texts(files))
    except PolicyError as error:
        return [str(problem) for problem in error.problems]


def run(seed, steps=60):
    """How many of the states of one history were right and wrong; each is told as by a new loader."""
    files, loader = Files(random.Random(seed)), Loader()
    right = wrong = 0
    last_right = files.state()
    for step in range(steps):
        files.edit()
        texts = files.texts()
        again, new = outcome(loader, texts), outcome(Loader(), texts)
        assert again == new, (seed, step, texts)
        if isinstance(new, str):
            right += 1
            last_right = files.state()
        else:
            wrong += 1
            if files.rng.random() < 0.4:
                files.back(last_right)
    return right, wrong


@pytest.mark.parametrize("seed", range(40))
def test_after_any_edits_a_loader_says_what_a_new_one_says(seed):
    assert sum(run(seed)) == 60


def test_the_histories_are_of_both_kinds():
    found = [run(seed) for seed in range(6)]
    assert sum(right for right, _ in found) > 60 and sum(wrong for _, wrong in found) > 60


@pytest.mark.parametrize(
    ("module", "bound", "value"),
    [
        (source, "MAX_NODES", 100),
        (source, "MAX_CHARACTERS", 400),
        (groups, "MAX_PARTS", 5),
        (groups, "MAX_SELECTOR_TEXT", 24),
        (services, "MAX_RANGES", 6),
    ],
)
def test_bounds_count_what_is_there_and_not_what_was(monkeypatch, module, bound, value):
    monkeypatch.setattr(module, bound, value)
    found = [run(seed) for seed in range(100, 106)]
    assert sum(right for right, _ in found) > 30 and sum(wrong for _, wrong in found) > 30


def test_twins_are_counted_over_all_edits_and_forgotten_with_them():
    def texts(*numbers):
        vms = [f"  v{n}: {{addresses: '{2**125 + n * (2**61 - 1):x}'}}" for n in ()]
        for n in numbers:
            digits = f"{2**125 + n * (2**61 - 1):032x}"
            vms.append(f"  v{n}: {{addresses: '{':'.join(digits[i : i + 4] for i in range(0, 32, 4))}'}}")
        half = len(vms) // 2
        return {
            "a.yaml": "\n".join(["version: 1", "vms:", *vms[:half]]).encode(),
            "b.yaml": "\n".join(["vms:", *vms[half:]]).encode(),
        }

    loader = Loader()
    for first in range(0, 60, 7):
        assert loader.load_texts(texts(*range(first, first + MAX_TWINS))).inventory.vms
    with pytest.raises(PolicyError, match="cannot tell from"):
        loader.load_texts(texts(*range(MAX_TWINS + 1)))
    assert loader.load_texts(texts(*range(MAX_TWINS))).inventory.vms


BASE = "version: 1\nnetworks: {lab: {vlan: 1}}\n"
MANY = {
    "a.yaml": BASE + "groups: {web: {match: role == web}, db: {match: role == db}}\nservices: {https: tcp/443}\n",
    "b.yaml": "vms:\n  web: {labels: {role: web}}\n  db: {labels: {role: db}}\n",
    "c.yaml": "policies: [{name: c, rules: [{allow: https, from: web, to: db}]}]\n",
    "d.yaml": "policies: [{name: d, rules: [{allow: https, from: db, to: web}]}]\n",
    "t.yaml": "tenant: acme\npolicies: [{name: d, rules: [{allow: tcp/1}]}]\n",
}


def loaded(loader, **changed):
    """The document after one file has another text."""
    return loader.load_texts({name: text.encode() for name, text in {**MANY, **changed}.items()})


def test_what_an_edit_does_not_change_is_the_same_object():
    loader = Loader()
    one = loaded(loader)
    two = loaded(loader, **{"c.yaml": MANY["c.yaml"].replace("to: db", "to: web")})
    assert two.inventory is one.inventory and two.policies[0] != one.policies[0]
    assert all(two.groups[name] is one.groups[name] for name in one.groups) and len(one.groups) == 2
    assert [mine is other for mine, other in zip(two.policies, one.policies, strict=True)] == [False, True, True]
    three = loaded(loader, **{"b.yaml": MANY["b.yaml"].replace("role: web", "role: front")})
    assert [mine is other for mine, other in zip(three.inventory.vms, one.inventory.vms, strict=True)] == [False, True]
    assert three.policies[1] is one.policies[1] and three.policies[2] is one.policies[2]
    # Names that mean something else now.
    four = loaded(loader, **{"a.yaml": MANY["a.yaml"].replace("tcp/443", "tcp/8443")})
    assert four.policies[0].rules[0].terms != one.policies[0].rules[0].terms


def test_a_file_that_is_reached_by_another_way_is_the_same_file(tmp_path):
    """Another revision is a directory of its own, and a symlink leads to it."""
    loader = Loader()
    documents = []
    for number, rule in enumerate(("from: web", "from: db")):
        revision = tmp_path / str(number)
        revision.mkdir()
        for name, text in (MANY | {"c.yaml": MANY["c.yaml"].replace("from: web", rule)}).items():
            (revision / name).write_text(text)
        (tmp_path / "draft").symlink_to(revision)
        (tmp_path / "draft").rename(tmp_path / "current")
        documents.append(loader.load(tmp_path / "current"))
    one, two = documents
    assert two.inventory is one.inventory and all(two.groups[name] is one.groups[name] for name in one.groups)
    assert [mine is other for mine, other in zip(two.policies, one.policies, strict=True)] == [False, True, True]


def test_a_trunk_stays_the_same_object_while_others_claim_something_new():
    loader = Loader()
    one, two = (
        loader.load_texts({"p.yaml": f"version: 1\n{trunk('a', 'a')}\n  b: {{addresses: {address}}}".encode()})
        for address in ("10.0.0.1", "10.0.0.2")
    )
    assert [mine is other for mine, other in zip(two.inventory.vms, one.inventory.vms, strict=True)] == [True, False]


def test_a_mistake_costs_what_is_remembered_nothing():
    loader = Loader()
    one = loaded(loader)
    for mistake in ("to: nobody", "to: [", "to: db, at: {vms: web, cidrs: 1}"):
        with pytest.raises(PolicyError):
            loaded(loader, **{"c.yaml": MANY["c.yaml"].replace("to: db", mistake)})
        again = loaded(loader)
        assert again == one and again.inventory is one.inventory and again.policies[1] is one.policies[1]


MAC = "52:54:00:00:00:01"


def trunk(name, parent, mac=MAC):
    """VMs of which one has a second vNIC, and a sub-port of one of the two."""
    ports = f"{{iface_id: {name}, mac: '{MAC}'}}, {{iface_id: c}}"
    return f"vms:\n  {name}: {{vnics: [{ports}, {{iface_id: s, parent: {parent}, vlan: 20, mac: '{mac}'}}]}}"


TWO_NETWORKS = "networks: {n: {vlan: 1}, m: {vlan: 2, scope: s}}\nvms:\n  a: {network: n, addresses: 10.0.0.1}\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        # What an alias means stands elsewhere.
        ("vms: {a: {labels: &x {role: web}}, b: {labels: *x}}", "vms: {a: {labels: &x {role: db}}, b: {labels: *x}}"),
        ("vms:\n  a: {labels: &x {r: web}}\n  b: {labels: *x}", "vms:\n  a: {labels: &x {r: w}}\n  b: {labels: *x}"),
        # Somebody takes what another, who is as before, has.
        ("vms:\n  a: {addresses: 10.1.1.1}", "vms:\n  a: {addresses: 10.1.1.1}\n  b: {addresses: 10.1.0.0/16}"),
        ("vms:\n  a: {id: x}\n  b: {id: y}", "vms:\n  a: {id: x}\n  b: {id: x}"),
        ("vms:\n  a: {}\n  b: {}", "vms:\n  a: {}\n  b: {vnics: [{iface_id: a}]}"),
        (f"vms:\n  a: {{mac: '{MAC}'}}\n  b: {{}}", f"vms:\n  a: {{mac: '{MAC}'}}\n  b: {{mac: '{MAC}'}}"),
        # A sub-port may have its parent's MAC, and nobody else's.
        (trunk("a", "a"), trunk("a", "c")),
        (trunk("a", "a"), trunk("a", "a") + f"\n  b: {{mac: '{MAC}'}}"),
        (trunk("a", "a") + "\n  b: {}", trunk("a", "a", "52:54:00:00:00:02") + "\n  b: {mac: '52:54:00:00:00:02'}"),
        # Another network, or another meaning of one.
        (
            f"networks: {{n: {{vlan: 20}}}}\n{trunk('a', 'a')}",
            f"networks: {{n: {{vlan: 20, scope: s}}}}\n{trunk('a', 'a')}",
        ),
        (TWO_NETWORKS + "  b: {network: m, addresses: 10.0.0.1}", TWO_NETWORKS + "  b: {addresses: 10.0.0.1}"),
        (
            "networks:\n  n: {vlan: 1, scope: s}\ngroups:\n  g: {cidrs: 10.0.0.0/8, scope: s}",
            "networks:\n  n: {vlan: 1, scope: t}\ngroups:\n  g: {cidrs: 10.0.0.0/8, scope: s}",
        ),
        # A VM that a group names is gone, or is somebody else's.
        ("vms:\n  a: {}\n  b: {}\ngroups:\n  g: {vms: b}", "vms:\n  a: {}\n  c: {}\ngroups:\n  g: {vms: b}"),
        # The same text within braces and without.
        ("vms: {a: {}, b: {}\n  }", "vms:\n  a: {}\n  b: {}"),
    ],
)  # fmt: skip
def test_what_stays_may_be_wrong_or_mean_something_else_now(before, after):
    loader = Loader()
    texts = [{"p.yaml": f"version: 1\n{text}\n".encode()} for text in (before, after)]
    assert isinstance(outcome(loader, texts[0]), str)
    for one in (texts[1], texts[0], texts[1]):
        assert outcome(loader, one) == outcome(Loader(), one)
    assert outcome(Loader(), texts[0]) != outcome(Loader(), texts[1])
