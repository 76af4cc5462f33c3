"""Blast radius: what an intruder on a VM could reach under the policy, hop by hop; who could do most harm; and which
rule has most part in it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from policy.analysis.contexts import places_of
from policy.analysis.reach import OUTSIDE, Nodes, Reach
from policy.analysis.regions import Region

# Rules that are left out one by one, to see what becomes of all radii: those that the most pairs need.
MOST_RULES = 25
THE_OUTSIDE = "the outside"
_NAMES = 2  # of VMs that are alike


@dataclass(frozen=True, slots=True)
class Step:
    """How VMs that are alike are first reached: from one of those that were reached the hop before.

    ``node`` `OUTSIDE`: the outside. ``vms`` are those reached, without the one where it began.
    """

    hop: int
    source: int
    node: int
    vms: tuple[str, ...]
    services: Region
    rules: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Radius:
    """What can be reached from ``start`` (None: from the outside), and how many VMs that is."""

    start: str | None
    node: int
    steps: tuple[Step, ...]
    reached: int

    @property
    def outside(self) -> bool:
        return any(step.node == OUTSIDE for step in self.steps)


@dataclass(frozen=True, slots=True)
class Harm:
    """What somebody in a node could do: VMs reached at once and in the end, and whether the outside is."""

    node: int
    direct: int
    reached: int
    outside: bool


@dataclass(frozen=True, slots=True)
class Part:
    """A rule's part: what would be reached if it were not there, and how many pairs talk by nothing else."""

    rule: int
    without: int
    pairs: int


def names(vms: Sequence[str], most: int = _NAMES) -> str:
    """`web-1, web-2 and 3 more`; the outside where there is no VM."""
    if not vms:
        return THE_OUTSIDE
    more = f" and {len(vms) - most} more" if len(vms) > most else ""
    return ", ".join(vms[:most]) + more


def layers(steps: Sequence[Nodes], start: int, hops: int | None = None) -> list[Nodes]:
    """The nodes first reached with each hop. From the outside nothing goes on, unless it is where it began."""
    found: list[Nodes] = []
    known = 0
    # Others in the node where it began are not reached by being like it, so it may be met again.
    frontier = 1 << start
    while frontier and (hops is None or len(found) < hops):
        reached = 0
        for node in places_of(frontier):
            if node != OUTSIDE or start == OUTSIDE:
                reached |= steps[node]
        frontier = reached & ~known
        if start == OUTSIDE:
            frontier &= ~1
        known |= frontier
        if frontier:
            found.append(frontier)
    return found


def _others(reach: Reach, nodes: Nodes, start: int) -> int:
    """How many VMs are in these nodes, without the one where it began."""
    own = 1 if nodes >> start & 1 and start != OUTSIDE else 0
    return sum(len(reach.nodes[node].vms) for node in places_of(nodes)) - own


def _all(found: Sequence[Nodes]) -> Nodes:
    together = 0
    for nodes in found:
        together |= nodes
    return together


def radius(reach: Reach, vm: str | None, hops: int | None = None) -> Radius:
    """What can be reached from a VM, or from the outside."""
    start = OUTSIDE if vm is None else reach.node_of[vm]
    found = layers(reach.steps, start, hops)
    steps = []
    before = 1 << start
    for hop, nodes in enumerate(found, 1):
        for node in places_of(nodes):
            vms = tuple(other for other in reach.nodes[node].vms if other != vm)
            if vms or node == OUTSIDE:
                # The outside is where it may have begun, but never a place to go on from.
                sources = before if start == OUTSIDE else before & ~1
                source = next(at for at in places_of(sources) if reach.steps[at] >> node & 1)
                steps.append(Step(hop, source, node, vms, *reach.between(source, node)))
        before = nodes
    return Radius(vm, start, tuple(steps), _others(reach, _all(found), start))


def ranking(reach: Reach, hops: int | None = None) -> list[Harm]:
    """All nodes, the outside included, those that could do most harm first."""
    found = []
    for node in range(len(reach.nodes)):
        reached = layers(reach.steps, node, hops)
        found.append(
            Harm(
                node,
                _others(reach, reached[0], node) if reached else 0,
                _others(reach, _all(reached), node),
                bool(_all(reached) & 1),
            )
        )
    return sorted(found, key=lambda harm: (-harm.reached, -harm.direct, harm.node))


def parts_of_one(reach: Reach, of: Radius, hops: int | None = None) -> list[Part]:
    """The rules on the way there, those with the greatest part first; at most `MOST_RULES` are tried."""
    on_the_way = {rule for step in of.steps for rule in step.rules}
    found = []
    for rule in _needed(reach, on_the_way):
        without = _others(reach, _all(layers(reach.without(rule), of.node, hops)), of.node)
        found.append(Part(rule, without, reach.closing[rule]))
    return sorted(found, key=_greatest)


def parts_of_all(reach: Reach, hops: int | None = None) -> list[Part]:
    """The same for all VMs together: ``without`` is the sum over all of them; at most `MOST_RULES` are tried."""
    tried = _needed(reach, reach.closing)
    return sorted(
        (Part(rule, total(reach, reach.without(rule), hops), reach.closing[rule]) for rule in tried), key=_greatest
    )


def _needed(reach: Reach, rules: Iterable[int]) -> list[int]:
    """Those of the rules by which alone most pairs talk."""
    needed = [rule for rule in rules if rule in reach.closing]
    return sorted(needed, key=lambda rule: (-reach.closing[rule], rule))[:MOST_RULES]


def _greatest(part: Part) -> tuple[int, int, int]:
    return part.without, -part.pairs, part.rule


def total(reach: Reach, steps: Sequence[Nodes], hops: int | None = None) -> int:
    """Pairs of VMs of which the second can be reached from the first, in so many hops."""
    return sum(
        len(reach.nodes[node].vms) * _others(reach, _all(layers(steps, node, hops)), node)
        for node in range(1, len(reach.nodes))
    )


@dataclass(frozen=True, slots=True)
class Worth:
    """What is reached within so many hops, under the policy and in a flat network."""

    hops: int
    reached: int
    flat: int

    @property
    def kept(self) -> int:
        """What the policy keeps an intruder from, in hundredths of what a flat network gives him."""
        return 100 * (self.flat - self.reached) // self.flat if self.flat else 0


def worth(reach: Reach, start: int | None = None, hops: int | None = None) -> list[Worth]:
    """The policy against none, hop by hop until nothing more is reached: from one node, or pairs of all VMs."""
    starts = range(1, len(reach.nodes)) if start is None else (start,)
    found: list[list[int]] = []
    for steps in (reach.steps, reach.flat):
        sums: list[int] = []
        for node in starts:
            times = len(reach.nodes[node].vms) if start is None else 1
            for hop, nodes in enumerate(layers(steps, node, hops)):
                sums.extend([0] * (hop + 1 - len(sums)))
                sums[hop] += times * _others(reach, nodes, node)
        found.append(list(accumulate(sums)))
    own, flat = ([each for at, each in enumerate(sums) if each > max(sums[:at], default=0)] for sums in found)
    last = max(len(own), len(flat))
    own, flat = (each + [each[-1] if each else 0] * (last - len(each)) for each in (own, flat))
    return [Worth(hop, *both) for hop, both in enumerate(zip(own, flat, strict=True), 1)]
