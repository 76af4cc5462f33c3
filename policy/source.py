"""Bytes of one file to a tree of `policy.nodes`: the only place that knows YAML.

Scalars follow the YAML 1.2 core schema, not PyYAML's 1.1 (where `no` is false and `52:54:00:00:00:01` a number). Every
size is bounded before it can cost anything: the parser hands over one event at a time, and we stop at the first event
too many. There are no tags and no constructors, so no text makes an object.
"""

from __future__ import annotations

import re
import sys
from collections import abc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from types import MappingProxyType
from typing import Any

# The parser in C (libyaml), as every wheel and distribution package of PyYAML has it: the one in Python takes ten times
# as long and would not keep the time that hostile input may cost.
from yaml import (
    AliasEvent,
    CSafeLoader,
    MappingEndEvent,
    MappingStartEvent,
    MarkedYAMLError,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)
from yaml.reader import ReaderError

from policy.nodes import Kind, Mapping, Node, Scalar, Sequence
from policy.problems import Problems, quoted
from topology.inventory import Place

MAX_ALIASES = 1000  # in a file
MAX_NESTING = 32  # collections within collections, aliases expanded
MAX_NODES = 1_000_000  # in all files together, aliases expanded
MAX_SCALAR = 65536  # characters
MAX_CHARACTERS = 64 * 2**20  # of all scalars together, aliases expanded
# Parser events of one entry of a section up to which it is remembered; a VM has some twenty.
_REMEMBERED = 200
_LEVELS = {MappingStartEvent: 1, SequenceStartEvent: 1, MappingEndEvent: -1, SequenceEndEvent: -1}
# Texts up to so many characters are one object wherever they stand: keys, and most values, are there a thousand times.
_SHARED = 64

# PyYAML's stubs leave open what the parser always sets (marks, anchors, tags).
_Event = Any

_NOT_TEXT = re.compile(
    r"(?P<NULL>null|Null|NULL|~|)"
    r"|(?P<BOOLEAN>true|True|TRUE|false|False|FALSE)"
    r"|(?P<INTEGER>[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)"
    r"|(?P<FLOAT>[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
    r"|[-+]?(?:\.inf|\.Inf|\.INF)|\.nan|\.NaN|\.NAN)"
)
_MAY_BE_NO_TEXT = frozenset("~nNtTfF+-.0123456789")
# A %TAG directive is of no use where tags are errors, and libyaml compares each one with all before it.
_DIRECTIVE = re.compile(r"^%(?!YAML )", re.MULTILINE)


def kind_of(text: str) -> Kind:
    """What an unquoted scalar is in the YAML 1.2 core schema."""
    if text and text[0] not in _MAY_BE_NO_TEXT:
        return Kind.TEXT
    found = _NOT_TEXT.fullmatch(text)
    return Kind[found.lastgroup] if found and found.lastgroup else Kind.TEXT


class Budget:
    """What the files of one load may still have, aliases expanded."""

    def __init__(self) -> None:
        self.nodes = MAX_NODES
        self.characters = MAX_CHARACTERS


class _Refused(Exception):
    """Reading of this file ends here."""

    def __init__(self, place: Place, message: str) -> None:
        self.place, self.message = place, message


@dataclass(slots=True)
class _Anchored:
    """A node under an anchor, with its nodes, characters and levels, aliases expanded."""

    node: Node
    nodes: int
    characters: int
    height: int


@dataclass(frozen=True, slots=True)
class Entry:
    """A key and a value of a section, and the text that they were made of. Neither has an anchor or alias in it."""

    text: str
    flow: bool
    key: Node
    value: Node
    height: int


# A file's entries by line and column where they begin.
Entries = abc.Mapping[tuple[int, int], Entry]
NO_ENTRIES: Entries = MappingProxyType({})


