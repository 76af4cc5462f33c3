"""The workload of the comparison, as data: who is there, in which groups, and what is allowed. The same for every peer.

Applications of ten VMs in the tiers web, app and db; a management group that may reach all; a client network with
exceptions; default deny both ways. Three VMs are real (namespaces with traffic), and measured: *left* and *right* talk,
*third* is the one that things happen to. With IPv6 every VM has an address of either family, and every rule among VMs
goes for both; traffic is IPv4.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network

from mininet_scenarios.lab.guests import mac_for

LEFT, RIGHT, THIRD = REAL = ("left", "right", "third")
TIERS = ("web", "web", "web", "web", "app", "app", "app", "app", "db", "db")
MANAGERS = 2

ALL, MANAGEMENT, CLIENTS, PROBERS = "everyone", "management", "clients", "probers"

# What *left* may ask of *right* all the time, and what *third* may, as long as it is in the group PROBERS.
STEADY_PORTS = (7000, 7099)
PROBE_PORTS = (7100, 7199)

# Addresses of a site's group, strewn among those of the others.
SITE_ADDRESSES = 10
CLIENT_NETWORK = "198.18.0.0/16"
CLIENT_EXCEPTIONS = ("198.18.66.0/24", "198.18.7.7/32")


@dataclass(frozen=True)
class Vm:
    """A VM with one vNIC; `groups` are the groups that it is in from the start."""

    name: str
    mac: str
    address: str
    groups: tuple[str, ...]
    ipv6: str | None = None

    @property
    def addresses(self) -> tuple[str, ...]:
        """All its addresses, IPv4 first."""
        return (self.address,) if self.ipv6 is None else (self.address, self.ipv6)


@dataclass(frozen=True)
class Service:
    """A protocol, and a range of destination ports; `icmp` stands for echo requests."""

    protocol: str
    first: int = 0
    last: int = 0


@dataclass(frozen=True)
class Rule:
    """What is allowed: from a group (None: anybody at all), to a group."""

    name: str
    source: str | None
    target: str
    service: Service
    # Whether the source is a group by address, none of whose members has a vNIC here.
    outside: bool = False


@dataclass(frozen=True)
class Workload:
    """Everything there is. `networks` are groups by address: group to CIDRs, exceptions already taken out."""

    vms: tuple[Vm, ...]
    networks: dict[str, tuple[str, ...]]
    rules: tuple[Rule, ...]
    probe: tuple[Rule, ...]
    ipv6: bool = False

    @property
    def members(self) -> dict[str, tuple[str, ...]]:
        """Groups of VMs: group to names, in order; every group that a rule names is there."""
        named = [group for rule in (*self.rules, *self.probe) for group in (rule.source, rule.target) if group]
        found: dict[str, list[str]] = {group: [] for group in named if group not in self.networks}
        for vm in self.vms:
            for group in vm.groups:
                found.setdefault(group, []).append(vm.name)
        return {group: tuple(names) for group, names in found.items()}

    def vm(self, name: str) -> Vm:
        """The VM of that name."""
        return next(vm for vm in self.vms if vm.name == name)

    @property
    def dummies(self) -> tuple[Vm, ...]:
        """The VMs without a guest behind their port."""
        return tuple(vm for vm in self.vms if vm.name not in REAL)


def address(number: int) -> str:
    """The address of VM `number`, in 10.0.0.0/8; never one that ends in .0 or .255."""
    return f"10.{number // 62500}.{number // 250 % 250}.{number % 250 + 1}"


def _site_address(number: int) -> str:
    return f"172.{16 + number // 62500}.{number // 250 % 250}.{number % 250 + 1}"


# A second address for *third*, which nobody else has.
SECOND_ADDRESS = "10.255.0.1"


def workload(size: int, *, ipv6: bool = False, sites: int = 0) -> Workload:
    """The workload with `size` vNICs, the three real ones among them; at least ten. `sites`: groups by address more."""
    if size < len(TIERS):
        raise ValueError(f"at least {len(TIERS)} vNICs, not {size}")
    applications = max(1, (size - len(REAL) - MANAGERS) // len(TIERS))
    vms = []
    for number in range(size):
        if number < len(REAL):
            name, groups = REAL[number], ("left", "right", PROBERS)[number : number + 1]
        elif number < len(REAL) + MANAGERS:
            name, groups = f"manager-{number - len(REAL)}", (MANAGEMENT,)
        else:
            place = number - len(REAL) - MANAGERS
            # What does not fill an application joins those that are there.
            application, tier = place // len(TIERS) % applications, TIERS[place % len(TIERS)]
            name, groups = f"vm-{place}", (f"app-{application}-{tier}",)
        second = f"2001:db8::{number + 1:x}" if ipv6 else None
        vms.append(Vm(name, mac_for(name), address(number), (*groups, ALL), second))
    rules = [
        Rule("manage", MANAGEMENT, ALL, Service("tcp", 22, 22)),
        Rule("ping", MANAGEMENT, ALL, Service("icmp")),
        Rule("clients", CLIENTS, ALL, Service("tcp", 8443, 8443), outside=True),
        Rule("steady-tcp", LEFT, RIGHT, Service("tcp", *STEADY_PORTS)),
        Rule("steady-udp", LEFT, RIGHT, Service("udp", *STEADY_PORTS)),
    ]
    for application in range(applications):
        web, app, db = (f"app-{application}-{tier}" for tier in ("web", "app", "db"))
        rules += [
            Rule(f"{web}-https", None, web, Service("tcp", 443, 443)),
            Rule(f"{app}-api", web, app, Service("tcp", 8080, 8089)),
            Rule(f"{db}-sql", app, db, Service("tcp", 3306, 3306)),
        ]
    probe = tuple(Rule(f"probe-{kind}", PROBERS, RIGHT, Service(kind, *PROBE_PORTS)) for kind in ("tcp", "udp"))
    networks = {CLIENTS: without(CLIENT_NETWORK, CLIENT_EXCEPTIONS)}
    for site in range(sites):
        name = f"site-{site}"
        networks[name] = tuple(f"{_site_address(site + sites * number)}/32" for number in range(SITE_ADDRESSES))
        rules.append(Rule(name, name, f"app-{site % applications}-web", Service("tcp", 8444, 8444), outside=True))
    return Workload(tuple(vms), networks, tuple(rules), probe, ipv6)


def without(network: str, exceptions: tuple[str, ...]) -> tuple[str, ...]:
    """The CIDRs that make up a network without some parts of it."""
    left = [IPv4Network(network)]
    for exception in map(IPv4Network, exceptions):
        left = [
            part
            for whole in left
            for part in (whole.address_exclude(exception) if exception.subnet_of(whole) else [whole])
        ]
    return tuple(map(str, sorted(left)))
