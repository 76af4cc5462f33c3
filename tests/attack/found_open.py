"""What got past when it was first tried, and honest frames that did not arrive."""

from __future__ import annotations

from scapy.layers.inet import ICMP, IP
from scapy.layers.inet6 import ICMPv6EchoRequest
from scapy.packet import Packet

from tests.attack.declare import ANN, BEN, WEB, Family, Honest
from tests.attack.frames import ether, ip4, ip6, pieces4, pieces6, tcp, udp, upper
from tests.attack.place import ANN as NEIGHBOUR
from tests.attack.place import BEN as OTHER_NEIGHBOUR
from tests.attack.place import WEB as SERVER


def _among_neighbours(pieces: list[Packet]) -> list[Packet]:
    return [ether(src=NEIGHBOUR.mac, dst=OTHER_NEIGHBOUR.mac) / piece.payload for piece in pieces]


def _neighbours4(ident: int) -> IP:
    return ip4(id=ident, src=NEIGHBOUR.ip4, dst=OTHER_NEIGHBOUR.ip4)


FAMILY = Family(
    "found open",
    "what got past when it was first tried, and honest frames that did not arrive",
    (
    ),
    (
        Honest(
            "fragments of a service that a rule names",
            lambda s: _among_neighbours(pieces4(_neighbours4(301) / udp(5001, sport=4500) / s.body)),
            frozenset({BEN}),
            ANN,
        ),
        Honest(
            "fragments of an established stream",
            lambda s: _among_neighbours(pieces4(_neighbours4(302) / udp(5001, sport=s.stream.opener) / s.body)),
            frozenset({BEN}),
            ANN,
        ),
        Honest(
            "fragments of an echo request that a rule names",
            lambda s: _among_neighbours(pieces4(_neighbours4(303) / ICMP() / s.body)),
            frozenset({BEN}),
            ANN,
        ),
        Honest(
            "IPv6 fragments of an echo request that a rule names",
            lambda s: _among_neighbours(
                list(
                    pieces6(
                        58,
                        upper(ip6(src=NEIGHBOUR.ip6, dst=OTHER_NEIGHBOUR.ip6), ICMPv6EchoRequest(data=s.body[:2000])),
                        304,
                        src=NEIGHBOUR.ip6,
                        dst=OTHER_NEIGHBOUR.ip6,
                    )
                )
            ),
            frozenset({BEN}),
            ANN,
        ),
        Honest(
            "fragments of a TCP service that a rule names",
            lambda s: [
                ether(dst=SERVER.mac) / piece.payload
                for piece in pieces4(ip4(id=305, dst=SERVER.ip4) / tcp(443, sport=4501) / s.body)
            ],
            frozenset({WEB}),
        ),
    ),
)
