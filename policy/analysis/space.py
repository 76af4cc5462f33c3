"""The addresses of each scope and family, cut where something changes: who owns them, and which CIDRs hold them.

Borders are drawn by owned prefixes, CIDRs and exceptions, so between two of them every address is like every other.
Addresses that no host can have are cut out (`UNUSABLE`).
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_network

from policy.analysis.membership import CidrPart, Members
from topology.addresses import Address, Prefix, ends
from topology.vnic import Vnic

FAMILIES = (4, 6)
BITS = {4: 32, 6: 128}
# Unspecified, loopback, multicast, limited broadcast (RFC 6890, RFC 5771, RFC 4291).
UNUSABLE: tuple[Prefix, ...] = tuple(
    map(
        ip_network,
        ("0.0.0.0/32", "127.0.0.0/8", "224.0.0.0/4", "255.255.255.255/32", "::/128", "::1/128", "ff00::/8"),
    )
)


@dataclass(frozen=True, slots=True)
class Segment:
    """Addresses from ``first`` to ``last`` that are all alike.

    ``owner`` is the place of the vNIC that owns them, None if nobody does. ``members`` are all their groups, the
    owner's and those of CIDRs; ``by_address`` only the latter.
    """

    first: int
    last: int
    owner: int | None
    members: Members
    by_address: Members


Segments = tuple[Segment, ...]


@dataclass(slots=True)
class _Border:
    """What begins with a prefix: CIDRs (``opens``), exceptions (``closes``), an owner, or the unusable."""

    opens: int = 0
    closes: int = 0
    owner: int | None = None
    unusable: bool = False


@dataclass(frozen=True, slots=True)
class _Inside:
    """What holds within a prefix: a bit for each CIDR part opened and closed, the owner, the groups of both."""

    last: int
    opened: int
    closed: int
    owner: int | None
    by_address: Members
    unusable: bool


class Spaces:
    """All scopes: ``segments[scope, family]``, sorted, together all usable addresses."""

    def __init__(
        self, scopes: Iterable[str], parts: Sequence[CidrPart], vnics: Sequence[Vnic], of_vnic: Sequence[Members]
    ) -> None:
        owned: dict[tuple[str, int], list[tuple[Prefix, int]]] = defaultdict(list)
        for place, vnic in enumerate(vnics):
            for prefix in vnic.addresses:
                owned[vnic.scope, prefix.version].append((prefix, place))
        self._parts = parts
        self._of_vnic = of_vnic
        self._groups_of: dict[int, Members] = {}
        self.segments: Mapping[tuple[str, int], Segments] = {
            (scope, family): self._cut(scope, family, owned[scope, family])
            for scope in sorted(scopes)
            for family in FAMILIES
        }

    def segment(self, scope: str, address: Address) -> Segment | None:
        """Where an address lies; None if no host can have it."""
        return segment_at(self.segments[scope, address.version], int(address))

    def _cut(self, scope: str, family: int, owned: Iterable[tuple[Prefix, int]]) -> Segments:
        # Borders by (first, last) as numbers: to hash or compare prefixes takes the standard library far longer.
        borders: dict[tuple[int, int], _Border] = defaultdict(_Border)
        for place, part in enumerate(self._parts):
            if part.group.scope not in (None, scope):
                continue
            for prefix in part.group.cidrs:
                if prefix.version == family:
                    borders[ends(prefix)].opens |= 1 << place
            for prefix in part.group.excepts:
                if prefix.version == family:
                    borders[ends(prefix)].closes |= 1 << place
        for prefix, owner in owned:
            borders[ends(prefix)].owner = owner
        for prefix in UNUSABLE:
            if prefix.version == family:
                borders[ends(prefix)].unusable = True
        return self._swept(sorted(borders.items(), key=lambda item: (item[0][0], -item[0][1])), 2 ** BITS[family] - 1)

    def _swept(self, borders: Iterable[tuple[tuple[int, int], _Border]], end: int) -> Segments:
        """Walks all borders; the stack holds the prefixes around the current place."""
        found: list[Segment] = []
        stack = [_Inside(end, 0, 0, None, 0, False)]
        place = 0

        def reach(last: int) -> None:
            nonlocal place
            inside = stack[-1]
            if place <= last and not inside.unusable:
                of_owner = 0 if inside.owner is None else self._of_vnic[inside.owner]
                found.append(Segment(place, last, inside.owner, inside.by_address | of_owner, inside.by_address))
            place = max(place, last + 1)

        for (first, last), border in borders:
            while stack[-1].last < first:
                reach(stack[-1].last)
                stack.pop()
            reach(first - 1)
            above = stack[-1]
            opened, closed = above.opened | border.opens, above.closed | border.closes
            owner = above.owner if border.owner is None else border.owner
            groups = self._groups(opened & ~closed)
            stack.append(_Inside(last, opened, closed, owner, groups, above.unusable or border.unusable))
        while stack:
            reach(stack[-1].last)
            stack.pop()
        return tuple(found)

    def _groups(self, matching: int) -> Members:
        """The groups of all CIDR parts that match."""
        if matching not in self._groups_of:
            groups, rest = 0, matching
            while rest:
                lowest = rest & -rest
                groups |= self._parts[lowest.bit_length() - 1].groups
                rest ^= lowest
            self._groups_of[matching] = groups
        return self._groups_of[matching]


def segment_at(segments: Sequence[Segment], number: int) -> Segment | None:
    """The segment that holds an address."""
    place = bisect_right(segments, number, key=lambda segment: segment.first) - 1
    return segments[place] if place >= 0 and number <= segments[place].last else None


def address_of(family: int, number: int) -> Address:
    """The address with this number."""
    return IPv4Address(number) if family == 4 else IPv6Address(number)
