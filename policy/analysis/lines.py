"""What changes, said in names: as few lines as rectangles make, each of them exact.

A VM is called by its name where all its addresses fare alike, else each part of it by `VM@ADDRESS`; the outside by
CIDRs, which mean the addresses in them that no VM owns (so a CIDR may be as wide as the VMs and unusable addresses
around it allow).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from policy.analysis.cover import covering, exactly
from policy.analysis.diff import RuleRef, Shift, shifts_between
from policy.analysis.joint import Joint, Piece, pieces_of_vms
from policy.analysis.rectangles import Pair, Rectangle, rectangles
from policy.analysis.regions import EMPTY, FAMILY, Region
from policy.analysis.words import summary, terms
from policy.model import Document, Range
from topology.addresses import Prefix


@dataclass(frozen=True, slots=True)
class Ends:
    """One side of a line: VMs (or parts of them), and CIDRs of the outside.

    ``but`` is for people: where it takes fewer CIDRs, those of the outside (of the same families) that are *not* meant.
    """

    vms: tuple[str, ...]
    cidrs: tuple[str, ...] = ()
    but: tuple[str, ...] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """All of them."""
        return (*self.vms, *self.cidrs)


@dataclass(frozen=True, slots=True)
class Change:
    """Services that change between every one of the sources and every one of the destinations.

    ``family`` is None if it is both, or if the names leave no other.
    """

    scope: str
    sources: Ends
    destinations: Ends
    region: Region
    family: int | None
    old: RuleRef | None
    new: RuleRef | None

    @property
    def services(self) -> list[str]:
        """The services as terms."""
        return terms(self.region, self.family)

    @property
    def summary(self) -> str:
        """The services for people."""
        return summary(self.region, self.family)


@dataclass(frozen=True, slots=True)
class Difference:
    """What the new policy lets through that the old one did not, and the other way round."""

    widened: tuple[Change, ...]
    narrowed: tuple[Change, ...]


def difference(old: Document, new: Document) -> Difference:
    """What changes from one policy to the other, over all VMs and addresses of both."""
    joint, shifts = shifts_between(old, new)
    namer = _Namer(joint)
    found: tuple[list[Change], list[Change]] = ([], [])
    for shift, pairs in shifts.items():
        found[shift.widened].extend(namer.changes(shift, pairs))
    narrowed, widened = (tuple(sorted(changes, key=_order)) for changes in found)
    return Difference(widened, narrowed)


def _order(change: Change) -> tuple[object, ...]:
    refs = tuple(tuple(map(str, ref or ())) for ref in (change.new, change.old))
    return change.scope, refs, change.sources.names, change.destinations.names, change.family or 0


@dataclass(frozen=True, slots=True)
class _Unit:
    """Somebody with a name, or all of the outside that is alike: ``classes`` are its class in each family, or None.

    ``own`` is the one vNIC that it is, if it is only one.
    """

    scope: str
    classes: tuple[int | None, int | None]
    vm: str | None
    pieces: tuple[Piece, ...]
    whole: bool

    @property
    def only_vnic(self) -> str | None:
        """The vNIC that it is, if it is one alone: its connections to itself do not count."""
        vnics = {piece.vnic for piece in self.pieces}
        return next(iter(vnics)) if len(vnics) == 1 else None


# CIDRs of the outside that are meant, and that are not.
_Cover = tuple[list[Prefix], list[Prefix]]
# Units that are alike: they have the same classes.
_Kind = tuple[int | None, int | None]
_FAMILIES = (4, 6)


class _Namer:
    def __init__(self, joint: Joint) -> None:
        self._joint = joint
        self._kinds: list[_Kind] = []
        self._units: list[list[_Unit]] = []
        self._kinds_of_class: dict[int, set[int]] = defaultdict(set)
        self._covers: dict[tuple[frozenset[int], str, int | None], _Cover] = {}
        by_kind: dict[_Kind, list[_Unit]] = defaultdict(list)
        for unit in _units(joint):
            by_kind[unit.classes].append(unit)
        for place, (kind, units) in enumerate(by_kind.items()):
            self._kinds.append(kind)
            self._units.append(units)
            for found in kind:
                if found is not None:
                    self._kinds_of_class[found].add(place)

    def changes(self, shift: Shift, pairs: Mapping[Pair, Region]) -> list[Change]:
        """One shift, in names."""
        found = []
        for (scope, family), regions in self._by_family(pairs).items():
            for rectangle in rectangles(regions, self._free):
                if not self._only_selves(rectangle):
                    sources = self._names(rectangle.sources, scope, family)
                    destinations = self._names(rectangle.destinations, scope, family)
                    shown = family or self._implied(rectangle)
                    found.append(Change(scope, sources, destinations, rectangle.region, shown, shift.old, shift.new))
        return found

    def _by_family(self, pairs: Mapping[Pair, Region]) -> dict[tuple[str, int | None], dict[Pair, Region]]:
        """The regions of pairs of kinds, by scope: what both families have in common, and what is left of each.

        A line without a family says the same of both, where both ends have both.
        """
        found: dict[tuple[str, int | None], dict[Pair, Region]] = defaultdict(dict)
        of_one: dict[tuple[str, int], dict[Pair, Region]] = defaultdict(dict)
        for pair in self._touched(pairs):
            source, destination = (self._kinds[place] for place in pair)
            scope = self._units[pair[0]][0].scope
            meeting = [
                (family, pairs.get((one, other), EMPTY))
                for family, one, other in zip(_FAMILIES, source, destination, strict=True)
                if one is not None and other is not None
            ]
            if len(meeting) == 1:
                ((family, region),) = meeting
                of_one[scope, family][pair] = region
                continue
            (_, region4), (_, region6) = meeting
            shared = (region4 & region6) | (region4 - FAMILY[6]) | (region6 - FAMILY[4])
            for only, region in ((None, shared), (4, region4 - shared), (6, region6 - shared)):
                if region:
                    found[scope, only][pair] = region
        for scope in {scope for scope, _ in of_one}:
            regions = of_one[scope, 4], of_one[scope, 6]
            for lifted in _lifted(regions, found[scope, None].values()):
                found[scope, None].update(lifted)
        return found

    def _touched(self, pairs: Iterable[Pair]) -> set[Pair]:
        return {
            (source, destination)
            for one, other in pairs
            for source in self._kinds_of_class[one]
            for destination in self._kinds_of_class[other]
        }

    def _free(self, sources: frozenset[int], destinations: frozenset[int]) -> bool:
        """True if no connection between them counts: they have no family in common, or are all outside."""
        ends = (self._types(sources), self._types(destinations))
        return not any(
            not (one[0] and other[0]) and any(a and b for a, b in zip(one[1:], other[1:], strict=True))
            for one in ends[0]
            for other in ends[1]
        )

    def _types(self, kinds: frozenset[int]) -> set[tuple[bool, bool, bool]]:
        """What occurs of: outside or not, IPv4 or not, IPv6 or not."""
        return {
            (self._units[kind][0].vm is None, self._kinds[kind][0] is not None, self._kinds[kind][1] is not None)
            for kind in kinds
        }

    def _implied(self, rectangle: Rectangle) -> int | None:
        """The family of a rectangle's pairs, if all have the same."""
        possible = set()
        for source in rectangle.sources:
            for destination in rectangle.destinations:
                ends = zip(_FAMILIES, self._kinds[source], self._kinds[destination], strict=True)
                possible |= {family for family, one, other in ends if one is not None and other is not None}
                if len(possible) > 1:
                    return None
        return next(iter(possible))

    def _only_selves(self, rectangle: Rectangle) -> bool:
        """True if all its pairs are of a vNIC with itself."""
        own = {unit.only_vnic for side in rectangle[:2] for kind in side for unit in self._units[kind]}
        return len(own) == 1 and None not in own

    def _names(self, kinds: Iterable[int], scope: str, family: int | None) -> Ends:
        units = [unit for kind in kinds for unit in self._units[kind]]
        vms = {name for unit in units if unit.vm is not None for name in _unit_names(unit, family)}
        classes = frozenset(place for unit in units if unit.vm is None for place in unit.classes if place is not None)
        meant, left_out = self._outside(classes, scope, family)
        but = tuple(map(str, left_out)) if len(left_out) < len(meant) else None
        return Ends(tuple(sorted(vms)), tuple(map(str, meant)), but)

    def _outside(self, classes: frozenset[int], scope: str, only: int | None) -> _Cover:
        """The CIDRs of the outside that are meant and of the rest, of the families in which any are meant."""
        key = classes, scope, only
        if key not in self._covers:
            meant: list[Prefix] = []
            left_out: list[Prefix] = []
            for family in _FAMILIES if only is None else (only,):
                if any(self._joint.classes[place].family == family for place in classes):
                    wanted, unwanted = self._ranges(classes, scope, family)
                    meant.extend(covering(family, wanted, unwanted))
                    left_out.extend(covering(family, unwanted, wanted))
            self._covers[key] = meant, left_out
        return self._covers[key]

    def _ranges(self, classes: frozenset[int], scope: str, family: int) -> tuple[list[Range], list[Range]]:
        """The outside's addresses that are in the classes, and the others."""
        wanted: list[Range] = []
        unwanted: list[Range] = []
        for place, each in enumerate(self._joint.classes):
            if (each.scope, each.family) == (scope, family):
                ranges = [piece.range for piece in each.pieces if piece.vm is None and piece.range is not None]
                (wanted if place in classes else unwanted).extend(ranges)
        return wanted, unwanted


