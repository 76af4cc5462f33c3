"""What guests may try where addresses are learned, what the outside says to it, and what the operator allows."""

from ipaddress import ip_address

import pytest

from policy.flows.cookies import Builtin, Drop, Kind, cookie
from policy.flows.learning import asker_mac
from policy.flows.packet_in import Copy
from policy.model import Side
from ryu_apps.asking import question
from ryu_apps.engine import ASK_SECONDS
from ryu_apps.facts import Punted
from ryu_apps.learn_bounds import CHANGE_SECONDS, MAX_CHANGES, MAX_NOTICES
from ryu_apps.learn_settings import LearnSettings, sources_of
from ryu_apps.open_claims import CROWD, OBJECTION_SECONDS
from ryu_apps.ovsdb_facts import OvsdbLock
from ryu_apps.remote import WRITE_BURST, WRITE_PACE
from tests.apps.learning_room import (
    ACK,
    DB,
    EXCHANGE,
    GUEST,
    LEASE,
    POLICY,
    codes,
    copy_of,
    has,
    lab,
    learned_writes,
    port,
    restarted,
    tell,
    text,
)
from tests.apps.shops import ETH, A, B, a, b
from tests.apps.worlds import with_keys
from tests.topology.builders import MAC_1, MAC_2, vnic
from tests.topology.exchanges import (
    BROADCAST,
    SERVER_MAC,
    advertisement,
    arp,
    client4,
    probe,
    server4,
)
from topology.learned import FIRST_USE, LEASES, Source
from topology.rows import LEARNED_KEY

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


def test_what_the_outside_could_not_be_asked_about_is_not_learned():
    world = lab()
    put(world, arp("10.0.0.50"), "tap-web", 0, None)
    world.facts.append(world.asked[0].unasked)
    world.run()
    world.pass_time(ASK_SECONDS)
    assert has(world) == set() and not learned_writes(world)
    # The vNIC says again what it uses; the next time the switch may listen.
    put(world, arp("10.0.0.50"), "tap-web", 0, None)
    world.pass_time(ASK_SECONDS)
    assert has(world) == {"10.0.0.50"} and len(world.asked) == 2


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


@pytest.mark.parametrize("before", [0.0, 0.5])
def test_what_the_outside_may_have_objected_to_unheard_is_not_learned(before):
    """A guest of another hypervisor sends so much to who asks that the meter is used up when the true one answers."""
    world = lab()
    for number in range(CROWD):
        objects(world, arp("10.0.7.7", mac=f"52:54:00:00:07:{number:02x}", op=2))
    world.pass_time(before)
    put(world, arp("10.0.0.50"), "tap-web", 0, None)
    world.pass_time(ASK_SECONDS)
    assert has(world) == set() and codes(world) == ["learned-address"]
    # It holds as long as an objection; what is said now and then is no flood.
    objects(world, arp("10.0.7.7", mac=MAC_2, op=2))
    world.pass_time(OBJECTION_SECONDS)
    put(world, arp("10.0.0.50"), "tap-web", 0, None)
    world.pass_time(ASK_SECONDS)
    assert has(world) == {"10.0.0.50"} and codes(world) == []


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
    after.update(with_keys(after.servers[A], LEARNED_KEY, {"i-tap-web": text(world)}))
    after.run()
    assert has(after) == {"10.0.0.50"}
    nothing = lab(learning=LearnSettings(("none",)))
    nothing.update(with_keys(nothing.servers[A], LEARNED_KEY, {"i-tap-web": text(world)}))
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
