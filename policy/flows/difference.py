"""What must be sent to a switch so that it has the wanted flows: the least, and nothing that is right already."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from policy.flows.flow import Flow, Key
from policy.flows.pieces import Wanted
from topology.breath import breathing


@dataclass(frozen=True, slots=True)
class Difference:
    """``add`` also replaces: OVS overwrites a flow of the same table, priority and match.

    ``replaced`` are the flows that are overwritten so.
    """

    add: tuple[Flow, ...] = ()
    remove: tuple[Flow, ...] = ()
    replaced: tuple[Flow, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.add or self.remove)

    def __len__(self) -> int:
        return len(self.add) + len(self.remove)


def difference(wanted: Mapping[Key, Flow], installed: Mapping[Key, Flow]) -> Difference:
    """The flows to add (or replace) and to remove."""
    add: list[Flow] = []
    replaced: list[Flow] = []
    for key, flow in breathing(wanted.items(), 512):
        before = installed.get(key)
        if before != flow:
            add.append(flow)
            if before is not None:
                replaced.append(before)
    remove = [flow for key, flow in installed.items() if key not in wanted]
    return Difference(tuple(add), tuple(remove), tuple(replaced))


def change(wanted: Wanted, installed: Wanted) -> Difference:
    """The same from one wanted state to another: only pieces that differ are looked into.

    A flow may pass from one piece to another, so they are compared all together.
    """
    now: dict[Key, Flow] = {}
    then: dict[Key, Flow] = {}
    for new, old in ((wanted.own, installed.own), (wanted.shared, installed.shared)):
        if new is not old:
            for _, before, after in breathing(new.changes_since(old), 256):
                then.update((flow.key, flow) for flow in before or ())
                now.update((flow.key, flow) for flow in after or ())
    return difference(now, then)
