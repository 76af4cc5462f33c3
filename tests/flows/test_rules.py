"""Rules as flows: conjunction or product, whichever is smaller, with the same outcome."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.flows import fields as f
from policy.flows import rules
from policy.flows.cookies import Kind, cookie
from policy.flows.flow import Conjunction, Flow, Resubmit, exact, flow, match
from policy.flows.tables import TABLES
from policy.flows.walk import Flows, WalkError
from policy.model import Tier
from tests.flows.strategies import documents, labels
from tests.flows.worlds import World, cidrs, document, policy, rule, who

WEB, DB = who("role == web", "web"), who("role == db", "db")
MARK = cookie(Kind.RULE, 1)
VALUES = dict.fromkeys(f.FIELDS, 0)


def flows_of(world: World, table: str, bridge: str = "left") -> list:
    return [item for item in world.tables[bridge].values() if item.table.name == table and item.priority]


def conjunctive(found) -> bool:
    return any(isinstance(action, Conjunction) for item in found for action in item.actions)


# --- what is written


def test_a_rule_about_anybody_and_anything_is_one_flow():
    world = World(document(policy("p", rule("allow", "any"))))
    assert [item.match for item in flows_of(world, "EGRESS_APPLICATION")] == [()]


def test_a_rule_that_no_vnic_here_can_meet_is_not_written():
    lab_only = document(policy("p", rule("allow", "any", (who("vm.name == nobody"),), None)))
    assert flows_of(World(lab_only), "EGRESS_APPLICATION") == []
    one = document(policy("p", rule("allow", "any", (who("vm.name == web-3"),), None)))
    assert flows_of(World(one), "EGRESS_APPLICATION", "left") == []
    assert len(flows_of(World(one), "EGRESS_APPLICATION", "right")) == 1


def test_direction_decides_the_side():
    out = World(document(policy("p", rule("allow", "any", ingress=False))))
    assert (len(flows_of(out, "EGRESS_APPLICATION")), len(flows_of(out, "INGRESS_APPLICATION"))) == (1, 0)
    into = World(document(policy("p", rule("allow", "any", egress=False))))
    assert (len(flows_of(into, "EGRESS_APPLICATION")), len(flows_of(into, "INGRESS_APPLICATION"))) == (0, 1)


@pytest.mark.parametrize("tier", Tier)
def test_each_tier_has_its_table_and_pass_leads_to_the_next(tier):
    world = World(document(policy("p", rule("pass", "any"), tier=tier)))
    (found,) = flows_of(world, f"EGRESS_{tier.name}")
    following = "EGRESS_DEFAULT" if tier is Tier.BASELINE else f"EGRESS_{Tier(tier + 1).name}"
    assert found.actions == (Resubmit(following),)


def test_a_small_rule_is_written_out_and_a_large_one_is_a_conjunction():
    small = World(document(policy("p", rule("allow", "tcp/80", (WEB,), (DB,)))))
    assert not conjunctive(flows_of(small, "EGRESS_APPLICATION"))
    many = tuple(cidrs(f"198.51.{n}.0/24") for n in range(8))
    large = World(document(policy("p", rule("allow", "tcp/80,443,8080 udp/53 icmp", (WEB, DB), many))))
    found = flows_of(large, "EGRESS_APPLICATION")
    assert conjunctive(found)
    assert len(found) < 40


def test_flows_grow_with_groups_plus_services_not_with_their_product():
    def size(count: int) -> int:
        many = tuple(cidrs(f"198.51.{n}.0/24") for n in range(count))
        world = World(document(policy("p", rule("allow", "tcp/1000-1099 udp/1000-1099", (WEB, DB), many))))
        return len(flows_of(world, "EGRESS_APPLICATION"))

    assert size(40) - size(20) == 20


def _asked(item: Flow) -> tuple[int, ...]:
    return tuple(test.value for test in item.match if test.field is f.AUDIT)


@given(documents(), labels)
def test_no_two_rules_share_a_priority_in_a_table(policy_document, some_labels):
    """Policies in audit of several tiers share a table, but a packet asks one of them at a time."""
    for flows in World(policy_document, some_labels).tables.values():
        reasons = {
            (item.table.name, _asked(item), item.priority, item.cookie)
            for item in flows.values()
            if item.table.name.startswith(("EGRESS_", "INGRESS_")) and item.priority
        }
        assert max(Counter((table, asked, priority) for table, asked, priority, _ in reasons).values(), default=1) == 1


def test_policies_in_audit_of_two_tiers_are_asked_one_at_a_time():
    one, other = (
        replace(policy(name, rule("deny", "tcp/80", (WEB,)), tier=tier), audit=True)
        for name, tier in (("first", Tier.ENVIRONMENT), ("second", Tier.APPLICATION))
    )
    found = flows_of(World(document(one, other)), "EGRESS_AUDIT")
    assert len({item.priority for item in found}) == 1
    asked = {(_asked(item), item.cookie) for item in found}
    assert {numbers for numbers, _ in asked} == {(1,), (2,)} and len(asked) == 2


# --- the same outcome


def outcome(world: World, table: str, values: dict[str, int]):
    found = world.flows["left"].find(table, values)
    return None if found is None else (found.cookie, found.actions)


@given(documents(), labels, st.data())
def test_conjunction_and_product_do_the_same(policy_document, some_labels, data):
    with pytest.MonkeyPatch.context() as patch:
        # Clauses in several parts, as those of many identities are; and no clauses at all.
        patch.setattr(rules, "MANY", 1)
        mixed = World(policy_document, some_labels)
        patch.setattr(rules, "WRITTEN_OUT", 10**9)
        plain = World(policy_document, some_labels)
    identities = sorted(mixed.compiled.identities.members)
    for _ in range(20):
        protocol = data.draw(st.sampled_from((6, 17, 47)))
        port = data.draw(st.sampled_from((1, 53, 79, 80, 85, 91, 50000)))
        first = {"ct_state": 0x21, "tuple": 0} if data.draw(st.booleans()) else {"ct_state": 0x22, "tuple": 1}
        values = VALUES | first | {
            "eth_type": data.draw(st.sampled_from((0x0800, 0x86DD))),
            "ip_proto": protocol, "ct_nw_proto": protocol,
            "tcp_src": 50000, "tcp_dst": port, "udp_src": 50000, "udp_dst": port, "ct_tp_src": 50000, "ct_tp_dst": port,
            "from_id": data.draw(st.sampled_from(identities)), "to_id": data.draw(st.sampled_from(identities)),
        }  # fmt: skip
        for table in TABLES:
            if table.startswith(("EGRESS_", "INGRESS_")):
                assert outcome(mixed, table, values) == outcome(plain, table, values)


# --- what the walker holds against flows


def clause(number: int, place: int, of: int, *tests):
    return flow("EGRESS_BASELINE", 5, match(*tests), (Conjunction(number, place, of),), MARK)


def test_a_conjunction_needs_all_its_clauses():
    done = flow("EGRESS_BASELINE", 5, match(exact(f.CONJ_ID, 9)), (Resubmit("OTHER_SIDE"),), MARK)
    one, two = clause(9, 0, 2, exact(f.FROM_ID, 1)), clause(9, 1, 2, exact(f.TO_ID, 2))
    below = flow("EGRESS_BASELINE", 4, (), (), MARK)
    flows = Flows([one, two, done, below])
    assert flows.find("EGRESS_BASELINE", VALUES | {"from_id": 1, "to_id": 2}) == done
    assert flows.find("EGRESS_BASELINE", VALUES | {"from_id": 1}) == below


def test_flows_that_contradict_each_other_are_an_error():
    one = flow("EGRESS_BASELINE", 5, match(exact(f.FROM_ID, 1)), (Resubmit("OTHER_SIDE"),), MARK)
    two = flow("EGRESS_BASELINE", 5, match(exact(f.TO_ID, 2)), (), MARK)
    with pytest.raises(WalkError, match="2 different flows"):
        Flows([one, two]).find("EGRESS_BASELINE", VALUES | {"from_id": 1, "to_id": 2})


def test_a_conjunction_without_a_conclusion_is_an_error():
    flows = Flows([clause(9, 0, 2), clause(9, 1, 2, exact(f.TO_ID, 0))])
    with pytest.raises(WalkError, match="nothing to do"):
        flows.find("EGRESS_BASELINE", VALUES)
