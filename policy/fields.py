"""Takes values out of nodes and says what is wrong with those that cannot be taken.

Every function here notes its problem and returns None; its caller leaves that part out and goes on, so that one load
shows all mistakes. A key that is right elsewhere but has no business here is told apart from a mistyped one.
"""

from __future__ import annotations

import re
from collections import abc
from collections.abc import Collection, Iterator
from types import MappingProxyType

from policy.nodes import Kind, Mapping, Node, Scalar, Sequence
from policy.problems import Problems, quoted
from policy.twins import MAX_TWINS
from topology.addresses import Prefix, parse_prefix

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
RESERVED = frozenset({"any", "all", "provider"})
MAX_TEXT = 255  # characters of a label's value, an iface-id, a vm-id
_MAX_ADDRESS_TEXT = 64
_MAX_DIGITS = 18
_NONE_BARRED: abc.Mapping[str, str] = MappingProxyType({})


def described(node: Node) -> str:
    """What a node is, for "… expected, not …"."""
    if isinstance(node, Mapping):
        return "a mapping"
    if isinstance(node, Sequence):
        return "a list"
    if isinstance(node, Scalar) and node.kind is not Kind.TEXT:
        return f"{node.kind.value} ({quoted(node.text)})" if node.text else node.kind.value
    return quoted(node.text) if isinstance(node, Scalar) else "this"


def fields(
    node: Node,
    what: str,
    known: Collection[str],
    problems: Problems,
    barred: abc.Mapping[str, str] = _NONE_BARRED,
) -> dict[str, tuple[Scalar, Node]] | None:
    """The entries of a mapping by key, unknown ones left out.

    ``barred`` are keys that stand elsewhere, each with the reason why not here. None if it is no mapping, or if a comma
    cut a value in pieces, so that no entry is what it seems.
    """
    if not isinstance(node, Mapping):
        problems.add(node, f"{what} must be a mapping with keys of {_listed(known)}, not {described(node)}")
        return None
    found: dict[str, tuple[Scalar, Node]] = {}
    before: Scalar | None = None
    for key, value in node.entries:
        if key.text in known and key.kind is Kind.TEXT:
            found[key.text] = (key, value)
        elif node.flow and before is not None and _alone(value):
            problems.add(
                key,
                f"{quoted(key.text)} stands alone: a comma within {{ }} ends a value; if it belongs to "
                f'{quoted(before.text)}, quote that value, as in {quoted(before.text[:20])[1:-1]}: "…, …"',
            )
            return None
        elif key.text in barred:
            problems.add(key, f"{quoted(key.text)} {barred[key.text]}")
        else:
            nearest = problems.nearest(key.text, known) or f"; {what} takes {_listed(known)}"
            problems.add(key, f"unknown key {quoted(key.text)}{nearest}")
        before = key
    return found


def _alone(value: Node) -> bool:
    return isinstance(value, Scalar) and value.kind is Kind.NULL and not value.text


def _listed(names: Collection[str]) -> str:
    return ", ".join(names)


def text(node: Node, what: str, problems: Problems, longest: int = MAX_TEXT, lines: bool = False) -> str | None:
    """A string of printable characters, not empty. ``lines``: it may have several lines."""
    if not isinstance(node, Scalar):
        problems.add(node, f"{what} must be text, not {described(node)}")
    elif node.kind is not Kind.TEXT:
        quote = f'; write it in quotes: "{node.text}"' if node.text and len(node.text) <= longest else ""
        problems.add(node, f"{what} must be text, not {described(node)}{quote}")
    elif not node.text:
        problems.add(node, f"{what} must not be empty")
    elif len(node.text) > longest:
        problems.add(node, f"{what} has at most {longest} characters")
    elif not (node.text.replace("\n", " ") if lines else node.text).isprintable():
        problems.add(node, f"{what} holds a character that cannot be printed: {quoted(node.text)}")
    else:
        return node.text
    return None


