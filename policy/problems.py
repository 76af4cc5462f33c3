"""Collects what is wrong while a policy loads, so that the operator sees all of it at once.

What an error message quotes is cut and escaped: a policy cannot flood or confuse the terminal that shows its errors.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable
from itertools import chain
from typing import NoReturn

from policy.errors import PolicyError, Problem
from policy.nodes import Node
from policy.twins import Twins
from topology.inventory import Place

MAX_PROBLEMS = 1000
# Similar names are looked for only until this many names were compared: 10,000 dangling references to 10,000 groups
# must not cost 100,000,000 comparisons.
MAX_COMPARISONS = 20_000
PROVIDED = "provider/"  # how a tenant's file calls what the provider shares
_LONGEST_QUOTE = 60
_LONGEST_NAME = 63


def quoted(text: str) -> str:
    """Operator's text for a message: in quotes, escaped, at most 60 characters of it."""
    return repr(text) if len(text) <= _LONGEST_QUOTE else repr(text[:_LONGEST_QUOTE]) + "…"


def similar(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'this'?` for the known name most like it; nothing where no name is like it.

    `provider/` is no part of a name: it makes none alike, and who forgets it is told.
    """
    meant: dict[str, str] = {}
    for other in known:
        meant.setdefault(other.removeprefix(PROVIDED), other)
    found = difflib.get_close_matches(name.removeprefix(PROVIDED)[: 2 * _LONGEST_NAME], meant, n=1, cutoff=0.5)
    return f"; did you mean {meant[found[0]]!r}?" if found else ""


class Enough(Exception):
    """No use looking further: too many problems, or a bound is passed. What was found is in the `Problems`."""


class Problems:
    """The mistakes found so far. Raises `Enough` when there are `MAX_PROBLEMS` of them.

    ``one_is_enough``: raises it at the first one, and notes none.
    """

    def __init__(self) -> None:
        self._problems: dict[Problem, None] = {}  # in order, each once: an alias shows one mistake many times
        self._comparisons = 0
        self.one_is_enough = False
        self.twins = Twins()
        self.incomplete = False

    def __len__(self) -> int:
        return len(self._problems)

    def add(self, where: Node | Place, message: str) -> None:
        """Notes one mistake."""
        if self.one_is_enough:
            raise Enough
        place = where if isinstance(where, Place) else where.place
        self._problems[Problem(place, message)] = None
        if len(self._problems) == MAX_PROBLEMS:
            self.stop(place, f"{MAX_PROBLEMS:,} problems so far: the rest is left out")

    def unreadable(self, where: Node | Place, message: str) -> None:
        """Notes a mistake for which a file, or whose it is, cannot be known: what is not defined may be in there."""
        self.add(where, message)
        self.incomplete = True

    def stop(self, where: Node | Place, message: str) -> NoReturn:
        """Notes a problem after which nothing more can be told: a bound is passed."""
        if self.one_is_enough:
            raise Enough
        self._problems[Problem(where if isinstance(where, Place) else where.place, message)] = None
        raise Enough

    def dangling(self, where: Node | Place, what: str, name: str, *known: Collection[str]) -> None:
        """Notes a reference to something that is not defined.

        Says nothing if a file could not be read at all: what is missing here is most likely defined there.
        """
        if not self.incomplete:
            self.add(where, f"no {what} is called {quoted(name)}{self.nearest(name, *known)}")

    def nearest(self, name: str, *known: Collection[str]) -> str:
        """As `similar`, but nothing once looking has cost enough."""
        if self.one_is_enough:
            raise Enough
        self._comparisons += sum(len(names) for names in known)
        if self._comparisons > MAX_COMPARISONS or len(name) > _LONGEST_NAME:
            return ""
        return similar(name, chain(*known))

    def error(self) -> PolicyError:
        """All that was found, as the error to raise."""
        return PolicyError(tuple(self._problems))

    def check(self) -> None:
        """Raises `PolicyError` if anything was found."""
        if self._problems:
            raise self.error()
