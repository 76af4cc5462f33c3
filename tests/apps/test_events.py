"""Copies of packets become events: who, which connection, whose verdict; and one line of JSON each."""

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP, Ether
from scapy.layers.inet6 import ICMPv6EchoReply, ICMPv6ND_NA, ICMPv6NDOptDstLLAddr, IPv6
from scapy.layers.l2 import ARP, Dot1Q
from scapy.packet import Raw

from policy.flows.cookies import Drop, Kind, cookie
from policy.model import Side
from ryu_apps.facts import Answer
from ryu_apps.ovsdb_facts import OvsdbLock, OvsdbLost, OvsdbSnapshot
from ryu_apps.reports.reports import Reports
from tests.apps.reporting import APP, DB, POLICY, WEB, at, number, punted, reports, tcp, world
from tests.apps.shops import A
from tests.apps.worlds import policy_fact
from tests.topology.builders import MAC_1, MAC_2, MAC_3, database

DECIDED = [
    "time",
    "event",
    "host",
    "bridge",
    "vnic",
    "vm",
    "tenant",
    "vlan",
    "side",
    "peer",
    "peer_vm",
    "src",
    "dst",
    "service",
    "source_port",
    "verdict",
    "tier",
    "policy",
    "policy_tenant",
    "rule",
    "file",
    "line",
    "revision",
    "suppressed",
]
DROPPED = [
    "time",
    "event",
    "host",
    "bridge",
    "vnic",
    "vm",
    "tenant",
    "vlan",
    "port",
    "reason",
    "mac",
    "ethertype",
    "tag",
    "src",
    "dst",
    "service",
    "source_port",
    "forged_mac",
    "forged_address",
    "forged_claim",
    "revision",
    "repeated",
]
DEFAULT_EGRESS, DEFAULT_INGRESS = cookie(Kind.DEFAULT, 0), cookie(Kind.DEFAULT, 1)


def lines(it, *facts, ticks=0.0):
    return [json.loads(line.text) for line in it.hear(facts, at(ticks)).lines]


def one(it, fact):
    (line,) = lines(it, fact)
    return line


@pytest.fixture(scope="module")
def engine():
    return world().engine


@pytest.fixture
def it(engine):
    return Reports(engine)


def rule(it, name):
    return number(it._engine, name)


def test_a_decision_in_full(it):
    line = one(it, punted(rule(it, "shop/web-app")))
    assert list(line) == DECIDED
    assert re.fullmatch(r"[0-9a-f]{12}", line.pop("revision"))
    assert line == {
        "time": "2026-09-21T14:13:20.250000Z",
        "event": "connection",
        "host": "hv1",
        "bridge": "br0",
        "vnic": "web/web",
        "vm": "web",
        "tenant": None,
        "vlan": 0,
        "side": "egress",
        "peer": APP,
        "peer_vm": "app",
        "src": WEB,
        "dst": APP,
        "service": "tcp/8080",
        "source_port": 40000,
        "verdict": "allow",
        "tier": "application",
        "policy": "shop",
        "policy_tenant": None,
        "rule": "web-app",
        "file": "policy.yaml",
        "line": 15,
        "suppressed": 0,
    }


def test_the_same_connection_at_its_other_end(it):
    fact = punted(rule(it, "shop/web-app"), side=Side.INGRESS, target=102)
    line = one(it, fact)
    assert (line["vnic"], line["side"], line["peer"], line["peer_vm"]) == ("app/app", "ingress", WEB, "web")
    assert (line["src"], line["dst"], line["service"]) == (WEB, APP, "tcp/8080")


@pytest.mark.parametrize(
    ("side", "who"), [(Side.INGRESS, "app/app"), (Side.EGRESS, "web/web")], ids=["by the server", "by the client"]
)
def test_an_answer_is_told_as_the_connection_that_it_belongs_to(it, side, who):
    """A rule may cut a connection that stands: then what is refused first may be an answer."""
    answer = tcp(APP, WEB, 8080, 40000, flags="A")
    line = one(it, punted(rule(it, "shop/web-app"), answer, side, True, 102, 101))
    assert line["vnic"] == who
    assert (line["src"], line["dst"], line["service"], line["source_port"]) == (WEB, APP, "tcp/8080", 40000)


def test_a_peer_may_be_known_by_a_range_or_not_at_all(it):
    assert one(it, punted(rule(it, "shop/web-app"), tcp(target="10.9.8.7")))["peer_vm"] == "app"
    assert one(it, punted(rule(it, "shop/web-app"), tcp(target="192.0.2.1")))["peer_vm"] is None


