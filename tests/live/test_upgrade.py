"""Another version of the program, with another layout of tables and registers, takes over: nothing is lost or leaked.

The other version is today's, made over by `other_layout/sitecustomize.py`; it runs by the ordinary way.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from mininet_scenarios.guest import Guest
from mininet_scenarios.lab import Lab
from mininet_scenarios.tries import attempt, came_through, paths, serve
from mininet_scenarios.words import blocked, connect, reaches, still_open, stream
from policy.flows.cookies import LAYOUT
from ryu_apps.generations import RETIRE_AFTER
from tests.live.shop import Shop
from tests.live.versions import FILES, RATE, SHARED, bridge, layouts, nothing_of, old_goes

HERE = Path(__file__).parent
OTHER = str(HERE / "other_layout")

@pytest.fixture
def shop(lab: Lab) -> Shop:
    shop = Shop(lab, FILES, start=False)
    run_other(shop)
    return shop


def run_other(shop: Shop) -> None:
    """The other version comes to enforce."""
    shop.controller.environment["PYTHONPATH"] = os.pathsep.join((OTHER, str(shop.controller.root)))
    shop.start()


def run_todays(shop: Shop) -> None:
    """Today's version comes to enforce."""
    shop.controller.environment.pop("PYTHONPATH", None)
    shop.start()


def test_up_and_down_under_traffic(shop):
    """Both ways, with streams between two vNICs and to and from the outside, and with packets that must not pass."""
    inside, outside = connect(shop.web, shop.app, "tcp/8080"), connect(shop.client, shop.web, "tcp/443")
    zones = {vnic["port"]: vnic.get("zone") for vnic in shop.controller.status()["vnics"]}
    with (
        nothing_of(shop.web, shop.db, "udp/5000"),
        nothing_of(shop.client, shop.app, "udp/5000"),
        stream(shop.web, shop.app, "udp/5000", rate=RATE, over=4) as there,
        stream(shop.web, shop.app, "udp/5001", rate=RATE, push=True, over=6) as back,
        stream(shop.client, shop.web, "udp/6000", rate=RATE, over=4) as inwards,
        stream(shop.app, shop.client, "udp/7000", rate=RATE, over=4) as outwards,
    ):
        for run in (run_todays, run_other, run_todays):
            shop.controller.kill9()
            there.runs(0.3)
            run(shop)
            old_goes(shop)
            assert layouts(shop)[SHARED] == {LAYOUT if run is run_todays else 200}
            still_open(inside)
            still_open(outside)
            blocked(shop.web, shop.db, "tcp/3306")
            reaches(shop.web, shop.app, "tcp/8080")
        for each in (there, back, inwards, outwards):
            assert each.finish().lost == 0, f"{each}: {each.counts()}"
    assert {vnic["port"]: vnic.get("zone") for vnic in shop.controller.status()["vnics"]} == zones
    assert bridge(shop)["drift"] == 0 and bridge(shop)["foreign_removed"] == 0


def test_packets_that_began_in_the_old_generation_end_there(shop):
    """The datapath is kept from noticing the new flows, so that each packet begins its way as the old ones said, and
    comes back from conntrack after the change. Those on new ports must then be looked up."""
    with (
        nothing_of(shop.client, shop.app, "udp/5000"),
        stream(shop.web, shop.app, "udp/5000", rate=RATE, over=4) as there,
        stream(shop.client, shop.web, "udp/6000", rate=RATE, over=4) as inwards,
    ):
        shop.controller.kill9()
        shop.ovs.appctl("revalidator/pause")
        shop.controller.environment.clear()
        shop.controller.start()
        shop.controller.wait_enforced(settle=False)
        assert bridge(shop)["old_slots"], "the old generation is gone"
        for port in range(5010, 5030):
            assert first_try(shop.web, shop.app, f"udp/{port}"), f"port {port}: lost"
        for port in range(6010, 6030):
            assert first_try(shop.client, shop.web, f"udp/{port}"), f"port {port}: lost"
        for port in (4999, 5100, 6000):
            blocked(shop.web, shop.app, f"udp/{port}", over=4, watch=0.2)
        assert bridge(shop)["old_slots"], "it took too long to say anything"
        shop.ovs.appctl("revalidator/resume")
        old_goes(shop)
        for each in (there, inwards):
            assert each.finish().lost == 0, f"{each}: {each.counts()}"


def first_try(a: Guest, b: Guest, service: str) -> bool:
    """One packet, and its answer."""
    path = paths(a, b, service, 4)[0]
    serve(path)
    return came_through(path, attempt(path, 1.0))


def test_a_controller_that_dies_in_between_leaves_it_to_the_next(shop):
    shop.controller.kill9()
    run_todays(shop)
    shop.controller.kill9()
    time.sleep(RETIRE_AFTER)  # nobody is there whose wait could be over
    assert len(layouts(shop)) == 3
    run_todays(shop)
    assert bridge(shop)["bundles"] == 0
    old_goes(shop)
    reaches(shop.web, shop.app, "tcp/8080")


def test_back_before_the_old_is_gone(shop):
    """Three versions within a moment: each has a slot of its own, and the last stays."""
    with stream(shop.web, shop.app, "udp/5000", rate=RATE, over=4) as there:
        shop.controller.kill9()
        run_todays(shop)
        shop.controller.kill9()
        run_other(shop)
        assert (bridge(shop)["slot"], bridge(shop)["old_slots"]) == (2, [0, 1])
        shop.controller.told(lambda status: not status["bridges"][0]["old_slots"], within=RETIRE_AFTER + 5)
        assert layouts(shop) == {SHARED: {200}, 2: {200}}
        assert there.finish().lost == 0, there.counts()
    reaches(shop.web, shop.app, "tcp/8080")
