"""Who can open any connection to whom, for all VMs at once: the graph in which a blast radius is measured.

VMs that are in the same endpoint classes are alike to every rule and one node here; the outside is a node of its own.
An intruder keeps to the policy (addresses that are not his are not let out), and holds every VM that he reaches.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from policy.analysis.classes import EndpointClass
from policy.analysis.contexts import Contexts, Situation, places_of, situation
from policy.analysis.decide import Role
from policy.analysis.regions import EMPTY, FAMILY, Region
from policy.model import Verdict

# A set of nodes: bit i stands for the i-th.
Nodes = int
OUTSIDE = 0


@dataclass(frozen=True, slots=True)
class Node:
    """VMs that are alike; the outside has none."""

    vms: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Opened:
    """What goes through by a rule: services, who from and who to, and how many pairs (the outside is one end)."""

    services: Region
    sources: Nodes
    destinations: Nodes
    pairs: int


@dataclass(slots=True)
class _Space:
    """One scope and family: which nodes have which role."""

    family: int
    sources: dict[Role, Nodes] = field(default_factory=lambda: defaultdict(int))
    destinations: dict[Role, Nodes] = field(default_factory=lambda: defaultdict(int))


class Reach:
    """``ignored``: services by which no intruder gets anywhere."""

    def __init__(self, contexts: Contexts, ignored: Region = EMPTY) -> None:
        self.contexts = contexts
        self._ignored = ignored
        self._through: dict[tuple[Situation, int], Region] = {}
        self.nodes: Sequence[Node]
        self._classes: Sequence[tuple[EndpointClass, ...]]
        self.nodes, self._classes = self._alike()
        self.node_of: Mapping[str, int] = {vm: at for at, node in enumerate(self.nodes) for vm in node.vms}

    def _alike(self) -> tuple[Sequence[Node], Sequence[tuple[EndpointClass, ...]]]:
        """The nodes, and for each the classes that it is in."""
        classes = self.contexts.world.classes
        of_vm: dict[str, dict[int, None]] = {vm.name: {} for vm in self.contexts.document.inventory.vms}
        for at, each in enumerate(classes):
            for end in each.ends:
                if end.vnic is not None and end.vnic.vm is not None:
                    of_vm[end.vnic.vm][at] = None
        alike: dict[tuple[int, ...], list[str]] = defaultdict(list)
        for vm, found in of_vm.items():
            alike[tuple(found)].append(vm)
        outside = tuple(each for each in classes if each.is_outside)
        nodes = [Node(()), *(Node(tuple(vms)) for vms in alike.values())]
        return nodes, [outside, *(tuple(classes[at] for at in key) for key in alike)]

    @cached_property
    def _spaces(self) -> Sequence[_Space]:
        found: dict[tuple[str, int], _Space] = {}
        rules = self.contexts.rules
        for at, classes in enumerate(self._classes):
            for each in classes:
                space = found.setdefault((each.scope, each.family), _Space(each.family))
                space.sources[rules.source(each.kind, each.members)] |= 1 << at
                space.destinations[rules.destination(each.kind, each.members)] |= 1 << at
        return tuple(found.values())

    def _region(self, of: Situation, family: int, without: int = 0) -> Region:
        return (self.contexts.outcome(of, without).allow & FAMILY[family]) - self._ignored

    @cached_property
    def _rows(self) -> Sequence[tuple[Nodes, Mapping[Role, Nodes], Mapping[int, set[Role]]]]:
        """For each role of a source in each space: who has it; the roles that it can open a connection to, with who has
        these; and the rules without which it could not, each with those roles."""
        known: dict[tuple[Situation, int], tuple[int, ...] | None] = {}
        found = []
        for space in self._spaces:
            for source, from_nodes in space.sources.items():
                row: dict[Role, Nodes] = {}
                closing: dict[int, set[Role]] = defaultdict(set)
                for destination, to_nodes in space.destinations.items():
                    key = (situation(source, destination), space.family)
                    if key not in known:
                        known[key] = self._critical(*key)
                    needed = known[key]
                    if needed is not None:
                        row[destination] = to_nodes
                        for rule in needed:
                            closing[rule].add(destination)
                found.append((from_nodes, row, closing))
        return found

    def _critical(self, of: Situation, family: int) -> tuple[int, ...] | None:
        """The allows without which nothing would go through any more; None if nothing goes through."""
        through = self._region(of, family)
        if not through:
            return None
        return tuple(
            rule
            for rule in dict(self._letting(of, family))
            if self.contexts.rules.deciders[rule].rule.verdict is Verdict.ALLOW
            and not self._region(of, family, 1 << rule)
        )

    @cached_property
    def steps(self) -> Sequence[Nodes]:
        """For each node those that it can open a connection to."""
        return self.without(None)

    def without(self, rule: int | None) -> Sequence[Nodes]:
        """The same if one allow were not there."""
        found = [0] * len(self.nodes)
        for from_nodes, row, closing in self._rows:
            closed = closing.get(rule, ()) if rule is not None else ()
            reached = 0
            for destination, to_nodes in row.items():
                if destination not in closed:
                    reached |= to_nodes
            for node in places_of(from_nodes):
                found[node] |= reached
        return self._sensible(found)

    @cached_property
    def closing(self) -> Mapping[int, int]:
        """The allows without which some pair of VMs (the outside is one) could not talk at all, and how many pairs.

        A pair that talks in two ways (families, vNICs) is counted for each.
        """
        found: dict[int, int] = defaultdict(int)
        sizes = [self._size(at) for at in range(len(self.nodes))]
        for from_nodes, row, closing in self._rows:
            sources = sum(sizes[node] for node in places_of(from_nodes))
            for rule, closed in closing.items():
                found[rule] += sources * sum(sizes[node] for role in closed for node in places_of(row[role]))
        return found

    def _sensible(self, steps: list[Nodes]) -> Sequence[Nodes]:
        """Without what does not count: outside to outside, a VM to itself."""
        return [self._others(at, reached) for at, reached in enumerate(steps)]

    def _others(self, node: int, reached: Nodes) -> Nodes:
        return reached & ~(1 << node) if self._size(node) < 2 else reached

    @cached_property
    def flat(self) -> Sequence[Nodes]:
        """As `steps`, in a network without any policy: whoever shares a scope and a family can talk."""
        found = [0] * len(self.nodes)
        for space in self._spaces:
            everybody = 0
            for nodes in space.sources.values():
                everybody |= nodes
            for node in places_of(everybody):
                found[node] |= everybody
        return self._sensible(found)

    def opened(self) -> Mapping[int, Opened]:
        """The rules by which anything goes through, each with who talks to whom by it."""
        rules: dict[tuple[Situation, int], list[tuple[int, Region]]] = {}
        reached: dict[int, dict[int, Nodes]] = defaultdict(lambda: defaultdict(int))
        services: dict[int, Region] = defaultdict(lambda: EMPTY)
        for space in self._spaces:
            for source, from_nodes in space.sources.items():
                by_rule: dict[int, Nodes] = defaultdict(int)
                for destination, to_nodes in space.destinations.items():
                    key = (situation(source, destination), space.family)
                    if key not in rules:
                        rules[key] = list(self._letting(*key))
                    for rule, region in rules[key]:
                        by_rule[rule] |= to_nodes
                        services[rule] |= region
                for rule, nodes in by_rule.items():
                    for node in places_of(from_nodes):
                        reached[rule][node] |= nodes
        found = {rule: self._opened(services[rule], by_node) for rule, by_node in sorted(reached.items())}
        return {rule: opened for rule, opened in found.items() if opened.pairs}

    def _letting(self, of: Situation, family: int) -> Iterator[tuple[int, Region]]:
        """The rules that decide about something that goes through, with what that is."""
        through = self._region(of, family)
        outcome = self.contexts.outcome(of)
        for side in (outcome.egress, outcome.ingress):
            for part in side.deciding(through) if side is not None and through else ():
                if part.by is not None:
                    yield part.by, part.region

    def _opened(self, services: Region, by_node: Mapping[int, Nodes]) -> Opened:
        sensible = {node: self._others(node, nodes) for node, nodes in by_node.items()}
        sources = destinations = pairs = 0
        for node, nodes in sensible.items():
            if nodes:
                sources |= 1 << node
                destinations |= nodes
                own = nodes >> node & 1
                pairs += self._size(node) * (sum(map(self._size, places_of(nodes))) - own)
        return Opened(services, sources, destinations, pairs)

    def _size(self, node: int) -> int:
        """How many ends a node stands for: its VMs; the outside is one."""
        return len(self.nodes[node].vms) or 1

    def between(self, source: int, destination: int) -> tuple[Region, tuple[int, ...]]:
        """The services that go through from one node to another, and the rules that let them."""
        region, rules = EMPTY, dict[int, None]()
        for of, family in self._situations(source, destination):
            through = self._region(of, family)
            if through:
                region |= through
                rules.update((rule, None) for rule, _ in self._letting(of, family))
        return region, tuple(sorted(rules))

    def _situations(self, source: int, destination: int) -> Iterator[tuple[Situation, int]]:
        rules = self.contexts.rules
        for one in self._classes[source]:
            for other in self._classes[destination]:
                if (one.scope, one.family) == (other.scope, other.family):
                    role = rules.source(one.kind, one.members)
                    yield situation(role, rules.destination(other.kind, other.members)), one.family
