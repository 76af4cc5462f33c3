"""The language's section "Commands that carry this contract", as far as `check` and `explain` go, sentence by sentence:
each docstring quotes what its test would catch.
"""

import json

import pytest

from policy.question import UsageError, parse_question
from tests.commands.conftest import portcullis
from tests.policy.asking import explain, verdict
from tests.policy.words import document

POLICY = """\
networks: {prod: {vlan: 10}, lab: {vlan: 30, scope: lab}}
vms:
  web: {network: prod, labels: {role: web}, vnics: [
    {iface_id: w1, addresses: ["2001:db8::1", 10.0.0.0/28]}, {iface_id: w2, addresses: 10.0.0.99}]}
  db:  {network: prod, addresses: 10.0.0.20}
  six: {network: prod, addresses: "2001:db8::6"}
  new: {labels: {role: web}}
  lab-1: {network: lab, addresses: 10.0.0.20}
  lab-2: {network: lab, addresses: [10.0.0.0/30, 10.0.9.9]}
services: {https: tcp/443, high: {protocol: tcp, port: 80, source_port: 50000}}
policies:
  - name: shop
    rules:
      - {name: clients, allow: [https, icmp4/8/0, icmp6/128/0], from: {match: role == web}}
      - {allow: tcp/1, to: {cidrs: 10.0.9.9}}
      - {reject: tcp/2}
      - {allow: high, to: {vms: web}}
"""


def ends(source, destination, **more):
    """The two ends of a question: who, and at which address."""
    loaded = document(POLICY)
    asked = parse_question(loaded, source, destination, more.pop("service", "tcp/443"), **more)
    return [f"{end.vnic.name if end.vnic else 'outside'} {end.address}" for end in (asked.source, asked.destination)]


def wrong(*question, **more):
    with pytest.raises(UsageError) as raised:
        parse_question(document(POLICY), *question, **more)
    return str(raised.value)


@pytest.fixture
def policy(tmp_path):
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "shop.yaml").write_text(POLICY + "version: 1\n")
    return tmp_path


def asked(policy, *words):
    return portcullis("explain", str(policy), "--from", "web", "--to", "192.0.2.1", *words)


def test_exit_statuses(policy):
    """Exit status 0: fine; 1: the answer is "no" (errors in the policy, a denied `explain`); 2: wrong usage."""
    assert portcullis("check", str(policy)).exit_code == 0
    assert asked(policy, "--service", "tcp/443").exit_code == 0
    assert asked(policy, "--service", "tcp/80").exit_code == asked(policy, "--service", "tcp/2").exit_code == 1
    assert asked(policy, "--service", "tcp").exit_code == asked(policy).exit_code == 2
    (policy / "bad.yaml").write_text("nonsense: 1")
    assert portcullis("check", str(policy)).exit_code == 1


def test_a_failed_assertion_is_a_no(policy):
    """1: the answer is "no" (a failed assertion)."""
    (policy / "more.yaml").write_text("assertions: [{name: a, never: tcp/443, from: {vms: web}}]")
    result = portcullis("check", str(policy))
    assert result.exit_code == 1 and "assertion 'a' fails" in result.stderr


@pytest.mark.parametrize("command", ["explain", "matrix", "lint"])
def test_a_policy_that_does_not_load(policy, command):
    """A policy that does not load is exit status 2 here (and in `matrix`, `diff`, `lint`), so that 1 always means the
    answer "no"; a POLICY that is not there is wrong usage (2).
    """
    words = ["--from", "web", "--to", "db", "--service", "tcp/443"] if command == "explain" else []
    assert portcullis(command, str(policy), *words).exit_code in (0, 1)
    assert portcullis(command, str(policy / "nowhere"), *words).exit_code == 2
    (policy / "bad.yaml").write_text("nonsense: 1")
    assert portcullis(command, str(policy), *words).exit_code == 2
    assert portcullis("check", str(policy / "nowhere")).exit_code == 2


def test_a_difference_of_policies_that_do_not_load(policy):
    """A policy that does not load is exit status 2 in `diff` too; it exits 0 whatever it finds."""
    good = str(policy / "net" / "shop.yaml")
    (policy / "bad.yaml").write_text("nonsense: 1")
    assert portcullis("diff", good, good).exit_code == 0
    assert portcullis("diff", good, str(policy)).exit_code == portcullis("diff", str(policy), good).exit_code == 2


def test_json_and_diagnostics(policy):
    """`--json` gives stable, documented JSON on standard output; diagnostics go to standard error."""
    answer = asked(policy, "--service", "tcp/443", "--json")
    assert json.loads(answer.stdout)["verdict"] == "allow" and answer.stderr == ""
    (policy / "bad.yaml").write_text("nonsense: 1")
    refused = asked(policy, "--service", "tcp/443", "--json")
    assert refused.stdout == "" and "bad.yaml:1:1: " in refused.stderr


def test_the_source_port():
    """The source port is 50000 unless `--source-port` says otherwise."""
    loaded = document(POLICY)
    assert verdict(loaded, "192.0.2.1", "web", "tcp/80") == "allow"
    assert verdict(loaded, "192.0.2.1", "web", "tcp/80", source_port=50001) == "deny"


def test_the_icmp_code():
    """An ICMP code is 0 unless given."""
    loaded = document(POLICY)
    assert verdict(loaded, "web", "192.0.2.1", "icmp4/8") == verdict(loaded, "web", "192.0.2.1", "icmp/echo") == "allow"
    assert verdict(loaded, "web", "192.0.2.1", "icmp4/8/1") == "deny"


