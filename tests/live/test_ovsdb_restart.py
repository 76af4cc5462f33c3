"""OVS's two daemons stop and start under traffic. What is allowed flows on, what is not never gets through.

After a restart of ovsdb-server its column Bridge.datapath_id is empty (it is not kept on disk) until ovs-vswitchd has
connected again and writes it anew. Meanwhile the controller does not know which connection is which bridge, and leaves
all bridges of that server as they are.

While ovs-vswitchd has no database it runs no bridge: it hears no OpenFlow, and with the userspace datapath, whose ports
its main thread polls, it forwards nothing. That loss is its own, with or without a controller; what is tested is that
nothing is lost but this, and that the flows stay the very same.
"""

import contextlib
import re

import pytest

from mininet_scenarios.lab import Lab
from mininet_scenarios.lab.ovs import end_process
from mininet_scenarios.words import blocked, connect, now_cut, reaches, still_open, stream
from policy.flows.cookies import Kind, cookie
from tests.live.shop import FILES, Shop

LATER_FORBIDDEN = "      - {name: later, allow: udp/5001, from: web, to: db}\n"
RATE = 500
DOWN = 3.0


@pytest.fixture
def shop(lab: Lab) -> Shop:
    return Shop(lab, {**FILES, "policy.yaml": FILES["policy.yaml"] + LATER_FORBIDDEN})


@contextlib.contextmanager
def forbidden(shop: Shop):
    """Somebody sends all the time what was allowed once and is not any more: nothing of it may arrive."""
    with stream(shop.web, shop.db, "udp/5001", rate=200) as knocking:
        shop.change("policy.yaml", LATER_FORBIDDEN, "")
        knocking.stops()
        before = knocking.received
        yield
        knocking.stops(within=0.0)
        assert knocking.received == before, "what is forbidden got through"


def kill(shop: Shop, daemon: str) -> None:
    end_process(shop.ovs.pid(daemon), str(shop.ovs.run_dir))


def start_server(shop: Shop) -> None:
    ovs = shop.ovs
    ovs._daemon("ovsdb-server", str(ovs.run_dir / "conf.db"), f"--remote=punix:{ovs.db_socket}")


def start_switch(shop: Shop) -> None:
    shop.ovs._daemon("ovs-vswitchd", shop.ovs.db)


def ports(shop: Shop) -> dict:
    return {vnic["port"]: (vnic["state"], vnic.get("zone")) for vnic in shop.controller.status()["vnics"]}


def written(shop: Shop) -> set[str]:
    """The bridge's flows, without what it has learned by itself."""
    return {line for line in shop.ovs.flows(shop.bridge) if f"cookie={cookie(Kind.LEARNED):#x}" not in line}


def bundles(shop: Shop) -> int:
    """How many bundles the switch has been asked to commit, by its own log."""
    log = shop.ovs.log().read_text()
    return len(re.findall(r"received: OFPT_BUNDLE_CONTROL.*(?:\n.*)?type=COMMIT_REQUEST", log))


@pytest.mark.parametrize("down", [0.0, DOWN])
def test_ovsdb_server_restarts(shop: Shop, down: float):
    link = connect(shop.app, shop.db, "tcp/3306")
    before = ports(shop)
    with forbidden(shop):
        flows = written(shop)
        shop.ovs.appctl("vlog/set", "vconn:file:dbg")
        with (
            stream(shop.web, shop.app, "udp/5000", rate=RATE) as there,
            stream(shop.web, shop.app, "udp/5000", rate=RATE, push=True, over=6) as back,
        ):
            kill(shop, "ovsdb-server")
            if down:
                blocked(shop.web, shop.db, "tcp/3306", watch=down)
            status = shop.controller.told(lambda status: not status["enforced"])
            assert "is lost" in " ".join(status["waiting_for"])
            start_server(shop)
            shop.controller.told(lambda status: status["ovsdb"][0]["connected"])
            shop.controller.wait_enforced()
            for running in (there, back):
                running.starts(within=15.0)
                running.runs(0.5)
                counts = running.finish().counts()
                # One loss in one piece, that of the time without a database.
                assert counts["lost"] <= RATE * counts["longest_gap"] + 5, counts
        assert bundles(shop) == 0, "flows were changed though nothing had"
        assert written(shop) == flows
    still_open(link)
    assert ports(shop) == before
    # And it works as before.
    shop.change("policy.yaml", "tcp/8080", "tcp/8081")
    assert bundles(shop) > 0
    reaches(shop.web, shop.app, "tcp/8081")
    blocked(shop.web, shop.db, "tcp/3306")


def test_a_policy_that_changes_while_ovsdb_server_is_away_is_enforced_when_it_is_back(shop: Shop):
    link = connect(shop.web, shop.app, "tcp/8080")
    kill(shop, "ovsdb-server")
    shop.controller.told(lambda status: not status["ovsdb"][0]["connected"])
    shop.say("policy.yaml", shop.files["policy.yaml"].replace("tcp/8080", "tcp/8081"))
    shop.controller.told(lambda status: "is changing" in " ".join(status["waiting_for"]))
    start_server(shop)
    shop.controller.wait_enforced()
    reaches(shop.web, shop.app, "tcp/8081")
    now_cut(link)


def test_ovs_vswitchd_restarts(shop: Shop):
    link = connect(shop.app, shop.db, "tcp/3306")
    with forbidden(shop), stream(shop.web, shop.app, "udp/5000", rate=200) as there:
        kill(shop, "ovs-vswitchd")
        shop.controller.told(lambda status: not status["bridges"][0]["connected"])
        start_switch(shop)
        shop.controller.wait_enforced()
        there.starts(within=10.0)
    still_open(link)
    blocked(shop.web, shop.db, "tcp/3306")
    reaches(shop.client, shop.web, "tcp/443")


def test_ovs_vswitchd_without_a_controller_comes_up_shut(shop: Shop):
    link = connect(shop.app, shop.db, "tcp/3306")
    with forbidden(shop):
        shop.controller.kill9()
        kill(shop, "ovs-vswitchd")
        start_switch(shop)
        for service in ("tcp/8080", "udp/5000", "icmp/echo"):
            blocked(shop.web, shop.app, service)
        now_cut(link)
        shop.start()
    # TCP has been repeating what was said meanwhile, ever more slowly.
    still_open(link, within=60.0)
    reaches(shop.web, shop.app, "tcp/8080")
    blocked(shop.web, shop.db, "tcp/3306")


def test_both_restart(shop: Shop):
    """As after a reboot of the host: the numbers of ports may be others then."""
    with forbidden(shop):
        kill(shop, "ovs-vswitchd")
        kill(shop, "ovsdb-server")
        start_server(shop)
        start_switch(shop)
        shop.controller.wait_enforced()
    reaches(shop.web, shop.app, "tcp/8080")
    blocked(shop.web, shop.db, "tcp/3306")
