"""How many connections a vNIC may have at one time, on packets: where the switch can limit them, and where it cannot.

Which of the two it is, the schema says that the switch's database was made of; the status must say the same.
"""

from __future__ import annotations

import json
import re

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from mininet_scenarios.lab import Lab, vnics_enforced
from mininet_scenarios.lab.ovs import SCHEMA
from mininet_scenarios.words import many, reaches, send_frame
from ryu_apps.connection_limits import OLD_SWITCH
from ryu_apps.ovsdb_replica import has_limits

LIMITED = has_limits(json.loads(SCHEMA.read_text()))
FEW = 20
POLICY = f"""
version: 1
vms:
  noisy: {{labels: {{role: noisy}}, addresses: 10.0.0.11}}
  quiet: {{labels: {{role: quiet}}, addresses: 10.0.0.12}}
limits:
  noisy: {{for: {{match: role == noisy}}, connections: {FEW}}}
policies:
  - {{name: open, rules: [{{allow: any}}]}}
"""


class Place:
    def __init__(self, lab: Lab) -> None:
        self.ovs = lab.ovs()
        self.controller = lab.controller(POLICY, self.ovs)
        bridge = self.ovs.add_bridge(controller=self.controller.target)
        self.noisy = lab.guest(self.ovs, bridge, "noisy", ["10.0.0.11/24"])
        self.quiet = lab.guest(self.ovs, bridge, "quiet", ["10.0.0.12/24"])
        self.outside = lab.outside(self.ovs, bridge, "outside", ["10.0.0.99/24"])
        self.controller.start()
        self.controller.wait_enforced(until=vnics_enforced("noisy", "quiet"))

    def vnic(self, port: str) -> dict:
        return next(vnic for vnic in self.controller.status()["vnics"] if vnic["port"] == port)

    def entries(self, port: str) -> int:
        """Connections that conntrack remembers in a vNIC's zone."""
        zone = f"zone={self.vnic(port)['zone']}"
        return sum(zone in line.replace("(", ",").replace(")", ",").split(",") for line in self.ovs.conntrack())

    def floods(self, guest, source: str, count: int) -> None:
        """A guest opens many connections to the outside that nobody answers."""
        for port in range(2000, 2000 + count):
            datagram = IP(src=source, dst="10.0.0.99") / UDP(sport=port, dport=9)
            send_frame(guest, bytes(Ether(src=guest.mac, dst=self.outside.mac) / datagram))

    def empty(self) -> None:
        self.ovs.appctl("dpctl/flush-conntrack")


@pytest.fixture(scope="module")
def place(module_lab: Lab) -> Place:
    return Place(module_lab)


def test_the_status_says_whether_it_is_enforced(place):
    limits = {port: place.vnic(port)["connections"] for port in ("noisy", "quiet")}
    assert {port: limit["limit"] for port, limit in limits.items()} == {"noisy": FEW, "quiet": 100_000}
    assert {limit["enforced"] for limit in limits.values()} == {LIMITED}
    assert {limit["reason"] for limit in limits.values()} == {None if LIMITED else OLD_SWITCH}
    _, body = place.controller.request("GET", "/metrics")
    found = re.findall(r'connection_limits\{bridge="[^"]*",enforced="(.*)"\} 2.0', body.decode())
    assert found == ["yes" if LIMITED else "no"]


def connects(place, one, other) -> bool:
    """True if both can open connections to each other, False if neither can."""
    outcomes = {many(*path, "tcp/80", 3).connected for path in ((one, other), (other, one))}
    assert outcomes in ({0}, {3}), outcomes
    return outcomes == {3}


def test_a_guest_over_its_limit_opens_no_more_and_its_neighbour_does(place):
    place.empty()
    reaches(place.noisy, place.outside, "tcp/81")
    place.floods(place.noisy, "10.0.0.11", 60)
    place.floods(place.quiet, "10.0.0.12", 60)
    assert place.entries("noisy") == (FEW if LIMITED else 61)
    assert place.entries("quiet") == 60
    assert connects(place, place.noisy, place.outside) is not LIMITED
    assert connects(place, place.quiet, place.outside)
    # What two vNICs of the bridge open to each other is in their network's zone.
    assert connects(place, place.noisy, place.quiet)


def test_it_holds_while_the_controller_is_away_and_when_the_switch_starts_anew(place):
    place.controller.kill9()
    place.ovs.kill9()
    place.ovs.start_daemon()
    place.controller.start()
    place.controller.wait_enforced(until=vnics_enforced("noisy", "quiet"))
    reaches(place.noisy, place.outside, "tcp/81", within=10)
    place.floods(place.noisy, "10.0.0.11", 60)
    assert place.entries("noisy") == (FEW if LIMITED else 61)
    assert connects(place, place.noisy, place.outside) is not LIMITED


def test_a_limit_changed_in_the_policy_holds_for_what_comes_then(place):
    place.controller.change_policy(POLICY.replace(f"connections: {FEW}", "connections: 1000"))
    place.controller.wait_enforced()
    assert connects(place, place.noisy, place.outside)
    place.controller.change_policy(POLICY)
    place.controller.wait_enforced()
    assert connects(place, place.noisy, place.outside) is not LIMITED
    place.empty()
    assert connects(place, place.noisy, place.outside)
