"""What only the files tell, and the loaded policy no longer: which names are defined where, and which are named.

Read with the loader's own reader of YAML, so that both see the same; only policies that loaded come here, so every
shape is as the language says.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from policy.nodes import Mapping as MappingNode
from policy.nodes import Node, Scalar, Sequence
from policy.problems import PROVIDED, Problems
from policy.source import Budget, read
from policy.terms import is_term
from topology.inventory import Place

_VERDICTS = ("allow", "deny", "reject", "pass")
_CLAIMS = ("never", "always")


@dataclass(slots=True)
class Names:
    """The names of one kind: where each is defined, which others it names, and which are named by what counts."""

    places: dict[str, Place] = field(default_factory=dict)
    naming: dict[str, set[str]] = field(default_factory=dict)
    named: set[str] = field(default_factory=set)
    shared: set[str] = field(default_factory=set)

    def unused(self) -> list[str]:
        """Those that nothing leads to from a rule, an assertion, a limit or an offer."""
        used: set[str] = set()
        waiting = [*self.named, *self.shared]
        while waiting:
            name = waiting.pop()
            if name not in used:
                used.add(name)
                waiting.extend(self.naming.get(name, ()))
        return [name for name in self.places if name not in used]


@dataclass(slots=True)
class Sources:
    """Groups and services by name, a tenant's as `TENANT/NAME`."""

    groups: Names = field(default_factory=Names)
    services: Names = field(default_factory=Names)


def read_sources(files: Mapping[str, bytes]) -> Sources:
    """Reads the files of a policy that loaded."""
    found = Sources()
    budget = Budget()
    for name in sorted(files):
        root = read(name, files[name], budget, Problems())
        if root is not None:
            _File(found, root).read()
    return found


class _File:
    def __init__(self, sources: Sources, root: MappingNode) -> None:
        self._sources = sources
        self._sections = dict(_entries(root))
        tenant = self._sections.get("tenant")
        self._prefix = f"{tenant.text}/" if isinstance(tenant, Scalar) else ""

    def read(self) -> None:
        groups, services = self._sources.groups, self._sources.services
        for key, node in _items(self._sections.get("groups")):
            self._define(groups, key, node, _group_names(node))
        for key, node in _items(self._sections.get("services")):
            self._define(services, key, node, _service_names(node))
        for policy in _list(self._sections.get("policies")):
            for rule in _list(dict(_entries(policy)).get("rules")):
                self._use(rule, _VERDICTS)
        for assertion in _list(self._sections.get("assertions")):
            self._use(assertion, _CLAIMS)
        for _, limit in _items(self._sections.get("limits")):
            self._use(limit, ())

    def _define(self, names: Names, key: Scalar, node: Node, naming: Iterable[str]) -> None:
        name = self._prefix + key.text
        names.places[name] = key.place
        names.naming[name] = {self._full(other) for other in naming}
        shared = dict(_entries(node)).get("shared")
        if isinstance(shared, Scalar) and shared.text.lower() == "true":
            names.shared.add(name)

    def _use(self, node: Node, verbs: tuple[str, ...]) -> None:
        for key, value in _entries(node):
            if key in ("from", "to", "at", "for"):
                self._sources.groups.named |= {self._full(name) for name in _group_items(value)}
            elif key in verbs:
                self._sources.services.named |= {self._full(name) for name in _service_names(value)}

    def _full(self, name: str) -> str:
        return name.removeprefix(PROVIDED) if name.startswith(PROVIDED) else self._prefix + name


def _entries(node: Node | None) -> Iterator[tuple[str, Node]]:
    return ((key.text, value) for key, value in _items(node))


def _items(node: Node | None) -> Iterator[tuple[Scalar, Node]]:
    yield from node.entries if isinstance(node, MappingNode) else ()


def _list(node: Node | None) -> list[Node]:
    """Items of a list; a bare item is a list of one."""
    if isinstance(node, Sequence):
        return node.items
    return [] if node is None else [node]


def _group_items(node: Node | None) -> Iterator[str]:
    """The names in what stands where groups may."""
    for item in _list(node):
        if isinstance(item, Scalar):
            yield item.text
        else:
            yield from _group_names(item)


def _group_names(node: Node) -> Iterator[str]:
    """The names in a group's definition."""
    yield from _group_items(dict(_entries(node)).get("any_of"))


def _service_names(node: Node) -> Iterator[str]:
    """The names of services in a definition or a rule."""
    listed = dict(_entries(node)).get("terms") if isinstance(node, MappingNode) else node
    for item in _list(listed):
        if isinstance(item, Scalar) and (item.text.startswith(PROVIDED) or not is_term(item.text)):
            yield item.text