@pytest.mark.parametrize(
    ("layers", "service"),
    [
        (IP(src=WEB, dst=APP) / UDP(sport=5, dport=53), "udp/53"),
        (IP(src=WEB, dst=APP) / ICMP(), "icmp/8/0"),
        (IP(src=WEB, dst=APP, proto=47) / Raw(b"gre"), "proto/47"),
        (IP(src=WEB, dst=APP, proto=132) / Raw(bytes.fromhex("00070050")), "sctp/80"),
        (IP(src=WEB, dst=APP, frag=5) / UDP(), "udp"),
        (IP(src=WEB, dst=APP, proto=1), "proto/1"),
        # The error belongs to the connection of the packet that it quotes, which went the other way.
        (
            IP(src=APP, dst=WEB) / ICMP(type=3, code=3) / IP(src=WEB, dst=APP) / UDP(sport=5, dport=53),
            "udp/5",
        ),
    ],
)
def test_services(it, layers, service):
    assert one(it, punted(DEFAULT_EGRESS, bytes(Ether() / layers)))["service"] == service


def test_an_echo_reply_is_told_by_its_question(it):
    frame = bytes(Ether() / IPv6(src="2001:db8::9", dst="2001:db8::11") / ICMPv6EchoReply())
    line = one(it, punted(DEFAULT_EGRESS, frame, reply=True, source=0, target=101))
    assert (line["service"], line["src"]) == ("icmp6/128/0", "2001:db8::11")


def test_an_icmp_error_is_told_as_the_connection_that_it_is_about(it):
    about = IP(src=WEB, dst=APP) / TCP(sport=40000, dport=8080)
    error = bytes(Ether() / IP(src="10.0.0.99", dst=WEB) / ICMP(type=3, code=1) / about)
    line = one(it, punted(rule(it, "shop/web-app"), error, reply=True, source=0, target=101))
    assert (line["src"], line["dst"], line["service"]) == (WEB, APP, "tcp/8080")


def test_what_no_rule_decides(it, engine):
    line = one(it, punted(DEFAULT_INGRESS, side=Side.INGRESS, target=102))
    assert (line["event"], line["verdict"], line["tier"]) == ("connection", "deny", "default")
    assert [line[key] for key in ("policy", "rule", "file", "line")] == [None] * 4
    learning = reports(learning=True)
    line = one(learning, punted(DEFAULT_INGRESS, side=Side.INGRESS, target=102))
    assert (line["event"], line["verdict"], line["tier"]) == ("audit", "deny", "default")


def test_a_rule_in_audit(it):
    line = one(it, punted(rule(it, "trial/tight")))
    assert (line["event"], line["policy"], line["rule"], line["verdict"]) == ("audit", "trial", "tight", "deny")


def test_a_rule_that_is_gone_is_still_known_for_the_packets_it_decided():
    made = world()
    gone = number(made.engine, "shop/web-app")
    it = Reports(made.engine)
    before = one(it, punted(gone))
    made.facts.append(policy_fact(POLICY.replace("name: web-app", "name: other")))
    made.run()
    after = one(it, punted(gone, tcp(sport=1)))
    assert (after["rule"], after["revision"]) == ("web-app", before["revision"])
    assert one(it, punted(number(made.engine, "shop/other"), tcp(sport=2)))["revision"] != before["revision"]
    assert lines(it, punted(cookie(Kind.RULE, 12345))) == [] and it.unexplained == 1


# --- answers


def test_a_rejected_packet_is_answered_each_time_and_told_only_if_the_rule_says_so(it):
    fact = punted(rule(it, "shop/no"), tcp(dport=22))
    for _ in range(3):
        heard = it.hear([fact], at(0))
        assert heard.lines == []
        (told,) = heard.answers
        assert isinstance(told, Answer) and (told.dpid, told.session, told.in_port, told.vlan) == (1, 1, 2, 0)
        assert Ether(told.frame)[TCP].flags == "RA" and Ether(told.frame).dst == MAC_1
    heard = it.hear([punted(rule(it, "shop/loud-no"), tcp(target=DB, dport=23))], at(0))
    assert len(heard.lines) == len(heard.answers) == 1


def test_nothing_else_is_answered(it):
    marks = [rule(it, "shop/web-app"), rule(it, "trial/tight"), DEFAULT_EGRESS, cookie(Kind.DROP, Drop.INVALID)]
    assert it.hear([punted(mark) for mark in marks], at(0)).answers == []


# --- drops


def test_a_drop_in_full(it):
    frame = bytes(Ether(src=MAC_1, dst=MAC_2) / IP(src="10.0.0.99", dst=APP) / UDP(sport=9, dport=53))
    line = one(it, punted(Drop.SPOOFED_SOURCE, frame))
    assert list(line) == DROPPED
    assert re.fullmatch(r"[0-9a-f]{12}", line.pop("revision"))
    assert line == {
        "time": "2026-09-21T14:13:20.250000Z",
        "event": "drop",
        "host": "hv1",
        "bridge": "br0",
        "vnic": "web/web",
        "vm": "web",
        "tenant": None,
        "vlan": 0,
        "port": "tap-web",
        "reason": "spoofed-source",
        "mac": MAC_1,
        "ethertype": "0x0800",
        "tag": None,
        "src": "10.0.0.99",
        "dst": APP,
        "service": "udp/53",
        "source_port": 9,
        "forged_mac": None,
        "forged_address": "10.0.0.99",
        "forged_claim": None,
        "repeated": 0,
    }


