"""The laboratory with the real controller in it: started, given another policy, killed, started again."""

import contextlib
import resource
from pathlib import Path

import pytest

from mininet_scenarios.lab import ControllerError, vnics_enforced
from mininet_scenarios.lab.inside import HttpConnection
from mininet_scenarios.words import blocked, connect, now_cut, reaches, still_open, stream
from ryu_apps.doors import MAX_HTTP

POLICY = """
version: 1
vms:
  web: {{labels: {{role: web}}, addresses: [10.0.0.11, "2001:db8::11"]}}
  db: {{labels: {{role: db}}, addresses: [10.0.0.21, "2001:db8::21"]}}
policies:
  - name: shop
    rules:
      - {{allow: [{services}], from: {{match: role == web}}, to: {{match: role == db}}}}
"""


@pytest.fixture
def shop(lab):
    ovs = lab.ovs()
    controller = lab.controller(POLICY.format(services="tcp/3306, udp/5000"), ovs)
    bridge = ovs.add_bridge(controller=controller.target)
    web = lab.guest(ovs, bridge, "web", ["10.0.0.11/24", "2001:db8::11/64"])
    db = lab.guest(ovs, bridge, "db", ["10.0.0.21/24", "2001:db8::21/64"])
    controller.start()
    controller.wait_enforced(until=vnics_enforced("web", "db"))
    return controller, web, db


def test_a_policy_is_enforced_changed_and_refused(shop):
    controller, web, db = shop
    reaches(web, db, "tcp/3306")
    blocked(web, db, "tcp/22", control="tcp/3306")
    link = connect(web, db, "tcp/3306")
    still_open(link)
    controller.change_policy(POLICY.format(services="tcp/22"))
    now_cut(link)
    blocked(web, db, "tcp/3306", control="tcp/22")
    with pytest.raises(ControllerError, match=r"^the policy was refused"):
        controller.change_policy("version: 1\nnonsense: here\n")
    reaches(web, db, "tcp/22")


def test_a_killed_and_restarted_controller_costs_no_packet(shop):
    controller, web, db = shop
    with stream(web, db, "udp/5000", rate=500, push=True) as running:
        controller.kill9()
        running.runs(0.5)
        controller.start()
        controller.wait_enforced(until=vnics_enforced("web", "db"))
        running.runs(0.5)
        running.finish()
        assert running.lost == 0
    blocked(web, db, "tcp/22", control="tcp/3306")


def test_whoever_holds_connections_to_the_page_shuts_neither_the_page_nor_the_switches_door(lab):
    """They are bounded, and as many files are opened as the machine grants, not as its default is."""
    ovs = lab.ovs()
    controller = lab.controller(POLICY.format(services="tcp/22"), ovs)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
    try:
        controller.start()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    controller.told(lambda status: status)
    with contextlib.ExitStack() as held:
        for _ in range(MAX_HTTP + 30):
            connection = HttpConnection(controller.namespace, "127.0.0.1", controller.rest_port, 10.0)
            held.enter_context(contextlib.closing(connection))
            connection.connect()
        ovs.add_bridge("late", controller=controller.target)
        ovs.vsctl("wait-until", "controller", "late", "is_connected=true")
        assert len(list(Path(f"/proc/{controller.pid}/fd").iterdir())) < MAX_HTTP + 30
    assert [bridge["name"] for bridge in controller.wait_enforced()["bridges"]] == ["late"]
