"""IPv6 headers and extension headers as no honest stack would write them. Evil may send anything to vic."""

from __future__ import annotations

from scapy.layers.inet import TCP
from scapy.layers.inet6 import ICMPv6EchoRequest
from scapy.packet import Packet, Raw

from policy.flows.cookies import Drop
from tests.attack.declare import VIC, WEB, Attack, Elsewhere, Family, Honest, Limit, Reason
from tests.attack.frames import ether, headers6, ip6, piece6, tcp, udp, upper
from tests.attack.place import ANN
from tests.attack.place import WEB as SERVER

HOP, ROUTING, DESTINATION, AUTHENTICATION, MOBILITY, NONE = 0, 43, 60, 51, 135, 59
TCP_PROTOCOL, UDP_PROTOCOL = 6, 17
UNREADABLE = Drop.INVALID
# A routing header of type 0 by way of ann (RFC 5095 forbids it), and the same of types 2 and 4.
ROUTES = {
    kind: bytes([UDP_PROTOCOL, 2, kind, 1, 0, 0, 0, 0]) + bytes.fromhex("20010db8" + "00" * 11 + "15")
    for kind in (0, 2, 4)
}


def _to_web(first: int, chain: bytes, payload: Packet, mark: bytes) -> Packet:
    head = ip6(dst=SERVER.ip6)
    return ether(dst=SERVER.mac) / ip6(dst=SERVER.ip6, nh=first) / Raw(chain + upper(head, payload / mark))


def _to_victim(first: int, chain: bytes, payload: Packet, mark: bytes) -> Packet:
    return ether() / ip6(nh=first) / Raw(chain + upper(ip6(), payload / mark))


def _hidden(name: str, wants: str, *protocols: int, size: int = 8) -> Attack:
    """A denied port behind extension headers."""
    return Attack(
        name,
        wants,
        Elsewhere.POLICY,
        lambda s: [
            _to_web(protocols[0], headers6(protocols, TCP_PROTOCOL, size), tcp(22), s.mark),
            _to_web(protocols[0], headers6(protocols, UDP_PROTOCOL, size), udp(443), s.mark),
        ],
    )


def _raw(name: str, wants: str, why: Reason, first: int, data: bytes, **head: object) -> Attack:
    return Attack(name, wants, why, lambda s: ether() / ip6(nh=first, **head) / Raw(data + s.mark))


def _limit(name: str, wants: str, first: int, chain: bytes) -> Limit:
    why = "Open vSwitch cannot match extension headers: what follows them decides. RFC 5095 has guests refuse type 0."
    return Limit(name, wants, why, lambda s: _to_victim(first, chain, udp(), s.mark), frozenset({VIC}))


