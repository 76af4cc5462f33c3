"""Addresses that vNICs learn, from the copied frame to the flows and OVSDB, through restarts, losses and moves."""

from dataclasses import replace
from ipaddress import ip_address

import pytest

from policy.flows.cookies import Builtin, Drop, Kind, cookie
from policy.flows.learning import asker_mac
from policy.flows.packet_in import Copy
from policy.model import Side
from ryu_apps.asking import question
from ryu_apps.engine import ASK_SECONDS
from ryu_apps.facts import Clock, LeaseDue, Punted, WriteLearned
from ryu_apps.learn_bounds import CHANGE_SECONDS, MAX_CHANGES, MAX_NOTICES, NOTICE_SECONDS
from ryu_apps.learn_settings import LearnSettings, sources_of
from ryu_apps.learner import LONGEST_SLEEP
from ryu_apps.open_claims import OBJECTION_SECONDS
from ryu_apps.ovsdb_facts import OvsdbLock
from ryu_apps.remote import WRITE_BURST, WRITE_CHECK, WRITE_PACE, WRITE_PAUSE
from tests.apps.shops import ETH, ONE, A, B, a, b
from tests.apps.worlds import World, _with_keys
from tests.topology.builders import MAC_1, MAC_2, MAC_3, vnic
from tests.topology.exchanges import (
    BROADCAST,
    SERVER_MAC,
    advertisement,
    arp,
    client4,
    client6,
    probe,
    server4,
    server6,
)
from topology.frames import Datagram, read_frame
from topology.learned import FIRST_USE, LEASES, Source
from topology.rows import LEARNED_KEY

POLICY = """\
version: 1
vms:
  web: {labels: {role: web}}
  db:  {labels: {role: db}, addresses: [10.0.0.13]}
  off: {labels: {role: off}, addresses: [10.0.0.99]}
groups: {web: {match: role == web}, db: {match: role == db}}
policies:
  - name: shop
    rules: [{name: web-db, allow: tcp/3306, from: web, to: db}]
"""
WEB, DB, GUEST = vnic("tap-web", "web", MAC_1), vnic("tap-db", "db", MAC_3), vnic("tap-guest", "guest", MAC_2)
START = 1_000_000.0
BOTH = LearnSettings(("dhcp", "first-use"))


def lab(*ports, learning=BOTH, remotes=(A,)):
    world = World(remotes, learning=learning)
    world.now = START
    world.policy(POLICY)
    world.snapshot(a(*(ports or (ETH, WEB, DB, GUEST))))
    world.connect(1)
    return world.run()


def port(world, name):
    return next(each for each in world.status()["vnics"] if each["port"] == name)


LEASE, ARP_CLAIM, ND_CLAIM = (
    cookie(Kind.BUILTIN, Builtin.DHCP_CLIENT),
    cookie(Kind.DROP, Drop.SPOOFED_SOURCE),
    cookie(Kind.DROP, Drop.FOREIGN_ND_TARGET),
)


def copy_of(frame, sender, receiver, why=None):
    """As the pipeline copies it (tests/flows/test_learning.py)."""
    if why is None:
        found = read_frame(frame)
        why = LEASE if isinstance(found, Datagram) else ARP_CLAIM if frame[12:14] == b"\x08\x06" else ND_CLAIM
    return Copy(why, Side.EGRESS, False, sender, receiver, 0, 1, 0, frame)


def tell(world, *frames, of="tap-web", dpid=1):
    """The switch has copied these frames, from the vNIC or to it, whichever their MACs say."""
    for frame in frames:
        found = port(world, of)
        outward = frame[6:12].hex(":") == found["mac"]
        zones = (found["zone"], 0) if outward else (0, found["zone"])
        session = world.switches[dpid].session
        world.facts.append(Punted(dpid, session, copy_of(frame, *zones)))
    world.run()
    return world.settle_claims()


def has(world, name="tap-web"):
    return {each.removesuffix("/32").removesuffix("/128") for each in port(world, name)["addresses"]}


