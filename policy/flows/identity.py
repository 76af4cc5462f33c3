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
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network

from policy.flows.cookies import numbers
from policy.model import Document, Group, Groups, Policy
from policy.selectors import parse_selector
from topology.addresses import Prefix
from topology.inventory import DEFAULT_SCOPE
from topology.vnic import Vnic

NOBODY = 0
Members = frozenset[Group]
EMPTY: Members = frozenset()
# Destinations of packets for many: multicast (RFC 5771, RFC 4291) and the limited broadcast (RFC 919).
FLOODED: tuple[Prefix, ...] = (IPv4Network("224.0.0.0/4"), IPv4Network("255.255.255.255/32"), IPv6Network("ff00::/8"))


@dataclass(frozen=True, slots=True)
class Identities:
    """All identities of one policy and universe.

    ``numbers``: set of groups -> number. ``members``: the reverse. ``blocks``: (scope, prefix) -> set of groups, with
    the meaning of longest-prefix match. ``entries``: those blocks whose set differs from that of the enclosing one.
    ``scopes``: name -> number. ``of_vnic``: vNIC -> groups that it is in whatever its address.
    ``flooded``: scope -> the sets of groups that the destination of a packet for many can have there, by its address
    alone.
    """

    numbers: Mapping[Members, int]
    members: Mapping[int, Members]
    entries: Mapping[tuple[str, Prefix], Members]
    blocks: Mapping[tuple[str, Prefix], Members]
    scopes: Mapping[str, int]
    of_vnic: Mapping[str, Members]
    flooded: Mapping[str, frozenset[Members]]

    def number(self, groups: Members) -> int:
        """The number of a set of groups that occurs."""
        return self.numbers[groups]


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


def leaves(group: Group) -> Iterator[Group]:
    """The group and all groups of its unions."""
    yield group
    for part in group.any_of:
        yield from leaves(part)


def _owner_in(leaf: Group, vnic: Vnic) -> bool:
    if leaf.tenant is not None and vnic.tenant != leaf.tenant:
        return False
    return (leaf.selector is not None and leaf.selector.matches(vnic)) or (vnic.vm is not None and vnic.vm in leaf.vms)


def vnic_groups(groups: Iterable[Group], vnic: Vnic) -> Members:
    """The groups that a vNIC is in whatever its address."""
    return frozenset(group for group in groups if any(_owner_in(leaf, vnic) for leaf in leaves(group)))


def identify(document: Document, vnics: Iterable[Vnic]) -> Identities:
    """The identities of a policy over a universe of vNICs whose addresses are disjoint within a scope."""
    groups = referenced_groups(document)
    vnics = tuple(vnics)
    of_vnic = {vnic.id: vnic_groups(groups, vnic) for vnic in vnics}
    by_leaf: dict[Group, set[Group]] = defaultdict(set)
    for group in groups:
        for leaf in leaves(group):
            if leaf.cidrs:
                by_leaf[leaf].add(group)
    scope_names = {DEFAULT_SCOPE, *(network.scope for network in document.inventory.networks)}
    scope_names |= {vnic.scope for vnic in vnics}
    scopes = {DEFAULT_SCOPE: 0}
    for name in sorted(scope_names - {DEFAULT_SCOPE}):
        scopes[name] = len(scopes)
    blocks: dict[tuple[str, Prefix], Members] = {}
    entries: dict[tuple[str, Prefix], Members] = {}
    for scope in scopes:
        for prefix, members, changed in _walk(scope, by_leaf, [v for v in vnics if v.scope == scope], of_vnic):
            blocks[scope, prefix] = members
            if changed:
                entries[scope, prefix] = members
    occurring = {EMPTY, *blocks.values(), *of_vnic.values()}
    # A packet to many goes to each vNIC under the packet's destination: the vNIC's groups and the destination's CIDRs.
    flooded = {scope: _flood_members(entries, scope) for scope in scopes}
    occurring |= {of_vnic[vnic.id] | shared for vnic in vnics for shared in flooded[vnic.scope]}
    texts = {"\n".join(sorted(map(label, members))): members for members in occurring if members}
    by_text = numbers(texts)
    number_of: dict[Members, int] = {EMPTY: NOBODY}
    number_of.update({members: by_text[text] for text, members in texts.items()})
    return Identities(
        numbers=number_of,
        members={number: members for members, number in number_of.items()},
        entries=entries,
        blocks=blocks,
        scopes=scopes,
        of_vnic=of_vnic,
        flooded=flooded,
    )


def _walk(
    scope: str, by_leaf: Mapping[Group, set[Group]], vnics: list[Vnic], of_vnic: Mapping[str, Members]
) -> Iterator[tuple[Prefix, Members, bool]]:
    """Each border of the scope with its members, and whether they differ from those of the enclosing border."""
    opens: dict[Prefix, set[Group]] = defaultdict(set)
    closes: dict[Prefix, set[Group]] = defaultdict(set)
    owner: dict[Prefix, Members] = {}
    for leaf in by_leaf:
        if leaf.scope in (None, scope):
            for prefix in leaf.cidrs:
                opens[prefix].add(leaf)
            for prefix in leaf.excepts:
                closes[prefix].add(leaf)
    for vnic in vnics:
        for prefix in vnic.addresses:
            owner[prefix] = of_vnic[vnic.id]
    borders = sorted(
        {*opens, *closes, *owner}, key=lambda prefix: (prefix.version, int(prefix.network_address), prefix.prefixlen)
    )
    # The stack holds the borders that enclose the current one: prefix, leaves opened, leaves closed, owner, members.
    stack: list[tuple[Prefix, frozenset[Group], frozenset[Group], Members, Members]] = []
    for prefix in borders:
        while stack and not _inside(prefix, stack[-1][0]):
            stack.pop()
        above = stack[-1] if stack else (prefix, EMPTY, EMPTY, EMPTY, EMPTY)
        opened = above[1] | opens.get(prefix, set())
        closed = above[2] | closes.get(prefix, set())
        owned = owner.get(prefix, above[3])
        members = owned.union(*(by_leaf[leaf] for leaf in opened - closed))
        stack.append((prefix, opened, closed, owned, members))
        yield prefix, members, members != above[4]


def _inside(inner: Prefix, outer: Prefix) -> bool:
    return (
        inner.version == outer.version
        and inner.prefixlen >= outer.prefixlen
        and int(inner.network_address) >> (inner.max_prefixlen - outer.prefixlen)
        == int(outer.network_address) >> (outer.max_prefixlen - outer.prefixlen)
    )


def _flood_members(entries: Mapping[tuple[str, Prefix], Members], scope: str) -> frozenset[Members]:
    """The sets of groups that the destination of a flooded packet can have in a scope, by its address alone."""
    return frozenset(
        {EMPTY} | {members for (where, prefix), members in entries.items() if where == scope and _may_flood(prefix)}
    )


def _may_flood(prefix: Prefix) -> bool:
    return any(
        prefix.version == flood.version and (_inside(prefix, flood) or _inside(flood, prefix)) for flood in FLOODED
    )


def matching(members: Members, side: Groups) -> bool:
    """True if an address with these groups is on this side of a rule."""
    return side is None or any(group in members for group in side)
