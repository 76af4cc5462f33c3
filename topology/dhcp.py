"""What DHCP messages say about addresses, in the same words for both families.

`topology.dhcp4` and `topology.dhcp6` read messages into these.
"""

from __future__ import annotations

from dataclasses import dataclass

from topology.addresses import Address

# Of a lease that never ends (RFC 2131, section 3.3; RFC 8415, section 7.7).
FOREVER = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Exchange:
    """What a client's message and the server's answer have in common: the number that the client chose, and its name.

    The name is the hardware address in DHCPv4, the DUID in DHCPv6.
    """

    version: int
    number: int
    client: bytes


@dataclass(frozen=True, slots=True)
class Asked:
    """A client asks for addresses, or to keep them. ``addresses`` are those that it names.

    ``only_rapid``: it has not chosen a server yet, so that only an answer that skips the choice (rapid commit, RFC 4039
    and RFC 8415) gives it an address.
    """

    exchange: Exchange
    addresses: tuple[Address, ...] = ()
    only_rapid: bool = False


@dataclass(frozen=True, slots=True)
class GivenBack:
    """A client gives addresses back, or declines them."""

    exchange: Exchange
    addresses: tuple[Address, ...]


@dataclass(frozen=True, slots=True)
class Granted:
    """A server lets a client use addresses, for so many seconds from now; 0: no longer, `FOREVER`: without end."""

    exchange: Exchange
    leases: tuple[tuple[Address, int], ...]
    rapid: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """A server says that a client may not use what it has named (DHCPNAK)."""

    exchange: Exchange


FromClient = Asked | GivenBack
FromServer = Granted | Refused
