"""IPv4 headers, and what follows them, as no honest stack would write them. Evil may send anything to vic."""

from __future__ import annotations

from dataclasses import replace

from scapy.layers.inet import ICMP, IP
from scapy.packet import Packet, Raw

from policy.flows.cookies import Drop
from tests.attack import declare
from tests.attack.declare import VIC, WEB, Attack, Elsewhere, Family, Honest, Limit, Reason
from tests.attack.frames import ether, from_outside, ip4, ip6, tcp, udp
from tests.attack.place import EVIL, OUT
from tests.attack.place import WEB as SERVER

# Where the header cannot be read the switch sees an IPv4 packet from 0.0.0.0.
UNREADABLE = Drop.INVALID


def _header(name: str, wants: str, why: Reason, *headers: Packet) -> Attack:
    return Attack(name, wants, why, lambda s: [ether() / header / udp() / s.mark for header in headers])


def _after(name: str, wants: str, why: Reason, *payloads: Packet) -> Attack:
    return Attack(name, wants, why, lambda s: [ether() / ip4() / payload / s.mark for payload in payloads])


def _option(name: str, wants: str, options: bytes) -> Limit:
    why = "Open vSwitch cannot match IPv4 options: addresses and ports decide. Guests can refuse source routes."
    return Limit(name, wants, why, lambda s: ether() / ip4(options=options) / udp() / s.mark, frozenset({VIC}))


def _denied(name: str, wants: str, options: bytes) -> Attack:
    return Attack(
        name,
        wants,
        Elsewhere.POLICY,
        lambda s: [
            ether(dst=SERVER.mac) / ip4(dst=SERVER.ip4, options=options) / tcp(22) / s.mark,
            ether(dst=SERVER.mac) / ip4(dst=SERVER.ip4, options=options) / udp(443) / s.mark,
        ],
    )


def _route(kind: int) -> bytes:
    """A source route by way of the outside (RFC 791, 3.1), filled up to a multiple of four bytes."""
    return bytes([kind, 7, 4, *map(int, OUT.ip4.split(".")), 0])


LOOSE, STRICT, RECORD, TIMESTAMP, ALERT = 131, 137, 7, 68, 148

