"""The small network that `docs/pipeline.md` tells its stories about, and the packets in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv4Address

from policy.flows.bridge_book import bridge_flows
from policy.flows.compile import Compiled, prepare
from policy.flows.fields import IPV4_TYPE
from policy.flows.flow import Flow, Key
from policy.flows.packet import ACK, SYN, Packet
from policy.flows.tracker import Tracker
from policy.flows.walk import Flows, Walk, walk
from policy.load import load_texts
from policy.model import ICMP, TCP, UDP
from topology.ports import Bridge, UplinkPort, VnicPort
from topology.vnic import offline_vnics

POLICY = """\
version: 1
vms:
  web-1: {labels: {role: web}, vnics: [{iface_id: web-1, mac: "52:54:00:00:00:01", addresses: 10.0.0.1}]}
  db-1: {labels: {role: db}, vnics: [{iface_id: db-1, mac: "52:54:00:00:00:02", addresses: 10.0.0.2}]}
groups:
  web: {match: role == web}
  db: {match: role == db}
  office: {cidrs: 192.0.2.0/24}
  names: {cidrs: 224.0.0.251}
services:
  ftp: {protocol: tcp, port: 21, helper: ftp}
policies:
  - name: shop
    rules:
      - {name: clients, allow: tcp/443, from: office, to: web}
      - {name: sql, allow: tcp/3306, from: web, to: db}
      - {name: tunnel, allow: proto/47, from: web, to: db}
      - {name: names, allow: udp/5353, from: web, to: names}
      - {name: files, allow: ftp, from: office, to: web}
"""

WEB_PORT, DB_PORT, OUTSIDE_PORT = 11, 12, 1
WEB_ZONE, DB_ZONE = 101, 102
WEB_MAC, DB_MAC, OUTSIDE_MAC, GROUP_MAC = 0x525400000001, 0x525400000002, 0x0200000000FF, 0x01005E0000FB
WEB, DB, CLIENT, GROUP = (int(IPv4Address(text)) for text in ("10.0.0.1", "10.0.0.2", "192.0.2.5", "224.0.0.251"))
GRE = 47


@dataclass(frozen=True, slots=True)
class Sample:
    """The policy compiled for one bridge: web-1 at port 11, db-1 at port 12, an uplink at port 1."""

    compiled: Compiled
    flows: Mapping[Key, Flow]


def sample() -> Sample:
    """The sample, made anew."""
    document = load_texts({"shop.yaml": POLICY.encode()})
    vnics = {vnic.id: vnic for vnic in offline_vnics(document.inventory)}
    ports = (
        VnicPort("tap-web", WEB_PORT, 0, vnics["web-1"], WEB_ZONE, "i-web"),
        VnicPort("tap-db", DB_PORT, 0, vnics["db-1"], DB_ZONE, "i-db"),
        UplinkPort("eth0", "uplink", (("eth0", OUTSIDE_PORT),)),
    )
    bridge = Bridge("", "", "host-1", "br-int", 1, "secure", False).with_ports(ports)
    compiled = prepare(document, vnics.values())
    return Sample(compiled, bridge_flows(compiled, bridge, {}))


def _tcp(source: int, destination: int, ports: tuple[int, int], flags: int, macs: tuple[int, int]) -> Packet:
    return Packet(
        eth_src=macs[0],
        eth_dst=macs[1],
        eth_type=IPV4_TYPE,
        ip_proto=TCP,
        ipv4_src=source,
        ipv4_dst=destination,
        tcp_src=ports[0],
        tcp_dst=ports[1],
        tcp_flags=flags,
    )


QUERY = _tcp(WEB, DB, (50000, 3306), SYN, (WEB_MAC, DB_MAC))
ANSWER = _tcp(DB, WEB, (3306, 50000), SYN | ACK, (DB_MAC, WEB_MAC))
ERROR = Packet(
    eth_src=DB_MAC,
    eth_dst=WEB_MAC,
    eth_type=IPV4_TYPE,
    ip_proto=ICMP,
    ipv4_src=DB,
    ipv4_dst=WEB,
    icmp_type=3,
    icmp_code=3,
    inner=QUERY,
)
ASK_ALL = Packet(
    eth_src=WEB_MAC,
    eth_dst=GROUP_MAC,
    eth_type=IPV4_TYPE,
    ip_proto=UDP,
    ipv4_src=WEB,
    ipv4_dst=GROUP,
    udp_src=5353,
    udp_dst=5353,
)
TUNNELLED = Packet(eth_src=WEB_MAC, eth_dst=DB_MAC, eth_type=IPV4_TYPE, ip_proto=GRE, ipv4_src=WEB, ipv4_dst=DB)
CALL = _tcp(CLIENT, WEB, (50000, 443), SYN, (OUTSIDE_MAC, WEB_MAC))
SPOOFED = replace(QUERY, ipv4_src=CLIENT)
LOGIN = _tcp(CLIENT, WEB, (50000, 21), SYN, (OUTSIDE_MAC, WEB_MAC))
WELCOME = _tcp(WEB, CLIENT, (21, 50000), SYN | ACK, (WEB_MAC, OUTSIDE_MAC))
# PORT 192,0,2,5,195,81: the client listens at its port 50001.
LISTENS = replace(LOGIN, tcp_flags=ACK, announces=(CLIENT, 50001))
FILE = _tcp(WEB, CLIENT, (20, 50001), SYN, (WEB_MAC, OUTSIDE_MAC))


def stories(flows: Mapping[Key, Flow]) -> dict[str, Walk]:
    """The walks of the page, by name. Conntrack remembers from one to the next what belongs together."""
    ready = Flows(flows.values())
    query = walk(ready, QUERY, WEB_PORT)
    answer = walk(ready, ANSWER, DB_PORT, query.tracker)
    login = walk(ready, LOGIN, OUTSIDE_PORT)
    welcome = walk(ready, WELCOME, WEB_PORT, login.tracker)
    listens = walk(ready, LISTENS, OUTSIDE_PORT, welcome.tracker)
    followed = frozenset({ICMP, TCP, UDP})
    return {
        "query": query,
        "answer": answer,
        "later": walk(ready, replace(QUERY, tcp_flags=ACK), WEB_PORT, answer.tracker),
        "error": walk(ready, ERROR, DB_PORT, query.tracker),
        "flood": walk(ready, ASK_ALL, WEB_PORT),
        "untracked": walk(ready, TUNNELLED, WEB_PORT, Tracker(known=followed)),
        "call": walk(ready, CALL, OUTSIDE_PORT),
        "login": login,
        "file": walk(ready, FILE, WEB_PORT, listens.tracker),
        "refused": walk(ready, replace(QUERY, tcp_dst=22), WEB_PORT),
        "spoofed": walk(ready, SPOOFED, WEB_PORT),
    }
