"""Helpers: what an FTP or TFTP connection announces comes through with it, and nothing else does.

Each packet goes through the walker and through a real switch with the same flows; both must say the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_address

import pytest
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from policy.flows import fields as f
from policy.flows.packet import ACK, Packet
from policy.flows.tracker import Tracker
from policy.model import Document, Rule, Verdict
from tests.flows.frames import frame, network_layer
from tests.flows.packets import answer, ip, later, unreachable
from tests.flows.real import Real
from tests.flows.worlds import OUTSIDE, PLACES, World, cidrs, document, mac_of, policy, rule, who

ADDRESSES = {
    "web-1": ("10.0.0.1", "2001:db8::1"), "web-3": ("10.0.0.4", "2001:db8::4"), "db-1": ("10.0.0.3", "2001:db8::3"),
    "outside": ("192.0.2.5", "2001:db8:1::5"),
}  # fmt: skip
# Client and server: on one bridge; on two; only the client here; only the server.
PAIRS = [("web-1", "db-1"), ("web-3", "db-1"), ("web-1", "outside"), ("outside", "db-1")]
CLIENTS = (who("role == web"), cidrs("192.0.2.0/24", "2001:db8:1::/48"))
SERVERS = (who("role == db"), cidrs("192.0.2.0/24", "2001:db8:1::/48"))
HIGH, LOW = 50123, 22
TRUSTED = {(where, port) for where, ports in PLACES.items() for port, vnic in ports.items() if vnic.trusted}


@pytest.fixture(scope="module")
def real() -> Iterator[Real]:
    switch = Real()
    yield switch
    switch.stop()


def helped(terms: str, helper: str) -> Rule:
    made = rule("allow", terms, CLIENTS, SERVERS, "files")
    return replace(made, terms=tuple(replace(term, helper=helper) for term in made.terms))


FTP, TFTP = document(policy("p", helped("tcp/21", "ftp"))), document(policy("p", helped("udp/69", "tftp")))
PLAIN = document(policy("p", rule("allow", "tcp/21 udp/69", CLIENTS, SERVERS, "files")))


class Talk:
    """Two ends that talk, in the walker's world and through the real switch."""

    def __init__(self, real: Real, policy_document: Document, client: str, server: str, family: int = 4) -> None:
        self.real, self.client, self.server, self.family = real, client, server, family
        self.world = World(policy_document)
        real.install(self.world.tables)
        real.forget()

    def change(self, policy_document: Document) -> None:
        self.world.install(policy_document, {})
        self.real.install(self.world.tables)

    def address(self, name: str) -> str:
        return ADDRESSES[name][self.family == 6]

    def packet(
        self, sender: str, receiver: str, protocol: int, source: int, destination: int, **more: object
    ) -> Packet:
        word = {6: "tcp", 17: "udp"}[protocol]
        made = ip(self.address(sender), self.address(receiver), protocol)
        ports = {f"{word}_src": source, f"{word}_dst": destination}
        return replace(made, eth_src=mac_of(sender), eth_dst=mac_of(receiver), **ports, **more)

    def passes(self, sender: str, packet: Packet) -> bool:
        """True if a packet comes out at the other end; the walker and the switch agree on it."""
        arrivals, _ = self.world.send(sender, packet)
        where = place_of(sender)
        data = frame(replace(packet, vlan_vid=0x100A) if sender == "outside" else packet)
        came_out = self.real.send(*where, data)
        # The trusted one is left out: it gets copies until the switch has learned where the outside lives.
        assert {place_of(arrival.at) for arrival in arrivals} - TRUSTED == came_out.keys() - TRUSTED
        other = self.server if sender == self.client else self.client
        return other in {arrival.at for arrival in arrivals}

    def opens(self, sender: str, packet: Packet) -> bool:
        """True if a TCP connection comes about, with a packet in either direction after its handshake."""
        other = self.server if sender == self.client else self.client
        back = replace(answer(packet), tcp_flags=ACK, icmp_id=7)
        steps = ((sender, packet), (sender, packet), (other, answer(packet)), (sender, later(packet)), (other, back))
        return {self.passes(*step) for step in steps} == {True}

    def control(self, port: int = 21) -> Packet:
        """The control connection, established."""
        first = self.packet(self.client, self.server, 6, 40000, port)
        assert self.opens(self.client, first)
        return first

    def says(self, control: Packet, speaker: str, port: int, address: str | None = None) -> bool:
        """The client asks for a connection to its port (PORT, EPRT); the server offers one of its own (227, 229)."""
        number = int(ip_address(address or self.address(speaker)))
        message = later(control) if speaker == self.client else replace(answer(control), tcp_flags=ACK, icmp_id=7)
        return self.passes(speaker, replace(message, announces=(number, port)))

    def data(self, active: bool, port: int = HIGH) -> tuple[str, Packet]:
        """Who opens the data connection, and its first packet."""
        if active:
            return self.server, self.packet(self.server, self.client, 6, 20, port)
        return self.client, self.packet(self.client, self.server, 6, 40001, port)


