"""Turns in the one thread that all green threads share: who works for long lets the others in between.

An echo that a switch asks for is answered in two turns (it is read, and then written), so a turn must be much shorter
than a switch may have to wait.
"""

from __future__ import annotations

import time

from ryu.lib import hub

from topology.breath import moments

# Seconds that one may work before the others get their turn.
TURN = 0.02


class Turns:
    """Those of one green thread, from which it must be made: at the moments of its work (`topology.breath`) the others
    get theirs, if it has worked for long enough."""

    def __init__(self) -> None:
        self._since = time.monotonic()
        moments(self.moment)

    def moment(self) -> None:
        """Let others in, if it is time for that."""
        if time.monotonic() - self._since > TURN:
            self.pass_on()

    def pass_on(self) -> None:
        """Let others in."""
        hub.sleep(0)
        self._since = time.monotonic()
