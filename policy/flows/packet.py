"""A packet as a value, for the walker: named header fields as numbers, as the switch would have parsed them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

SYN, ACK, RST, FIN = 0x02, 0x10, 0x04, 0x01


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet. A field that the packet does not have is 0, as in the switch's own eyes.

    The names are those of `policy.flows.fields`. The last few are not matched by any flow, but conntrack reads them:
    ``inner`` is the packet that an ICMP error quotes, ``whole`` the packet that this one is a fragment of, once all
    fragments are there, ``announces`` the address and port at which an FTP control message says its sender listens.
    """

    eth_src: int = 0
    eth_dst: int = 0
    eth_type: int = 0
    vlan_vid: int = 0
    ip_proto: int = 0
    ip_frag: int = 0
    ip_ttl: int = 64
    ipv4_src: int = 0
    ipv4_dst: int = 0
    ipv6_src: int = 0
    ipv6_dst: int = 0
    tcp_src: int = 0
    tcp_dst: int = 0
    udp_src: int = 0
    udp_dst: int = 0
    sctp_src: int = 0
    sctp_dst: int = 0
    icmp_type: int = 0
    icmp_code: int = 0
    icmpv6_type: int = 0
    icmpv6_code: int = 0
    arp_op: int = 0
    arp_spa: int = 0
    arp_tpa: int = 0
    arp_sha: int = 0
    nd_target: int = 0
    nd_sll: int = 0
    nd_tll: int = 0
    tcp_flags: int = SYN
    icmp_id: int = 0
    inner: Packet | None = None
    whole: Packet | None = None
    announces: tuple[int, int] | None = None


UNMATCHED = ("tcp_flags", "icmp_id", "inner", "whole", "announces")
HEADERS: tuple[str, ...] = tuple(field.name for field in fields(Packet) if field.name not in UNMATCHED)


def headers(packet: Packet) -> dict[str, int]:
    """The fields that flows can match, by name."""
    return {name: getattr(packet, name) for name in HEADERS}


def with_headers(packet: Packet, values: Mapping[str, int]) -> Packet:
    """The packet with its matchable fields as they are among ``values``."""
    changes: dict[str, Any] = {name: values[name] for name in HEADERS}
    return replace(packet, **changes)
