"""Another version with another layout has had the bridge: its generation is replaced at once, and removed later."""

from dataclasses import replace

import pytest

from policy.flows import wire
from policy.flows.cookies import LAYOUT, Kind, reason
from ryu_apps.facts import FlowsTouched
from ryu_apps.generations import RETIRE_AFTER
from ryu_apps.session import FIRST_PAUSE
from tests.apps.shops import ONE, OTHER, PORTS, WEB, a, flows_of, shop, waiting
from tests.apps.worlds import World


def left_by(layout, **state):
    """A world in which another layout's program has had the bridge, and a new controller that knows of nothing yet."""
    old = shop()
    world = World()
    world.servers, world.reachable = dict(old.servers), set(old.reachable)
    switch = world.switches[1] = old.switches[1]
    switch.is_left_by(layout)
    switch.bundles, switch.forgotten = [], []
    for name, value in state.items():
        setattr(switch, name, value)
    return world


def begin(world, text=ONE, ports=PORTS):
    world.policy(text)
    world.snapshot(a(*ports))
    world.connect(1)
    world.run()
    return world.switches[1]


def again(world):
    """The controller is killed, and another one begins."""
    new = World()
    new.servers, new.reachable, new.switches = world.servers, world.reachable, world.switches
    begin(new)
    return new


@pytest.mark.parametrize("layout", [1, LAYOUT - 1, LAYOUT + 1])
def test_the_new_generation_is_put_beside_the_old_which_goes_later(layout):
    world = left_by(layout)
    before = list(world.switches[1].older)
    switch = begin(world)
    (change,) = switch.bundles
    assert (change.slot, change.remove, change.retire, change.foreign) == (1, (), (), ())
    assert set(change.add) == set(switch.flows.values())
    # All tables but the shared one are as they were.
    assert switch.older == [entry for entry in before if entry.table]
    bridge = world.status()["bridges"][0]
    assert (bridge["layout"], bridge["slot"], bridge["old_slots"]) == (LAYOUT, 1, [0])
    assert world.status()["enforced"]
    world.check_settled()
    world.pass_time(RETIRE_AFTER - 0.1)
    assert len(switch.bundles) == 1
    world.pass_time(0.2)
    _, removal = switch.bundles
    assert (removal.slot, removal.retire, removal.add, removal.remove) == (1, (0,), (), ())
    assert switch.older == []
    assert world.status()["bridges"][0]["old_slots"] == []
    assert world.alarms == [] and world.status()["bridges"][0]["foreign_removed"] == 0
    world.check_settled()
    world.pass_time(1000)
    assert len(switch.bundles) == 2


def test_established_connections_stay():
    """A zone is forgotten if it was another vNIC's before, and only then."""
    switch = begin(left_by(LAYOUT - 1))
    assert switch.forgotten == []


def test_a_zone_that_another_vnic_had_is_forgotten():
    other = replace(WEB, ids={**WEB.ids, "attached-mac": "52:54:00:00:00:66"})
    world = left_by(LAYOUT - 1)
    switch = begin(world, ports=[other if port is WEB else port for port in PORTS])
    (zone,) = {reason(flow.cookie).number for flow in flows_of(switch, Kind.VNIC) if "52:54:00:00:00:66" in text(flow)}
    assert switch.forgotten == [zone]


def text(flow):
    return "".join(f"{test.value.to_bytes(6, 'big').hex(':')} " for test in flow.match if test.field.name == "eth_src")


def test_what_is_changed_meanwhile_is_changed_in_the_new_slot_alone():
    world = left_by(LAYOUT - 1)
    switch = begin(world)
    older = list(switch.older)
    world.policy(OTHER)
    world.run()
    assert [bundle.slot for bundle in switch.bundles] == [1, 1] and switch.older == older
    assert switch.bundles[1].remove or switch.bundles[1].add
    world.check_settled()
    world.pass_time(RETIRE_AFTER)
    assert switch.older == []


def test_a_refused_change_leaves_the_old_in_force_and_is_tried_again():
    world = left_by(LAYOUT - 1, refuse=lambda bundle: ("no", None))
    before = list(world.switches[1].older)
    switch = begin(world)
    world.pass_time(RETIRE_AFTER + 60)
    assert switch.older == before and switch.flows == {}
    assert "waiting to try again: no" in waiting(world)
    switch.refuse = None
    world.pass_time(30)
    assert switch.flows and not any(entry.table == 0 for entry in switch.older)
    world.pass_time(RETIRE_AFTER)
    assert switch.older == []
    world.check_settled()


def test_a_refused_removal_is_tried_again():
    world = left_by(LAYOUT - 1, refuse=lambda bundle: ("no", None) if bundle.retire else None)
    switch = begin(world)
    world.pass_time(RETIRE_AFTER)
    assert switch.older and "waiting to try again: no" in waiting(world)
    switch.refuse = None
    world.pass_time(FIRST_PAUSE)
    assert switch.older == []
    world.check_settled()


