"""What is to be enforced by the rows of OVSDB servers and a policy: the join, and the policy made ready. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from policy.flows.compile import Compiled, prepare
from policy.model import Document
from topology.everybody import Everybody
from topology.join import resolve
from topology.learned import Source, format_book, parse_book
from topology.ports import Bridge, Topology
from topology.rows import LEARNED_KEY, Database, InterfaceRow


@dataclass(frozen=True, slots=True)
class Settings:
    """As they were given to `portcullis run`: other settings want other flows."""

    uplinks: tuple[str, ...] = ()
    bridges: tuple[str, ...] = ()
    learn: frozenset[Source] = frozenset()
    audit: bool = False


@dataclass(frozen=True, slots=True)
class Site:
    """All bridges that the databases tell of, and the policy for them."""

    topology: Topology
    compiled: Compiled


def site(document: Document, databases: Iterable[Database], settings: Settings, now: float) -> Site:
    """``now``: Unix seconds. A lease that is over counts no more, whether or not a controller has noticed."""
    rows = {database.remote: _at(database, now) for database in databases}
    looked_at = settings.bridges or ("*",)
    topology = resolve(rows, document.inventory, settings.uplinks, looked_at, settings.learn)
    vnics = Everybody().known(document.inventory, topology).values()
    return Site(topology, prepare(document, vnics, audit=settings.audit, learn=settings.learn))


def chosen(found: Topology, remotes: Sequence[str], settings: Settings) -> tuple[list[Bridge], list[Bridge]]:
    """The bridges of these databases that are to be firewalled, and the others.

    Where the settings name none, those are meant that stay shut without a controller, or have vNICs.
    """
    here = [bridge for bridge in found.bridges if bridge.remote in remotes]
    if settings.bridges:
        return here, []
    ours = [bridge for bridge in here if bridge.fail_mode == "secure" or bridge.vnics]
    return ours, [bridge for bridge in here if bridge not in ours]


def _at(database: Database, now: float) -> Database:
    """The rows without leases that are over."""
    changed = {uuid: _row_at(row, now) for uuid, row in database.interfaces.items()}
    return replace(database, interfaces=changed)


def _row_at(row: InterfaceRow, now: float) -> InterfaceRow:
    ids: Mapping[str, str] = {
        key: _text_at(text, now) if key.partition(".")[0] == LEARNED_KEY else text
        for key, text in row.external_ids.items()
    }
    return replace(row, external_ids=ids) if ids != row.external_ids else row


def _text_at(text: str, now: float) -> str:
    try:
        return format_book(parse_book(text).at(now))
    except ValueError:
        return text  # nothing of it counts anyway
