"""Fragments: of what is denied, of what never becomes whole, and of what becomes something else when put together."""

from __future__ import annotations

import struct

from scapy.layers.inet import ICMP, IP
from scapy.layers.inet6 import ICMPv6EchoRequest
from scapy.packet import Packet, Raw

from policy.flows.cookies import Drop
from tests.attack import declare
from tests.attack.declare import OUT, VIC, Attack, Elsewhere, Family, Honest, Loss
from tests.attack.frames import ether, ip4, ip6, piece4, piece6, pieces4, pieces6, tcp, udp, upper
from tests.attack.place import ANN, BEN
from tests.attack.place import OUT as OUTSIDE
from tests.attack.place import VIC as VICTIM
from tests.attack.place import WEB as SERVER

HELD = Elsewhere.REASSEMBLY
UDP_PROTOCOL, TCP_PROTOCOL, FRAGMENT, DESTINATION = 17, 6, 44, 60
# Of a packet that is denied, conntrack tells one fragment of which it is; the others go with it to nowhere.
AT_LEAST_ONE = 1
OLD_SWITCH = (
    "Open vSwitch 3.1.0 with the userspace datapath does not tell the ports of later fragments (mended upstream for 3.1 "
    "and later); only rules without ports let them through."
)


def _to_server(pieces: list[Packet]) -> list[Packet]:
    return [ether(dst=SERVER.mac) / piece.payload for piece in pieces]


def _whole(port: int, mark: bytes, size: int = 3200) -> bytes:
    """A UDP packet's bytes, checksum included."""
    return upper(ip4(), udp(port) / Raw((mark * 200)[:size]))


def _among_neighbours(pieces: list[Packet]) -> list[Packet]:
    return [ether(src=ANN.mac, dst=BEN.mac) / piece.payload for piece in pieces]


def _neighbours4(ident: int) -> IP:
    return ip4(id=ident, src=ANN.ip4, dst=BEN.ip4)