def place_of(name: str) -> tuple[str, int]:
    found = [(where, port) for where, ports in PLACES.items() for port, vnic in ports.items() if vnic.id == name]
    return found[0] if found else ("left", OUTSIDE)


ways = pytest.mark.parametrize("active", [True, False], ids=["active", "passive"])
pairs = pytest.mark.parametrize(("client", "server"), PAIRS, ids=["-".join(pair) for pair in PAIRS])
families = pytest.mark.parametrize("family", [4, 6])


def announced(talk: Talk, active: bool, port: int = HIGH) -> Packet:
    control = talk.control()
    assert talk.says(control, talk.client if active else talk.server, port)
    return control


@ways
@pairs
@families
def test_what_ftp_agrees_on_comes_through_and_goes_with_its_rule(real, client, server, family, active):
    talk = Talk(real, FTP, client, server, family)
    opener, first = talk.data(active)
    assert not talk.passes(opener, first), "before anybody has spoken of it"
    announced(talk, active)
    other = server if opener == client else client
    assert not talk.passes(opener, replace(first, tcp_dst=HIGH + 1)), "a port that nobody has announced"
    assert talk.opens(opener, first)
    assert talk.passes(other, unreachable(later(first))), "an ICMP error about it"
    for changed in (document(), PLAIN):
        talk.change(changed)
        assert not talk.passes(opener, later(first))
        assert not talk.passes(other, replace(answer(first), tcp_flags=ACK, icmp_id=7))
        # Conntrack tells of an error only the connection over which that was agreed: it goes with that one's rule.
        assert talk.passes(other, unreachable(later(first))) == (changed is PLAIN)
    talk.change(FTP)
    assert talk.passes(opener, later(first))


@ways
@pairs
@families
def test_without_a_helper_nothing_is_expected(real, client, server, family, active):
    talk = Talk(real, PLAIN, client, server, family)
    announced(talk, active)
    opener, first = talk.data(active)
    assert not talk.passes(opener, first)
    talk.change(FTP)
    assert not talk.passes(opener, first), "a connection that was there before its rule had a helper"


@ways
def test_both_sides_must_want_it(real, active):
    """The server's own rule has a helper, the client's has none."""
    plain = rule("allow", "tcp/21", CLIENTS, SERVERS, "out", ingress=False)
    for first_rule, second_rule in (
        (plain, replace(helped("tcp/21", "ftp"), egress=False)),
        (replace(helped("tcp/21", "ftp"), ingress=False), replace(plain, name="in", egress=False, ingress=True)),
    ):
        talk = Talk(real, document(policy("p", first_rule, second_rule)), "web-1", "db-1")
        announced(talk, active)
        assert not talk.passes(*talk.data(active))


@ways
@families
def test_a_child_has_no_children(real, family, active):
    """An expected connection from or to port 21 is not listened to."""
    talk = Talk(real, FTP, "web-1", "db-1", family)
    announced(talk, active)
    opener, first = talk.data(active)
    child = replace(first, tcp_src=21)
    assert talk.opens(opener, child)
    other = talk.server if opener == talk.client else talk.client
    message = replace(answer(child), tcp_flags=ACK, icmp_id=7)
    assert talk.says(later(child), talk.client, HIGH + 7) if opener == talk.client else talk.passes(other, message)
    assert not talk.passes(talk.client, talk.packet(talk.client, talk.server, 6, 40007, HIGH + 7))
    assert not talk.passes(talk.server, talk.packet(talk.server, talk.client, 6, 40007, HIGH + 7))


