"""Answers to rejected packets: right by scapy's checksums and the RFCs' rules, and silence where these demand it."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scapy.layers.inet import GRE, ICMP, IP, TCP, UDP, Ether
from scapy.layers.inet6 import (
    ICMPv6DestUnreach,
    ICMPv6EchoRequest,
    ICMPv6ND_Redirect,
    ICMPv6PacketTooBig,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
)
from scapy.layers.l2 import ARP, Dot1Q
from scapy.packet import Raw
from scapy.utils import checksum as scapy_checksum

from ryu_apps.rejections import LONGEST_V4, LONGEST_V6, answer, checksum

A, B = "52:54:00:00:00:01", "52:54:00:00:00:02"
V4 = {"src": "10.0.0.1", "dst": "10.0.0.2"}
V6 = {"src": "2001:db8::1", "dst": "2001:db8::2"}
SYN = TCP(sport=40000, dport=22, flags="S", seq=1000)
ETHER = Ether(src=A, dst=B)


def told(packet, cut=None):
    """The answer as scapy sees it, its checksums compared with scapy's own; None: there is none."""
    found = answer(bytes(packet)[:cut])
    if found is None:
        return None
    seen = Ether(found)
    right = Ether(found)
    for layer in (IP, TCP, ICMP, ICMPv6DestUnreach):
        # The quoted packet is what it is; only our own headers are made anew.
        if layer in right and not (layer is TCP and (ICMP in right or ICMPv6DestUnreach in right)):
            for name in ("chksum", "cksum", "len"):
                if name in right[layer].fields:
                    delattr(right[layer], name)
    assert bytes(right) == found
    return seen


def swapped(seen, network):
    assert (seen.src, seen.dst) == (B, A)
    layer = seen[network]
    assert (layer.src, layer.dst) == ((V4 if network is IP else V6)["dst"], (V4 if network is IP else V6)["src"])
    assert (layer.ttl if network is IP else layer.hlim) == 64
    return layer


FAMILIES = pytest.mark.parametrize(("network", "ends"), [(IP, V4), (IPv6, V6)], ids=["v4", "v6"])


@FAMILIES
@pytest.mark.parametrize(
    ("flags", "data", "reset"),
    [
        ("S", b"", ("RA", 0, 1001)),
        ("S", b"early", ("RA", 0, 1006)),
        ("F", b"12", ("RA", 0, 1003)),
        ("", b"", ("RA", 0, 1000)),
        ("SA", b"", ("R", 77, 0)),
        ("A", b"data", ("R", 77, 0)),
        ("PAF", b"data", ("R", 77, 0)),
    ],
)
def test_a_segment_is_answered_by_a_reset(network, ends, flags, data, reset):
    segment = TCP(sport=40000, dport=22, flags=flags, seq=1000, ack=77, options=[("MSS", 1460)])
    seen = told(ETHER / network(**ends) / segment / Raw(data))
    swapped(seen, network)
    found = seen[TCP]
    assert (found.sport, found.dport) == (22, 40000)
    assert (str(found.flags), found.seq, found.ack) == reset
    assert found.dataofs == 5 and found.window == 0 and not found.payload


def test_a_segment_at_the_end_of_the_sequence_space():
    segment = TCP(flags="S", seq=0xFFFFFFFF)
    assert told(ETHER / IP(**V4) / segment)[TCP].ack == 0


@FAMILIES
def test_the_length_of_a_segment_is_what_its_header_says_though_the_copy_is_cut_off(network, ends):
    whole = ETHER / network(**ends) / TCP(flags="S", seq=1) / Raw(bytes(500))
    assert told(whole, cut=200)[TCP].ack == 502


def test_what_the_link_has_padded_is_no_data():
    assert told(Ether(bytes(ETHER / IP(**V4) / SYN) + bytes(6)))[TCP].ack == 1001


@FAMILIES
@pytest.mark.parametrize("flags", ["R", "RA", "SR"])
def test_a_reset_is_never_answered(network, ends, flags):
    assert told(ETHER / network(**ends) / TCP(flags=flags)) is None


@pytest.mark.parametrize(
    "layer", [UDP(dport=53) / Raw(b"question"), GRE(), Raw(b"ospf"), ICMP(), ICMP(type="timestamp-request")]
)
def test_all_else_is_answered_by_icmp(layer):
    network = IP(**V4, proto=89) if isinstance(layer, Raw) else IP(**V4)
    packet = Ether(bytes(ETHER / network / layer))
    seen = told(packet)
    swapped(seen, IP)
    assert (seen[ICMP].type, seen[ICMP].code) == (3, 13)
    assert bytes(seen)[42:] == bytes(packet[IP])


@pytest.mark.parametrize("layer", [UDP(dport=53) / Raw(b"question"), Raw(b"x"), ICMPv6EchoRequest()])
def test_all_else_is_answered_by_icmpv6(layer):
    packet = Ether(bytes(ETHER / (IPv6(**V6, nh=89) if isinstance(layer, Raw) else IPv6(**V6)) / layer))
    seen = told(packet)
    swapped(seen, IPv6)
    assert (seen[ICMPv6DestUnreach].type, seen[ICMPv6DestUnreach].code) == (1, 1)
    assert bytes(seen)[14 + 48 :] == bytes(packet[IPv6])


def test_the_quote_is_as_long_as_the_standards_allow():
    v4 = told(ETHER / IP(**V4) / UDP() / Raw(bytes(1400)))
    assert v4[IP].len == LONGEST_V4 == len(bytes(v4)) - 14
    v6 = told(ETHER / IPv6(**V6) / UDP() / Raw(bytes(1400)))
    assert v6[IPv6].plen + 40 == LONGEST_V6 == len(bytes(v6)) - 14


