"""What a bridge holds is compared with what is wanted there: only just that is no difference."""

import struct
from dataclasses import replace

import pytest
from hypothesis import given

from policy.flows import fields as f
from policy.flows.cookies import Kind, cookie, reason
from policy.flows.flow import Condition, Flow, Load, Resubmit, exact, match
from policy.flows.meters import Meter
from policy.flows.openflow import WireError
from policy.flows.plumbing import LEARN
from policy.flows.slots import SLOTS
from policy.flows.tables import TABLES
from policy.load import load_texts
from policy.verify.compare import ALTERED, FOREIGN, MISSING, compare
from policy.verify.found import holdings
from policy.verify.openflow import Told
from policy.verify.ovsdb import Unreadable
from policy.verify.site import Settings
from tests.commands.sample import SHOP, network
from tests.flows.strategies import documents, labels
from tests.flows.worlds import World, bridge_meters
from tests.verify.held import compared, differences, entry, known, other_layout, wanted
from topology.learned import LEASES

BRIDGE, FLOWS, METERS = wanted()
ALL = tuple(FLOWS.values())
# Where a rule has one flow alone, and that has another cookie, nothing says any more which priority the rule has.
SURE = tuple(each for each in ALL if [other.cookie for other in ALL].count(each.cookie) > 2)
UPLINK = next(member for uplink in BRIDGE.uplinks for _, member in uplink.members)


@pytest.mark.parametrize("slot", SLOTS)
def test_just_what_is_wanted_in_any_slot(slot):
    found = compared(ALL, METERS, slot=slot)
    assert (found.differences, found.flows, found.meters, found.holdings.slot) == ((), len(ALL), len(METERS), slot)


def test_each_flow_counts_with_each_of_its_parts():
    for flow in SURE[::3]:
        rest = [each for each in ALL if each is not flow]
        name = flow.table.name
        assert differences(rest, METERS) == [(MISSING, "flow", name)]
        cookies = replace(flow, cookie=flow.cookie ^ 1)
        assert differences([*rest, cookies], METERS) == [(ALTERED, "flow", name)]
        if flow.actions != (Load(f.SCOPE, 3),):
            assert differences([*rest, replace(flow, actions=(Load(f.SCOPE, 3),))], METERS) == [(ALTERED, "flow", name)]
        for times in ({"idle": 1}, {"hard": 1}, {"flags": 1}):
            assert differences(rest, METERS, entry(flow, **times)) == [(ALTERED, "flow", name)]


def test_the_priorities_of_rules_are_free_but_their_order_is_not():
    rules = priorities(ALL)
    order = sorted(rules, key=lambda number: -rules[number])
    moved = {number: 1000 - 10 * place for place, number in enumerate(order)}
    assert differences(at(moved), METERS) == []
    swapped = {**moved, order[0]: moved[order[1]], order[1]: moved[order[0]]}
    assert differences(at(swapped), METERS)


def priorities(flows):
    found = {flow.cookie: flow.priority for flow in flows if reason(flow.cookie).kind is Kind.RULE}
    return {reason(mark).number: priority for mark, priority in found.items()}


def at(places):
    for flow in ALL:
        why = reason(flow.cookie)
        yield replace(flow, priority=places[why.number]) if why.kind is Kind.RULE else flow


def test_a_rules_flow_that_stands_alone_at_another_priority():
    flow = next(each for each in SURE if reason(each.cookie).kind is Kind.RULE)
    moved = replace(flow, priority=flow.priority + 1)
    kinds = [kind for kind, _, _ in differences([each for each in ALL if each is not flow] + [moved], METERS)]
    assert sorted(kinds) == [FOREIGN, MISSING]


def test_a_foreign_flow_wherever_a_packet_can_meet_it():
    normal = replace(ALL[0], match=(), priority=65535, actions=(), cookie=1)
    for table in TABLES.values():
        assert differences([*ALL, replace(normal, table=table)], METERS) == [(FOREIGN, "flow", table.name)]


def test_what_no_packet_can_meet_is_counted():
    lost = Flow(TABLES["GUARD"], 1, (), (), 1)
    found = compared(ALL, METERS, entry(lost, 2), entry(lost, table=60), entry(lost, table=254))
    assert (found.differences, found.holdings.elsewhere) == ((), 3)


def test_a_way_into_another_slot():
    flow = next(each for each in ALL if each.table.number == 0 and any(isinstance(a, Resubmit) for a in each.actions))
    rest = [each for each in ALL if each is not flow]
    assert differences(rest, METERS, entry(flow, 1, table=0)) == [(ALTERED, "flow", "CLASSIFY")]


def learned(**more):
    tests = match(exact(f.VLAN, 10), exact(f.ETH_DST, 0x5254000000AA))
    made = Flow(TABLES["LEARNED"], 100, tests, (Load(f.UPLINK_OUT, UPLINK),), LEARN.cookie)
    return replace(made, **more)


def test_what_the_switch_has_learned():
    found = compared(ALL, METERS, entry(learned(), hard=LEARN.hard_timeout))
    assert (found.differences, found.holdings.learned) == ((), 1)