def name(node: Node, what: str, problems: Problems) -> str | None:
    """A new name: of a group, a VM, …"""
    value = text(node, what, problems, longest=MAX_TEXT)
    if value is None:
        return None
    if not NAME.fullmatch(value):
        problems.add(
            node,
            f"{quoted(value)} cannot be {what}: 1 to 63 letters, digits, '_', '-' or '.', "
            "beginning with a letter or digit",
        )
        return None
    if value in RESERVED:
        problems.add(node, f"{value!r} is reserved and cannot be {what}")
        return None
    return value


def integer(node: Node, what: str, lowest: int, highest: int, problems: Problems) -> int | None:
    """A number within bounds."""
    expected = f"{what} must be a number from {lowest} to {highest}"
    if not isinstance(node, Scalar) or node.kind is not Kind.INTEGER:
        problems.add(node, f"{expected}, not {described(node)}")
        return None
    value = _number(node.text)
    if value is None or not lowest <= value <= highest:
        problems.add(node, f"{expected}, not {quoted(node.text)[1:-1]}")
        return None
    return value


def _number(written: str) -> int | None:
    """A core-schema integer; None if it is too long for anything here."""
    if len(written) > _MAX_DIGITS:
        return None
    if written.startswith(("0x", "0o")):
        return int(written, 0)
    return int(written)


def boolean(node: Node, what: str, problems: Problems) -> bool | None:
    """`true` or `false`."""
    if isinstance(node, Scalar) and node.kind is Kind.BOOLEAN:
        return node.text.lower() == "true"
    problems.add(node, f"{what} must be true or false, not {described(node)}")
    return None


def choice(node: Node, what: str, choices: Collection[str], problems: Problems) -> str | None:
    """One word out of some."""
    value = text(node, what, problems)
    if value is None or value in choices:
        return value
    problems.add(node, f"{what} cannot be {quoted(value)}: {_listed(choices)}{problems.nearest(value, choices)}")
    return None


def one_or_more(node: Node, what: str, problems: Problems) -> list[Node]:
    """The items of a list, or the bare item itself. An empty list, or nothing at all, is a problem."""
    if isinstance(node, Sequence):
        if not node.items:
            problems.add(node, f"{what} must not be an empty list")
        return node.items
    if isinstance(node, Scalar) and node.kind is Kind.NULL:
        problems.add(node, f"{what} must not be empty")
        return []
    return [node]


def items(node: Node, what: str, problems: Problems) -> list[Node]:
    """The items of what must be a list; it may be empty."""
    if isinstance(node, Sequence):
        return node.items
    problems.add(node, f"{what} must be a list, not {described(node)}")
    return []


def entries(node: Node, what: str, problems: Problems) -> Iterator[tuple[Scalar, Node]]:
    """The entries of a mapping whose keys are names that the operator chose."""
    if isinstance(node, Mapping):
        yield from node.entries
    else:
        problems.add(node, f"{what} must be a mapping of names, not {described(node)}")


def prefix(node: Node, what: str, problems: Problems) -> Prefix | None:
    """An address or CIDR."""
    written = text(node, what, problems)
    if written is None:
        return None
    if len(written) > _MAX_ADDRESS_TEXT:
        problems.add(node, f"{quoted(written)} is not an IPv4 or IPv6 address or CIDR")
        return None
    try:
        found = parse_prefix(written)
    except ValueError as error:
        problems.add(node, str(error))
        return None
    if problems.twins.too_many(found):
        problems.stop(node, f"more than {MAX_TWINS} IPv6 prefixes that Python's hash cannot tell from {found}")
    return found


def prefixes(node: Node, what: str, problems: Problems) -> tuple[Prefix, ...]:
    """One or more addresses or CIDRs, each once."""
    found = (prefix(item, what, problems) for item in one_or_more(node, what, problems))
    return tuple(dict.fromkeys(value for value in found if value is not None))
