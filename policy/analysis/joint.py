"""Two policies' worlds laid over each other: who is alike in both, seen from the old one and from the new one.

What is followed from one policy to the other is the address: a VM that is renamed changes nothing. An address is called
by the VM that owns it in the new policy, else by its owner in the old one. A vNIC without listed addresses may come to
have any; it is followed by its iface-id, also to and from the addresses that it has in the other policy.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from policy.analysis.classes import Kind, World
from policy.analysis.decide import Role, RuleBits, Rules
from policy.analysis.membership import Members
from policy.analysis.space import FAMILIES, Segment
from policy.model import Document, Range
from topology.vnic import Vnic


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """What one policy sees in somebody; there is one object for each that occurs."""

    kind: Kind
    as_source: Role
    as_destination: Role

    @property
    def is_outside(self) -> bool:
        return self.kind is Kind.OUTSIDE


@dataclass(frozen=True, slots=True)
class Piece:
    """Somebody: a range of addresses with one owner in each policy, or a vNIC without addresses (``range`` None).

    ``family`` is that of its class. ``vm`` and ``vnic`` are the names of the new owner, or the old one; None for the
    outside in both.
    """

    family: int
    vm: str | None
    vnic: str | None
    range: Range | None = None


@dataclass(slots=True, eq=False)
class JointClass:
    """Pieces that are alike in both policies. A view is None where the policy has no such vNIC."""

    scope: str
    family: int
    old: View | None
    new: View | None
    pieces: list[Piece] = field(default_factory=list)

    @property
    def is_outside(self) -> bool:
        """True if nobody owns it, in either policy."""
        return all(view is not None and view.is_outside for view in (self.old, self.new))

    @property
    def changes_kind(self) -> bool:
        """True if somebody comes, goes, or is firewalled in one policy only."""
        return (self.old and self.old.kind) != (self.new and self.new.kind)


class Half:
    """One of the two policies."""

    def __init__(self, document: Document, scopes: frozenset[str]) -> None:
        self.world = World(document, scopes=scopes)
        self.rules = Rules(document, self.world.grouping)
        self._views: dict[tuple[Kind, Members], View] = {}
        self._by_roles: dict[tuple[Kind, Role, Role], View] = {}

    @cached_property
    def without_addresses(self) -> Mapping[str, int]:
        """vNICs without listed addresses: iface-id to place."""
        return {vnic.id: place for place, vnic in enumerate(self.world.vnics) if not vnic.addresses}

    @cached_property
    def ids(self) -> Mapping[str, Vnic]:
        return {vnic.id: vnic for vnic in self.world.vnics}

    def view(self, owner: int | None, by_address: Members) -> View:
        """Somebody with this owner and the groups of his address."""
        kind = self.world.kind(owner)
        members = by_address | (0 if owner is None else self.world.of_vnic[owner])
        key = kind, members
        if key not in self._views:
            roles = kind, self.rules.source(kind, members), self.rules.destination(kind, members)
            self._views[key] = self._by_roles.setdefault(roles, View(*roles))
        return self._views[key]

    def owner_of(self, segment: Segment, scope: str, other: Half, in_other: Segment) -> int | None:
        """Who has these addresses here: the owner, or the other policy's owner if he may come to have them here."""
        if segment.owner is not None or in_other.owner is None:
            return segment.owner
        place = self.without_addresses.get(other.world.vnics[in_other.owner].id)
        return place if place is not None and self.world.vnics[place].scope == scope else None


@dataclass(frozen=True, slots=True)
class Joint:
    """Both policies, and the classes of everybody in either."""

    old: Half
    new: Half
    classes: Sequence[JointClass]

    def seen_by(self, old: RuleBits, new: RuleBits) -> Joint:
        """The same with fewer classes: whom only other rules than these tell apart is in one class."""
        views = _Narrowed(old), _Narrowed(new)
        found: dict[tuple[str, int, View | None, View | None], JointClass] = {}
        for each in self.classes:
            key = each.scope, each.family, views[0].view(each.old), views[1].view(each.new)
            found.setdefault(key, JointClass(*key)).pieces.extend(each.pieces)
        return Joint(self.old, self.new, tuple(found.values()))


