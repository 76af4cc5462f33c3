"""Who claims an address that somebody else claims too: a contest over prefixes, in time close to linear."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from topology.addresses import Prefix, ends
from topology.prefix_index import node_of


class Claim(NamedTuple):
    """``owner`` says he may use ``prefix`` in ``scope``; the larger ``weight`` wins. ``where`` is for messages.

    ``entrant`` says who in the caller's own terms; claims of one owner never meet, whatever their entrants.
    """

    scope: str
    prefix: Prefix
    owner: str
    weight: int
    where: str
    entrant: int


@dataclass(slots=True)
class _Node:
    """All claims on one prefix. ``above`` and ``below`` are the strongest claims on prefixes around and inside it."""

    first: int
    last: int
    claims: list[Claim] = field(default_factory=list)
    best: list[Claim] = field(default_factory=list)
    above: list[Claim] = field(default_factory=list)
    below: list[Claim] = field(default_factory=list)


def losers(claims: Iterable[Claim]) -> dict[int, tuple[Claim, Claim]]:
    """The entrants that lose, each with the claim it lost and the rival it lost to.

    A claim loses to an overlapping one, of another owner in the same scope, that weighs as much or more. So of equals
    all lose.
    """
    # Nodes are found by (first address, prefix length): hashing a prefix itself takes the standard library far longer.
    by_space: dict[tuple[str, int], dict[tuple[int, int], _Node]] = {}
    for claim in claims:
        prefix = claim.prefix
        nodes = by_space.setdefault((claim.scope, prefix.version), {})
        key = node_of(prefix)
        node = nodes.get(key)
        if node is None:
            node = nodes[key] = _Node(*ends(prefix))
        node.claims.append(claim)
    lost: dict[int, tuple[Claim, Claim]] = {}
    for _, nodes in sorted(by_space.items()):
        _relate(sorted(nodes.values(), key=lambda node: (node.first, -node.last)))
        for node in nodes.values():
            if len(node.claims) == 1 and not node.above and not node.below:
                continue
            rivals = _strongest(node.best + node.above + node.below)
            for claim in node.claims:
                rival = next((other for other in rivals if other.owner != claim.owner), None)
                if rival is not None and rival.weight >= claim.weight:
                    known = lost.get(claim.entrant)
                    if known is None or _order(claim, rival) < _order(*known):
                        lost[claim.entrant] = claim, rival
    return lost


def _relate(nodes: list[_Node]) -> None:
    """Fills in best, above and below. Prefixes nest or are disjoint, so one walk with a stack finds all overlaps."""
    stack: list[_Node] = []

    def close() -> None:
        inner = stack.pop()
        if stack:
            stack[-1].below = _strongest(stack[-1].below + inner.best + inner.below)

    for node in nodes:
        node.best = _strongest(node.claims)
        while stack and stack[-1].last < node.first:
            close()
        if stack:
            node.above = _strongest(stack[-1].best + stack[-1].above)
        stack.append(node)
    while stack:
        close()


def _strongest(claims: list[Claim]) -> list[Claim]:
    """The strongest claim and the strongest one of another owner: enough to find anybody's strongest rival."""
    if len(claims) < 2:
        return claims
    ranked = sorted(claims, key=lambda claim: (-claim.weight, claim.where, claim.owner, claim.entrant))
    other = next((claim for claim in ranked if claim.owner != ranked[0].owner), None)
    return ranked[:1] if other is None else [ranked[0], other]


def _order(claim: Claim, rival: Claim) -> tuple[tuple[object, ...], ...]:
    """Which lost claim is told of several. Prefixes of two families do not compare: IPv4 is told before IPv6."""
    return tuple((each.scope, each.prefix.version, *each[1:]) for each in (claim, rival))