@dataclass
class _Composer:
    """Makes nodes of parser events. One composer reads one file.

    ``earlier``: the entries of the file when it was read before; those that are as they were become the same objects,
    for which nothing is spent again. ``entries``: those of this reading.
    """

    file: str
    text: str
    loader: CSafeLoader
    budget: Budget
    problems: Problems
    earlier: Entries
    entries: dict[tuple[int, int], Entry] = field(default_factory=dict)
    aliases: int = 0
    anchors: dict[str, _Anchored | None] = field(default_factory=dict)  # None: not complete yet
    event: Callable[[], _Event] = field(init=False)

    def __post_init__(self) -> None:
        self.event = self.loader.get_event

    def place(self, event: _Event) -> Place:
        return Place(self.file, event.start_mark.line + 1, event.start_mark.column + 1)

    def document(self) -> Node | None:
        """The file's only document; None if it is empty."""
        self.event()  # the stream's start
        if isinstance(self.event(), StreamEndEvent):
            return None
        root, _ = self.node(self.event(), 1)
        self.event()  # the document's end
        after = self.event()
        if not isinstance(after, StreamEndEvent):
            raise _Refused(self.place(after), "a second document begins here; a policy file holds one")
        return root

    def documents(self) -> Iterator[Node]:
        """All of the file's documents."""
        self.event()  # the stream's start
        while not isinstance(self.event(), StreamEndEvent):
            self.anchors.clear()  # an anchor is known in its own document only
            root, _ = self.node(self.event(), 1)
            self.event()  # the document's end
            yield root

    def node(self, event: _Event, depth: int) -> tuple[Node, int]:
        """One node with all below it, and its height. ``depth`` is its level, from 1."""
        if isinstance(event, AliasEvent):
            return self.alias(event, depth)
        nodes, characters = self.budget.nodes, self.budget.characters
        self.spend(event, 1, len(event.value) if isinstance(event, ScalarEvent) else 0)
        if event.anchor is not None:
            self.anchors[event.anchor] = None
        if event.tag is not None:
            tag = event.tag.replace("tag:yaml.org,2002:", "!!")
            self.problems.add(self.place(event), f"the tag {quoted(tag)} has no place in a policy; quote what is text")
        node: Node
        if isinstance(event, ScalarEvent):
            node, height = self.scalar(event), 0
        else:
            if depth > MAX_NESTING:
                raise _Refused(self.place(event), f"nested more than {MAX_NESTING} deep")
            if isinstance(event, SequenceStartEvent):
                node, height = self.sequence(event, depth)
            else:
                node, height = self.mapping(event, depth)
        if event.anchor is not None:
            self.anchors[event.anchor] = _Anchored(
                node, nodes - self.budget.nodes, characters - self.budget.characters, height
            )
        return node, height

    def spend(self, event: _Event, nodes: int, characters: int) -> None:
        self.budget.nodes -= nodes
        self.budget.characters -= characters
        if self.budget.nodes < 0:
            raise _Refused(self.place(event), f"the policy has more than {MAX_NODES:,} nodes, aliases expanded")
        if self.budget.characters < 0:
            raise _Refused(self.place(event), f"the policy has more than {MAX_CHARACTERS:,} characters")

    def alias(self, event: _Event, depth: int) -> tuple[Node, int]:
        self.aliases += 1
        if self.aliases > MAX_ALIASES:
            raise _Refused(self.place(event), f"more than {MAX_ALIASES:,} aliases in a file")
        if event.anchor not in self.anchors:
            raise _Refused(self.place(event), f"no anchor {quoted(event.anchor)} stands before this alias")
        anchored = self.anchors[event.anchor]
        if anchored is None:
            raise _Refused(self.place(event), f"alias {quoted(event.anchor)} stands within its own anchor")
        self.spend(event, anchored.nodes, anchored.characters)
        if depth + anchored.height - 1 > MAX_NESTING:
            raise _Refused(self.place(event), f"nested more than {MAX_NESTING} deep, aliases expanded")
        return anchored.node, anchored.height

    def scalar(self, event: _Event) -> Scalar:
        start, end, text = event.start_mark, event.end_mark, event.value
        plain = event.implicit[0]
        quotes = 0 if plain else 1
        if len(text) > MAX_SCALAR:
            raise _Refused(self.place(event), f"a value of more than {MAX_SCALAR:,} characters")
        as_written = start.line == end.line and end.column - start.column == len(text) + 2 * quotes
        return Scalar(
            self.file,
            start.line + 1,
            start.column + 1,
            sys.intern(text) if len(text) <= _SHARED else text,
            kind_of(text) if plain else Kind.TEXT,
            start.column + 1 + quotes if as_written else None,
        )

    def sequence(self, start: _Event, depth: int) -> tuple[Sequence, int]:
        items: list[Node] = []
        height = 0
        while not isinstance(event := self.event(), SequenceEndEvent):
            item, below = self.node(event, depth + 1)
            items.append(item)
            height = max(height, below)
        mark = start.start_mark
        return Sequence(self.file, mark.line + 1, mark.column + 1, items), height + 1

    def mapping(self, start: _Event, depth: int) -> tuple[Mapping, int]:
        entries: list[tuple[Scalar, Node]] = []
        seen: dict[str, Scalar] = {}
        height = 0
        while not isinstance(event := self.event(), MappingEndEvent):
            key, value, below = self.entry(event, bool(start.flow_style)) if depth == 2 else self.pair(event, depth + 1)
            height = max(height, below)
            if not isinstance(key, Scalar):
                self.problems.add(key, "a key must be a word, not a list or mapping")
            elif key.text == "<<":
                self.problems.add(key, "merge keys (<<) have no place in a policy; write the keys out")
            elif key.text in seen:
                first = seen[key.text]
                self.problems.add(key, f"key {quoted(key.text)} is already at line {first.line}, column {first.column}")
            else:
                seen[key.text] = key
                entries.append((key, value))
        mark = start.start_mark
        return Mapping(self.file, mark.line + 1, mark.column + 1, entries, bool(start.flow_style)), height + 1

    def pair(self, event: _Event, depth: int) -> tuple[Node, Node, int]:
        """A key and its value, and the value's height."""
        key, _ = self.node(event, depth)
        value, below = self.node(self.event(), depth)
        return key, value, below

    def entry(self, first: _Event, flow: bool) -> tuple[Node, Node, int]:
        """As `pair`, of a section; what is as it was when the file was read before is not made again."""
        events = [first]
        whole = self._gather(events)
        mark = first.start_mark
        begin = mark.line, mark.column
        text = self.text[mark.index : events[-1].end_mark.index] if whole else ""
        known = self.earlier.get(begin) if whole else None
        if known is None or known.text != text or known.flow != flow:
            rest = self.event
            self.event = chain(events[1:], iter(rest, None)).__next__
            key, value, height = self.pair(first, 3)
            self.event = rest
            if not whole or any(getattr(event, "anchor", None) is not None for event in events):
                return key, value, height
            known = Entry(text, flow, key, value, height)
        self.entries[begin] = known
        return known.key, known.value, known.height

    def _gather(self, events: list[_Event]) -> bool:
        """Goes on to the end of a key and its value, of which the first event is there. False: that is far away."""
        missing, level, event = 2, 0, events[0]
        while True:
            level += _LEVELS.get(type(event), 0)
            missing -= level == 0
            if missing == 0 or len(events) == _REMEMBERED:
                return missing == 0
            event = self.event()
            events.append(event)


