"""The language's section "Loading", sentence by sentence: each docstring quotes what its test would catch."""

import pytest

from policy import files, source
from policy.errors import PolicyError
from policy.load import load, load_texts
from tests.policy.words import document, refused


def problems(**texts):
    """All that is said about these files."""
    with pytest.raises(PolicyError) as raised:
        load_texts({f"{name}.yaml": text.encode() for name, text in texts.items()})
    return str(raised.value).splitlines()


def write(folder, **texts):
    for name, text in texts.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_suffix(".yaml").write_text(text)


def test_files_and_directories(tmp_path):
    """A policy is one file or a directory, read recursively (`*.yaml`, `*.yml`; hidden files are skipped)."""
    write(tmp_path, a="version: 1\nvms: {a: {}}", sub__deep__b="vms: {b: {}}")
    (tmp_path / "c.yml").write_text("vms: {c: {}}")
    (tmp_path / ".d.yaml").write_text("vms: {d: {}}")
    (tmp_path / "e.txt").write_text("not a policy")
    assert {vm.name for vm in load(tmp_path).inventory.vms} == {"a", "b", "c"}
    assert {vm.name for vm in load(tmp_path / "a.yaml").inventory.vms} == {"a"}


def test_the_keys_of_a_file():
    """Every file is a mapping with any of these keys: `version`, `tenant`, `networks`, `vms`, `groups`, `services`,
    `policies`, `assertions`, `builtins` (the provider's only).
    """
    assert document("networks: {}\nvms: {}\ngroups: {}\nservices: {}\npolicies: []\nassertions: []\nbuiltins: {}")
    assert document("", t="tenant: acme\ngroups: {}\nservices: {}\npolicies: []\nassertions: []")
    assert document("")
    assert "a policy file is a mapping" in problems(a="version: 1", b="[version]")[0]
    refused("§rules: []", "unknown key")
    assert "'builtins' is the provider's" in problems(a="version: 1", b="tenant: acme\nbuiltins: {}")[0]


def test_the_files_add_up():
    """The files of one directory add up to one document; the order of files never matters."""
    texts = {
        "z.yaml": b"version: 1\npolicies: [{name: p, rules: [{allow: s, to: g}]}]",
        "a.yaml": b"groups: {g: {vms: v}}\nservices: {s: t}",
        "m.yaml": b"vms: {v: {network: n}}\nservices: {t: tcp/1}\nnetworks: {n: {vlan: 1}}",
    }
    assert load_texts(texts) == load_texts(dict(reversed(texts.items())))


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("groups:\n  web: {match: a == b}\n  db: {match: a == b}\npolicies: []\n§groups: {}", "already"),
        ("groups: {web: {match: a == b}, §web: {match: a == b}}", "already"),
        ("§polices: []", "did you mean 'policies'?"),
        ("groups: {web: {match: a == b}, x: {any_of: §wbe}}", "did you mean 'web'?"),
        ("services: {§a: b, b: a}", "a -> b -> a"),
        ("networks: {a: {vlan: §4095}}", "0 to 4094"),
    ],
)
def test_errors_have_place_reason_and_the_nearest_name(text, word):
    """A name defined twice, an unknown key, a dangling reference, a cycle, a bad value: an error with
    `file:line:column`, what is wrong, and the nearest valid name where there is one.
    """
    refused(text, word)


def test_all_errors_together():
    """All errors of a load are reported together."""
    told = problems(
        a="version: 1\nvms: {a: {mac: x}}\ngroups: {g: {match: a = b}}",
        b="services: {s: tpc/1}\npolicies: [{name: p}]\nassertions: [{name: q, never: any, to: h}]",
    )
    assert [line.split(" ")[0] for line in told] == [
        "a.yaml:2:16:",
        "a.yaml:3:23:",
        "b.yaml:1:15:",
        "b.yaml:2:12:",
        "b.yaml:3:40:",
    ]


