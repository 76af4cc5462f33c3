"""Learned addresses over restarts, moves, and what other hands do to their texts."""

from dataclasses import replace

from ryu_apps.facts import Clock, LeaseDue, Punted
from ryu_apps.learner import LONGEST_SLEEP
from ryu_apps.ovsdb_facts import OvsdbLock
from ryu_apps.remote import WRITE_CHECK
from tests.apps.learning_room import (
    BOTH,
    DB,
    EXCHANGE,
    GUEST,
    POLICY,
    START,
    V6_EXCHANGE,
    WEB,
    codes,
    copy_of,
    has,
    lab,
    learned_writes,
    restarted,
    tell,
    text,
)
from tests.apps.shops import ETH, ONE, A, B, a, b
from tests.apps.worlds import World, with_keys
from tests.topology.builders import MAC_1, MAC_2, vnic
from tests.topology.exchanges import (
    arp,
    client4,
    server4,
)
from topology.rows import LEARNED_KEY

# --- restarts, moves, other people's hands


def test_what_ended_while_the_controller_was_away_is_dropped_before_anything_is_sent():
    world = lab()
    tell(world, *EXCHANGE, *V6_EXCHANGE)
    fresh = restarted(world, 45)
    assert has(fresh) == {"10.0.0.50"} and "2001:db8" not in text(fresh)
    (bundle,) = fresh.switches[1].bundles
    assert not bundle.add or all(0x20010DB8 not in (test.value >> 96 for test in flow.match) for flow in bundle.add)
    fresh.check_settled()
    fresh.pass_time(45)
    assert has(fresh) == set()


def test_what_is_over_does_not_count_for_a_moment():
    world = lab()
    tell(world, *EXCHANGE, *V6_EXCHANGE)
    fresh = World((A,), learning=BOTH)
    fresh.snapshot(world.servers[A])
    fresh.policy(POLICY)
    fresh.engine.handle([Clock(world.now + 45), *fresh.facts])
    found = {each.vnic.id: [str(prefix) for prefix in each.vnic.addresses] for each in fresh.engine.topology.vnic_ports}
    assert found["web"] == ["10.0.0.50/32"]


def test_as_long_as_the_time_is_not_known_nothing_counts():
    world = lab()
    tell(world, *EXCHANGE)
    fresh = World((A,), learning=BOTH)
    fresh.snapshot(world.servers[A])
    fresh.policy(POLICY)
    fresh.engine.handle(fresh.facts)
    assert not any(each.vnic.learned for each in fresh.engine.topology.vnic_ports)
    fresh.engine.handle([Clock(world.now)])
    learned = {each.vnic.id: each.vnic.learned for each in fresh.engine.topology.vnic_ports}
    assert learned == {"db": False, "guest": False, "web": True}


def test_a_clock_that_jumps_ahead_ends_leases_and_one_that_jumps_back_ends_none():
    world = lab()
    tell(world, *EXCHANGE)
    world.now += 90
    tell(world, client4("discover", xid=77))
    assert has(world) == set()
    world = lab()
    tell(world, *EXCHANGE)
    world.now -= 500_000
    tell(world, client4("request"), server4("ack"))
    assert has(world) == {"10.0.0.50"}


def test_timers_are_few():
    world = lab()
    for number in range(60):
        lease = 100_000 - 1000 * number
        tell(world, client4("request", xid=number), server4("ack", xid=number, lease=lease))
        world.pass_time(1)
    assert len([fact for _, _, fact in world.timers if isinstance(fact, LeaseDue)]) < 5
    assert all(when <= world.now + LONGEST_SLEEP for when, _, _ in world.timers)


def test_a_controller_that_stands_by_writes_nothing_and_follows_what_the_other_writes():
    world = lab()
    world._write = lambda *_: None
    tell(world, *EXCHANGE)
    del world._write
    # The lock goes to another, which has heard of a newer lease, while our write is still on its way.
    world.facts.append(OvsdbLock(A, False))
    world.run()
    other = f"{MAC_1} 1000007 10.0.0.51,dhcp4,1000007,1000060"
    world.update(with_keys(world.servers[A], LEARNED_KEY, {"i-tap-web": other}))
    world.run()
    assert has(world) == {"10.0.0.51"}
    writes = len(learned_writes(world))
    world.pass_time(100)
    tell(world, client4("request"), server4("ack", yiaddr="10.0.0.52"))
    assert len(learned_writes(world)) == writes and text(world) == other
    world.facts.append(OvsdbLock(A, True))
    world.run()
    assert has(world) == {"10.0.0.52"} and "10.0.0.51" not in text(world)
    world.check_settled()


