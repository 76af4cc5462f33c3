"""What `explain` may be asked, what is wrong usage, and the JSON of the answer."""

import json
from ipaddress import ip_address, ip_network

import pytest

from policy.evaluate import evaluate
from policy.model import ICMP, ICMPV6, TCP, UDP
from policy.question import UsageError, decision_json, parse_question
from tests.policy.words import document
from topology.vnic import Vnic

POLICY = document("""
    networks: {prod: {vlan: 10}}
    vms:
      web:
        labels: {role: web}
        vnics:
          - {iface_id: w1, addresses: [10.0.1.0/24, 10.0.0.1, "2001:db8::1"]}
          - {iface_id: w/2, addresses: [10.0.2.1]}
      db: {addresses: 10.0.0.3}
      six: {addresses: "2001:db8::6"}
      bare: {labels: {role: web}}
      none: {vnics: []}
    services: {https: tcp/443}
    policies:
      - name: p
        rules:
          - {allow: [https, icmp/echo], from: {match: role == web}}
""")


def ask(source, destination, service="tcp/443", **more):
    return parse_question(POLICY, source, destination, service, **more)


def ends(source, destination, **more):
    asked = ask(source, destination, **more)
    return [
        (end.vnic.id if end.vnic else None, str(end.address) if end.address else None)
        for end in (asked.source, asked.destination)
    ]


@pytest.mark.parametrize(
    ("who", "peer", "end"),
    [
        ("web", "db", ("w1", "10.0.1.0")),  # the first address of a CIDR is its network address
        ("web", "six", ("w1", "2001:db8::1")),  # the first of the family that both have
        ("web", "192.0.2.1", ("w1", "10.0.1.0")),
        ("web", "2001:db8:f::1", ("w1", "2001:db8::1")),
        ("web/w1", "db", ("w1", "10.0.1.0")),
        ("web/w/2", "db", ("w/2", "10.0.2.1")),
        ("web@10.0.0.1", "db", ("w1", "10.0.0.1")),
        ("web@10.0.1.9", "db", ("w1", "10.0.1.9")),
        ("web@10.0.2.1", "db", ("w/2", "10.0.2.1")),
        ("10.0.1.9", "db", ("w1", "10.0.1.9")),
        ("192.0.2.1", "db", (None, "192.0.2.1")),
        ("192.0.2.1", "198.51.100.1", (None, "192.0.2.1")),
        ("bare", "db", ("bare", None)),
        ("db", "bare", ("db", "10.0.0.3")),
        ("bare", "bare", ("bare", None)),
    ],
)
def test_who(who, peer, end):
    assert ends(who, peer)[0] == end
    assert ends(peer, who)[1] == end


def test_families():
    assert ask("web", "db").family == 4
    assert ask("web", "six").family == 6
    assert ask("bare", "six").family == 6
    assert ask("bare", "bare").family == 4


def test_terms():
    asked = ask("web", "db", "tcp/22")
    assert (asked.protocol, asked.source_port, asked.destination_port) == (TCP, 50000, 22)
    asked = ask("web", "db", "udp/67", source_port=68)
    assert (asked.protocol, asked.source_port, asked.destination_port) == (UDP, 68, 67)
    asked = ask("web", "db", "icmp/echo")
    assert (asked.protocol, asked.icmp_type, asked.icmp_code, asked.source_port) == (ICMP, 8, 0, None)
    asked = ask("web", "six", "icmp/echo")
    assert (asked.protocol, asked.icmp_type, asked.icmp_code) == (ICMPV6, 128, 0)
    asked = ask("web", "db", "icmp4/3/4")
    assert (asked.icmp_type, asked.icmp_code) == (3, 4)
    asked = ask("web", "db", "proto/47")
    assert (asked.protocol, asked.source_port, asked.destination_port, asked.icmp_type) == (47, None, None, None)


