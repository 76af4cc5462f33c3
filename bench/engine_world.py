"""The policy and the rows of OVSDB that `bench.engine` hands to the engine.

Applications of web, app and db VMs, ten VMs each, with a group for each role and the usual three rules, a management
group, a range of clients with exceptions, and beside the VMs on ports four times as many elsewhere; every VM has an
IPv4 and an IPv6 address. With `Size.groups` as many groups more, with a rule each: every VM is in ten of them, so that
nearly every VM is in a set of groups of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from topology.rows import BridgeRow, Database, InterfaceRow, PortRow, SwitchRow

REMOTE = "unix:bench"
ROLES = ("web", "app", "db")
# VMs of one application, and VMs elsewhere for each VM on a port, as long as these are not too many.
APPLICATION, ELSEWHERE, MOST_VMS = 10, 4, 10_000
# Groups beside these: each VM is in one for each key of a label, and the keys cut the VMs across each other.
TAGS, STEPS = 10, (1, 3, 7, 11, 13, 17, 19, 23, 29, 31)
MAC = 0x525400000000
# What is changed in the policy's files.
EDITS = ("rule", "label", "address", "client")


@dataclass(frozen=True)
class Size:
    """How many bridges, vNICs on each, and groups beside those of the applications."""

    bridges: int
    vnics: int
    groups: int = 0

    @property
    def ports(self) -> int:
        return self.bridges * self.vnics

    @property
    def vms(self) -> int:
        return max(self.ports, min(self.ports * (1 + ELSEWHERE), MOST_VMS))

    @property
    def applications(self) -> int:
        """A hundred at most, so that 1,000 vNICs meet 300 rules, and more do too."""
        return min(max(self.ports // APPLICATION, 1), 100)

    def __str__(self) -> str:
        return f"{self.bridges}x{self.vnics}"


def _tags(size: Size, number: int) -> Iterator[tuple[str, str]]:
    """A VM's labels for the groups beside its application's: one of each key, so that few VMs have the same."""
    values = size.groups // TAGS
    for place, step in enumerate(STEPS if values else ()):
        yield f"tag-{place}", f"v{number * step // TAGS % values}"


def addresses(number: int) -> tuple[str, str]:
    """The IPv4 and the IPv6 address of a VM."""
    return f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}", f"2001:db8::{number + 1:x}"


def policy_texts(
    size: Size, *, rule: bool = False, label: bool = False, address: bool = False, client: bool = False
) -> dict[str, bytes]:
    """The policy's files, as they are or with one change."""
    found: dict[str, list[str]] = {"base.yaml": ["version: 1", "networks: {prod: {vlan: 10}}"]}
    groups = ["groups:", "  management: {match: role == management}", "  everybody: {match: all()}"]
    more = ", 198.51.100.0/24" if client else ""
    groups.append(f"  clients: {{cidrs: [198.18.0.0/16, 2001:db8:100::/48{more}], except: [198.18.66.0/24]}}")
    for number in range(size.vms):
        application = number // APPLICATION % size.applications
        file = found.setdefault(f"vms/{number // 500:03}.yaml", ["vms:"])
        role = ROLES[number % 3] if number else "management"
        if label and number == 7:
            role = "db" if role != "db" else "web"
        tags = "".join(f", {key}: {value}" for key, value in _tags(size, number))
        own = [*addresses(number), *(["10.255.0.1"] if address and number == 7 else [])]
        file.append(
            f"  vm-{number}: {{network: prod, labels: {{app: app-{application}, role: {role}{tags}}}, "
            f"addresses: [{', '.join(map(repr, own))}]}}"
        )
    for application in range(size.applications):
        name = f"app-{application}"
        for role in ROLES:
            groups.append(f"  {name}-{role}: {{match: app == {name} and role == {role}}}")
        rules = [
            f"      - {{name: https, allow: tcp/443, from: clients, to: {name}-web}}",
            f"      - {{name: api, allow: tcp/8080-8089, from: {name}-web, to: {name}-app}}",
            f"      - {{name: sql, allow: tcp/3306, from: {name}-app, to: {name}-db}}",
        ]
        if rule and application == 0:
            rules.insert(1, f"      - {{name: more, allow: tcp/9999, from: {name}-web, to: {name}-db}}")
        file = found.setdefault(f"apps/{application // 10:02}.yaml", ["policies:"])
        file += [f"  - name: {name}", "    rules:", *rules]
    for number in range(size.groups):
        key, value = f"tag-{number % TAGS}", f"v{number // TAGS}"
        groups.append(f"  {key}-{value}: {{match: {key} == {value}}}")
        file = found.setdefault(f"tags/{number // 100:02}.yaml", ["policies:"])
        to = f"app-{number % size.applications}-web"
        rule_text = f"{{name: let, allow: tcp/{10_000 + number}, from: {key}-{value}, to: {to}}}"
        file += [f"  - name: {key}-{value}", f"    rules: [{rule_text}]"]
    management = "      - {name: manage, allow: [tcp/22, icmp/echo], from: management, to: everybody}"
    head = ["policies:", "  - name: management", "    tier: infrastructure", "    rules:"]
    found["management.yaml"] = [*head, management]
    found["groups.yaml"] = groups
    return {name: ("\n".join(lines) + "\n").encode() for name, lines in found.items()}


def database(size: Size) -> Database:
    """The rows of a switch with these bridges: an uplink each, and their vNICs."""
    bridges: dict[str, BridgeRow] = {}
    ports: dict[str, PortRow] = {}
    interfaces: dict[str, InterfaceRow] = {}
    for bridge in range(size.bridges):
        here = [f"p-eth{bridge}"]
        ports[here[0]] = PortRow(here[0], f"eth{bridge}", interfaces=(f"i-eth{bridge}",))
        interfaces[f"i-eth{bridge}"] = InterfaceRow(f"i-eth{bridge}", f"eth{bridge}", ofport=60_000)
        for place in range(size.vnics):
            number = bridge * size.vnics + place
            name = f"tap{number}"
            mac = f"{MAC + number:012x}"
            ids = {"iface-id": f"vm-{number}", "attached-mac": ":".join(mac[i : i + 2] for i in range(0, 12, 2))}
            here.append(f"p-{name}")
            ports[f"p-{name}"] = PortRow(f"p-{name}", name, tag=10, interfaces=(f"i-{name}",))
            interfaces[f"i-{name}"] = InterfaceRow(f"i-{name}", name, ofport=place + 1, external_ids=ids)
        uuid = f"b-{bridge}"
        secure = {"disable-in-band": "true"}
        bridges[uuid] = BridgeRow(uuid, f"br{bridge}", bridge + 1, "secure", secure, tuple(here))
    return Database(REMOTE, {"s": SwitchRow("s", hostname="hv1", bridges=tuple(bridges))}, bridges, ports, interfaces)