def test_an_old_generation_that_has_come_back_is_waited_for_again():
    """Another program takes the bridge over, in the slot that was about to be emptied, and we take it back."""
    world = left_by(LAYOUT - 1, refuse=lambda bundle: ("no", None) if bundle.retire else None)
    before = list(world.switches[1].older)
    switch = begin(world)
    world.pass_time(RETIRE_AFTER)
    assert switch.older
    switch.refuse = None
    switch.older, switch.flows, switch.slot = before, {}, 0
    world.pass_time(FIRST_PAUSE)
    assert switch.slot == 1 and switch.older == [entry for entry in before if entry.table]
    taken_back = world.now
    world.pass_time(RETIRE_AFTER - 0.1)
    assert switch.older, f"emptied {world.now - taken_back:.1f} s after it was in use"
    world.pass_time(0.2)
    assert switch.older == []
    world.check_settled()


def test_remains_that_somebody_else_removes_are_gone():
    """At whatever moment: also after the wait, before they are removed."""
    world = left_by(LAYOUT - 1, refuse=lambda bundle: ("no", None) if bundle.retire else None)
    switch = begin(world)
    world.pass_time(RETIRE_AFTER)
    switch.older = []
    world.pass_time(FIRST_PAUSE)
    assert world.status()["bridges"][0]["old_slots"] == [] and len(switch.bundles) == 1
    world.check_settled()


def test_a_controller_that_is_killed_in_between_leaves_it_to_the_next():
    world = left_by(LAYOUT - 1)
    switch = begin(world)
    world = again(world)
    assert len(switch.bundles) == 1 and switch.older
    world.pass_time(RETIRE_AFTER)
    assert switch.older == [] and len(switch.bundles) == 2
    world.check_settled()


def test_back_before_the_old_is_gone():
    """Three generations: the third has a slot of its own, though it is the first's layout."""
    world = shop()
    switch = world.switches[1]
    own = [entry for entry in switch.told() if entry.table]
    switch.is_left_by(LAYOUT + 1)
    switch.older = [entry for entry in switch.older if entry.table == 0] + moved(switch.older, 1) + own
    switch.older = [replace(entry, leads_to=1 if entry.leads_to == 0 else None) if not entry.table else entry
                    for entry in switch.older]  # fmt: skip
    world.disconnect(1)
    world = again(world)
    assert (world.status()["bridges"][0]["slot"], world.status()["bridges"][0]["old_slots"]) == (2, [0, 1])
    world.pass_time(RETIRE_AFTER)
    assert switch.older == []
    world.check_settled()


def moved(entries, slot):
    return [replace(entry, table=entry.table + 64 * slot) for entry in entries if entry.table]


def test_without_a_policy_the_other_layouts_stays():
    world = left_by(LAYOUT - 1)
    before = list(world.switches[1].older)
    world.policy(None)
    world.snapshot(a(*PORTS))
    switch = world.connect(1)
    world.run()
    world.pass_time(100)
    assert switch.older == before and switch.bundles == []
    assert "keeping the policy that it had" in waiting(world)
    world.policy(ONE)
    world.run()
    # The wait begins with the change, not before.
    assert switch.flows and switch.older
    world.pass_time(RETIRE_AFTER)
    assert switch.older == []


def test_the_remains_are_no_drift_and_whoever_touches_something_does_not_prolong_them():
    world = left_by(LAYOUT - 1)
    switch = begin(world)
    for _ in range(int(RETIRE_AFTER)):
        world.pass_time(1)
        world.facts.append(FlowsTouched(1, switch.session))
        world.run()
    world.pass_time(1)
    assert switch.older == [] and world.alarms == []
    world.check_settled()


def test_what_somebody_else_adds_meanwhile_is_drift_and_goes_at_once():
    world = left_by(LAYOUT - 1)
    switch = begin(world)
    remains = list(switch.older)
    intruder = wire.Installed(66, 7, 0x1, b"\0\1\0\4\0\0\0\0", None, 0, 0)
    switch.foreign = [intruder]
    world.facts.append(FlowsTouched(1, switch.session))
    world.run()
    assert switch.foreign == [] and switch.older == remains
    assert [alarm.added for alarm in world.alarms] == [1]


# --- meters


LIMITED = ONE + """\
limits:
  few: {for: {match: "role == web"}, new_connections: %d}
"""


@pytest.mark.parametrize("rate", [5, 5000])
def test_meters_are_shared_meanwhile_and_the_more_generous_rate_counts(rate):
    world = left_by(LAYOUT - 1)
    before = dict(world.switches[1].meters)
    switch = begin(world, text=LIMITED % rate)
    changed = [number for number, meter in before.items() if switch.meters[number] != meter]
    assert len(changed) == (rate > 1000)
    assert all(switch.meters[number].rate >= meter.rate for number, meter in before.items())
    world.pass_time(RETIRE_AFTER)
    assert [meter.rate for number, meter in switch.meters.items() if before[number] != meter] == [rate]
    assert world.alarms == []
    world.check_settled()


def test_meters_of_the_old_generation_alone_go_with_it():
    world = left_by(LAYOUT - 1)
    before = set(world.switches[1].meters)
    switch = begin(world, ports=[port for port in PORTS if port is not WEB])
    assert set(switch.meters) == before
    world.pass_time(RETIRE_AFTER)
    assert set(switch.meters) < before
    world.check_settled()
