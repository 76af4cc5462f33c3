"""The laboratory with the real controller in it: started, given another policy, killed, started again."""

import pytest

from mininet_scenarios.lab import ControllerError, vnics_enforced
from mininet_scenarios.words import blocked, connect, now_cut, reaches, still_open, stream

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
