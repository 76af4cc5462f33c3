"""Priorities of rules within their tier's table: a place for each, with gaps, so that inserting a rule moves none.

A place that a rule holds already (on the switch) is kept wherever the order of the rules allows it, so a change touches
few flows; where nothing is held, the places are spread evenly and follow from the order alone. A bridge uses few of all
rules, and its places are found in a time that grows with these, not with the others between them.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

LOWEST, HIGHEST = 2, 0xFFFE


class TooManyRules(Exception):
    """A tier has more rules than a table has priorities."""


class Order:
    """The rules of one tier, first to decide first, and the priorities that follow for any of them.

    Which are asked for makes no difference to a rule's priority, only to the time that it takes.
    """

    def __init__(self, numbers: Iterable[int]) -> None:
        """Raises ``TooManyRules``."""
        self.numbers = tuple(numbers)
        self._index = {number: index for index, number in enumerate(self.numbers)}
        if len(self.numbers) > HIGHEST - LOWEST + 1:
            raise TooManyRules(f"{len(self.numbers)} rules in one tier; a table holds {HIGHEST - LOWEST + 1}")

    def place(self, wanted: Iterable[int], held: Mapping[int, int]) -> dict[int, int]:
        """A priority for each of ``wanted`` that is of this tier, strictly falling along the order.

        ``held``: those that rules of this tier or others have already.
        """
        spots = sorted(self._index[number] for number in wanted if number in self._index)
        pairs = sorted((self._index[number], found) for number, found in held.items() if number in self._index)
        # Mostly nothing was moved, and all can stay.
        keep = pairs if _fall(pairs) else _longest_falling(pairs)
        result: dict[int, int] = {}
        above, start, rest = HIGHEST + 1, 0, deque(spots)
        for index, priority in [*keep, (len(self.numbers), LOWEST - 1)]:
            gap = index - start
            room = above - priority - 1
            if room < gap:
                return self._evenly(spots)
            step = (room + 1) / (gap + 1)
            while rest and rest[0] < index:
                spot = rest.popleft()
                nth = spot - start + 1
                result[self.numbers[spot]] = above - max(round(step * nth), nth)
            if rest and rest[0] == index:
                result[self.numbers[rest.popleft()]] = priority
            above, start = priority, index + 1
        if any(high <= low for high, low in pairwise(result.values())):
            return self._evenly(spots)
        return result

    def _evenly(self, spots: Iterable[int]) -> dict[int, int]:
        step = (HIGHEST - LOWEST + 1) / (len(self.numbers) + 1)
        return {self.numbers[index]: HIGHEST - int(step * (index + 1)) for index in spots}


def _fall(pairs: Sequence[tuple[int, int]]) -> bool:
    """True if all priorities are allowed and fall strictly."""
    above = HIGHEST + 1
    for _, priority in pairs:
        if not LOWEST <= priority < above:
            return False
        above = priority
    return True


def _longest_falling(pairs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The longest subsequence with strictly falling, allowed priorities (patience sorting)."""
    tails: list[int] = []
    ends: list[int] = []
    previous: list[int] = []
    for position, (_, priority) in enumerate(pairs):
        previous.append(-1)
        if not LOWEST <= priority <= HIGHEST:
            continue
        at = bisect_left(tails, -priority)
        if at == len(tails):
            tails.append(-priority)
            ends.append(position)
        else:
            tails[at] = -priority
            ends[at] = position
        previous[position] = ends[at - 1] if at else -1
    kept: list[tuple[int, int]] = []
    position = ends[-1] if ends else -1
    while position >= 0:
        kept.append(pairs[position])
        position = previous[position]
    return kept[::-1]