def text(world, uuid="i-tap-web", remote=A):
    world.flush()
    return world.servers[remote].interfaces[uuid].external_ids.get(LEARNED_KEY)


def learned_writes(world):
    return [write for write in world.writes if isinstance(write, WriteLearned)]


def codes(world):
    return [finding["code"] for finding in world.status()["findings"]]


ACK = server4("ack", lease=90)
EXCHANGE = client4("discover"), server4("offer"), client4("request", requested_addr="10.0.0.50"), ACK
V6_EXCHANGE = client6("solicit"), client6("request", trid=9), server6(("2001:db8::50", 30))


# --- the usual


def test_a_lease_is_used_written_and_survives_a_restart():
    world = lab()
    assert has(world) == set() and not learned_writes(world)
    before = world.sent()
    tell(world, *EXCHANGE, *V6_EXCHANGE)
    assert has(world) == {"10.0.0.50", "2001:db8::50"}
    assert world.sent() > before
    assert text(world) == (
        f"{MAC_1} 1000001 10.0.0.50,dhcp4,1000000,1000090 2001:db8::50,dhcp6,1000000,1000030"
    )
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
    world.update(_with_keys(world.servers[A], "labels", {"i-tap-web": "x=y"}))
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


# --- what a guest may try


def put(world, frame, sender, receiver, why):
    zone = {name: port(world, name)["zone"] for name in ("tap-web", "tap-guest")}
    copied = copy_of(frame, zone.get(sender, sender), zone.get(receiver, receiver), why)
    world.facts.append(Punted(1, world.switches[1].session, copied))
    return world.run()


@pytest.mark.parametrize("why", [cookie(Kind.DROP, drop) for drop in Drop] + [cookie(Kind.RULE, 3), 0])
def test_an_answer_counts_only_if_the_pipeline_has_let_it_pass(why):
    """What a guest sends in a server's name is dropped, and perhaps copied for the log."""
    world = lab()
    tell(world, client4("request"))
    for sender, receiver in ((0, "tap-web"), ("tap-guest", "tap-web"), ("tap-guest", 0), (0, 0)):
        put(world, ACK, sender, receiver, why)
    put(world, server4("ack", to=BROADCAST), "tap-guest", 0, why)
    assert has(world) == set()
    put(world, ACK, 0, "tap-web", LEASE)
    assert has(world) == {"10.0.0.50"}


@pytest.mark.parametrize("why", [LEASE, cookie(Kind.DROP, Drop.DHCP_SERVER), cookie(Kind.BUILTIN, Builtin.ARP), 0])
def test_a_claim_counts_only_as_one_that_was_refused(why):
    world = lab()
    for frame in (arp("10.0.0.50"), probe("2001:db8::50")):
        put(world, frame, "tap-web", 0, why)
    world.pass_time(ASK_SECONDS)
    assert has(world) == set() and not world.asked


def test_an_answer_to_all_is_for_the_vnic_whose_hardware_it_names():
    world = lab()
    tell(world, client4("request"))
    tell(world, client4("request", mac=MAC_2), of="tap-guest")
    put(world, server4("ack", to=BROADCAST), 0, 0, LEASE)
    put(world, server4("ack", mac=MAC_2, to=BROADCAST, yiaddr="10.0.0.60"), 0, 0, LEASE)
    put(world, server4("ack", mac="52:54:00:00:00:99", to=BROADCAST, yiaddr="10.0.0.61"), 0, 0, LEASE)
    assert has(world) == {"10.0.0.50"} and has(world, "tap-guest") == {"10.0.0.60"}


def test_who_serves_others_gives_itself_nothing():
    world = lab()
    tell(world, client4("request"))
    put(world, server4("ack", to=BROADCAST), "tap-web", 0, LEASE)
    put(world, ACK, "tap-web", "tap-web", LEASE)
    assert has(world) == set()