def test_what_was_forged(it):
    arp = bytes(Ether(src=MAC_1) / ARP(op=2, psrc="10.0.0.1", hwsrc=MAC_1))
    line = one(it, punted(Drop.SPOOFED_SOURCE, arp))
    assert (line["forged_claim"], line["src"], line["ethertype"]) == (f"10.0.0.1 is at {MAC_1}", None, "0x0806")
    # The zone is loaded only behind CLASSIFY: the port tells whose frame it was.
    line = one(it, punted(Drop.UNKNOWN_PORT_OR_MAC, bytes(Ether(src=MAC_3) / IP()), source=0))
    assert (line["vnic"], line["forged_mac"]) == ("web/web", MAC_3)
    tagged = bytes(Ether(src=MAC_1) / Dot1Q(vlan=7) / IP(src=WEB, dst=APP) / UDP())
    line = one(it, punted(Drop.UNKNOWN_PORT_OR_MAC, tagged, source=0, port=3))
    assert (line["vnic"], line["forged_mac"], line["service"]) == ("app/app", MAC_1, "udp/53")
    claim = IPv6(src="fe80::1", dst="ff02::1") / ICMPv6ND_NA(tgt="2001:db8::1") / ICMPv6NDOptDstLLAddr(lladdr=MAC_3)
    line = one(it, punted(Drop.FOREIGN_ND_TARGET, bytes(Ether(src=MAC_1) / claim)))
    assert line["forged_claim"] == f"2001:db8::1 is at {MAC_3}"
    line = one(it, punted(Drop.INVALID, tcp()))
    assert [line[key] for key in DROPPED if key.startswith("forged")] == [None] * 3


def test_a_port_that_is_nobodys_is_named(it):
    line = one(it, punted(Drop.UNKNOWN_PORT_OR_MAC, tcp(), source=0, port=5))
    assert (line["port"], line["vnic"], line["forged_mac"]) == ("tap-x", None, None)
    line = one(it, punted(Drop.UNKNOWN_PORT_OR_MAC, tcp(), source=0, port=77))
    assert (line["bridge"], line["port"]) == ("br0", None)


# --- whose bridge it is


@pytest.mark.parametrize("whose", ["another's", "ours while its server is away", "nobody's"])
def test_one_controller_logs_and_answers(whose):
    made = world()
    it = Reports(made.engine)
    rejected = punted(number(made.engine, "shop/loud-no"), tcp(target="10.0.0.13", dport=23))
    facts = {
        "another's": [OvsdbLock(A, ours=False)],
        "ours while its server is away": [OvsdbLost(A, "gone")],
        "nobody's": [OvsdbSnapshot(A, database(remote=A, bridge="other", dpid=99))],
    }
    made.facts += facts[whose]
    made.run()
    heard = it.hear([rejected, punted(Drop.INVALID, tcp())], at(0))
    ours = whose.startswith("ours")
    assert (len(heard.lines), len(heard.answers), it.unexplained) == ((2, 1, 0) if ours else (0, 0, 0))


# --- whatever comes


def test_nothing_is_said_before_anything_is_known():
    from ryu_apps.engine import Engine, EngineSettings
    it = Reports(Engine(EngineSettings(("unix:a",))))
    assert it.hear([punted(DEFAULT_EGRESS)], at(0)).lines == [] and it.unexplained == 1
    assert it.page()["rules"] == []


MARKS = [DEFAULT_EGRESS, DEFAULT_INGRESS, *(cookie(Kind.DROP, drop) for drop in Drop), cookie(Kind.VNIC, 101), 0]


@settings(max_examples=300)
@given(
    st.sampled_from(MARKS),
    st.sampled_from(Side),
    st.booleans(),
    st.sampled_from([0, 101, 102, 65535]),
    st.sampled_from([0, 101, 102, 65535]),
    st.integers(0, 2**32 - 1),
    st.binary(max_size=120) | st.builds(lambda head, rest: tcp()[:head] + rest, st.integers(0, 54), st.binary()),
)
def test_hostile_frames_never_break_a_line(mark, side, reply, source, target, port, frame):
    it = HOSTILE
    for line in it.hear([punted(mark, frame, side, reply, source, target, port)], at(0)).lines:
        assert line.text.isascii() and line.text.isprintable()
        found = json.loads(line.text)
        assert list(found) == (DROPPED if found["event"] == "drop" else DECIDED)


HOSTILE = reports()
