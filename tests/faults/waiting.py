"""Waiting for what a controller says of itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from http.client import HTTPException

from mininet_scenarios.lab import Controller
from mininet_scenarios.lab.controller import Status


def told(controller: Controller, condition: Callable[[Status], object], within: float = 20.0) -> Status:
    """The controller's status as soon as it fits; a controller that is still starting has none."""
    deadline = time.monotonic() + within
    seen: object = "no answer yet"
    while time.monotonic() < deadline:
        try:
            seen = status = controller.status()
            if condition(status):
                return status
        except (OSError, HTTPException) as error:
            seen = error
        time.sleep(0.02)
    raise AssertionError(f"the status did not fit in {within:.1f} s; the last: {seen}")


def waits_for(words: str) -> Callable[[Status], bool]:
    """For `told`: these words are among what the controller waits for."""
    return lambda status: words in " ".join(status["waiting_for"])


def drifted(status: Status) -> int:
    """How many flows and meters of the only bridge somebody has changed."""
    return int(status["bridges"][0]["drift"])
