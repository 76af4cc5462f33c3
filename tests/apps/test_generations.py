"""Which generation of the pipeline is in force, where the next one goes, and when the old one may go."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from policy.flows import fields as f
from policy.flows import wire
from policy.flows.cookies import LAYOUT, Kind, cookie, layout_of
from policy.flows.flow import Flow, Resubmit, exact, match
from policy.flows.meters import Meter
from policy.flows.slots import SLOTS
from policy.flows.tables import TABLES
from ryu_apps.generations import Remains, shared_meters, sort
from tests.apps.bridges import installed, with_layout

OLDER = LAYOUT - 1
MAC = 0x525400000001


def entrance(number=1, kind=Kind.VNIC, mac=MAC):
    tests = match(exact(f.IN_PORT, number), exact(f.ETH_SRC, mac))
    return Flow(TABLES["CLASSIFY"], 100, tests, (Resubmit("GUARD"),), cookie(kind, number))


LEFT = Flow(TABLES["CLASSIFY"], 0, (), (), cookie(Kind.DROP, 1))
INSIDE = Flow(TABLES["GUARD"], 5, (), (Resubmit("LEAVE"),), cookie(Kind.PIPELINE))
LEARNED = Flow(TABLES["LEARNED"], 100, match(exact(f.VLAN, 1)), (), cookie(Kind.LEARNED))


def generation(slot, layout=LAYOUT):
    return [with_layout(installed(flow, slot), layout) for flow in (entrance(), LEFT, INSIDE)]


def test_a_bridge_without_anything_begins_in_the_first_slot():
    found = sort([])
    assert found.slot == 0
    assert not (found.ours or found.outdated or found.foreign or found.remains or found.enforcing)


def test_our_own_generation_is_found_in_whatever_slot():
    for slot in SLOTS:
        found = sort(generation(slot))
        assert found.slot == slot and found.enforcing
        assert set(found.ours.values()) == {entrance(), LEFT, INSIDE}
        assert not (found.outdated or found.foreign or found.remains)


def test_another_layouts_generation_is_left_alone_but_for_table_0():
    old = generation(0, OLDER)
    found = sort(old)
    assert (found.slot, found.remains, found.enforcing) == (1, {0}, True)
    assert found.ours == {} and found.foreign == ()
    assert found.outdated == tuple(entry for entry in old if entry.table == 0)
    assert found.holders == {(1, MAC)}


def test_a_newer_layouts_generation_is_treated_alike():
    assert sort(generation(1, LAYOUT + 1)).slot == 0


def test_remains_are_none_of_the_new_generations_flows():
    found = sort([*generation(1), installed(INSIDE, 0), with_layout(installed(LEARNED, 2), OLDER)])
    assert (found.slot, found.remains) == (1, {0, 2})
    assert set(found.ours.values()) == {entrance(), LEFT, INSIDE}


def test_back_while_the_own_old_generation_still_is_there():
    """Its tables are not used: the packets of the first wait may still be there."""
    old = [installed(INSIDE, 0)]
    found = sort([*old, *generation(1, LAYOUT + 1)])
    assert (found.slot, found.remains) == (2, {0, 1})


def test_where_no_slot_is_free_one_is_taken_to_which_nothing_leads():
    others = [with_layout(installed(INSIDE, slot), OLDER) for slot in SLOTS]
    found = sort([*others, *generation(0, OLDER)])
    assert (found.slot, found.remains) == (1, {0, 2, 3})
    # What stands in the way goes with the change.
    assert others[1] in found.outdated


def test_a_slot_with_somebody_elses_flows_is_not_taken_while_another_is_free():
    strange = wire.Installed(70, 1, 0, b"", None, 0, 0)
    found = sort([strange, *generation(0, OLDER)])
    assert found.slot == 2 and found.foreign == ()


def test_what_others_put_into_the_generation_in_force_is_foreign():
    strange = [wire.Installed(65, 1, 0x1, b"", None, 0, 0), installed(replace(entrance(9), cookie=5), 1)]
    elsewhere = [wire.Installed(number, 1, 0x1, b"", None, 0, 0) for number in (1, 64, 120, 250)]
    assert sort([*generation(1), *strange, *elsewhere]).foreign == tuple(strange)


def test_a_flow_of_table_0_that_leads_elsewhere_is_outdated():
    """In memory it looks like the wanted one."""
    wrong = installed(entrance(2), 0)
    found = sort([*generation(1), wrong], held=1)
    assert found.slot == 1 and found.outdated == (wrong,)


def test_a_single_flow_of_an_old_layout_changes_no_slot():
    wrong = with_layout(installed(entrance(2), 0), OLDER)
    found = sort([*generation(1), wrong])
    assert found.slot == 1 and found.outdated == (wrong,)


def test_where_table_0_was_emptied_the_tables_are_kept():
    assert sort([installed(INSIDE, 2)], held=2).slot == 2
    assert sort([], held=3).slot == 3
    # Also by somebody who was not there.
    assert sort([installed(INSIDE, 2)]).slot == 2
    assert sort([with_layout(installed(INSIDE, 0), OLDER)]).slot == 1
    # An empty bridge has a flow that leads nowhere.
    assert sort([installed(LEFT), installed(INSIDE, 2)]).slot == 2


def test_another_program_that_has_taken_over_meanwhile_is_noticed():
    assert sort([*generation(1, OLDER), installed(INSIDE, 0)], held=0).slot == 2


def test_what_the_switch_has_learned_is_nobodys():
    found = sort([*generation(1), installed(LEARNED, 1)])
    assert LEARNED.key not in found.ours and not found.foreign


def test_a_holder_who_cannot_be_read_holds_nothing():
    broken = replace(with_layout(installed(entrance()), OLDER), raw_match=b"\0\2\0\4\0\0\0\0")
    assert sort([broken]).holders == frozenset()


def test_only_table_0_tells_holders():
    deeper = with_layout(installed(Flow(TABLES["SWITCH"], 1, (), (), cookie(Kind.VNIC, 7))), OLDER)
    uplink = with_layout(installed(entrance(3, Kind.UPLINK)), OLDER)
    assert sort([deeper, uplink]).holders == frozenset()


flows = st.sampled_from([entrance(1), entrance(2), LEFT, INSIDE, LEARNED])
entries = st.one_of(
    st.builds(installed, flows, st.sampled_from(SLOTS)),
    st.builds(
        lambda flow, slot, layout: with_layout(installed(flow, slot), layout),
        *(flows, st.sampled_from(SLOTS), st.sampled_from((OLDER, LAYOUT, LAYOUT + 1))),
    ),
    st.builds(lambda flow, slot: replace(installed(flow, slot), cookie=1), flows, st.sampled_from(SLOTS)),
    st.builds(lambda number: wire.Installed(number, 1, 1, b"", None, 0, 0), st.integers(0, 255)),
)


@given(st.lists(entries, max_size=12), st.sampled_from((None, *SLOTS)))
def test_whatever_is_there(some, held):
    found = sort(some, held)
    assert found.slot in SLOTS and found.slot not in found.remains
    assert found == sort(some, held)
    # Nothing of another layout, or that leads elsewhere, is taken for ours.
    for flow in found.ours.values():
        assert installed(flow, found.slot) in some
    # Whatever of table 0 does not lead to our generation goes.
    for entry in some:
        if entry.table == 0 and entry.leads_to not in (None, found.slot):
            assert entry in found.outdated + found.foreign
    # It is put where packets of other layouts are not on their way, unless it is in force there.
    leads = {layout: set() for layout in (OLDER, LAYOUT, LAYOUT + 1, None)}
    for entry in some:
        if entry.table == 0 and entry.leads_to is not None:
            leads[layout_of(entry.cookie)].add(entry.leads_to)
    others = leads[OLDER] | leads[LAYOUT + 1]
    assert found.slot in leads[LAYOUT] or found.slot not in others or others == set(SLOTS)


# --- meters that two generations share


def test_while_both_are_there_a_meter_lets_through_what_either_would():
    there = {1: Meter(1, 10, 10), 2: Meter(2, 10, 5), 3: Meter(3, 1, 1), 4: None, 6: None}
    wanted = {1: Meter(1, 5, 20), 2: Meter(2, 20, 20), 4: Meter(4, 7, 7), 5: Meter(5, 1, 1)}
    assert shared_meters(wanted, there) == {
        1: Meter(1, 10, 20),
        2: Meter(2, 20, 20),
        3: Meter(3, 1, 1),
        4: Meter(4, 7, 7),
        5: Meter(5, 1, 1),
        6: None,
    }


# --- the wait


def test_remains_go_after_one_wait():
    remains = Remains()
    assert remains.wait() is None
    remains.found(frozenset({0}))
    number = remains.wait()
    assert number is not None and remains.wait() is None and not remains.due
    remains.found(frozenset({0}))
    remains.over(number)
    assert remains.due
    # Still so when they are found again, say after a refusal.
    remains.found(frozenset({0}))
    assert remains.due
    remains.gone()
    assert not remains.due and remains.wait() is None


def test_remains_that_are_in_use_again_are_waited_for_anew():
    """Another program has come back to the slot meanwhile."""
    remains = Remains()
    remains.found(frozenset({0}))
    remains.over(remains.wait())
    assert remains.due
    remains.found(frozenset({0}), in_use=True)
    assert not remains.due and remains.wait() is not None


def test_no_remains_are_never_due():
    remains = Remains()
    remains.found(frozenset({0}))
    number = remains.wait()
    remains.found(frozenset())
    remains.over(number)
    assert not remains.due
    remains.found(frozenset({0}))
    assert not remains.due and remains.wait() is not None


def test_new_remains_begin_a_new_wait():
    remains = Remains()
    remains.found(frozenset({0}))
    first = remains.wait()
    remains.found(frozenset({0, 1}))
    second = remains.wait()
    remains.over(first)
    assert not remains.due
    remains.over(second)
    assert remains.due
    remains.gone()
    remains.found(frozenset({0}))
    remains.over(second)
    assert not remains.due
