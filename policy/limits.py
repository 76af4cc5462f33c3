"""How much one vNIC may take of what all vNICs share, by the `limits` of the policy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from policy.errors import Problem
from policy.members import vnic_in
from policy.model import Document, LimitEntry, Limits
from topology.vnic import Vnic

# What only some switches enforce, and what these need: older ones let conntrack's entries be limited on their own
# machine only (`ovs-appctl dpctl/ct-set-limits`), neither by OpenFlow nor by OVSDB. The controller asks what each has.
NEEDS = {"connections": "Open vSwitch 3.3 or newer (OVSDB's column CT_Zone.limit)"}


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


def demanding(document: Document) -> Iterator[Problem]:
    """What the policy states though not every switch enforces it: no mistake, but its author should know."""
    for entry in document.limits:
        for what in sorted(NEEDS.keys() & entry.stated.keys()):
            stated = f"limit {entry.name} states {what}: {entry.stated[what]}"
            yield Problem(entry.place, f"{stated}, which needs {NEEDS[what]}")
