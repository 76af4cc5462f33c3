"""The engine's answers to what can go wrong, one by one. Lists of ordinary states are in `test_states`."""

from collections import Counter
from dataclasses import replace
from unittest.mock import patch

import pytest

from policy.flows.cookies import Kind
from policy.flows.meters import HIGHEST_METER
from ryu_apps.facts import (
    BundleDone,
    BundleRefused,
    FlowsRead,
    GraceOver,
    PolicyLoaded,
    ReadFailed,
    SendBundle,
    SwitchDown,
    WriteZones,
)
from ryu_apps.policy_bounds import CAPACITY
from ryu_apps.session import ANSWER_SECONDS
from tests.apps.shops import APP, DB, ETH, ONE, OTHER, PORTS, WEB, A, B, a, b, flows_of, shop, waiting
from tests.apps.worlds import World, policy_fact
from tests.topology.builders import MAC_2, vnic

# --- the start


@pytest.mark.parametrize("missing", ["policy", "database", "flows"])
def test_nothing_is_sent_before_all_is_known(missing):
    world = World()
    if missing != "policy":
        world.policy(ONE)
    if missing != "database":
        world.snapshot(a(*PORTS))
    switch = world.connect(1, silent=missing == "flows")
    world.run()
    world.facts.append(GraceOver())
    world.run()
    if missing == "database":
        assert "OVSDB unix:a: not connected yet" in waiting(world)
    assert world.sent() == 0 and not switch.flows
    assert world.status()["enforced"] is False


def test_a_late_database_is_waited_for_and_no_longer_than_the_grace():
    world = World((A, B))
    world.policy(ONE)
    world.snapshot(a(*PORTS))
    world.connect(1)
    world.connect(11)
    world.run()
    assert world.sent() == 0
    world.facts.append(GraceOver())
    world.run()
    assert world.holds_wanted(1) and not world.switches[11].flows
    assert world.status()["enforced"] is False
    assert world.status()["unmanaged"] == [{"dpid": f"{11:016x}"}]
    world.snapshot(b(ETH, APP))
    world.run()
    world.check_settled()


def test_a_bridge_that_is_not_ours_is_only_read():
    world = World(bridges=("other*",))
    world.policy(ONE)
    world.snapshot(a(*PORTS))
    world.connect(1)
    world.run()
    assert world.sent() == 0 and world.writes == []
    assert waiting(world) == "no bridge is known"


# --- policies


@pytest.mark.parametrize("text", [None, ONE.replace("tcp/8080", "nonsense")])
def test_without_a_policy_an_empty_bridge_is_shut(text):
    world = World()
    world.policy(text)
    world.snapshot(a(*PORTS))
    world.connect(1)
    world.run()
    assert world.holds_wanted(1) and not flows_of(world.switches[1], Kind.RULE)
    assert world.status()["bridges"][0]["in_force"] == "none"
    assert "nothing is allowed" in waiting(world)
    world.policy(ONE)
    world.run()
    world.check_settled()


@pytest.mark.parametrize("text", [None, ONE.replace("tcp/8080", "nonsense")])
def test_without_a_policy_a_bridge_keeps_the_one_it_had(text):
    before = shop()
    world = World()
    world.policy(text)
    world.snapshot(before.servers[A])
    switch = world.connect(1, flows=dict(before.switches[1].flows))
    world.run()
    assert world.sent() == 0 and switch.flows == before.switches[1].flows
    assert "bridge br0 is keeping the policy that it had" in waiting(world)
    assert world.status()["vnics"][0]["state"] == "pending"
    world.policy(OTHER)
    world.run()
    world.check_settled()


def test_a_bad_policy_later_changes_nothing_and_the_topology_is_followed_all_the_same():
    world = shop()
    world.policy(ONE.replace("tcp/8080", "nonsense"))
    world.run()
    assert world.sent() == 1 and "the last good one stays in force" in waiting(world)
    world.update(a(*PORTS, APP))
    world.run()
    assert world.holds_wanted(1) and world.sent() > 1
    world.policy(ONE)
    world.run()
    world.check_settled()


