"""From a copied frame to what it says about addresses: DHCP messages and claims, with the frame's MACs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from topology import dhcp4, dhcp6
from topology.dhcp import FromClient, FromServer
from topology.frames import Claim, read_frame

Read = Callable[[bytes], FromClient | FromServer | None]

# By IP version, source and destination port: RFC 2131, section 4.1; RFC 8415, section 7.2.
_WAYS: Mapping[tuple[int, int, int], Read] = {
    (4, 68, 67): dhcp4.from_client,
    (4, 67, 68): dhcp4.from_server,
    (6, 546, 547): dhcp6.from_client,
    (6, 547, 546): dhcp6.from_server,
}


@dataclass(frozen=True, slots=True)
class Heard:
    """A message about addresses, from the host with MAC ``source`` to ``destination``."""

    source: str
    destination: str
    message: FromClient | FromServer


def read_heard(frame: bytes) -> Heard | Claim | None:
    """What the frame says about addresses; None: nothing. Never raises."""
    found = read_frame(frame)
    if found is None or isinstance(found, Claim):
        return found
    read = _WAYS.get((found.version, found.source_port, found.destination_port))
    message = read(found.payload) if read is not None else None
    return Heard(found.source_mac, found.destination_mac, message) if message is not None else None
