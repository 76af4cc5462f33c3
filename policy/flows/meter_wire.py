"""Meters as OpenFlow 1.4 bytes, and back from what the switch tells of them (OpenFlow 1.4, 7.3.4.5, 7.3.5.13 to 15).

A meter of ours counts packets, has a burst, keeps statistics, and drops what is too much.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from policy.flows.meters import Meter
from policy.flows.openflow import VERSION, WireError

METER_MOD = 29
ADD, MODIFY, DELETE = 0, 1, 2
PACKETS, BURST, STATISTICS = 2, 4, 8
FLAGS = PACKETS | BURST | STATISTICS
DROP_BAND = 1
ALL_METERS = 0xFFFFFFFF
# Multipart types.
OFPMP_METER, OFPMP_METER_CONFIG, OFPMP_METER_FEATURES = 9, 10, 11


def meter_mod(meter: Meter, command: int, xid: int) -> bytes:
    """A meter-mod that adds a meter, or changes one that is there."""
    band = struct.pack("!HHII4x", DROP_BAND, 16, meter.rate, meter.burst)
    return struct.pack("!BBHIHHI", VERSION, METER_MOD, 32, xid, command, FLAGS, meter.number) + band


def meter_delete(number: int, xid: int) -> bytes:
    """A meter-mod that removes a meter. The switch then removes the flows that use it, too."""
    return struct.pack("!BBHIHHI", VERSION, METER_MOD, 16, xid, DELETE, 0, number)


def decode_meter_configs(body: bytes) -> Iterator[tuple[int, Meter | None]]:
    """The meters of an OFPMP_METER_CONFIG reply's body, by number; None for one that we cannot have written.

    Raises ``WireError`` if it is cut short.
    """
    at = 0
    while at < len(body):
        if len(body) - at < 8:
            raise WireError("meter description cut short")
        length, flags, number = struct.unpack_from("!HHI", body, at)
        if length < 8 or at + length > len(body):
            raise WireError("meter description cut short")
        meter = None
        if flags == FLAGS and length == 24:
            kind, _, rate, burst = struct.unpack_from("!HHII", body, at + 8)
            meter = Meter(number, rate, burst) if kind == DROP_BAND else None
        yield number, meter
        at += length


def decode_meter_drops(body: bytes) -> Iterator[tuple[int, int]]:
    """From an OFPMP_METER reply's body: each meter's number, and how many packets it has dropped.

    Raises ``WireError`` if it is cut short.
    """
    at = 0
    while at < len(body):
        if len(body) - at < 40:
            raise WireError("meter statistics cut short")
        number, length = struct.unpack_from("!IH", body, at)
        if length < 40 or at + length > len(body):
            raise WireError("meter statistics cut short")
        bands = (length - 40) // 16
        yield number, sum(struct.unpack_from("!Q", body, at + 40 + 16 * band)[0] for band in range(bands))
        at += length


def decode_most_meters(body: bytes) -> int:
    """From an OFPMP_METER_FEATURES reply's body: the highest meter number; 0: the switch has no meters we can use."""
    if len(body) < 16:
        raise WireError("meter features cut short")
    most, bands, capabilities = struct.unpack_from("!III", body)
    return most if bands & 1 << DROP_BAND and capabilities & PACKETS else 0
