"""What the tests of reports share: the shop's engine with every kind of rule, and copies of packets of its guests."""

from scapy.layers.inet import IP, TCP, Ether

from policy.flows.cookies import Drop, Kind, cookie
from policy.flows.packet_in import Copy
from policy.flows.wire import Installed
from policy.model import Side
from ryu_apps.facts import Punted
from ryu_apps.reports.desk import Moment
from ryu_apps.reports.reports import Reports, ReportSettings
from tests.apps.shops import ETH, a
from tests.apps.worlds import World
from tests.topology.builders import MAC_1, MAC_2, MAC_3, P, vnic

POLICY = """\
version: 1
networks:
  green: {vlan: 10}
vms:
  web: {labels: {role: web}, addresses: [10.0.0.11, "2001:db8::11"]}
  app: {labels: {role: app}, addresses: [10.0.0.12, 10.9.0.0/16]}
  db:  {labels: {role: db}, addresses: [10.0.0.13]}
groups:
  web: {match: "role == web"}
  app: {match: "role == app"}
  db: {match: "role == db"}
policies:
  - name: shop
    rules:
      - {name: web-app, allow: tcp/8080, from: web, to: app, log: true}
      - {name: no, reject: [tcp/22, udp/53], from: any, to: app}
      - {name: loud-no, reject: tcp/23, to: db, log: true}
      - {name: quiet, allow: tcp/80, from: web, to: app}
  - name: trial
    mode: audit
    tier: baseline
    rules:
      - {name: tight, deny: any, from: web, to: app}
"""
ZONES = {"web": 101, "app": 102, "db": 103}
PORTS = (
    ETH,
    *(
        vnic(f"tap-{name}", name, mac, portcullis_zone=str(ZONES[name]))
        for name, mac in (("web", MAC_1), ("app", MAC_2), ("db", MAC_3))
    ),
    P("tap-x"),
)
WEB, APP, DB = "10.0.0.11", "10.0.0.12", "10.0.0.13"


def world(text=POLICY):
    made = World()
    made.policy(text)
    made.snapshot(a(*PORTS))
    made.connect(1)
    return made.run()


def reports(text=POLICY, **settings):
    return Reports(world(text).engine, ReportSettings(**settings))


def number(engine, name):
    """The cookie of a rule, by its full name."""
    (entry,) = [each for each in engine.compiled.rules if each.name == name]
    return cookie(Kind.AUDIT if entry.policy.audit else Kind.RULE, entry.number)


def at(ticks, wall=1_790_000_000.25):
    return Moment(wall + ticks, ticks)


def tcp(source=WEB, target=APP, sport=40000, dport=8080, **more):
    return bytes(Ether(src=MAC_1, dst=MAC_2) / IP(src=source, dst=target) / TCP(sport=sport, dport=dport, **more))


def punted(why, frame=None, side=Side.EGRESS, reply=False, source=101, target=0, port=2, **more):
    """A copy; ``why`` is a cookie or a `Drop`."""
    mark = cookie(Kind.DROP, why) if isinstance(why, Drop) else why
    data = tcp() if frame is None else frame
    uplink = more.get("uplink", 0)
    return Punted(more.get("dpid", 1), 1, Copy(mark, side, reply, source, target, 0, port, uplink, data))


def entry(mark, packets, octets, table=17, match=b"m", priority=7):
    return Installed(table, priority, mark, match, None, packets, octets)
