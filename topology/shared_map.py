"""A mapping of which the next version shares with the last all that has not changed.

Two versions are compared in a time that hardly grows with their size: parts that are the same object are not looked
into. So whoever holds an older version (what a switch has) finds quickly what is new; and where many hold the same two
(all bridges those of the addresses), it is found once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from operator import is_
from typing import Generic, TypeVar
from weakref import ReferenceType, ref

K = TypeVar("K")
V = TypeVar("V")

# Parts of a mapping: a change copies one, a comparison looks at all once.
_PARTS = 256
# Of so many changes it is remembered which they are: more would be held for long, and take little of what they cause.
_REMEMBERED = 1000


class SharedMap(Mapping[K, V], Generic[K, V]):
    """Immutable; `with_changes` makes the next version."""

    __slots__ = ("__weakref__", "_length", "_parts", "_since")

    def __init__(self) -> None:
        self._parts: tuple[dict[K, V], ...] = ({},) * _PARTS
        self._length = 0
        # The version that was last asked about, and what has changed since.
        self._since: tuple[ReferenceType[SharedMap[K, V]], list[tuple[K, V | None, V | None]]] | None = None

    def __getitem__(self, key: K) -> V:
        return self._parts[hash(key) % _PARTS][key]

    def __iter__(self) -> Iterator[K]:
        for part in self._parts:
            yield from part

    def __len__(self) -> int:
        return self._length

    def __eq__(self, other: object) -> bool:
        return self._parts == other._parts if isinstance(other, SharedMap) else super().__eq__(other)

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> tuple[object, ...]:
        """Pickled as what it holds: in another process texts have other hashes, and are in other parts."""
        return shared, (dict(self.pairs()),)

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

    def changes_since(self, older: SharedMap[K, V]) -> Iterable[tuple[K, V | None, V | None]]:
        """Each key that differs, with its value then and now; None: it has none."""
        if older is self:
            return ()
        if self._since is not None and self._since[0]() is older:
            return self._since[1]
        found = list(self._compared(older))
        if len(found) <= _REMEMBERED:
            self._since = ref(older), found
        return found

    def _compared(self, older: SharedMap[K, V]) -> Iterator[tuple[K, V | None, V | None]]:
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


def shared(mapping: Mapping[K, V]) -> SharedMap[K, V]:
    """The same as a `SharedMap`."""
    return mapping if isinstance(mapping, SharedMap) else SharedMap[K, V]().with_changes(mapping)


def changed_keys(now: Mapping[K, V], then: Mapping[K, V]) -> set[K]:
    """The keys of which two mappings hold different objects, or one of them holds none."""
    if now is then:
        return set()
    if isinstance(now, SharedMap) and isinstance(then, SharedMap):
        return {key for key, _, _ in now.changes_since(then)}
    return {key for key, value in now.items() if then.get(key) is not value} | (then.keys() - now.keys())
