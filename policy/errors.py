"""What can be wrong with a policy, told with its place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from topology.inventory import Place


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake: where, what, and (in the text) what would be right."""

    place: Place
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.message}"


class PolicyError(Exception):
    """A policy that cannot be used; ``problems`` holds every mistake of the load, sorted by place."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda p: (p.place.file, p.place.line, p.place.column, p.message)))
        super().__init__("\n".join(str(problem) for problem in self.problems))


class PolicyNotFound(PolicyError):
    """There is no policy at the place given: nothing there, or a directory without a policy file."""
