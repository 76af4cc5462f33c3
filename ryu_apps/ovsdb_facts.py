"""What the OVSDB clients tell the engine. Values only, so that the engine needs neither python-ovs nor eventlet."""

from __future__ import annotations

from dataclasses import dataclass

from topology.rows import Change, Database


@dataclass(frozen=True, slots=True)
class OvsdbSnapshot:
    """All rows of a database, after each (re)connection: what was known of this remote before is void.

    ``ours``: the server has given us its lock, so that no other controller enforces on its bridges.
    """

    remote: str
    database: Database
    ours: bool = True


@dataclass(frozen=True, slots=True)
class OvsdbLock:
    """The server's lock is ours from now on, or another controller's."""

    remote: str
    ours: bool


@dataclass(frozen=True, slots=True)
class OvsdbUpdated:
    """Rows that came, changed or went, each once and as it is now; all rows of a transaction are in one fact."""

    remote: str
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class OvsdbLost:
    """The database cannot be reached. Its last known rows stay valid; a snapshot follows when it is back.

    Comes once for each loss, and once if it cannot be reached from the start.
    """

    remote: str
    reason: str


@dataclass(frozen=True, slots=True)
class OvsdbWriteFailed:
    """A write was refused, not answered in time or not sent. ``what`` says which; nothing is tried again by itself.

    A write that succeeded shows as a changed row. After a loss the outcome is open: the next snapshot tells.
    """

    remote: str
    what: str
    error: str


OvsdbFact = OvsdbSnapshot | OvsdbLock | OvsdbUpdated | OvsdbLost | OvsdbWriteFailed
