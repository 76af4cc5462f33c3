"""A trunk with real packets: one port, three vNICs; each in its network, by its own policy.

app's port carries app (no tag, VLAN 10), app-30 (tag 30, VLAN 20) and app-31 (tag 31, VLAN 10 again). near and far are
vNICs of VLAN 10 and 20, client is outside in VLAN 20.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import ARP, Dot1AD, Dot1Q, Ether
from scapy.packet import Packet

from mininet_scenarios.lab import Lab, LiveGuest
from mininet_scenarios.lab.controller import vnics_enforced
from mininet_scenarios.lab.dhcp import DhcpClient, DhcpServer
from mininet_scenarios.lab.trunk import Trunk
from mininet_scenarios.words import (
    blocked,
    connect,
    now_cut,
    reaches,
    rejected,
    send_frame,
    sniff,
    still_open,
    stream,
)

MAC = {0: "52:54:00:00:10:01", 30: "52:54:00:00:10:30", 31: "52:54:00:00:10:31"}
ADDRESS = {0: "10.0.10.1", 30: "10.0.20.1", 31: "10.0.10.2"}
NEAR, FAR, CLIENT = "10.0.10.9", "10.0.20.9", "10.0.20.99"
OWN = {
    30: f'addresses: ["{ADDRESS[30]}", "2001:db8:20::1"]',
    31: f'addresses: ["{ADDRESS[31]}", "2001:db8:10::2"]',
}
ALL = "ff:ff:ff:ff:ff:ff"

POLICY = f"""\
version: 1
networks: {{prod: {{vlan: 10}}, lab: {{vlan: 20}}}}
vms:
  app:
    labels: {{role: app}}
    vnics:
      - {{iface_id: app, mac: "{MAC[0]}", addresses: ["{ADDRESS[0]}", "2001:db8:10::1"], network: prod}}
      - {{iface_id: app-30, parent: app, vlan: 30, network: lab, mac: "{MAC[30]}", {OWN[30]}}}
      - {{iface_id: app-31, parent: app, vlan: 31, network: prod, mac: "{MAC[31]}", {OWN[31]}}}
  near: {{labels: {{role: near}}, addresses: ["{NEAR}", "2001:db8:10::9"]}}
  far: {{labels: {{role: far}}, addresses: ["{FAR}", "2001:db8:20::9"]}}
groups:
  app: {{match: "role == app"}}
  plain: {{match: "vnic.id == app"}}
  lab-leg: {{match: "vnic.id == app-30"}}
  prod-leg: {{match: "vnic.id == app-31"}}
policies:
  - name: trunk
    rules:
      - {{name: no, reject: tcp/23, from: lab-leg, direction: out, log: true}}
      - {{name: in, allow: [tcp/80, icmp/echo], to: app}}
      - {{name: out, allow: [tcp/443, tcp/23, udp/5000], from: lab-leg}}
      - {{name: own, allow: tcp/8080, from: plain, to: prod-leg}}
      - {{name: answers, allow: any, to: {{match: "role in (near, far)"}}, direction: in}}
      - {{name: asks, allow: any, from: {{match: "role in (near, far)"}}, direction: out}}