def test_who_asks_in_the_name_of_other_hardware_gets_nothing_and_is_told_of():
    world = lab()
    for number in range(50):
        other = f"52:54:00:00:01:{number:02x}"
        tell(world, client4("request", chaddr=other, xid=number), server4("ack", chaddr=other, xid=number))
    assert has(world) == set() and not learned_writes(world)
    assert [(each["code"], each["where"]) for each in world.status()["findings"]] == [
        ("foreign-hardware", "hv1/br0/tap-web")
    ]


def test_a_lease_takes_the_address_from_who_just_used_it():
    world = lab()
    tell(world, arp("10.0.0.50", mac=MAC_2), of="tap-guest")
    assert has(world, "tap-guest") == {"10.0.0.50"}
    tell(world, *EXCHANGE)
    assert has(world) == {"10.0.0.50"} and has(world, "tap-guest") == set()
    assert "10.0.0.50" not in text(world, "i-tap-guest")
    assert [(each["code"], each["where"]) for each in world.status()["findings"]] == [
        ("learned-address", "hv1/br0/tap-guest")
    ]
    # And so it stays.
    tell(world, arp("10.0.0.50", mac=MAC_2), of="tap-guest")
    tell(world, client4("request", mac=MAC_2), server4("ack", mac=MAC_2), of="tap-guest")
    assert has(world) == {"10.0.0.50"} and has(world, "tap-guest") == set()
    world.check_settled()
    assert has(restarted(world)) == {"10.0.0.50"}


def test_what_is_just_used_or_stated_gives_way_to_no_claim_and_no_lease():
    world = lab()
    tell(world, arp("10.0.0.50", mac=MAC_2), of="tap-guest")
    tell(world, arp("10.0.0.50"))
    assert has(world) == set() and has(world, "tap-guest") == {"10.0.0.50"}
    tell(world, client4("request"), server4("ack", yiaddr="10.0.0.13"))
    assert has(world) == set() and has(world, "tap-db") == {"10.0.0.13"}


def test_a_guest_that_asks_and_gives_back_all_the_time_costs_little():
    world = lab()
    bundles, second = world.sent(), 0
    for second in range(60):
        frames = []
        for number in range(5):
            ids = {"xid": 100 * second + number}
            given = f"10.0.1.{number}"
            frames += [client4("request", **ids), server4("ack", yiaddr=given, **ids), client4("release", ciaddr=given)]
        world.one_by_one = True
        tell(world, *frames)
        world.pass_time(1)
    allowed = MAX_CHANGES + 60 / CHANGE_SECONDS
    assert world.sent() - bundles <= 2 * allowed + 1
    assert len(learned_writes(world)) <= 2 * allowed + 1
    assert "learn-pace" in codes(world)
    # Another guest is not held back, nor is this one when it has calmed down.
    tell(world, client4("request", mac=MAC_2), server4("ack", mac=MAC_2, yiaddr="10.0.0.60"), of="tap-guest")
    assert has(world, "tap-guest") == {"10.0.0.60"}
    world.pass_time(2 * CHANGE_SECONDS)
    tell(world, *EXCHANGE)
    assert has(world) == {"10.0.0.50"}


def test_many_guests_at_once_are_written_together():
    ports = [vnic(f"tap{number}", f"id{number}", f"52:54:00:00:02:{number:02x}") for number in range(40)]
    world = lab(ETH, *ports)
    world.one_by_one = True
    for number, each in enumerate(ports):
        mac, given = f"52:54:00:00:02:{number:02x}", f"10.0.2.{number}"
        tell(world, client4("request", mac=mac), server4("ack", mac=mac, yiaddr=given), of=each.name)
        # It counts at once all the same.
        assert has(world, each.name) == {given}
    assert len(learned_writes(world)) == WRITE_BURST
    world.pass_time(WRITE_PACE)
    assert len(learned_writes(world)) == WRITE_BURST + 1
    assert all("10.0.2." in text(world, f"i-tap{number}") for number in range(40))
    world.check_settled()


# --- the outside has its say about what a vNIC begins to use


