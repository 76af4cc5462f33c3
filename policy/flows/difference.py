"""What must be sent to a switch so that it has the wanted flows: the least, and nothing that is right already."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from policy.flows.flow import Flow, Key


@dataclass(frozen=True, slots=True)
class Difference:
    """``add`` also replaces: OVS overwrites a flow of the same table, priority and match."""

    add: tuple[Flow, ...] = ()
    remove: tuple[Flow, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.add or self.remove)

    def __len__(self) -> int:
        return len(self.add) + len(self.remove)


def difference(wanted: Mapping[Key, Flow], installed: Mapping[Key, Flow]) -> Difference:
    """The flows to add (or replace) and to remove, in table order so that equal inputs give equal messages."""
    add = [flow for key, flow in wanted.items() if installed.get(key) != flow]
    remove = [flow for key, flow in installed.items() if key not in wanted]
    return Difference(tuple(add), tuple(remove))
