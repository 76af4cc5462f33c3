"""Addresses that vNICs learn, from the copied frame to the flows and OVSDB, through restarts, losses and moves."""

from dataclasses import replace

import pytest

from ryu_apps.facts import LeaseDue, Punted
from ryu_apps.learn_bounds import NOTICE_SECONDS
from ryu_apps.remote import WRITE_CHECK, WRITE_PAUSE
from tests.apps.learning_room import (
    DB,
    EXCHANGE,
    GUEST,
    POLICY,
    V6_EXCHANGE,
    WEB,
    codes,
    copy_of,
    has,
    lab,
    learned_writes,
    port,
    tell,
    text,
)
from tests.apps.shops import ETH, A, a
from tests.apps.worlds import with_keys
from tests.topology.builders import MAC_1, MAC_2
from tests.topology.exchanges import (
    BROADCAST,
    arp,
    client4,
    server4,
)

# --- the usual


def test_a_lease_is_used_written_and_survives_a_restart():
    world = lab()
    assert has(world) == set() and not learned_writes(world)
    before = world.sent()
    tell(world, *EXCHANGE, *V6_EXCHANGE)
    assert has(world) == {"10.0.0.50", "2001:db8::50"}
    assert world.sent() > before
    assert text(world) == (f"{MAC_1} 1000001 10.0.0.50,dhcp4,1000000,1000090 2001:db8::50,dhcp6,1000000,1000030")
    assert port(world, "tap-web")["learned"] == [
        {"address": "10.0.0.50", "source": "dhcp4", "since": 1000000, "until": 1000090},
        {"address": "2001:db8::50", "source": "dhcp6", "since": 1000000, "until": 1000030},
    ]
    world.check_settled()
    # The flows name it from now on.
    assert any(0x0A000032 in (test.value for test in flow.match) for flow in world.switches[1].flows.values())


def test_an_address_counts_in_the_batch_that_brings_it():
    """Before OVSDB has answered, and though it never does."""
    world = lab()
    world.refuse_writes = "disk full"
    tell(world, *EXCHANGE)
    assert has(world) == {"10.0.0.50"} and text(world) is None
    assert world.holds_wanted(1)
    # What OVSDB says meanwhile of the same row does not undo it.
    world.update(with_keys(world.servers[A], "labels", {"i-tap-web": "x=y"}))
    world.run()
    assert has(world) == {"10.0.0.50"}
    world.refuse_writes = None
    world.pass_time(WRITE_PAUSE)
    assert "10.0.0.50" in text(world)
    world.check_settled()


def test_a_write_whose_answer_is_lost_is_repeated_and_then_no_more():
    world = lab()
    world._write = lambda *_: None
    tell(world, client4("request"), server4("ack"))
    assert len(learned_writes(world)) == 1
    world.pass_time(WRITE_CHECK)
    assert len(learned_writes(world)) == 2
    del world._write
    world.pass_time(WRITE_CHECK)
    assert "10.0.0.50" in text(world) and len(learned_writes(world)) == 3
    world.pass_time(10 * WRITE_CHECK)
    assert len(learned_writes(world)) == 3


def test_a_lease_that_is_learned_while_ovsdb_is_away_is_written_when_it_is_back():
    world = lab()
    world.lose(A)
    tell(world, *EXCHANGE)
    assert has(world) == {"10.0.0.50"} and not learned_writes(world)
    world.snapshot(world.servers[A])
    world.run()
    assert has(world) == {"10.0.0.50"} and "10.0.0.50" in text(world)
    world.check_settled()


def test_a_lease_ends():
    world = lab()
    tell(world, *EXCHANGE, *V6_EXCHANGE)
    world.pass_time(29)
    assert has(world) == {"10.0.0.50", "2001:db8::50"}
    world.pass_time(1)
    assert has(world) == {"10.0.0.50"}
    world.pass_time(60)
    assert has(world) == set() and port(world, "tap-web")["learned"] == []
    assert text(world).startswith(MAC_1) and "10.0.0.50" not in text(world)
    world.check_settled()


def test_a_renewal_changes_no_flow_and_counts():
    world = lab()
    tell(world, *EXCHANGE)
    sent = world.sent()
    world.pass_time(45)
    tell(world, client4("request", ciaddr="10.0.0.50", xid=8), server4("ack", xid=8, lease=90))
    assert world.sent() == sent
    world.pass_time(46)
    assert has(world) == {"10.0.0.50"}
    world.pass_time(44)
    assert has(world) == set()


