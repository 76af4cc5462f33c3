"""One OVSDB server: what it has told, and what is written there, each thing once until it shows or time has passed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from ryu_apps.facts import Effect, Later, LimitZones, NamePrefixes, RetryWrites, SecureBridge, WriteDue, WriteZones
from topology.ports import Bridge
from topology.rows import Database
from topology.zone_limits import Changes, Limits, changes
from topology.zones import assign

# Seconds before a write is tried again that OVSDB has refused, and before one that it seems to have forgotten.
WRITE_PAUSE, WRITE_CHECK = 5.0, 30.0
# Writes of learned addresses to an OVSDB server: one in so many seconds, and so many at once. What comes in between
# goes into the next one, so whatever guests do, OVSDB is not written to more often.
WRITE_PACE, WRITE_BURST = 1.0, 10


@dataclass(slots=True)
class Remote:
    """``database`` None: never seen. ``error`` None: connected.

    ``ours``: we hold its lock, or held it when the server was lost; only then anything is written there, or to its
    bridges.

    ``zones_asked``, ``limits_asked`` and ``secured`` are the writes on their way: nothing is asked for twice until one
    of the two `RetryWrites` comes, of which at most one each is on its way too (``retry_due``, ``check_due``).

    ``behind``: perhaps there are learned addresses that OVSDB does not show; ``writes_left``: so often they may be
    written at once. While that is less than `WRITE_BURST`, a `WriteDue` is on its way.
    """

    name: str
    database: Database | None = None
    error: str | None = "not connected yet"
    ours: bool = False
    write_error: str | None = None
    zones_asked: dict[str, int] = field(default_factory=dict)
    limits_asked: Changes = field(default_factory=dict)
    secured: set[str] = field(default_factory=set)
    prefixed: set[str] = field(default_factory=set)
    retry_due: bool = False
    check_due: bool = False
    behind: bool = False
    writes_left: int = WRITE_BURST
    # The limits that were missing, by the rows and the limits wanted then.
    _missing: tuple[object, Limits, Changes] | None = None

    @property
    def writable(self) -> bool:
        """True if we may write there now."""
        return self.ours and self.error is None

    def ask_again(self) -> None:
        """Forget what was asked for: what OVSDB does not show is asked for again."""
        self.zones_asked.clear()
        self.limits_asked.clear()
        self.secured.clear()
        self.prefixed.clear()

    # --- what became of writes

    def failed(self, what: str, error: str) -> list[Effect]:
        """The server has refused a write: it is tried again after a pause."""
        self.write_error = f"{what}: {error}"
        if self.retry_due:
            return []
        self.retry_due = True
        return [Later(WRITE_PAUSE, RetryWrites(self.name, failed=True))]

    def retry(self, failed: bool) -> None:
        """The pause is over (``failed``), or it is time to see whether all that was written shows."""
        if failed:
            self.retry_due, self.write_error = False, None
        else:
            self.check_due = False
        self.behind = True
        self.ask_again()

    def write_due(self) -> list[Effect]:
        """Learned addresses may be written once more."""
        self.writes_left += 1
        return [Later(WRITE_PACE, WriteDue(self.name))] if self.writes_left < WRITE_BURST else []

    # --- what is to be written

    def give_zones(self, holders: Iterable[str]) -> list[Effect]:
        """Zones for these vNICs, by `topology.ports.holder`, which have none."""
        if not self.writable or self.database is None:
            return []
        without = {*holders}
        asked = {holder: zone for holder, zone in self.zones_asked.items() if holder in without}
        missing = without - asked.keys()
        new = dict(assign(self.database, missing, reserved=asked.values())) if missing else {}
        self.zones_asked = asked | new
        return [WriteZones(self.name, tuple(sorted(new.items()))), *self._check_later()] if new else []

    def limit_zones(self, wanted: Limits) -> list[Effect]:
        """Limits of conntrack's zones that OVSDB does not show, and those that it shows and nobody wants."""
        if not self.writable or self.database is None or not self.database.limits:
            return []
        if self._missing is None or self._missing[:2] != (self.database.zone_rows, wanted):
            self._missing = self.database.zone_rows, wanted, changes(self.database, wanted)
        missing = self._missing[2]
        asked = self.limits_asked
        new = [(*zone, limit) for zone, limit in missing.items() if zone not in asked or asked[zone] != limit]
        self.limits_asked = dict(missing)
        return [LimitZones(self.name, tuple(sorted(new))), *self._check_later()] if new else []

    def secure(self, bridge: Bridge) -> list[Effect]:
        """A bridge of ours must stay shut without a controller; and its tables' address fields have names."""
        if not self.ours:
            return []
        found: list[Effect] = []
        if self.error is None and bridge.uuid not in self.prefixed:
            self.prefixed.add(bridge.uuid)
            found.append(NamePrefixes(self.name, bridge.uuid))
        if bridge.fail_mode == "secure" and not bridge.in_band:
            self.secured.discard(bridge.uuid)
        elif self.error is None and bridge.uuid not in self.secured:
            self.secured.add(bridge.uuid)
            found += [SecureBridge(self.name, bridge.uuid, bridge.name), *self._check_later()]
        return found

    @property
    def may_write_learned(self) -> bool:
        """True if there may be something to write, and it is not too soon."""
        return self.behind and self.writes_left > 0 and self.writable

    def write_learned(self, writes: list[Effect]) -> list[Effect]:
        """These writes of learned addresses go out, in one transaction; nothing else of that kind is known."""
        self.behind = False
        if not writes:
            return []
        pace = [Later(WRITE_PACE, WriteDue(self.name))] if self.writes_left == WRITE_BURST else []
        self.writes_left -= 1
        return [*pace, *writes, *self._check_later()]

    def _check_later(self) -> list[Effect]:
        """A write whose answer is lost, or whose row somebody else changed back, must not be waited for forever."""
        if self.check_due:
            return []
        self.check_due = True
        return [Later(WRITE_CHECK, RetryWrites(self.name, failed=False))]