def _decoded(file: str, data: bytes) -> str:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = error.object[: error.start].decode("utf-8-sig", "replace")
        place = Place(file, before.count("\n") + 1, len(before) - before.rfind("\n"))
        raise _Refused(place, f"byte 0x{error.object[error.start]:02x} here is not UTF-8") from None
    if directive := _DIRECTIVE.search(text):
        line = text.count("\n", 0, directive.start()) + 1
        raise _Refused(Place(file, line, 1), "directives (%) have no place in a policy")
    return text


@contextmanager
def _composer(
    file: str, text: str, budget: Budget, problems: Problems, earlier: Entries = NO_ENTRIES
) -> Iterator[_Composer]:
    """A composer for a file's text; what the parser raises while it is in use becomes `_Refused`."""
    loader = CSafeLoader(text)
    try:
        yield _Composer(file, text, loader, budget, problems, earlier)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(file, mark.line + 1, mark.column + 1) if mark is not None else Place(file, 1, 1)
        raise _Refused(place, f"not YAML: {_trouble(error, text)}") from None
    except ReaderError as error:
        before = text.encode()[: error.position].decode("utf-8", "ignore")
        place = Place(file, before.count("\n") + 1, len(before) - before.rfind("\n"))
        raise _Refused(place, f"not YAML: {error.reason}") from None
    finally:
        loader.dispose()


def _trouble(error: MarkedYAMLError, text: str) -> str:
    """What the parser says, with the line where the thing began that it could not finish."""
    mark, began = error.problem_mark, error.context_mark
    if mark is not None and text[mark.index : mark.index + 1] == "\t":
        return "a tab; YAML is indented with spaces"
    since = f" that begins at line {began.line + 1}" if began and mark and began.line != mark.line else ""
    return f"{error.problem} ({error.context}{since})" if error.context else str(error.problem)


def read_documents(file: str, data: bytes, budget: Budget, problems: Problems) -> list[Node]:
    """All documents of a file that is no policy but is read within the same bounds; empty ones are left out.

    What cannot be read is noted in ``problems``; then the documents before it are returned.
    """
    found: list[Node] = []
    try:
        with _composer(file, _decoded(file, data), budget, problems) as composer:
            for root in composer.documents():
                if not (isinstance(root, Scalar) and root.kind is Kind.NULL):
                    found.append(root)
    except _Refused as refused:
        problems.unreadable(refused.place, refused.message)
    return found


def read(file: str, data: bytes, budget: Budget, problems: Problems) -> Mapping | None:
    """The mapping that one file holds; None if it is empty, or unreadable, which is noted in ``problems``."""
    return read_again(file, data, budget, problems, NO_ENTRIES)[0]


def read_again(
    file: str, data: bytes, budget: Budget, problems: Problems, earlier: Entries
) -> tuple[Mapping | None, Entries]:
    """As `read`, of a file that had these entries when it was read before; and the entries that it has now.

    Of what has not changed the nodes are the same objects.
    """
    try:
        with _composer(file, _decoded(file, data), budget, problems, earlier) as composer:
            root = composer.document()
    except _Refused as refused:
        problems.unreadable(refused.place, refused.message)
        return None, NO_ENTRIES
    if root is None or (isinstance(root, Scalar) and root.kind is Kind.NULL):
        return None, NO_ENTRIES
    if not isinstance(root, Mapping):
        problems.unreadable(root, "a policy file is a mapping with keys like 'vms', 'groups', 'policies'")
        return None, NO_ENTRIES
    return root, composer.entries
