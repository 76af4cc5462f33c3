"""The controller dies, stalls, comes twice, and cannot write: traffic goes on, and the bridge ends where it should."""

import random
import time
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest

from mininet_scenarios.lab import Controller, LiveGuest, write_policy
from mininet_scenarios.words import blocked, connect, reaches, still_open
from tests.faults.conftest import LONG
from tests.faults.fresh import left_to_do
from tests.faults.history import History
from tests.faults.traffic import traffic
from tests.faults.waiting import drifted, waits_for
from tests.live.shop import Shop

KILLS = 50 if LONG else 2
DOWN = 60.0 if LONG else 2.0
STALL = 15.0 if LONG else 3.0
DAY = 86_400


def test_killed_at_random_points_of_a_random_history(shop: Shop, note):
    history = History(shop, seed=1)
    shop.controller.wait_enforced()
    chance = random.Random(2)
    worst = 0.0
    link = connect(shop.app, shop.db, "tcp/3306")
    with traffic(shop) as flows:
        for _ in range(KILLS):
            steps = [history.step() for _ in range(chance.randint(1, 3))]
            time.sleep(chance.uniform(0.0, 0.4))  # the point at which it dies: while it reads, while it sends, after
            shop.controller.kill9()
            if chance.random() < 0.5:
                steps.append("dead: " + history.step())
            began = time.monotonic()
            shop.start()
            worst = max(worst, time.monotonic() - began)
            assert left_to_do(shop) == [], steps
        measured = flows.finish()
    history.settle()
    shop.controller.wait_enforced()
    still_open(link)
    note("controller killed while things change, and started again", measured, KILLS, slowest_start=worst)
    assert (measured.lost, measured.leaked) == (0, 0)


@pytest.mark.long
def test_things_change_while_it_is_down(shop: Shop, note):
    lab, ovs, bridge = shop.lab, shop.ovs, shop.bridge
    one = lab.guest(ovs, bridge, "one", ["10.0.0.41/24"], external_ids={"labels": "role=web", "addresses": "10.0.0.41"})
    two = lab.guest(ovs, bridge, "two", ["10.0.0.42/24"], external_ids={"addresses": "10.0.0.42"})
    shop.controller.wait_enforced()
    reaches(one, shop.app, "tcp/8080")
    blocked(two, shop.app, "tcp/8080")
    connect(one, shop.app, "tcp/8080")
    with traffic(shop) as flows:
        shop.controller.kill9()
        began = time.monotonic()
        # One goes; a port comes; two takes the place of one: its port number at once, then its addresses.
        number = one.ofport
        one.unplug()
        ovs.vsctl("set", "interface", two.port, f"ofport_request={number}")
        assert two.ofport == number
        blocked(two, shop.app, "tcp/8080")
        late = lab.guest(ovs, bridge, "late", ["10.0.0.43/24"], external_ids={"addresses": "10.0.0.43"})
        blocked(late, shop.app, "tcp/8080")
        blocked(late, shop.web, "tcp/443")
        flows.runs(max(0.0, DOWN - (time.monotonic() - began)))
        began = time.monotonic()
        shop.start()
        took = time.monotonic() - began
        assert left_to_do(shop) == []
        blocked(two, shop.app, "tcp/8080")
        reaches(late, shop.web, "tcp/443")
        # Who comes to the same port number has none of the connections of who was there.
        assert not [line for line in ovs.conntrack() if "10.0.0.41" in line and f"zone={zone(shop, 'two')}" in line]
        measured = flows.finish()
    for guest in (one, two, late):
        guest.close()
    shop.controller.wait_enforced()
    note("ports come, go and change places while the controller is down", measured, 1, down=DOWN, start=took)
    assert (measured.lost, measured.leaked) == (0, 0)


def zone(shop: Shop, port: str):
    return shop.vnic(port)["zone"]


def test_two_vms_swap_mac_and_address_while_it_is_down(shop: Shop, note):
    lab, ovs, bridge = shop.lab, shop.ovs, shop.bridge
    ids = {"labels": "role=web", "addresses": "10.0.0.41"}
    good = lab.guest(ovs, bridge, "good", ["10.0.0.41/24"], external_ids=ids)
    bad = lab.guest(ovs, bridge, "bad", ["10.0.0.42/24"], external_ids={"addresses": "10.0.0.42"})
    shop.controller.wait_enforced()
    reaches(good, shop.app, "tcp/8080")
    with traffic(shop) as flows:
        shop.controller.kill9()
        # The one who may nothing takes MAC and address of the one who may, in its own port.
        becomes(bad, good.mac, "10.0.0.41")
        blocked(bad, shop.app, "tcp/8080")
        becomes(good, bad.mac, "10.0.0.42")
        # OVSDB now says that they have swapped: what the database says at the start is what counts.
        good.set_ids(attached_mac=bad.mac, addresses="10.0.0.42", labels=None)
        bad.set_ids(attached_mac=good.mac, addresses="10.0.0.41", labels="role=web")
        blocked(bad, shop.app, "tcp/8080")
        began = time.monotonic()
        shop.start()
        took = time.monotonic() - began
        assert left_to_do(shop) == []
        reaches(bad, shop.app, "tcp/8080")
        blocked(good, shop.app, "tcp/8080")
        measured = flows.finish()
    for guest in (good, bad):
        guest.close()
    shop.controller.wait_enforced()
    note("two VMs swap MAC and address while the controller is down", measured, 1, start=took)
    assert (measured.lost, measured.leaked) == (0, 0)


