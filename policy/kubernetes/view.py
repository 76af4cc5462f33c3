"""A part of a Kubernetes object, which knows whose it is and where it stands. What is not as it must be raises `Lost`.

As in Kubernetes, `null` is the same as nothing written at all.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from policy.fields import described
from policy.kubernetes.report import Lost, Remark
from policy.nodes import Kind, Mapping, Node, Scalar, Sequence
from policy.problems import quoted

_MAX_DIGITS = 9


@dataclass(frozen=True, slots=True)
class View:
    """``owner`` is the object (`NetworkPolicy shop/web`), ``path`` the way to the node in it (`spec.ingress[0]`)."""

    node: Node
    owner: str
    path: str = ""

    def lost(self, why: str) -> Lost:
        """To be raised: this cannot be carried over."""
        return Lost(self.node, self.owner, self.path, why)

    def remark(self, why: str) -> Remark:
        """To be reported."""
        return Remark(self.node.place, self.owner, self.path, why)

    def entries(self) -> Iterator[tuple[str, View]]:
        """The entries of a mapping, those without a value left out."""
        if not isinstance(self.node, Mapping):
            raise self.lost(f"must be a mapping, not {described(self.node)}")
        for key, value in self.node.entries:
            if not _is_null(value):
                yield key.text, View(value, self.owner, f"{self.path}.{key.text}" if self.path else key.text)

    def get(self, *keys: str) -> View | None:
        """What stands at the end of a way of keys; None if nothing does."""
        found: View | None = self
        for key in keys:
            found = None if found is None else next((value for name, value in found.entries() if name == key), None)
        return found

    def need(self, key: str) -> View:
        """What stands under a key, which must be there."""
        found = self.get(key)
        if found is None:
            raise self.lost(f"{key!r} is missing")
        return found

    def only(self, *known: str) -> View:
        """This, if it has no other keys than these: a key that we do not know may change what the object means."""
        for key, value in self.entries():
            if key not in known:
                raise value.lost(f"{quoted(key)} is not known here")
        return self

    def one_of(self, *known: str) -> tuple[str, View]:
        """The only entry of a mapping that must have just one."""
        found = list(self.only(*known).entries())
        if len(found) != 1:
            raise self.lost(f"must have exactly one of {', '.join(known)}")
        return found[0]

    def items(self) -> list[View]:
        """The items of a list."""
        if not isinstance(self.node, Sequence):
            raise self.lost(f"must be a list, not {described(self.node)}")
        return [View(item, self.owner, f"{self.path}[{index}]") for index, item in enumerate(self.node.items)]

    def list(self, key: str) -> list[View]:
        """The items of the list under a key; none if nothing is there."""
        found = self.get(key)
        return [] if found is None else found.items()

    def text(self) -> str:
        """Text. A number or a boolean is none: Kubernetes would refuse it, too."""
        if not isinstance(self.node, Scalar) or self.node.kind is not Kind.TEXT:
            raise self.lost(f"must be text, not {described(self.node)}")
        return self.node.text

    def is_integer(self) -> bool:
        """True for a number, as opposed to a name."""
        return isinstance(self.node, Scalar) and self.node.kind is Kind.INTEGER

    def integer(self, lowest: int, highest: int) -> int:
        """A number within bounds."""
        node = self.node
        if not isinstance(node, Scalar) or node.kind is not Kind.INTEGER:
            raise self.lost(f"must be a number, not {described(node)}")
        number = int(node.text) if len(node.text) <= _MAX_DIGITS and node.text.isdecimal() else -1
        if not lowest <= number <= highest:
            raise self.lost(f"must be a number from {lowest} to {highest}, not {quoted(node.text)[1:-1]}")
        return number

    def is_true(self, key: str) -> bool:
        """True if the boolean under a key is there and true."""
        found = self.get(key)
        node = None if found is None else found.node
        return isinstance(node, Scalar) and node.kind is Kind.BOOLEAN and node.text.lower() == "true"


def _is_null(node: Node) -> bool:
    return isinstance(node, Scalar) and node.kind is Kind.NULL
