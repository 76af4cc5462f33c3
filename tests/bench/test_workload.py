"""The comparison's workload says the same to every peer."""

import re

import pytest

from bench import as_ovn, as_policy
from bench.workload import (
    ALL,
    CLIENT_EXCEPTIONS,
    CLIENTS,
    LEFT,
    PROBE_PORTS,
    PROBERS,
    REAL,
    RIGHT,
    SECOND_ADDRESS,
    THIRD,
    without,
    workload,
)
from policy.evaluate import evaluate
from policy.load import load_texts
from policy.question import parse_question

WORK = workload(50)


def document(work=WORK):
    return load_texts({name: text.encode() for name, text in as_policy.files(work).items()})


def verdict(source, target, service):
    loaded = document()
    return evaluate(loaded, parse_question(loaded, source, target, service)).verdict.value


@pytest.mark.parametrize("size", [10, 50, 200, 1000])
def test_every_vnic_is_one_of_a_kind(size):
    vms = workload(size).vms
    assert len(vms) == size
    assert len({vm.name for vm in vms}) == len({vm.mac for vm in vms}) == len({vm.address for vm in vms}) == size
    assert [vm.name for vm in vms[:3]] == list(REAL)
    assert SECOND_ADDRESS not in {vm.address for vm in vms}


def test_a_thousand_vnics_are_a_hundred_applications():
    work = workload(1000)
    assert len([rule for rule in work.rules if rule.name.endswith("-https")]) == 99
    assert len(work.members[ALL]) == 1000


def test_a_thousand_groups_have_ten_thousand_addresses():
    work = workload(50, sites=1000)
    sites = {name: cidrs for name, cidrs in work.networks.items() if name != CLIENTS}
    assert len(sites) == 1000 and len({cidr for cidrs in sites.values() for cidr in cidrs}) == 10_000
    loaded = document(work)
    (address, _) = sites["site-7"][3].split("/")
    (target,) = (rule.target for rule in work.rules if rule.name == "site-7")
    for name, expected in ((work.members[target][0], "allow"), (RIGHT, "deny")):
        assert evaluate(loaded, parse_question(loaded, address, name, "tcp/8444")).verdict.value == expected


def test_too_few_vnics_are_refused():
    with pytest.raises(ValueError, match="at least 10"):
        workload(9)


def test_a_network_without_its_exceptions_has_every_other_address():
    assert without("10.0.0.0/30", ("10.0.0.1/32",)) == ("10.0.0.0/32", "10.0.0.2/31")
    parts = without("198.18.0.0/16", CLIENT_EXCEPTIONS)
    assert sum(2 ** (32 - int(part.split("/")[1])) for part in parts) == 2**16 - 2**8 - 1


@pytest.mark.parametrize(
    ("source", "target", "service", "expected"),
    [
        ("manager-0", "vm-0", "tcp/22", "allow"),
        ("manager-0", "vm-0", "icmp/echo", "allow"),
        ("vm-1", "vm-0", "tcp/22", "deny"),
        ("198.18.1.1", "vm-0", "tcp/8443", "allow"),
        ("198.18.7.7", "vm-0", "tcp/8443", "deny"),
        ("198.18.66.9", "vm-0", "tcp/8443", "deny"),
        ("vm-9", "vm-0", "tcp/443", "allow"),
        ("vm-0", "vm-4", "tcp/8085", "allow"),
        ("vm-0", "vm-14", "tcp/8085", "deny"),
        ("vm-4", "vm-8", "tcp/3306", "allow"),
        ("vm-0", "vm-8", "tcp/3306", "deny"),
        (LEFT, RIGHT, "udp/7010", "allow"),
        (RIGHT, LEFT, "udp/7010", "deny"),
    ],
)
def test_the_policy_says_what_the_workload_means(source, target, service, expected):
    assert verdict(source, target, service) == expected


def test_the_measured_rule_comes_and_goes():
    texts = as_policy.files(WORK)
    assert "probe-udp" in texts[as_policy.PROBE_FILE]
    texts[as_policy.PROBE_FILE] = as_policy.probe_file(WORK, present=False)
    loaded = load_texts({name: text.encode() for name, text in texts.items()})
    counts = [sum(len(policy.rules) for policy in each.policies) for each in (document(), loaded)]
    assert counts == [len(WORK.rules) + len(WORK.probe), len(WORK.rules)]


def test_the_guest_that_things_happen_to_is_in_no_inventory():
    assert THIRD not in document().inventory.vms


