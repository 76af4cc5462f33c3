"""Who is on which port: OVSDB rows and the inventory joined into the values that flows are compiled from.

Pure: the same rows and inventory give the same topology, whatever the order in which they came. Nothing that OVSDB
holds makes it fail; what cannot be understood is isolated or reported.

A `Resolver` keeps what it made of each port for as long as the port's rows, and what the inventory says of it, stay as
they are: its answers are those of a new one, in the time that the changes take.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import translate
from operator import is_

from topology.conflicts import Contests, Less
from topology.draft import Draft, Touched
from topology.identity import Index
from topology.inventory import Inventory
from topology.learned import Source
from topology.part import Place
from topology.ports import Bridge, Finding, IsolatedPort, Port, Topology, UplinkPort, VnicPort
from topology.rows import Database, PortRow
from topology.shared_map import changed_keys
from topology.vlans import Problem
from topology.zones import Holders

__all__ = ["Bridge", "Finding", "IsolatedPort", "Port", "Resolver", "Topology", "UplinkPort", "VnicPort", "resolve"]


def resolve(
    databases: Mapping[str, Database],
    inventory: Inventory,
    uplink_globs: Iterable[str] = (),
    bridge_globs: Iterable[str] = ("*",),
    learn: frozenset[Source] = frozenset(),
) -> Topology:
    """The bridges whose names match one of ``bridge_globs``, with every interface of theirs in exactly one port.

    ``databases`` are by remote. ``uplink_globs`` are shell globs on port names, beside ``external_ids:role=uplink``.
    ``learn`` says from where vNICs whose addresses nobody states may have learned some (`topology.learned`).
    """
    return Resolver(uplink_globs, bridge_globs).resolve(databases, inventory, learn)


class Resolver:
    """One topology after the other."""

    def __init__(self, uplink_globs: Iterable[str] = (), bridge_globs: Iterable[str] = ("*",)) -> None:
        self._uplinks, self._ours = _globs(uplink_globs), _globs(bridge_globs)
        self._index = Index(Inventory())
        self._contests = Contests()
        self._holders: dict[str, Holders] = {}
        self._ports: dict[str, Mapping[str, PortRow]] = {}
        self._drafts: dict[tuple[str, str], Draft] = {}
        # The drafts in their order, and the datapath ids of several of them; None: these may be others now.
        self._order: tuple[Sequence[Draft], Mapping[int | None, str]] | None = None
        self._last = Topology()

    def resolve(
        self, databases: Mapping[str, Database], inventory: Inventory, learn: frozenset[Source] = frozenset()
    ) -> Topology:
        """As the function of that name."""
        moved = self._index.take(inventory)
        if moved:
            self._contests.take(moved, self._index)
        names = None if moved.all else moved.names()
        known, self._drafts = self._drafts, {}
        self._holders = {remote: self._holders.get(remote, Holders()) for remote in databases}
        for remote in sorted(databases):
            database = databases[remote]
            host, zones = database.host, self._holders[remote].take(database)
            ports = changed_keys(database.ports, self._ports.get(remote, {}))
            touched = Touched(self._holders[remote].changed, ports, names)
            for row in database.bridges.values():
                if self._ours.match(row.name):
                    draft = known.pop((remote, row.uuid), None)
                    if draft is not None and not draft.is_at(host, row.name, learn):
                        self._end(draft)
                        draft = None
                    if draft is None:
                        draft = Draft(Place(remote, host, row.name, row.uuid, self._uplinks, learn))
                    if draft.row is not row:
                        self._order = None
                    self._drafts[remote, row.uuid] = draft
                    draft.take(database, row, zones, self._index, touched, self._contests)
        self._ports = {remote: database.ports for remote, database in databases.items()}
        for gone in known.values():
            self._end(gone)
        return self._finished()

    def _end(self, draft: Draft) -> None:
        draft.end(self._contests)
        self._order = None

    def _finished(self) -> Topology:
        if self._order is None:
            ordered = tuple(sorted(self._drafts.values(), key=_draft_order))
            self._order = ordered, _datapath_ids_of_several(ordered)
        drafts, claimed = self._order
        shut, less, migrations = self._contests.outcome()
        nobody: Mapping[str, Problem] = {}
        nothing: Mapping[str, Less] = {}
        bridges = tuple(
            draft.finish(
                shut.get(draft.place.remote, nobody),
                less.get(draft.place.remote, nothing),
                claimed.get(draft.row.datapath_id),
            )
            for draft in drafts
        )
        same = len(bridges) == len(self._last.bridges) and all(map(is_, bridges, self._last.bridges))
        findings = tuple(finding for bridge in bridges for finding in bridge.findings) + tuple(migrations)
        if not same or findings != self._last.findings:
            self._last = Topology(bridges, findings)
        return self._last


def _globs(globs: Iterable[str]) -> re.Pattern[str]:
    """One expression for any of the globs; none of them: matches nothing."""
    return re.compile("|".join(translate(glob) for glob in globs) or r"(?!)")


def _draft_order(draft: Draft) -> tuple[str, str, str, str]:
    return draft.place.host, draft.place.bridge, draft.place.bridge_uuid, draft.place.remote


def _datapath_ids_of_several(drafts: Sequence[Draft]) -> Mapping[int | None, str]:
    """The datapath ids of several bridges, and which: they are nobody's, as flows meant for one would reach another."""
    owners: dict[int | None, list[str]] = {}
    for draft in drafts:
        owners.setdefault(draft.row.datapath_id, []).append(draft.place.where)
    return {dpid: ", ".join(several) for dpid, several in owners.items() if dpid is not None and len(several) > 1}
