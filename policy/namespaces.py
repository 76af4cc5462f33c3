"""What the provider, and each tenant, say for themselves: sections become groups, services, policies, assertions."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain

from policy.assertion_reader import AssertionReader
from policy.groups import GroupLimits, GroupTable
from policy.kept import EachKept, Kept
from policy.limit_reader import limit_entries
from policy.model import Assertion, Group, LimitEntry, Policy, Term
from policy.nodes import Node
from policy.problems import Problems
from policy.rules import PolicyReader
from policy.sections import Definitions, Namespace, Sections
from policy.services import ServiceLimits, Services
from policy.speaker import Speaker

_NOBODY: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Said:
    """What all namespaces say, groups and services by name, a tenant's as ``TENANT/NAME``."""

    groups: dict[str, Group] = field(default_factory=dict)
    services: dict[str, tuple[Term, ...]] = field(default_factory=dict)
    policies: list[Policy] = field(default_factory=list)
    assertions: list[Assertion] = field(default_factory=list)
    limits: list[LimitEntry] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Tables:
    """What names mean in one namespace."""

    groups: GroupTable
    services: Services


class NamespaceBook:
    """The namespaces of one load after the other. What has not changed, and names nothing that has, is kept."""

    def __init__(self, problems: Problems) -> None:
        self._problems = problems
        self._group_limits, self._service_limits = GroupLimits(), ServiceLimits()
        self._books: dict[str | None, _Book] = {}

    def read(self, sections: Sections, names: Mapping[str | None, frozenset[str]], scopes: Collection[str]) -> Said:
        """What they say. ``names``: the VMs that each may name; ``scopes``: all address scopes."""
        said = Said()
        books: dict[str | None, _Book] = {}
        shared: _Tables | None = None
        for namespace in (sections.provider, *(sections.tenants[tenant] for tenant in sorted(sections.tenants))):
            tenant = namespace.tenant
            book = books[tenant] = self._books.get(tenant) or _Book()
            vms = names.get(tenant, _NOBODY)
            tables = book.tables.of(
                (shared, scopes, vms, *nodes_of(namespace.groups), None, *nodes_of(namespace.services)),
                partial(self._tables, namespace, Speaker(tenant, vms, scopes), shared),
            )
            shared = shared or tables
            book.read(namespace, tables, said, self._problems)
        self._books = books
        return said

    def _tables(self, namespace: Namespace, speaker: Speaker, shared: _Tables | None) -> _Tables:
        offers = ({}, {}) if shared is None else (shared.services.offered, shared.groups.offered)
        services = Services(namespace.services, speaker, offers[0], self._service_limits, self._problems)
        groups = GroupTable(namespace.groups, speaker, offers[1], self._group_limits, self._problems)
        return _Tables(groups, services)


class _Book:
    """One namespace."""

    def __init__(self) -> None:
        self.tables: Kept[_Tables] = Kept()
        self._tables: _Tables | None = None
        self._policies: EachKept[Node, Policy] = EachKept()
        self._assertions: EachKept[Node, Assertion] = EachKept()
        self._limits: Kept[tuple[LimitEntry, ...]] = Kept()

    def read(self, namespace: Namespace, tables: _Tables, said: Said, problems: Problems) -> None:
        """Adds what the namespace says."""
        tenant, groups, services = namespace.tenant, tables.groups, tables.services
        if tables is not self._tables:
            # All names may mean something else now.
            self._policies, self._assertions, self._tables = EachKept(), EachKept(), tables
        prefix = "" if tenant is None else f"{tenant}/"
        said.services.update({prefix + name: terms for name, terms in services.terms.items()})
        said.groups.update({prefix + name: group for name, group in groups.groups.items()})
        said.limits.extend(
            self._limits.of(
                (tables, *nodes_of(namespace.limits)),
                lambda: tuple(limit_entries(namespace.limits, groups, problems)),
            )
        )
        policies = self._policies.of(namespace.policies, PolicyReader(tenant, groups, services, problems).policy)
        assertions = self._assertions.of(
            namespace.assertions, AssertionReader(tenant, groups, services, problems).assertion
        )
        for each in (policies, assertions):
            _check_names(each, problems)
        said.policies.extend(policies)
        said.assertions.extend(assertions)


def _check_names(each: Sequence[Policy] | Sequence[Assertion], problems: Problems) -> None:
    """A reader sees a name twice only among those that it reads, and tells it itself."""
    if len({one.name for one in each}) < len(each) and not problems:
        problems.stop(each[0].place, "a name is there twice")


def nodes_of(definitions: Definitions) -> Iterator[Node]:
    """All keys and values: what the definitions are about."""
    return chain.from_iterable(definitions.values())