@pytest.mark.parametrize(
    ("question", "word"),
    [
        (("wbe", "db"), "did you mean 'web'?"),
        (("zzzzz", "db"), "neither a VM"),
        (("", "db"), "neither a VM"),
        (("none", "db"), "neither a VM with a vNIC"),
        (("web/w3", "db"), "web/w1"),
        (("web@10.0.0.3", "db"), "not an address of VM 'web'"),
        (("web@", "db"), "not an IPv4 or IPv6 address"),
        (("bare@10.0.0.9", "db"), "none"),
        (("nobody@10.0.0.9", "db"), "neither a VM"),
        (("web@10.0.1.0/24", "db"), "not an IPv4 or IPv6 address"),
        (("10.0.0.0/8", "db"), "ask about one address"),
        (("fe80::1%eth0", "db"), "neither a VM"),
        (("db", "six"), "no address family in common"),
        (("db", "2001:db8::1"), "no address family in common"),
        (("192.0.2.1", "2001:db8::1"), "no address family in common"),
        (("web", "db", "any"), "more than one connection"),
        (("web", "db", "tcp"), "more than one connection"),
        (("web", "db", "tcp/80-81"), "more than one connection"),
        (("web", "db", "tcp/80,443"), "more than one connection"),
        (("web", "db", "proto/6"), "more than one connection"),
        (("web", "db", "proto/1"), "more than one connection"),
        (("web", "db", "icmp"), "more than one connection"),
        (("web", "db", "icmp4"), "more than one connection"),
        (("web", "db", "https"), "a service"),
        (("web", "db", "htps"), "not a term"),
        (("web", "db", "tcp/65536"), "not a port"),
        (("web", "db", "icmp6/128"), "not of IPv4"),
        (("web", "six", "icmp4/8"), "not of IPv6"),
        (("web", "six", "icmp6/135"), "no connection"),
        (("web", "six", "icmp6/143"), "no connection"),
    ],
)
def test_wrong_usage(question, word):
    with pytest.raises(UsageError, match=r".") as raised:
        ask(*question)
    assert word in str(raised.value)


@pytest.mark.parametrize(
    ("service", "port"), [("icmp/echo", 5), ("icmp4/8/0", 0), ("proto/47", 5), ("tcp/1", -1), ("tcp/1", 65536)]
)
def test_wrong_source_ports(service, port):
    with pytest.raises(UsageError, match="source port"):
        ask("web", "db", service, source_port=port)


def test_networks():
    assert ends("10.0.0.3", "192.0.2.1", network="prod")[0] == ("db", "10.0.0.3")
    with pytest.raises(UsageError, match="did you mean 'prod'"):
        ask("10.0.0.3", "192.0.2.1", network="prd")


def test_live_vnics_and_scopes():
    one = Vnic("i1", vm="one", addresses=(ip_network("10.9.0.1"),))
    two = Vnic("i2", vm="two", addresses=(ip_network("10.9.0.1"),), scope="lab")
    three = Vnic("i3", addresses=(ip_network("10.9.0.3"),), scope="lab")
    vnics = (one, two, three)
    assert ask("one", "10.9.0.3", vnics=vnics).destination.vnic is None  # of the other scope
    assert ask("two", "10.9.0.3", vnics=vnics).destination.vnic is three
    assert ask("i3", "10.9.0.1", vnics=vnics).destination.vnic is two  # an unknown vNIC goes by its id
    assert ask("10.9.0.1", "10.9.0.3", vnics=vnics).source.vnic is one  # the default scope
    with pytest.raises(UsageError, match="scope"):
        ask("one", "two", vnics=vnics)
    with pytest.raises(UsageError, match="neither"):
        ask("web", "one", vnics=vnics)


def test_json():
    answer = decision_json(evaluate(POLICY, ask("web", "192.0.2.1")))
    rule = {"tier": "application", "tenant": None, "policy": "p", "rule": "#1", "file": "p.yaml", "line": 17}
    assert answer == {"verdict": "allow", "egress": {"vnic": "web/w1", "verdict": "allow", **rule}, "ingress": None}
    assert list(answer["egress"]) == ["vnic", "verdict", "tier", "tenant", "policy", "rule", "file", "line"]
    answer = decision_json(evaluate(POLICY, ask("192.0.2.1", "db", "tcp/1")))
    assert json.loads(json.dumps(answer))["ingress"] == {
        "vnic": "db/db",
        "verdict": "deny",
        "tier": "default",
        **dict.fromkeys(("tenant", "policy", "rule", "file", "line")),
    }
    assert answer["verdict"] == "deny" and answer["egress"] is None


def test_an_address_is_asked_as_its_owner():
    asked = ask("web@10.0.0.1", "10.0.0.3")
    assert asked.destination.vnic.vm == "db" and asked.destination.address == ip_address("10.0.0.3")
