"""What one guest can make the controller do and say about its addresses: so much, and no more."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator
from dataclasses import dataclass

from topology.ports import Finding

# Findings of one vNIC, and the seconds for which one is told that does not come again. What comes when there are so
# many is not told: a guest can fill no log.
MAX_NOTICES, NOTICE_SECONDS = 4, 3600.0
# What one vNIC may learn or have prolonged at once, and the seconds after which it may once more: each costs flows and
# a write to OVSDB. Losing addresses is never delayed.
MAX_CHANGES, CHANGE_SECONDS = 12, 6.0

# A vNIC: its iface-id and MAC.
Who = tuple[str, str]


@dataclass(slots=True)
class _Pace:
    """How much a vNIC may still learn, as of when."""

    left: float = float(MAX_CHANGES)
    when: float = 0.0


class Paces:
    """How often each vNIC learns something."""

    def __init__(self) -> None:
        self._paces: dict[Who, _Pace] = {}

    def allows(self, who: Who, now: float) -> bool:
        """True, and one less from now on, if the vNIC may learn something more."""
        pace = self._paces.setdefault(who, _Pace())
        pace.left = min(MAX_CHANGES, pace.left + max(0.0, now - pace.when) / CHANGE_SECONDS)
        pace.when = now
        if pace.left < 1:
            return False
        pace.left -= 1
        return True

    def keep(self, known: Collection[Who]) -> None:
        """Forget all other vNICs."""
        for who in self._paces.keys() - known:
            del self._paces[who]


class Notices:
    """What was not learned, and why, by vNIC and by what it is about."""

    def __init__(self) -> None:
        self._told: dict[Who, dict[Hashable, tuple[float, Finding]]] = {}

    def tell(self, who: Who, about: Hashable, finding: Finding, now: float) -> None:
        """Told from now on, in place of what was told about the same."""
        told = self._told.setdefault(who, {})
        for old in [old for old, (when, _) in told.items() if now - when >= NOTICE_SECONDS]:
            del told[old]
        if about in told or len(told) < MAX_NOTICES:
            told[about] = now, finding

    def settled(self, who: Who, about: Hashable) -> None:
        """There is nothing to be told about this any more."""
        self._told.get(who, {}).pop(about, None)

    def keep(self, known: Collection[Who]) -> None:
        """Forget all other vNICs."""
        for who in self._told.keys() - known:
            del self._told[who]

    def all(self, now: float) -> Iterator[Finding]:
        """All that is to be told."""
        for told in self._told.values():
            yield from (finding for when, finding in told.values() if now - when < NOTICE_SECONDS)