@ways
@pairs
@families
def test_well_known_ports_are_not_opened(real, client, server, family, active):
    talk = Talk(real, FTP, client, server, family)
    announced(talk, active, LOW)
    assert not talk.passes(*talk.data(active, LOW))


@ways
@pairs
def test_bounces_are_stopped(real, client, server, active):
    """PORT or 227 with the address of a third: the message itself is invalid, and nothing is opened to anybody."""
    talk = Talk(real, FTP, client, server)
    control = talk.control()
    third = "10.0.0.2"
    assert not talk.says(control, client if active else server, HIGH, third)
    sender = server if active else client
    to_third = talk.packet(sender, "web-1", 6, 20, HIGH)
    to_third = replace(to_third, ipv4_dst=int(ip_address(third)), eth_dst=mac_of("web-2"))
    assert not talk.passes(sender, to_third)
    assert not talk.passes(*talk.data(active))


def test_a_bounce_over_ipv6_is_stopped(real):
    talk = Talk(real, FTP, "web-1", "db-1", 6)
    assert not talk.says(talk.control(), "web-1", HIGH, "2001:db8::2")
    assert not talk.passes(*talk.data(True))


def spoken(talk: Talk, control: Packet, speaker: str, words: str) -> None:
    """Whatever one end says on the control connection."""
    message = later(control) if speaker == talk.client else replace(answer(control), tcp_flags=ACK, icmp_id=7)
    macs = {"src": mac_text(message.eth_src), "dst": mac_text(message.eth_dst)}
    talk.real.send(*place_of(speaker), bytes(Ether(**macs) / network_layer(message) / Raw(f"{words}\r\n".encode())))


def mac_text(number: int) -> str:
    return number.to_bytes(6, "big").hex(":")


@pytest.mark.parametrize("speaker", ["web-1", "db-1"])
@pytest.mark.parametrize("form", ["PORT {}", "227 Entering Passive Mode ({}).", "EPRT |2|{}|50123|"])
def test_nobody_can_open_ports_of_the_other_end(real, speaker, form):
    """An end that announces a port of the other's, in words that are its own to say or not: no way to that port."""
    talk = Talk(real, FTP, "web-1", "db-1", 6 if "EPRT" in form else 4)
    control = talk.control()
    other = "db-1" if speaker == "web-1" else "web-1"
    address = talk.address(other)
    spoken(talk, control, speaker, form.format(told(address)))
    assert not talk.passes(speaker, talk.packet(speaker, other, 6, 40001, HIGH))


@families
def test_what_is_said_is_heard(real, family):
    """The words of the test before, from the end that may say them and of itself."""
    talk = Talk(real, FTP, "web-1", "db-1", family)
    words = f"EPRT |2|{talk.address('web-1')}|{HIGH}|" if family == 6 else f"PORT {told(talk.address('web-1'))}"
    spoken(talk, talk.control(), "web-1", words)
    first = frame(talk.packet("db-1", "web-1", 6, 20, HIGH))
    assert real.send(*place_of("db-1"), first).keys() == {place_of("web-1")}


@pytest.mark.parametrize(("family", "words"), [(4, "EPRT |1|10.0.0.1|50123|"), (6, "PORT 10,0,0,1,195,203")])
def test_what_the_userspace_datapath_does_not_read_opens_nothing(real, family, words):
    talk = Talk(real, FTP, "web-1", "db-1", family)
    spoken(talk, talk.control(), "web-1", words)
    assert not talk.passes("db-1", talk.packet("db-1", "web-1", 6, 20, HIGH))


def told(address: str) -> str:
    """An address as FTP tells it, over IPv4 with the port."""
    return address if ":" in address else f"{address.replace('.', ',')},{HIGH >> 8},{HIGH & 255}"


def test_ftp_at_another_port_is_not_understood_by_the_userspace_datapath(real):
    talk = Talk(real, document(policy("p", helped("tcp/2121", "ftp"))), "web-1", "db-1")
    control = talk.control(2121)
    assert talk.says(replace(control), "db-1", HIGH)
    assert not talk.passes(*talk.data(False))


