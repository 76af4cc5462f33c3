"""Identities: the set of policy groups that an address belongs to, as one number.

Only groups that some rule names count, so two addresses that no rule can tell apart share an identity. The number is a
digest of the set, so it stays the same when other identities come and go. Identity 0 is the empty set: an address that
only `any` matches.

Membership follows from the address within its scope: the groups of the vNIC that owns it, and the CIDRs that contain
it. It is therefore constant between the borders that owned prefixes, CIDRs and exceptions draw, and one longest-prefix
entry for each border that changes something is all the switch needs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from policy.flows.borders import EMPTY, Members
from policy.flows.places import Place, PlaceIndex
from policy.model import Document, Group, Groups, Policy
from policy.selectors import parse_selector
from topology.addresses import Prefix
from topology.shared_map import SharedMap

__all__ = ["EMPTY", "NOBODY", "Entry", "Identities", "Members", "Place", "matching"]

NOBODY = 0


class Entry(NamedTuple):
    """The groups of a block of addresses, and those of the block around it, which are others.

    ``many``: some of its addresses are destinations of packets for many. ``many_around``: some of the block around it.
    """

    members: Members
    around: Members
    many: bool
    many_around: bool


@dataclass(frozen=True, slots=True, eq=False)
class Identities:
    """All identities of one policy and universe.

    ``numbers``: set of groups -> number. ``members``: the reverse. ``blocks``: (scope, prefix) -> set of groups, with
    the meaning of longest-prefix match. ``entries``: those blocks whose set differs from that of the enclosing one.
    ``places``: the blocks with each of these. ``scopes``: name -> number. ``of_vnic``: vNIC -> groups that it is in
    whatever its address.
    ``flooded``: scope -> the sets of groups that the destination of a packet for many can have there, by its address
    alone; of ``crowded`` scopes the others are too many, and what is sent there is copied to nobody. ``holding``:
    group -> the identities that are in it. ``labels``: group -> a text that names it. ``edition`` differs between two
    answers of a book where a number means something else in each, be it of a scope or of a set of groups. ``many``: the
    identities of destinations of packets for many.
    """

    numbers: Mapping[Members, int]
    members: Mapping[int, Members]
    entries: SharedMap[Place, Entry]
    places: SharedMap[Entry, frozenset[Place]]
    blocks: SharedMap[Place, Members]
    scopes: Mapping[str, int]
    of_vnic: SharedMap[str, Members]
    flooded: Mapping[str, frozenset[Members]]
    holding: Mapping[Group, frozenset[int]]
    labels: Mapping[Group, str] = field(default_factory=dict)
    edition: int = 0
    crowded: frozenset[str] = frozenset()
    many: frozenset[int] = frozenset()

    def number(self, groups: Members) -> int:
        """The number of a set of groups that occurs."""
        return self.numbers[groups]

    def on_side(self, side: Groups) -> frozenset[int] | None:
        """The identities on a side of a rule; None is any."""
        if side is None:
            return None
        return frozenset().union(*(self.holding.get(group, ()) for group in side))

    def at(self, scope: str, prefix: Prefix) -> Members:
        """The groups of the first address of a prefix, as long as nothing narrower says otherwise."""
        while (found := self.blocks.get((scope, prefix))) is None and prefix.prefixlen:
            prefix = prefix.supernet()
        return found or EMPTY

    def inside(self, ranges: PlaceIndex) -> frozenset[Members]:
        """The groups of everything that lies within some prefixes."""
        if not ranges:
            return frozenset()
        return frozenset(members for place, members in self.blocks.pairs() if ranges.holds(place))


def referenced_groups(document: Document) -> tuple[Group, ...]:
    """The groups that rules name, each once, in the order of first use."""
    seen: dict[Group, None] = {}
    for policy in document.policies:
        for rule in policy.rules:
            for side in (rule.sources, rule.destinations, rule.at, enforcers(policy)):
                for group in side or ():
                    seen.setdefault(group)
    return tuple(seen)


def enforcers(policy: Policy) -> Groups:
    """Who may enforce a policy's rules: any vNIC for the provider's, a tenant's own vNICs for a tenant's."""
    return None if policy.tenant is None else (Group(selector=parse_selector("all()"), tenant=policy.tenant),)


def label(group: Group) -> str:
    """A text that names a group, the same in every process: its name, or its contents if it has none."""
    if group.name is not None:
        return f"{group.tenant}/{group.name}" if group.tenant else group.name
    parts = [
        group.tenant or "",
        str(group.selector or ""),
        ",".join(sorted(map(str, group.cidrs))),
        ",".join(sorted(map(str, group.excepts))),
        ",".join(sorted(group.vms)),
        ",".join(sorted(map(label, group.any_of))),
        group.scope or "",
    ]
    return "inline|" + "|".join(parts)


def matching(members: Members, side: Groups) -> bool:
    """True if an address with these groups is on this side of a rule."""
    return side is None or any(group in members for group in side)