def test_ovn_is_told_every_port_with_its_address():
    commands = as_ovn.everything(WORK)
    ports = [command[2] for command in commands if command[0] == "lsp-add"]
    held = {command[1]: command[2] for command in commands if command[0] == "lsp-set-port-security"}
    assert ports == [vm.name for vm in WORK.vms]
    assert held == {vm.name: f"{vm.mac} {vm.address}" for vm in WORK.vms}


def test_ovn_is_told_every_rule_at_both_ends_and_denies_the_rest():
    acls = [command for command in as_ovn.everything(WORK) if "acl-add" in command]
    drops = [acl for acl in acls if acl[-1] == "drop"]
    allows = [acl for acl in acls if acl[-1] == "allow-related"]
    assert {acl[3] for acl in drops} == {"to-lport", "from-lport"}
    # Nobody here sends for a network of clients.
    assert len(allows) == 2 * (len(WORK.rules) + len(WORK.probe)) - 1
    assert {acl[4] for acl in drops} < {"1"} | {acl[4] for acl in allows} and all(acl[4] == "1000" for acl in allows)


def test_ovn_names_only_groups_that_it_was_told():
    commands = as_ovn.everything(WORK)
    made = {command[1] for command in commands if command[0] == "pg-add"}
    sets = {command[2].removeprefix("name=") for command in commands if command[0] == "create"}
    matches = " ".join(command[5] for command in commands if "acl-add" in command)
    assert set(re.findall(r"@(\w+)", matches)) <= made
    assert set(re.findall(r"\$(\w+)", matches)) <= sets | {f"{group}_ip4" for group in made}
    assert sets == {f"{as_ovn.port_group(CLIENTS)}_ip4"}


def test_ovn_forgets_exactly_what_it_was_told():
    for rule in WORK.probe:
        assert [("acl-del", *acl[2:6]) for acl in as_ovn.allow(rule)] == [acl[1:] for acl in as_ovn.forbid(rule)]


def test_an_acl_in_full():
    (rule,) = (rule for rule in WORK.probe if rule.service.protocol == "udp")
    source, target = as_ovn.port_group(PROBERS), as_ovn.port_group(RIGHT)
    ports = "udp.dst >= {} && udp.dst <= {}".format(*PROBE_PORTS)
    assert list(as_ovn.acls(rule)) == [
        (target, "to-lport", f"outport == @{target} && ip4.src == ${source}_ip4 && {ports}"),
        (source, "from-lport", f"inport == @{source} && ip4.dst == ${target}_ip4 && {ports}"),
    ]


def test_with_ipv6_every_vm_has_both_families_and_every_rule_goes_for_both():
    work = workload(50, ipv6=True)
    assert len({vm.ipv6 for vm in work.vms}) == 50
    vnics = {vnic.iface_id: vnic for vm in document(work).inventory.vms for vnic in vm.vnics}
    assert {name: tuple(str(prefix.network_address) for prefix in vnic.addresses) for name, vnic in vnics.items()} == {
        vm.name: vm.addresses for vm in work.vms if vm.name != THIRD
    }
    loaded = document(work)
    ping = parse_question(loaded, work.vm("manager-0").ipv6, work.vm("vm-0").ipv6, "icmp/echo")
    assert evaluate(loaded, ping).verdict.value == "allow"
    commands = as_ovn.everything(work)
    held = {command[1]: command[2] for command in commands if command[0] == "lsp-set-port-security"}
    assert held == {vm.name: f"{vm.mac} {vm.address} {vm.ipv6}" for vm in work.vms}
    (rule,) = (rule for rule in work.rules if rule.name == "ping")
    source, target = as_ovn.port_group("management"), as_ovn.port_group(ALL)
    # Each family has an ACL of its own at either side.
    assert list(as_ovn.acls(rule, ipv6=True)) == [
        (target, "to-lport", f"outport == @{target} && ip4.src == ${source}_ip4 && icmp4.type == 8"),
        (source, "from-lport", f"inport == @{source} && ip4.dst == ${target}_ip4 && icmp4.type == 8"),
        (target, "to-lport", f"outport == @{target} && ip6.src == ${source}_ip6 && icmp6.type == 128"),
        (source, "from-lport", f"inport == @{source} && ip6.dst == ${target}_ip6 && icmp6.type == 128"),
    ]
    added = [command[2:-1] for command in commands if command[1:2] == ("acl-add",)]
    assert len(set(added)) == len(added)
    # The network of clients has no IPv6 addresses.
    assert not any(f"{as_ovn.port_group(CLIENTS)}_ip6" in word for command in commands for word in command)


def test_a_batch_is_one_call():
    assert as_ovn.batch([("ls-add", "a"), ("lsp-add", "a", "b")]) == ["ls-add", "a", "--", "lsp-add", "a", "b"]