def test_a_vm_that_moves_takes_its_addresses_along():
    world = lab(remotes=(A, B))
    world.snapshot(b(ETH))
    world.connect(11)
    world.run()
    tell(world, *EXCHANGE)
    # Live: for a while it is on both.
    world.update(b(ETH, vnic("tap7", "web", MAC_1)))
    world.run()
    assert has(world, "tap7") == {"10.0.0.50"} and text(world, "i-tap7", B) == text(world)
    # What it does there holds on both sides.
    tell(world, client4("release", ciaddr="10.0.0.50"), of="tap7", dpid=11)
    assert has(world, "tap7") == has(world) == set()
    tell(world, client4("request"), server4("ack", yiaddr="10.0.0.51"), of="tap7", dpid=11)
    world.update(a(ETH, DB, GUEST))
    world.run()
    assert has(world, "tap7") == {"10.0.0.51"}
    world.check_settled()


def test_a_vm_that_was_away_has_its_addresses_again():
    world = lab()
    tell(world, *EXCHANGE, arp("10.0.0.51"))
    world.update(a(ETH, DB, GUEST))
    world.run()
    world.pass_time(30)
    world.update(a(ETH, DB, GUEST, vnic("tap-new", "web", MAC_1)))
    world.run()
    assert has(world, "tap-new") == {"10.0.0.50", "10.0.0.51"}
    world.check_settled()
    world.update(a(ETH, DB, GUEST))
    world.pass_time(90)
    world.update(a(ETH, DB, GUEST, vnic("tap-new", "web", MAC_1)))
    world.run()
    assert has(world, "tap-new") == {"10.0.0.51"}


def test_the_newer_of_two_texts_counts():
    """As after a restart in the middle of a move: one row has what the VM had before."""
    old, new = f"{MAC_1} 5 10.0.0.50,dhcp4,5,9000000", f"{MAC_1} 6 10.0.0.51,dhcp4,6,9000000"
    world = World((A, B), learning=BOTH)
    world.now = START
    world.policy(POLICY)
    world.snapshot(a(ETH, vnic("tap-web", "web", MAC_1, portcullis_learned=old)))
    world.snapshot(b(ETH, vnic("tap7", "web", MAC_1, portcullis_learned=new)))
    world.connect(1)
    world.connect(11)
    world.run()
    assert has(world) == has(world, "tap7") == {"10.0.0.51"} and text(world) == new
    world.check_settled()


def test_another_mac_has_learned_nothing():
    world = lab()
    tell(world, *EXCHANGE)
    other = replace(WEB, ids={**WEB.ids, "attached-mac": "52:54:00:00:00:77"})
    world.update(a(ETH, other, DB, GUEST))
    world.run()
    assert has(world) == set() and codes(world) == ["foreign-learned"]
    assert text(world).startswith("52:54:00:00:00:77 ")
    world.check_settled()
    world.update(a(ETH, WEB, DB, GUEST))
    world.run()
    assert has(world) == set()


def test_a_port_made_anew_for_another_guest_with_all_its_ids_inherits_nothing():
    world = lab()
    tell(world, *EXCHANGE)
    ids = {"iface-id": "guest", "attached-mac": MAC_2, LEARNED_KEY: text(world)}
    world.update(a(ETH, DB, replace(GUEST, name="tap-web", ids=ids)))
    world.run()
    assert has(world) == set()
    world.check_settled()


def test_who_takes_the_text_away_makes_the_vnic_forget():
    world = lab()
    tell(world, *EXCHANGE)
    there = world.servers[A]
    world.servers[A] = with_keys(there, LEARNED_KEY, {"i-tap-web": None})
    gone = world.servers[A]
    world.servers[A] = there
    world.with_writes = lambda database: database
    world.update(gone)
    world.run()
    assert has(world) == set()
    world.pass_time(100)
    assert has(world) == set()
    world.check_settled()


def test_a_text_that_cannot_be_read_is_reported_and_replaced_by_the_next_lease():
    world = lab(ETH, replace(WEB, ids={**WEB.ids, LEARNED_KEY: "10.0.0.50"}), DB, GUEST)
    assert has(world) == set() and codes(world) == ["bad-learned"] and text(world) == "10.0.0.50"
    world.check_settled()
    tell(world, *EXCHANGE)
    assert has(world) == {"10.0.0.50"} and codes(world) == []
    world.check_settled()


def test_an_interface_that_goes_while_its_text_is_on_its_way():
    world = lab()
    world._write = lambda *_: None
    tell(world, *EXCHANGE)
    del world._write
    world.update(a(ETH, DB, GUEST))
    world.run()
    writes = len(learned_writes(world))
    world.pass_time(10 * WRITE_CHECK)
    assert len(learned_writes(world)) == writes
    world.check_settled()


def test_no_policy_yet_and_no_bridge():
    world = World(learning=BOTH)
    world.facts.append(Punted(1, 1, copy_of(arp("10.0.0.50"), 5, 0)))
    world.facts.append(LeaseDue(5.0))
    world.run()
    world.policy(ONE)
    world.run()
    assert not learned_writes(world)
