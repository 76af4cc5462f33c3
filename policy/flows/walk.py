"""Follows a packet through flows as Open vSwitch would. Pure: flows, packet and conntrack in; where it comes out.

One of three independent answers to what becomes of a packet (the others: the evaluator, and a real switch), and what
`explain` shows as a packet's way. It knows nothing of what the tables mean, only what matches and actions do.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import groupby

from policy.flows import fields as f
from policy.flows.action_wire import LEARN_PRIORITY
from policy.flows.cookies import Reason, reason
from policy.flows.flow import (
    Action,
    Commit,
    Conjunction,
    Flow,
    Learn,
    Limit,
    Load,
    Match,
    Move,
    Output,
    OutputBond,
    OutputTo,
    Pop,
    PopVlan,
    Punt,
    Push,
    PushVlan,
    Resubmit,
    Track,
    exact,
    flow,
    match,
    refuses,
)
from policy.flows.packet import Packet, headers, with_headers
from policy.flows.tables import TABLES
from policy.flows.tracker import CT_FIELDS, Tracker

# The switch gives up on a packet that is looked up more often than this, from one conntrack visit to the next.
MOST_RESUBMITS = 4096


class WalkError(Exception):
    """The flows contradict each other or do what the switch would not: a defect of the compiler."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A packet as it leaves by a port."""

    port: int
    packet: Packet


@dataclass(frozen=True, slots=True)
class Told:
    """What the controller is told of a packet: the reason's kind and number, as in cookies, and the side (0 egress)."""

    kind: int
    number: int
    side: int


@dataclass(frozen=True, slots=True)
class Walk:
    """What became of a packet.

    ``trail`` has each flow that was hit, in order. ``ends`` are the reasons of the flows that dropped it, or one of its
    copies. ``learned`` are the flows that the switch wrote itself. ``tracker`` is conntrack afterwards.
    """

    sent: tuple[Sent, ...]
    trail: tuple[Flow, ...]
    ends: tuple[Reason, ...]
    learned: tuple[Flow, ...]
    tracker: Tracker
    told: tuple[Told, ...] = ()

    @property
    def drop(self) -> Reason | None:
        """Why nothing came out; None if something did, or if it came to an end without a reason."""
        return None if self.sent or not self.ends else self.ends[-1]

    def ports(self) -> tuple[int, ...]:
        """The ports by which it left, sorted."""
        return tuple(sorted(sent.port for sent in self.sent))


class Flows:
    """Flows made ready for looking up: by table, and there by falling priority."""

    def __init__(self, flows: Iterable[Flow]) -> None:
        tables: dict[str, list[Flow]] = defaultdict(list)
        for item in flows:
            tables[item.table.name].append(item)
        self._bands = {name: _bands(found) for name, found in tables.items()}

    def learn(self, flows: Iterable[Flow]) -> None:
        """Set a table that the switch writes itself to just these flows: the walker is told, it does not remember."""
        tables: dict[str, list[Flow]] = {name: [] for name, table in TABLES.items() if table.dynamic}
        for item in flows:
            tables[item.table.name].append(item)
        self._bands.update({name: _bands(found) for name, found in tables.items()})

    def find(self, table: str, values: dict[str, int]) -> Flow | None:
        """The flow that a packet with these fields hits, conjunctions resolved. Raises ``WalkError`` if two differ."""
        for band in self._bands.get(table, ()):
            hits = [item for item in band if matches(item.match, values)]
            plain = [item for item in hits if not _clauses(item)]
            if plain:
                return _only(plain)
            satisfied = _satisfied(hits)
            if len(satisfied) > 1:
                raise WalkError(f"{table}: conjunctions {sorted(satisfied)} meet at priority {band[0].priority}")
            if satisfied:
                return self._concluding(table, values, satisfied.pop())
        return None

    def _concluding(self, table: str, values: dict[str, int], number: int) -> Flow:
        """The flow on a conjunction's number that says what to do."""
        fulfilled = values | {f.CONJ_ID.name: number}
        for band in self._bands[table]:
            hits = [item for item in band if not _clauses(item) and matches(item.match, fulfilled)]
            if hits:
                return _only(hits)
        raise WalkError(f"{table}: nothing to do for conjunction {number:#x}")


def _bands(flows: list[Flow]) -> list[list[Flow]]:
    ordered = sorted(flows, key=lambda item: -item.priority)
    return [list(band) for _, band in groupby(ordered, key=lambda item: item.priority)]


def _clauses(item: Flow) -> list[Conjunction]:
    return [action for action in item.actions if isinstance(action, Conjunction)]


def _satisfied(hits: list[Flow]) -> set[int]:
    """The conjunctions of which every clause is among the flows hit."""
    seen: dict[int, set[int]] = defaultdict(set)
    wanted: dict[int, int] = {}
    for item in hits:
        for clause in _clauses(item):
            seen[clause.id].add(clause.clause)
            wanted[clause.id] = clause.of
    return {number for number, clauses in seen.items() if len(clauses) == wanted[number]}