def test_more_rules_than_a_table_has_priorities_are_a_refused_policy():
    world = shop()
    document = world.document
    long = replace(document.policies[0], rules=document.policies[0].rules * (CAPACITY // 2 + 1))
    world.engine.handle([PolicyLoaded(replace(document, policies=(long,), revision="long"))])
    assert "more than 65,533 rules in tier application" in waiting(world)
    assert world.engine.policy.document is document


def test_more_multicast_groups_than_can_be_told_apart_are_a_refused_policy():
    world = shop()
    many = "".join(f"      - {{allow: any, to: {{cidrs: 239.0.0.{n}}}}}\n" for n in range(9))
    document = world.document
    with patch("policy.flows.identity_book.MAX_COPIED", 29), patch("policy.flows.floods.MAX_COPIED", 29):
        world.engine.handle([policy_fact(ONE + many)])
    assert "are more than 29 combinations" in waiting(world)
    assert world.engine.policy.document is document


def test_too_many_kinds_of_vnics_that_only_ovsdb_knows_get_no_copies_and_it_is_told():
    rules = ("to: {cidrs: 239.0.0.1}", "from: {match: odd == a}", "from: {match: odd == b}")
    odd = [vnic(f"tap-{n}", f"x-{n}", f"52:54:00:00:01:0{n}", labels=f"odd={label}") for n, label in enumerate("ab")]
    with patch("policy.flows.identity_book.MAX_COPIED", 8):
        world = shop(ONE + "".join(f"      - {{allow: any, {sides}}}\n" for sides in rules))
        told = []
        for ports in ((*PORTS, *odd), PORTS):
            world.update(a(*ports))
            world.run()
            world.check_settled()
            told += [entry["where"] for entry in world.status()["findings"] if entry["code"] == "too-many-copies"]
    assert told == ["scope default"]


# --- connections


@pytest.mark.parametrize("kept", [True, False])
def test_a_switch_that_connects_again(kept):
    world = shop()
    world.disconnect(1)
    world.run()
    assert waiting(world) == "bridge br0 is not connected"
    if not kept:
        world.switches[1].flows.clear()
    zones = set(world.switches[1].forgotten)
    world.switches[1].forgotten.clear()
    world.connect(1)
    world.run()
    assert world.sent() == (1 if kept else 2)
    # Where the flows are lost, so may be what the zones were used for.
    assert set(world.switches[1].forgotten) == (set() if kept else zones)
    world.check_settled()


def test_a_new_connection_before_the_end_of_the_old_one_is_told():
    world = shop()
    old = world.switches[1].session
    world.connect(1)
    world.run()
    world.facts.append(SwitchDown(1, old))
    world.run()
    assert world.status()["enforced"]


def test_news_of_old_sessions_and_of_what_nobody_asked_for_are_ignored():
    world = shop()
    now = world.switches[1].session
    before = dict(world.switches[1].flows)
    for session in (now - 1, now, now + 1, 0):
        world.facts += [
            FlowsRead(1, session, (), {}, 0),
            ReadFailed(1, session, "no"),
            BundleDone(1, session, 99),
            BundleRefused(1, session, 99, "no"),
        ]
        world.run()
        assert world.status()["enforced"] is True
    world.facts += [BundleDone(7, 1, 1), ReadFailed(7, 1, "no")]
    world.run()
    assert world.sent() == 1 and world.switches[1].flows == before


def test_a_switch_that_does_not_answer_is_given_up_and_comes_back():
    world = World()
    world.policy(ONE)
    world.snapshot(a(*PORTS))
    world.connect(1, silent=True)
    world.run()
    world.pass_time(ANSWER_SECONDS - 1)
    assert world.disconnected == []
    world.pass_time(2)
    assert [gone.dpid for gone in world.disconnected] == [1]
    world.connect(1, silent=False)
    world.run()
    world.check_settled()
    world.switches[1].silent = True
    world.policy(OTHER)
    world.run()
    world.pass_time(ANSWER_SECONDS + 1)
    assert len(world.disconnected) == 2
    assert "bridge br0 is not connected" in waiting(world)


def test_an_answered_question_times_out_no_more():
    world = shop()
    world.pass_time(10 * ANSWER_SECONDS)
    assert world.disconnected == [] and world.sent() == 1


def test_a_vnic_that_migrates_with_other_addresses_is_followed_on_both_sides():
    world = World((A, B))
    world.policy(ONE)
    stranger = vnic("tap-s", "stranger", "52:54:00:00:00:09", labels="role=app")
    world.snapshot(a(*PORTS, replace(stranger, ids={**stranger.ids, "addresses": "10.0.0.99"})))
    world.snapshot(b(ETH, replace(stranger, ids={**stranger.ids, "addresses": "10.0.0.98"})))
    world.connect(1)
    world.connect(11)
    world.run()
    world.check_settled()
    assert "several-switches" in {finding["code"] for finding in world.status()["findings"]}


LABS = """\
version: 1
networks: {prod: {vlan: 10}, lab: {vlan: 30, scope: lab}}
groups: {many: {cidrs: 224.0.0.251, scope: lab}}
policies: [{name: p, rules: [{allow: any, from: {match: all()}, to: many}]}]
"""


def test_a_new_port_makes_one_bundle_that_brings_it_all():
    """Also where its rules and addresses are news to others: no one is told of it before it has its zone."""
    world = shop()
    sent = world.sent()
    stranger = vnic("tap-new", "new", MAC_2, labels="role=app", addresses="10.0.0.77")
    world.one_by_one = True
    world.update(a(*PORTS, stranger))
    world.run()
    assert world.sent() == sent + 1
    world.check_settled()


def test_a_port_has_its_zone_by_the_time_that_it_gets_its_openflow_number():
    world = shop()
    world.update(a(*PORTS, replace(APP, ofport=None)))
    world.run()
    assert isinstance(world.writes[-1], WriteZones)
    writes = len(world.writes)
    world.update(a(*PORTS, APP))
    world.run()
    world.check_settled()
    assert len(world.writes) == writes


def test_one_iface_id_on_two_hosts_in_two_scopes_is_shut_on_both_until_one_goes():
    world = World((A, B))
    world.policy(LABS)
    here, there = (vnic(f"tap-{tag}", "x", "52:54:00:00:00:09", tag=tag) for tag in (10, 30))
    world.snapshot(a(*PORTS, here))
    world.connect(1)
    world.connect(11)
    world.run()
    for database, shut in (
        (b(ETH, there), {"tap-10", "tap-30"}),
        (b(ETH), set()),
        (b(ETH, there), {"tap-10", "tap-30"}),
        (b(ETH, replace(there, tag=10)), set()),
    ):
        (world.update if B in world.servers else world.snapshot)(database)
        world.run()
        world.check_settled()
        codes = {entry["port"]: entry["code"] for entry in world.status()["vnics"] if entry["state"] == "isolated"}
        assert {port for port, code in codes.items() if code == "several-scopes"} == shut


@pytest.mark.parametrize("before,after", [(0, HIGHEST_METER), (HIGHEST_METER, 0)])
def test_a_bridge_that_comes_back_with_or_without_meters_gets_what_it_can_do(before, after):
    world = World()
    world.policy(ONE)
    world.snapshot(a(*PORTS))
    world.connect(1, most_meters=before)
    world.run()
    world.disconnect(1)
    world.run()
    switch = world.connect(1, most_meters=after, flows={}, meters={})
    world.run()
    assert bool(switch.meters) is bool(after)
    assert world.holds_wanted(1)
    world.check_settled()


def test_bridges_take_turns_and_none_is_forgotten(monkeypatch):
    monkeypatch.setattr("ryu_apps.engine.AT_ONCE", 1)
    world = World((A, B))
    world.policy(ONE)
    world.snapshot(a(*PORTS))
    world.snapshot(b(ETH, APP))
    for dpid in (1, 2, 11, 12):
        world.connect(dpid)
    known = []
    handle = world.engine.handle

    def watched(facts):
        before = len(world.engine.wanted)
        effects = handle(facts)
        known.append(len(world.engine.wanted) - before)
        return effects

    monkeypatch.setattr(world.engine, "handle", watched)
    world.run()
    world.check_settled()
    world.policy(OTHER)
    world.run()
    world.check_settled()
    assert max(known) == 1


def test_a_switch_gets_no_more_at_once_than_it_can_take_in(monkeypatch):
    """Its bridges are changed in turn; those of another switch are not kept waiting, nor is any forgotten."""
    monkeypatch.setattr("ryu_apps.engine.UNDERWAY", 1)
    world = World((A, B))
    world.policy(ONE)
    world.snapshot(a(ETH, WEB, br1=[DB]))
    world.snapshot(b(ETH, APP))
    for dpid in (1, 2, 11):
        world.connect(dpid)
    of_switch = {bridge.dpid: bridge.remote for bridge in world.run().engine.topology.bridges}
    sent = []
    handle = world.engine.handle

    def watched(facts):
        effects = handle(facts)
        sent.append([of_switch[effect.dpid] for effect in effects if isinstance(effect, SendBundle)])
        return effects

    world.check_settled()
    monkeypatch.setattr(world.engine, "handle", watched)
    world.policy(OTHER)
    world.run()
    world.check_settled()
    bridges = Counter(of_switch.values())
    assert Counter(remote for each in sent for remote in each) == bridges == {A: 2, B: 1}
    assert max(Counter(each).most_common(1)[0][1] for each in sent if each) == 1


def test_a_bridge_that_never_answers_keeps_those_of_its_switch_waiting_for_a_while_only(monkeypatch):
    monkeypatch.setattr("ryu_apps.engine.UNDERWAY", 1)
    world = World()
    world.policy(ONE)
    world.snapshot(a(ETH, WEB, br1=[DB]))
    for dpid in (1, 2):
        world.connect(dpid)
    world.run()
    world.check_settled()
    world.switches[1].silent = True
    world.policy(OTHER)
    world.run()
    assert not world.holds_wanted(2)
    assert any("waiting for its turn" in why for why in world.status()["waiting_for"])
    world.pass_time(ANSWER_SECONDS)
    assert [effect.dpid for effect in world.disconnected] == [1]
    assert world.holds_wanted(2)