def _lifted(
    of_one: tuple[Mapping[Pair, Region], Mapping[Pair, Region]], of_both: Iterable[Region]
) -> Iterable[dict[Pair, Region]]:
    """Pairs that meet in one family only, with a region that others have too if that says the same there.

    What a region says of the other family is no matter for such a pair; to have the same region makes fewer lines.
    """
    common = FAMILY[4] & FAMILY[6]
    known = {family: {region & FAMILY[family]: region for region in of_both} for family in _FAMILIES}
    for mine, other in ((0, 1), (1, 0)):
        family = _FAMILIES[mine]
        twins = {region & common: region for region in of_one[other].values()}
        for region in of_one[mine].values():
            if region not in known[family]:
                lifted = region | twins.get(region & common, EMPTY)
                for each in _FAMILIES:
                    known[each].setdefault(lifted & FAMILY[each], lifted)
    for family, regions in zip(_FAMILIES, of_one, strict=True):
        yield {pair: known[family].get(region, region) for pair, region in regions.items()}


def _units(joint: Joint) -> Iterable[_Unit]:
    """Everybody: VMs, parts of VMs, and the outside."""
    classes = joint.classes
    for place, each in enumerate(classes):
        pieces = tuple(piece for piece in each.pieces if piece.vm is None)
        if pieces:
            yield _Unit(each.scope, _kind([place], joint), None, pieces, whole=True)
    for vm, placed in pieces_of_vms(classes).items():
        by_scope: dict[str, dict[int, list[Piece]]] = defaultdict(lambda: defaultdict(list))
        for place, piece in placed:
            by_scope[classes[place].scope][place].append(piece)
        for scope, by_class in by_scope.items():
            families = [classes[place].family for place in by_class]
            if len(set(families)) == len(families) and len(by_scope) == 1:
                together = tuple(piece for pieces in by_class.values() for piece in pieces)
                yield _Unit(scope, _kind(by_class, joint), vm, together, whole=True)
                continue
            for place, part in by_class.items():
                yield _Unit(scope, _kind([place], joint), vm, tuple(part), whole=False)


def _kind(classes: Iterable[int], joint: Joint) -> _Kind:
    by_family = {joint.classes[place].family: place for place in classes}
    return by_family.get(4), by_family.get(6)


def _unit_names(unit: _Unit, family: int | None) -> Iterable[str]:
    """The VM's name; its addresses where only some of them are meant."""
    if unit.whole and family is None:
        return [unit.vm or ""]
    return [name for piece in unit.pieces for name in _piece_names(piece, family)]


def _piece_names(piece: Piece, only: int | None) -> Iterable[str]:
    if only not in (None, piece.family):
        return []
    if piece.range is None:
        return [piece.vnic or ""]
    prefixes = exactly(piece.family, [piece.range])
    return [f"{piece.vm}@{_short(prefix)}" for prefix in prefixes]


def _short(prefix: Prefix) -> str:
    """An address alone without its length."""
    return str(prefix.network_address) if prefix.prefixlen == prefix.max_prefixlen else str(prefix)
