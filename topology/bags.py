"""Things by what few of them have in common. A bag is a tuple: mostly it holds one, for which a set would be large."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")
Bags = dict[K, tuple[T, ...]]


def put_in(bags: Bags[K, T], key: K, item: T) -> None:
    """One more under this key."""
    bags[key] = (*bags.get(key, ()), item)


def take_out(bags: Bags[K, T], key: K, item: T) -> None:
    """Under this key it is no longer, if it was."""
    left = tuple(other for other in bags.get(key, ()) if other != item)
    if left:
        bags[key] = left
    else:
        bags.pop(key, None)
