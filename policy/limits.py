"""How much one vNIC may take of what all vNICs share, by the `limits` of the policy."""

from __future__ import annotations

from collections.abc import Iterable

from policy.members import vnic_in
from policy.model import Document, LimitEntry, Limits
from topology.vnic import Vnic


def limits_of(document: Document, vnic: Vnic) -> Limits:
    """The limits of a firewalled vNIC.

    Each number by itself: the smallest that an entry with `for` states for this vNIC; else the smallest that an entry
    without `for` states; else the built-in default. The order of the entries does not matter.
    """
    general = _smallest(entry for entry in document.limits if entry.general)
    own = _smallest(entry for entry in document.limits if not entry.general and vnic_in(entry.members, vnic))
    return Limits(**{**general, **own})


def _smallest(entries: Iterable[LimitEntry]) -> dict[str, int]:
    """Of each number that some entry states, the smallest."""
    found: dict[str, int] = {}
    for entry in entries:
        for what, number in entry.stated.items():
            found[what] = min(number, found.get(what, number))
    return found
