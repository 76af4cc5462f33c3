"""What the firewall tells while it works: rejections, the log in a file and over syslog, counters and metrics."""

import json
import re
import select
import socket
import time
import urllib.parse

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from mininet_scenarios.lab import Lab, vnics_enforced
from mininet_scenarios.words import blocked, connect, many, now_cut, reaches, rejected, send_frame, still_open

VMS = """
version: 1
vms:
  web: {labels: {role: web}, addresses: [10.0.0.11, "2001:db8::11"]}
  db:  {labels: {role: db}, addresses: [10.0.0.21, "2001:db8::21"]}
groups: {web: {match: role == web}, db: {match: role == db}}
"""
POLICY = VMS + """
policies:
  - name: shop
    rules:
      - {name: sql, allow: tcp/3306, from: web, to: db, log: true}
      - {name: no-ssh, reject: [tcp/22, udp/22], from: any, to: db, direction: in}
      - {name: ping, allow: icmp/echo}
      - {name: out, allow: [tcp/22, udp/22], from: any, to: any, direction: out}
  - name: trial
    mode: audit
    rules: [{name: tight, deny: tcp/3306, to: db, direction: in}]
"""


class Told:
    """The log file, read on from where it was read last."""

    def __init__(self, path):
        self.path = path
        self.seen = []

    def wait(self, **wanted):
        """The first line with these values, old or new."""
        deadline = time.monotonic() + 15
        while time.monotonic() < deadline:
            if self.path.exists():
                self.seen = [json.loads(line) for line in self.path.read_text().splitlines()]
            for line in self.seen:
                if all(line.get(key) == value for key, value in wanted.items()):
                    return line
            select.select([], [], [], 0.05)
        raise AssertionError(f"no line with {wanted} among {len(self.seen)}; the last: {self.seen[-3:]}")

    def count(self, **wanted):
        return sum(all(line.get(key) == value for key, value in wanted.items()) for line in self.seen)


class Place:
    """Two vNICs, an outside host, and a controller that logs."""

    def __init__(self, lab: Lab) -> None:
        self.ovs = lab.ovs()
        self.log = Told(self.ovs.run_dir / "decisions.log")
        self.syslog = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.syslog.bind(str(self.ovs.run_dir / "syslog"))
        self.syslog.settimeout(15)
        options = ["--portcullis-log", f"file:{self.log.path}"]
        options += ["--portcullis-log", f"syslog:unix:{self.ovs.run_dir}/syslog", "--portcullis-uplink", "eth0"]
        self.controller = lab.controller(POLICY, self.ovs, options=options)
        bridge = self.ovs.add_bridge(controller=self.controller.target)
        self.bridge = bridge
        self.web = lab.guest(self.ovs, bridge, "web", ["10.0.0.11/24", "2001:db8::11/64"])
        self.db = lab.guest(self.ovs, bridge, "db", ["10.0.0.21/24", "2001:db8::21/64"])
        self.client = lab.outside(self.ovs, bridge, "eth0", ["10.0.0.99/24", "2001:db8::99/64"])
        self.controller.start()
        self.controller.wait_enforced(until=vnics_enforced("web", "db"))

    def counters(self):
        return self.controller.get("/counters")


@pytest.fixture(scope="module")
def place(module_lab: Lab):
    made = Place(module_lab)
    yield made
    made.syslog.close()


@pytest.mark.parametrize("service", ["tcp/22", "udp/22"])
@pytest.mark.parametrize("who", ["web", "client"])
def test_what_a_rule_rejects_is_refused_at_once(place, who, service):
    rejected(getattr(place, who), place.db, service)


def test_an_allowed_connection_is_logged_once_with_its_rule_and_place(place):
    link = connect(place.web, place.db, "tcp/3306", over=4)
    still_open(link)
    egress = place.log.wait(event="connection", side="egress", rule="sql", src="10.0.0.11", source_port=link.port)
    assert (egress["vnic"], egress["vm"], egress["peer_vm"], egress["service"]) == ("web/web", "web", "db", "tcp/3306")
    assert egress["file"].endswith(".yaml") and egress["verdict"] == "allow" and egress["tier"] == "application"
    place.log.wait(event="connection", side="ingress", rule="sql", vm="db", source_port=link.port)
    place.log.wait(event="audit", side="ingress", policy="trial", verdict="deny", source_port=link.port)
    still_open(link)
    assert place.log.count(event="connection", source_port=link.port) == 2
    link.close()


