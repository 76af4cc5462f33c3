"""Loads a policy: files to one `Document`, or to all that is wrong with them.

Each file is read to a tree (`policy.source`), the trees' sections are put together, a namespace for each tenant
(`sections`, `namespaces`), and each kind of section is made into values by a file of its own: `networks`, `vms`,
`services`, `groups`, `rules`, `limit_reader`, `assertion_reader`. Nothing of a bad policy comes out of here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from policy import collector
from policy.analysis.assertions import check_assertions
from policy.errors import PolicyNotFound, Problem
from policy.files import read_files
from policy.kept import Kept
from policy.model import Builtins, Document, Policy
from policy.namespaces import NamespaceBook, nodes_of
from policy.networks import Networks
from policy.problems import Enough, Problems
from policy.sections import BUILTINS, VERSION, Part, Sections, part_of
from policy.source import NO_ENTRIES, Budget, Entries, read_again
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


class Loader:
    """Loads one policy again and again: what a file's edit does not change is not worked out again.

    What comes out is the same as of a new one, and what has not changed is the same object where that is cheap to say.
    """

    def __init__(self) -> None:
        self._memory: _Memory | None = None

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
        except Enough:
            raise problems.error() from None
        # Only of a policy without a mistake can anybody say what it lets through.
        failed = Problems()
        with suppress(Enough):
            for problem in check_assertions(document):
                failed.add(problem.place, problem.message)
        failed.check()
        return document

    def _document(self, files: Mapping[str, bytes], problems: Problems) -> Document:
        """Raises `PolicyError`, or `Enough` with all mistakes in ``problems``.

        A memory knows nothing of mistakes, so that it has nothing to tell again. At the first one, or when it has come
        to a bound, everything is read from the beginning: that says what is wrong, or it is the next memory.
        """
        if self._memory is not None and not problems:
            with suppress(Enough):
                return self._memory.document(files)
        memory = _Memory(problems)
        document = memory.document(files)
        problems.check()
        self._memory = memory.of_good_policies()
        return document


@dataclass(frozen=True, slots=True)
class _File:
    """A file as it was read: a digest of its contents, what it says, and the entries of its sections."""

    digest: bytes
    part: Part | None
    entries: Entries


class _Memory:
    """What a policy was read to, piece by piece, and the pieces that an edit does not concern are not read again.

    All bounds count what has been read since the memory began, whether or not it is still there: never less than there
    is.
    """

    def __init__(self, problems: Problems) -> None:
        self._problems = problems
        self._budget = Budget()
        self._files: dict[str, _File] = {}
        self._vms = VmBook()
        self._namespaces = NamespaceBook(problems)
        self._networks: Kept[Networks] = Kept()
        self._inventory = Inventory()
        self._policies: Kept[tuple[Policy, ...]] = Kept()

    def of_good_policies(self) -> _Memory:
        """The same, after a load without a mistake: from now on a mistake raises `Enough` and is not noted."""
        self._problems.one_is_enough = True
        return self

    def document(self, files: Mapping[str, bytes]) -> Document:
        """What the files say; of no use if a mistake was noted. Raises `Enough`."""
        problems = self._problems
        sections = Sections(self._parts(files), problems)
        if sections.version is None and not problems.incomplete:
            problems.add(Place(min(files), 1, 1), f"no file says 'version: {VERSION}'")
        networks = self._networks.of(tuple(nodes_of(sections.networks)), partial(Networks, sections.networks, problems))
        machines = self._vms.machines(sections.vms, sections.vms_by_file, networks, problems)
        said = self._namespaces.read(sections, machines.names, networks.scopes)
        inventory = Inventory(machines.vms, tuple(networks.networks.values()))
        if inventory.vms is not self._inventory.vms or inventory.networks != self._inventory.networks:
            self._inventory = inventory
        policies = tuple(sorted(said.policies, key=_walking_order))
        return Document(
            inventory=self._inventory,
            groups=said.groups,
            services=said.services,
            policies=self._policies.of(policies, lambda: policies),
            builtins=Builtins(**{BUILTINS[name]: on for name, (_, on) in sections.builtins.items()}),
            revision=revision_of(files),
            assertions=tuple(said.assertions),
            limits=tuple(said.limits),
        )

    def _parts(self, files: Mapping[str, bytes]) -> Iterator[Part]:
        """What each file says, of those that can be read."""
        read: dict[str, _File] = {}
        for name in sorted(files):
            read[name] = file = self._read(name, files[name])
            if file.part is not None:
                yield file.part
        self._files = read

    def _read(self, name: str, data: bytes) -> _File:
        digest = hashlib.sha256(data).digest()
        before = self._files.get(name)
        if before is not None and before.digest == digest:
            return before
        earlier = NO_ENTRIES if before is None else before.entries
        root, entries = read_again(name, data, self._budget, self._problems, earlier)
        return _File(digest, None if root is None else part_of(root, self._problems), entries)


def _walking_order(policy: Policy) -> tuple[int, int, str, str]:
    """Tier, order, name; where all are equal the provider first, then tenants by name."""
    return policy.tier, policy.order, policy.name, policy.tenant or ""