def objects(world, frame, dpid=1, vlan=0):
    """Something comes in by an uplink for the MAC in whose name we ask."""
    copied = Copy(cookie(Kind.BUILTIN, Builtin.ARP), Side.EGRESS, False, 0, 0, vlan, 100, 100, frame)
    world.facts.append(Punted(dpid, world.switches[dpid].session, copied))
    return world.run()


@pytest.mark.parametrize(
    ("says", "objection", "address"),
    [
        (arp("10.0.0.1"), arp("10.0.0.1", mac=SERVER_MAC, op=2), "10.0.0.1"),
        (probe("2001:db8::1"), advertisement("2001:db8::1", mac=SERVER_MAC), "2001:db8::1"),
    ],
)
def test_what_somebody_outside_has_is_not_learned(says, objection, address):
    world = lab()
    put(world, says, "tap-web", 0, None)
    (ask,) = world.asked
    assert has(world) == set() and (ask.dpid, ask.vlan) == (1, 0)
    assert ask.frame == question(asker_mac(1), ip_address(address))
    # Others' words, or words on another network, are no objection; nor is its own MAC's.
    objects(world, arp("10.0.0.77", mac=SERVER_MAC))
    objects(world, objection, vlan=7)
    objects(world, arp(address) if "." in address else advertisement(address))
    assert codes(world) == []
    objects(world, objection)
    assert codes(world) == ["learned-address"] and SERVER_MAC in world.status()["findings"][0]["message"]
    world.pass_time(ASK_SECONDS)
    put(world, says, "tap-web", 0, None)
    world.pass_time(ASK_SECONDS)
    assert has(world) == set() and len(world.asked) == 1 and not learned_writes(world)
    # After a while it may be another story.
    world.pass_time(OBJECTION_SECONDS)
    put(world, says, "tap-web", 0, None)
    world.pass_time(ASK_SECONDS)
    assert has(world) == {address} and len(world.asked) == 2
    world.check_settled()


def test_what_nobody_outside_has_is_learned_after_a_moment():
    world = lab()
    put(world, arp("10.0.0.50"), "tap-web", 0, None)
    put(world, arp("10.0.0.50"), "tap-web", 0, None)
    assert has(world) == set() and len(world.asked) == 1
    world.pass_time(ASK_SECONDS)
    assert has(world) == {"10.0.0.50"}
    # What one of ours has is not asked about; too late is too late.
    put(world, arp("10.0.0.13"), "tap-web", 0, None)
    objects(world, arp("10.0.0.50", mac=SERVER_MAC))
    assert len(world.asked) == 1 and has(world) == {"10.0.0.50"}


def test_of_two_who_begin_at_once_one_has_it():
    world = lab()
    put(world, arp("10.0.0.50"), "tap-web", 0, None)
    put(world, arp("10.0.0.50", mac=MAC_2), "tap-guest", 0, None)
    world.pass_time(ASK_SECONDS)
    assert has(world) == {"10.0.0.50"} and has(world, "tap-guest") == set()


def test_a_vm_that_moves_while_the_outside_is_asked_has_to_begin_again():
    world = lab(remotes=(A, B))
    world.snapshot(b(ETH))
    world.connect(11)
    world.run()
    put(world, arp("10.0.0.50"), "tap-web", 0, None)
    world.update(a(ETH, DB, GUEST))
    world.update(b(ETH, vnic("tap7", "web", MAC_1)))
    world.run()
    world.pass_time(ASK_SECONDS)
    assert has(world, "tap7") == set()
    tell(world, arp("10.0.0.50"), of="tap7", dpid=11)
    assert has(world, "tap7") == {"10.0.0.50"} and [ask.dpid for ask in world.asked] == [1, 11]


def test_questions_to_the_outside_are_as_few_as_what_is_learned():
    world = lab()
    for number in range(100):
        put(world, arp(f"10.0.3.{number}"), "tap-web", 0, None)
    assert len(world.asked) == MAX_CHANGES and "learn-pace" in codes(world)


