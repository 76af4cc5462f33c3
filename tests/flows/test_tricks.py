"""What a guest, or the outside, may try: frames as bytes into a real switch, and where they come out.

Under "allow any" everything passes that a policy can allow, so what does not has been stopped by the guards. Under an
empty policy nothing may pass but the built-in rules.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import pytest
from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.inet import ICMP, IP, TCP, UDP, fragment
from scapy.layers.inet6 import (
    ICMPv6EchoRequest,
    ICMPv6MLQuery,
    ICMPv6MLReport2,
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6ND_RA,
    ICMPv6ND_RS,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptSrcLLAddr,
    IPv6,
    IPv6ExtHdrHopByHop,
    RouterAlert,
)
from scapy.layers.l2 import ARP, LLC, SNAP, Dot1Q, Dot3, Ether
from scapy.packet import Raw

from tests.flows.real import Real
from tests.flows.worlds import OUTSIDE, PLACES, World, document, policy, rule, who

ME, PEER, ALL = "52:54:00:00:00:01", "52:54:00:00:00:02", "ff:ff:ff:ff:ff:ff"
MY_LINK_LOCAL, MY4, PEER4, MY6, PEER6 = "fe80::5054:ff:fe00:1", "10.0.0.1", "10.0.0.2", "2001:db8::1", "2001:db8::2"
OUT = "02:00:00:00:00:ff"
# Where the outside is, and those that nobody firewalls; and all others of web-1's network.
BEYOND = {("left", OUTSIDE)} | {("left", n) for n, found in PLACES["left"].items() if found.trusted}
GUARDED = {("left", 12), ("left", 13), ("right", 11), ("right", 12)}
OPEN = (rule("allow", "any"),)
EVERYTHING, NOTHING = document(policy("all", *OPEN)), document()


@pytest.fixture(scope="module")
def real() -> Iterator[Real]:
    switch = Real()
    yield switch
    switch.stop()


def came_out(real: Real, policy_document, *frames: bytes, into: int = 11) -> set[tuple[str, int]]:
    """The ports by which anything came out."""
    real.install(World(policy_document).tables)
    real.forget()
    return set(real.send("left", into, *map(bytes, frames)))


def ether(**more: str) -> Ether:
    return Ether(**({"src": ME, "dst": PEER} | more))


def v4(**more: object) -> IP:
    return IP(**({"src": MY4, "dst": PEER4} | more))


def v6(**more: object) -> IPv6:
    return IPv6(**({"src": MY6, "dst": PEER6, "hlim": 255} | more))


UDP56 = UDP(sport=5, dport=6) / b"x"
DHCP_OFFER = UDP(sport=67, dport=68) / BOOTP(op=2) / DHCP(options=[("message-type", "offer"), "end"])
SOLICIT, ADVERTISE = ICMPv6ND_NS(tgt=PEER6), ICMPv6ND_NA(tgt=MY6)
FOREIGN_SOURCE, FOREIGN_TARGET = ICMPv6NDOptSrcLLAddr(lladdr=PEER), ICMPv6NDOptDstLLAddr(lladdr=PEER)

STOPPED = {
    "foreign source MAC": ether(src=PEER) / v4() / UDP56,
    "foreign IPv4 source": ether() / v4(src="10.0.0.3") / UDP56,
    "foreign IPv6 source": ether() / v6(src="2001:db8::3") / UDP56,
    "foreign link-local source": ether() / v6(src="fe80::1") / UDP56,
    "own link-local source, no control protocol": ether() / v6(src=MY_LINK_LOCAL) / UDP56,
    "IPv4 source nobody": ether() / v4(src="0.0.0.0") / UDP56,
    "IPv6 source nobody": ether() / v6(src="::") / UDP56,
    "loopback source": ether() / v4(src="127.0.0.1") / UDP56,
    "source of another scope": ether() / v4(src="10.0.0.7") / UDP56,
    "VLAN tag, the own network's": ether() / Dot1Q(vlan=10) / v4() / UDP56,
    "VLAN tag, another's": ether() / Dot1Q(vlan=30) / v4() / UDP56,
    "priority tag": ether() / Dot1Q(vlan=0) / v4() / UDP56,
    "two VLAN tags": ether() / Dot1Q(vlan=10) / Dot1Q(vlan=30) / v4() / UDP56,
    "ARP claim of a foreign address": ether(dst=ALL) / ARP(op=2, hwsrc=ME, psrc=PEER4, pdst="10.0.0.3"),
    "ARP claim of a foreign MAC": ether(dst=ALL) / ARP(op=2, hwsrc=PEER, psrc=MY4, pdst="10.0.0.3"),
    "ARP probe for a foreign address": ether(dst=ALL) / ARP(op=1, hwsrc=ME, psrc="0.0.0.0", pdst=PEER4),
    "ARP answer from 0.0.0.0": ether(dst=ALL) / ARP(op=2, hwsrc=ME, psrc="0.0.0.0", pdst=MY4),
    "RARP": ether(dst=ALL, type=0x8035) / Raw(bytes(ARP(op=3))),
    "neither ARP nor IP": ether(type=0x88CC) / Raw(bytes(50)),
    "spanning tree": Dot3(src=ME, dst="01:80:c2:00:00:00") / LLC(dsap=0x42, ssap=0x42, ctrl=3) / Raw(bytes(40)),
    "IPv4 in SNAP, foreign source": Dot3(src=ME, dst=PEER) / LLC(dsap=0xAA, ssap=0xAA, ctrl=3) / SNAP(OUI=0, code=0x800)
    / v4(src="10.0.0.3") / UDP56,
    "router advertisement": ether() / v6() / ICMPv6ND_RA(),
    "router advertisement after options": ether() / v6() / IPv6ExtHdrHopByHop() / ICMPv6ND_RA(),
    "router solicitation to a far host": ether() / v6(dst="2001:db8:9::1") / ICMPv6ND_RS(),
    "listener report to a far host": ether(dst=OUT) / v6(dst="2001:db8:9::1") / ICMPv6MLReport2(),
    "redirect": ether() / v6(nh=58) / Raw(bytes([137, 0, 0, 0]) + bytes(36)),
    "listener query": ether() / v6(nh=58) / Raw(bytes([130, 0, 0, 0]) + bytes(20)),
    "advertisement of a foreign target": ether() / v6() / ICMPv6ND_NA(tgt="2001:db8::3"),
    "advertisement of a foreign MAC": ether() / v6() / ADVERTISE / FOREIGN_TARGET,
    "advertisement with two options": ether() / v6() / ADVERTISE / FOREIGN_TARGET / FOREIGN_TARGET,
    "solicitation with a foreign MAC": ether() / v6() / SOLICIT / FOREIGN_SOURCE,
    "solicitation with two options": ether() / v6() / SOLICIT / FOREIGN_SOURCE / FOREIGN_SOURCE,
    "solicitation without option": ether() / v6() / SOLICIT,
    "solicitation with a long option": ether() / v6() / SOLICIT / Raw(bytes([1, 2]) + bytes(14)),
    "advertisement to many without option": ether(dst="33:33:00:00:00:01") / v6(dst="ff02::1") / ADVERTISE,
    "advertisement to the group in a unicast frame, without option": ether() / v6(dst="ff02::1") / ADVERTISE,
    "advertisement to many with an option of length 0": (
        ether(dst="33:33:00:00:00:01") / v6(dst="ff02::1") / ADVERTISE / Raw(bytes(8))
    ),
    "detection of a foreign address": ether() / v6(src="::") / ICMPv6ND_NS(tgt="2001:db8::3"),
    "DHCP server": ether() / v4() / DHCP_OFFER,
    "DHCPv6 server": ether() / v6() / UDP(sport=547, dport=546) / b"x",
    "unicast MAC, multicast address": ether() / v4(dst="224.0.0.5") / UDP56,
    "unicast MAC, broadcast address": ether() / v4(dst="255.255.255.255") / UDP56,
    "unicast MAC, another's address": ether() / v4(dst="10.0.0.3") / UDP56,
    "TCP: SYN and ACK open nothing": ether() / v4() / TCP(flags="SA", dport=80),
    "ICMP: a reply opens nothing": ether() / v4() / ICMP(type=0),
    "ICMP: an error about nothing": ether() / v4() / ICMP(type=3, code=3) / IP(src=PEER4, dst=MY4) / UDP56,
    "IPv6 headers cut short": ether() / v6(nh=60) / Raw(bytes([58, 200]) + bytes(40)),
}  # fmt: skip


@pytest.mark.parametrize("name", STOPPED)
def test_a_guest_cannot(real, name):
    assert came_out(real, EVERYTHING, STOPPED[name]) == set()


CONTROL = {
    "DHCP client": ether(dst=ALL) / IP(src="0.0.0.0", dst="255.255.255.255") / UDP(sport=68, dport=67) / BOOTP(),
    "router solicitation": ether(dst="33:33:00:00:00:02") / v6(src=MY_LINK_LOCAL, dst="ff02::2") / ICMPv6ND_RS(),
    "listener report": ether(dst="33:33:00:00:00:16") / v6(src=MY_LINK_LOCAL, dst="ff02::16") / ICMPv6MLReport2(),
}


THEIRS = "fe80::5054:ff:fe00:2"
IN_ANOTHERS_NAME = {
    "DHCP client": ether(dst=ALL) / v4(src=PEER4, dst="255.255.255.255") / UDP(sport=68, dport=67) / BOOTP(),
    "DHCPv6 client": ether(dst="33:33:00:01:00:02") / v6(src=THEIRS, dst="ff02::1:2") / UDP(sport=546, dport=547),
    "router solicitation": ether(dst="33:33:00:00:00:02") / v6(src=THEIRS, dst="ff02::2") / ICMPv6ND_RS(),
    "listener report": ether(dst="33:33:00:00:00:16") / v6(src=THEIRS, dst="ff02::16") / ICMPv6MLReport2(),
    "solicitation": ether() / v6(src=PEER6) / SOLICIT / ICMPv6NDOptSrcLLAddr(lladdr=ME),
    "advertisement": ether() / v6(src=PEER6) / ADVERTISE / ICMPv6NDOptDstLLAddr(lladdr=ME),
}  # fmt: skip


@pytest.mark.parametrize("name", IN_ANOTHERS_NAME)
def test_built_in_rights_are_a_vnics_own(real, name):
    assert came_out(real, EVERYTHING, IN_ANOTHERS_NAME[name]) == set()


@pytest.mark.parametrize("name", CONTROL)
def test_without_a_policy_control_protocols_reach_the_outside_only(real, name):
    assert came_out(real, NOTHING, CONTROL[name]) == BEYOND


NEIGHBOURS = {
    "ARP probe for its own address": ether() / ARP(op=1, hwsrc=ME, psrc="0.0.0.0", pdst=MY4),
    "ARP request": ether() / ARP(op=1, hwsrc=ME, psrc=MY4, pdst=PEER4),
    "solicitation": ether() / v6() / SOLICIT / ICMPv6NDOptSrcLLAddr(lladdr=ME),
    "advertisement": ether() / v6() / ADVERTISE / ICMPv6NDOptDstLLAddr(lladdr=ME),
    "answer without option": ether() / v6() / ADVERTISE,
}


@pytest.mark.parametrize("name", NEIGHBOURS)
def test_without_a_policy_neighbours_find_each_other(real, name):
    assert came_out(real, NOTHING, NEIGHBOURS[name]) == {("left", 12)}


@pytest.mark.parametrize("packet", [SOLICIT, ADVERTISE, ICMPv6ND_RA()], ids=lambda packet: packet.name)
def test_discovery_comes_from_the_link_only(real, packet):
    def outside(hops: int) -> Ether:
        head = Ether(src=OUT, dst=PEER) / Dot1Q(vlan=10)
        return head / IPv6(src="2001:db8:9::1", dst=PEER6, hlim=hops) / packet

    assert came_out(real, NOTHING, outside(255), into=OUTSIDE) == {("left", 12)}
    assert came_out(real, EVERYTHING, outside(254), into=OUTSIDE) == set()


def test_listener_queries_come_from_the_link_only(real):
    def outside(source: str = "fe80::99", hops: int = 1) -> Ether:
        head = Ether(src=OUT, dst="33:33:00:00:00:01") / Dot1Q(vlan=10) / IPv6(src=source, dst="ff02::1", hlim=hops)
        return head / IPv6ExtHdrHopByHop(options=[RouterAlert()]) / ICMPv6MLQuery()

    assert {("left", 11), ("left", 12)} <= came_out(real, NOTHING, outside(), into=OUTSIDE)
    for forged in (outside(hops=9), outside(hops=255), outside("2001:db8:9::1"), outside("::")):
        assert not came_out(real, EVERYTHING, forged, into=OUTSIDE) & (GUARDED | {("left", 11)})


@pytest.mark.parametrize(("kind", "heard"), [(3, True), (4, False), (5, False), (11, True), (12, True)])
def test_nobody_outside_turns_or_slows_a_connection(real, kind, heard):
    opened = v4(dst="198.51.100.1") / UDP(sport=4000 + kind, dport=4000)
    came_out(real, EVERYTHING, ether(dst=OUT) / opened)
    head = Ether(src=OUT, dst=ME) / Dot1Q(vlan=10) / IP(src="198.51.100.1", dst=MY4)
    assert (("left", 11) in real.send("left", OUTSIDE, bytes(head / ICMP(type=kind) / opened))) is heard
    pieces = fragment(IP(src="198.51.100.1", dst=MY4, id=4000 + kind) / ICMP(type=kind) / opened / BIG, 1400)
    frames = [bytes(Ether(src=OUT, dst=ME) / Dot1Q(vlan=10) / piece) for piece in pieces]
    assert ("left", 11) not in real.send("left", OUTSIDE, *frames)


def test_without_a_policy_nothing_else_passes(real):
    packets = [v4() / UDP56, v4() / TCP(), v4() / ICMP(), v4(proto=47) / Raw(bytes(20)), v4(proto=58) / Raw(bytes(20))]
    packets += [v6() / UDP56, v6() / TCP(), v6() / ICMPv6EchoRequest(), v6(nh=47) / Raw(bytes(20)), v6(nh=59)]
    packets += [v4(dst="255.255.255.255") / UDP56, v6(dst="ff02::1") / UDP56, v4(dst="224.0.0.5") / UDP56]
    for packet in packets:
        for target in (PEER, ALL, "33:33:00:00:00:01", OUT):
            assert came_out(real, NOTHING, ether(dst=target) / packet) == set(), packet.summary()


def test_a_question_to_a_dhcp_server_gets_past_no_rule_of_a_neighbours(real):
    """It leaves by a built-in rule, but its sender is who it is, and so is the neighbour."""
    refuses = document(policy("p", rule("deny", "any", (who("role == web"),), (who("role == web"),)), *OPEN))
    for question in (v4() / UDP(sport=68, dport=67) / b"x", v6() / UDP(sport=546, dport=547) / b"x"):
        assert came_out(real, EVERYTHING, ether() / question) == {("left", 12)}
        assert came_out(real, refuses, ether() / question) == set()


def test_broadcast_reaches_the_network_and_no_other(real):
    assert came_out(real, EVERYTHING, ether(dst=ALL) / v4(dst="255.255.255.255") / UDP56) == BEYOND | GUARDED


def test_a_broadcast_frame_with_a_unicast_address_is_no_vnics_business(real):
    assert came_out(real, EVERYTHING, ether(dst=ALL) / v4() / UDP56) == BEYOND


def test_from_outside_with_two_tags(real):
    frame = Ether(src=OUT, dst=PEER) / Dot1Q(vlan=10) / Dot1Q(vlan=30) / IP(src="192.0.2.1", dst=PEER4) / UDP56
    assert came_out(real, EVERYTHING, frame, into=OUTSIDE) == set()


# --- fragments: in conntrack's hands until all are there, then judged as the whole packet.


def pieces(packet, size: int = 1400) -> list[Ether]:
    return [ether() / piece for piece in fragment(packet, size)]


def pieces6(first_header: int, data: bytes, cut: int, ident: int) -> list[Ether]:
    """An IPv6 packet in two fragments, cut wherever one likes."""
    heads = [bytes([first_header, 0]) + struct.pack("!HI", offset, ident) for offset in (1, cut)]
    return [ether() / v6(nh=44) / Raw(head + part) for head, part in zip(heads, (data[:cut], data[cut:]), strict=True)]


def options(following: int, size: int = 1600) -> bytes:
    """A header of destination options that only fills room; ``following`` is the protocol after it."""
    body = b"".join(bytes([1, 198]) + bytes(198) for _ in range(size // 200))
    padded = bytes([following, size // 8 - 1]) + body
    return padded[: size - 6] + bytes([1, 4]) + bytes(4) if len(padded) != size else padded


def upper_layer(packet) -> bytes:
    """What follows the IPv6 header."""
    return bytes(v6() / packet)[40:]


BIG = bytes(3000)


def test_fragments_pass_where_everything_is_allowed(real):
    assert came_out(real, EVERYTHING, *pieces(v4() / UDP(sport=5, dport=6) / BIG)) == {("left", 12)}
    assert came_out(real, EVERYTHING, *pieces(v4(id=2) / ICMP() / BIG)) == {("left", 12)}
    data = upper_layer(UDP(sport=5, dport=6) / BIG[:2000])
    assert came_out(real, EVERYTHING, *pieces6(17, data, 1304, 3)) == {("left", 12)}


def test_fragments_are_judged_as_the_whole(real):
    not_to_54 = document(policy("all", rule("deny", "udp/54"), rule("allow", "any")))
    assert came_out(real, not_to_54, *pieces(v4(id=10) / UDP(sport=5, dport=53) / BIG)) == {("left", 12)}
    refused = real.send("left", 11, *map(bytes, pieces(v4(id=11) / UDP(sport=5, dport=54) / BIG)))
    # Whatever comes through must not be enough to put the packet together again.
    assert all(frame[20:22] != b"\x20\x00" for frames in refused.values() for frame in frames)


def test_a_lone_fragment_stays(real):
    for place, piece in enumerate(pieces(v4(id=20) / UDP(sport=5, dport=6) / BIG)[:2]):
        assert came_out(real, EVERYTHING, piece) == set(), place


def test_guards_cannot_be_passed_in_fragments(real):
    offer = UDP(sport=67, dport=68) / BIG
    assert came_out(real, EVERYTHING, *pieces(v4(id=30) / offer)) == set()
    advertisement, offer6 = upper_layer(ICMPv6ND_RA() / BIG[:1400]), upper_layer(UDP(sport=547, dport=546) / BIG[:1400])
    foreign = upper_layer(ADVERTISE / FOREIGN_TARGET / Raw(BIG[:1400]))
    for number, (protocol, data) in enumerate(((58, advertisement), (17, offer6), (58, foreign))):
        for cut in (1304, 1400, 1600):
            ident = 100 * number + cut
            hidden = options(protocol) + data
            assert came_out(real, EVERYTHING, *pieces6(60, hidden, cut, ident)) == set(), (protocol, cut)
        assert came_out(real, EVERYTHING, *pieces6(protocol, data, 1304, 7000 + number)) == set(), protocol


def test_flows_of_the_tables_are_read_back_exactly(real):
    """Whatever these tests installed, the switch tells it back as it was sent."""
    wanted = World(EVERYTHING).tables
    real.install(wanted)
    real.forget()
    assert {name: switch.flows() for name, switch in real.switches.items()} == wanted
