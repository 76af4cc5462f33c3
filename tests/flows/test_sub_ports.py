"""Frames of a trunk on a real switch: each tag is one vNIC's, and no other way leads to it or from it.

web-2 (port 12, no tag) has two sub-ports: web-2-a (tag 20) in its own network, lab-4 (tag 300, its MAC) in another.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.l2 import ARP, Dot1AD, Dot1Q, Ether
from scapy.packet import Packet

from policy.flows import fields as f
from policy.flows.cookies import Drop, Kind, cookie
from policy.flows.flow import Load
from policy.flows.packet_in import decode_packet_in
from policy.model import Document
from tests.flows.frames import tag_of, untagged
from tests.flows.real import Real
from tests.flows.worlds import OUTSIDE, SUB_PORTS, ZONES, World, document, policy, rule, who

PARENT, OWN, WEB_1 = "52:54:00:00:00:02", "52:54:00:00:00:0a", "52:54:00:00:00:01"
WEB_3, DB_3 = "52:54:00:00:00:06", "52:54:00:00:00:0b"
OUT, ALL = "02:00:00:00:00:ff", "ff:ff:ff:ff:ff:ff"
TRUNK, PLACE, TAG, LAB_TAG = 12, 21, 20, 300
# The outside, and the router that nobody firewalls: they see what is for many, and what nobody has.
BEYOND = {("left", OUTSIDE), ("left", 16)}
EVERYTHING, NOTHING = document(policy("all", rule("allow", "any"))), document()

Seen = dict[tuple[str, int], list[int]]


@pytest.fixture(scope="module")
def real() -> Iterator[Real]:
    switch = Real()
    switch.switches["left"].listen()
    yield switch
    switch.stop()


def seen(real: Real, policy_document: Document, frame: Packet, into: int = TRUNK) -> Seen:
    """The tags (0: none) of all copies that came out, by port, but not those of the world beyond."""
    real.install(World(policy_document).tables)
    real.forget()
    came = real.send("left", into, bytes(frame))
    assert all(untagged(found) == untagged(bytes(frame)) for frames in came.values() for found in frames)
    return {
        where: sorted(tag_of(found) & 0xFFF for found in frames)
        for where, frames in came.items()
        if where not in BEYOND
    }


def tagged(*vlans: int, src: str = OWN, dst: str = WEB_1) -> Packet:
    head: Packet = Ether(src=src, dst=dst)
    for vlan in vlans:
        head /= Dot1Q(vlan=vlan)
    return head


def udp(source: str, target: str, port: int = 53) -> Packet:
    return IP(src=source, dst=target) / UDP(sport=5000, dport=port) / b"portcullis"


def test_it_speaks_and_is_spoken_to_by_its_tag(real):
    assert seen(real, EVERYTHING, tagged(TAG) / udp("10.0.0.6", "10.0.0.1")) == {("left", 11): [0]}
    there = Ether(src=WEB_1, dst=OWN) / udp("10.0.0.1", "10.0.0.6")
    assert seen(real, EVERYTHING, there, into=11) == {("left", TRUNK): [TAG]}
    far = tagged(TAG, dst=DB_3) / udp("10.0.0.6", "10.0.0.8")
    assert seen(real, EVERYTHING, far) == {("right", 11): [10]}


def test_without_a_rule_it_reaches_nobody_and_nobody_reaches_it(real):
    assert seen(real, NOTHING, tagged(TAG) / udp("10.0.0.6", "10.0.0.1")) == {}
    assert seen(real, NOTHING, Ether(src=WEB_1, dst=OWN) / udp("10.0.0.1", "10.0.0.6"), into=11) == {}


@pytest.mark.parametrize("direction", ["up", "down"])
def test_a_guests_own_vnics_are_strangers_to_each_other_unless_policy_says_otherwise(real, direction):
    up = Ether(src=PARENT, dst=OWN) / udp("10.0.0.2", "10.0.0.6")
    down = tagged(TAG, dst=PARENT) / udp("10.0.0.6", "10.0.0.2")
    frame, tag = (up, TAG) if direction == "up" else (down, 0)
    assert seen(real, NOTHING, frame) == {}
    assert seen(real, EVERYTHING, frame) == {("left", TRUNK): [tag]}
    parent = who("vnic.id == web-2")
    one_way = document(policy("p", rule("allow", "any", (parent,), None)))
    assert seen(real, one_way, frame) == ({("left", TRUNK): [tag]} if direction == "up" else {})


def test_copies_come_once_to_each_with_its_tag_and_never_back(real):
    ask = ARP(op=1, hwsrc=OUT, psrc="10.0.0.99", pdst="10.0.0.6")
    everybody = {
        **{("left", port): [0] for port in (11, 13)},
        ("left", TRUNK): [0, TAG],
        ("right", 11): [0, 10],
        ("right", 12): [0],
    }
    assert seen(real, NOTHING, tagged(10, src=OUT, dst=ALL) / ask, into=OUTSIDE) == everybody
    mine = tagged(TAG, dst=ALL) / ARP(op=1, hwsrc=OWN, psrc="10.0.0.6", pdst="10.0.0.2")
    assert seen(real, NOTHING, mine) == everybody | {("left", TRUNK): [0]}
    parents = Ether(src=PARENT, dst=ALL) / ARP(op=1, hwsrc=PARENT, psrc="10.0.0.2", pdst="10.0.0.6")
    assert seen(real, NOTHING, parents) == everybody | {("left", TRUNK): [TAG]}
    lab = tagged(LAB_TAG, src=PARENT, dst=ALL) / ARP(op=1, hwsrc=PARENT, psrc="10.0.0.2", pdst="10.0.0.9")
    assert seen(real, NOTHING, lab) == {("left", 14): [0], ("left", 15): [0], ("right", 13): [0]}


def test_what_it_sends_to_itself_does_not_come_back(real):
    assert seen(real, EVERYTHING, tagged(TAG, dst=OWN) / udp("10.0.0.6", "10.0.0.6")) == {}


def told(real: Real, frame: Packet) -> tuple[int, int, int]:
    """Why the frame was dropped, whose it was taken for (its number), and the port."""
    real.install(World(EVERYTHING).tables)
    real.forget()
    assert set(real.send("left", TRUNK, bytes(frame))) == set(), "it came out somewhere"
    copy = decode_packet_in(real.switches["left"].packet_in())
    return copy.cookie, copy.src_vnic, copy.in_port


FOREIGN, FORGED = (cookie(Kind.DROP, reason) for reason in (Drop.UNKNOWN_PORT_OR_MAC, Drop.SPOOFED_SOURCE))
MINE = ZONES["left"] + PLACE


@pytest.mark.parametrize(
    ("frame", "why", "number"),
    [
        (tagged(21) / udp("10.0.0.6", "10.0.0.1"), FOREIGN, 0),
        (tagged(10) / udp("10.0.0.6", "10.0.0.1"), FOREIGN, 0),
        (tagged(0) / udp("10.0.0.6", "10.0.0.1"), FOREIGN, 0),
        (tagged(0, src=PARENT) / udp("10.0.0.2", "10.0.0.1"), FOREIGN, 0),
        (Ether(src=OWN, dst=WEB_1) / udp("10.0.0.6", "10.0.0.1"), FOREIGN, 0),
        (tagged(TAG, src=PARENT) / udp("10.0.0.6", "10.0.0.1"), FOREIGN, 0),
        (tagged(LAB_TAG) / udp("10.0.0.6", "10.0.0.1"), FOREIGN, 0),
        (tagged(21, TAG) / udp("10.0.0.6", "10.0.0.1"), FOREIGN, 0),
        (tagged(TAG) / udp("10.0.0.2", "10.0.0.1"), FORGED, MINE),
        (tagged(TAG) / udp("10.0.0.1", "10.0.0.3"), FORGED, MINE),
        (tagged(TAG, dst=ALL) / ARP(op=2, hwsrc=OWN, psrc="10.0.0.2", pdst="10.0.0.2"), FORGED, MINE),
        (tagged(TAG, dst=ALL) / ARP(op=1, hwsrc=PARENT, psrc="10.0.0.6", pdst="10.0.0.1"), FORGED, MINE),
        (tagged(LAB_TAG, src=PARENT) / udp("10.0.0.6", "10.0.0.1"), FORGED, ZONES["left"] + 22),
    ],
    ids=str,
)
def test_what_is_not_its_own_ends_under_a_name(real, frame, why, number):
    assert told(real, frame) == (why, number, TRUNK)


@pytest.mark.parametrize("limit", [1, 2, 0])
@pytest.mark.parametrize("inner", [Dot1Q(vlan=10), Dot1Q(vlan=30), Dot1Q(vlan=0), Dot1AD(vlan=10)], ids=str)
def test_a_tag_behind_its_tag_is_nobodys_whatever_the_switch_looks_behind(real, limit, inner):
    """With more than one tag that the switch understands it would see the IPv4 source behind both."""
    real.ovs.vsctl("set", "Open_vSwitch", ".", f"other_config:vlan-limit={limit}")
    try:
        frame = tagged(TAG, dst=ALL) / inner / ARP(op=1, hwsrc=OWN, psrc="10.0.0.6", pdst="10.0.0.1")
        assert told(real, frame) == (FORGED, MINE, TRUNK)
        assert told(real, tagged(TAG) / inner / udp("10.0.0.6", "10.0.0.1")) == (FORGED, MINE, TRUNK)
    finally:
        real.ovs.vsctl("set", "Open_vSwitch", ".", "other_config:vlan-limit=1")


def test_a_rejected_packet_is_told_without_its_tag_and_names_the_sub_port(real):
    real.install(World(document(policy("p", rule("reject", "tcp/22")))).tables)
    real.forget()
    inside = IP(src="10.0.0.6", dst="10.0.0.1") / TCP(sport=5000, dport=22)
    assert real.send("left", TRUNK, bytes(tagged(TAG) / inside)) == {}
    copy = decode_packet_in(real.switches["left"].packet_in())
    assert (copy.src_vnic, copy.dst_vnic, copy.vlan, copy.in_port) == (MINE, ZONES["left"] + 11, 10, TRUNK)
    assert copy.frame == bytes(Ether(src=OWN, dst=WEB_1) / inside)


def test_an_error_about_its_packet_comes_back_by_its_tag(real):
    real.install(World(document(policy("p", rule("allow", "udp/53")))).tables)
    real.forget()
    asked = udp("10.0.0.6", "10.0.0.1")
    assert set(real.send("left", TRUNK, bytes(tagged(TAG) / asked))) == {("left", 11)}
    error = Ether(src=WEB_1, dst=OWN) / IP(src="10.0.0.1", dst="10.0.0.6") / ICMP(type=3, code=3) / asked
    ((where, frames),) = real.send("left", 11, bytes(error)).items()
    assert (where, [tag_of(found) & 0xFFF for found in frames]) == (("left", TRUNK), [TAG])


def test_nothing_but_its_own_flow_delivers_to_it():
    """A packet that is on its way when the sub-port goes does not come out at its parent's, without a tag."""
    world = World(EVERYTHING)
    zones = {ZONES["left"] + place for place in SUB_PORTS["left"]}
    told = [
        (actions[at - 1].value, actions[at].value)
        for item in world.tables["left"].values()
        for actions in [item.actions]
        for at in range(1, len(actions))
        if isinstance(actions[at], Load) and actions[at].field is f.OUT_PORT
    ]
    assert {zone for zone, port in told if port == 0} == zones
    assert all(port for zone, port in told if zone not in zones)
