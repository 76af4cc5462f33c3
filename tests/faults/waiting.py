"""What may be waited for in a controller's status (`Controller.told`)."""

from __future__ import annotations

from collections.abc import Callable

from mininet_scenarios.lab.controller import Status


def waits_for(words: str) -> Callable[[Status], bool]:
    """These words are among what the controller waits for."""
    return lambda status: words in " ".join(status["waiting_for"])


def drifted(status: Status) -> int:
    """How many flows and meters of the only bridge somebody has changed."""
    return int(status["bridges"][0]["drift"])
