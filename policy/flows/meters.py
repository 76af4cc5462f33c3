"""Meters: how many packets a second of a kind one vNIC may send, declared once. The datapath enforces them.

A meter belongs to a kind and a vNIC; its number follows from the two. Open vSwitch's userspace datapath has 2**18
meters (``MAX_METERS`` of ``lib/dpif-netdev.c``), which is just what four kinds need.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from policy.model import Limits


class MeterKind(enum.IntEnum):
    """What is limited."""

    OPENS = 0  # new connections: those the vNIC sends, and those from outside that come to it
    MANY = 1  # broadcast and multicast frames that the vNIC sends
    NOTICES = 2  # copies to the controller: for the log, for `reject`
    LEARNS = 3  # copies to the controller: how a vNIC gets its addresses

    @property
    def label(self) -> str:
        return self.name.lower()


# Addresses are learned from a few packets an hour; nobody needs to set this.
LEARNS_A_SECOND = 10
# Copies for which no vNIC can be charged: frames of unknown MACs and ports. Vnic number 0 is no vNIC's.
STRANGERS = 0
STRANGERS_A_SECOND = 20


# The highest number that a meter of ours can have.
HIGHEST_METER = (max(MeterKind) << 16) | 0xFFFF


@dataclass(frozen=True, slots=True)
class Meter:
    """At most ``rate`` packets a second, and ``burst`` more at once."""

    number: int
    rate: int
    burst: int


def meter_number(kind: MeterKind, vnic: int) -> int:
    """The number of a vNIC's meter of this kind; meter 0 does not exist in OpenFlow, and no vNIC has number 0."""
    return kind << 16 | vnic


def meter_text(number: int) -> str:
    """A meter's number in words."""
    return f"{MeterKind(number >> 16).label}:{number & 0xFFFF}"


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