FAMILY = Family(
    "ipv4 headers",
    "IPv4 headers, and TCP, UDP and ICMP after them, as no honest stack writes them",
    (
        _header(
            "header length below 20",
            "Have filter and host read the ports at different places.",
            UNREADABLE,
            *(ip4(ihl=words) for words in range(5)),
        ),
        _header(
            "header longer than the packet", "Have the filter read beyond the end.", UNREADABLE, ip4(ihl=15, len=44)
        ),
        _header(
            "total length beyond the frame",
            "Have the filter read beyond the end.",
            UNREADABLE,
            ip4(len=1400),
            ip4(len=65535),
        ),
        _header(
            "total length below the header",
            "Have filter and host disagree on where it ends.",
            UNREADABLE,
            ip4(len=19),
            ip4(len=0),
        ),
        _header(
            "total length hides the ports", "Have the filter see no ports.", Drop.INVALID, ip4(len=20), ip4(len=24)
        ),
        replace(
            _header(
                "wrong header checksum", "Have the filter track what the host drops.", Drop.INVALID, ip4(chksum=0x1234)
            ),
            # Its conntrack does not look at it. The host does.
            passes_on="3.5.0",
        ),
        _after(
            "UDP of a wrong checksum", "Have the filter track what the host drops.", Drop.INVALID, udp(chksum=0x1234)
        ),
        _after(
            "UDP of a wrong length",
            "Have filter and host disagree on where it ends.",
            Drop.INVALID,
            udp(len=4),
            udp(len=1400),
        ),
        _after(
            "UDP to or from port 0",
            "Use a port that filters treat in their own way.",
            Drop.INVALID,
            udp(0),
            udp(sport=0),
        ),
        _after(
            "TCP of a wrong checksum",
            "Reset or fill a connection in the filter alone.",
            Drop.INVALID,
            tcp(chksum=0x1234),
        ),
        _after(
            "TCP header length out of range",
            "Have filter and host read data at different places.",
            Drop.INVALID,
            tcp(dataofs=4),
            tcp(dataofs=15),
        ),
        _after(
            "TCP to or from port 0",
            "Use a port that filters treat in their own way.",
            Drop.INVALID,
            tcp(0),
            tcp(sport=0),
        ),
        _after(
            "ICMP of a wrong checksum", "Have the filter track what the host drops.", Drop.INVALID, ICMP(chksum=0x1234)
        ),
        _after(
            "ICMP types that nobody needs",
            "Learn of the net, or change it.",
            Drop.INVALID,
            *(ICMP(type=kind) for kind in (6, 9, 10, 17, 18, 30, 31, 37, 38, 40, 42, 200)),
        ),
        _after("ICMP request of a wrong code", "Pass a filter that knows code 0.", Drop.INVALID, ICMP(type=8, code=1)),
        _denied("source route to a denied port", "Have the filter read the ports in the options.", _route(LOOSE)),
        Attack(
            "time to live and hop limit 0",
            "Send what no host may send (RFC 1122, 3.2.1.7).",
            Drop.INVALID,
            lambda s: [ether() / ip4(ttl=0) / udp() / s.mark, ether() / ip6(hlim=0) / udp() / s.mark],
        ),
        _denied(
            "strict source route to a denied port", "Have the filter read the ports in the options.", _route(STRICT)
        ),
        _denied("longest options, denied port", "Have the filter give up before the ports.", bytes([1] * 40)),
        Attack(
            "source route past the victim",
            "Have the victim pass it on to somebody else.",
            Drop.NOT_ADDRESSED_HERE,
            lambda s: ether() / ip4(dst=SERVER.ip4, options=_route(LOOSE)) / udp() / s.mark,
        ),
        Attack(
            "IPv4 within IPv4 to a denied guest",
            "Have the guest unpack what the filter did not see.",
            Elsewhere.POLICY,
            lambda s: (
                ether(dst=SERVER.mac) / ip4(dst=SERVER.ip4) / IP(src="10.0.0.21", dst=SERVER.ip4) / tcp(22) / s.mark
            ),
        ),
        Attack(
            "last bytes that no length counts",
            "Carry bytes behind a denied packet.",
            Elsewhere.POLICY,
            lambda s: bytes(ether(dst=SERVER.mac) / ip4(dst=SERVER.ip4) / udp(53)) + s.mark,
        ),
    ),
    (
        Honest("UDP", lambda s: ether() / ip4() / udp() / s.mark, frozenset({VIC})),
        Honest("echo request", lambda s: ether() / ip4() / ICMP() / s.mark, frozenset({VIC})),
        Honest(
            "time to live and hop limit 1",
            lambda s: [ether() / ip4(ttl=1) / udp() / s.mark, ether() / ip6(hlim=1) / udp() / s.mark],
            frozenset({VIC}),
        ),
        Honest("UDP without a checksum", lambda s: ether() / ip4() / udp(chksum=0) / s.mark, frozenset({VIC})),
        Honest(
            "allowed service",
            lambda s: ether(dst=SERVER.mac) / ip4(dst=SERVER.ip4) / tcp(443, sport=4100) / s.mark,
            frozenset({WEB}),
        ),
    ),
    (
        _option("loose source route", "Have answers go by way of the attacker.", _route(LOOSE)),
        _option("strict source route", "Have answers go by way of the attacker.", _route(STRICT)),
        _option("record route", "Learn the way.", bytes([RECORD, 7, 4, 0, 0, 0, 0, 0])),
        _option("router alert", "Have routers take the slow path.", bytes([ALERT, 4, 0, 0])),
        Limit(
            "time to live 0 from outside",
            "Send what no host may send.",
            "Looked at, each of 256 values would take a place of its own in the switch's cache. Guests must take it "
            "(RFC 1122, 3.2.1.7).",
            lambda s: from_outside() / ip4(src=OUT.ip4, ttl=0) / udp() / s.mark,
            frozenset({VIC}),
            declare.OUT,
        ),
        Limit(
            "bytes behind the packet",
            "Carry bytes to the victim that no filter looks at.",
            "Short frames are filled up; a switch passes what fills them on as it is.",
            lambda s: bytes(ether() / ip4() / udp(4003)) + s.mark,
            frozenset({VIC}),
        ),
        Limit(
            "IPv4 of version 6",
            "Have filter and host understand different things.",
            "Open vSwitch does not look at it; it is judged as what the Ethernet type says, and guests drop it.",
            lambda s: ether(type=0x0800) / ip4(version=6) / udp() / s.mark,
            frozenset({VIC}),
        ),
        Limit(
            "IPv4 within IPv4",
            "Carry a forged packet to a victim that unpacks it.",
            "Whoever is allowed every protocol is allowed tunnels; a rule that names services allows none.",
            lambda s: ether() / ip4() / IP(src="10.0.0.21", dst=EVIL.ip4) / Raw(s.mark),
            frozenset({VIC}),
        ),
    ),
)
