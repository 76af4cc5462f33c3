"""Moments of long work at which others could have their turn.

Whoever works out thousands of flows, or compares them, goes through them by `breathing`. What a moment is good for is
the matter of whoever has begun the work (`moments`): the controller, which has one thread for all, lets switches be
heard; a command line has nobody who waits, and nothing happens. No result depends on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from typing import TypeVar

T = TypeVar("T")

# Things that are gone through between two moments: so few that they take milliseconds.
EACH = 32

_moment: ContextVar[Callable[[], None] | None] = ContextVar("moment", default=None)


def moments(use: Callable[[], None]) -> None:
    """From now on ``use`` is called at each moment, in this thread (a green one too), until it ends."""
    _moment.set(use)


def breathing(items: Iterable[T], each: int = EACH) -> Iterator[T]:
    """The same items; a moment comes after ``each`` of them. What they are of must not change meanwhile."""
    use = _moment.get()
    if use is None:
        yield from items
        return
    left = each
    for item in items:
        yield item
        left -= 1
        if not left:
            left = each
            use()
