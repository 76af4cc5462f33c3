"""A policy file as a tree of values that know where they were written. Scalars stay text until somebody asks."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from topology.inventory import Place


class Kind(enum.Enum):
    """What a scalar is in the YAML 1.2 core schema; the value is how messages name it."""

    TEXT = "text"
    INTEGER = "a number"
    FLOAT = "a decimal number"
    BOOLEAN = "true or false"
    NULL = "no value"


@dataclass(slots=True)
class Node:
    """Something in a file; ``line`` and ``column`` count from 1."""

    file: str
    line: int
    column: int

    @property
    def place(self) -> Place:
        return Place(self.file, self.line, self.column)


@dataclass(slots=True)
class Scalar(Node):
    """``text`` as written (quotes and escapes resolved).

    ``inside``: the column where ``text`` begins if it stands in the file character by character, else None (several
    lines, escapes): then no place inside the scalar can be told.
    """

    text: str
    kind: Kind
    inside: int | None

    def place_of(self, offset: int) -> Place:
        """The place of one character of the text, as well as it is known."""
        column = self.column if self.inside is None else self.inside + offset
        return Place(self.file, self.line, column)


@dataclass(slots=True)
class Sequence(Node):
    items: list[Node]


@dataclass(slots=True)
class Mapping(Node):
    """Keys are unique. ``flow``: written as ``{…}``, where a comma begins a new entry."""

    entries: list[tuple[Scalar, Node]]
    flow: bool
