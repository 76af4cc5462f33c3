"""Connections break, stall, and are reset in the middle of a change; the database goes away and comes back."""

import random
import time
from collections.abc import Iterator

import pytest

from mininet_scenarios.lab import Way
from mininet_scenarios.words import blocked, reaches
from tests.faults.conftest import LONG
from tests.faults.fresh import left_to_do
from tests.faults.traffic import traffic
from tests.faults.waiting import waits_for
from tests.live.shop import FILES, Shop

CUTS = 30 if LONG else 2
BREAKS = 5 if LONG else 1
STALL = 15.0 if LONG else 2.0


@pytest.fixture
def openflow(shop: Shop) -> Iterator[Way]:
    """The bridge reaches its controller by a way that can be broken."""
    way, target = shop.lab.way(shop.controller)
    point_to(shop, target)
    shop.controller.told(lambda status: status["enforced"])
    yield way
    point_to(shop, shop.controller.target)


def point_to(shop: Shop, target: str) -> None:
    options = ["connection_mode=out-of-band", "max_backoff=1000", "inactivity_probe=5000"]
    shop.ovs.vsctl(
        *("--", "set-controller", shop.bridge, target, "--", "set", "controller", shop.bridge, *options)
    )


def extra(number: int) -> str:
    """The policy with twenty rules more, which differ each time: a bundle of some size."""
    rules = (f"      - {{name: x-{number}-{i}, allow: tcp/{9000 + i}, from: web, to: app}}\n" for i in range(20))
    return FILES["policy.yaml"] + "".join(rules)


def test_reset_in_the_middle_of_a_bundle(shop: Shop, openflow: Way, note):
    chance = random.Random(3)
    before = openflow.carried
    shop.say("policy.yaml", extra(0))
    shop.controller.wait_enforced()
    size = openflow.carried - before
    worst = 0.0
    with traffic(shop) as flows:
        for number in range(1, CUTS + 1):
            # Somewhere in the bytes of this change: in its opening, a flow-mod, before its closing or its commit.
            resets = openflow.resets
            openflow.reset_after(chance.randint(1, size))
            shop.say("policy.yaml", extra(number))
            openflow.wait_reset(resets + 1, within=20.0)
            began = time.monotonic()
            shop.controller.wait_enforced()
            worst = max(worst, time.monotonic() - began)
            assert left_to_do(shop) == []
        measured = flows.finish()
    shop.say("policy.yaml", FILES["policy.yaml"])
    shop.controller.wait_enforced()
    note("OpenFlow connection reset in the middle of a change", measured, CUTS, until_enforced=worst)
    assert (measured.lost, measured.leaked) == (0, 0)


@pytest.mark.long
def test_openflow_stalls(shop: Shop, openflow: Way, note):
    with traffic(shop) as flows:
        openflow.stall()
        shop.say("policy.yaml", FILES["policy.yaml"].replace("tcp/443", "tcp/444"))
        flows.runs(STALL)
        openflow.go()
        began = time.monotonic()
        shop.controller.wait_enforced()
        took = time.monotonic() - began
        reaches(shop.client, shop.web, "tcp/444")
        measured = flows.finish()
    shop.say("policy.yaml", FILES["policy.yaml"])
    shop.controller.wait_enforced()
    assert left_to_do(shop) == []
    note("OpenFlow connection stalled", measured, 1, stalled=STALL, until_enforced=took)
    assert (measured.lost, measured.leaked) == (0, 0)


@pytest.mark.long
def test_ovsdb_breaks_and_stalls(shop: Shop, note):
    way, remote = shop.lab.way_to_database(shop.ovs)
    shop.controller.stop()
    straight, shop.controller.databases = shop.controller.databases, [remote]
    shop.start()
    with traffic(shop) as flows:
        for _ in range(BREAKS):
            way.reset()
            shop.controller.told(lambda status: not status["ovsdb"][0]["connected"])
            # Policy goes on without the database, over what is known.
            shop.say("policy.yaml", FILES["policy.yaml"].replace("tcp/443", "tcp/444"))
            reaches(shop.client, shop.web, "tcp/444", within=8.0)
            shop.say("policy.yaml", FILES["policy.yaml"])
            shop.controller.wait_enforced()
        way.stall()
        flows.runs(STALL)
        way.go()
        began = time.monotonic()
        shop.controller.wait_enforced()
        took = time.monotonic() - began
        measured = flows.finish()
    assert left_to_do(shop) == []
    shop.controller.stop()
    shop.controller.databases = straight
    shop.start()
    note("OVSDB connection reset, then stalled", measured, BREAKS + 1, stalled=STALL, until_enforced=took)
    assert (measured.lost, measured.leaked) == (0, 0)


@pytest.mark.long
def test_ovsdb_server_stalls(shop: Shop, note):
    with traffic(shop) as flows:
        with shop.ovs.stalled("ovsdb-server"):
            flows.runs(STALL)
        began = time.monotonic()
        shop.controller.wait_enforced()
        took = time.monotonic() - began
        blocked(shop.web, shop.db, "tcp/3306")
        measured = flows.finish()
    assert left_to_do(shop) == []
    note("ovsdb-server stalled (SIGSTOP)", measured, 1, stalled=STALL, until_enforced=took)
    assert measured.leaked == 0


def test_ovsdb_server_is_killed_and_started_again(shop: Shop, note):
    with traffic(shop) as flows:
        shop.ovs.kill9("ovsdb-server")
        shop.controller.told(waits_for("is lost"))
        began = time.monotonic()
        shop.ovs.start_daemon("ovsdb-server")
        shop.controller.wait_enforced()
        flows.starts(within=15.0)
        took = time.monotonic() - began
        measured = flows.finish()
    assert left_to_do(shop) == []
    note("ovsdb-server killed and started again", measured, 1, until_traffic_flows=took)
    assert measured.leaked == 0
