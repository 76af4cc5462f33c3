"""A data centre's policy, made up but not random: applications in tiers, management, feeds of bad addresses.

The same numbers make the same files. Text is written directly, in flow style, as a script of an operator would.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

ROLES = ("web", "app", "db", "cache")
FEED_CIDRS, FEED_EXCEPTIONS = 40, 5


@dataclass(frozen=True)
class Size:
    """How large: VMs, groups and rules. Groups are a group for each role of each application, and one feed for ten of
    these; rules are shared among applications after management has its own."""

    vms: int
    groups: int = 500
    rules: int = 2000
    seed: int = 1

    @property
    def feeds(self) -> int:
        return self.groups // 10

    @property
    def applications(self) -> int:
        return (self.groups - self.feeds - len(MANAGEMENT_GROUPS)) // len(ROLES)


MANAGEMENT_GROUPS = {
    "all-vms": "match: all()",
    "prod": "match: env == prod",
    "dev": "match: env == dev",
    "databases": "match: role == db",
    "webs": "match: role == web",
    "bastions": "match: role == bastion",
    "monitors": "match: role == monitor",
    "backups": "match: role == backup",
    "office": 'cidrs: [198.18.0.0/16, "2001:db8:100::/48"], except: [198.18.66.0/24, 198.18.7.7]',
    "resolvers": 'cidrs: [10.255.0.2, 10.255.0.3, "2001:db8:ffff::2"]',
    "legacy": 'match: "not has(env) or env == legacy"',
    "front": "any_of: [webs, bastions]",
}
MANAGEMENT_RULES = (
    "{name: office-ssh, allow: ssh, from: office, to: bastions}",
    "{name: bastion-ssh, allow: [ssh, ping], from: bastions, to: all-vms}",
    "{name: dns, allow: dns, from: all-vms, to: resolvers}",
    "{name: ntp, allow: udp/123, from: all-vms, to: resolvers}",
    "{name: monitoring, allow: [metrics, ping], from: monitors, to: all-vms}",
    "{name: traps, allow: udp/162, from: all-vms, to: monitors}",
    "{name: backup, allow: tcp/10000-10010, from: backups, to: databases}",
    "{name: no-telnet, deny: tcp/23, to: all-vms, direction: in, log: true}",
)
# Last of the policy; `changed` widens it, which is the change of one rule that `diff` is measured with.
LAST_RULE = "{name: last, allow: tcp/9999, from: app-0-app, to: app-1-db}"
CHANGED_RULE = "{name: last, allow: tcp/9998-9999, from: app-0-app, to: app-1-db}"
ASSERTIONS = (
    "{name: bastion-reaches-all, always: ssh, from: bastions, to: all-vms}",
    "{name: names-resolve, always: dns, from: all-vms, to: resolvers}",
    "{name: no-telnet, never: tcp/23, from: any, to: all-vms}",
    "{name: feeds-are-out, never: any, from: feed-0, to: all-vms}",
    "{name: dev-not-prod, never: tcp, from: dev, to: prod}",
    "{name: databases-are-inside, never: any, from: office, to: databases}",
    "{name: apps-apart, never: any, from: app-0-web, to: app-1-app}",
    "{name: https-is-open, always: tcp/443, from: office, to: app-2-web}",
)
# Ends of the last rule and of assertions, in production at any size: VM's number -> application and role.
ALWAYS_THERE = {5: (0, "app"), 6: (1, "db"), 7: (0, "web"), 8: (1, "app"), 9: (2, "web")}


def files(size: Size, *, changed: bool = False, assertions: bool = False) -> dict[str, str]:
    """The policy's files: name to text."""
    random = Random(size.seed)
    found = {
        "inventory.yaml": "\n".join(("version: 1", "networks: {prod: {vlan: 10}}", "vms:", *_vms(size, random))),
        "groups.yaml": "\n".join(("groups:", *_groups(size, random))),
        "services.yaml": "services: {ssh: tcp/22, dns: [udp/53, tcp/53], metrics: tcp/9100, ping: icmp/echo}",
        "policies.yaml": "\n".join(("policies:", *_policies(size, changed))),
    }
    if assertions:
        found["assertions.yaml"] = "\n".join(("assertions:", *(f"  - {each}" for each in ASSERTIONS)))
    return {name: text + "\n" for name, text in found.items()}


