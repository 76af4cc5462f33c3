"""The controller dies and comes back under traffic: nothing is lost, nothing opens, nothing is sent without need."""

import re

import pytest

from mininet_scenarios.lab import Lab
from mininet_scenarios.words import blocked, connect, now_cut, reaches, still_open, stream
from tests.live.shop import Shop


@pytest.fixture
def shop(lab: Lab) -> Shop:
    return Shop(lab)


def flow_mods(shop: Shop) -> int:
    """How many flow-mods the switch has heard, by its own log of OpenFlow messages."""
    return len(re.findall(r"received: OFPT_FLOW_MOD|received: OFPT_BUNDLE_ADD_MESSAGE", shop.ovs.log().read_text()))


def test_killed_and_started_again_under_traffic(shop):
    shop.ovs.appctl("vlog/set", "vconn:file:dbg")
    shop.ovs.appctl("vlog/disable-rate-limit", "vconn")
    link = connect(shop.app, shop.db, "tcp/3306")
    zones = {vnic["port"]: vnic.get("zone") for vnic in shop.controller.status()["vnics"]}
    # The counter counts: a change of policy is seen by it.
    shop.change("policy.yaml", "tcp/443", "tcp/444")
    before = flow_mods(shop)
    assert before > 0
    with (
        stream(shop.web, shop.app, "udp/5000", rate=500) as there,
        stream(shop.web, shop.app, "udp/5000", rate=500, push=True, over=6) as back,
    ):
        shop.controller.kill9()
        there.runs(0.5)
        blocked(shop.web, shop.db, "tcp/3306")
        reaches(shop.web, shop.app, "tcp/8080")
        shop.start()
        there.runs(0.5)
        assert there.finish().lost == 0, there.counts()
        assert back.finish().lost == 0, back.counts()
    still_open(link)
    blocked(shop.web, shop.db, "tcp/3306")
    assert {vnic["port"]: vnic.get("zone") for vnic in shop.controller.status()["vnics"]} == zones
    assert flow_mods(shop) == before, "the second start sent flow-mods though nothing had changed"


def test_what_changed_while_it_was_dead_is_enforced_when_it_is_back(shop):
    link = connect(shop.web, shop.app, "tcp/8080")
    stays = connect(shop.app, shop.db, "tcp/3306")
    shop.controller.kill9()
    shop.say("policy.yaml", shop.files["policy.yaml"].replace("tcp/8080", "tcp/8081"))
    still_open(link)
    shop.start()
    now_cut(link)
    still_open(stays)
    reaches(shop.web, shop.app, "tcp/8081")


def test_foreign_flows_in_our_tables_are_removed_and_told(shop):
    shop.controller.kill9()
    shop.ovs.ofctl("add-flow", shop.bridge, "table=0,priority=65535,cookie=0x1,actions=NORMAL")
    reaches(shop.web, shop.db, "tcp/3306")
    shop.start()
    blocked(shop.web, shop.db, "tcp/3306")
    assert shop.controller.status()["bridges"][0]["foreign_removed"] == 1


def test_a_restarted_switch_comes_up_shut_and_is_filled_again(shop):
    shop.controller.kill9()
    shop.ovs.ofctl("del-flows", shop.bridge)
    blocked(shop.web, shop.app, "tcp/8080")
    shop.start()
    reaches(shop.web, shop.app, "tcp/8080")
    blocked(shop.web, shop.db, "tcp/3306")
