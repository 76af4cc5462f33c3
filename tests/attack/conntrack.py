"""Connections that are not: packets without one, into another's, and protocols that conntrack does not follow."""

from __future__ import annotations

from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6DestUnreach, ICMPv6PacketTooBig, ICMPv6ParamProblem, ICMPv6TimeExceeded, IPv6
from scapy.layers.sctp import SCTP, SCTPChunkData
from scapy.packet import Packet, Raw

from policy.flows.cookies import Drop
from tests.attack import declare
from tests.attack.declare import EVIL, OUT, VIC, WEB, Attack, Elsewhere, Family, Honest, Limit, Reason, Scene
from tests.attack.frames import ether, from_outside, ip4, ip6, pieces4, tcp, udp
from tests.attack.place import ANN, BEN
from tests.attack.place import EVIL as SELF
from tests.attack.place import OUT as OUTSIDE
from tests.attack.place import VIC as VICTIM
from tests.attack.place import WEB as SERVER

# Places in the sequence that are far apart: at most one of them can be near what the connection is at.
SEQUENCES = (0x10000000, 0x50000000, 0x90000000, 0xD0000000)
NOT_FOLLOWED = {
    "GRE": 47,
    "ESP": 50,
    "OSPF": 89,
    "VRRP": 112,
    "IGMP": 2,
    "PIM": 103,
    "L2TP": 115,
    "EtherIP": 97,
    "IPv6 in IPv4": 41,
    "DCCP": 33,
    "RSVP": 46,
    "EGP": 8,
    "a number of nobody's": 253,
}


def _to_web(
    name: str, wants: str, *flags: str, port: int = 22, why: Reason = Elsewhere.POLICY, source: int = 4300
) -> Attack:
    return Attack(
        name,
        wants,
        why,
        lambda s: [
            head / tcp(port, flag, sport=source) / s.mark
            for flag in flags
            for head in (ether(dst=SERVER.mac) / ip4(dst=SERVER.ip4), ether(dst=SERVER.mac) / ip6(dst=SERVER.ip6))
        ],
    )


def _flags(name: str, wants: str, *flags: str) -> Attack:
    """Flags that no packet of a connection has, to the victim that allows everything."""
    return Attack(
        name,
        wants,
        Drop.INVALID,
        lambda s: [head / tcp(4300, flag) / s.mark for flag in flags for head in (ether() / ip4(), ether() / ip6())],
    )


def _errors(quoted: Packet) -> list[Packet]:
    """ICMP errors about a packet: unreachable in all ways, too big, redirect, source quench, and others."""
    unreachable = [ICMP(type=3, code=code) for code in (0, 1, 2, 3, 9, 10, 13)]
    others = [
        ICMP(type=3, code=4, nexthopmtu=68),
        ICMP(type=5, code=1, gw=SELF.ip4),
        ICMP(type=4),
        ICMP(type=11),
        ICMP(type=12),
    ]
    return [head / quoted for head in (*unreachable, *others)]


def _errors6(quoted: Packet) -> list[Packet]:
    return [
        head / quoted
        for head in (
            ICMPv6DestUnreach(code=4),
            ICMPv6PacketTooBig(mtu=1280),
            ICMPv6TimeExceeded(),
            ICMPv6ParamProblem(),
        )
    ]


def _own(s: Scene) -> Packet:
    """A packet of web's in evil's own connection to it."""
    return IP(src=SERVER.ip4, dst=SELF.ip4) / TCP(sport=s.own.service, dport=s.own.opener, flags="A") / s.mark


def _about_own(s: Scene, *errors: Packet) -> list[Packet]:
    return [ether(dst=SERVER.mac) / ip4(dst=SERVER.ip4) / error / _own(s) for error in errors]


def _believed_errors(quoted: Packet) -> list[Packet]:
    """Those of the errors that a host still believes: neither redirect nor source quench."""
    return [error for error in _errors(quoted) if error[ICMP].type not in (4, 5)]


def _about_stream(s: Scene) -> Packet:
    return IP(src=ANN.ip4, dst=BEN.ip4) / UDP(sport=s.stream.opener, dport=s.stream.service) / s.mark


def _about_link(s: Scene) -> Packet:
    return (
        IP(src=ANN.ip4, dst=BEN.ip4)
        / TCP(sport=s.neighbours.opener, dport=s.neighbours.service, seq=SEQUENCES[0])
        / s.mark
    )


def _into_link(s: Scene, head: Packet, *flags: str) -> list[Packet]:
    """Segments into the neighbours' connection, as if from ann."""
    return [
        head
        / IP(src=ANN.ip4, dst=BEN.ip4)
        / TCP(sport=s.neighbours.opener, dport=s.neighbours.service, flags=flag, seq=seq, ack=seq)
        / s.mark
        for flag in flags
        for seq in SEQUENCES
    ]


