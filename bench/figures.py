"""From measurements to figures: medians, percentiles, ratios."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import median


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` (0 to 1) of the values do not exceed: nearest rank, never made up."""
    if not values:
        raise ValueError("no values")
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def summary(values: Sequence[float]) -> dict[str, float | int]:
    """How a measure went: median, 95th percentile, extremes and how often it was taken."""
    return {
        "median": median(values),
        "p95": percentile(values, 0.95),
        "least": min(values),
        "most": max(values),
        "count": len(values),
    }


def quietest(rounds: Sequence[Mapping[str, float]], base: str) -> dict[str, float]:
    """For each peer the smallest value of all rounds, relative to the smallest of `base`.

    For costs (processor time per packet): whatever disturbs a measurement makes it larger, so the smallest is nearest.
    """
    least = {peer: min(values[peer] for values in rounds) for peer in rounds[0]}
    return {peer: value / least[base] for peer, value in least.items()}


def median_of_ratios(rounds: Sequence[Mapping[str, float]], base: str) -> dict[str, float]:
    """For each peer the median of its ratio to `base` within one round: what drifts slowly cancels out."""
    return {peer: median(values[peer] / values[base] for values in rounds) for peer in rounds[0]}


def ratio(ours: float | None, theirs: float | None) -> float | None:
    """How many times as much `theirs` is as `ours`; None where either is missing or ours is nothing."""
    if ours is None or theirs is None or ours == 0:
        return None
    return theirs / ours
