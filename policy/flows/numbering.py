"""Numbers for the sets of groups that occur, and which of them each group is in, while sets come and go."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from policy.flows.borders import EMPTY, Members
from policy.flows.cookies import digest, numbers
from policy.flows.identity import NOBODY
from policy.model import Group
from topology.breath import breathing


@dataclass(frozen=True, slots=True)
class Numbering:
    """``numbers``: set of groups -> number. ``members``: the reverse. ``holding``: group -> the numbers of its sets.

    A number is the digest of a text that names the set (``texts``), as long as no two of these are alike (``plain``).
    """

    numbers: Mapping[Members, int] = field(default_factory=lambda: {EMPTY: NOBODY})
    members: Mapping[int, Members] = field(default_factory=lambda: {NOBODY: EMPTY})
    holding: Mapping[Group, frozenset[int]] = field(default_factory=dict)
    texts: Mapping[Members, str] = field(default_factory=lambda: {EMPTY: ""})
    plain: bool = True

    def changed(self, come: set[Members], gone: set[Members], labels: Mapping[Group, str]) -> Numbering:
        """The numbers after these sets have come and gone; those of a new `Numbering`."""
        if not come and not gone:
            return self
        texts = {members: text for members, text in self.texts.items() if members not in gone}
        texts.update((members, "\n".join(sorted(labels[group] for group in members))) for members in come)
        taken = {digest(texts[members]): members for members in come}
        if not self.plain or len(taken) < len(come) or not taken.keys().isdisjoint(self.members):
            return _numbered(texts)
        left = {self.numbers[members]: members for members in gone}
        found = {**self.members, **taken}
        for number in left:
            del found[number]
        held = dict(self.holding)
        for several, more in ((left, False), (taken, True)):
            for number, members in several.items():
                for group in members:
                    before = held.get(group, frozenset())
                    held[group] = before | {number} if more else before - {number}
        for group in {group for members in gone for group in members}:
            if not held[group]:
                del held[group]
        return Numbering({members: number for number, members in found.items()}, found, held, texts)


def _numbered(texts: Mapping[Members, str]) -> Numbering:
    """All numbers found anew. Where two digests collide, they depend on each other."""
    own = {members: digest(text) for members, text in texts.items() if members}
    plain = len({NOBODY, *own.values()}) == len(texts)
    if not plain:
        by_text = numbers(texts[members] for members in own)
        own = {members: by_text[texts[members]] for members in own}
    several: dict[Group, set[int]] = defaultdict(set)
    for members, number in breathing(own.items()):
        for group in members:
            several[group].add(number)
    found = {EMPTY: NOBODY, **own}
    holding = {group: frozenset(numbers_in) for group, numbers_in in several.items()}
    return Numbering(found, {number: members for members, number in found.items()}, holding, texts, plain)
