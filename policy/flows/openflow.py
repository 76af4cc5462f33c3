"""What all OpenFlow messages share: the version, reserved numbers, and the error for bytes that are none of ours."""

from __future__ import annotations

VERSION = 5
NO_BUFFER = ANY = 0xFFFFFFFF
# The vendor whose extensions Open vSwitch speaks (nicira-ext.h).
NICIRA = 0x00002320


class WireError(Exception):
    """Bytes from a switch that are not a flow of ours; a foreign flow is one such."""


# --- ports: 16 bits inside OVS, 32 in OpenFlow 1.1 and later; the reserved ones keep their low bits.


def port32(port: int) -> int:
    return port | 0xFFFF0000 if port >= 0xFF00 else port


def port16(port: int) -> int:
    return port & 0xFFFF if port >= 0xFFFFFF00 else port
