"""The sections of all files of a load put together, in no particular order: what is defined twice is a problem.

The provider's files share one namespace, and the files of each tenant another. What there is only one of (networks,
VMs, limits, built-in rules, the version) only the provider's files may say.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from policy import fields
from policy.nodes import Kind, Node, Scalar
from policy.nodes import Mapping as MappingNode
from policy.problems import Problems, quoted
from topology.addresses import parse_address

VERSION = 1
# Sections whose entries have names: what such a name is called in messages.
_NAMED = {
    "networks": "a network's name",
    "vms": "a VM's name",
    "groups": "a group's name",
    "services": "a service's name",
    "limits": "a limit's name",
}
_LISTS = ("policies", "assertions")
_KEYS = ("version", "tenant", *_NAMED, *_LISTS, "builtins")
TENANTS_KEYS = ("version", "tenant", "groups", "services", *_LISTS)
_PROVIDERS_KEYS: Mapping[str, str] = MappingProxyType(
    {
        key: f"is the provider's; a tenant's file has {', '.join(TENANTS_KEYS)}"
        for key in _KEYS
        if key not in TENANTS_KEYS
    }
)
BUILTINS = {
    "dhcp-client": "dhcp_client",
    "router-discovery": "router_discovery",
    "multicast-listener": "multicast_listener",
}
_FIXED_BUILTINS = ("arp", "neighbour-discovery", "related-errors")
_SWITCH = {"on": True, "true": True, "off": False, "false": False}

Definitions = dict[str, tuple[Scalar, Node]]


@dataclass(frozen=True, slots=True)
class Part:
    """What one file says, by section. ``tenant``: whose it is; None is the provider."""

    tenant: str | None
    version: Scalar | None
    named: Mapping[str, Definitions]
    lists: Mapping[str, list[Node]]
    builtins: Mapping[str, tuple[Scalar, bool]]


@dataclass(slots=True)
class Namespace:
    """What the files of the provider (``tenant`` None) or of one tenant say for themselves."""

    tenant: str | None
    groups: Definitions = field(default_factory=dict)
    services: Definitions = field(default_factory=dict)
    limits: Definitions = field(default_factory=dict)
    policies: list[Node] = field(default_factory=list)
    assertions: list[Node] = field(default_factory=list)


class Sections:
    """Everything that the files say, by section. ``tenants`` are by name; ``vms_by_file`` are those of each file."""

    def __init__(self, parts: Iterable[Part], problems: Problems) -> None:
        self._problems = problems
        self.version: Scalar | None = None
        self.networks: Definitions = {}
        self.vms: Definitions = {}
        self.vms_by_file: list[Definitions] = []
        self.builtins: dict[str, tuple[Scalar, bool]] = {}
        self.provider = Namespace(None)
        self.tenants: dict[str, Namespace] = {}
        for part in parts:
            self._take(part)

    def _take(self, part: Part) -> None:
        namespace = self.provider
        if part.tenant is not None:
            namespace = self.tenants.setdefault(part.tenant, Namespace(part.tenant))
        self.version = self.version or part.version
        named = {
            "networks": self.networks,
            "vms": self.vms,
            "groups": namespace.groups,
            "services": namespace.services,
            "limits": namespace.limits,
        }
        for section, definitions in part.named.items():
            self._join(named[section], definitions)
        if "vms" in part.named:
            self.vms_by_file.append(part.named["vms"])
        namespace.policies += part.lists.get("policies", ())
        namespace.assertions += part.lists.get("assertions", ())
        for name, (key, _) in part.builtins.items():
            if name in self.builtins:
                self._problems.add(key, f"{name!r} is already at {self.builtins[name][0].place}")
        self.builtins = {**part.builtins, **self.builtins}

    def _join(self, defined: Definitions, more: Definitions) -> None:
        """Takes the definitions of another file; the first of a name counts."""
        twice = defined.keys() & more.keys()
        for name in twice:
            key = more[name][0]
            self._problems.add(key, f"{quoted(name)} is already at {defined[name][0].place}")
        defined.update({name: each for name, each in more.items() if name not in twice} if twice else more)


def part_of(root: MappingNode, problems: Problems) -> Part | None:
    """What one file says; None if nobody can tell whose it is."""
    of_tenant = any(key.text == "tenant" for key, _ in root.entries)
    if of_tenant:
        found = fields.fields(root, "a tenant's file", TENANTS_KEYS, problems, _PROVIDERS_KEYS) or {}
    else:
        found = fields.fields(root, "a policy file", _KEYS, problems) or {}
    nodes = {section: node for section, (_, node) in found.items()}
    version = _version(nodes["version"], problems) if "version" in nodes else None
    tenant = None
    if "tenant" in nodes:
        tenant = fields.name(nodes["tenant"], "a tenant's name", problems)
        if tenant is None:
            problems.incomplete = True
            # Its version counts: it says of what is read how it is to be read.
            return Part(None, version, {}, {}, {})
    return Part(
        tenant,
        version,
        {section: _definitions(section, nodes[section], problems) for section in nodes if section in _NAMED},
        {section: fields.items(nodes[section], f"'{section}'", problems) for section in nodes if section in _LISTS},
        _builtins(nodes["builtins"], problems) if "builtins" in nodes else {},
    )


def _version(node: Node, problems: Problems) -> Scalar | None:
    if not isinstance(node, Scalar) or node.kind is not Kind.INTEGER or node.text != str(VERSION):
        problems.add(node, f"this release reads policies of version {VERSION}, not of {fields.described(node)}")
    return node if isinstance(node, Scalar) else None


def _definitions(section: str, node: Node, problems: Problems) -> Definitions:
    """The entries of a section whose keys are names."""
    defined: Definitions = {}
    for key, value in fields.entries(node, f"'{section}'", problems):
        name = fields.name(key, _NAMED[section], problems)
        if name is None:
            continue
        # (No name has a colon.)
        if section == "vms" and name[0].isdigit() and _is_address(name):
            problems.add(key, f"a VM cannot be called {name!r}, like an address")
        else:
            defined[name] = (key, value)
    return defined


def _builtins(node: Node, problems: Problems) -> dict[str, tuple[Scalar, bool]]:
    switched: dict[str, tuple[Scalar, bool]] = {}
    found = fields.fields(node, "'builtins'", (*BUILTINS, *_FIXED_BUILTINS), problems)
    for name, (key, value) in (found or {}).items():
        if name in _FIXED_BUILTINS:
            problems.add(key, f"the built-in rule {name!r} cannot be turned off; only {', '.join(BUILTINS)}")
        elif not isinstance(value, Scalar) or value.text.lower() not in _SWITCH:
            problems.add(value, f"{name!r} must be on or off, not {fields.described(value)}")
        else:
            switched[name] = (key, _SWITCH[value.text.lower()])
    return switched


def _is_address(name: str) -> bool:
    try:
        parse_address(name)
    except ValueError:
        return False
    return True