"""
IDS = {"iface-id": "app", "attached-mac": MAC[0], "iface-status": "active"}


class Place:
    """The network, enforced."""

    def __init__(self, lab: Lab, policy: str = POLICY, **columns: str) -> None:
        self.lab, self.ovs = lab, lab.ovs()
        self.log = self.ovs.run_dir / "decisions.log"
        options = ["--portcullis-bridge", "br0", "--portcullis-log", f"file:{self.log}"]
        self.controller = lab.controller(policy, self.ovs, options=options)
        self.bridge = self.ovs.add_bridge("br0", controller=self.controller.target)
        self.near = lab.guest(self.ovs, self.bridge, "near", [f"{NEAR}/24", "2001:db8:10::9/64"], tag=10)
        self.far = lab.guest(self.ovs, self.bridge, "far", [f"{FAR}/24", "2001:db8:20::9/64"], tag=20)
        self.client = lab.outside(self.ovs, self.bridge, "client", [f"{CLIENT}/24", "2001:db8:20::99/64"], tag=20)
        self.trunk = Trunk(lab, self.ovs, self.bridge, "app")
        for tag, six in ((0, "2001:db8:10::1/64"), (30, "2001:db8:20::1/64"), (31, "2001:db8:10::2/64")):
            self.trunk.leg(tag, [f"{ADDRESS[tag]}/24", six], MAC[tag])
        self.trunk.plug(IDS, **(columns or {"tag": "10"}))
        self.controller.start()
        self.controller.wait_enforced(60.0, until=vnics_enforced("near", "far"))

    @property
    def wire(self) -> LiveGuest:
        return self.trunk.wire

    def leg(self, tag: int) -> LiveGuest:
        return self.trunk.legs[tag]

    def vnics(self) -> dict[str, dict]:
        """What the status says, by port."""
        return {vnic["port"]: vnic for vnic in self.controller.status()["vnics"]}

    def told(self, **wanted: object) -> dict:
        """The next line of the log with these values."""
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            for line in map(json.loads, self.log.read_text().splitlines() if self.log.exists() else ()):
                if {key: line.get(key) for key in wanted} == wanted:
                    return line
            time.sleep(0.05)
        raise AssertionError(f"nobody is told of {wanted}")


@pytest.fixture(scope="module")
def the_place(module_lab: Lab) -> Place:
    return Place(module_lab)


@pytest.fixture
def place(the_place: Place) -> Iterator[Place]:
    yield the_place
    the_place.controller.change_policy(POLICY)
    the_place.controller.wait_enforced()


@pytest.mark.parametrize("family", [4, 6])
def test_each_vnic_speaks_in_its_own_network_as_its_own_policy_says(place, family):
    for tag, peer in ((0, place.near), (31, place.near), (30, place.far), (30, place.client)):
        reaches(peer, place.leg(tag), "tcp/80", over=family)
        blocked(peer, place.leg(tag), "tcp/22", over=family, watch=0.3)
    reaches(place.leg(30), place.far, "tcp/443", over=family)
    reaches(place.leg(30), place.client, "tcp/443", over=family)
    blocked(place.leg(0), place.near, "tcp/443", over=family, watch=0.3)
    blocked(place.leg(31), place.near, "tcp/443", over=family, watch=0.3)


def test_a_guests_own_vnics_are_strangers_unless_policy_says_otherwise(place):
    reaches(place.leg(0), place.leg(31), "tcp/8080")
    blocked(place.leg(31), place.leg(0), "tcp/8080", watch=0.3)
    blocked(place.leg(0), place.leg(31), "tcp/443", watch=0.3)


def test_frames_bear_the_tag_once(place):
    with sniff(place.wire, {"src_mac": place.far.mac}) as seen:
        reaches(place.leg(30), place.far, "tcp/443", over=4)
        seen.sees(1)
        frames = seen.frames
    assert {frame[12:18].hex() for frame in frames} <= {"8100001e0800", "8100001e0806"}
    with sniff(place.far, {"src_mac": MAC[30]}) as there:
        reaches(place.leg(30), place.far, "tcp/443", over=4)
        there.sees(1)
        assert {frame[12:14].hex() for frame in there.frames} <= {"0800", "0806"}


def test_copies_come_once_and_with_the_right_tag(place):
    ask = Ether(src=place.near.mac, dst=ALL) / ARP(op=1, hwsrc=place.near.mac, psrc=NEAR, pdst=ADDRESS[31])
    with sniff(place.wire, contains=bytes(ask)[14:]) as wire, sniff(place.leg(30), contains=bytes(ask)[14:]) as other:
        send_frame(place.near, bytes(ask))
        wire.sees(2)
        blocked(place.near, place.leg(0), "tcp/22", watch=0.3, over=4)
        assert sorted(frame[12:16].hex() for frame in wire.frames) == ["08060001", "8100001f"]
        other.sees_nothing(0.1)


def test_a_vnics_own_broadcast_comes_to_the_guests_others_and_not_back(place):
    mine = Ether(src=MAC[31], dst=ALL) / ARP(op=1, hwsrc=MAC[31], psrc=ADDRESS[31], pdst=ADDRESS[0])
    with sniff(place.wire, contains=bytes(mine)[14:]) as wire, sniff(place.near, contains=bytes(mine)[14:]) as near:
        send_frame(place.leg(31), bytes(mine))
        near.sees(1)
        wire.sees(1)
        blocked(place.near, place.leg(0), "tcp/22", watch=0.3, over=4)
        assert [frame[12:14].hex() for frame in wire.frames] == ["0806"]


FOREIGN, FORGED = "unknown-port-or-mac", "spoofed-source"


def _tagged(mac: str, *heads: Packet) -> Packet:
    frame: Packet = Ether(src=mac, dst=ALL)
    for head in heads:
        frame /= head
    return frame


@pytest.mark.parametrize(
    ("head", "source", "reason", "vnic", "tag"),
    [
        (_tagged(MAC[30], Dot1Q(vlan=99)), ADDRESS[30], FOREIGN, "app/app", 99),
        (_tagged(MAC[30], Dot1Q(vlan=20)), ADDRESS[30], FOREIGN, "app/app", 20),
        (_tagged(MAC[0], Dot1Q(vlan=0)), ADDRESS[0], FOREIGN, "app/app", 0),
        (_tagged(MAC[0], Dot1Q(vlan=30)), ADDRESS[30], FOREIGN, "app/app-30", 30),
        (_tagged(MAC[30]), ADDRESS[30], FOREIGN, "app/app", None),
        (_tagged(MAC[30], Dot1Q(vlan=99), Dot1Q(vlan=30)), ADDRESS[30], FOREIGN, "app/app", 99),
        (_tagged(MAC[30], Dot1Q(vlan=30), Dot1Q(vlan=31)), ADDRESS[30], FORGED, "app/app-30", 31),
        (_tagged(MAC[30], Dot1Q(vlan=30), Dot1AD(vlan=20)), ADDRESS[30], FORGED, "app/app-30", 20),
        (_tagged(MAC[30], Dot1Q(vlan=30)), ADDRESS[0], FORGED, "app/app-30", None),
        (_tagged(MAC[30], Dot1Q(vlan=30)), FAR, FORGED, "app/app-30", None),
    ],
    ids=str,
)
def test_what_is_no_vnics_own_reaches_nobody_and_is_told(place, head, source, reason, vnic, tag):
    frame = head / IP(src=source, dst="255.255.255.255") / UDP(sport=9, dport=9) / b"who-am-i"
    with (
        sniff(place.near, contains=b"who-am-i") as near,
        sniff(place.far, contains=b"who-am-i") as far,
        sniff(place.client, contains=b"who-am-i") as client,
    ):
        send_frame(place.wire, bytes(frame))
        line = place.told(event="drop", reason=reason, vnic=vnic, tag=tag)
        reaches(place.near, place.leg(0), "tcp/80", over=4)
        for there in (near, far, client):
            there.sees_nothing(0.1)
    assert (line["vm"], line["bridge"]) == ("app", "br0")


def test_a_rejection_comes_back_with_the_tag(place):
    with sniff(place.wire, {"vlan": 30, "sport": 23}) as wire:
        rejected(place.leg(30), place.far, "tcp/23", over=4)
        wire.sees(1)
        assert {frame[12:16].hex() for frame in wire.frames} == {"8100001e"}
    rejected(place.leg(30), place.client, "tcp/23", over=6)
    assert place.told(event="connection", vnic="app/app-30", rule="no")["verdict"] == "reject"


def test_a_change_cuts_one_vnic_and_leaves_the_others(place):
    lab = connect(place.leg(30), place.far, "tcp/443")
    prod, own = connect(place.near, place.leg(31), "tcp/80"), connect(place.leg(0), place.leg(31), "tcp/8080")
    for link in (lab, prod, own):
        still_open(link)
    place.controller.change_policy(POLICY.replace("tcp/443, tcp/23, udp/5000", "tcp/23"))
    place.controller.wait_enforced()
    now_cut(lab)
    still_open(prod)
    still_open(own)


def test_each_has_a_zone_of_its_own_and_the_status_says_which(place):
    vnics = place.vnics()
    told = {port: tuple(vnic.get(key) for key in ("vnic", "tag", "vlan", "state")) for port, vnic in vnics.items()}
    assert told["app"] == ("app/app", None, 10, "enforced")
    assert told["app.30"] == ("app/app-30", 30, 20, "enforced")
    assert told["app.31"] == ("app/app-31", 31, 10, "enforced")
    keys = [f'external_ids:"portcullis-zone{tag}"' for tag in ("", ".30", ".31")]
    kept = [place.ovs.vsctl("get", "interface", "app", key) for key in keys]
    zones = [str(vnics[port]["zone"]) for port in ("app", "app.30", "app.31")]
    assert [zone.strip('"') for zone in kept] == zones and len(set(zones)) == 3


def test_a_restarted_controller_loses_nothing(place):
    link = connect(place.leg(30), place.far, "tcp/443")
    with stream(place.leg(30), place.far, "udp/5000", rate=200, over=4) as running:
        place.controller.kill9()
        place.controller.start()
        place.controller.wait_enforced(until=vnics_enforced("app", "app.30", "app.31"))
        bridges = place.controller.status()["bridges"]
        assert [bridge["flow_mods"] for bridge in bridges] == [0]
        assert running.finish().lost == 0, running.counts()
    still_open(link)
    blocked(place.leg(0), place.near, "tcp/443", watch=0.3)


def test_a_sub_port_that_goes_takes_nothing_along_and_leaves_nothing(place):
    """Somebody else's vNIC by the same tag of the same port inherits no connection."""
    link = connect(place.leg(30), place.far, "tcp/443", over=4)
    other = connect(place.near, place.leg(31), "tcp/80", over=4)
    without = POLICY.replace("iface_id: app-30, parent: app, vlan: 30", "iface_id: app-32, parent: app, vlan: 32")
    place.controller.change_policy(without)
    place.controller.wait_enforced()
    now_cut(link)
    still_open(other)
    blocked(place.far, place.leg(30), "tcp/80", over=4, watch=0.3)
    heir = POLICY.replace("iface_id: app-30", "iface_id: app-new").replace(MAC[30], "52:54:00:00:10:99")
    place.controller.change_policy(heir)
    place.controller.wait_enforced(until=vnics_enforced("app.30"))
    now_cut(link)


