"""Texts about learned addresses on their way into OVSDB. They count already.

Each is put over what OVSDB still says of its interface, until OVSDB shows it or the interface is gone. A write that
fails, or whose answer is lost, is asked for again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ryu_apps.facts import WriteLearned
from ryu_apps.whereabouts import Place
from topology.learned import parse_book
from topology.rows import LEARNED_KEY, Change, Database, InterfaceRow, Row, kept_at

Texts = dict[Place, str]


class LearnedTexts:
    """What OVSDB has been asked to hold and does not show yet, by remote, interface UUID, and holder."""

    def __init__(self) -> None:
        self._asked: dict[str, dict[str, dict[str, str]]] = {}

    def put(self, texts: Texts, databases: Mapping[str, Database]) -> dict[str, tuple[Change, ...]]:
        """The rows that these texts change from now on, by remote; OVSDB is asked to hold them (`unwritten`)."""
        rows: dict[str, dict[str, InterfaceRow]] = {}
        for (remote, holder), text in sorted(texts.items()):
            uuid, key = kept_at(holder, LEARNED_KEY)
            row = rows.get(remote, {}).get(uuid) or databases[remote].interfaces.get(uuid)
            if row is not None:
                self._asked.setdefault(remote, {}).setdefault(uuid, {})[holder] = text
                rows.setdefault(remote, {})[uuid] = _with_text(row, key, text)
        return {
            remote: tuple(Change("Interface", uuid, row) for uuid, row in found.items())
            for remote, found in rows.items()
        }

    def unwritten(self, remote: str) -> list[WriteLearned]:
        """The write of all that OVSDB does not show yet."""
        asked = [item for texts in self._asked.get(remote, {}).values() for item in texts.items()]
        return [WriteLearned(remote, tuple(sorted(asked)))] if asked else []

    def amend(self, database: Database) -> Database:
        """A database as OVSDB has told it, with what is on its way there."""
        asked = self._asked.get(database.remote)
        if not asked:
            return database
        interfaces = dict(database.interfaces)
        for uuid in list(asked):
            row = self._amended(asked, uuid, interfaces.get(uuid))
            if isinstance(row, InterfaceRow):
                interfaces[uuid] = row
        return replace(database, interfaces=interfaces)

    def amend_changes(self, remote: str, changes: tuple[Change, ...]) -> tuple[Change, ...]:
        """Changed rows as OVSDB has told them, with what is on its way there."""
        asked = self._asked.get(remote)
        if not asked or all(change.uuid not in asked for change in changes):
            return changes
        return tuple(replace(change, row=self._amended(asked, change.uuid, change.row)) for change in changes)

    @staticmethod
    def _amended(asked: dict[str, dict[str, str]], uuid: str, row: Row | None) -> Row | None:
        left: dict[str, str] = {}
        for holder, text in asked.get(uuid, {}).items():
            key = kept_at(holder, LEARNED_KEY)[1]
            told = row.external_ids.get(key) if isinstance(row, InterfaceRow) else None
            if isinstance(row, InterfaceRow) and told != text and _stamp(told) <= _stamp(text):
                row, left[holder] = _with_text(row, key, text), text
        # What is not left OVSDB shows, or something newer (another controller's, if the server is no longer ours); or
        # the interface is gone.
        if left:
            asked[uuid] = left
        else:
            asked.pop(uuid, None)
        return row


def _stamp(text: str | None) -> int:
    """How new a text is; 0: it says nothing."""
    try:
        return parse_book(text or "").stamp
    except ValueError:
        return 0


def _with_text(row: InterfaceRow, key: str, text: str) -> InterfaceRow:
    return replace(row, external_ids={**row.external_ids, key: text})
