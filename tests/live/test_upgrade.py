"""Another version of the program, with another layout of tables and registers, takes over: nothing is lost or leaked.

The other version is today's, made over by `other_layout/sitecustomize.py`; it runs by the ordinary way.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mininet_scenarios.guest import Guest
from mininet_scenarios.lab import Lab
from mininet_scenarios.lab.lab import write_policy
from mininet_scenarios.tries import attempt, came_through, paths, serve
from mininet_scenarios.words import blocked, connect, reaches, rejected, still_open, stream
from policy.flows.cookies import LAYOUT, Kind, cookie
from policy.flows.slots import SLOTS, on_wire
from policy.flows.tables import TABLES
from ryu_apps.generations import RETIRE_AFTER
from tests.live.shop import Shop
from tests.live.versions import FILES, RATE, SHARED, bridge, layouts, no_loss, nothing_of, old_goes, traffic

HERE = Path(__file__).parent
OTHER, OTHER_LAYOUT = str(HERE / "other_layout"), 200


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
    with traffic(shop) as streams:
        for run in (run_todays, run_other, run_todays):
            shop.controller.kill9()
            streams[0].runs(0.3)
            run(shop)
            old_goes(shop)
            assert layouts(shop)[SHARED] == {LAYOUT if run is run_todays else OTHER_LAYOUT}
            still_open(inside)
            still_open(outside)
            blocked(shop.web, shop.db, "tcp/3306")
            reaches(shop.web, shop.app, "tcp/8080")
        no_loss(shop, *streams)
    assert {vnic["port"]: vnic.get("zone") for vnic in shop.controller.status()["vnics"]} == zones
    assert bridge(shop)["drift"] == 0 and bridge(shop)["foreign_removed"] == 0


def test_packets_that_began_in_the_old_generation_end_there(shop):
    """The datapath is kept from noticing the new flows, so that each packet begins its way as the old ones said, and
    comes back from conntrack after the change. Those to new ports must then be looked up.

    The new controller is killed at once, too, so that the old generation stays for as long as this takes. (Put into the
    old one's slot, the new tables lose all that `web` sends here, and most of what comes from outside.)
    """
    asked = [(shop.web, shop.app, f"udp/{port}") for port in range(5010, 5030)]
    asked += [(shop.client, shop.web, f"udp/{port}") for port in range(6010, 6030)]
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
        shop.controller.kill9()
        assert layouts(shop) == {SHARED: {LAYOUT}, 0: {OTHER_LAYOUT}, 1: {LAYOUT}}
        lost = [f"{a.name} to {b.name}, {service}" for a, b, service in asked if not first_try(a, b, service)]
        assert not lost
        for port in (4999, 5100, 6000):
            blocked(shop.web, shop.app, f"udp/{port}", over=4, watch=0.2)
        shop.ovs.appctl("revalidator/resume")
        shop.controller.start()
        shop.controller.wait_enforced()
        old_goes(shop)
        no_loss(shop, there, inwards)


def test_a_newer_version_that_stands_by_takes_over(shop):
    """It has looked at the bridge before, and the old one has changed that since."""
    newer = shop.lab.controller(shop.files, shop.ovs)
    shop.ovs.vsctl("set-controller", shop.bridge, shop.controller.target, newer.target)
    for row in shop.ovs.find("controller"):
        shop.ovs.vsctl("set", "controller", row["_uuid"][1], "connection_mode=out-of-band", "max_backoff=1000")
    shop.controller.wait_enforced()
    newer.start()
    newer.told(lambda status: [bridge["connected"] and not bridge["master"] for bridge in status["bridges"]] == [True])
    shop.change("policy.yaml", "tcp/8080", "tcp/8081")
    link = connect(shop.client, shop.web, "tcp/443")
    with (
        nothing_of(shop.client, shop.app, "udp/5000"),
        stream(shop.web, shop.app, "udp/5000", rate=RATE, over=4) as there,
        stream(shop.client, shop.web, "udp/6000", rate=RATE, over=4) as inwards,
    ):
        write_policy(newer.policy / "policy.yaml", shop.files["policy.yaml"])
        shop.controller.kill9()
        newer.wait_enforced()
        shop.controller = newer
        old_goes(shop)
        still_open(link)
        no_loss(shop, there, inwards)
    assert layouts(shop) == {SHARED: {LAYOUT}, 1: {LAYOUT}}
    reaches(shop.web, shop.app, "tcp/8081")
    blocked(shop.web, shop.app, "tcp/8080")


def test_whatever_names_tables_follows_into_another_slot(shop):
    """Answers to what is rejected, the log, counters, learned MACs, prefixes, drift, and what people read."""
    log = shop.lab.directory / "log.jsonl"
    shop.controller.options += ["--portcullis-log", f"file:{log}"]
    shop.controller.kill9()
    run_todays(shop)
    old_goes(shop)
    assert bridge(shop)["slot"] == 1
    reaches(shop.client, shop.web, "tcp/443")
    # By an uplink, and by a vNIC.
    rejected(shop.client, shop.web, "tcp/25", over=4)
    rejected(shop.app, shop.web, "tcp/26", over=4)
    wait_for(lambda: log.exists() and log.read_text().count('"rule":"closed"') == 2)
    counted = {rule["name"]: rule["packets"] for rule in shop.controller.get("/counters")["rules"]}
    assert counted["shop/clients"] and counted["shop/closed"]
    learned = shop.ovs.ofctl("dump-flows", shop.bridge, f"table={on_wire(TABLES['LEARNED'], 1)}")
    assert f"cookie={cookie(Kind.LEARNED):#x}" in learned
    prefixes = shop.ovs.vsctl("get", "bridge", shop.bridge, "flow_tables")
    assert all(f"{on_wire(TABLES['SRC_ID'], slot)}=" in prefixes for slot in SLOTS)
    # Somebody else's flow in our slot is found, one in another slot is nobody's business.
    number = on_wire(TABLES["GUARD"], 1)
    for table in (number, on_wire(TABLES["GUARD"], 2)):
        shop.ovs.ofctl("add-flow", shop.bridge, f"table={table},priority=65000,cookie=0x1,actions=drop")
    wait_for(lambda: bridge(shop)["drift"] == 1)
    assert [line.partition("table=")[2][:4] for line in dumped(shop) if "cookie=0x1," in line] == ["129,"]
    explained = explain(shop, "\n".join(line for line in dumped(shop) if "cookie=0x1," not in line))
    assert "table=EGRESS_APPLICATION@1" in explained and "# rule shop/web-app: allow" in explained
    ports = f"in_port={shop.ovs.ofport(shop.web.port)},dl_src={shop.web.mac},dl_dst={shop.app.mac}"
    packet = "tcp,nw_ttl=64,nw_src=10.0.0.11,nw_dst=10.0.0.12,tp_dst=8080"
    trace = explain(shop, shop.ovs.trace(shop.bridge, f"{ports},{packet}"))
    assert "resubmit(,GUARD@1)" in trace and "EGRESS_APPLICATION@1. " in trace


def dumped(shop: Shop) -> list[str]:
    return shop.ovs.ofctl("dump-flows", shop.bridge, "--no-names").splitlines()


def explain(shop: Shop, lines: str) -> str:
    """`portcullis explain --flow -`: all is explained."""
    program = Path(sys.executable).with_name("portcullis")
    command = [program, "explain", shop.controller.policy, "--flow", "-", "--url", "http://127.0.0.1:9"]
    done = subprocess.run(command, input=lines, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def wait_for(condition: Callable[[], object], within: float = 10.0) -> None:
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, "it does not come"
        time.sleep(0.05)  # nothing tells of it: ask again in a moment


def first_try(a: Guest, b: Guest, service: str) -> bool:
    """One packet, and its answer."""
    path = paths(a, b, service, 4)[0]
    serve(path)
    return came_through(path, attempt(path, 1.0))


@pytest.mark.long
def test_a_controller_that_dies_in_between_leaves_it_to_the_next(shop):
    shop.controller.kill9()
    run_todays(shop)
    shop.controller.kill9()
    time.sleep(RETIRE_AFTER)  # the duration is the test: nobody is there whose wait could be over
    assert len(layouts(shop)) == 3
    run_todays(shop)
    assert bridge(shop)["bundles"] == 0
    old_goes(shop)
    reaches(shop.web, shop.app, "tcp/8080")


@pytest.mark.long
def test_back_before_the_old_is_gone(shop):
    """Three versions within a moment: each has a slot of its own, and the last stays."""
    with stream(shop.web, shop.app, "udp/5000", rate=RATE, over=4) as there:
        shop.controller.kill9()
        run_todays(shop)
        shop.controller.kill9()
        run_other(shop)
        assert (bridge(shop)["slot"], bridge(shop)["old_slots"]) == (2, [0, 1])
        shop.controller.told(lambda status: not status["bridges"][0]["old_slots"])
        assert layouts(shop) == {SHARED: {OTHER_LAYOUT}, 2: {OTHER_LAYOUT}}
        no_loss(shop, there)
    reaches(shop.web, shop.app, "tcp/8080")