@pytest.mark.parametrize("term", ["any", "tcp", "tcp/1-2", "tcp/1,3", "icmp", "icmp4", "proto/6", "proto/1"])
def test_a_term_that_is_wider_than_one_connection_is_wrong_usage(term):
    """A term that is wider than one connection is wrong usage (ask `matrix`)."""
    assert "more than one connection" in wrong("web", "db", term)


def test_other_wrong_usage():
    """As are a service's name, a source port with ICMP, and ICMP of the other family."""
    assert "is a service" in wrong("web", "db", "https")
    assert "source port" in wrong("web", "db", "icmp/echo", source_port=7)
    assert "not of IPv4" in wrong("web", "db", "icmp6/128")
    assert "not of IPv6" in wrong("web", "six", "icmp4/8")


def test_the_answer(policy):
    """`--json`: `{"verdict": "allow|deny|reject", "egress": SIDE, "ingress": SIDE}`. SIDE is null (nobody firewalls
    that side) or `{"vnic": "VM/IFACE-ID", "verdict": …, "tier": …, "tenant": …, "policy": …, "rule": …, "file": …,
    "line": …}`; `line` where the rule begins; for the default, tier is `default` and the rest null.
    """
    loaded = document(POLICY)
    answer = explain(loaded, "web", "192.0.2.1", "tcp/443")
    assert answer == {
        "verdict": "allow",
        "egress": {
            "vnic": "web/w1",
            "verdict": "allow",
            "tier": "application",
            "tenant": None,
            "policy": "shop",
            "rule": "clients",
            "file": "p.yaml",
            "line": 14,
        },
        "ingress": None,
    }
    assert list(answer) == ["verdict", "egress", "ingress"]
    default = explain(loaded, "web", "192.0.2.1", "tcp/3")["egress"]
    assert default == {
        "vnic": "web/w1",
        "verdict": "deny",
        "tier": "default",
        **dict.fromkeys(["tenant", "policy", "rule", "file", "line"]),
    }
    assert explain(loaded, "web", "192.0.2.1", "tcp/2")["verdict"] == "reject"


def test_files(policy):
    """`file` relative to POLICY (its name, if POLICY is one file)."""
    for path, file in ((policy, "net/shop.yaml"), (policy / "net" / "shop.yaml", "shop.yaml")):
        answer = json.loads(asked(path, "--service", "tcp/443", "--json").stdout)
        assert answer["egress"]["file"] == file


@pytest.mark.parametrize(
    ("who", "peer", "end"),
    [
        ("web", "db", "web/w1 10.0.0.0"),
        ("web/w2", "db", "web/w2 10.0.0.99"),
        ("web@10.0.0.5", "db", "web/w1 10.0.0.5"),
        ("web@10.0.0.99", "db", "web/w2 10.0.0.99"),
        ("192.0.2.1", "db", "outside 192.0.2.1"),
        ("10.0.0.99", "db", "web/w2 10.0.0.99"),
        # IPv4 first, although the vNIC's IPv6 address is written first.
        ("web", "new", "web/w1 10.0.0.0"),
        ("web", "six", "web/w1 2001:db8::1"),
        # A VM without any address is matched by its groups all the same.
        ("new", "six", "new/new None"),
        # In the scope of the other end.
        ("10.0.0.20", "web", "db/db 10.0.0.20"),
        ("10.0.0.20", "lab-2", "lab-1/lab-1 10.0.0.20"),
        ("10.0.0.99", "lab-2", "outside 10.0.0.99"),
    ],
)
def test_who(who, peer, end):
    """WHO: a VM, VM/IFACE-ID, or an address; `VM@ADDRESS` (one of the VM's own), or an address alone, looked up in the
    scope of the other end; a VM alone stands for its first vNIC's first address of a family that both sides have, IPv4
    first.
    """
    assert ends(who, peer)[0] == end
    assert ends(peer, who)[1] == end


def test_network():
    """An address alone is looked up in the scope of the other end, else of `--network`, else `default`."""
    assert ends("10.0.0.20", "192.0.2.1")[0] == "db/db 10.0.0.20"
    assert ends("10.0.0.20", "192.0.2.1", network="prod")[0] == "db/db 10.0.0.20"
    assert ends("10.0.0.20", "192.0.2.1", network="lab")[0] == "lab-1/lab-1 10.0.0.20"
    assert ends("10.0.0.20", "192.0.2.1", network="vlan-77")[0] == "db/db 10.0.0.20"
    assert ends("10.0.0.20", "lab-2", network="prod")[0] == "lab-1/lab-1 10.0.0.20"
    assert "did you mean 'lab'?" in wrong("10.0.0.20", "192.0.2.1", "tcp/1", network="lap")
    assert "no network" in wrong("10.0.0.20", "192.0.2.1", "tcp/1", network="vlan-30")


def test_no_common_family_or_scope():
    """No common family, or two VMs in different scopes: wrong usage."""
    assert "no address family in common" in wrong("db", "six", "tcp/1")
    assert "they never meet" in wrong("web", "lab-1", "tcp/1")
    assert "not an address of VM 'web'" in wrong("web@10.0.0.20", "db", "tcp/1")


def test_a_vm_without_an_address():
    """A VM without any address is matched by its groups all the same."""
    loaded = document(POLICY)
    assert verdict(loaded, "new", "192.0.2.1", "tcp/443") == "allow"
    assert verdict(loaded, "192.0.2.1", "new", "tcp/443") == "deny"
