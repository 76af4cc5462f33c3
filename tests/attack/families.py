"""All families of attacks that are frames, in the order in which they are told and tried."""

from __future__ import annotations

from tests.attack import (
    arp,
    conntrack,
    copies,
    dhcp_and_routers,
    fragments,
    ipv4_headers,
    ipv6_headers,
    nd,
    spoofing,
    sub_ports,
    vlan_and_ethertypes,
)

_TOLD = (
    spoofing,
    arp,
    nd,
    vlan_and_ethertypes,
    sub_ports,
    ipv4_headers,
    ipv6_headers,
    fragments,
    dhcp_and_routers,
    copies,
    conntrack,
)
FAMILIES = tuple(module.FAMILY for module in _TOLD)
