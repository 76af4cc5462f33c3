"""Everybody to everybody: what the policy wants of each connection, and what is measured. Two independent answers.

The wanted answer is the policy evaluator's, which knows nothing of switches; the measured one is that of sockets in the
guests, watched at both ends.
"""

import itertools
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum

from mininet_scenarios.guest import Guest
from mininet_scenarios.probes import Sniffer
from mininet_scenarios.tries import Path, attempt, came_through, paths, serve
from policy.evaluate import Decision, evaluate
from policy.model import Document, Verdict
from policy.question import parse_question

# How long silence is watched before it counts, and how long something that should get through may take.
WATCH = 0.8
PATIENCE = 5.0


class Measured(Enum):
    """What became of a connection. `LEAKED`: no answer came back, but something of it arrived."""

    THROUGH = "got through"
    BLOCKED = "blocked"
    LEAKED = "arrived, though no answer came back"


@dataclass(frozen=True)
class Result:
    """One connection: who, to whom, which service, which family; what the policy wants and what was measured."""

    path: Path
    decision: Decision
    measured: Measured

    @property
    def wanted(self) -> bool:
        """Whether the policy lets it through."""
        return self.decision.verdict is Verdict.ALLOW

    @property
    def fine(self) -> bool:
        """Whether the network does what the policy says."""
        return self.measured is (Measured.THROUGH if self.wanted else Measured.BLOCKED)

    def __str__(self) -> str:
        return f"{self.path}: should {'get through' if self.wanted else 'be blocked'}, but {self.measured.value}"


def wanted(document: Document, path: Path) -> Decision:
    """What the policy says about one connection."""
    vms = {vm.name for vm in document.inventory.vms}
    assert isinstance(path.target, Guest)
    ends = [
        f"{guest.name}@{guest.address(path.family)}" if guest.name in vms else guest.address(path.family)
        for guest in (path.source, path.target)
    ]
    return evaluate(document, parse_question(document, ends[0], ends[1], path.service))


def measure(document: Document, guests: Mapping[str, Guest], service: str) -> list[Result]:
    """Every connection of one service between guests of whom one at least is firewalled, over IPv4 and IPv6."""
    firewalled = {vm.name for vm in document.inventory.vms}
    every = [
        path
        for a, b in itertools.permutations(guests.values(), 2)
        if a.name in firewalled or b.name in firewalled
        for path in paths(a, b, service, None)
    ]
    decisions = [wanted(document, path) for path in every]
    for path in every:
        serve(path)
    # Nearly all of a try is waiting: as many threads as tries.
    with ThreadPoolExecutor(max_workers=max(len(every), 1)) as pool:
        measured = pool.map(_try, every, decisions)
        return [Result(*row) for row in zip(every, decisions, measured, strict=True)]


def _try(path: Path, decision: Decision) -> Measured:
    assert isinstance(path.target, Guest)
    if decision.verdict is Verdict.ALLOW:
        return Measured.THROUGH if _gets_through(path) else Measured.BLOCKED
    sniffer = Sniffer(path.target, path.frame_filter())
    try:
        if came_through(path, attempt(path, WATCH)):
            return Measured.THROUGH
        return Measured.LEAKED if sniffer.count else Measured.BLOCKED
    finally:
        sniffer.close()


def _gets_through(path: Path) -> bool:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if came_through(path, attempt(path, WATCH)):
            return True
    return False


def as_policy_says(document: Document, guests: Mapping[str, Guest], services: Sequence[str]) -> Iterator[str]:
    """A line for each service, once all its connections have been measured. Raises if one is not as the policy says."""
    for service in services:
        results = measure(document, guests, service)
        wrong = [str(result) for result in results if not result.fine]
        if wrong:
            raise AssertionError("\n".join([f"{len(wrong)} of {len(results)} connections:", *wrong]))
        through = sum(result.wanted for result in results)
        yield f"{service}: {through} connections got through, {len(results) - through} were blocked"