@pytest.mark.parametrize(
    "forged",
    [
        entry(learned()),
        entry(learned(), hard=LEARN.hard_timeout + 1),
        entry(learned(), hard=LEARN.hard_timeout, idle=1),
        entry(learned(), hard=LEARN.hard_timeout, flags=1),
        entry(learned(priority=101), hard=LEARN.hard_timeout),
        entry(learned(cookie=cookie(Kind.LEARNED, 1)), hard=LEARN.hard_timeout),
        entry(learned(actions=(Load(f.UPLINK_OUT, UPLINK + 1),)), hard=LEARN.hard_timeout),
        entry(learned(actions=(Load(f.OUT_PORT, UPLINK),)), hard=LEARN.hard_timeout),
        entry(learned(actions=(Load(f.UPLINK_OUT, UPLINK),) * 2), hard=LEARN.hard_timeout),
        entry(learned(actions=()), hard=LEARN.hard_timeout),
        entry(learned(match=match(exact(f.VLAN, 10))), hard=LEARN.hard_timeout),
        entry(learned(match=match(exact(f.VLAN, 10), Condition(f.ETH_DST, 0, 1 << 40))), hard=LEARN.hard_timeout),
        entry(learned(table=TABLES["GUARD"]), hard=LEARN.hard_timeout),
    ],
)
def test_what_only_claims_to_be_learned(forged):
    (found,) = compared(ALL, METERS, forged).differences
    assert found.kind == FOREIGN


def test_another_layout_is_no_answer():
    with pytest.raises(Unreadable, match="layout 3"):
        compared(map(other_layout, ALL), METERS)
    # One such flow among ours is a flow too many, or in the place of one of ours.
    flow = SURE[0]
    rest = [each for each in ALL if each is not flow]
    assert differences([*rest, other_layout(flow)], METERS) == [(ALTERED, "flow", flow.table.name)]


def test_a_bridge_that_holds_nothing():
    found = differences([], {})
    assert {kind for kind, _, _ in found} == {MISSING} and len(found) == len(ALL) + len(METERS)


def test_meters():
    number, meter = next(iter(METERS.items()))
    rest = {each: METERS[each] for each in METERS if each != number}
    assert [kind for kind, _, _ in differences(ALL, rest)] == [MISSING]
    assert [kind for kind, _, _ in differences(ALL, {**METERS, number: replace(meter, rate=10**6)})] == [ALTERED]
    assert [kind for kind, _, _ in differences(ALL, {**METERS, number: None})] == [ALTERED]
    assert [kind for kind, _, _ in differences(ALL, {**METERS, 3: Meter(3, 1, 1), 5: None})] == [FOREIGN, FOREIGN]


def test_without_meters_other_flows_are_wanted():
    assert differences(ALL, {}, metered=False)
    found = compared([replace(each, actions=unlimited(each)) for each in ALL], {}, metered=False)
    assert (found.differences, found.metered) == ((), False)


def unlimited(flow):
    return tuple(action for action in flow.actions if type(action).__name__ not in ("Limit", "Punt"))


def test_the_bridges_own_settings():
    rows = network()
    (uuid,) = rows.bridges
    opened = replace(rows.bridges[uuid], fail_mode=None, other_config={})
    found = compared(ALL, METERS, it=known(replace(rows, bridges={uuid: opened}))).differences
    assert [(each.what, each.where, each.found) for each in found] == [
        ("setting", "fail_mode", "standalone"),
        ("setting", "other_config:disable-in-band", "false"),
    ]


def test_what_is_told_cut_short_is_no_answer():
    whole = entry(ALL[0])
    for body in (whole[:-1], whole[:20], whole + b"\0", struct.pack("!H", 4) + whole[2:]):
        with pytest.raises(WireError):
            holdings([body], frozenset())


def test_a_lease_that_is_over_counts_no_more():
    text = "52:54:00:00:00:02 1780000000 10.0.0.21,dhcp4,1780000000,{}"
    policy = SHOP.replace(
        "db-1:  {labels: {role: db},  network: prod, addresses: [10.0.0.21]}",
        "db-1: {labels: {role: db}, network: prod}",
    )

    unstated = load_texts({"shop.yaml": policy.encode()})
    leased, over = (known(with_book(text.format(until)), unstated) for until in ("1790000001", "1790000000"))
    _, flows, meters = wanted(leased)
    assert differences(flows.values(), meters, it=leased) == []
    assert FOREIGN in {kind for kind, _, _ in differences(flows.values(), meters, it=over)}
    # Nor does any where none are learned.
    none = known(with_book(text.format("1790000001")), unstated, Settings(("eth*",)))
    assert LEASES and differences(flows.values(), meters, it=none)


def with_book(text):
    rows = network()
    row = rows.interfaces["i-tap2"]
    ids = {**row.external_ids, "portcullis-learned": text}
    return replace(rows, interfaces={**rows.interfaces, "i-tap2": replace(row, external_ids=ids)})


@given(policy_document=documents(), some_labels=labels)
def test_any_policy_on_two_bridges(policy_document, some_labels):
    """What is compiled for a bridge is what is wanted there; what is compiled for the other is not."""
    world = World(policy_document, some_labels)
    left, right = (world.bridge(name) for name in ("left", "right"))
    meters = bridge_meters(policy_document, left)
    bodies = {name: tuple(entry(flow, 2) for flow in found.values()) for name, found in world.tables.items()}
    assert compare(world.compiled, left, Told(1, bodies["left"], meters, True)).differences == ()
    kinds = {each.kind for each in compare(world.compiled, right, Told(1, bodies["left"], meters, True)).differences}
    assert kinds >= {FOREIGN, MISSING}
