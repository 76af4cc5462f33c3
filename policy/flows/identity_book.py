"""Finds the identities of a policy and a universe of vNICs (see `policy.flows.identity`).

An `IdentityBook` keeps what was worked out from one time to the next: its answers are those of a new one, in the time
that the changes take.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import fields
from operator import attrgetter
from typing import TypeVar

from policy.flows.borders import EMPTY, Border, Borders, Members
from policy.flows.identity import Entry, Identities, Place, label, referenced_groups
from policy.flows.membership import GroupIndex, leaves
from policy.flows.numbering import Numbering
from policy.model import Document, Group
from topology.addresses import Prefix, may_flood
from topology.breath import breathing
from topology.inventory import DEFAULT_SCOPE
from topology.shared_map import SharedMap, shared
from topology.vnic import Vnic

K = TypeVar("K")

# Each set of groups of a vNIC occurs with each set of groups that the destination of a packet for many can have: a few
# thousand groups of either kind would make millions of identities, and as many copies in the switch's flows.
MAX_COPIED = 100_000

_VALUES = attrgetter(*(each.name for each in fields(Identities)))


def identify(document: Document, vnics: Iterable[Vnic]) -> Identities:
    """The identities of a policy over a universe of vNICs whose addresses are disjoint within a scope.

    Where they are not, a vNIC on a port counts before one that is known from the inventory alone.
    """
    return IdentityBook().identify(document, shared({vnic.id: vnic for vnic in vnics}))


class IdentityBook:
    """The identities of one policy and universe after the other."""

    def __init__(self) -> None:
        self._edition = 0
        # How many vNICs there are in each scope, of these.
        self._in_scope: Counter[str] = Counter()
        self._counted: SharedMap[str, Vnic] = SharedMap()
        self._forget()

    def _forget(self) -> None:
        self._edition += 1
        self._last: Identities | None = None
        self._document: Document | None = None
        self._groups: dict[Group, None] = {}
        self._index = GroupIndex(())
        self._labels: dict[Group, str] = {}
        self._vnics: SharedMap[str, Vnic] = SharedMap()
        self._of_vnic: SharedMap[str, Members] = SharedMap()
        # The groups of which a group with CIDRs is a part.
        self._groups_of: dict[Group, set[Group]] = {}
        self._borders: dict[tuple[str, int], Borders] = {}
        self._blocks: SharedMap[Place, Members] = SharedMap()
        self._entries: SharedMap[Place, Entry] = SharedMap()
        self._places: SharedMap[Entry, frozenset[Place]] = SharedMap()
        # The sets of entries for destinations of packets for many, and of how many entries.
        self._many: Counter[Members] = Counter()
        # The entries that are in force for destinations of packets for many.
        self._floods: dict[Place, Members] = {}
        self._flooded: Mapping[str, frozenset[Members]] = {}
        # How often each set of groups occurs: at borders, and at vNICs of each scope.
        self._at_borders: Counter[Members] = Counter()
        self._at_vnics: Counter[tuple[str, Members]] = Counter()
        # Where a set has come to occur, or occurs no longer: at vNICs of a scope, at borders (None).
        self._crossed: list[tuple[str | None, Members, int]] = []
        # By how many of these each set that has a number occurs.
        self._occurs: Counter[Members] = Counter()
        self._numbering = Numbering()

    def identify(self, document: Document, vnics: SharedMap[str, Vnic]) -> Identities:
        """As the function of that name; ``vnics`` by id. Without a difference it is the same object."""
        scopes = self._scopes(document, vnics)
        if self._last is None or scopes != self._last.scopes:
            self._forget()
            for scope in scopes:
                self._borders[scope, 4], self._borders[scope, 6] = Borders(32), Borders(128)
        if self._document is None or document.policies is not self._document.policies:
            groups = dict.fromkeys(referenced_groups(document))
        else:
            groups = self._groups
        self._document = document
        members = self._members_now(groups, vnics)
        self._move_vnics(vnics, members)
        self._flooded = self._settle(scopes)
        found = self._sum_up(scopes, self._affordable(self._flooded))
        if self._last is None or _VALUES(found) != _VALUES(self._last):
            self._last = found
        return self._last

    def _scopes(self, document: Document, vnics: SharedMap[str, Vnic]) -> Mapping[str, int]:
        for _, before, now in vnics.changes_since(self._counted):
            if before is not None:
                _less(self._in_scope, before.scope)
            if now is not None:
                self._in_scope[now.scope] += 1
        self._counted = vnics
        names = {*self._in_scope, *(network.scope for network in document.inventory.networks)} - {DEFAULT_SCOPE}
        return {name: number for number, name in enumerate([DEFAULT_SCOPE, *sorted(names)])}

    def _members_now(self, groups: dict[Group, None], vnics: SharedMap[str, Vnic]) -> dict[str, Members | None]:
        """The groups of each vNIC that has changed, or whose groups may have; None: it is gone. Takes in the groups."""
        members: dict[str, Members | None] = {}
        gone: set[Group] = set()
        new: set[Group] = set()
        if groups is not self._groups:
            gone, new = self._groups.keys() - groups.keys(), groups.keys() - self._groups.keys()
        if gone or new:
            self._index = GroupIndex(groups)
            of_new = GroupIndex(new)
            for name, vnic in breathing(vnics.pairs()) if of_new or GroupIndex(gone) else ():
                old = self._of_vnic.get(name)
                if old is not None:
                    found = old.difference(gone).union(of_new.groups_of(vnic))
                    if found != old:
                        members[name] = found
            for group in gone:
                self._drop_lines(group)
            for group in new:
                self._add_lines(group)
            known = self._labels
            self._labels = {group: known.get(group) or label(group) for group in groups}
        for name, _, now in breathing(vnics.changes_since(self._vnics)):
            members[name] = None if now is None else self._index.groups_of(now)
        self._groups = groups
        return members

    def _borders_of(self, leaf: Group) -> list[Borders]:
        return [borders for (scope, _), borders in self._borders.items() if leaf.scope in (None, scope)]

    def _add_lines(self, group: Group) -> None:
        for leaf in leaves(group):
            if leaf.cidrs:
                owners = self._groups_of.setdefault(leaf, set())
                for borders in self._borders_of(leaf):
                    (borders.touch if owners else borders.draw)(leaf)
                owners.add(group)

    def _drop_lines(self, group: Group) -> None:
        for leaf in leaves(group):
            if leaf in self._groups_of:
                owners = self._groups_of[leaf]
                owners.discard(group)
                for borders in self._borders_of(leaf):
                    (borders.touch if owners else borders.erase)(leaf)
                if not owners:
                    del self._groups_of[leaf]

    def _move_vnics(self, vnics: SharedMap[str, Vnic], members: Mapping[str, Members | None]) -> None:
        for name, found in breathing(members.items()):
            old, new = self._vnics.get(name), vnics.get(name)
            before = self._of_vnic.get(name)
            if old is not None and new is not None and found == before and _ownership(old) == _ownership(new):
                continue
            if old is not None and before is not None:
                if _less(self._at_vnics, (old.scope, before)):
                    self._crossed.append((old.scope, before, -1))
                for prefix in old.addresses:
                    self._borders[old.scope, prefix.version].disown(prefix, _owner(old))
            if new is not None and found is not None:
                if _more(self._at_vnics, (new.scope, found)):
                    self._crossed.append((new.scope, found, 1))
                for prefix in new.addresses:
                    self._borders[new.scope, prefix.version].own(prefix, _owner(new), found)
        self._of_vnic = self._of_vnic.with_changes(members)
        self._vnics = vnics

    def _settle(self, scopes: Mapping[str, int]) -> Mapping[str, frozenset[Members]]:
        """Work out the borders that were touched. The sets of groups that destinations of floods can have."""
        blocks: dict[Place, Members | None] = {}
        entries: dict[Place, Entry | None] = {}
        floods = self._last is None
        for (scope, _), borders in self._borders.items():
            for border in breathing(borders.settle(self._groups_of)):
                place = scope, border.prefix
                self._count(place, border)
                blocks[place] = border.members
                members = border.members if border.members != border.around else None
                many, many_around = may_flood(border.prefix), border.outer is not None and may_flood(border.outer)
                entries[place] = None if members is None else Entry(members, border.around, many, many_around)
                if many and self._floods.get(place) != members:
                    floods = True
                    if members is None:
                        del self._floods[place]
                    else:
                        self._floods[place] = members
        self._blocks = self._blocks.with_changes(blocks)
        self._regroup(entries)
        self._entries = self._entries.with_changes(entries)
        if not floods:
            return self._flooded
        found: dict[str, set[Members]] = {scope: {EMPTY} for scope in scopes}
        for (scope, _), members in self._floods.items():
            found[scope].add(members)
        return {scope: frozenset(several) for scope, several in found.items()}

    def _regroup(self, entries: Mapping[Place, Entry | None]) -> None:
        """Some places have these entries now; None: none any more."""
        fresh: dict[Entry, set[Place]] = {}
        for place, now in breathing(entries.items()):
            before = self._entries.get(place)
            if before == now:
                continue
            for entry in (before, now):
                if entry is not None and entry not in fresh:
                    fresh[entry] = {*self._places.get(entry, ())}
            if before is not None:
                fresh[before].discard(place)
            if now is not None:
                fresh[now].add(place)
        for entry, found in fresh.items():
            if entry.many and bool(found) != (entry in self._places):
                (_more if found else _less)(self._many, entry.members)
        self._places = self._places.with_changes({entry: frozenset(found) or None for entry, found in fresh.items()})

    def _affordable(self, flooded: Mapping[str, frozenset[Members]]) -> Mapping[str, frozenset[Members]]:
        """Of a scope with too many sets only the empty one: no vNIC there gets what is sent to a group's multicast."""
        if all(len(found) == 1 for found in flooded.values()):
            return flooded
        own = Counter(scope for scope, _ in self._at_vnics)
        crowded = {scope for scope, found in flooded.items() if len(found) > 1 and own[scope] * len(found) > MAX_COPIED}
        if not crowded:
            return flooded
        return {scope: frozenset({EMPTY}) if scope in crowded else found for scope, found in flooded.items()}

    def _count(self, place: Place, border: Border) -> None:
        before = self._blocks.get(place)
        if before == border.members:
            return
        if before is not None and _less(self._at_borders, before):
            self._crossed.append((None, before, -1))
        if border.members is not None and _more(self._at_borders, border.members):
            self._crossed.append((None, border.members, 1))

    def _sum_up(self, scopes: Mapping[str, int], flooded: Mapping[str, frozenset[Members]]) -> Identities:
        numbering, before = self._number(flooded), self._numbering
        # A digest is a set's own; only where some are alike another number may be.
        if not (numbering.plain and before.plain) and any(
            before.numbers.get(found, number) != number for found, number in numbering.numbers.items()
        ):
            self._edition += 1
        self._numbering = numbering
        return Identities(
            numbers=numbering.numbers,
            members=numbering.members,
            entries=self._entries,
            places=self._places,
            blocks=self._blocks,
            scopes=scopes,
            of_vnic=self._of_vnic,
            flooded=flooded,
            crowded=frozenset(scope for scope, found in flooded.items() if found != self._flooded[scope]),
            holding=numbering.holding,
            labels=self._labels,
            edition=self._edition,
            many=frozenset(numbering.numbers[members] for members in self._many),
        )

    def _number(self, flooded: Mapping[str, frozenset[Members]]) -> Numbering:
        """The numbers of all sets of groups that anything is in."""
        # A packet to many goes to each vNIC under the packet's destination: the vNIC's groups and the destination's
        # CIDRs.
        occurs, known = self._occurs, self._numbering.numbers
        if self._last is None or flooded != self._last.flooded:
            self._occurs = occurs = Counter(self._at_borders.keys())
            occurs.update(own | shared for scope, own in self._at_vnics for shared in flooded[scope])
            touched = occurs.keys() | known.keys()
        else:
            touched = set[Members]()
            for scope, members, times in self._crossed:
                for found in (members,) if scope is None else [members | shared for shared in flooded[scope]]:
                    occurs[found] += times
                    touched.add(found)
        self._crossed.clear()
        come = {found for found in touched if occurs[found] and found not in known}
        gone = {found for found in touched - {EMPTY} if not occurs[found] and found in known}
        for found in touched:
            if not occurs[found]:
                del occurs[found]
        return self._numbering.changed(come, gone, self._labels)


def _owner(vnic: Vnic) -> tuple[bool, str]:
    return vnic.host is not None, vnic.id


def _ownership(vnic: Vnic) -> tuple[str, tuple[bool, str], tuple[Prefix, ...]]:
    return vnic.scope, _owner(vnic), vnic.addresses


def _more(counter: Counter[K], key: K) -> bool:
    """One more; True if it is the first."""
    counter[key] += 1
    return counter[key] == 1


def _less(counter: Counter[K], key: K) -> bool:
    """One less; True if it was the last: what does not occur any more is not in the counter."""
    counter[key] -= 1
    if counter[key]:
        return False
    del counter[key]
    return True
