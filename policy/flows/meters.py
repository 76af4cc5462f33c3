"""Meters: how many packets a second of a kind one vNIC may send, declared once. The datapath enforces them.

A meter belongs to a kind and a vNIC; its number follows from the two. Linux's datapath has 200,000 meters
(``DP_METER_NUM_MAX`` of ``net/openvswitch/meter.h``), Open vSwitch's own some more: enough for six kinds, so that no
vNIC shares a meter with another.
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
    LEARNS = 3  # copies to the controller: how a vNIC gets its addresses
    FRAGMENTS = 4  # IP fragments that conntrack is to put together: whoever would pay for their connection

    @property
    def label(self) -> str:
        return self.name.lower()


# Addresses are learned from a few packets an hour; nobody needs to set this.
LEARNS_A_SECOND = 10
# Copies for which no vNIC can be charged: frames of unknown MACs and ports. Vnic number 0 is no vNIC's.
STRANGERS = 0
STRANGERS_A_SECOND = 20


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
    """A meter's number in words."""
    kind, vnic = divmod(number, _KINDS_APART)
    return f"{MeterKind(kind).label}:{vnic}"


def vnic_meters(vnic: int, limits: Limits) -> Iterator[Meter]:
    """The meters of one firewalled vNIC, by its number. A second's worth may come at once."""
    rates: Mapping[MeterKind, int] = {
        MeterKind.OPENS: limits.new_connections,
        MeterKind.MANY: limits.broadcasts,
        MeterKind.FRAGMENTS: limits.fragments,
        MeterKind.NOTICES: limits.notices,
    }
    for kind, rate in rates.items():
        yield Meter(meter_number(kind, vnic), rate, rate)


def strangers_meter() -> Meter:
    """The meter of copies for which no vNIC can be charged."""
    return Meter(meter_number(MeterKind.NOTICES, STRANGERS), STRANGERS_A_SECOND, STRANGERS_A_SECOND)
