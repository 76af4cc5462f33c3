"""Meters: how many packets a second of a kind one vNIC may send, declared once. The datapath enforces them.

A meter belongs to a kind and a vNIC; its number follows from the two. Open vSwitch takes no number above that of the
meters that its datapath may have: 2**18 in userspace (``MAX_METERS`` of ``lib/dpif-netdev.c``); in Linux 200,000, or as
many as take some 3 % of a small memory (``DP_METER_NUM_MAX`` and ``ovs_meters_init`` of ``net/openvswitch/meter.c``).
Three kinds fit in both; a fourth would not.
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

    @property
    def label(self) -> str:
        return self.name.lower()


# Copies for which no vNIC can be charged: frames of unknown MACs and ports. Vnic number 0 is no vNIC's.
STRANGERS = 0
STRANGERS_A_SECOND = 20


@dataclass(frozen=True, slots=True)
class Meter:
    """At most ``rate`` packets a second, and ``burst`` more at once."""

    number: int
    rate: int
    burst: int


def meter_number(kind: MeterKind, vnic: int) -> int:
    """The number of a vNIC's meter of this kind; meter 0 does not exist in OpenFlow, and no vNIC has number 0."""
    return kind << 16 | vnic


# The highest number that a meter of ours can have.
HIGHEST_METER = meter_number(max(MeterKind), MAX_ZONE)


def meter_text(number: int) -> str:
    """A meter's number in words; the number alone if no meter of ours can have it."""
    kind, vnic = number >> 16, number & 0xFFFF
    return f"{MeterKind(kind).label}:{vnic}" if kind in set(MeterKind) and vnic <= MAX_ZONE else str(number)


def vnic_meters(vnic: int, limits: Limits) -> Iterator[Meter]:
    """The meters of one firewalled vNIC, by its number. A second's worth may come at once."""
    rates: Mapping[MeterKind, int] = {
        MeterKind.OPENS: limits.new_connections,
        MeterKind.MANY: limits.broadcasts,
        MeterKind.NOTICES: limits.notices,
    }
    for kind, rate in rates.items():
        yield Meter(meter_number(kind, vnic), rate, rate)


def strangers_meter() -> Meter:
    """The meter of copies for which no vNIC can be charged."""
    return Meter(meter_number(MeterKind.NOTICES, STRANGERS), STRANGERS_A_SECOND, STRANGERS_A_SECOND)
