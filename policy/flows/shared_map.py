"""A mapping of which the next version shares with the last all that has not changed.

Two versions are compared in a time that hardly grows with their size: parts that are the same object are not looked
into. So whoever holds an older version (what a switch has) finds quickly what is new.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from operator import is_
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")

# Parts of a mapping: a change copies one, a comparison looks at all once.
_PARTS = 256


class SharedMap(Mapping[K, V], Generic[K, V]):
    """Immutable; `with_changes` makes the next version."""

    __slots__ = ("_length", "_parts")

    def __init__(self) -> None:
        self._parts: tuple[dict[K, V], ...] = ({},) * _PARTS
        self._length = 0

    def __getitem__(self, key: K) -> V:
        return self._parts[hash(key) % _PARTS][key]

    def __iter__(self) -> Iterator[K]:
        for part in self._parts:
            yield from part

    def __len__(self) -> int:
        return self._length

    def pairs(self) -> Iterator[tuple[K, V]]:
        """As ``items()``, without looking each key up: those of an address take long."""
        for part in self._parts:
            yield from part.items()

    def with_changes(self, changes: Mapping[K, V | None]) -> SharedMap[K, V]:
        """The next version; None removes a key. Without a difference it is the same object."""
        parts: list[dict[K, V]] | None = None
        copied: set[int] = set()
        length = self._length
        for key, value in changes.items():
            number = hash(key) % _PARTS
            part = self._parts[number] if parts is None else parts[number]
            before = part.get(key) if part else None
            if before is value or before == value:
                continue
            if parts is None:
                parts = list(self._parts)
            if number not in copied:
                copied.add(number)
                part = parts[number] = dict(part)
            if value is None:
                del part[key]
                length -= 1
            else:
                part[key] = value
                length += before is None
        if parts is None:
            return self
        made: SharedMap[K, V] = SharedMap()
        made._parts, made._length = tuple(parts), length
        return made

    def changes_since(self, older: SharedMap[K, V]) -> Iterator[tuple[K, V | None, V | None]]:
        """Each key that differs, with its value then and now; None: it has none."""
        for then, now in zip(older._parts, self._parts, strict=True):
            if then is now:
                continue
            if len(then) == len(now) and all(map(is_, then, now)):
                # The same keys, in the same order, as where only values have changed: none need be looked up.
                for key, old, new in zip(now, then.values(), now.values(), strict=True):
                    if old is not new and old != new:
                        yield key, old, new
                continue
            for key, value in now.items():
                before = then.get(key)
                if before is not value and before != value:
                    yield key, before, value
            for key, value in then.items():
                if key not in now:
                    yield key, value, None