def _vms(size: Size, random: Random) -> Iterator[str]:
    management = ["bastion", "bastion", "monitor", "monitor", "backup"]
    for number in range(size.vms):
        address = f"10.{number // 60000}.{number // 250 % 240}.{number % 250 + 1}"
        addresses = f'{address}, "2001:db8::{number + 1:x}"' if number % 2 else address
        if number < len(management):
            labels = f"role: {management[number]}, env: prod"
        else:
            application, role = random.randrange(size.applications), random.choice(ROLES)
            env = random.choice(("prod", "prod", "dev"))
            if number in ALWAYS_THERE:
                application, role, env = *ALWAYS_THERE[number], "prod"
            labels = f"app: app-{application}, role: {role}, env: {env}"
        yield f"  vm-{number}: {{network: prod, labels: {{{labels}, host: h{number % 97}}}, addresses: [{addresses}]}}"


def _groups(size: Size, random: Random) -> Iterator[str]:
    for name, text in MANAGEMENT_GROUPS.items():
        yield f"  {name}: {{{text}}}"
    for application in range(size.applications):
        for role in ROLES:
            yield f"  app-{application}-{role}: {{match: app == app-{application} and role == {role}}}"
    for feed in range(size.feeds):
        cidrs = [f"{random.randrange(11, 126)}.{random.randrange(256)}.{random.randrange(256)}.0/24"
                 for _ in range(FEED_CIDRS)]  # fmt: skip
        excepts = [cidr.replace(".0/24", f".{random.randrange(256)}") for cidr in cidrs[:FEED_EXCEPTIONS]]
        yield f"  feed-{feed}: {{cidrs: [{', '.join(cidrs)}], except: [{', '.join(excepts)}]}}"


def _policies(size: Size, changed: bool) -> Iterator[str]:
    yield "  - name: feeds\n    tier: emergency\n    rules:"
    for feed in range(size.feeds):
        yield f"      - {{name: feed-{feed}, deny: any, from: feed-{feed}}}"
    yield "  - name: management\n    tier: infrastructure\n    rules:"
    yield from (f"      - {rule}" for rule in MANAGEMENT_RULES)
    yield "  - name: apart\n    tier: environment\n    rules:"
    yield "      - {name: dev-prod, deny: any, from: dev, to: prod}"
    yield "      - {name: prod-dev, deny: any, from: prod, to: dev}"
    left = size.rules - size.feeds - len(MANAGEMENT_RULES) - 2 - 1
    for application in range(size.applications):
        share = left // size.applications + (application < left % size.applications)
        yield f"  - name: app-{application}\n    rules:"
        yield from (f"      - {rule}" for rule in _of_application(f"app-{application}", share))
    yield f"  - name: z-last\n    rules:\n      - {CHANGED_RULE if changed else LAST_RULE}"


def _of_application(name: str, count: int) -> Iterator[str]:
    """The usual rules of an application, then more ports until there are enough."""
    usual = [
        f"{{name: https, allow: tcp/443, from: any, to: {name}-web, direction: in}}",
        f"{{name: api, allow: tcp/8080-8089, from: {name}-web, to: {name}-app}}",
        f"{{name: sql, allow: tcp/3306, from: {name}-app, to: {name}-db}}",
        f"{{name: cache, allow: [tcp/6379, udp/11211], from: [{name}-web, {name}-app], to: {name}-cache}}",
        f"{{name: shut, reject: any, from: front, to: {name}-db, direction: in}}",
    ]
    for number in range(count):
        if number < len(usual):
            yield usual[number]
        else:
            source, target = ROLES[number % 4], ROLES[(number + 1) % 4]
            yield f"{{name: more-{number}, allow: tcp/{20000 + number}, from: {name}-{source}, to: {name}-{target}}}"
