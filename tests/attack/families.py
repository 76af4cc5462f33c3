"""All families of attacks that are frames, in the order in which they are told and tried."""

from __future__ import annotations

from tests.attack import arp, dhcp_and_routers, nd, spoofing, vlan_and_ethertypes

FAMILIES = (spoofing.FAMILY, arp.FAMILY, nd.FAMILY, vlan_and_ethertypes.FAMILY, dhcp_and_routers.FAMILY)
