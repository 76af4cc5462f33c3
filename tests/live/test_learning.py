"""Addresses that nobody states, on packets: given by a real DHCP server behind an uplink, or just used."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from ipaddress import ip_address

import pytest

from mininet_scenarios.lab import Lab, LiveGuest
from mininet_scenarios.lab.dhcp import SHORTEST_LEASE, DhcpClient, DhcpServer
from mininet_scenarios.lab.guests import mac_for
from mininet_scenarios.words import blocked, connect, now_cut, reaches, send_frame, sniff, still_open
from tests.topology.exchanges import arp, client4, probe, server4

POLICY = """\
version: 1
vms:
  web: {labels: {role: web}}
  thief: {labels: {role: thief}}
  brief: {labels: {role: brief}}
  loud: {labels: {role: loud}}
  heir: {labels: {role: heir}}
groups:
  guests: {match: has(role)}
policies:
  - name: open
    rules:
      - {name: out, allow: [tcp/80, icmp/echo], from: guests}
      - {name: in, allow: tcp/443, to: guests}
"""


class Place:
    """Two bridges of one hypervisor with a cable between them; dnsmasq outside, behind an uplink of the first.

    web and heir always get the same IPv4 address, brief never gets one.
    """

    def __init__(self, lab: Lab, *learn: str, renewal: int | None = None) -> None:
        self.lab = lab
        self.ovs = lab.ovs()
        options = [word for how in learn for word in ("--portcullis-learn", how)]
        self.controller = lab.controller(POLICY, self.ovs, options=options)
        self.near = self.ovs.add_bridge("br0", controller=self.controller.target)
        self.far = self.ovs.add_bridge("br1", controller=self.controller.target)
        for here, there in (("br0", "br1"), ("br1", "br0")):
            patch = ["type=patch", f"options:peer=to-{here}"]
            self.ovs.vsctl("--", "add-port", here, f"to-{there}", "--", "set", "interface", f"to-{there}", *patch)
        self.router = lab.outside(self.ovs, self.near, "router", ["10.0.0.1/24", "2001:db8::1/64"])
        self.web, self.heir = (lab.guest(self.ovs, self.near, name, []) for name in ("web", "heir"))
        self.controller.start()
        self.controller.wait_enforced(until=self.told("web", lambda vnic: vnic["state"] == "enforced"))
        pools = ("10.0.0.100,10.0.0.200", "2001:db8::100,2001:db8::200,64")
        reserved = {self.web.mac: "10.0.0.50", self.heir.mac: "10.0.0.60", mac_for("brief"): "ignore"}
        self.server = DhcpServer(lab.directory, self.router, pools, reserved, renewal)

    def guest(self, name: str, *addresses: str) -> LiveGuest:
        """Another guest, with addresses that it just takes."""
        guest = self.lab.guest(self.ovs, self.near, name, addresses)
        self.controller.wait_enforced(until=self.told(name, lambda vnic: vnic["state"] == "enforced"))
        return guest

    def client(self, guest: LiveGuest) -> DhcpClient:
        """A guest's DHCP client."""
        return DhcpClient(self.lab.directory, guest)

    @staticmethod
    def told(port: str, fits: Callable[[dict], bool]) -> Callable[[dict], bool]:
        """For the controller's `wait_enforced`: what the status says of a port fits."""
        return lambda status: any(fits(vnic) for vnic in status["vnics"] if vnic["port"] == port)

    def wait_learned(self, name: str, **addresses: str) -> None:
        """Wait until a vNIC has just these addresses, by source, and the switches know."""
        wanted = sorted((source, address) for source, address in addresses.items())

        def has(vnic: dict) -> bool:
            return sorted((entry["source"], entry["address"]) for entry in vnic.get("learned", ())) == wanted

        self.controller.wait_enforced(until=self.told(name, has))

    def learned(self, name: str) -> list[dict]:
        """What the status says that a vNIC has learned."""
        return next(vnic["learned"] for vnic in self.controller.status()["vnics"] if vnic["port"] == name)

    def findings(self) -> set[tuple[str, str]]:
        """What the controller has found: code and port."""
        found = self.controller.status()["findings"]
        return {(each["code"], each["where"].rpartition("/")[2]) for each in found}


@pytest.fixture(scope="module")
def place(module_lab: Lab) -> Iterator[Place]:
    place = Place(module_lab, "dhcp")
    with place.server:
        yield place


def test_a_lease_from_dnsmasq_lives_through_a_restart_and_a_move_until_it_is_given_back(place):
    web, router = place.web, place.router
    with place.client(web) as client:
        four, six = client.get(4), client.get(6)
        assert four == "10.0.0.50"
        place.wait_learned("web", dhcp4=four, dhcp6=six)
        reaches(web, router, "tcp/80")
        reaches(router, web, "tcp/443")
        link = connect(web, router, "tcp/80")
        # The controller dies without a word, and comes back.
        place.controller.kill9()
        still_open(link)
        place.controller.start()
        place.wait_learned("web", dhcp4=four, dhcp6=six)
        still_open(link)
        # The VM moves; nobody asks a DHCP server again.
        asked = place.server.heard("DHCPREQUEST")
        web.unplug()
        web.bridge = place.far
        web.plug()
        place.wait_learned("web", dhcp4=four, dhcp6=six)
        reaches(web, router, "tcp/80")
        assert place.server.heard("DHCPREQUEST") == asked
        # Given back, it is nobody's, and who goes on using it is stopped.
        link = connect(web, router, "tcp/80", over=4)
        client.give_back(4)
        place.wait_learned("web", dhcp6=six)
        now_cut(link)
        blocked(web, router, "icmp/echo", over=4)
        reaches(web, router, "tcp/80", over=6)


