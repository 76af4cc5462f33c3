"""A copy of a packet as the switch sends it to the controller: who, where and why, read from the registers.

`policy.flows.telling` fills the registers; the layout of the message is OpenFlow 1.4, 7.4.1. Copies are counted by
meters, so there are few of them, but their bytes come from a guest.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from policy.flows import fields as f
from policy.flows.cookies import LAYOUT, Kind, cookie, layout_of
from policy.flows.fields import Field
from policy.flows.openflow import WireError
from policy.model import Side

PACKET_IN = 10
# Bytes before the match: header, buffer, total length, reason, table, cookie of the flow that made the copy.
_HEAD = 24


@dataclass(frozen=True, slots=True)
class Copy:
    """A packet, and what the pipeline knew of it.

    ``cookie`` is that of the flow that decided, ``side`` the side that did; ``reply`` tells that the packet goes
    against the direction of its connection. Both mean something for rules only. ``src_vnic`` and ``dst_vnic`` are the
    conntrack zones of the firewalled vNIC that has sent the packet and of the one that is to receive it; 0: none, or
    not found out yet. ``vlan`` is the network, ``in_port`` the OpenFlow port by which the packet came in, ``uplink``
    the number of the uplink if that is one (else 0). ``frame`` has no VLAN tag.
    """

    cookie: int
    side: Side
    reply: bool
    src_vnic: int
    dst_vnic: int
    vlan: int
    in_port: int
    uplink: int
    frame: bytes


def decode_packet_in(message: bytes) -> Copy:
    """Reads a packet-in message. Raises ``WireError`` for anything that is not one of ours."""
    if len(message) < _HEAD + 4 or message[1] != PACKET_IN:
        raise WireError("packet-in cut short")
    if layout_of(struct.unpack_from("!Q", message, _HEAD - 8)[0]) != LAYOUT:
        # Of a generation that is being replaced: its registers mean something else.
        raise WireError("a packet-in from a flow of another layout")
    kind, length = struct.unpack_from("!HH", message, _HEAD)
    end = _HEAD + -(-length // 8) * 8
    if kind != 1 or length < 4 or end + 2 > len(message):
        raise WireError("packet-in cut short")
    registers, in_port = _metadata(message[_HEAD + 4 : _HEAD + length])

    def part(field: Field) -> int:
        return registers.get(field.oxm_field, 0) >> field.offset & field.full

    try:
        why = cookie(Kind(part(f.WHY_KIND)), part(f.WHY))
    except ValueError:
        raise WireError("a packet-in without a reason") from None
    side = Side.INGRESS if part(f.WHY_SIDE) else Side.EGRESS
    frame = message[end + 2 :]
    vnics = part(f.SRC_VNIC), part(f.DST_VNIC)
    return Copy(why, side, bool(part(f.REPLY)), *vnics, part(f.VLAN), in_port, part(f.UPLINK_IN), frame)


def _metadata(data: bytes) -> tuple[dict[int, int], int]:
    """The registers by number, and the port; whatever else the switch tells is passed over."""
    registers: dict[int, int] = {}
    in_port = 0
    at = 0
    while at + 4 <= len(data):
        (header,) = struct.unpack_from("!I", data, at)
        oxm_class, number, size = header >> 16, header >> 9 & 0x7F, header & 0xFF
        body = data[at + 4 : at + 4 + size]
        if len(body) != size:
            raise WireError("packet-in cut short")
        at += 4 + size
        if (oxm_class, number) == (f.IN_PORT.oxm_class, f.IN_PORT.oxm_field) and size == 4:
            in_port = int.from_bytes(body, "big") & 0xFFFF
        elif oxm_class == f.NXM_1 and number < 16 and size == 4:
            registers[number] = int.from_bytes(body, "big")
    return registers, in_port
