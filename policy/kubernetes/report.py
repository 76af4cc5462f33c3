"""What an import has to say beside its result: what was lost, and what is worth knowing."""

from __future__ import annotations

from dataclasses import dataclass, field

from policy.nodes import Node
from topology.inventory import Place


@dataclass(frozen=True, slots=True)
class Remark:
    """Something about one field of one object: ``owner`` is `Kind namespace/name`, ``field`` like `spec.ingress[0]`."""

    place: Place
    owner: str
    field: str
    why: str

    def __str__(self) -> str:
        return f"{self.owner}: {self.field}: {self.why}" if self.field else f"{self.owner}: {self.why}"


@dataclass(slots=True)
class Report:
    """``losses``: what could not be carried over. ``notes``: what was left out because it means nothing here."""

    losses: list[Remark] = field(default_factory=list)
    notes: list[Remark] = field(default_factory=list)


class Lost(Exception):
    """A part of an object cannot be carried over. Whoever knows what to do without that part catches this."""

    def __init__(self, node: Node, owner: str, path: str, why: str) -> None:
        super().__init__(why)
        self.remark = Remark(node.place, owner, path, why)

    def but(self, consequence: str) -> Remark:
        """The remark, with what is done instead."""
        remark = self.remark
        return Remark(remark.place, remark.owner, remark.field, f"{remark.why}; {consequence}")
