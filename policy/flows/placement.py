"""Priorities of rules within their tier's table: a place for each, with gaps, so that inserting a rule moves none.

A place that a rule holds already (on the switch) is kept wherever the order of the rules allows it, so a change touches
few flows; where nothing is held, the places are spread evenly and follow from the order alone.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from itertools import pairwise

LOWEST, HIGHEST = 2, 0xFFFE


class TooManyRules(Exception):
    """A tier has more rules than a table has priorities."""


def place(order: Sequence[int], held: Mapping[int, int]) -> dict[int, int]:
    """A priority for each rule, strictly falling along ``order`` (rule numbers, first to decide first).

    Raises ``TooManyRules``.
    """
    if len(order) > HIGHEST - LOWEST + 1:
        raise TooManyRules(f"{len(order)} rules in one tier; a table holds {HIGHEST - LOWEST + 1}")
    pairs = [(index, held[number]) for index, number in enumerate(order) if number in held]
    # Mostly nothing was moved, and all can stay.
    keep = pairs if _fall(pairs) else _longest_falling(pairs)
    result: list[int] = []
    above = HIGHEST + 1
    start = 0
    for index, priority in [*keep, (len(order), LOWEST - 1)]:
        gap = index - start
        room = above - priority - 1
        if room < gap:
            return _evenly(order)
        step = (room + 1) / (gap + 1)
        result += [above - max(round(step * (i + 1)), i + 1) for i in range(gap)]
        if index < len(order):
            result.append(priority)
        above, start = priority, index + 1
    if any(high <= low for high, low in pairwise(result)):
        return _evenly(order)
    return dict(zip(order, result, strict=True))


def _evenly(order: Sequence[int]) -> dict[int, int]:
    step = (HIGHEST - LOWEST + 1) / (len(order) + 1)
    return {number: HIGHEST - int(step * (index + 1)) for index, number in enumerate(order)}


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