def test_extension_headers_are_looked_behind():
    chain = IPv6(**V6) / IPv6ExtHdrHopByHop() / IPv6ExtHdrRouting(addresses=["::2"]) / IPv6ExtHdrDestOpt()
    assert told(ETHER / chain / SYN)[TCP].ack == 1001
    # "Fragments" that are whole (RFC 6946).
    assert told(ETHER / IPv6(**V6) / IPv6ExtHdrFragment() / SYN)[TCP].ack == 1001
    assert told(ETHER / chain / ICMPv6PacketTooBig()) is None


def test_a_chain_too_long_to_look_behind_may_hide_an_error():
    chain = IPv6(**V6)
    for _ in range(40):
        chain /= IPv6ExtHdrDestOpt()
    assert told(ETHER / chain / ICMPv6PacketTooBig()) is None


def test_fragments():
    first = IP(**V4, flags="MF")
    later = IP(**V4, frag=64)
    assert told(ETHER / first / UDP())[ICMP].code == 13
    # How long the segment is, nobody can say yet.
    assert told(ETHER / first / SYN)[ICMP].code == 13
    assert told(ETHER / later / UDP()) is None
    assert told(ETHER / IP(**V4, frag=64, proto=6) / Raw(bytes(SYN))) is None
    assert told(ETHER / IPv6(**V6) / IPv6ExtHdrFragment(m=1) / UDP())[ICMPv6DestUnreach].code == 1
    assert told(ETHER / IPv6(**V6) / IPv6ExtHdrFragment(offset=8) / UDP()) is None


@pytest.mark.parametrize("kind", [3, 4, 5, 11, 12, 40, 200])
def test_an_icmp_error_is_never_answered_nor_what_may_be_one(kind):
    assert told(ETHER / IP(**V4) / ICMP(type=kind) / Raw(bytes(40))) is None


@pytest.mark.parametrize("error", [ICMPv6DestUnreach(), ICMPv6PacketTooBig(), ICMPv6ND_Redirect()])
def test_an_icmpv6_error_or_redirect_is_never_answered(error):
    assert told(ETHER / IPv6(**V6) / error / Raw(bytes(40))) is None


@pytest.mark.parametrize("mac", ["ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:01"])
@pytest.mark.parametrize("packet", [IP(**V4) / UDP(), IPv6(**V6) / UDP(), IP(**V4) / SYN])
def test_a_frame_to_or_from_many_is_never_answered(mac, packet):
    assert told(Ether(src=A, dst=mac) / packet) is None
    assert told(Ether(src=mac, dst=B) / packet) is None
    assert told(ETHER / packet) is not None


@pytest.mark.parametrize("source", ["0.0.0.0", "0.1.2.3", "127.0.0.1", "224.0.0.1", "255.255.255.255", "240.0.0.1"])
def test_an_ipv4_source_that_is_no_host(source):
    assert told(ETHER / IP(src=source, dst="10.0.0.2") / UDP()) is None
    assert told(ETHER / IP(src="10.0.0.2", dst=source) / UDP()) is None


@pytest.mark.parametrize("source", ["::", "::1", "ff02::1", "ff0e::5", "::ffff:10.0.0.1"])
def test_an_ipv6_source_that_is_no_host(source):
    assert told(ETHER / IPv6(src=source, dst="2001:db8::2") / UDP()) is None
    assert told(ETHER / IPv6(src="2001:db8::2", dst=source) / UDP()) is None


@pytest.mark.parametrize(
    "packet",
    [
        ETHER / IP(src="10.0.0.1", dst="10.0.0.1") / SYN,
        ETHER / IP(**V4, chksum=1) / SYN,
        ETHER / Dot1Q(vlan=5) / IP(**V4) / SYN,
        ETHER / ARP(),
        Ether(src=A, dst=B, type=0x0800) / IPv6(**V6) / SYN,
        ETHER / IP(**V4) / TCP(dataofs=4),
        ETHER / IP(**V4) / TCP(dataofs=15),
        ETHER / IP(**V4, proto=6) / Raw(bytes(19)),
        ETHER / IP(**V4, proto=1) / Raw(b""),
    ],
    ids=["land", "checksum", "tagged", "arp", "other family", "offset", "no options", "cut off", "no type"],
)
def test_what_makes_no_sense_is_not_answered(packet):
    assert told(packet) is None


SEEDS = [
    bytes(ETHER / IP(**V4) / SYN),
    bytes(ETHER / IP(**V4, options=[]) / UDP() / Raw(bytes(30))),
    bytes(ETHER / IPv6(**V6) / IPv6ExtHdrHopByHop() / IPv6ExtHdrFragment(m=1) / UDP()),
    bytes(ETHER / IPv6(**V6) / ICMPv6EchoRequest()),
]


@st.composite
def spoilt(draw):
    """A good frame with some bytes changed, and perhaps cut off."""
    frame = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(0, 6))):
        frame[draw(st.integers(0, len(frame) - 1))] = draw(st.integers(0, 255))
    return bytes(frame[: draw(st.integers(0, len(frame)))])


@given(spoilt() | st.binary(max_size=200))
@example(b"")
def test_hostile_bytes_never_raise_and_never_bring_an_answer_to_an_answer(frame):
    found = answer(frame)
    if found is not None:
        assert len(found) <= 14 + LONGEST_V6
        assert found[:6] == frame[6:12] and found[6:12] == frame[:6]
        # A firewall on the other side must not answer this in turn.
        assert answer(found) is None


@given(st.binary(max_size=101))
def test_the_checksum_is_scapys(data):
    assert checksum(data) == scapy_checksum(data)
