"""Meters: how many packets a second of a kind one vNIC may send, declared once. The datapath enforces them.

A meter belongs to a kind and a vNIC; its number follows from the two. Open vSwitch takes no number above that of the
meters that its datapath may have: 2**18 in userspace (``MAX_METERS`` of ``lib/dpif-netdev.c``); in Linux 200,000, or as
many as take some 3 % of a small memory (``DP_METER_NUM_MAX`` and ``ovs_meters_init`` of ``net/openvswitch/meter.c``).
That is enough for six kinds, so that no vNIC shares a meter with another.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from policy.model import Limits
from topology.zones import MAX_ZONE


class MeterKind(enum.IntEnum):
    """What is limited."""

    OPENS = 0  # new connections: those the vNIC sends, and those from outside that come to it
    MANY = 1  # broadcast and multicast frames that the vNIC sends
    NOTICES = 2  # copies to the controller: for the log, for `reject`
    LEARNS = 3  # how a vNIC asks for its addresses, by DHCP or by using them, and copies of that to the controller
    FRAGMENTS = 4  # IP fragments that conntrack is to put together: whoever would pay for their connection
    ANSWERS = 5  # copies to the controller: what DHCP servers answer

    @property
    def label(self) -> str:
        return self.name.lower()


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

# How far apart the meters of two kinds are, and the highest number that a meter of ours can have.
_KINDS_APART = MAX_ZONE + 1
HIGHEST_METER = max(MeterKind) * _KINDS_APART + MAX_ZONE


@dataclass(frozen=True, slots=True)
class Meter:
    """At most ``rate`` packets a second, and ``burst`` more at once."""

    number: int
    rate: int
    burst: int


def meter_number(kind: MeterKind, vnic: int) -> int:
    """The number of a vNIC's meter of this kind; meter 0 does not exist in OpenFlow, and no vNIC has number 0."""
    return kind * _KINDS_APART + vnic


def meter_text(number: int) -> str:
    """A meter's number in words; the number alone if no meter of ours can have it."""
    kind, vnic = divmod(number, _KINDS_APART)
    return f"{MeterKind(kind).label}:{vnic}" if number <= HIGHEST_METER else str(number)


def vnic_meters(vnic: int, limits: Limits) -> Iterator[Meter]:
    """The meters of one firewalled vNIC, by its number. A second's worth may come at once; of DHCP twice as much."""
    rates: Mapping[MeterKind, int] = {
        MeterKind.OPENS: limits.new_connections,
        MeterKind.MANY: limits.broadcasts,
        MeterKind.FRAGMENTS: limits.fragments,
        MeterKind.NOTICES: limits.notices,
    }
    for kind, rate in rates.items():
        yield Meter(meter_number(kind, vnic), rate, rate)
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
