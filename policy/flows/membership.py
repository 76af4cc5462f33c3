"""Which groups a vNIC is in whatever its address: by its labels and its VM's name (CIDRs: `policy.flows.borders`)."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from functools import lru_cache

from policy.flows.borders import Members
from policy.model import Group
from policy.selectors import attribute
from topology.vnic import Vnic

# A group, and the part of it by which a vNIC may be in it.
_Part = tuple[Group, Group]


@lru_cache(maxsize=1024)
def _same(members: Members) -> Members:
    """The same set as the last time, as the same object: there are far fewer sets than vNICs."""
    return members


def leaves(group: Group) -> Iterator[Group]:
    """The group and all groups of its unions."""
    yield group
    for part in group.any_of:
        yield from leaves(part)


class GroupIndex:
    """Groups by a label that their selectors need, so that a vNIC is asked about few of them.

    Of several labels that a selector needs the rarest counts: of `app == shop and role == web` the application.
    """

    def __init__(self, groups: Iterable[Group]) -> None:
        self._always: list[_Part] = []
        self._having: dict[tuple[str, str | None], list[_Part]] = defaultdict(list)
        self._of_vm: dict[str, list[_Part]] = defaultdict(list)
        picky: list[tuple[_Part, list[list[tuple[str, str | None]]]]] = []
        common: Counter[tuple[str, str | None]] = Counter()
        for group in groups:
            for leaf in leaves(group):
                for name in leaf.vms:
                    self._of_vm[name].append((group, leaf))
                if leaf.selector is None:
                    continue
                needs: list[list[tuple[str, str | None]]] = [
                    [(name, value) for value in values] for name, values in leaf.selector.needs()
                ]
                if needs:
                    picky.append(((group, leaf), needs))
                    common.update(value for need in needs for value in need)
                else:
                    self._always.append((group, leaf))
        for part, needs in picky:
            for value in min(needs, key=lambda need: sum(common[value] for value in need)):
                self._having[value].append(part)
        self._names = sorted({name for name, _ in self._having})

    def __bool__(self) -> bool:
        """False if no vNIC can be in any of the groups."""
        return bool(self._always or self._having or self._of_vm)

    def groups_of(self, vnic: Vnic) -> Members:
        """The groups that a vNIC is in whatever its address."""
        found: set[Group] = set()
        for parts in self._candidates(vnic):
            for group, leaf in parts:
                if leaf.tenant is None or leaf.tenant == vnic.tenant:
                    assert leaf.selector is not None
                    if leaf.selector.matches(vnic):
                        found.add(group)
        if vnic.vm is not None:
            for group, leaf in self._of_vm.get(vnic.vm, ()):
                if leaf.tenant is None or leaf.tenant == vnic.tenant:
                    found.add(group)
        return _same(frozenset(found))

    def _candidates(self, vnic: Vnic) -> Iterator[list[_Part]]:
        yield self._always
        for name in self._names:
            parts = self._having.get((name, attribute(vnic, name)))
            if parts is not None:
                yield parts
