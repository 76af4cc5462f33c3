"""Groups as bits: who is in which groups, for many groups and many vNICs at once.

A set of groups is a number with a bit for each, so that "is this side in one of the rule's groups" is one `&`, whatever
the number of groups. Says the same as `policy.members`, in time that grows with vNICs plus groups.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from policy.model import Document, Group, Groups, Policy
from policy.selectors import Selector, attribute, parse_selector
from topology.vnic import Vnic

# A set of groups: bit i stands for the i-th group of a `Grouping`.
Members = int


@dataclass(frozen=True, slots=True)
class CidrPart:
    """A part of groups that matches by address: the ``groups`` that it is a part of."""

    group: Group
    groups: Members


@dataclass(slots=True)
class Grouping:
    """Numbers the groups of a policy in the order in which they are asked about.

    Groups are told apart by the object, not by their contents: the loader makes one object of a name, and to compare
    long lists of CIDRs would take longer than everything else here.
    """

    groups: list[Group] = field(default_factory=list)
    _bits: dict[int, Members] = field(default_factory=dict)
    _tenants: dict[str, Group] = field(default_factory=dict)

    def bit(self, group: Group) -> Members:
        """The set of this group alone."""
        found = self._bits.get(id(group))
        if found is None:
            found = self._bits[id(group)] = 1 << len(self.groups)
            self.groups.append(group)  # kept, so that its id stays its own
        return found

    def members(self, side: Groups) -> Members | None:
        """The groups of a rule's side as a set; None is any."""
        if side is None:
            return None
        found = 0
        for group in side:
            found |= self.bit(group)
        return found

    def enforcers(self, policy: Policy) -> Members | None:
        """Who may enforce the policy's rules: None is any vNIC; a tenant's rules only its own vNICs."""
        if policy.tenant is None:
            return None
        own = self._tenants.setdefault(policy.tenant, Group(selector=parse_selector("all()"), tenant=policy.tenant))
        return self.bit(own)

    def of_vnics(self, vnics: Sequence[Vnic]) -> list[Members]:
        """For each vNIC the groups that it is in whatever its address."""
        found = [0] * len(vnics)
        matcher = _Matcher(vnics)
        for group, groups in self._leaves():
            for place in matcher.matching(group):
                found[place] |= groups
        return found

    def cidr_parts(self) -> list[CidrPart]:
        """What matches by address."""
        return [CidrPart(group, groups) for group, groups in self._leaves() if group.cidrs]

    def _leaves(self) -> Iterator[tuple[Group, Members]]:
        """Each part of the groups once, with the groups that it is a part of."""
        parts: dict[int, Group] = {}
        groups_of: dict[int, Members] = defaultdict(int)
        for number, group in enumerate(self.groups):
            for part in _parts(group):
                parts[id(part)] = part
                groups_of[id(part)] |= 1 << number
        for key, part in parts.items():
            yield part, groups_of[key]


def _parts(group: Group) -> Iterable[Group]:
    """The group and all groups of its unions, each once."""
    found: dict[int, Group] = {}
    waiting = [group]
    while waiting:
        part = waiting.pop()
        if id(part) not in found:
            found[id(part)] = part
            waiting.extend(part.any_of)
    return found.values()


class _Alike:
    """The vNICs by what they have of some labels: those of one combination are alike to a selector that reads these."""

    def __init__(self, vnics: Sequence[Vnic], names: frozenset[str]) -> None:
        self._names = sorted(names)
        combinations: dict[tuple[str | None, ...], list[int]] = defaultdict(list)
        for place, vnic in enumerate(vnics):
            combinations[tuple(attribute(vnic, name) for name in self._names)].append(place)
        self._all = list(combinations.values())
        self._having: dict[tuple[str, str | None], list[list[int]]] = defaultdict(list)
        for combination, places in combinations.items():
            for name, value in zip(self._names, combination, strict=True):
                self._having[name, value].append(places)

    def candidates(self, selector: Selector) -> Iterable[list[int]]:
        """The combinations that the selector may pick; found by a label that it needs, where it needs one."""
        found = [
            [places for value in sorted(values) for places in self._having.get((name, value), ())]
            for name, values in selector.needs()
        ]
        return min(found, key=len, default=self._all)


class _Matcher:
    """Finds the vNICs that a group's selector or VM names pick.

    A selector is asked once for each combination of the labels that it reads, not for each vNIC, and only for those
    that have a label which it needs: each group like `app == shop and role == web` then asks about a few.
    """

    def __init__(self, vnics: Sequence[Vnic]) -> None:
        self._vnics = vnics
        self._of_vm: dict[str, list[int]] = defaultdict(list)
        for place, vnic in enumerate(vnics):
            if vnic.vm is not None:
                self._of_vm[vnic.vm].append(place)
        self._alike: dict[frozenset[str], _Alike] = {}

    def matching(self, group: Group) -> Iterator[int]:
        """Places of the vNICs that are in this part, some of them twice."""
        selector = group.selector
        if selector is not None:
            names = selector.reads()
            if names not in self._alike:
                self._alike[names] = _Alike(self._vnics, names)
            for places in self._alike[names].candidates(selector):
                if selector.matches(self._vnics[places[0]]):
                    yield from self._of_tenant(places, group.tenant)
        for name in group.vms:
            yield from self._of_tenant(self._of_vm.get(name, []), group.tenant)

    def _of_tenant(self, places: Iterable[int], tenant: str | None) -> Iterable[int]:
        if tenant is None:
            return places
        return (place for place in places if self._vnics[place].tenant == tenant)


def grouping_of(document: Document) -> Grouping:
    """The groups that the policy's rules and assertions name, and those that have a name."""
    grouping = Grouping()
    for policy in document.policies:
        grouping.enforcers(policy)
        for rule in policy.rules:
            for side in (rule.sources, rule.destinations, rule.at):
                grouping.members(side)
    for assertion in document.assertions:
        for side in (assertion.sources, assertion.destinations):
            grouping.members(side)
    for group in document.groups.values():
        grouping.bit(group)
    return grouping
