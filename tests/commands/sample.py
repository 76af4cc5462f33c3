"""A small network and policy, and what a controller says of them: made by the engine itself, so it cannot drift."""

from dataclasses import replace

from scapy.layers.inet import IP, UDP, Ether

from policy.commands.live import live_vnics
from policy.flows.cookies import Drop, Kind, cookie
from policy.flows.meters import HIGHEST_METER
from policy.flows.packet_in import Copy
from policy.flows.tables import TABLES
from policy.flows.wire import Installed
from policy.load import load_texts
from policy.model import Document, Side
from ryu_apps.engine import Engine, EngineSettings
from ryu_apps.facts import (
    BundleDone,
    ClaimBridge,
    FlowsCounted,
    FlowsRead,
    PolicyLoaded,
    PolicyRefused,
    Punted,
    RoleTold,
    SendBundle,
    SwitchUp,
)
from ryu_apps.ovsdb_facts import OvsdbSnapshot
from ryu_apps.reports.desk import Moment
from ryu_apps.reports.reporter import Reporter
from ryu_apps.status import status_of
from tests.topology.builders import P, database, vnic
from topology.export import node_link
from topology.graph import build

# The policy of docs/commands.md and docs/status.md.
SHOP = """\
version: 1
networks:
  prod: {vlan: 10}
vms:
  web-1: {labels: {role: web}, network: prod, addresses: [10.0.0.11, "2001:db8::11"]}
  db-1:  {labels: {role: db},  network: prod, addresses: [10.0.0.21]}
groups:
  web:    {match: "role == web"}
  db:     {match: "role == db"}
  office: {cidrs: 192.0.2.0/24}
services:
  https: tcp/443
policies:
  - name: shop
    rules:
      - {name: clients, allow: [https, icmp/echo], from: any, to: web}
      - {name: web-db, allow: tcp/3306, from: web, to: db}
      - {deny: any, from: office, to: db}
"""
REMOTE = "unix:/var/run/openvswitch/db.sock"
DPID = 0x0000_5254_0000_00A1


def document() -> Document:
    return load_texts({"shop.yaml": SHOP.encode()})


def network():
    """The database: web-1 and db-1, an uplink, and a port that nobody knows."""
    made = database(
        vnic("tap1", "web-1", "52:54:00:00:00:01", tag=10, portcullis_zone="101"),
        vnic("tap2", "db-1", "52:54:00:00:00:02", tag=10, portcullis_zone="102"),
        P("eth1"),
        P("tap9"),
        remote=REMOTE,
        dpid=DPID,
    )
    settled = {uuid: replace(row, other_config={"disable-in-band": "true"}) for uuid, row in made.bridges.items()}
    return replace(made, bridges=settled)


def engine(*more, connect=True):
    """An engine that has the policy and the database, and a bridge that has done all it was told; then ``more``."""
    it = Engine(EngineSettings((REMOTE,), uplinks=("eth*",)))
    facts = [PolicyLoaded(document()), OvsdbSnapshot(REMOTE, network())]
    if connect:
        facts += [SwitchUp(DPID, 1), FlowsRead(DPID, 1, (), {}, HIGHEST_METER)]
    effects = it.handle(facts)
    if connect:
        assert ClaimBridge(DPID, 1) in effects
        effects = it.handle([RoleTold(DPID, 1, master=True)])
    for effect in effects:
        if isinstance(effect, SendBundle):
            it.handle([BundleDone(DPID, 1, effect.serial)])
    it.handle(more)
    return it


def status_page(it=None):
    """As ryu_apps.http answers."""
    status = status_of(it or engine())
    sinks = [spout.page() for spout in reporter(it).spouts]
    return {**status, "policy": {**status["policy"], "path": "/etc/portcullis", "being_written": []}, "log": sinks}


def reporter(it=None):
    """Of an engine whose bridge has told some counters and sent some copies of packets."""
    it = it or engine()
    made = Reporter(it, sinks=["file:/var/log/portcullis/events.json"])
    marks = {entry.name: cookie(Kind.RULE, entry.number) for entry in it.compiled.rules} if it.compiled else {}
    if marks:
        told = [(marks["shop/clients"], 120, 9000, "INGRESS"), (marks["shop/web-db"], 40, 52000, "INGRESS")]
        told += [(marks["shop/web-db"], 40, 52000, "EGRESS"), (cookie(Kind.DROP, Drop.SPOOFED_SOURCE), 7, 420, None)]
        entries = tuple(
            Installed(TABLES[f"{side}_APPLICATION" if side else "GUARD"].number, 1, mark, b"", None, packets, octets)
            for mark, packets, octets, side in told
        )
        made.reports.hear([FlowsCounted(DPID, 1, entries), *(PUNTED,) * 3], Moment(1_790_000_000.25, 0))
    return made


def counters_page():
    return reporter().page()


def topology_page(it=None):
    return node_link(build((it or engine()).topology))


# A frame of web-1 with an address that is not its own.
FORGED = bytes(Ether(src="52:54:00:00:00:01") / IP(src="10.0.0.99", dst="10.0.0.21") / UDP(sport=9, dport=53))
SPOOFED = cookie(Kind.DROP, Drop.SPOOFED_SOURCE)
PUNTED = Punted(DPID, 1, Copy(SPOOFED, Side.EGRESS, False, 101, 0, 10, 1, 0, FORGED))


def refused_page(*problems):
    return status_page(engine(PolicyRefused(tuple(problems))))


def live():
    return live_vnics(status_page(), document())
