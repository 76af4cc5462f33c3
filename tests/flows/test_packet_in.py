"""Copies to the controller, as a real switch sends them, and answers that go back to where a packet came from."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import ICMPv6ND_NS, IPv6
from scapy.layers.l2 import ARP, Dot1Q, Ether

from policy.flows.cookies import LAYOUT, Drop, Kind, cookie
from policy.flows.openflow import WireError
from policy.flows.packet_in import PACKET_IN, Copy, decode_packet_in
from policy.flows.telling import answer_actions
from policy.model import Side
from tests.flows.real import Real
from tests.flows.worlds import OUTSIDE, PATCH, SUB_PORTS, ZONES, World, document, policy, rule

ME, PEER, OUT = "52:54:00:00:00:01", "52:54:00:00:00:02", "02:00:00:00:00:ff"
POLICY = document(
    policy(
        "p",
        rule("reject", "tcp/22", egress=False),
        rule("allow", "tcp/80", log=True),
        rule("deny", "tcp/81"),
        rule("allow", "tcp/22"),
    )
)


@pytest.fixture(scope="module")
def world() -> World:
    return World(POLICY)


@pytest.fixture(scope="module")
def real(world: World) -> Iterator[Real]:
    switch = Real()
    switch.install(world.tables)
    switch.switches["left"].listen()
    yield switch
    switch.stop()


def syn(port: int, source: str = "10.0.0.1", target: str = "10.0.0.2", **ether: object) -> Ether:
    return Ether(**{"src": ME, "dst": PEER, **ether}) / IP(src=source, dst=target) / TCP(sport=5000, dport=port)


def told(real: Real, frame: Ether, into: int = 11) -> Copy:
    real.forget()
    real.send("left", into, bytes(frame))
    return decode_packet_in(real.switches["left"].packet_in())


def number(world: World, name: str) -> int:
    return next(entry.number for entry in world.compiled.rules if entry.name == name)


def test_a_rejected_packet_is_told_whole_with_its_vnics_and_its_rule(real, world):
    frame = syn(22)
    why = cookie(Kind.RULE, number(world, "p/#1"))
    assert told(real, frame) == Copy(why, Side.INGRESS, False, 111, 112, 10, 11, 0, bytes(frame))


def test_what_comes_by_an_uplink_names_it_and_bears_no_tag(real, world):
    inside = IP(src="192.0.2.5", dst="10.0.0.1") / TCP(sport=5000, dport=22)
    frame = Ether(src=OUT, dst=ME) / Dot1Q(vlan=10) / inside
    copy = told(real, frame, into=OUTSIDE)
    why = cookie(Kind.RULE, number(world, "p/#1"))
    assert copy == Copy(why, Side.INGRESS, False, 0, 111, 10, OUTSIDE, OUTSIDE, bytes(Ether(src=OUT, dst=ME) / inside))


def test_a_logged_connection_is_told_once_for_each_side_that_logs_it(real, world):
    why = cookie(Kind.RULE, number(world, "p/#2"))
    assert [(copy.cookie, copy.side) for copy in (told(real, syn(80)), _next(real))] == [
        (why, Side.EGRESS),
        (why, Side.INGRESS),
    ]


def _next(real: Real) -> Copy:
    return decode_packet_in(real.switches["left"].packet_in())


def test_what_no_rule_decides_and_what_is_forged(real):
    assert told(real, syn(443)).cookie == cookie(Kind.DEFAULT, 0)
    forged = told(real, syn(443, source="10.0.0.3"))
    assert (forged.cookie, forged.src_vnic) == (cookie(Kind.DROP, Drop.SPOOFED_SOURCE), 111)
    claim = Ether(src=ME, dst="ff:ff:ff:ff:ff:ff") / ARP(op=2, hwsrc=ME, psrc="10.0.0.2", pdst="10.0.0.2")
    assert told(real, claim).cookie == cookie(Kind.DROP, Drop.SPOOFED_SOURCE)
    stranger = told(real, syn(443, src="52:54:00:00:00:77"))
    assert (stranger.cookie, stranger.in_port) == (cookie(Kind.DROP, Drop.UNKNOWN_PORT_OR_MAC), 11)


def test_what_ends_on_its_way_from_outside_names_who_was_to_get_it(real):
    head = Ether(src=OUT, dst=ME) / Dot1Q(vlan=10)
    astray = told(real, head / IP(src="10.9.9.9", dst="10.0.0.2") / TCP(), into=OUTSIDE)
    assert (astray.cookie, astray.src_vnic) == (cookie(Kind.DROP, Drop.NOT_ADDRESSED_HERE), 0)
    assert astray.dst_vnic == 111
    routed = told(real, head / IPv6(src="2001:db8:9::1", dst="2001:db8::1", hlim=9) / ICMPv6ND_NS(), into=OUTSIDE)
    assert (routed.cookie, routed.dst_vnic) == (cookie(Kind.DROP, Drop.ROUTED_DISCOVERY), 111)


def test_a_copy_that_a_flow_of_another_layout_made_is_not_read(real):
    """While it is replaced: its registers would be misunderstood."""
    real.forget()
    real.send("left", 11, bytes(syn(22)))
    message = bytearray(real.switches["left"].packet_in())
    assert decode_packet_in(bytes(message)).src_vnic == 111
    assert message[18] == LAYOUT
    message[18] += 1
    with pytest.raises(WireError, match="another layout"):
        decode_packet_in(bytes(message))


def test_a_long_packet_comes_whole(real):
    frame = syn(22) / bytes(1200)
    assert told(real, frame).frame == bytes(frame)


def test_an_answer_goes_back_by_the_port_and_with_the_tag(real):
    switch = real.switches["left"]
    answer = bytes(Ether(src=PEER, dst=ME) / IP(src="10.0.0.2", dst="10.0.0.1") / TCP(flags="RA"))
    real.came_out()
    switch.packet_out(answer_actions(11, 111, 0, 10), answer)
    assert real.came_out() == {("left", 11): [answer]}
    switch.packet_out(answer_actions(OUTSIDE, 0, OUTSIDE, 10), answer)
    assert real.came_out() == {("left", OUTSIDE): [answer[:12] + bytes.fromhex("8100000a") + answer[12:]]}
    sub_port = 21
    assert SUB_PORTS["left"][sub_port] == (12, 20)
    switch.packet_out(answer_actions(12, ZONES["left"] + sub_port, 0, 10), answer)
    assert real.came_out() == {("left", 12): [answer[:12] + bytes.fromhex("81000014") + answer[12:]]}
    assert PATCH not in (11, OUTSIDE)


@given(st.binary(max_size=200))
def test_whatever_comes_is_a_copy_or_an_error(data):
    for message in (data, struct.pack("!BBHI", 5, PACKET_IN, 8 + len(data), 1) + data):
        with contextlib.suppress(WireError):
            decode_packet_in(message)
