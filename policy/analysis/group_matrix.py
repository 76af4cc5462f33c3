"""Groups to groups, over all their members: what goes through for every pair, for none, and for some.

Members are VMs with all their addresses, and addresses that nobody owns; `outside` are all of the latter. Exact, and
still quick: pairs of classes are decided once, and groups are put together from sets of decisions that come up again
and again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from policy.analysis.classes import EndpointClass, World
from policy.analysis.decide import Outcome, Rules
from policy.analysis.regions import ALL, EMPTY, FAMILY, Region
from policy.analysis.words import Service
from policy.model import Document, Verdict

OUTSIDE = "outside"


class _Answer(NamedTuple):
    """What an outcome comes to in a family, whichever rules say it: there are far fewer of these than of outcomes."""

    family: int
    allow: Region
    reject: Region

    def verdict(self, service: Service) -> Verdict:
        """What becomes of one kind of connection."""
        if service.within(self.allow):
            return Verdict.ALLOW
        return Verdict.REJECT if service.within(self.reject) else Verdict.DENY


class _Answers:
    """Gives each answer a number."""

    def __init__(self) -> None:
        self.known: list[_Answer] = []
        self._numbers: dict[_Answer, int] = {}
        self._of_outcome: dict[tuple[int, Outcome], int] = {}

    def number(self, family: int, outcome: Outcome) -> int:
        key = family, outcome
        if key not in self._of_outcome:
            answer = _Answer(family, outcome.allow & FAMILY[family], outcome.reject & FAMILY[family])
            if answer not in self._numbers:
                self._numbers[answer] = len(self.known)
                self.known.append(answer)
            self._of_outcome[key] = self._numbers[answer]
        return self._of_outcome[key]


@dataclass(frozen=True, slots=True)
class GroupCell:
    """``allow`` goes through from every member of one group to every one of the other, ``reject`` is rejected for all,
    ``mixed`` depends on the members. Everything else is denied for all. ``family`` None: there are pairs of both."""

    source: str
    destination: str
    family: int | None
    allow: Region
    reject: Region
    mixed: Region


@dataclass(frozen=True, slots=True)
class GroupServiceCell:
    """What becomes of one kind of connection; None: it depends on the members."""

    source: str
    destination: str
    verdict: Verdict | None


@dataclass(frozen=True, slots=True)
class _Summed:
    family: int | None
    allow: Region
    reject: Region
    mixed: Region


class GroupMatrix:
    """The groups of a policy that have a name and members, and `outside`."""

    def __init__(self, document: Document) -> None:
        self._world = World(document)
        self._rules = Rules(document, self._world.grouping)
        self._summed: dict[frozenset[int], _Summed] = {}
        self._answers = _Answers()
        bits = {name: self._world.grouping.bit(group) for name, group in document.groups.items()}
        self._names = [*bits, OUTSIDE]
        self._spaces = [_Space(classes, bits, self._rules, self._answers) for classes in self._world.by_space.values()]

    @cached_property
    def _cells(self) -> Mapping[tuple[str, str], frozenset[int]]:
        """The answers for all pairs of members, wherever there is such a pair."""
        found: dict[tuple[str, str], frozenset[int]] = {}
        for space in self._spaces:
            for pair, answers in space.cells():
                found[pair] = found[pair] | answers if pair in found else answers
        return {
            (source, destination): found[source, destination]
            for source in self._names
            for destination in self._names
            if (source, destination) in found
        }

    @property
    def groups(self) -> Sequence[str]:
        """The groups with members that meet anybody."""
        met = {name for pair in self._cells for name in pair}
        return [name for name in self._names if name in met]

    def cells(self) -> Iterator[GroupCell]:
        """All ordered pairs of groups with at least one pair of members whose connections count."""
        for (source, destination), numbers in self._cells.items():
            if numbers not in self._summed:
                self._summed[numbers] = _sum([self._answers.known[number] for number in numbers])
            found = self._summed[numbers]
            yield GroupCell(source, destination, found.family, found.allow, found.reject, found.mixed)

    def of_service(self, services: dict[int, Service]) -> Iterator[GroupServiceCell]:
        """The same with the verdict about one kind of connection; without pairs of families that do not have it."""
        verdict_of = {
            number: answer.verdict(services[answer.family])
            for number, answer in enumerate(self._answers.known)
            if answer.family in services
        }
        for (source, destination), numbers in self._cells.items():
            verdicts = {verdict_of[number] for number in numbers if number in verdict_of}
            if verdicts:
                only = next(iter(verdicts)) if len(verdicts) == 1 else None
                yield GroupServiceCell(source, destination, only)


def _sum(answers: Sequence[_Answer]) -> _Summed:
    """What all pairs have in common. What a pair's family does not have is no obstacle."""
    families = {answer.family for answer in answers}
    space = FAMILY[4] | FAMILY[6] if len(families) > 1 else FAMILY[answers[0].family]
    allow = reject = space
    some = EMPTY
    for answer in answers:
        impossible = ALL - FAMILY[answer.family]
        allow &= answer.allow | impossible
        reject &= answer.reject | impossible
        some |= answer.allow | answer.reject
    family = answers[0].family if len(families) == 1 else None
    return _Summed(family, allow, reject, some - allow - reject)


