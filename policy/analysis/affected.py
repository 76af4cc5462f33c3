"""Which pairs of classes can fare differently under two policies, found without asking each pair.

Rules that both policies have, in the same order, decide alike between those who are in them in both; so only pairs that
are in a rule of one policy alone, or that a common rule has gained or lost, can have changed. A change of one rule so
costs about as much as the rule is wide, not the square of the network.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from policy.analysis.decide import Decider, RuleBits
from policy.analysis.joint import Joint, View
from policy.analysis.regions import ALL, Region, unite
from policy.model import Side

# A set of classes: bit i stands for the i-th class.
ClassBits = int


@dataclass(frozen=True, slots=True)
class _Reach:
    """Whom a rule concerns at one side: the vNICs that enforce it there, and the peers that it matches."""

    own: ClassBits
    peer: ClassBits


NOBODY = _Reach(0, 0)


@dataclass(frozen=True, slots=True)
class Matched:
    """The rules that both policies have in the same order, as blocks: place in the old, in the new, length."""

    blocks: tuple[tuple[int, int, int], ...]
    only_old: RuleBits
    only_new: RuleBits

    @classmethod
    def of(cls, old: Sequence[Decider], new: Sequence[Decider]) -> Matched:
        matcher = SequenceMatcher(None, list(map(_key, old)), list(map(_key, new)), autojunk=False)
        blocks = tuple((match.a, match.b, match.size) for match in matcher.get_matching_blocks() if match.size)
        only_old, only_new = (1 << len(old)) - 1, (1 << len(new)) - 1
        for before, after, size in blocks:
            only_old &= ~(((1 << size) - 1) << before)
            only_new &= ~(((1 << size) - 1) << after)
        return cls(blocks, only_old, only_new)

    def to_new(self, rules: RuleBits) -> RuleBits:
        """Rules of the old policy at their partners' places in the new one."""
        return sum((rules >> before & (1 << size) - 1) << after for before, after, size in self.blocks)

    def to_old(self, rules: RuleBits) -> RuleBits:
        """Rules of the new policy at their partners' places in the old one."""
        return sum((rules >> after & (1 << size) - 1) << before for before, after, size in self.blocks)

    def pairs(self) -> Iterator[tuple[int, int]]:
        for before, after, size in self.blocks:
            yield from zip(range(before, before + size), range(after, after + size), strict=True)


@dataclass(frozen=True, slots=True)
class Moves:
    """What can make a difference between two policies.

    ``old`` and ``new`` are the rules of each that are in it alone, or that concern others than in the other.
    ``region``: only these services can fare differently.
    """

    matched: Matched
    old: RuleBits
    new: RuleBits
    region: Region


def moves(joint: Joint) -> Moves:
    """Compares the rules of two policies. Mostly few have moved, and only they are then looked at more closely."""
    old, new = joint.old.rules.deciders, joint.new.rules.deciders
    matched = Matched.of(old, new)
    changed = 0
    for each in joint.classes:
        for was, now in zip(_roles(each.old), _roles(each.new), strict=True):
            changed |= matched.to_new(was) ^ (now & ~matched.only_new)
    in_old, in_new = matched.to_old(changed) | matched.only_old, changed | matched.only_new
    if any(each.changes_kind for each in joint.classes):
        return Moves(matched, in_old, in_new, ALL)
    regions = {deciders[place].region for deciders, bits in ((old, in_old), (new, in_new)) for place in places(bits)}
    return Moves(matched, in_old, in_new, unite(regions))


def affected(joint: Joint, moved: Moves) -> list[ClassBits]:
    """For each class as a source the destinations with which it may fare differently."""
    found = [0] * len(joint.classes)
    old = _reaches([each.old for each in joint.classes], moved.old)
    new = _reaches([each.new for each in joint.classes], moved.new)
    partners = dict(moved.matched.pairs())
    pairs: list[tuple[int | None, int | None]] = [(place, partners.get(place)) for place in places(moved.old)]
    pairs += [(None, place) for place in places(moved.new & moved.matched.only_new)]
    for side in Side:
        for before, after in pairs:
            was, now = old.get((side, before), NOBODY), new.get((side, after), NOBODY)
            for own, peer in (
                (was.own ^ now.own, was.peer | now.peer),
                (was.own | now.own, was.peer ^ now.peer),
            ):
                sources, destinations = (own, peer) if side is Side.EGRESS else (peer, own)
                for place in places(sources) if destinations else ():
                    found[place] |= destinations
    _add_newcomers(joint, found)
    return found


def _add_newcomers(joint: Joint, found: list[ClassBits]) -> None:
    """Who comes, goes, or is firewalled in one policy only may fare differently with everybody."""
    changed = [place for place, each in enumerate(joint.classes) if each.changes_kind]
    bits = sum(1 << place for place in changed)
    everybody = (1 << len(found)) - 1
    if changed:
        for place in range(len(found)):
            found[place] |= bits
        for place in changed:
            found[place] = everybody


def _roles(view: View | None) -> tuple[RuleBits, RuleBits, RuleBits, RuleBits]:
    """A view's rules: own at egress, peer at egress, own at ingress, peer at ingress."""
    if view is None:
        return 0, 0, 0, 0
    return view.as_source[0] or 0, view.as_destination[1], view.as_destination[0] or 0, view.as_source[1]


def _reaches(views: Sequence[View | None], rules: RuleBits) -> dict[tuple[Side, int | None], _Reach]:
    """Whom each of these rules concerns, at both sides."""
    own: dict[tuple[Side, int], ClassBits] = defaultdict(int)
    peer: dict[tuple[Side, int], ClassBits] = defaultdict(int)
    for place, view in enumerate(views):
        roles = _roles(view)
        for side, own_rules, peer_rules in ((Side.EGRESS, *roles[:2]), (Side.INGRESS, *roles[2:])):
            for rule in places(own_rules & rules):
                own[side, rule] |= 1 << place
            for rule in places(peer_rules & rules):
                peer[side, rule] |= 1 << place
    return {key: _Reach(own[key], peer[key]) for key in {*own, *peer}}


def _key(decider: Decider) -> tuple[object, ...]:
    """What two rules must have in common to be taken for one; names mean nothing, but guess the partner best."""
    policy, rule = decider.policy, decider.rule
    return policy.tenant, policy.name, rule.name, policy.tier, rule.verdict, decider.region


def places(bits: int) -> Iterator[int]:
    """The places of the bits that are set."""
    while bits:
        lowest = bits & -bits
        yield lowest.bit_length() - 1
        bits ^= lowest
