"""A bridge as its OpenFlow side shows it: it applies bundles to dicts, and holds them to what a switch insists on."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from policy.flows import wire
from policy.flows.cookies import Kind, reason
from policy.flows.flow import Flow, Key, Limit, Punt, Resubmit
from policy.flows.match_wire import encode_match
from policy.flows.meters import HIGHEST_METER, Meter
from policy.flows.slots import FIRST, on_wire
from ryu_apps.facts import SendBundle


def plain(flows: Mapping[Key, Flow]):
    """Flows without what may depend on history: of a rule's priority only its place in its table."""
    places: dict[int, dict[int, int]] = {}
    for flow in flows.values():
        if is_rules(flow.cookie):
            places.setdefault(flow.table.number, {})[flow.priority] = 0
    for found in places.values():
        found.update({priority: -place for place, priority in enumerate(sorted(found))})
    return {
        (
            flow.table.name,
            places[flow.table.number][flow.priority] if is_rules(flow.cookie) else flow.priority,
            flow.match,
            flow.actions,
            flow.cookie,
        )
        for flow in flows.values()
    }


@functools.cache
def is_rules(cookie):
    """True if the cookie says that a flow stands for a rule."""
    why = reason(cookie)
    return why is not None and why.kind is Kind.RULE


@functools.lru_cache(maxsize=10_000)
def installed(flow, slot=FIRST):
    """A flow as a switch tells it that has it in a slot."""
    leads = slot if not flow.table.number and any(isinstance(action, Resubmit) for action in flow.actions) else None
    number = on_wire(flow.table, slot)
    return wire.Installed(number, flow.priority, flow.cookie, encode_match(flow.match), flow, 0, 0, leads)


def with_layout(entry, layout):
    """The same flow by a program with another layout."""
    cookie = entry.cookie & ~(0xFF << 40) | layout << 40
    return replace(entry, cookie=cookie, flow=replace(entry.flow, cookie=cookie))


@dataclass
class Switch:
    """A bridge's OpenFlow side. ``refuse``: the flow of a bundle that it names when it refuses it, and why.

    ``flows`` are those of the generation of today's program, in ``slot``; ``older`` what other generations have left.
    """

    dpid: int
    flows: dict[Key, Flow] = field(default_factory=dict)
    foreign: list[wire.Installed] = field(default_factory=list)
    meters: dict[int, Meter] = field(default_factory=dict)
    most_meters: int = HIGHEST_METER
    session: int | None = None
    silent: bool = False
    refuse: object = None
    bundles: list[SendBundle] = field(default_factory=list)
    forgotten: list[int] = field(default_factory=list)
    slot: int = FIRST
    older: list[wire.Installed] = field(default_factory=list)
    # When something has last led to a slot, by slot.
    led: dict[int | None, float] = field(default_factory=dict)

    def told(self):
        """Its flows as its statistics tell them."""
        return (*(installed(flow, self.slot) for flow in self.flows.values()), *self.older, *self.foreign)

    def is_left_by(self, layout):
        """All that it holds is of another layout's program."""
        own = [installed(flow, self.slot) for flow in self.flows.values()]
        self.older, self.flows = [with_layout(entry, layout) for entry in (*own, *self.older)], {}

    def take(self, bundle: SendBundle):
        """All of a bundle, or None of it and the refusal."""
        self.forgotten += bundle.forget
        if self.refuse is not None and (refusal := self.refuse(bundle)) is not None:
            return refusal
        for meter in (*bundle.add_meters, *bundle.change_meters):
            assert (meter.number in self.meters) is (meter in bundle.change_meters)
            self.meters[meter.number] = meter
        if bundle.slot != self.slot:
            self.older += [installed(flow, self.slot) for flow in self.flows.values()]
            self.slot, self.flows = bundle.slot, {}
        for entry in bundle.outdated:
            self.older.remove(entry)
        for flow in bundle.remove:
            del self.flows[flow.key]
        self.flows.update({flow.key: flow for flow in bundle.add})
        for entry in bundle.foreign:
            self.foreign.remove(entry)
        # A flow of ours takes the place of a foreign one with its key.
        self.foreign = [entry for entry in self.foreign if entry.flow is None or entry.flow.key not in self.flows]
        self.older = [entry for entry in self.older if entry.table or entry.flow.key not in self.flows]
        # All of table 0 leads to the new generation, and nothing is taken away from under packets on their way.
        assert all(entry.table for entry in self.older) and bundle.slot not in bundle.retire
        assert not (bundle.retire and bundle.outdated)
        self.older = [entry for entry in self.older if entry.slot not in bundle.retire]
        for number in bundle.remove_meters:
            del self.meters[number]
        # A switch takes no flow that names a meter which is not there, and removes those whose meter goes.
        there = [*self.flows.values(), *(entry.flow for entry in self.older)]
        named = {a.meter for flow in there for a in flow.actions if isinstance(a, Limit | Punt)}
        assert named <= self.meters.keys()
        self.bundles.append(bundle)
        return None
