"""Answers that stay: whoever is asked about the same objects again gives the same answer, without working it out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from operator import is_
from typing import Generic, TypeVar

Answer = TypeVar("Answer")
Item = TypeVar("Item")


class Kept(Generic[Answer]):
    """The last answer, and what it was about. Objects are compared by identity, so nobody may change them."""

    def __init__(self) -> None:
        self._about: tuple[object, ...] = ()
        self._answer: Answer | None = None

    def of(self, about: tuple[object, ...], work_out: Callable[[], Answer]) -> Answer:
        """The answer about these objects. What is raised meanwhile changes nothing that is kept."""
        known = self._answer
        if known is None or len(about) != len(self._about) or not all(map(is_, about, self._about)):
            known = work_out()
            self._about, self._answer = about, known
        return known


class EachKept(Generic[Item, Answer]):
    """The last answer for each of some objects."""

    def __init__(self) -> None:
        self._kept: dict[int, tuple[Item, Answer]] = {}

    def of(self, items: Iterable[Item], work_out: Callable[[Item], Answer | None]) -> list[Answer]:
        """The answers in order; those that are None are left out, and are asked for again."""
        kept: dict[int, tuple[Item, Answer]] = {}
        found: list[Answer] = []
        for item in items:
            before = self._kept.get(id(item))
            answer = before[1] if before is not None else work_out(item)
            if answer is not None:
                kept[id(item)] = item, answer
                found.append(answer)
        self._kept = kept
        return found
