"""What tests of learning are made of: a guest without addresses, its exchanges, and what is known of it."""

from policy.flows.cookies import Builtin, Drop, Kind, cookie
from policy.flows.packet_in import Copy
from policy.model import Side
from ryu_apps.facts import Punted, WriteLearned
from ryu_apps.learn_settings import LearnSettings
from tests.apps.shops import ETH, A, a
from tests.apps.worlds import World
from tests.topology.builders import MAC_1, MAC_2, MAC_3, vnic
from tests.topology.exchanges import (
    client4,
    client6,
    server4,
    server6,
)
from topology.frames import Datagram, read_frame
from topology.rows import LEARNED_KEY

POLICY = """\
version: 1
vms:
  web: {labels: {role: web}}
  db:  {labels: {role: db}, addresses: [10.0.0.13]}
  off: {labels: {role: off}, addresses: [10.0.0.99]}
groups: {web: {match: role == web}, db: {match: role == db}}
policies:
  - name: shop
    rules: [{name: web-db, allow: tcp/3306, from: web, to: db}]
"""
WEB, DB, GUEST = vnic("tap-web", "web", MAC_1), vnic("tap-db", "db", MAC_3), vnic("tap-guest", "guest", MAC_2)
START = 1_000_000.0
BOTH = LearnSettings(("dhcp", "first-use"))


def lab(*ports, learning=BOTH, remotes=(A,)):
    world = World(remotes, learning=learning)
    world.now = START
    world.policy(POLICY)
    world.snapshot(a(*(ports or (ETH, WEB, DB, GUEST))))
    world.connect(1)
    return world.run()


def port(world, name):
    return next(each for each in world.status()["vnics"] if each["port"] == name)


LEASE, ARP_CLAIM, ND_CLAIM = (
    cookie(Kind.BUILTIN, Builtin.DHCP_CLIENT),
    cookie(Kind.DROP, Drop.SPOOFED_SOURCE),
    cookie(Kind.DROP, Drop.FOREIGN_ND_TARGET),
)


def copy_of(frame, sender, receiver, why=None):
    """As the pipeline copies it (tests/flows/test_learning.py)."""
    if why is None:
        found = read_frame(frame)
        why = LEASE if isinstance(found, Datagram) else ARP_CLAIM if frame[12:14] == b"\x08\x06" else ND_CLAIM
    return Copy(why, Side.EGRESS, False, sender, receiver, 0, 1, 0, frame)


def tell(world, *frames, of="tap-web", dpid=1):
    """The switch has copied these frames, from the vNIC or to it, whichever their MACs say."""
    for frame in frames:
        found = port(world, of)
        outward = frame[6:12].hex(":") == found["mac"]
        zones = (found["zone"], 0) if outward else (0, found["zone"])
        session = world.switches[dpid].session
        world.facts.append(Punted(dpid, session, copy_of(frame, *zones)))
    world.run()
    return world.settle_claims()


def has(world, name="tap-web"):
    return {each.removesuffix("/32").removesuffix("/128") for each in port(world, name)["addresses"]}


def text(world, uuid="i-tap-web", remote=A):
    world.flush()
    return world.servers[remote].interfaces[uuid].external_ids.get(LEARNED_KEY)


def learned_writes(world):
    return [write for write in world.writes if isinstance(write, WriteLearned)]


def codes(world):
    return [finding["code"] for finding in world.status()["findings"]]


ACK = server4("ack", lease=90)
EXCHANGE = client4("discover"), server4("offer"), client4("request", requested_addr="10.0.0.50"), ACK
V6_EXCHANGE = client6("solicit"), client6("request", trid=9), server6(("2001:db8::50", 30))


def restarted(world, seconds=0):
    """A fresh controller over the same switches and databases, so many seconds later."""
    known = world.engine.settings
    fresh = World(known.remotes, learning=known.learning)
    fresh.now = world.now + seconds
    fresh.document = world.document
    for remote in list(world.servers):
        fresh.snapshot(world.servers[remote])
    fresh.policy(POLICY)
    for dpid, switch in world.switches.items():
        fresh.connect(dpid, flows=dict(switch.flows), meters=dict(switch.meters))
    return fresh.run()
