"""Endpoint classes: everybody who can be at an end of a connection, those alike taken together.

Two ends are alike if they are in the same scope and family, have the same groups, and are firewalled or not alike.
Every usable address is in just one class; a vNIC without listed addresses, which may come to have any, is in one of
each family by its groups. What nobody owns is the outside: the same class needs no owner.
"""

from __future__ import annotations

import enum
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from policy.analysis.membership import Grouping, Members, grouping_of
from policy.analysis.space import FAMILIES, Segment, Spaces, address_of
from policy.evaluate import Endpoint
from policy.model import Document
from topology.inventory import DEFAULT_SCOPE
from topology.vnic import Vnic, offline_vnics


class Kind(enum.Enum):
    """Who decides at an end: a firewalled vNIC, or nobody (a trusted vNIC; the outside)."""

    FIREWALLED = "firewalled"
    TRUSTED = "trusted"
    OUTSIDE = "outside"


@dataclass(frozen=True, slots=True)
class End:
    """One vNIC in a class (``vnic`` None: the outside) with the segments that it has there; none: no address known."""

    vnic: Vnic | None
    segments: tuple[Segment, ...]

    def endpoint(self, family: int) -> Endpoint:
        """One concrete end: the first of its addresses here."""
        first = address_of(family, self.segments[0].first) if self.segments else None
        return Endpoint(self.vnic, first)


@dataclass(frozen=True, slots=True, eq=False)
class EndpointClass:
    """Ends that are alike. ``ends`` has one entry for each vNIC; that of the outside has only one."""

    scope: str
    family: int
    kind: Kind
    members: Members
    ends: tuple[End, ...]

    @property
    def is_outside(self) -> bool:
        return self.kind is Kind.OUTSIDE

    def meets(self, other: EndpointClass) -> bool:
        """True if connections between the two count: never outside to outside, nor a vNIC to itself."""
        return self.pair(other) is not None

    def pair(self, other: EndpointClass) -> tuple[End, End] | None:
        """One end of each that are not the same; None if connections between the two do not count."""
        if self.scope != other.scope or self.family != other.family or (self.is_outside and other.is_outside):
            return None
        first, second = self.ends[0], other.ends[0]
        if first.vnic is not second.vnic:
            return first, second
        if len(other.ends) > 1:
            return first, other.ends[1]
        return (self.ends[1], second) if len(self.ends) > 1 else None


class World:
    """A policy's groups, its vNICs, and the classes they fall into."""

    def __init__(self, document: Document, vnics: Sequence[Vnic] | None = None, scopes: Iterable[str] = ()) -> None:
        """``vnics`` None: those of the inventory; ``scopes`` are looked at even if nobody is in them."""
        self.document = document
        self.vnics = offline_vnics(document.inventory) if vnics is None else tuple(vnics)
        self.grouping: Grouping = grouping_of(document)
        self.of_vnic = self.grouping.of_vnics(self.vnics)
        self.scopes = frozenset(
            {DEFAULT_SCOPE}.union(
                scopes, (network.scope for network in document.inventory.networks), (vnic.scope for vnic in self.vnics)
            )
        )
        self.spaces = Spaces(self.scopes, self.grouping.cidr_parts(), self.vnics, self.of_vnic)

    def kind(self, owner: int | None) -> Kind:
        """The kind of the vNIC at this place."""
        return Kind.OUTSIDE if owner is None else self.kind_of(self.vnics[owner])

    def kind_of(self, vnic: Vnic) -> Kind:
        """Whether a vNIC is firewalled."""
        return Kind.TRUSTED if vnic.trusted else Kind.FIREWALLED

    @cached_property
    def classes(self) -> tuple[EndpointClass, ...]:
        """All classes of all scopes and families, in no order that means anything, but always the same."""
        found: dict[tuple[str, int, Kind, Members], dict[int | None, list[Segment]]] = defaultdict(dict)
        for (scope, family), segments in self.spaces.segments.items():
            for segment in segments:
                ends = found[scope, family, self.kind(segment.owner), segment.members]
                ends.setdefault(segment.owner, []).append(segment)
        for place, vnic in enumerate(self.vnics):
            if not vnic.addresses:
                for family in FAMILIES:
                    found[vnic.scope, family, self.kind(place), self.of_vnic[place]][place] = []
        return tuple(
            EndpointClass(
                *key, tuple(End(None if at is None else self.vnics[at], tuple(parts)) for at, parts in ends.items())
            )
            for key, ends in found.items()
        )

    @cached_property
    def by_space(self) -> Mapping[tuple[str, int], tuple[EndpointClass, ...]]:
        """The classes of each scope and family."""
        found: dict[tuple[str, int], list[EndpointClass]] = defaultdict(list)
        for each in self.classes:
            found[each.scope, each.family].append(each)
        return {space: tuple(classes) for space, classes in found.items()}

    def members_of(self, end: Endpoint, scope: str) -> Members:
        """The groups of one concrete end, as seen in a scope."""
        found = 0
        if end.vnic is not None and end.vnic.scope == scope:
            found = self.of_vnic[self._places[end.vnic.id]]
        if end.address is not None:
            segment = self.spaces.segment(scope, end.address)
            found |= segment.by_address if segment is not None else 0
        return found

    @cached_property
    def _places(self) -> Mapping[str, int]:
        return {vnic.id: place for place, vnic in enumerate(self.vnics)}
