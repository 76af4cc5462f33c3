"""The switch's cache must not grow with what a guest sends: one entry is to cover many packets.

What stays is listed in `GROWING`: decisions on a whole MAC or on a claimed address are cached for just that value.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address, IPv6Address

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6NDOptSrcLLAddr, IPv6
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.packet import Raw

from tests.flows.real import Real
from tests.flows.worlds import OUTSIDE, World, cidrs, document, policy, rule, who

ME, PEER, FAR, OUT = "52:54:00:00:00:01", "52:54:00:00:00:02", "02:00:00:00:00:01", "02:00:00:00:00:ff"
PACKETS = 300
POLICY = document(
    policy(
        "shop",
        rule("allow", "tcp/80 tcp/8000-8100 udp/53 icmp/echo", (who("role == web"),), None),
        rule("deny", "tcp/22"),
        rule("allow", "tcp/1024-65535", (cidrs("10.0.0.0/8", "2001:db8::/32"),), None),
    )
)

chance = random.Random(1)


def port() -> int:
    return chance.randrange(65536)


def host4() -> str:
    return str(IPv4Address(chance.randrange(1 << 24, 0xE0 << 24)))


def host6() -> str:
    return str(IPv6Address(0x2 << 124 | chance.getrandbits(124)))


def nic() -> str:
    return f"52:54:00:{chance.randrange(256):02x}:{chance.randrange(256):02x}:{chance.randrange(256):02x}"


def mine(destination: str = PEER, source: str = ME) -> Ether:
    return Ether(src=source, dst=destination)


def v4(**more: object) -> IP:
    return IP(**({"src": "10.0.0.1", "dst": "10.0.0.2"} | more))


def v6(**more: object) -> IPv6:
    return IPv6(**({"src": "2001:db8::1", "dst": "2001:db8::2"} | more))


COVERED: dict[str, Callable[[], Ether]] = {
    "TCP to all ports": lambda: mine() / v4() / TCP(sport=50000, dport=port()),
    "TCP from and to all ports": lambda: mine() / v4() / TCP(sport=port(), dport=port()),
    "TCP amid connections": lambda: mine() / v4() / TCP(sport=port(), dport=port(), flags="A"),
    "UDP over IPv6": lambda: mine() / v6() / UDP(sport=port(), dport=port()),
    "to all of IPv4": lambda: mine(FAR) / v4(dst=host4()) / TCP(dport=80),
    "to all of IPv6": lambda: mine(FAR) / v6(dst=host6()) / TCP(dport=80),
    "forged IPv4 sources": lambda: mine() / v4(src=host4()) / TCP(dport=80),
    "forged IPv6 sources": lambda: mine() / v6(src=host6()) / TCP(dport=80),
    "ICMP of all types": lambda: mine() / v4() / ICMP(type=chance.randrange(256), code=chance.randrange(256)),
    "ARP for everybody": lambda: mine() / ARP(hwsrc=ME, psrc="10.0.0.1", pdst=host4()),
    "solicitations of everybody": lambda: (
        mine() / v6(hlim=255) / ICMPv6ND_NS(tgt=host6()) / ICMPv6NDOptSrcLLAddr(lladdr=ME)
    ),
    "solicitations without a MAC": lambda: mine() / v6(hlim=255) / ICMPv6ND_NS(tgt=host6()),
}  # fmt: skip

GROWING: dict[str, Callable[[], Ether]] = {
    "all hop limits": lambda: mine() / v6(hlim=chance.randrange(256)) / UDP(),
    "forged source MACs": lambda: mine(source=nic()) / v4() / UDP(),
    "unknown destination MACs": lambda: mine(nic()) / v4() / UDP(dport=53),
    "forged ARP claims": lambda: mine() / ARP(hwsrc=ME, psrc=host4()),
    "ARP probes for everybody": lambda: mine() / ARP(hwsrc=ME, psrc="0.0.0.0", pdst=host4()),
    "forged advertisements": lambda: mine() / v6(hlim=255) / ICMPv6ND_NA(tgt=host6()),
    "forged link-layer addresses": lambda: (
        mine() / v6(hlim=255) / ICMPv6ND_NS(tgt="2001:db8::2") / ICMPv6NDOptSrcLLAddr(lladdr=nic())
    ),
}

FROM_OUTSIDE: dict[str, Callable[[], Ether]] = {
    "all hop limits": lambda: (
        Ether(src=OUT, dst=ME) / Dot1Q(vlan=10) / v6(src=host6(), dst="2001:db8::1", hlim=chance.randrange(256)) / UDP()
    ),
    "all of IPv4": lambda: (
        Ether(src=OUT, dst=ME) / Dot1Q(vlan=10) / v4(src=host4(), dst="10.0.0.1") / TCP(dport=port())
    ),
    "all of IPv6": lambda: (
        Ether(src=OUT, dst=ME) / Dot1Q(vlan=10) / v6(src=host6(), dst="2001:db8::1") / TCP(dport=port())
    ),
}


@pytest.fixture(scope="module")
def real() -> Iterator[Real]:
    switch = Real()
    switch.install(World(POLICY).tables)
    yield switch
    switch.stop()


def entries(real: Real, make: Callable[[], Ether], into: int = 11) -> int:
    """How many entries the cache has after that many packets."""
    real.forget()
    frames = [bytes(make() / Raw(b"x")) for _ in range(PACKETS)]
    for start in range(0, PACKETS, 50):
        real.send("left", into, *frames[start : start + 50])
    return real.control("dpctl/dump-flows").count("actions:")


@pytest.mark.parametrize("name", COVERED)
def test_few_entries_cover_what_a_guest_sends(real, name):
    assert entries(real, COVERED[name]) <= 60


@pytest.mark.parametrize("name", FROM_OUTSIDE)
def test_few_entries_cover_what_the_outside_sends(real, name):
    assert entries(real, FROM_OUTSIDE[name], into=OUTSIDE) <= 60


@pytest.mark.parametrize("name", GROWING)
def test_known_to_grow_but_by_one_entry_for_each_look_at_a_packet(real, name):
    """Before conntrack and, for what passes, after it: there the next bridge looks at the MAC again."""
    looks = 2 if name == "unknown destination MACs" else 1
    assert entries(real, GROWING[name]) <= looks * PACKETS + 60