def test_where_the_outside_cannot_be_asked_nothing_is_learned():
    world = lab()
    world.facts.append(OvsdbLock(A, ours=False))
    world.run()
    put(world, arp("10.0.0.50"), "tap-web", 0, None)
    world.pass_time(2 * ASK_SECONDS)
    assert has(world) == set() and not world.asked


# --- first use


def test_first_use_is_learned_for_good_up_to_its_limit():
    world = lab()
    tell(world, arp("10.0.0.50"), arp("10.0.0.51"), probe("2001:db8::50"))
    assert has(world) == {"10.0.0.50", "10.0.0.51", "2001:db8::50"}
    tell(world, arp("10.0.0.52"))
    assert has(world) == {"10.0.0.50", "10.0.0.51", "2001:db8::50"} and codes(world) == ["learn-limit"]
    world.pass_time(100)
    world.now += 10**7
    tell(world, arp("10.0.0.50"))
    assert len(has(world)) == 3
    world.check_settled()


def test_findings_are_bounded():
    policy = POLICY.replace("10.0.0.99", "10.1.0.0/24")
    world = lab()
    world.policy(policy)
    world.run()
    tell(world, *(arp(f"10.1.0.{last}") for last in range(1, 50)))
    assert codes(world) == ["learned-address"] * MAX_NOTICES


@pytest.mark.parametrize(
    ("learn", "found"),
    [
        (("dhcp",), {"10.0.0.50"}),
        (("first-use",), {"10.0.0.51"}),
        (("dhcp", "first-use"), {"10.0.0.50", "10.0.0.51"}),
        (("none",), set()),
    ],
)
def test_what_the_operator_turns_on(learn, found):
    world = lab(learning=LearnSettings(learn))
    tell(world, *EXCHANGE, arp("10.0.0.51"))
    assert has(world) == found and bool(text(world)) is bool(found)
    world.check_settled()


def test_what_is_turned_off_counts_no_longer_after_a_restart():
    world = lab()
    tell(world, *EXCHANGE, arp("10.0.0.51"))
    after = lab(learning=LearnSettings(("dhcp",)))
    after.update(_with_keys(after.servers[A], LEARNED_KEY, {"i-tap-web": text(world)}))
    after.run()
    assert has(after) == {"10.0.0.50"}
    nothing = lab(learning=LearnSettings(("none",)))
    nothing.update(_with_keys(nothing.servers[A], LEARNED_KEY, {"i-tap-web": text(world)}))
    nothing.run()
    assert has(nothing) == set() and text(nothing) == text(world)


@pytest.mark.parametrize("words", [("none", "dhcp"), ("nothing",), ("",)])
def test_words_that_mean_nothing(words):
    with pytest.raises(ValueError):
        LearnSettings(words)


@pytest.mark.parametrize("limit", [0, 17])
def test_limits_that_are_none(limit):
    with pytest.raises(ValueError):
        LearnSettings(first_use=limit)


def test_words_and_what_they_mean():
    assert sources_of(("dhcp", "first-use")) == LEASES | FIRST_USE == frozenset(Source)
    assert sources_of(("none",)) == frozenset()


# --- restarts, moves, other people's hands


def restarted(world, seconds=0):
    """A fresh controller over the same switches and databases, so many seconds later."""
    known = world.engine.settings
    fresh = World(known.remotes, learning=known.learning)
    fresh.now = world.now + seconds
    fresh.document = world.document
    for remote in list(world.servers):
        fresh.snapshot(world.servers[remote])
    fresh.policy(POLICY)
    for dpid, switch in world.switches.items():
        fresh.connect(dpid, flows=dict(switch.flows), meters=dict(switch.meters))
    return fresh.run()


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
    world.update(_with_keys(world.servers[A], LEARNED_KEY, {"i-tap-web": other}))
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
    world.servers[A] = _with_keys(there, LEARNED_KEY, {"i-tap-web": None})
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
