"""Who has which address, as one bridge needs to know it: its entries, kept from one time to the next.

An entry is there where an address has another number (`policy.flows.outlook`) than what encloses it.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable

from policy.flows.entries import EntryPieces
from policy.flows.identity import Entry, Identities, Place
from policy.flows.local_vnics import LocalVnics, Numbers
from policy.flows.outlook import Outlook
from policy.flows.pieces import Piece
from policy.flows.places import PlaceIndex
from topology.breath import breathing


class AddressBook:
    """The entries of one bridge."""

    def __init__(self, vnics: LocalVnics, outlook: Outlook) -> None:
        self._vnics = vnics
        self._outlook = outlook
        self._last: Identities | None = None
        self._ranges = PlaceIndex()

    def changes(
        self, identities: Identities, pieces: EntryPieces, stale: Iterable[Place], seen_anew: Numbers
    ) -> dict[Hashable, Piece | None]:
        """What is new. ``stale``: addresses of vNICs that have come, gone or changed. ``seen_anew``: the identities
        of which the bridge tells apart more or less than before."""
        last, self._last = self._last, identities
        before, self._ranges = self._ranges, self._vnics.ranges
        found = set(stale)
        if before != self._ranges:
            around = before, self._ranges
            found.update(place for place, _ in identities.entries.pairs() if any(each.holds(place) for each in around))
        if last is None:
            found.update(self._vnics.owners)
            found.update(*(places for entry, places in identities.places.pairs() if self._shows(entry)))
        else:
            found.update(place for place, _, _ in identities.entries.changes_since(last.entries))
            if seen_anew:
                sets = {identities.members[number] for number in seen_anew}
                found.update(self._vnics.places_in(sets))
                for entry, places in identities.places.pairs():
                    if entry.members in sets or entry.around in sets:
                        found.update(places)
        return {("entry", *place): self._piece(identities, pieces, place) for place in breathing(found)}

    def _shows(self, entry: Entry) -> bool:
        """True if something differs by this entry."""
        of_own, of_peer = self._outlook.of_own, self._outlook.of_peer
        number = of_own(entry.members) if entry.many else of_peer(entry.members)
        return number != (of_own(entry.around) if entry.many_around else of_peer(entry.around))

    def _piece(self, identities: Identities, pieces: EntryPieces, place: Place) -> Piece | None:
        """The flows of an address, or block of them; None: what encloses it says the same."""
        of_own, of_peer = self._outlook.of_own, self._outlook.of_peer
        own, entry = place in self._vnics.owners, identities.entries.get(place)
        if entry is not None:
            # What a vNIC here owns is seen as destinations for many are.
            enclosed = self._ranges.holds(place, strictly=True)
            entry = entry._replace(many=entry.many or own or enclosed, many_around=entry.many_around or enclosed)
            if not self._shows(entry):
                return None
            members = entry.members
            number = of_own(members) if entry.many else of_peer(members)
        elif own:
            # In the same groups as what encloses it, which may be seen as an address elsewhere.
            members = identities.at(*place)
            number = of_own(members)
            if number == of_peer(members):
                return None
        else:
            return None
        return pieces.piece(identities, place, members, number)