@pytest.mark.parametrize(
    "frames",
    [
        [client4("release", ciaddr="10.0.0.50")],
        [client4("decline", requested_addr="10.0.0.50")],
        [client4("request", ciaddr="10.0.0.50"), server4("nak", yiaddr="0.0.0.0", lease=None, to=BROADCAST)],
    ],
)
def test_what_is_given_back_or_refused_is_gone_at_once(frames):
    world = lab()
    tell(world, *EXCHANGE)
    tell(world, *frames)
    assert has(world) == set()
    world.check_settled()


def test_a_broadcast_answer_is_the_vnics_own_by_its_hardware_address():
    world = lab()
    tell(world, client4("request"), server4("ack", to=BROADCAST))
    assert has(world) == {"10.0.0.50"}
    # The other's copy of the same answer.
    tell(world, client4("request", mac=MAC_2), server4("ack", to=BROADCAST), of="tap-guest")
    assert has(world, "tap-guest") == set()


# --- whose it is


@pytest.mark.parametrize("address", ["10.0.0.13", "10.0.0.99", "10.0.0.60"])
def test_what_another_has_is_not_learned_but_reported(address):
    """Stated in the inventory for a VM that is on or off, or learned."""
    world = lab()
    tell(world, client4("request", mac=MAC_2), server4("ack", mac=MAC_2, yiaddr="10.0.0.60"), of="tap-guest")
    tell(world, client4("request"), server4("ack", yiaddr=address))
    tell(world, arp(address))
    assert has(world) == set() and has(world, "tap-db") == {"10.0.0.13"} and has(world, "tap-guest") == {"10.0.0.60"}
    assert codes(world) == ["learned-address"]
    assert world.status()["findings"][0]["where"] == "hv1/br0/tap-web"
    world.check_settled()
    world.now += NOTICE_SECONDS
    world.facts.append(LeaseDue(0.0))
    world.run()
    assert codes(world) == []


def test_what_becomes_stated_for_another_counts_no_longer():
    world = lab()
    tell(world, *EXCHANGE)
    world.policy(POLICY.replace("10.0.0.99", "10.0.0.50"))
    world.run()
    assert has(world) == set() and codes(world) == ["learned-address"]
    world.policy(POLICY)
    world.run()
    assert has(world) == {"10.0.0.50"} and codes(world) == []


def test_stated_addresses_hold_alone_and_nothing_is_learned():
    world = lab()
    stated = replace(WEB, ids={**WEB.ids, "addresses": "10.0.0.7"})
    tell(world, *EXCHANGE)
    world.update(a(ETH, stated, DB, GUEST))
    world.run()
    assert has(world) == {"10.0.0.7"} and port(world, "tap-web")["learned"] == []
    writes = len(learned_writes(world))
    tell(world, client4("request"), server4("ack", yiaddr="10.0.0.51"), arp("10.0.0.52"))
    assert has(world) == {"10.0.0.7"} and len(learned_writes(world)) == writes
    world.update(a(ETH, WEB, DB, GUEST))
    world.run()
    assert has(world) == {"10.0.0.50"}


@pytest.mark.parametrize(
    ("source", "destination", "frames"),
    [
        # An answer that comes from the vNIC itself, a question that comes to it, another's claim.
        ("web", 0, [client4("request"), server4("ack")]),
        (0, "web", [client4("request"), server4("ack")]),
        (0, "web", [arp("10.0.0.50")]),
        ("web", 0, [arp("10.0.0.50", mac=MAC_2)]),
        (0, 0, [*EXCHANGE, arp("10.0.0.50")]),
        (9, 9, [*EXCHANGE, arp("10.0.0.50")]),
    ],
)
def test_frames_of_nobody_or_the_wrong_way_teach_nothing(source, destination, frames):
    world = lab()
    zone = {"web": port(world, "tap-web")["zone"]}
    session = world.switches[1].session
    zones = zone.get(source, source), zone.get(destination, destination)
    world.facts += [Punted(1, session, copy_of(frame, *zones)) for frame in frames]
    world.run()
    assert has(world) == set() and not learned_writes(world)


def test_copies_of_a_connection_that_is_gone_or_of_another_bridge_teach_nothing():
    world = lab()
    zone = port(world, "tap-web")["zone"]
    for dpid, session in ((1, 99), (7, 1)):
        world.facts.append(Punted(dpid, session, copy_of(arp("10.0.0.50"), zone, 0)))
    world.run()
    assert has(world) == set()