def becomes(guest: LiveGuest, mac: str, address: str) -> None:
    """A guest gives itself another MAC and another IPv4 address."""
    old = guest.address(4)
    guest.run("ip", "link", "set", "eth0", "address", mac)
    guest.run("ip", "address", "delete", f"{old}/24", "dev", "eth0")
    guest.run("ip", "address", "add", f"{address}/24", "dev", "eth0")
    guest.addresses = (ip_address(address),)


@pytest.mark.long
def test_stalled_and_gone_on(shop: Shop, note):
    with traffic(shop) as flows:
        with shop.controller.stalled():
            shop.say("policy.yaml", shop.files["policy.yaml"].replace("tcp/443", "tcp/444"))
            flows.runs(STALL)
        began = time.monotonic()
        shop.controller.wait_enforced()
        took = time.monotonic() - began
        reaches(shop.client, shop.web, "tcp/444")
        blocked(shop.client, shop.web, "tcp/443")
        measured = flows.finish()
    shop.change("policy.yaml", "tcp/444", "tcp/443")
    assert left_to_do(shop) == []
    note("controller stalled (SIGSTOP), policy changed meanwhile", measured, 1, stalled=STALL, until_enforced=took)
    assert (measured.lost, measured.leaked) == (0, 0)


@pytest.fixture
def second(shop: Shop) -> Iterator[Controller]:
    """Another controller for the same switch, with a policy of its own, not yet started."""
    controller = shop.lab.controller(shop.files, shop.ovs)
    yield controller
    controller.stop()


def test_a_second_controller_stands_by_and_takes_over(shop: Shop, second: Controller, note):
    shop.ovs.vsctl("set-controller", shop.bridge, shop.controller.target, second.target)
    shop.controller.wait_enforced()
    with traffic(shop) as flows:
        second.start()
        second.told(waits_for("this one stands by"))
        second.told(lambda status: status["bridges"] and status["bridges"][0]["connected"])
        # It has other ideas of what should be, and keeps them to itself.
        (second.policy / "policy.yaml").write_text(shop.files["policy.yaml"].replace("web-app, allow", "web-app, deny"))
        flows.runs(1.0)
        assert drifted(shop.controller.status()) == 0
        assert second.status()["bridges"][0]["flow_mods"] == 0
        (second.policy / "policy.yaml").write_text(shop.files["policy.yaml"])
        revision = shop.controller.status()["policy"]["revision"]
        second.told(lambda status: status["policy"]["revision"] == revision)
        shop.controller.kill9()
        began = time.monotonic()
        second.wait_enforced()
        takeover = time.monotonic() - began
        # The first comes back, and now stands by itself.
        shop.controller.start()
        shop.controller.told(waits_for("this one stands by"))
        second.stop()
        began = time.monotonic()
        shop.controller.wait_enforced()
        back = time.monotonic() - began
        measured = flows.finish()
    shop.ovs.vsctl("set-controller", shop.bridge, shop.controller.target)
    shop.controller.wait_enforced()
    assert left_to_do(shop) == []
    note("two controllers; the one that enforces is killed", measured, 2, takeover=max(takeover, back))
    assert (measured.lost, measured.leaked) == (0, 0)


@pytest.mark.long
def test_the_clock_jumps(shop: Shop, note, tmp_path, monkeypatch):
    offset = tmp_path / "offset"
    offset.write_text("0")
    shop.controller.stop()
    shifted = {"PYTHONPATH": str(Path(__file__).parent / "clock"), "CLOCK_OFFSET": str(offset)}
    monkeypatch.setattr(shop.controller, "environment", shifted)
    worst = 0.0
    with traffic(shop) as flows:
        shop.start()
        for jump, (old, new) in ((DAY, ("tcp/443", "tcp/444")), (-2 * DAY, ("tcp/444", "tcp/443"))):
            write_policy(offset, str(jump))
            began = time.monotonic()
            shop.change("policy.yaml", old, new)
            worst = max(worst, time.monotonic() - began)
            flows.runs(1.0)
            status = shop.controller.status()
            assert status["ovsdb"][0]["connected"] and status["bridges"][0]["connected"]
        assert "lost" not in shop.controller.log.read_text().split("=== start")[-1]
        measured = flows.finish()
    assert left_to_do(shop) == []
    shop.controller.stop()
    note("the clock jumps a day on, and two back", measured, 2, slowest_change=worst)
    assert (measured.lost, measured.leaked) == (0, 0)


@pytest.mark.long
def test_its_output_goes_to_a_full_disk(shop: Shop, note, monkeypatch):
    shop.controller.stop()
    monkeypatch.setattr(shop.controller, "output", Path("/dev/full"))
    with traffic(shop) as flows:
        shop.start()
        began = time.monotonic()
        shop.change("policy.yaml", "tcp/443", "tcp/444")
        took = time.monotonic() - began
        # An alarm is told as well, to whom it may concern.
        shop.ovs.ofctl("add-flow", shop.bridge, "table=0,priority=65535,cookie=0x1,in_port=9999,actions=drop")
        shop.controller.told(drifted)
        reaches(shop.client, shop.web, "tcp/444")
        measured = flows.finish()
    shop.change("policy.yaml", "tcp/444", "tcp/443")
    shop.controller.stop()
    note("the disk is full that the log goes to", measured, 1, change=took)
    assert (measured.lost, measured.leaked) == (0, 0)
