"""The declarations hold together: registers, tables, cookies; and a table refuses what it did not declare."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import policy.flows
from policy.flows import fields as f
from policy.flows.cookies import Builtin, Drop, Kind, cookie, digest, is_ours, numbers, reason
from policy.flows.flow import (
    IPV4,
    IPV6,
    Condition,
    FlowError,
    Load,
    Resubmit,
    Track,
    check,
    ct_state,
    exact,
    flow,
    masked,
    match,
)
from policy.flows.meters import HIGHEST_METER, MeterKind, meter_number, meter_text
from policy.flows.pipeline import tier_table
from policy.flows.tables import BY_NUMBER, TABLES
from policy.model import Side, Tier
from tests.flows.strategies import documents, labels
from tests.flows.worlds import World
from topology.zones import MAX_ZONE

MARK = cookie(Kind.PIPELINE)

# --- registers


def test_register_parts_fit_and_do_not_overlap():
    taken: dict[str, int] = {}
    for part in f.register_parts():
        bits = part.full << part.offset
        assert bits < 1 << 32, part.name
        assert not taken.get(part.container, 0) & bits, part.name
        taken[part.container] = taken.get(part.container, 0) | bits


def test_no_two_fields_are_the_same():
    plain = [(field.oxm_class, field.oxm_field) for field in f.FIELDS.values() if not field.is_register]
    assert len(set(plain)) == len(plain)
    assert all(field.meaning for field in f.FIELDS.values())


def test_bits_of_conntrack_state_are_distinct():
    bits = list(f.CT_FLAGS.values())
    assert all(bit.bit_count() == 1 for bit in bits)
    assert len(set(bits)) == len(bits)


# --- tables


def test_tables_are_numbered_without_gaps_and_found_by_number():
    assert sorted(BY_NUMBER) == list(range(len(TABLES)))
    assert all(BY_NUMBER[table.number] is table for table in TABLES.values())
    assert len(TABLES) < 254


def test_jumps_lead_to_tables_further_on():
    for table in TABLES.values():
        for target in table.jumps:
            assert TABLES[target].number > table.number, f"{table} -> {target}"
        assert all(target in TABLES for target in table.tracks)
        assert table.matches <= f.FIELDS.keys()


def test_each_tier_has_a_table_at_each_side_in_order():
    for side in Side:
        found = [TABLES[tier_table(side, tier)].number for tier in Tier]
        assert found == sorted(found)


def test_every_table_can_be_reached():
    reached, todo = set(), ["CLASSIFY"]
    while todo:
        name = todo.pop()
        if name not in reached:
            reached.add(name)
            todo += [*TABLES[name].jumps, *TABLES[name].tracks]
    assert reached == TABLES.keys()


def test_no_table_number_is_written_outside_the_declaration():
    """Tables are named. A small number beside a word like table is a slip."""
    for path in Path(policy.flows.__file__).parent.glob("*.py"):
        if path.name == "tables.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("flow", "Resubmit", "Track", "Learn"):
                numbers_given = [arg.value for arg in node.args[:1] if isinstance(arg, ast.Constant)]
                assert all(isinstance(value, str) for value in numbers_given), f"{path.name}:{node.lineno}"
            if isinstance(node, ast.Subscript) and getattr(node.value, "id", "") == "BY_NUMBER":
                assert not isinstance(node.slice, ast.Constant), f"{path.name}:{node.lineno}"


def test_no_table_has_more_prefixes_than_ovs_takes():
    assert all(len(table.prefixes) <= 3 for table in TABLES.values())
    assert TABLES["SRC_ID"].prefixes == ("ip_src", "ipv6_src")


# --- what a table refuses


@pytest.mark.parametrize(
    ("table", "tests", "actions", "says"),
    [
        ("CLASSIFY", match(IPV4), (), "does not declare a match"),
        ("CLASSIFY", (), (Resubmit("SWITCH"),), "does not declare a jump"),
        ("CLASSIFY", (), (Track("RELATED"),), "does not declare conntrack"),
        ("GUARD", match(exact(f.IPV4_SRC, 1)), (), "needs one on ipv4"),
        ("GUARD", match(IPV6, exact(f.IPV4_SRC, 1)), (), "needs one on ipv4"),
        ("LEAVE", match(IPV4, exact(f.UDP_SRC, 1)), (), "needs one on udp"),
        (
            "ND",
            match(IPV6, exact(f.IP_PROTO, 58), exact(f.ICMPV6_TYPE, 136), exact(f.ND_SLL, 1)),
            (),
            "needs one on ns",
        ),
        ("JUDGE", match(ct_state("+trk"), IPV4, exact(f.CT_NW_PROTO, 6)), (), "needs one on tracked"),
        ("JUDGE", match(Condition(f.ETH_TYPE, 0x800, 0xFF00)), (), "cannot be masked"),
        ("CLASSIFY", (), (Load(f.ZONE, 1 << 16),), "does not fit"),
    ],
)
def test_a_table_refuses_what_it_did_not_declare(table, tests, actions, says):
    with pytest.raises(FlowError, match=says):
        flow(table, 1, tests, actions, MARK)


@pytest.mark.parametrize("priority", [-1, 0x10000])
def test_priorities_have_sixteen_bits(priority):
    with pytest.raises(FlowError, match="16 bits"):
        flow("CLASSIFY", priority, (), (), MARK)


def test_a_match_cannot_ask_twice_nor_outside_its_mask():
    with pytest.raises(FlowError):
        match(exact(f.ZONE, 1), exact(f.ZONE, 2))
    with pytest.raises(FlowError):
        masked(f.ZONE, 3, 1)
    with pytest.raises(FlowError):
        exact(f.ZONE, 0x10000)
    assert match(exact(f.ZONE, 1), exact(f.ZONE, 1)) == (exact(f.ZONE, 1),)


@given(documents(), labels)
def test_all_flows_of_random_policies_are_declared(policy_document, some_labels):
    for flows in World(policy_document, some_labels).tables.values():
        for key, item in flows.items():
            check(item)
            assert item.key == key
            assert reason(item.cookie) is not None


# --- cookies


@given(st.sampled_from(Kind), st.integers(0, 0xFFFFFFFF))
def test_cookies_are_taken_apart_again(kind, number):
    if kind is Kind.BUILTIN:
        number = number % len(Builtin) + 1
    if kind is Kind.DROP:
        number = number % len(Drop) + 1
    if kind is Kind.DEFAULT:
        number %= 2
    value = cookie(kind, number)
    found = reason(value)
    assert is_ours(value)
    assert (found.kind, found.number) == (kind, number)
    assert str(found)


@pytest.mark.parametrize("kind,number", [(Kind.DEFAULT, 2), (Kind.DROP, 0), (Kind.DROP, 999), (Kind.BUILTIN, 0)])
def test_numbers_that_mean_nothing(kind, number):
    """They come from whoever adds flows: each would be one more thing to remember."""
    assert reason(cookie(kind, number)) is None


@given(st.integers(0, 2**64 - 1))
def test_any_cookie_is_taken_apart_or_not_ours(value):
    found = reason(value)
    if found is not None:
        assert cookie(found.kind, found.number) == value


def test_a_number_over_32_bits_is_refused():
    with pytest.raises(ValueError, match="32 bits"):
        cookie(Kind.RULE, 1 << 32)


@given(st.sets(st.text(max_size=8), max_size=20), st.text(max_size=8))
def test_numbers_are_distinct_and_do_not_depend_on_others(names, another):
    found = numbers(names)
    assert len(set(found.values())) == len(names)
    assert 0 not in found.values()
    more = numbers(names | {another})
    assert all(more[name] == found[name] for name in names)


def test_numbers_are_salted_where_digests_collide():
    taken = digest("web")
    assert numbers(["web"], reserved=[taken])["web"] == digest("web", 1)


def test_the_meters_of_all_vnics_are_others_and_linux_has_them():
    numbers = {meter_number(kind, vnic) for kind in MeterKind for vnic in (1, 2, MAX_ZONE - 1, MAX_ZONE)}
    assert len(numbers) == 4 * len(MeterKind)
    assert max(numbers) == HIGHEST_METER < 200_000
    assert {meter_text(number).split(":")[0] for number in numbers} == {kind.label for kind in MeterKind}


# --- what flows have in common


def test_flows_made_one_after_the_other_have_what_is_alike_as_the_same_objects():
    def entry(address):
        tests = match(exact(f.SCOPE, 2**11), IPV4, exact(f.IPV4_SRC, address))
        return flow("SRC_ID", 132, tests, [Load(f.SRC_ID, 2**20)], cookie(Kind.IDENTITY, 2**20))

    one, other = entry(2**24), entry(2**25)
    assert one != other
    assert one.actions is other.actions
    assert one.cookie is other.cookie
    shared = {id(test) for test in one.match} & {id(test) for test in other.match}
    assert len(shared) == 2
    assert len({id(test.mask) for item in (one, other) for test in item.match if test.field.bits == 32}) == 1
