"""Meters: every vNIC's have numbers of their own, and every switch has as many."""

from __future__ import annotations

from policy.flows.meters import (
    HIGHEST_METER,
    MeterKind,
    common_meters,
    meter_number,
    meter_text,
    vnic_meters,
)
from policy.model import Limits
from topology.zones import MAX_ZONE

# Of Linux's own datapath (DP_METER_NUM_MAX in net/openvswitch/meter.h) and of the one in userspace
# (MAX_METERS in lib/dpif-netdev.c of Open vSwitch 3.1). A switch refuses a meter with a higher number.
KERNEL, USERSPACE = 200_000, 2**18


def test_the_highest_meter_is_one_that_every_switch_has():
    every = {meter_number(kind, zone) for kind in MeterKind for zone in range(1, MAX_ZONE + 1)}
    assert HIGHEST_METER == max(every) < min(KERNEL, USERSPACE)


def test_no_two_meters_have_one_number():
    numbers = [meter.number for zone in (1, 2, MAX_ZONE) for meter in vnic_meters(zone, Limits())]
    numbers += [meter.number for meter in common_meters()]
    assert len(set(numbers)) == len(numbers)
    assert min(numbers) > 0


def test_a_meter_that_is_none_of_ours_has_a_text_too():
    assert meter_text(meter_number(MeterKind.MANY, 7)) == "many:7"
    for number in (HIGHEST_METER + 1, 0xFFFFFFFF):
        assert meter_text(number) == str(number)