UNDECLARED = "\n".join(line for line in POLICY.splitlines() if "parent: app" not in line)


def test_a_trunk_that_nobody_has_declared_stays_shut_and_says_how(lab):
    place = Place(lab, UNDECLARED, tag="10", trunks="30,31", vlan_mode="native-untagged")
    port = place.vnics()["app"]
    assert (port["state"], port["code"]) == ("isolated", "trunk")
    assert "each VLAN needs a sub-port in the inventory, a vNIC with `parent` and `vlan`" in port["reason"]
    for tag, peer in ((0, place.near), (31, place.near), (30, place.far)):
        blocked(peer, place.leg(tag), "tcp/80", over=4, watch=0.3)
    place.controller.change_policy(POLICY)
    place.controller.wait_enforced(until=vnics_enforced("app", "app.30", "app.31"))
    for tag, peer in ((0, place.near), (31, place.near), (30, place.far)):
        reaches(peer, place.leg(tag), "tcp/80", over=4)


def test_a_sub_port_learns_its_address_from_a_dhcp_server(lab):
    """As any other vNIC; kept in OVSDB under a key of its own, and known again after a restart."""
    place = Place(lab, POLICY.replace(f", {OWN[30]}", ""))
    leg = place.leg(30)
    for address in (f"{ADDRESS[30]}/24", "2001:db8:20::1/64"):
        leg.run("ip", "address", "del", address, "dev", "eth0")
    blocked(place.far, leg, "tcp/80", over=4, watch=0.3)
    server = DhcpServer(lab.directory, place.client, [f"{CLIENT},{CLIENT}"], {MAC[30]: "10.0.20.50"})
    with server, DhcpClient(lab.directory, leg) as client:
        client.get(4)
        told = place.controller.wait_enforced(until=lambda status: learned(status, "app.30") == ["10.0.20.50"])
        assert [learned(told, port) for port in ("app", "app.31")] == [[], []]
        reaches(place.far, "10.0.20.50", "tcp/80", over=4)
        kept = place.ovs.vsctl("get", "interface", "app", 'external_ids:"portcullis-learned.30"')
        assert kept.strip('"').startswith(f"{MAC[30]} ")


def learned(status: dict, port: str) -> list[str]:
    """The addresses that a port's vNIC has learned."""
    (vnic,) = (vnic for vnic in status["vnics"] if vnic["port"] == port)
    return [entry["address"] for entry in vnic.get("learned", ())]
