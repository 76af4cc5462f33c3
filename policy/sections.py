"""The sections of all files of a load put together, in no particular order: what is defined twice is a problem.

The provider's files share one namespace, and the files of each tenant another. What there is only one of (networks,
VMs, limits, built-in rules, the version) only the provider's files may say.
"""

from __future__ import annotations

from collections.abc import Mapping
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
    """Everything that the files say, by section. ``tenants`` are by name."""

    def __init__(self, problems: Problems) -> None:
        self._problems = problems
        self.version: Scalar | None = None
        self.networks: Definitions = {}
        self.vms: Definitions = {}
        self.builtins: dict[str, tuple[Scalar, bool]] = {}
        self.provider = Namespace(None)
        self.tenants: dict[str, Namespace] = {}

    def add_file(self, root: MappingNode) -> None:
        """Takes the sections of one file."""
        of_tenant = any(key.text == "tenant" for key, _ in root.entries)
        if of_tenant:
            found = fields.fields(root, "a tenant's file", TENANTS_KEYS, self._problems, _PROVIDERS_KEYS) or {}
        else:
            found = fields.fields(root, "a policy file", _KEYS, self._problems) or {}
        if "version" in found:
            self._version(found["version"][1])
        namespace = self._tenant(found["tenant"][1]) if "tenant" in found else self.provider
        if namespace is not None:
            self._take(namespace, {section: node for section, (_, node) in found.items()})

    def _tenant(self, node: Node) -> Namespace | None:
        """The namespace of a tenant's file; None if nobody can tell whose it is."""
        name = fields.name(node, "a tenant's name", self._problems)
        if name is None:
            self._problems.incomplete = True
            return None
        return self.tenants.setdefault(name, Namespace(name))

    def _take(self, namespace: Namespace, found: Mapping[str, Node]) -> None:
        named = {
            "networks": self.networks,
            "vms": self.vms,
            "groups": namespace.groups,
            "services": namespace.services,
            "limits": namespace.limits,
        }
        lists = {"policies": namespace.policies, "assertions": namespace.assertions}
        for section, node in found.items():
            if section in named:
                self._definitions(named[section], section, node)
            elif section in lists:
                lists[section].extend(fields.items(node, f"'{section}'", self._problems))
            elif section == "builtins":
                self._builtins(node)

    def _version(self, node: Node) -> None:
        if isinstance(node, Scalar):
            self.version = self.version or node
        if not isinstance(node, Scalar) or node.kind is not Kind.INTEGER or node.text != str(VERSION):
            self._problems.add(
                node, f"this release reads policies of version {VERSION}, not of {fields.described(node)}"
            )

    def _definitions(self, defined: Definitions, section: str, node: Node) -> None:
        """Takes the entries of a section whose keys are names."""
        for key, value in fields.entries(node, f"'{section}'", self._problems):
            name = fields.name(key, _NAMED[section], self._problems)
            if name is None:
                continue
            if name in defined:
                self._problems.add(key, f"{quoted(name)} is already at {defined[name][0].place}")
            elif section == "vms" and _is_address(name):
                self._problems.add(key, f"a VM cannot be called {name!r}, like an address")
            else:
                defined[name] = (key, value)

    def _builtins(self, node: Node) -> None:
        found = fields.fields(node, "'builtins'", (*BUILTINS, *_FIXED_BUILTINS), self._problems)
        for name, (key, value) in (found or {}).items():
            if name in _FIXED_BUILTINS:
                self._problems.add(key, f"the built-in rule {name!r} cannot be turned off; only {', '.join(BUILTINS)}")
                continue
            if not isinstance(value, Scalar) or value.text.lower() not in _SWITCH:
                self._problems.add(value, f"{name!r} must be on or off, not {fields.described(value)}")
                continue
            if name in self.builtins:
                self._problems.add(key, f"{name!r} is already at {self.builtins[name][0].place}")
                continue
            self.builtins[name] = (key, _SWITCH[value.text.lower()])


def _is_address(name: str) -> bool:
    try:
        parse_address(name)
    except ValueError:
        return False
    return True