def test_anchors_are_fine():
    """YAML anchors are fine."""
    loaded = document("services: {a: &x [tcp/1, tcp/2], b: *x}")
    assert loaded.services["a"] == loaded.services["b"]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("vms: {a: {labels: {x: '1', §x: '2'}}}", "already"),
        ("vms: {a: §!!python/object/apply:os.system [x]}", "tag"),
        ("groups: {a: &a {match: a == b}, c: {§<<: *a}}", "merge keys"),
        ("vms: {}\n--- §\nvms: {}", "second document"),
    ],
)
def test_yaml_that_is_refused(text, word):
    """Duplicate keys in a mapping are an error; only the safe loader is used. Merge keys (`<<`) and several documents
    in one file are errors.
    """
    with pytest.raises(PolicyError) as raised:
        load_texts({"p.yaml": (text.replace("§", "") + "\nversion: 1").encode()})
    assert word in str(raised.value)


def test_bounds(tmp_path, monkeypatch):
    """Sizes (16 MiB a file, 64 MiB a directory), aliases (1,000), nesting (32) and the document after aliases are
    expanded (1,000,000 nodes) are bounded.
    """
    assert (files.MAX_FILE, files.MAX_TOTAL) == (16 * 2**20, 64 * 2**20)
    assert (source.MAX_ALIASES, source.MAX_NESTING, source.MAX_NODES) == (1000, 32, 1_000_000)
    for count in (1000, 1001):
        listed = ", ".join(f"l{number}: *x" for number in range(count))
        text = f"version: 1\nvms: {{a: {{labels: {{x: &x y, {listed}}}}}}}".encode()
        if count > 1000:
            assert "1,000 aliases" in refusal_of(text)
        else:
            assert load_texts({"a.yaml": text})
    assert "32 deep" in refusal_of(b"version: 1\nx: " + b"[" * 32 + b"]" * 32)
    assert "32 deep" not in refusal_of(b"version: 1\nx: " + b"[" * 31 + b"]" * 31)
    monkeypatch.setattr(source, "MAX_NODES", 100)
    assert "100 nodes" in refusal_of(b"version: 1\nx: &x [" + b"1, " * 40 + b"]\ny: *x\nz: *x")


def test_scalars():
    """Scalars follow the YAML 1.2 core schema: `no`, `on` and `52:54:00:00:00:01` are strings."""
    loaded = document(
        "vms: {no: {mac: 52:54:00:00:00:01, labels: {a: no, b: on}}, on: {}}\ngroups: {yes: {vms: [no, on]}}"
    )
    assert [vm.name for vm in loaded.inventory.vms] == ["no", "on"]
    assert loaded.inventory.vms[0].vnics[0].mac == "52:54:00:00:00:01"
    assert loaded.inventory.vms[0].labels == {"a": "no", "b": "on"}


def test_empty_files_and_hidden_folders(tmp_path):
    """An empty file is nothing; hidden folders are skipped."""
    write(tmp_path, a="version: 1", b="", c="# only this\n")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "x.yaml").write_text("nonsense: 1")
    assert load(tmp_path).policies == ()


def test_symlinks(tmp_path):
    """Symlinks are followed, a loop or a special file is an error."""
    write(tmp_path / "elsewhere", a="version: 1\nvms: {a: {}}")
    policy = tmp_path / "policy"
    policy.mkdir()
    (policy / "a.yaml").symlink_to(tmp_path / "elsewhere" / "a.yaml")
    assert load(policy).inventory.vms
    (policy / "up").symlink_to(policy)
    with pytest.raises(PolicyError, match="loop"):
        load(policy)
    (policy / "up").unlink()
    (policy / "null.yaml").symlink_to("/dev/null")
    with pytest.raises(PolicyError, match="not a plain file"):
        load(policy)


BARE = "vms: {v: {addresses: %s}}\ngroups: {a: {vms: %s, cidrs: %s, except: %s}, b: {any_of: %s}}\n"
BARE += "services: {s: %s, t: {terms: %s}, u: {protocol: tcp, port: %s}}\n"
BARE += "policies: [{name: p, rules: [{allow: %s, from: %s, to: %s, at: %s}]}]\n"
BARE += "assertions: [{name: q, never: %s, from: %s, to: %s}]"
ITEMS = (
    "10.0.0.1",
    "v",
    "10.0.0.0/8",
    "10.0.0.1",
    "a",
    "tcp/1",
    "s",
    "80",
    "s",
    "a",
    "a",
    "a",
    "t",
    "{vms: v}",
    "{vms: v}",
)


