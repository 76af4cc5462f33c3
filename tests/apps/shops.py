"""The shop that the engine's tests firewall: its ports, its policies, and a world of it that has come to rest."""

from policy.flows.cookies import reason
from tests.apps.worlds import World
from tests.topology.builders import MAC_1, MAC_2, MAC_3, P, database, vnic

A, B = "unix:a", "unix:b"
INVENTORY = """\
version: 1
networks:
  green: {vlan: 10}
vms:
  web: {labels: {role: web}, addresses: [10.0.0.11, "2001:db8::11"]}
  app: {labels: {role: app}, addresses: [10.0.0.12]}
  db:  {labels: {role: db}, addresses: [10.0.0.13]}
groups:
  web: {match: "role == web"}
  app: {match: "role == app"}
  db: {match: "role == db"}
"""
RULE = "      - {{name: {}, allow: tcp/{}, from: {}, to: {}}}\n"


def policy(*rules, inventory=INVENTORY):
    head = "policies:\n  - name: shop\n    rules:\n" if rules else ""
    return inventory + head + "".join(RULE.format(*rule.split()) for rule in rules)


ONE = policy("web-app 8080 web app", "app-db 3306 app db")
# A rule before, one between, one gone; a label moved; everything any.
OTHER = policy("ssh 22 any any", "web-app 8080 web app", "new 53 web db")
MOVED = ONE.replace("db:  {labels: {role: db}", "db:  {labels: {role: web}")
NONE = policy()
BAD = ONE.replace("tcp/8080", "tcp/nonsense")

WEB, APP, DB = vnic("tap-web", "web", MAC_1), vnic("tap-app", "app", MAC_2), vnic("tap-db", "db", MAC_3)
ETH = P("eth0")


def a(*ports, **bridges):
    return database(*ports, remote=A, host="hv1", dpid=1, **bridges)


def b(*ports):
    return database(*ports, remote=B, host="hv2", dpid=11)


PORTS = (ETH, WEB, DB)


def shop(text=ONE, **settings):
    """The usual small world, settled: one bundle has been sent."""
    world = World(**settings)
    world.policy(text)
    world.snapshot(a(*PORTS))
    world.connect(1)
    world.run()
    world.check_settled()
    return world


def flows_of(switch, kind):
    """The flows of a switch that are there for this kind of reason."""
    return {flow for flow in switch.flows.values() if (why := reason(flow.cookie)) is not None and why.kind is kind}


def waiting(world):
    """What the status says that it waits for."""
    return " / ".join(world.status()["waiting_for"])
