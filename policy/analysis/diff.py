"""What a new policy lets through that the old one did not, and the other way round: exactly, in few lines.

Two policies are laid over each other (`joint`), the pairs of classes that may have changed are found (`affected`), both
policies are asked about each, and what comes out is said in rectangles with names (`lines`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from policy.analysis.affected import affected, moves, places
from policy.analysis.decide import Outcome, Part, Partition, Rules
from policy.analysis.joint import Joint, JointClass, join
from policy.analysis.regions import EMPTY, FAMILY, Region
from policy.evaluate import DEFAULT_TIER
from policy.model import Document


class RuleRef(NamedTuple):
    """The rule that decides: a side's fields from `tier` to `line`, as `explain` has them."""

    tier: str
    tenant: str | None = None
    policy: str | None = None
    rule: str | None = None
    file: str | None = None
    line: int | None = None


@dataclass(frozen=True, slots=True)
class Shift:
    """Services that go through in one policy only. A rule is None where nobody decides.

    ``widened``: it is the new policy that lets them through.
    """

    widened: bool
    old: RuleRef | None
    new: RuleRef | None


# (place of the source's class, of the destination's) -> services, for each shift.
ClassShifts = dict[Shift, dict[tuple[int, int], Region]]
# Neither policy judges between outsiders, and where there is nobody nothing goes through.
_NOTHING = Outcome(None, None, EMPTY, EMPTY)


def shifts_between(old: Document, new: Document) -> tuple[Joint, ClassShifts]:
    """All that changes, pair of classes by pair of classes; and the classes.

    Only rules about services that can fare differently count from then on, which leaves fewer classes: a new rule about
    one port between all VMs is compared in no time, whatever else tells these VMs apart.
    """
    joint = join(old, new)
    moved = moves(joint)
    joint = joint.seen_by(joint.old.rules.touching(moved.region), joint.new.rules.touching(moved.region))
    found: ClassShifts = defaultdict(dict)
    comparer = _Comparer(joint, moved.region)
    for place, destinations in enumerate(affected(joint, moved)):
        source = joint.classes[place]
        for other in places(destinations & comparer.meeting[source.scope, source.family]):
            for shift, region in comparer.shifts(source, joint.classes[other]):
                found[shift][place, other] = region
    return joint, found


class _Comparer:
    def __init__(self, joint: Joint, region: Region) -> None:
        self._region = region
        self._rules = joint.old.rules, joint.new.rules
        self._known: dict[tuple[Outcome, Outcome, int], list[tuple[Shift, Region]]] = {}
        self._refs: tuple[dict[int | None, RuleRef], dict[int | None, RuleRef]] = ({}, {})
        self.meeting: dict[tuple[str, int], int] = defaultdict(int)
        for place, each in enumerate(joint.classes):
            self.meeting[each.scope, each.family] |= 1 << place

    def shifts(self, source: JointClass, destination: JointClass) -> list[tuple[Shift, Region]]:
        """What changes between two classes of one scope and family."""
        if source.is_outside and destination.is_outside:
            return []
        key = self._outcome(0, source, destination), self._outcome(1, source, destination), source.family
        if key not in self._known:
            self._known[key] = list(self._compared(*key))
        return self._known[key]

    def _outcome(self, which: int, source: JointClass, destination: JointClass) -> Outcome:
        first, second = ((each.old, each.new)[which] for each in (source, destination))
        if first is None or second is None or (first.is_outside and second.is_outside):
            return _NOTHING
        return self._rules[which].between(first.as_source, second.as_destination)

    def _compared(self, old: Outcome, new: Outcome, family: int) -> Iterator[tuple[Shift, Region]]:
        if old is new:
            return
        space = self._region & FAMILY[family]
        gained, lost = (new.allow - old.allow) & space, (old.allow - new.allow) & space
        merged: dict[Shift, Region] = defaultdict(lambda: EMPTY)
        for was, now, region in _responsible(old, new, gained):
            merged[Shift(True, self._ref(0, was), self._ref(1, now))] |= region
        for now, was, region in _responsible(new, old, lost):
            merged[Shift(False, self._ref(0, was), self._ref(1, now))] |= region
        yield from merged.items()

    def _ref(self, which: int, part: Part | None) -> RuleRef | None:
        if part is None:
            return None
        refs = self._refs[which]
        if part.by not in refs:
            refs[part.by] = rule_ref(self._rules[which], part.by)
        return refs[part.by]


def rule_ref(rules: Rules, by: int | None) -> RuleRef:
    """The rule at this place among those of a policy; None is the default."""
    if by is None:
        return RuleRef(DEFAULT_TIER)
    policy, rule = rules.deciders[by].policy, rules.deciders[by].rule
    return RuleRef(policy.tier.label, policy.tenant, policy.name, rule.name, rule.place.file, rule.place.line)


def _responsible(shut: Outcome, open: Outcome, region: Region) -> Iterator[tuple[Part | None, Part | None, Region]]:
    """Cuts services that only ``open`` lets through by the rules that make the difference.

    That is the first side on the path at which ``shut`` stops them, and what ``open`` decides at the same side.
    """
    for stopping, passing in ((shut.egress, open.egress), (shut.ingress, open.ingress)):
        if stopping is None or not region:
            continue
        for part in stopping.deciding(region - stopping.allow):
            yield from ((part, by, common) for by, common in _by(passing, part.region))
        region &= stopping.allow
    if region:
        # Nothing stops them but that nobody was there, or that neither end was anybody's.
        yield from ((None, by, common) for by, common in _by(open.egress or open.ingress, region))


def _by(partition: Partition | None, region: Region) -> Iterator[tuple[Part | None, Region]]:
    if partition is None:
        yield None, region
    else:
        yield from ((part, part.region) for part in partition.deciding(region))
