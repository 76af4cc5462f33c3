"""Flows and meters that somebody else changes: noticed, told as an alarm, counted, and put right."""

import struct
from dataclasses import replace

import pytest

from policy.flows.cookies import Kind, cookie
from policy.flows.flow import Flow, Limit, Output, Punt
from policy.flows.match_wire import encode_match
from policy.flows.meters import Meter
from policy.flows.tables import TABLES
from ryu_apps.facts import Due, FlowsTouched, ReadFailed, ReadFlows, ReadMeters, RoleTold, Unwatched
from ryu_apps.session import LOOK_AGAIN, LOOK_AT_METERS, LOOKS, REST
from ryu_apps.switches.flow_monitor import request, touches_ours
from tests.apps.bridges import installed as told
from tests.apps.reporting import PORTS
from tests.apps.shops import OTHER, a, flows_of, shop, waiting
from tests.apps.worlds import World

OPENER = Flow(TABLES["CLASSIFY"], 65535, (), (Output(2),), 0x1)


def installed(flow, **more):
    return replace(told(flow), **more)


def touched(world):
    switch = world.switches[1]
    world.facts.append(FlowsTouched(1, switch.session))
    world.run()
    return world.status()["bridges"][0]


def test_an_added_flow_is_removed_and_told():
    world = shop()
    world.switches[1].foreign = [installed(OPENER)]
    bridge = touched(world)
    assert world.switches[1].foreign == []
    assert (bridge["drift"], bridge["foreign_removed"]) == (1, 1)
    (alarm,) = world.alarms
    assert (alarm.missing, alarm.altered, alarm.added) == (0, 0, 1)
    assert alarm.sample.startswith("added: CLASSIFY 65535 ")
    world.check_settled()


@pytest.mark.parametrize("action", [Punt(0xFFFFFFFF), Limit(0x50001)])
def test_an_added_flow_with_a_meter_that_cannot_be_ours_is_removed_like_any(action):
    world = shop()
    world.switches[1].foreign = [installed(replace(OPENER, actions=(action,)))]
    touched(world)
    assert world.switches[1].foreign == []
    assert world.alarms[0].sample.startswith("added: CLASSIFY 65535 ")


def test_a_removed_flow_and_an_altered_one_are_put_back():
    world = shop()
    switch = world.switches[1]
    gone, other, stolen = list(flows_of(switch, Kind.VNIC))[:3]
    del switch.flows[gone.key], switch.flows[stolen.key]
    switch.flows[other.key] = replace(other, actions=(Output(2),))
    switch.foreign = [installed(replace(stolen, cookie=5))]
    assert touched(world)["drift"] == 3
    assert (world.alarms[0].missing, world.alarms[0].altered, world.alarms[0].added) == (1, 2, 0)
    assert switch.flows[other.key] == other and gone.key in switch.flows and stolen.key in switch.flows
    world.check_settled()


def test_news_of_nothing_is_no_alarm():
    world = shop()
    sent = world.sent()
    assert touched(world)["drift"] == 0
    assert world.alarms == [] and world.sent() == sent


def test_a_change_of_ours_is_no_drift():
    world = shop()
    world.policy(OTHER)
    world.run()
    assert touched(world)["drift"] == 0 and world.alarms == []


def test_whoever_changes_flows_all_the_time_is_looked_at_at_once_but_not_all_the_time():
    world = shop()
    switch = world.switches[1]
    for _ in range(LOOKS + 4):
        switch.foreign = [installed(OPENER)]
        touched(world)
    assert len(world.alarms) == LOOKS
    # Until it has been looked at, nothing is called enforced.
    assert waiting(world) == "bridge br0 is about to look at what somebody else has changed"
    world.pass_time(REST)
    assert len(world.alarms) == LOOKS + 1 and switch.foreign == []
    world.check_settled()


def test_what_is_touched_while_a_bundle_is_on_its_way_is_looked_at_after_it():
    world = shop()
    switch = world.switches[1]
    world.policy(OTHER)
    world.facts.append(FlowsTouched(1, switch.session))
    switch.foreign = [installed(OPENER)]
    world.run()
    assert switch.foreign == [] and len(world.alarms) == 1
    world.check_settled()


def test_altered_meters_are_found_within_seconds():
    world = shop()
    switch = world.switches[1]
    number, meter = next(iter(switch.meters.items()))
    switch.meters[number] = replace(meter, rate=meter.rate + 1)
    switch.meters[999] = Meter(999, 1, 1)
    world.pass_time(LOOK_AT_METERS)
    assert switch.meters[number] == meter and 999 not in switch.meters
    assert (world.alarms[0].missing, world.alarms[0].altered, world.alarms[0].added) == (0, 1, 1)
    assert "meter" in world.alarms[0].sample
    world.check_settled()


