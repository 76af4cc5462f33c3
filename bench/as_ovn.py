"""The workload for OVN: words for `ovn-nbctl`, one switch, port groups, address sets, ACLs `allow-related`.

As one who knows OVN would write it: a port group for each group, whose addresses OVN keeps as a set by itself
(`$GROUP_ip4`); each rule as one ACL where the connection arrives and one where it leaves; and one port group of all
ports whose lowest ACLs drop IP. Port security holds each vNIC to its MAC and addresses.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from bench.workload import ALL, Rule, Service, Vm, Workload

SWITCH = "network"
ALLOWED, DENIED = "1000", "1"

Command = Sequence[str]


def port_group(group: str) -> str:
    """The port group of a group: OVN's names have no hyphens."""
    return "g_" + group.replace("-", "_")


def everything(work: Workload) -> list[Command]:
    """All commands, in order: the network with its groups, then what is allowed."""
    rules = chain.from_iterable(allow(rule, work.ipv6) for rule in (*work.rules, *work.probe))
    return [*network(work), *default_deny(), *rules]


def network(work: Workload) -> list[Command]:
    """The logical switch with its ports, port groups and address sets; nothing is allowed or denied yet."""
    commands: list[Command] = [("ls-add", SWITCH)]
    for vm in work.vms:
        commands += [("lsp-add", SWITCH, vm.name), *addresses(vm, *vm.addresses)]
    for group, members in work.members.items():
        commands.append(("pg-add", port_group(group), *members))
    for group, cidrs in work.networks.items():
        words = ", ".join(f'"{cidr}"' for cidr in cidrs)
        commands.append(("create", "Address_Set", f"name={port_group(group)}_ip4", f"addresses={words}"))
    return commands


def addresses(vm: Vm, *allowed: str) -> list[Command]:
    """What a vNIC may use from now on."""
    words = " ".join((vm.mac, *allowed))
    return [("lsp-set-addresses", vm.name, words), ("lsp-set-port-security", vm.name, words)]


def default_deny() -> list[Command]:
    """What no ACL allows is dropped, leaving and arriving. ARP is not IP, and passes; OVN itself lets ND pass."""
    group = port_group(ALL)
    return [
        ("--type=port-group", "acl-add", group, "to-lport", DENIED, f"outport == @{group} && ip", "drop"),
        ("--type=port-group", "acl-add", group, "from-lport", DENIED, f"inport == @{group} && ip", "drop"),
    ]


def allow(rule: Rule, ipv6: bool = False) -> list[Command]:
    """The ACLs of a rule; ``ipv6``: for both families."""
    words = ("--type=port-group", "acl-add")
    return [(*words, group, way, ALLOWED, match, "allow-related") for group, way, match in acls(rule, ipv6)]


def forbid(rule: Rule, ipv6: bool = False) -> list[Command]:
    """Take the ACLs of a rule away."""
    return [("--type=port-group", "acl-del", group, way, ALLOWED, match) for group, way, match in acls(rule, ipv6)]


def acls(rule: Rule, ipv6: bool = False) -> Iterator[tuple[str, str, str]]:
    """Port group, direction and match of each ACL that a rule needs; a source that is a network has no vNIC here.

    Each family has its own: in one match, "this set of IPv4 addresses or that of IPv6 ones" is no set to OVN, and its
    members are multiplied with the ports.
    """
    target = port_group(rule.target)
    for family in (4, 6) if ipv6 else (4,):
        service = _service(rule.service, family)
        # From anybody, one does for both, unless its service has a family.
        if family == 4 or not (rule.outside or (rule.source is None and rule.service.protocol != "icmp")):
            source = "" if rule.source is None else f"{_side('src', rule.source, family)} && "
            yield target, "to-lport", f"outport == @{target} && {source}{service}"
        if not rule.outside:
            here = port_group(rule.source or ALL)
            yield here, "from-lport", f"inport == @{here} && {_side('dst', rule.target, family)} && {service}"


def _side(side: str, group: str, family: int) -> str:
    """That an address is one of a group's."""
    return f"ip{family}.{side} == ${port_group(group)}_ip{family}"


def batch(commands: Iterable[Command]) -> list[str]:
    """Commands as the words of one call of `ovn-nbctl`, hence one transaction."""
    return [word for command in commands for word in ("--", *command)][1:]


def _service(service: Service, family: int) -> str:
    if service.protocol == "icmp":
        return "icmp4.type == 8" if family == 4 else "icmp6.type == 128"
    port = f"{service.protocol}.dst"
    if service.first == service.last:
        return f"{port} == {service.first}"
    return f"{port} >= {service.first} && {port} <= {service.last}"