class _Narrowed:
    """Views of which only some rules count."""

    def __init__(self, rules: RuleBits) -> None:
        self._rules = rules
        self._known: dict[tuple[Kind, Role, Role], View] = {}

    def view(self, view: View | None) -> View | None:
        if view is None:
            return None
        roles = view.kind, self._role(view.as_source), self._role(view.as_destination)
        return self._known.setdefault(roles, View(*roles))

    def _role(self, role: Role) -> Role:
        own, peer = role
        return own if own is None else own & self._rules, peer & self._rules


def join(old: Document, new: Document) -> Joint:
    """Two policies laid over each other."""
    joining = _Joining(old, new)
    return Joint(joining.old, joining.new, tuple(joining.found.values()))


class _Joining:
    """Collects the classes of two policies."""

    def __init__(self, old: Document, new: Document) -> None:
        scopes = frozenset(network.scope for document in (old, new) for network in document.inventory.networks)
        self.old, self.new = Half(old, scopes), Half(new, scopes)
        self.found: dict[tuple[str, int, View | None, View | None], JointClass] = {}
        for scope in sorted(self.old.world.scopes | self.new.world.scopes):
            for family in FAMILIES:
                self._addresses(scope, family)
        self._nameless()

    def _add(self, scope: str, family: int, views: tuple[View | None, View | None], piece: Piece) -> None:
        key = scope, family, *views
        if key not in self.found:
            self.found[key] = JointClass(*key)
        self.found[key].pieces.append(piece)

    def _addresses(self, scope: str, family: int) -> None:
        old, new = self.old, self.new
        spaces = (half.world.spaces.segments[scope, family] for half in (old, new))
        for first, last, before, after in _overlaid(*spaces):
            was = old.owner_of(before, scope, new, after)
            now = new.owner_of(after, scope, old, before)
            views = old.view(was, before.by_address), new.view(now, after.by_address)
            self._add(scope, family, views, Piece(family, *self._names(was, now), (first, last)))

    def _names(self, was: int | None, now: int | None) -> tuple[str | None, str | None]:
        vnic = self.new.world.vnics[now] if now is not None else None
        if vnic is None and was is not None:
            vnic = self.old.world.vnics[was]
        return (None, None) if vnic is None else (vnic.vm or vnic.name, vnic.name)

    def _nameless(self) -> None:
        """vNICs without addresses in either policy, or in the only one that has them (in that scope)."""
        ids = {**self.old.without_addresses, **self.new.without_addresses}
        for id in ids:
            for scope in sorted(self.old.world.scopes | self.new.world.scopes):
                places = [_place(half, id, scope) for half in (self.old, self.new)]
                if places == [None, None] or any(_listed(half, id, scope) for half in (self.old, self.new)):
                    continue
                was, now = places
                old = None if was is None else self.old.view(was, 0)
                new = None if now is None else self.new.view(now, 0)
                for family in FAMILIES:
                    self._add(scope, family, (old, new), Piece(family, *self._names(was, now)))


def _place(half: Half, id: str, scope: str) -> int | None:
    place = half.without_addresses.get(id)
    return place if place is not None and half.world.vnics[place].scope == scope else None


def _listed(half: Half, id: str, scope: str) -> bool:
    """True if the vNIC has addresses of its own here: then these stand for it."""
    vnic = half.ids.get(id)
    return vnic is not None and vnic.scope == scope and bool(vnic.addresses)


def _overlaid(old: Sequence[Segment], new: Sequence[Segment]) -> Iterator[tuple[int, int, Segment, Segment]]:
    """The parts into which the borders of both cut the same addresses."""
    here = there = 0
    while here < len(old) and there < len(new):
        before, after = old[here], new[there]
        first, last = max(before.first, after.first), min(before.last, after.last)
        if first <= last:
            yield first, last, before, after
        here, there = here + (before.last == last), there + (after.last == last)


def pieces_of_vms(classes: Sequence[JointClass]) -> Mapping[str, list[tuple[int, Piece]]]:
    """Each VM's pieces with the places of their classes."""
    found: dict[str, list[tuple[int, Piece]]] = defaultdict(list)
    for place, each in enumerate(classes):
        for piece in each.pieces:
            if piece.vm is not None:
                found[piece.vm].append((place, piece))
    return found