class _Space:
    """The groups' members in one scope and family."""

    def __init__(
        self, classes: Sequence[EndpointClass], bits: Mapping[str, int], rules: Rules, answers: _Answers
    ) -> None:
        self._classes = classes
        self._rules = rules
        self._answers = answers
        self._family = classes[0].family
        members = {name: [n for n, each in enumerate(classes) if each.members & bit] for name, bit in bits.items()}
        members[OUTSIDE] = [number for number, each in enumerate(classes) if each.is_outside]
        self._members = {name: found for name, found in members.items() if found}

    def cells(self) -> Iterator[tuple[tuple[str, str], frozenset[int]]]:
        """For each pair of groups the answers for all their members; nothing where no connection counts."""
        for destination, found in self._answers_with_groups().items():
            for source, members in self._members.items():
                together = frozenset().union(*{found[place] for place in members})
                if together:
                    yield (source, destination), together

    def _answers_with_groups(self) -> Mapping[str, list[frozenset[int]]]:
        """For each group the answers about connections of each class (by its place) to the group's members."""
        sources = [self._rules.source(each.kind, each.members) for each in self._classes]
        destinations = [self._rules.destination(each.kind, each.members) for each in self._classes]
        # Classes of one role as destinations are decided alike, so a group is mostly looked at by roles.
        roles = {role: place for place, role in enumerate(dict.fromkeys(destinations))}
        role_of = [roles[role] for role in destinations]
        of_group = {name: sorted({role_of[place] for place in found}) for name, found in self._members.items()}
        found: dict[str, list[frozenset[int]]] = defaultdict(list)
        for place, source in enumerate(sources):
            row = [self._answers.number(self._family, self._rules.between(source, role)) for role in roles]
            apart = self._not_met(place)
            for name, columns in of_group.items():
                members = self._members[name]
                if apart.isdisjoint(members):
                    found[name].append(frozenset([row[column] for column in columns]))
                else:
                    meeting = {role_of[member] for member in members if member not in apart}
                    found[name].append(frozenset([row[column] for column in meeting]))
        return found

    def _not_met(self, place: int) -> frozenset[int]:
        """Places of the classes with which this one's connections do not count."""
        mine = self._classes[place]
        if mine.is_outside:
            return self._outsiders
        if len(mine.ends) > 1:
            return frozenset()
        vnic = mine.ends[0].vnic
        return self._alone[vnic.id] if vnic is not None else frozenset()

    @cached_property
    def _outsiders(self) -> frozenset[int]:
        return frozenset(place for place, each in enumerate(self._classes) if each.is_outside)

    @cached_property
    def _alone(self) -> Mapping[str, frozenset[int]]:
        """The classes that are one vNIC's alone."""
        found: dict[str, set[int]] = defaultdict(set)
        for place, each in enumerate(self._classes):
            if len(each.ends) == 1 and each.ends[0].vnic is not None:
                found[each.ends[0].vnic.id].add(place)
        return {vnic: frozenset(places) for vnic, places in found.items()}
