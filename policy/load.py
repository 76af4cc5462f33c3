"""Loads a policy: files to one `Document`, or to all that is wrong with them.

Each file is read to a tree (`policy.source`), the trees' sections are put together, a namespace for each tenant
(`sections`), and each kind of section is made into values by a file of its own: `networks`, `vms`, `services`,
`groups`, `rules`, `limit_reader`, `assertion_reader`. Nothing of a bad policy comes out of here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from operator import is_
from pathlib import Path

from policy import collector
from policy.analysis.assertions import check_assertions
from policy.assertion_reader import AssertionReader
from policy.errors import PolicyNotFound, Problem
from policy.files import read_files
from policy.groups import GroupLimits, GroupTable
from policy.limit_reader import limit_entries
from policy.model import Assertion, Builtins, Document, Group, LimitEntry, Policy, Term
from policy.networks import Networks
from policy.nodes import Mapping as MappingNode
from policy.problems import Enough, Problems
from policy.rules import PolicyReader
from policy.sections import BUILTINS, VERSION, Namespace, Sections
from policy.services import ServiceLimits, Services
from policy.source import Budget, read
from policy.speaker import Speaker
from policy.vms import VmBook
from topology.inventory import Inventory, Place


def load(path: Path | str) -> Document:
    """The policy in a file or directory.

    Raises `PolicyError` with all problems of the load, and `PolicyNotFound` (one of these) if there is no policy.
    """
    return Loader().load(path)


def load_texts(files: Mapping[str, bytes]) -> Document:
    """The policy that files of these names and contents make up. Raises like `load`."""
    return Loader().load_texts(files)


def revision_of(files: Mapping[str, bytes]) -> str:
    """A digest of the files' names and contents: 12 hex digits, the same everywhere."""
    digest = hashlib.sha256()
    for name in sorted(files):
        for part in (name.encode(), files[name]):
            digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class _File:
    """A file that was read without a mistake, by a digest of its contents, and what it took of the `Budget`."""

    digest: bytes
    root: MappingNode
    nodes: int
    characters: int


class Loader:
    """Loads one policy again and again: a file that is as it was is not parsed again, nor are its VMs read again.

    What comes out is the same as of a new one, and what has not changed is the same object where that is cheap to say.
    """

    def __init__(self) -> None:
        self._files: dict[str, _File] = {}
        self._vms = VmBook()
        self._inventory = Inventory()

    def load(self, path: Path | str) -> Document:
        """As the function of that name."""
        problems = Problems()
        return self._load(read_files(Path(path), problems), problems)

    def load_texts(self, files: Mapping[str, bytes]) -> Document:
        """As the function of that name."""
        if not files:
            raise PolicyNotFound([Problem(Place(".", 1, 1), "no policy files")])
        return self._load(files, Problems())

    def _load(self, files: Mapping[str, bytes], problems: Problems) -> Document:
        try:
            with collector.paused():
                document = self._document(files, problems)
            problems.check()
            # Only of a policy without a mistake can anybody say what it lets through.
            for problem in check_assertions(document):
                problems.add(problem.place, problem.message)
        except Enough:
            raise problems.error() from None
        problems.check()
        return document

    def _document(self, files: Mapping[str, bytes], problems: Problems) -> Document:
        sections = Sections(problems)
        for root in self._roots(files, problems):
            sections.add_file(root)
        if sections.version is None and not problems.incomplete:
            problems.add(Place(min(files), 1, 1), f"no file says 'version: {VERSION}'")

        networks = Networks(sections.networks, problems)
        machines = self._vms.vms(sections.vms, networks, problems)
        reader = _NamespaceReader(networks.scopes, problems)
        reader.read(sections.provider, sections.vms.keys())
        for tenant in sorted(sections.tenants):
            reader.read(sections.tenants[tenant], [vm.name for vm in machines if vm.tenant == tenant])
        inventory = Inventory(tuple(machines), tuple(networks.networks.values()))
        if not _all_same(inventory, self._inventory):
            self._inventory = inventory
        return Document(
            inventory=self._inventory,
            groups=reader.groups,
            services=reader.services,
            policies=tuple(sorted(reader.policies, key=_walking_order)),
            builtins=Builtins(**{BUILTINS[name]: on for name, (_, on) in sections.builtins.items()}),
            revision=revision_of(files),
            assertions=tuple(reader.assertions),
            limits=tuple(reader.limits),
        )

    def _roots(self, files: Mapping[str, bytes], problems: Problems) -> Iterator[MappingNode]:
        """What each file holds, of those that can be read."""
        known, self._files = self._files, {}
        budget = Budget()
        for name in sorted(files):
            digest = hashlib.sha256(files[name]).digest()
            file = known.get(name)
            if file is not None and file.digest == digest and budget.affords(file.nodes, file.characters):
                budget.spend(file.nodes, file.characters)
            else:
                file = _read_file(name, files[name], digest, budget, problems)
            if file is not None:
                yield file.root
                if file.digest:
                    self._files[name] = file


def _all_same(one: Inventory, other: Inventory) -> bool:
    """True if two inventories have the same objects for VMs: then they may be one object too."""
    return one.networks == other.networks and len(one.vms) == len(other.vms) and all(map(is_, one.vms, other.vms))


def _read_file(name: str, data: bytes, digest: bytes, budget: Budget, problems: Problems) -> _File | None:
    before, nodes, characters = len(problems), budget.nodes, budget.characters
    root = read(name, data, budget, problems)
    if root is None:
        return None
    # Of a file with a mistake there is no digest: it is read again, so that it is told again.
    told = len(problems) > before
    return _File(b"" if told else digest, root, nodes - budget.nodes, characters - budget.characters)


class _NamespaceReader:
    """Reads the provider's namespace, and after it the tenants', which may name what the provider shares."""

    def __init__(self, scopes: Iterable[str], problems: Problems) -> None:
        self._scopes = tuple(scopes)
        self._problems = problems
        self._group_limits, self._service_limits = GroupLimits(), ServiceLimits()
        self._shared_groups: Mapping[str, Group] = {}
        self._shared_services: Mapping[str, tuple[Term, ...]] = {}
        self.groups: dict[str, Group] = {}
        self.services: dict[str, tuple[Term, ...]] = {}
        self.policies: list[Policy] = []
        self.assertions: list[Assertion] = []
        self.limits: list[LimitEntry] = []

    def read(self, namespace: Namespace, machines: Iterable[str]) -> None:
        """Reads one namespace, whose owner may name these VMs."""
        tenant, problems = namespace.tenant, self._problems
        speaker = Speaker(tenant, frozenset(machines), self._scopes)
        services = Services(namespace.services, speaker, self._shared_services, self._service_limits, problems)
        groups = GroupTable(namespace.groups, speaker, self._shared_groups, self._group_limits, problems)
        if tenant is None:
            self._shared_services, self._shared_groups = services.offered, groups.offered
        prefix = "" if tenant is None else f"{tenant}/"
        self.services.update({prefix + name: terms for name, terms in services.terms.items()})
        self.groups.update({prefix + name: group for name, group in groups.groups.items()})
        policies = PolicyReader(tenant, groups, services, problems)
        self.limits += limit_entries(namespace.limits, groups, problems)
        self.policies += filter(None, map(policies.policy, namespace.policies))
        assertions = AssertionReader(tenant, groups, services, problems)
        self.assertions += filter(None, map(assertions.assertion, namespace.assertions))


def _walking_order(policy: Policy) -> tuple[int, int, str, str]:
    """Tier, order, name; where all are equal the provider first, then tenants by name."""
    return policy.tier, policy.order, policy.name, policy.tenant or ""