FAMILY = Family(
    "conntrack",
    "packets without a connection, packets into another's, and protocols that conntrack does not follow",
    (
        _flags("SYN and ACK first", "Open by answering what nobody asked.", "SA"),
        _flags("FIN scan", "Learn of open ports without opening.", "F"),
        _flags("null scan", "Learn of open ports without opening.", ""),
        _flags("Christmas tree scan", "Learn of open ports without opening.", "FPU"),
        _flags(
            "contradictory flags", "Have filter and host understand different things.", "SF", "SR", "SFRPAU", "FR", "PU"
        ),
        _to_web("SYN scan", "Learn of open ports.", "S", "SEC"),
        _to_web("ACK scan", "Learn what the filter lets through.", "A", "PA"),
        _to_web("RST, FIN with ACK first", "Pass as the end of a connection.", "R", "RA", "FA"),
        _to_web("SYN and ACK first, from an allowed port", "Pass as an answer.", "SA", source=443, why=Drop.INVALID),
        _to_web("from port 443, 53 and 20", "Pass a filter that reads the wrong end.", "S", "A", source=443),
        Attack(
            "simultaneous open",
            "Open towards a closed port by crossing its own opening.",
            Elsewhere.POLICY,
            lambda s: [
                ether(dst=SERVER.mac) / ip4(dst=SERVER.ip4) / tcp(4301, sport=4302) / s.mark,
                ether(dst=SERVER.mac) / ip4(dst=SERVER.ip4) / tcp(4301, "A", sport=4302) / s.mark,
            ],
        ),
        Attack(
            "simultaneous open, the other half",
            "Have the victim's own opening cross.",
            Elsewhere.POLICY,
            lambda s: (
                ether(src=SERVER.mac, dst=SELF.mac) / ip4(src=SERVER.ip4, dst=SELF.ip4) / tcp(4302, sport=4301) / s.mark
            ),
            frozenset({EVIL, VIC, OUT}),
            WEB,
        ),
        Attack(
            "UDP answer that nobody asked for",
            "Pass as an answer.",
            Elsewhere.POLICY,
            lambda s: [
                ether(dst=SERVER.mac) / ip4(dst=SERVER.ip4) / udp(4303, sport=53) / s.mark,
                ether(dst=SERVER.mac) / ip6(dst=SERVER.ip6) / udp(4303, sport=123) / s.mark,
            ],
        ),
        Attack(
            "echo reply that nobody asked for",
            "Carry data out in answers.",
            Drop.INVALID,
            lambda s: ether() / ip4() / ICMP(type=0) / s.mark,
        ),
        Attack(
            "data far outside of the window",
            "Have data accepted that was never sent.",
            Drop.INVALID,
            lambda s: [
                ether(dst=SERVER.mac)
                / ip4(dst=SERVER.ip4)
                / TCP(sport=s.own.opener, dport=s.own.service, flags="PA", seq=seq, ack=seq ^ 0xFFFFFFFF)
                / s.mark
                for seq in SEQUENCES
            ],
        ),
        Attack(
            "RST into the neighbours' connection",
            "Cut it.",
            Drop.SPOOFED_SOURCE,
            lambda s: _into_link(s, ether(dst=BEN.mac), "R", "RA"),
        ),
        Attack(
            "RST into the neighbours' connection, with the neighbour's MAC",
            "Cut it.",
            Drop.UNKNOWN_PORT_OR_MAC,
            lambda s: _into_link(s, ether(src=ANN.mac, dst=BEN.mac), "R", "RA"),
        ),
        Attack(
            "RST into the neighbours' connection, as itself",
            "Cut it.",
            Elsewhere.POLICY,
            lambda s: [
                ether(dst=BEN.mac)
                / ip4(dst=BEN.ip4)
                / TCP(sport=s.neighbours.opener, dport=s.neighbours.service, flags=flag)
                / s.mark
                for flag in ("R", "RA")
            ],
        ),
        Attack(
            "errors about no connection",
            "Slow down, turn or cut a connection.",
            Drop.INVALID,
            lambda s: [
                ether() / ip4() / error
                for error in _errors(IP(src=VICTIM.ip4, dst=SELF.ip4) / UDP(sport=9, dport=9) / s.mark)
            ],
        ),
        Attack(
            "ICMPv6 errors about no connection",
            "Slow down or cut a connection.",
            Drop.INVALID,
            lambda s: [
                ether() / ip6() / error
                for error in _errors6(IPv6(src=VICTIM.ip6, dst=SELF.ip6) / UDP(sport=9, dport=9) / s.mark)
            ],
        ),
        Attack(
            "redirect about its own connection",
            "Become the router for its peer.",
            Drop.ROUTER_ADVERTISEMENT,
            lambda s: _about_own(s, ICMP(type=5, code=1, gw=SELF.ip4), ICMP(type=5, code=0, gw=SELF.ip4)),
        ),
        Attack(
            "source quench about its own connection",
            "Slow its peer down (RFC 6633).",
            Drop.NO_PASSAGE,
            lambda s: _about_own(s, ICMP(type=4)),
        ),
        Attack(
            "redirect about its own connection, in fragments",
            "Have the filter see no type.",
            Drop.INVALID,
            lambda s: [
                ether(dst=SERVER.mac) / piece.payload
                for piece in pieces4(ip4(id=401, dst=SERVER.ip4) / ICMP(type=5, gw=SELF.ip4) / _own(s) / s.body)
            ],
        ),
        Attack(
            "errors about the neighbours' stream, to the sender",
            "Cut it.",
            Drop.FORGED_ERROR,
            lambda s: [ether(dst=ANN.mac) / ip4(dst=ANN.ip4) / error for error in _believed_errors(_about_stream(s))],
        ),
        Attack(
            "errors about the neighbours' connection, to the sender",
            "Cut it, or have it send small packets.",
            Drop.FORGED_ERROR,
            lambda s: [ether(dst=ANN.mac) / ip4(dst=ANN.ip4) / error for error in _believed_errors(_about_link(s))],
        ),
        Attack(
            "redirect about the neighbours' stream, to the sender",
            "Become the router for it.",
            Drop.ROUTER_ADVERTISEMENT,
            lambda s: ether(dst=ANN.mac) / ip4(dst=ANN.ip4) / ICMP(type=5, code=1, gw=SELF.ip4) / _about_stream(s),
        ),
        Attack(
            "errors about the neighbours' stream, from outside, by who knows its ports",
            "Slow it down.",
            Drop.INVALID,
            lambda s: (
                from_outside(dst=ANN.mac)
                / ip4(src=OUTSIDE.ip4, dst=ANN.ip4)
                / ICMP(type=3, code=4, nexthopmtu=1400)
                / _about_stream(s)
            ),
            declare.GUESTS,
            OUT,
        ),
        Attack(
            "errors about the neighbours' connection, as the receiver",
            "Cut it.",
            Drop.SPOOFED_SOURCE,
            lambda s: [ether(dst=ANN.mac) / ip4(src=BEN.ip4, dst=ANN.ip4) / error for error in _errors(_about_link(s))],
        ),
        Attack(
            "errors that quote nothing",
            "Have the filter read beyond the end.",
            Drop.INVALID,
            lambda s: [
                ether() / ip4() / ICMP(type=3, code=3) / s.mark,
                ether() / ip6() / ICMPv6PacketTooBig() / s.mark,
            ],
        ),
        *(
            Attack(
                f"{name} to a guest that allows tcp/443",
                "Talk by a protocol that the filter does not follow.",
                Elsewhere.POLICY,
                lambda s, number=number: ether(dst=SERVER.mac) / ip4(dst=SERVER.ip4, proto=number) / Raw(s.mark * 2),
            )
            for name, number in NOT_FOLLOWED.items()
        ),
        Attack(
            "UDP-Lite to a guest that allows tcp/443",
            "Talk by a protocol that the filter does not follow.",
            Elsewhere.POLICY,
            lambda s: ether(dst=SERVER.mac) / ip4(dst=SERVER.ip4, proto=136) / Raw(s.mark * 2),
        ),
        Attack(
            "SCTP to a guest that allows tcp/443",
            "Talk by a protocol that filters forget.",
            Elsewhere.POLICY,
            lambda s: [
                ether(dst=SERVER.mac) / ip4(dst=SERVER.ip4) / SCTP(sport=4304, dport=443) / SCTPChunkData(data=s.mark),
                ether(dst=SERVER.mac) / ip6(dst=SERVER.ip6) / SCTP(sport=4304, dport=443) / SCTPChunkData(data=s.mark),
            ],
        ),
        Attack(
            "UDP and ICMP to a guest that allows tcp/443",
            "Reach the same port by another protocol.",
            Elsewhere.POLICY,
            lambda s: [
                ether(dst=SERVER.mac) / ip4(dst=SERVER.ip4) / udp(443) / s.mark,
                ether(dst=SERVER.mac) / ip4(dst=SERVER.ip4) / ICMP() / s.mark,
            ],
        ),
    ),
    (
        Honest(
            "SYN to the allowed port",
            lambda s: ether(dst=SERVER.mac) / ip4(dst=SERVER.ip4) / tcp(443, sport=4305) / s.mark,
            frozenset({WEB}),
        ),
        Honest(
            "IPv6 SYN to the allowed port",
            lambda s: ether(dst=SERVER.mac) / ip6(dst=SERVER.ip6) / tcp(443, sport=4306) / s.mark,
            frozenset({WEB}),
        ),
        Honest("GRE to who allows everything", lambda s: ether() / ip4(proto=47) / Raw(s.mark), frozenset({VIC})),
        Honest("ESP to who allows everything", lambda s: ether() / ip6(nh=50) / Raw(s.mark), frozenset({VIC})),
        Honest(
            "SCTP to who allows everything",
            lambda s: ether() / ip4() / SCTP(sport=4307, dport=9) / SCTPChunkData(data=s.mark),
            frozenset({VIC}),
        ),
    ),
    (
        Limit(
            "RST into the neighbours' connection, from outside, by who knows its ports",
            "Cut it.",
            "Addresses of the outside are taken as they come. The receiver's TCP refuses what is out of sequence (RFC 5961).",
            lambda s: _into_link(s, from_outside(dst=BEN.mac), "R")[:1],
            frozenset({declare.BEN}),
            OUT,
        ),
    ),
)
