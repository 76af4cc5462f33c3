"""Meters: how many packets a second of a kind one vNIC may send, declared once. The datapath enforces them.

A meter belongs to a kind and a vNIC; its number follows from the two. Open vSwitch takes no number above that of the
meters that its datapath may have: 2**18 in userspace (``MAX_METERS`` of ``lib/dpif-netdev.c``); in Linux 200,000, or as
many as take some 3 % of a small memory (``DP_METER_NUM_MAX`` and ``ovs_meters_init`` of ``net/openvswitch/meter.c``).
That is enough for three kinds with a number for each vNIC that there can be. Of the kinds after these a vNIC has the
meter of its slot (`topology.zones.slot_of`), which is its own unless the switch has more vNICs than slots.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from policy.model import Limits
from topology.zones import MAX_ZONE, SLOTS, slot_of


class MeterKind(enum.IntEnum):
    """What is limited."""

    OPENS = 0  # new connections: those the vNIC sends, and those from outside that come to it
    MANY = 1  # broadcast and multicast frames that the vNIC sends
    NOTICES = 2  # copies to the controller: for the log, for `reject`
    LEARNS = 3  # how a vNIC asks for its addresses, by DHCP or by using them, and copies of that to the controller
    ANSWERS = 4  # copies to the controller: what DHCP servers answer

    @property
    def label(self) -> str:
        return self.name.lower()


# The first kind of which there is a meter for each slot only; its meters, and how many numbers each such kind has.
_FIRST_OF_SLOTS = MeterKind.LEARNS
_SLOT_NUMBERS = SLOTS + 1

# A guest asks for its addresses with a few packets an hour, and when it starts with a few at once; nobody needs to set
# this. Each message of a guest that learns counts twice: as itself, and as its copy.
LEARNS_A_SECOND = 10
ANSWERS_A_SECOND = 10
# Vnic number 0 is no vNIC's. Copies for which no vNIC can be charged: frames of unknown MACs and ports; answers to all;
# what the outside says about an address that a vNIC would like to use.
STRANGERS = 0
STRANGERS_A_SECOND = 20
ANSWERS_TO_ALL_A_SECOND = 100
OBJECTIONS_A_SECOND = 50


@dataclass(frozen=True, slots=True)
class Meter:
    """At most ``rate`` packets a second, and ``burst`` more at once."""

    number: int
    rate: int
    burst: int


def meter_number(kind: MeterKind, vnic: int) -> int:
    """The number of a vNIC's meter of this kind; meter 0 does not exist in OpenFlow, and no vNIC has number 0."""
    if kind < _FIRST_OF_SLOTS:
        return kind << 16 | vnic
    slot = slot_of(vnic) if vnic else STRANGERS
    return (_FIRST_OF_SLOTS << 16) + (kind - _FIRST_OF_SLOTS) * _SLOT_NUMBERS + slot


# The highest number that a meter of ours can have.
HIGHEST_METER = meter_number(max(MeterKind), SLOTS)


def meter_text(number: int) -> str:
    """A meter's number in words; the number alone if no meter of ours can have it."""
    kind, rest = number >> 16, number & 0xFFFF
    if kind < _FIRST_OF_SLOTS:
        return f"{MeterKind(kind).label}:{rest}" if rest <= MAX_ZONE else str(number)
    kind, rest = _FIRST_OF_SLOTS + rest // _SLOT_NUMBERS, rest % _SLOT_NUMBERS
    return f"{MeterKind(kind).label}:{rest}" if number <= HIGHEST_METER else str(number)


def vnic_meters(vnic: int, limits: Limits) -> Iterator[Meter]:
    """The meters of one firewalled vNIC, by its number. A second's worth may come at once."""
    rates: Mapping[MeterKind, int] = {
        MeterKind.OPENS: limits.new_connections,
        MeterKind.MANY: limits.broadcasts,
        MeterKind.NOTICES: limits.notices,
    }
    for kind, rate in rates.items():
        yield Meter(meter_number(kind, vnic), rate, rate)


def slot_meters(vnic: int) -> Iterator[Meter]:
    """The meters that a firewalled vNIC may share with others of the same slot. Twice a second's worth at once."""
    for kind, rate in ((MeterKind.LEARNS, LEARNS_A_SECOND), (MeterKind.ANSWERS, ANSWERS_A_SECOND)):
        yield Meter(meter_number(kind, vnic), rate, 2 * rate)


def common_meters() -> Iterator[Meter]:
    """The meters of copies for which no vNIC can be charged."""
    rates: Mapping[MeterKind, int] = {
        MeterKind.NOTICES: STRANGERS_A_SECOND,
        MeterKind.LEARNS: OBJECTIONS_A_SECOND,
        MeterKind.ANSWERS: ANSWERS_TO_ALL_A_SECOND,
    }
    for kind, rate in rates.items():
        yield Meter(meter_number(kind, STRANGERS), rate, rate)