def test_a_bare_item_will_do():
    """Where one or more things may stand (`from`, `to`, `at`, services, `any_of`, `cidrs`, `except`, `addresses`, …) a
    bare item will do too, and an empty list is an error.
    """
    bare, listed = document(BARE % ITEMS), document(BARE % tuple(f"[{item}]" for item in ITEMS))
    assert (bare.groups, bare.services, bare.inventory.vms) == (listed.groups, listed.services, listed.inventory.vms)
    for place in range(len(ITEMS)):
        items = [*ITEMS[:place], "[]", *ITEMS[place + 1 :]]
        assert "must not be an empty list" in " ".join(problems(a=BARE % tuple(items) + "\nversion: 1"))


@pytest.mark.parametrize(
    "text",
    [
        "vms: {a: {vnics: §{iface_id: x}}}",
        "policies: §{name: a, rules: []}",
        "policies: [{name: a, rules: §{allow: any}}]",
        "assertions: §{name: a, never: any}",
    ],
)
def test_what_is_always_a_list(text):
    """`vnics`, `policies`, `rules` and `assertions` are always lists, and may be empty."""
    refused(text, "list")
    assert document("vms: {a: {vnics: []}}\npolicies: [{name: p, rules: []}]\nassertions: []", b="policies: []")


def test_label_values():
    """Label values are strings (numbers and booleans are taken as written)."""
    loaded = document("vms: {a: {labels: {a: 1.10, b: 010, c: True, d: 0x1F, e: text}}}")
    assert loaded.inventory.vms[0].labels == {"a": "1.10", "b": "010", "c": "True", "d": "0x1F", "e": "text"}
    refused("vms: {a: {labels: {a: §}}}", "must have a value")


def test_version():
    """`version: 1` is required in at least one file; two versions that differ are an error."""
    assert problems(a="vms: {}", b="groups: {}") == ["a.yaml:1:1: no file says 'version: 1'"]
    assert load_texts({"a.yaml": b"vms: {}", "b.yaml": b"version: 1"})
    assert load_texts({"a.yaml": b"tenant: acme\nversion: 1"})
    assert problems(a="version: 1", b="version: 2")[0].startswith("b.yaml:1:10: ")


NAMED = {
    "group": "groups: {%s: {match: a == b}}",
    "service": "services: {%s: any}",
    "policy": "policies: [{name: %s, rules: []}]",
    "rule": "policies: [{name: p, rules: [{name: %s, allow: any}]}]",
    "VM": "vms: {%s: {}}",
    "network": "networks: {%s: {vlan: 1}}",
    "VM's tenant": "vms: {a: {tenant: %s}}",
    "tenant": "tenant: %s",
    "assertion": "assertions: [{name: %s, always: any, from: {vms: v}, to: {vms: v}}]\nvms: {v: {}}",
    "address scope": "networks: {a: {vlan: 1, scope: %s}}",
}


@pytest.mark.parametrize("what", NAMED)
def test_names(what):
    """Names (groups, services, policies, rules, VMs, networks, tenants, assertions) are 1 to 63 characters of letters,
    digits, `_`, `-` and `.`, beginning with a letter or digit (ASCII; an unquoted number is not a name; a VM's name is
    not an address; a service is not called like a protocol); `any`, `all` and `provider` are reserved.
    """
    for good in ("a", "9a", "x" * 63, "A_b-c.d", "'12'"):
        assert document(NAMED[what] % good)
    for bad in ("''", "x" * 64, "-a", ".a", "_a", "a b", "a/b", "é", "12", "1.5", "any", "all", "provider"):
        refused(NAMED[what] % f"§{bad}")


def test_names_of_vms_and_services():
    """A VM's name is not an address; a service is not called like a protocol."""
    refused("vms: {§10.0.0.1: {}}", "like an address")
    for word in ("tcp", "udp", "sctp", "icmp", "icmp4", "icmp6", "proto"):
        refused(f"services: {{§{word}: any}}", "like a protocol")


def refusal_of(data):
    with pytest.raises(PolicyError) as raised:
        load_texts({"a.yaml": data})
    return str(raised.value)
