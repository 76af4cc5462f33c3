"""What copied frames say about addresses; and that odd or hostile ones say nothing, and never raise."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrHopByHop
from scapy.layers.l2 import Dot1Q, Ether

from tests.topology.builders import MAC_1, MAC_2
from tests.topology.exchanges import (
    BROADCAST,
    SERVER_MAC,
    advertisement,
    arp,
    client4,
    client6,
    probe,
    raw,
    server4,
    server6,
)
from topology.dhcp import FOREVER, Asked, Exchange, GivenBack, Granted, Refused
from topology.frames import Claim
from topology.heard import Heard, read_heard

V4 = Exchange(4, 7, raw(MAC_1))
V6 = Exchange(6, 9, b"\x00\x03\x00\x01" + raw(MAC_1))
ADDRESS, OTHER = ip_address("10.0.0.50"), ip_address("10.0.0.51")
V6_ADDRESS = ip_address("2001:db8::50")


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (client4("discover"), Asked(V4, only_rapid=True)),
        (client4("request", requested_addr="10.0.0.50"), Asked(V4, (ADDRESS,))),
        (client4("request", ciaddr="10.0.0.50"), Asked(V4, (ADDRESS,))),
        (client4("request", ciaddr="10.0.0.50", requested_addr="10.0.0.51"), Asked(V4, (OTHER,))),
        (client4("release", ciaddr="10.0.0.50"), GivenBack(V4, (ADDRESS,))),
        (client4("decline", requested_addr="10.0.0.50"), GivenBack(V4, (ADDRESS,))),
        (client6("solicit"), Asked(V6, only_rapid=True)),
        (client6("request", "2001:db8::50"), Asked(V6, (V6_ADDRESS,))),
        (client6("renew", "2001:db8::50"), Asked(V6, (V6_ADDRESS,))),
        (client6("rebind", "2001:db8::50"), Asked(V6, (V6_ADDRESS,))),
        (client6("release", "2001:db8::50"), GivenBack(V6, (V6_ADDRESS,))),
        (client6("decline", "2001:db8::50"), GivenBack(V6, (V6_ADDRESS,))),
    ],
)
def test_a_clients_messages(frame, message):
    heard = read_heard(frame)
    assert (heard.source, heard.message) == (MAC_1, message)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (server4("ack"), Granted(V4, ((ADDRESS, 3600),))),
        (server4("ack", lease=FOREVER), Granted(V4, ((ADDRESS, FOREVER),))),
        (server4("ack", more=(("rapid_commit", b""),)), Granted(V4, ((ADDRESS, 3600),), rapid=True)),
        (server4("nak", yiaddr="0.0.0.0", lease=None), Refused(V4)),
        (server6(("2001:db8::50", 3600)), Granted(V6, ((V6_ADDRESS, 3600),))),
        (server6(("2001:db8::50", 0)), Granted(V6, ((V6_ADDRESS, 0),))),
        (server6(("2001:db8::50", 60), rapid=True), Granted(V6, ((V6_ADDRESS, 60),), rapid=True)),
    ],
)
def test_a_servers_messages(frame, message):
    assert read_heard(frame) == Heard(SERVER_MAC, MAC_1, message)


@pytest.mark.parametrize(
    ("frame", "address"),
    [
        (arp("10.0.0.50"), "10.0.0.50"),
        (arp("169.254.3.4", op=2), "169.254.3.4"),
        (advertisement("2001:db8::50"), "2001:db8::50"),
        (probe("2001:db8::50"), "2001:db8::50"),
        (probe("fe80::1234"), "fe80::1234"),
    ],
)
def test_claims(frame, address):
    assert read_heard(frame) == Claim(MAC_1, ip_address(address))


NOBODYS = ["0.0.0.0", "0.1.2.3", "127.0.0.1", "224.0.0.1", "255.255.255.255", "240.0.0.1"]
NOBODYS_V6 = ["::", "::1", "ff02::1", "::ffff:10.0.0.1"]


def changed(frame, place, value):
    return frame[:place] + bytes([value]) + frame[place + 1 :]


def tagged(frame):
    whole = Ether(frame)
    return bytes(Ether(src=whole.src, dst=whole.dst) / Dot1Q(vlan=5) / whole.payload)


def with_payload(payload, **udp):
    return bytes(Ether(src=SERVER_MAC, dst=MAC_1) / IP(src="10.0.0.1") / UDP(sport=67, dport=68, **udp) / payload)


ACK = server4("ack")
# The message behind 14 octets of Ethernet, 20 of IPv4 and 8 of UDP; its options behind 240 more.
MESSAGE, OPTIONS = 42, 282
ODD = {
    **{f"granted {address}": server4("ack", yiaddr=address) for address in NOBODYS},
    **{f"granted {address}": server6((address, 60)) for address in [*NOBODYS_V6, "fe80::5"]},
    **{f"claimed {address}": arp(address) for address in NOBODYS},
    **{f"claimed {address}": advertisement(address) for address in NOBODYS_V6 if address != "::"},
    "no lease time": server4("ack", lease=None),
    "a lease of nothing": server4("ack", lease=0),
    "an offer": server4("offer"),
    "an inform": client4("inform", ciaddr="10.0.0.50"),
    "a second lease time": server4("ack", more=(("lease_time", 9),)),
    "a second type": server4("nak", more=(("message-type", "ack"),)),
    "a first fragment": changed(ACK, 20, 0x20),
    "a later fragment": changed(ACK, 21, 5),
    "IP options": changed(ACK, 14, 0x46),
    "another IP version": changed(ACK, 14, 0x65),
    "TCP": changed(ACK, 23, 6),
    "IP length too long": changed(ACK, 16, 0x7F),
    "IP length too short": changed(changed(ACK, 16, 0), 17, 30),
    "UDP length too long": changed(ACK, 38, 0x7F),
    "UDP length too short": changed(changed(ACK, 38, 0), 39, 8),
    "cut off": ACK[:-4],
    "options without end": with_payload(ACK[MESSAGE : ACK.index(b"\xff", OPTIONS)]),
    "an option longer than the rest": changed(ACK, OPTIONS + 4, 250),
    "no cookie": changed(ACK, OPTIONS - 1, 0),
    "another hardware": changed(ACK, MESSAGE + 1, 6),
    "a longer hardware address": changed(ACK, MESSAGE + 2, 16),
    "a client's message from a server": changed(ACK, MESSAGE, 1),
    "other ports": with_payload(ACK[MESSAGE:], chksum=0).replace(b"\x00\x43\x00\x44", b"\x00\x43\x00\x45"),
    "a tag": tagged(ACK),
    "a tagged claim": tagged(arp("10.0.0.50")),
    "nothing": b"",
    "a header alone": ACK[:14],
    "a claim for another MAC": arp("10.0.0.50", hwsrc=MAC_2),
    "an advertisement for another MAC": advertisement("2001:db8::50", lladdr=MAC_2),
    "an advertisement from afar": advertisement("2001:db8::50", hlim=64),
    "a probe of another group": probe("2001:db8::50", dst="ff02::1:ff00:51"),
    "a probe with an option": probe("2001:db8::50", source_option=True),
    "an option of length 0": changed(advertisement("2001:db8::50"), 14 + 40 + 24 + 1, 0),
    "an option beyond the end": changed(advertisement("2001:db8::50"), 14 + 40 + 24 + 1, 9),
    "DHCPv6 behind an extension header": bytes(
        Ether(src=SERVER_MAC, dst=MAC_1)
        / IPv6(src="fe80::1", dst="fe80::2")
        / IPv6ExtHdrHopByHop()
        / UDP(sport=547, dport=546)
        / server6(("2001:db8::50", 60))[14 + 40 + 8 :]
    ),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_frames_say_nothing(name):
    assert read_heard(ODD[name]) is None


def test_an_ipv6_lease_with_a_preferred_time_beyond_its_valid_one_says_nothing():
    frame = server6(("2001:db8::50", 60))
    place = frame.index(V6_ADDRESS.packed) + 16
    assert read_heard(frame) is not None
    assert read_heard(changed(frame, place, 1)) is None


def test_two_names_of_a_client_are_none():
    frame = server6(("2001:db8::50", 60))
    name = b"\x00\x01\x00\x0a" + V6.client
    assert name in frame
    # The server's name becomes a second one of the client.
    assert read_heard(frame.replace(b"\x00\x02\x00\x0a", b"\x00\x01\x00\x0a")) is None


GOOD = [
    client4("request", requested_addr="10.0.0.50"),
    ACK,
    client6("renew", "2001:db8::50"),
    server6(("2001:db8::50", 60), ("2001:db8::51", 60)),
    arp("10.0.0.50"),
    advertisement("2001:db8::50"),
    probe("2001:db8::50"),
]


@given(
    st.sampled_from(GOOD),
    st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=6),
    st.integers(0, 400),
    st.binary(max_size=40),
)
def test_mangled_frames_never_raise(frame, changes, cut, tail):
    for place, value in changes:
        frame = changed(frame, place, value) if place < len(frame) else frame
    for each in (frame, frame[:cut], frame[:cut] + tail):
        assert read_heard(each) is None or isinstance(read_heard(each), Heard | Claim)


@given(st.binary(max_size=400), st.sampled_from([b"\x08\x00\x45", b"\x08\x06", b"\x86\xdd\x60", b""]))
def test_any_bytes_never_raise(rest, kind):
    assert read_heard(raw(BROADCAST) + raw(MAC_1) + kind + rest) is None


@given(st.binary(max_size=200), st.sampled_from([(67, 68), (68, 67)]), st.binary(min_size=4, max_size=4))
def test_any_options_never_raise(options, ports, address):
    operation = 2 if ports == (67, 68) else 1
    head = bytes([operation, 1, 6, 0]) + bytes(12) + address + bytes(8) + raw(MAC_1) + bytes(202)
    message = head + b"\x63\x82\x53\x63"
    frame = Ether(src=MAC_1, dst=BROADCAST) / IP() / UDP(sport=ports[0], dport=ports[1]) / (message + options)
    assert read_heard(bytes(frame)) is None or isinstance(read_heard(bytes(frame)), Heard)
