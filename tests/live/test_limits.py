"""Limits of a vNIC, on packets: what a noisy guest may send and open, and what its neighbour notices of it."""

import re

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import ARP, Ether

from mininet_scenarios.lab import Lab, vnics_enforced
from mininet_scenarios.words import many, reaches, send_frame, sniff, stream

POLICY = """
version: 1
vms:
  noisy: {labels: {role: noisy}, addresses: 10.0.0.11}
  quiet: {labels: {role: quiet}, addresses: 10.0.0.12}
  target: {labels: {role: target}, addresses: 10.0.0.13}
limits:
  noisy: {for: {match: role == noisy}, broadcasts: 20, new_connections: 30, fragments: 20}
policies:
  - {name: open, rules: [{allow: any}]}
"""


class Place:
    def __init__(self, lab: Lab) -> None:
        self.ovs = lab.ovs()
        self.controller = lab.controller(POLICY, self.ovs)
        bridge = self.ovs.add_bridge(controller=self.controller.target)
        self.noisy = lab.guest(self.ovs, bridge, "noisy", ["10.0.0.11/24"])
        self.quiet = lab.guest(self.ovs, bridge, "quiet", ["10.0.0.12/24"])
        self.target = lab.guest(self.ovs, bridge, "target", ["10.0.0.13/24"])
        self.controller.start()
        self.controller.wait_enforced(until=vnics_enforced("noisy", "quiet", "target"))

    def entries(self, source: str) -> int:
        """Connections that conntrack remembers of an address."""
        return sum(f"orig=(src={source}," in line.replace("udp,", "") for line in self.ovs.conntrack())


@pytest.fixture(scope="module")
def place(module_lab: Lab) -> Place:
    return Place(module_lab)


def test_broadcasts_beyond_the_limit_reach_nobody(place):
    frame = Ether(src=place.noisy.mac, dst="ff:ff:ff:ff:ff:ff") / ARP(
        op=1, hwsrc=place.noisy.mac, psrc="10.0.0.11", pdst="10.0.0.99"
    )
    with sniff(place.quiet, {"src_mac": place.noisy.mac, "ethertype": 0x0806}) as heard:
        send_frame(place.noisy, bytes(frame), count=1000, rate=1000)
        reaches(place.quiet, place.target, "tcp/80")
        # A second's worth may come at once, and twenty more in each second that the sending takes.
        assert 20 <= heard.count < 300


def test_new_connections_beyond_the_limit_are_not_opened_and_the_neighbour_opens_its_own(place):
    place.ovs.appctl("dpctl/flush-conntrack")
    reaches(place.noisy, place.target, "tcp/80")
    with stream(place.quiet, place.target, "udp/5000", rate=200) as running:
        running.runs(0.3)
        for port in range(1024, 1424):
            datagram = IP(src="10.0.0.11", dst="10.0.0.13") / UDP(sport=port, dport=9)
            send_frame(place.noisy, bytes(Ether(src=place.noisy.mac, dst=place.target.mac) / datagram))
        opened = many(place.quiet, place.target, "tcp/80", 200)
        running.finish()
        assert running.lost == 0
    assert opened.connected == 200
    assert 30 <= place.entries("10.0.0.11") < 300


def test_fragments_beyond_the_limit_are_not_kept_and_the_neighbours_are(place):
    def accepted() -> int:
        """Fragments that conntrack has taken in to put them together."""
        return sum(map(int, re.findall(r"v4 frags accepted: (\d+)", place.ovs.appctl("dpctl/ipf-get-status"))))

    def sends(guest, source: str, count: int) -> int:
        """How many of a guest's lone first fragments are taken in."""
        before = accepted()
        for number in range(count):
            piece = IP(src=source, dst="10.0.0.13", id=number, flags="MF", proto=17) / bytes(1400)
            send_frame(guest, bytes(Ether(src=guest.mac, dst=place.target.mac) / piece))
        reaches(guest, place.target, "tcp/80")
        return accepted() - before

    # A meter holds two seconds' worth; sending takes a moment, too.
    assert 20 <= sends(place.noisy, "10.0.0.11", 300) < 200
    assert sends(place.quiet, "10.0.0.12", 40) == 40


def test_a_limit_changed_in_the_policy_holds_at_once(place):
    place.controller.change_policy(POLICY.replace("new_connections: 30", "new_connections: 5000"))
    place.controller.wait_enforced()
    assert many(place.noisy, place.target, "tcp/80", 300).connected == 300
    place.controller.change_policy(POLICY)
    place.controller.wait_enforced()
