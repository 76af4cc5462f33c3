"""Identities: the set of policy groups that an address belongs to, as one number.

Only groups that some rule names count, so two addresses that no rule can tell apart share an identity. The number is a
digest of the set, so it stays the same when other identities come and go. Identity 0 is the empty set: an address that
only `any` matches.

Membership follows from the address within its scope: the groups of the vNIC that owns it, and the CIDRs that contain
it. It is therefore constant between the borders that owned prefixes, CIDRs and exceptions draw, and one longest-prefix
entry for each border that changes something is all the switch needs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network

from policy.flows.borders import EMPTY, Members, key_of
from policy.flows.shared_map import SharedMap
from policy.model import Document, Group, Groups, Policy
from policy.selectors import parse_selector
from topology.addresses import Prefix

__all__ = ["EMPTY", "FLOODED", "NOBODY", "Identities", "Members", "Place", "matching"]

NOBODY = 0
# Destinations of packets for many: multicast (RFC 5771, RFC 4291) and the limited broadcast (RFC 919).
FLOODED: tuple[Prefix, ...] = (IPv4Network("224.0.0.0/4"), IPv4Network("255.255.255.255/32"), IPv6Network("ff00::/8"))

Place = tuple[str, Prefix]


@dataclass(frozen=True, slots=True, eq=False)
class Identities:
    """All identities of one policy and universe.

    ``numbers``: set of groups -> number. ``members``: the reverse. ``blocks``: (scope, prefix) -> set of groups, with
    the meaning of longest-prefix match. ``entries``: those blocks whose set differs from that of the enclosing one.
    ``scopes``: name -> number. ``of_vnic``: vNIC -> groups that it is in whatever its address.
    ``flooded``: scope -> the sets of groups that the destination of a packet for many can have there, by its address
    alone. ``holding``: group -> the identities that are in it. ``edition`` differs between two answers of a book where
    a number means something else in each, be it of a scope or of a set of groups.
    """

    numbers: Mapping[Members, int]
    members: Mapping[int, Members]
    entries: SharedMap[Place, Members]
    blocks: SharedMap[Place, Members]
    scopes: Mapping[str, int]
    of_vnic: SharedMap[str, Members]
    flooded: Mapping[str, frozenset[Members]]
    holding: Mapping[Group, frozenset[int]]
    edition: int = 0

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

    def inside(self, places: Iterable[Place]) -> frozenset[Members]:
        """The groups of everything that lies within some prefixes, those of single addresses left out."""
        wide: dict[tuple[str, int], dict[int, set[int]]] = defaultdict(lambda: defaultdict(set))
        for scope, prefix in places:
            if prefix.prefixlen < prefix.max_prefixlen:
                first, length = key_of(prefix)
                wide[scope, prefix.version][length].add(first)
        if not wide:
            return frozenset()
        found = set()
        for (scope, prefix), members in self.blocks.items():
            first, own_length = key_of(prefix)
            for length, firsts in wide.get((scope, prefix.version), {}).items():
                spare = prefix.max_prefixlen - length
                if own_length >= length and first >> spare << spare in firsts:
                    found.add(members)
        return frozenset(found)


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