def test_tftp_at_another_port_is(real):
    talk = Talk(real, document(policy("p", helped("udp/6969", "tftp"))), "web-1", "db-1")
    request = talk.packet("web-1", "db-1", 17, 40000, 6969)
    real.send(*place_of("web-1"), frame(request))
    block = talk.packet("db-1", "web-1", 17, 40100, 40000)
    assert real.send(*place_of("db-1"), frame(block)).keys() == {place_of("web-1")}


@pairs
@families
def test_tftp_comes_through_and_goes_with_its_rule(real, client, server, family):
    talk = Talk(real, TFTP, client, server, family)
    request = talk.packet(client, server, 17, 40000, 69)
    block = talk.packet(server, client, 17, 40100, 40000)
    acknowledged = talk.packet(client, server, 17, 40000, 40100)
    assert not talk.passes(server, block)
    assert talk.passes(client, request)
    assert talk.passes(server, block)
    assert talk.passes(server, block)
    assert talk.passes(client, acknowledged)
    assert not talk.passes(server, replace(block, udp_dst=40001))
    for changed in (document(), PLAIN):
        talk.change(changed)
        assert not talk.passes(server, block)
        assert not talk.passes(client, acknowledged)


def test_without_a_helper_tftp_is_answered_from_port_69_only(real):
    talk = Talk(real, PLAIN, "web-1", "db-1")
    assert talk.passes("web-1", talk.packet("web-1", "db-1", 17, 40000, 69))
    assert not talk.passes("db-1", talk.packet("db-1", "web-1", 17, 40100, 40000))
    assert talk.passes("db-1", talk.packet("db-1", "web-1", 17, 69, 40000))


HELPED_TABLES = ("EGRESS_HELPED", "INGRESS_HELPED")


def helping(policy_document: Document) -> set[str]:
    """The tables on any bridge that know a service with a helper."""
    tables = World(policy_document).tables.values()
    return {item.table.name for flows in tables for item in flows.values()} & {*HELPED_TABLES}


@pytest.mark.parametrize("verdict", [Verdict.DENY, Verdict.REJECT, Verdict.PASS])
def test_only_rules_that_allow_help(verdict):
    made = helped("tcp/21", "ftp")
    assert helping(document(policy("p", made))) == {*HELPED_TABLES}
    assert helping(document(policy("p", replace(made, ingress=False)))) == {"EGRESS_HELPED"}
    assert not helping(document(policy("p", replace(made, verdict=verdict))))
    assert not helping(document(policy("p", replace(made, at=(who("vm.name == nobody"),)))))
    assert not helping(document(replace(policy("p", made), audit=True)))


@ways
def test_any_with_a_helped_service_in_one_rule_helps_that_service_alone(real, active):
    """Of a rule with wider terms, only what has a helper is committed with one."""
    made = helped("tcp/21", "ftp")
    mixed = replace(made, terms=(*made.terms, *rule("allow", "any").terms))
    talk = Talk(real, document(policy("p", mixed)), "web-1", "db-1")
    for port, expected in ((21, True), (2121, False)):
        first = talk.packet("web-1", "db-1", 6, 40000, port)
        assert talk.passes("web-1", first)
        zone, opening = next(key for key in talk.world.trackers["left"].connections if key[1].second == port)
        known = talk.world.trackers["left"].connections[zone, opening]
        assert (known.helper, known.mark) == ("ftp" if expected else None, f.MARK_OURS | f.MARK_OPENER)
    talk = Talk(real, document(policy("p", mixed)), "web-1", "db-1")
    announced(talk, active)
    assert talk.opens(*talk.data(active)) is True


def test_the_model_of_conntrack_reads_only_what_a_helper_was_set_for():
    """An announcement on a connection that was committed without a helper is mere text."""
    first = replace(ip("10.0.0.1", "10.0.0.3", 6), tcp_src=40000, tcp_dst=21)
    announcement = replace(first, tcp_flags=ACK, announces=(first.ipv4_src, HIGH))
    assert not Tracker().commit(1, first).look(1, announcement)[0].expected
    assert Tracker().commit(1, first, helper="ftp").look(1, announcement)[0].expected
