"""The `limits` of the provider's files: from nodes to `policy.model.LimitEntry` values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from policy import fields
from policy.groups import GroupTable
from policy.model import LimitEntry, Range
from policy.nodes import Mapping as MappingNode
from policy.nodes import Node, Scalar
from policy.problems import Problems, quoted

# The numbers of `policy.model.Limits`, each with the smallest and the largest that may be stated.
BOUNDS: Mapping[str, Range] = MappingProxyType(
    {
        "connections": (1, 1_000_000),
        "new_connections": (1, 1_000_000),
        "broadcasts": (1, 100_000),
        "fragments": (1, 100_000),
        "notices": (1, 1000),
    }
)
_KEYS = ("for", *BOUNDS)

Definitions = Mapping[str, tuple[Scalar, Node]]


def limit_entries(definitions: Definitions, groups: GroupTable, problems: Problems) -> Iterator[LimitEntry]:
    """The entries, each by itself: which of them count for a vNIC is for `policy.limits` to say."""
    for name, (key, node) in definitions.items():
        what = f"limit {quoted(name)}"
        values = fields.fields(node, what, _KEYS, problems)
        if values is None:
            continue
        # Where a key was refused, it may well have been meant as a number: one mistake, one message.
        all_known = isinstance(node, MappingNode) and len(node.entries) == len(values)
        if all_known and not BOUNDS.keys() & values.keys():
            problems.add(node, f"{what} says nothing: it needs {' or '.join(map(repr, BOUNDS))}")
        stated: dict[str, int] = {}
        for number, (lowest, highest) in BOUNDS.items():
            if number in values:
                value = fields.integer(values[number][1], f"{what}: {number!r}", lowest, highest, problems)
                stated.update({} if value is None else {number: value})
        members = groups.of_rule(values["for"][1], f"{what}: 'for'") if "for" in values else None
        yield LimitEntry(name, members, "for" not in values, stated, key.place)