FAMILY = Family(
    "ipv6 headers",
    "IPv6 headers and extension headers as no honest stack writes them",
    (
        _hidden("denied port behind hop-by-hop options", "Have the filter see another protocol.", HOP),
        _hidden("denied port behind destination options", "Have the filter see another protocol.", DESTINATION),
        _hidden("denied port behind long options", "Have the filter give up before the ports.", DESTINATION, size=1024),
        _hidden("denied port behind a long chain", "Have the filter give up before the ports.", *[DESTINATION] * 40),
        _hidden(
            "denied port behind options in a wrong order",
            "Have the filter see another protocol.",
            DESTINATION,
            HOP,
            DESTINATION,
            HOP,
        ),
        Attack(
            "denied port behind a routing header",
            "Have the filter see another protocol.",
            Elsewhere.POLICY,
            lambda s: [_to_web(ROUTING, chain, udp(443), s.mark) for chain in ROUTES.values()],
        ),
        Attack(
            "denied port behind an authentication header",
            "Have the filter see another protocol.",
            Elsewhere.POLICY,
            lambda s: _to_web(AUTHENTICATION, bytes([TCP_PROTOCOL, 4]) + bytes(22), tcp(22), s.mark),
        ),
        Attack(
            "denied port in a lone fragment",
            "Have the filter see a fragment only (RFC 6946).",
            Elsewhere.POLICY,
            lambda s: (
                ether(dst=SERVER.mac)
                / piece6(
                    upper(ip6(dst=SERVER.ip6), tcp(22) / s.mark), 0, False, 77, TCP_PROTOCOL, dst=SERVER.ip6
                ).payload
            ),
        ),
        Attack(
            "routing header past the victim",
            "Have the victim pass it on to somebody else (RFC 5095).",
            Drop.NOT_ADDRESSED_HERE,
            lambda s: ether() / ip6(nh=ROUTING, dst=ANN.ip6) / Raw(ROUTES[0] + upper(ip6(dst=ANN.ip6), udp() / s.mark)),
        ),
        _raw(
            "extension header cut short",
            "Have the filter read beyond the end.",
            Drop.INVALID,
            DESTINATION,
            bytes([UDP_PROTOCOL, 200]) + bytes(6),
        ),
        _raw(
            "hop-by-hop options cut short",
            "Have the filter read beyond the end.",
            Drop.INVALID,
            HOP,
            bytes([UDP_PROTOCOL, 255]) + bytes(6),
        ),
        _raw(
            "routing header cut short",
            "Have the filter read beyond the end.",
            Drop.INVALID,
            ROUTING,
            bytes([UDP_PROTOCOL, 100, 0, 1]) + bytes(4),
        ),
        _raw(
            "payload longer than the frame",
            "Have the filter read beyond the end.",
            UNREADABLE,
            UDP_PROTOCOL,
            bytes(udp()),
            plen=1200,
        ),
        _raw(
            "payload length hides the ports",
            "Have the filter see no ports.",
            Drop.INVALID,
            UDP_PROTOCOL,
            bytes(udp()),
            plen=2,
        ),
        _raw(
            "jumbogram",
            "Have filter and host disagree on where it ends (RFC 2675).",
            Drop.INVALID,
            HOP,
            bytes([UDP_PROTOCOL, 0, 0xC2, 4, 0, 1, 0, 0]) + bytes(udp()),
            plen=0,
        ),
        _raw(
            "UDP without a checksum",
            "Have the filter track what the host drops (RFC 8200, 8.1).",
            Drop.INVALID,
            UDP_PROTOCOL,
            bytes(udp(chksum=0, len=24)),
        ),
        Attack(
            "TCP of a wrong checksum",
            "Reset or fill a connection in the filter alone.",
            Drop.INVALID,
            lambda s: ether() / ip6() / TCP(sport=4002, dport=4000, chksum=0x1234) / s.mark,
        ),
        Attack(
            "ICMPv6 of a wrong checksum",
            "Have the filter track what the host drops.",
            Drop.INVALID,
            lambda s: ether() / ip6() / ICMPv6EchoRequest(cksum=0x1234, data=s.mark),
        ),
        Attack(
            "unknown protocols to a guest that allows one service",
            "Find one that the filter forgets.",
            Elsewhere.POLICY,
            lambda s: [
                ether(dst=SERVER.mac) / ip6(dst=SERVER.ip6, nh=protocol) / Raw(s.mark * 2)
                for protocol in (4, 41, NONE, MOBILITY, 136, 137, 139, 140, 143, 200, 253, 254, 255)
            ],
        ),
    ),
    (
        Honest("UDP", lambda s: ether() / ip6() / udp() / s.mark, frozenset({VIC})),
        Honest(
            "UDP behind destination options",
            lambda s: _to_victim(DESTINATION, headers6([DESTINATION], UDP_PROTOCOL), udp(), s.mark),
            frozenset({VIC}),
        ),
        Honest(
            "allowed service behind hop-by-hop options",
            lambda s: _to_web(HOP, headers6([HOP], TCP_PROTOCOL), tcp(443, sport=4101), s.mark),
            frozenset({WEB}),
        ),
        Honest("echo request", lambda s: ether() / ip6() / ICMPv6EchoRequest(data=s.mark), frozenset({VIC})),
    ),
    (
        _limit("routing header 0", "Have the packet go on from the victim (RFC 5095).", ROUTING, ROUTES[0]),
        _limit("routing header 4", "Have the packet go on from the victim.", ROUTING, ROUTES[4]),
        Limit(
            "IPv6 of version 4",
            "Have filter and host understand different things.",
            "Open vSwitch does not look at it; it is judged as what the Ethernet type says, and guests drop it.",
            lambda s: ether(type=0x86DD) / ip6(version=4) / udp() / s.mark,
            frozenset({VIC}),
        ),
        _limit(
            "home address option",
            "Have the victim take it for somebody else's (RFC 6275, 6.3).",
            DESTINATION,
            bytes([UDP_PROTOCOL, 2, 1, 2, 0, 0, 201, 16]) + bytes.fromhex("20010db8" + "00" * 11 + "15"),
        ),
        _limit(
            "unknown option that is to be answered",
            "Have everybody answer (RFC 8200, 4.2).",
            DESTINATION,
            bytes([UDP_PROTOCOL, 0, 0x80 | 30, 4]) + bytes(4),
        ),
    ),
)