def test_who_just_takes_an_address_leased_to_another_reaches_nobody(place):
    with place.client(place.heir) as client:
        four = client.get(4)
        thief = place.guest("thief", f"{four}/24")
        blocked(thief, place.router, "icmp/echo")
        reaches(place.heir, place.router, "tcp/80")
        # Nor does asking for it in the other's name help: the answer is not even looked at.
        send_frame(thief, client4("request", mac=thief.mac, chaddr=place.heir.mac, requested_addr=four))
        place.controller.told(lambda status: ("foreign-hardware", "thief") in place.findings())
        place.wait_learned("thief")


def test_a_lease_ends_by_itself(place):
    brief, router = place.guest("brief", "10.0.0.70/24"), place.router
    blocked(brief, router, "icmp/echo")
    # dnsmasq gives none for less than two minutes, so it is told to leave this guest alone.
    send_frame(brief, client4("request", mac=brief.mac, requested_addr="10.0.0.70"))
    send_frame(router, server4("ack", mac=brief.mac, yiaddr="10.0.0.70", lease=4))
    place.wait_learned("brief", dhcp4="10.0.0.70")
    reaches(brief, router, "tcp/80", within=2)
    place.wait_learned("brief")
    blocked(brief, router, "icmp/echo")


def test_a_guest_that_floods_dhcp_neither_drowns_the_server_nor_keeps_its_neighbour_from_learning(place):
    loud = place.guest("loud")
    before = place.server.heard(f"DHCPDISCOVER(eth0) {loud.mac}")
    began = time.monotonic()
    flood = [client4("discover", xid=number, mac=loud.mac) for number in range(40)]
    for frame in flood:
        send_frame(loud, frame, count=25, rate=2000)
    with place.client(place.heir) as client:
        four = client.get(4)
        place.wait_learned("heir", dhcp4=four)
    seconds = time.monotonic() - began
    heard = place.server.heard(f"DHCPDISCOVER(eth0) {loud.mac}") - before
    assert 0 < heard <= 20 + 10 * (seconds + 1), (heard, seconds)


def test_a_client_that_renews_keeps_its_lease_for_longer(lab):
    """By itself, to its server alone, from the address that it has: nobody hears of a new exchange."""
    place = Place(lab, "dhcp", renewal=3)
    web, router = place.web, place.router
    with place.server, place.client(web) as client:
        four = client.get(4)
        place.wait_learned("web", dhcp4=four)
        (lease,) = place.learned("web")
        began = time.time()
        with sniff(router, {"src": four, "dst": "10.0.0.1", "protocol": 17, "dport": 67}) as renewals:
            link = connect(web, router, "tcp/80", over=4)
            renewals.sees(within=15)
        longer = place.told("web", lambda vnic: vnic["learned"][0]["until"] > lease["until"])
        place.controller.wait_enforced(until=longer)
        (renewed,) = place.learned("web")
        assert {**renewed, "until": 0} == {**lease, "until": 0}
        assert renewed["until"] >= began + SHORTEST_LEASE - 1
        still_open(link)
        assert place.server.heard("DHCPDISCOVER(eth0)") == 1


def test_first_use_gives_way_to_a_lease(lab):
    place = Place(lab, "dhcp", "first-use")
    with place.server, place.client(place.heir) as client:
        thief = place.guest("thief", "10.0.0.60/24")
        reaches(thief, place.router, "tcp/80")
        place.wait_learned("thief", arp="10.0.0.60")
        link = connect(thief, place.router, "tcp/80")
        assert client.get(4) == "10.0.0.60"
        place.wait_learned("heir", dhcp4="10.0.0.60")
        place.wait_learned("thief")
        now_cut(link)
        thief.addresses = (ip_address("10.0.0.60"),)
        blocked(thief, place.router, "icmp/echo")
        assert ("learned-address", "thief") in place.findings()


def test_nobody_gets_a_routers_address_by_using_it_first(lab):
    place = Place(lab, "first-use")
    with place.server:
        router6 = "2001:db8::1"
        mac = place.web.mac
        claims = [arp("10.0.0.1", mac=mac, op=2), probe(router6, mac=mac), arp("10.0.0.9", mac=mac)]
        for frame in claims:
            send_frame(place.web, frame)
        # By the time that the free one has come to count, the others have been objected to.
        place.wait_learned("web", arp="10.0.0.9")
        told = {each["message"] for each in place.controller.status()["findings"]}
        has = f"somebody outside has it (MAC {place.router.mac})"
        assert told == {f"it does not learn {address}: {has}" for address in ("10.0.0.1", router6)}
        with sniff(place.heir, {"src_mac": place.web.mac}) as heard:
            send_frame(place.web, claims[0], count=5)
            heard.sees_nothing(0.3)