FAMILY = Family(
    "fragments",
    "fragments of what is denied, that never become whole, or that become something else when put together",
    (
        Attack(
            "of a denied UDP service",
            "Pass by having no ports in the later fragments.",
            Elsewhere.POLICY,
            lambda s: _to_server(pieces4(ip4(id=101, dst=SERVER.ip4) / udp(53) / s.body)),
            counted=AT_LEAST_ONE,
        ),
        Attack(
            "of a denied TCP service",
            "Pass by having no ports in the later fragments.",
            Elsewhere.POLICY,
            lambda s: _to_server(pieces4(ip4(id=102, dst=SERVER.ip4) / tcp(22) / s.body)),
            counted=AT_LEAST_ONE,
        ),
        Attack(
            "of a denied IPv6 service",
            "Pass by having no ports in the later fragments.",
            Elsewhere.POLICY,
            lambda s: _to_server(
                list(pieces6(UDP_PROTOCOL, upper(ip6(dst=SERVER.ip6), udp(53) / s.body[:2000]), 103, dst=SERVER.ip6))
            ),
            counted=AT_LEAST_ONE,
        ),
        Attack(
            "of a denied service, the last first",
            "Pass by coming in an order that filters do not expect.",
            Elsewhere.POLICY,
            lambda s: _to_server(pieces4(ip4(id=104, dst=SERVER.ip4) / udp(53) / s.body)[::-1]),
            counted=AT_LEAST_ONE,
        ),
        Attack(
            "of a denied service, each twice",
            "Pass by repetition.",
            Elsewhere.POLICY,
            lambda s: [
                piece
                for one in _to_server(pieces4(ip4(id=105, dst=SERVER.ip4) / udp(53) / s.body))
                for piece in (one, one)
            ],
            counted=AT_LEAST_ONE,
        ),
        Attack(
            "of an echo request to a guest that denies it",
            "Pass as ICMP, which has no ports.",
            Elsewhere.POLICY,
            lambda s: _to_server(pieces4(ip4(id=106, dst=SERVER.ip4) / ICMP() / s.body)),
            counted=AT_LEAST_ONE,
        ),
        Attack(
            "lone first fragment",
            "Use the first fragment alone.",
            HELD,
            lambda s: piece4(_whole(4000, s.mark)[:1400], 0, True, 107),
        ),
        Attack(
            "lone later fragment",
            "Send what shows no ports.",
            HELD,
            lambda s: [piece4(s.body[:1400], 1400, True, 108), piece4(s.body[:800], 2800, False, 109)],
        ),
        Attack(
            "lone later fragment to a guest that denies it",
            "Send what shows no ports.",
            HELD,
            lambda s: _to_server(
                [
                    piece4(s.body[:1400], 1400, True, 110, dst=SERVER.ip4),
                    piece4(s.body[:800], 2800, False, 111, TCP_PROTOCOL, dst=SERVER.ip4),
                ]
            ),
        ),
        Attack(
            "lone later IPv6 fragment",
            "Send what shows no ports.",
            HELD,
            lambda s: piece6(s.body[:1280], 1304, False, 112),
        ),
        Attack(
            "tiny first fragment",
            "Have the ports come in the second fragment (RFC 1858).",
            Drop.INVALID,
            lambda s: piece4(upper(ip4(), tcp(22) / s.mark)[:8], 0, True, 113, TCP_PROTOCOL) / s.mark[:8],
        ),
        Attack(
            "tiny fragments all",
            "Wear the filter down, or hide the ports.",
            Drop.INVALID,
            lambda s: [piece4(s.mark[:8], offset, True, 114) for offset in range(0, 80, 8)],
        ),
        Attack(
            "first fragment without ports",
            "Have the filter see no ports at all.",
            Drop.INVALID,
            lambda s: [
                piece4(s.mark[:8], 0, True, 115, TCP_PROTOCOL),
                piece4(s.body[:1400], 8, False, 115, TCP_PROTOCOL),
            ],
            counted=AT_LEAST_ONE,
        ),
        Attack(
            "ports overwritten by an overlap",
            "Show an allowed port, then overwrite it (RFC 1858, 3.1).",
            HELD,
            lambda s: [
                piece4(_whole(4000, s.mark)[:1400], 0, True, 116),
                piece4(_whole(53, s.mark)[:1400], 0, True, 116),
                piece4(s.body[:1400], 1400, False, 116),
            ],
        ),
        Attack(
            "overlap in the middle (teardrop)",
            "Have the victim's reassembly compute a negative length.",
            HELD,
            lambda s: [piece4(_whole(4000, s.mark)[:1400], 0, True, 117), piece4(s.body[:1208], 200, False, 117)],
        ),
        Attack(
            "overlap of IPv6 fragments",
            "Overwrite what the filter has seen (RFC 5722).",
            HELD,
            lambda s: [
                piece6(upper(ip6(), udp() / s.body)[:1304], 0, True, 118),
                piece6(s.body[:1296], 1296, False, 118),
            ],
        ),
        Attack(
            "ping of death",
            "Have the victim put together more than 65535 bytes.",
            HELD,
            lambda s: [
                piece4(upper(ip4(), ICMP() / s.body)[:1400], 0, True, 119, 1),
                piece4(s.body[:1400], 65528, False, 119, 1),
            ],
        ),
        Attack(
            "same number, another protocol",
            "Mix two packets in the filter's reassembly.",
            HELD,
            lambda s: [
                piece4(_whole(4000, s.mark)[:1400], 0, True, 120, UDP_PROTOCOL),
                piece4(s.body[:1400], 1400, False, 120, TCP_PROTOCOL),
            ],
        ),
        Attack(
            "same number, forged source",
            "Finish a neighbour's packet with own bytes.",
            Drop.SPOOFED_SOURCE,
            lambda s: piece4(s.body[:1400], 1400, False, 121, src=ANN.ip4),
        ),
        Attack(
            "fragment within a fragment",
            "Have filter and host see different ones.",
            HELD,
            lambda s: piece6(
                bytes([UDP_PROTOCOL, 0]) + struct.pack("!HI", 1, 122) + s.body[:1296], 0, True, 122, FRAGMENT
            ),
        ),
        Attack(
            "first IPv6 fragment of options alone",
            "Have the ports come in the second (RFC 7112).",
            HELD,
            lambda s: piece6(bytes([UDP_PROTOCOL, 161]) + b"\1\xff" + s.body[:1292], 0, True, 123, DESTINATION),
        ),
        Attack(
            "fragments of a spoofed land packet",
            "Have the victim talk to itself.",
            Drop.SPOOFED_SOURCE,
            lambda s: pieces4(ip4(id=124, src=VICTIM.ip4) / tcp(sport=4000) / s.body),
        ),
    ),
    (
        Honest("of an allowed UDP packet", lambda s: pieces4(ip4(id=201) / udp(4200) / s.body), frozenset({VIC})),
        Honest(
            "of an allowed packet, the last first",
            lambda s: pieces4(ip4(id=202) / udp(4201) / s.body)[::-1],
            frozenset({VIC}),
        ),
        Honest(
            "of an allowed IPv6 packet",
            lambda s: pieces6(UDP_PROTOCOL, upper(ip6(), udp(4202) / s.body[:2000]), 203),
            frozenset({VIC}),
        ),
        Honest("of an echo request", lambda s: pieces4(ip4(id=204) / ICMP() / s.body), frozenset({VIC})),
        Honest(
            "to the outside",
            lambda s: [
                ether(dst=OUTSIDE.mac) / piece.payload
                for piece in pieces4(ip4(id=205, dst=OUTSIDE.ip4) / udp(4203) / s.body)
            ],
            frozenset({OUT}),
        ),
    ),
    losses=(
        Loss(
            "of a service that a rule names",
            OLD_SWITCH,
            lambda s: _among_neighbours(pieces4(_neighbours4(301) / udp(5001, sport=4500) / s.body)),
            frozenset({declare.BEN}),
            declare.ANN,
        ),
        Loss(
            "of an established stream",
            OLD_SWITCH,
            lambda s: _among_neighbours(pieces4(_neighbours4(302) / udp(5001, sport=s.stream.opener) / s.body)),
            frozenset({declare.BEN}),
            declare.ANN,
        ),
        Loss(
            "of an echo request that a rule names",
            OLD_SWITCH,
            lambda s: _among_neighbours(pieces4(_neighbours4(303) / ICMP() / s.body)),
            frozenset({declare.BEN}),
            declare.ANN,
        ),
        Loss(
            "IPv6, of an echo request that a rule names",
            OLD_SWITCH,
            lambda s: _among_neighbours(
                list(
                    pieces6(
                        58,
                        upper(ip6(src=ANN.ip6, dst=BEN.ip6), ICMPv6EchoRequest(data=s.body[:2000])),
                        304,
                        src=ANN.ip6,
                        dst=BEN.ip6,
                    )
                )
            ),
            frozenset({declare.BEN}),
            declare.ANN,
        ),
        Loss(
            "of a TCP service that a rule names",
            OLD_SWITCH,
            lambda s: [
                ether(dst=SERVER.mac) / piece.payload
                for piece in pieces4(ip4(id=305, dst=SERVER.ip4) / tcp(443, sport=4501) / s.body)
            ],
            frozenset({declare.WEB}),
        ),
    ),
)