def test_meters_that_cannot_be_read_are_not_taken_for_untouched():
    world = shop()
    switch = world.switches[1]
    number, meter = next(iter(switch.meters.items()))
    switch.meters[number] = replace(meter, rate=1)
    world.facts.append(ReadFailed(1, switch.session, "its meters cannot be read"))
    world.run()
    assert switch.meters[number] == meter and world.alarms[0].altered == 1
    world.check_settled()


def test_meters_are_looked_at_once_in_a_while_however_often_the_role_changes():
    world = shop()
    switch = world.switches[1]
    for _ in range(5):
        world.facts.append(RoleTold(1, switch.session, master=False))
        world.run()
        world.facts.append(Due(1, switch.session, "retry", world.engine.sessions[1].serial))
        world.run()
    looks = []
    handle = world.engine.handle
    is_look = lambda effect: isinstance(effect, ReadMeters)  # noqa: E731
    world.engine.handle = lambda facts: [e for e in handle(facts) if not (is_look(e) and looks.append(e))]
    world.pass_time(10 * LOOK_AT_METERS)
    assert 9 <= len(looks) <= 10
    # And again after a time in which another one was master.
    world.facts.append(RoleTold(1, switch.session, master=False))
    world.run()
    world.pass_time(10 * LOOK_AT_METERS)
    assert len(looks) >= 15


def test_a_switch_that_tells_twice_that_it_will_not_tell_is_asked_once():
    world = shop()
    session = world.engine.sessions[1]
    assert session.unwatched() and session.unwatched() == []


def test_where_the_switch_does_not_tell_it_is_asked_every_minute():
    world = shop()
    switch = world.switches[1]
    world.facts.append(Unwatched(1, switch.session))
    world.run()
    switch.foreign = [installed(OPENER)]
    assert world.status()["bridges"][0]["watched"] is False
    world.pass_time(LOOK_AGAIN)
    assert switch.foreign == [] and len(world.alarms) == 1
    # And again, for as long as the connection stands.
    switch.foreign = [installed(OPENER)]
    world.pass_time(LOOK_AGAIN)
    assert switch.foreign == []


def test_a_bridge_is_not_read_again_without_need():
    world = shop()
    reads = []
    handle = world.engine.handle
    world.engine.handle = lambda facts: [e for e in handle(facts) if not (isinstance(e, ReadFlows) and reads.append(e))]
    world.pass_time(1000)
    assert reads == []


# --- what the switch tells (OpenFlow 1.4, 7.3.5.19)


def update(event, table=0, number=0):
    return struct.pack("!HHBBHHH4xQ", 24 + 8, event, table, 0, 0, 0, 1, number) + encode_match(())


ABBREV = struct.pack("!HHI", 8, 4, 77)
PAUSED, RESUMED = struct.pack("!HH4x", 8, 5), struct.pack("!HH4x", 8, 6)
LEARNED = TABLES["LEARNED"].number


@pytest.mark.parametrize(
    "body,touches",
    [
        (b"", False),
        (ABBREV + PAUSED, False),
        (ABBREV + update(1), True),
        (update(2, number=cookie(Kind.VNIC, 3)), True),
        (update(3), True),
        (update(0), False),
        (update(1, table=250), False),
        (update(1, table=65), True),
        (update(2, table=64 + LEARNED, number=cookie(Kind.LEARNED)), False),
        # In another layout it may be anything.
        (update(2, table=LEARNED, number=cookie(Kind.LEARNED) - (1 << 40)), True),
        (update(1, LEARNED, cookie(Kind.LEARNED)), False),
        (update(1, LEARNED, 1), True),
        (update(1, 0, cookie(Kind.LEARNED)), True),
        # Some may have been lost meanwhile.
        (RESUMED, True),
        # Whatever cannot be read is looked at.
        (update(9), True),
        (update(1)[:12], True),
        (b"\0\0", True),
        (struct.pack("!HHI", 0, 4, 0), True),
        (struct.pack("!HHI", 8, 1, 0), True),
    ],
)
def test_what_is_news(body, touches):
    assert touches_ours(body) is touches


def test_the_request_asks_for_all_tables_and_not_for_our_own_changes():
    assert request(5).hex() == (
        "0512" "0028" "00000005" "0010" "0000" "00000000"
        "00000001" "ffffffff" "ffffffff" "000e" "ff" "00" "0001" "0004" "00000000"
    )  # fmt: skip


def test_without_a_policy_drift_is_repaired_too():
    """What shuts a bridge that had no policy is put back like anything else: it is not kept as a last good policy."""
    world = World()
    world.policy(None)
    world.snapshot(a(*PORTS))
    switch = world.connect(1)
    world.run()
    gone = next(iter(switch.flows))
    del switch.flows[gone]
    world.facts.append(FlowsTouched(1, switch.session))
    world.run()
    assert gone in switch.flows