def _only(hits: list[Flow]) -> Flow:
    """The flow hit. Several at one priority must do the same, since the switch takes any of them."""
    if any((item.actions, item.cookie) != (hits[0].actions, hits[0].cookie) for item in hits):
        raise WalkError(f"{hits[0].table}: {len(hits)} different flows of priority {hits[0].priority} match one packet")
    return hits[0]


def matches(tests: Match, values: dict[str, int]) -> bool:
    """True if a packet with these fields passes all tests."""
    return all(values[test.field.name] & test.mask == test.value for test in tests)


def walk(flows: Flows, packet: Packet, in_port: int, tracker: Tracker | None = None) -> Walk:
    """Follow a packet that comes in by a port. Raises ``WalkError``."""
    walker = _Walker(flows, packet, in_port, tracker or Tracker())
    walker.start()
    learned = {item.key: item for item in walker.learned}
    return Walk(
        tuple(walker.sent),
        tuple(walker.trail),
        tuple(walker.ends),
        tuple(learned.values()),
        walker.tracker,
        tuple(walker.told),
    )


@dataclass(slots=True)
class _Passage:
    """One passage through the tables, from the port or from conntrack on: all the fields, the stack, the look-ups."""

    values: dict[str, int]
    stack: list[int] = field(default_factory=list)
    resubmits: int = 0


class _Walker:
    def __init__(self, flows: Flows, packet: Packet, in_port: int, tracker: Tracker) -> None:
        self.flows = flows
        self.packet = packet
        self.in_port = in_port
        self.tracker = tracker
        self.sent: list[Sent] = []
        self.trail: list[Flow] = []
        self.ends: list[Reason] = []
        self.learned: list[Flow] = []
        self.told: list[Told] = []

    def start(self) -> None:
        values = dict.fromkeys(f.FIELDS, 0) | headers(self.packet) | {f.IN_PORT.name: self.in_port}
        self.visit("CLASSIFY", _Passage(values))

    def visit(self, table: str, passage: _Passage) -> None:
        """Look the packet up in a table and do what its flow says."""
        found = self.flows.find(table, passage.values)
        if found is None:
            return
        self.trail.append(found)
        if not found.table.subroutine and refuses(found) and (why := reason(found.cookie)):
            self.ends.append(why)
        for action in found.actions:
            self.act(action, passage)

    def act(self, action: Action, passage: _Passage) -> None:
        values = passage.values
        match action:
            case Load(target, value):
                values[target.name] = value
            case Move(source, target, bits):
                low = (1 << bits) - 1
                values[target.name] = values[target.name] & ~low | values[source.name] & low
            case Push(source):
                passage.stack.append(values[source.name])
            case Pop(target):
                values[target.name] = passage.stack.pop()
            case PushVlan():
                if values[f.VLAN_VID.name]:
                    raise WalkError("a second VLAN tag")
                values[f.VLAN_VID.name] = f.TAGGED
            case PopVlan():
                values[f.VLAN_VID.name] = 0
            case Resubmit(table):
                passage.resubmits += 1
                if passage.resubmits > MOST_RESUBMITS:
                    raise WalkError(f"more than {MOST_RESUBMITS} look-ups")
                self.visit(table, passage)
            case Track(table):
                self.track(table, passage)
            case Commit(mark, helper):
                self.tracker = self.tracker.commit(values[f.ZONE.name], self.now(values), mark, helper)
            case Limit():
                pass  # One packet alone is within every limit.
            case Punt():
                self.told.append(Told(values[f.WHY_KIND.name], values[f.WHY.name], values[f.WHY_SIDE.name]))
            case Output(port):
                self.output(port, values)
            case OutputTo(source):
                self.output(values[source.name], values)
            case OutputBond(members, _):
                # Which member is the switch's choice; the first stands for all.
                self.output(members[0], values)
            case Learn():
                self.learned.append(_learned(action, values))
            case Conjunction():
                raise WalkError("a clause of a conjunction does nothing by itself")

    def track(self, table: str, passage: _Passage) -> None:
        """A copy goes through conntrack and on to the table; what goes on here knows nothing of it."""
        packet = self.now(passage.values)
        # Conntrack keeps a fragment until it has them all.
        if not packet.ip_frag or packet.whole is not None:
            self.tracker, told = self.tracker.look(passage.values[f.ZONE.name], packet)
            self.visit(table, _Passage(passage.values | told, list(passage.stack)))
        passage.values.update(dict.fromkeys(CT_FIELDS, 0))

    def output(self, port: int, values: dict[str, int]) -> None:
        if not port:
            raise WalkError("output to port 0")
        if port != values[f.IN_PORT.name]:
            self.sent.append(Sent(port, self.now(values)))

    def now(self, values: dict[str, int]) -> Packet:
        """The packet as it is at this point of its way."""
        return with_headers(self.packet, values)


def _learned(action: Learn, values: dict[str, int]) -> Flow:
    tests = match(exact(f.ETH_DST, values[f.ETH_SRC.name]), exact(f.VLAN, values[f.VLAN.name]))
    actions = (Load(f.UPLINK_OUT, values[f.UPLINK_IN.name]),)
    return flow(TABLES[action.table].name, LEARN_PRIORITY, tests, actions, action.cookie)