def test_what_no_rule_allows_and_what_is_forged_is_logged_with_the_vnic(place):
    blocked(place.web, place.db, "tcp/80", control="tcp/3306")
    line = place.log.wait(event="connection", tier="default", service="tcp/80", vm="web")
    assert line["verdict"] == "deny"
    mac = bytes.fromhex(place.web.mac.replace(":", ""))
    forged = bytes.fromhex("ffffffffffff") + mac + bytes.fromhex("0800450000140000000040000000c0000201c0000202")
    send_frame(place.web, forged)
    line = place.log.wait(event="drop", reason="spoofed-source", forged_address="192.0.2.1")
    assert (line["vnic"], line["port"]) == ("web/web", "web")


def test_syslog_gets_the_same(place):
    blocked(place.db, place.web, "tcp/81", control="icmp/echo")
    while b'"service":"tcp/81"' not in (message := place.syslog.recv(65536)):
        pass
    assert message.startswith(b"<133>1 ") and b" portcullis " in message


def test_what_becomes_of_the_firewall_itself_is_in_the_log(place):
    enforced = place.log.wait(event="bridge", state="enforced")
    loaded = place.log.wait(event="policy", state="loaded")
    assert enforced["revision"] == loaded["revision"] == place.controller.status()["policy"]["revision"]
    for event, state in (("controller", "enforcing"), ("bridge", "connected"), ("bridge", "master")):
        place.log.wait(event=event, state=state)
    assert place.log.wait(event="vnic", state="enforced", vnic="web/web")["port"] == "web"
    # Somebody opens the bridge; it is told and put back.
    place.ovs.ofctl("add-flow", place.bridge, "table=0,priority=65535,cookie=0x1,actions=NORMAL")
    found = place.log.wait(event="drift", state="found")
    assert (found["added"], found["bridge"], found["reason"][:15]) == (1, place.bridge, "added: CLASSIFY")
    place.log.wait(event="drift", state="repaired", before="found")
    place.ovs.vsctl("set", "interface", "db", "external_ids:iface-status=inactive")
    assert "inactive" in place.log.wait(event="vnic", state="shut", before="enforced", vnic="db/db")["reason"]
    place.ovs.vsctl("set", "interface", "db", "external_ids:iface-status=active")
    place.log.wait(event="vnic", state="enforced", before="shut", vnic="db/db")


def test_counters_are_exact_and_metrics_say_the_same(place):
    before = {row["name"]: row["packets"] for row in place.counters()["rules"]}
    datagram = Ether(src=place.web.mac, dst=place.db.mac) / IP(src="10.0.0.11", dst="10.0.0.21") / UDP(dport=22)
    for _ in range(150):
        send_frame(place.web, bytes(datagram))
    # The switch gathers its datapath's counters twice a second.
    place.ovs.settle()
    after = {row["name"]: row["packets"] for row in place.counters()["rules"]}
    # Each of them is allowed out of web and rejected at db.
    assert after["shop/no-ssh"] - before["shop/no-ssh"] == 150
    assert after["shop/out"] - before["shop/out"] == 150
    status, body = place.controller.request("GET", "/metrics")
    assert status == 200
    line = rf'portcullis_rule_packets_total{{.*rule="shop/out",side="egress".*}} {after["shop/out"]}\.0'
    assert re.search(line, body.decode()), body.decode()
    drops = {row["reason"]: row["packets"] for row in place.counters()["drops"]}
    assert drops["spoofed-source"] >= 1


def test_a_flood_of_refusals_costs_the_neighbours_nothing(place):
    link = connect(place.web, place.db, "tcp/3306", over=4)
    told = many(place.client, place.db, "tcp/22", 500, over=4)
    assert told.connected == 0
    still_open(link)
    link.close()
    reaches(place.web, place.db, "tcp/3306", over=4)


def test_a_rule_that_is_rejected_later_cuts_what_stands(place):
    link = connect(place.web, place.db, "tcp/3306", over=4)
    place.controller.change_policy(POLICY.replace("allow: tcp/3306, from", "reject: tcp/3306, from"))
    place.controller.wait_enforced()
    now_cut(link)
    rejected(place.web, place.db, "tcp/3306", over=4)
    place.controller.change_policy(POLICY)
    place.controller.wait_enforced()
    reaches(place.web, place.db, "tcp/3306")
    assert urllib.parse.urlsplit(place.controller.url).hostname == "127.0.0.1"
