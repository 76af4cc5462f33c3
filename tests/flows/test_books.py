"""Books that have seen other policies answer as new ones do, while vNICs and ports stay the same objects."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from policy.flows.bridge_book import BridgeBook, bridge_flows
from policy.flows.compile import PolicyBook, prepare
from policy.model import Group
from tests.flows.worlds import World, cidrs, document, policy, rule, who
from topology.shared_map import shared

NETS = cidrs("10.0.0.0/16", "2001:db8::/48", but=["10.0.1.0/30"], name="nets")
# Groups by name, each as it is in one policy or another: some share a part, some are ranges within what a vNIC owns,
# some are destinations of packets for many.
GROUPS = (
    (NETS,),
    (Group("nets-or-web", any_of=(NETS, who("role == web"))),),
    (cidrs("10.0.1.4", name="inside"), cidrs("10.0.1.8/29", "10.0.1.0/30", name="inside")),
    (cidrs("224.0.0.0/8", "ff02::/16", name="many"), cidrs("224.0.0.251", name="many")),
    (who("role == web", "web"), who("role == db", "web")),
    (cidrs("0.0.0.0/0", but=["10.0.0.0/8"], scope="lab"),),
)
WORLD = World(document())
VNICS = shared({vnic.id: vnic for vnic in WORLD.vnics()})
BRIDGES = [WORLD.bridge(name) for name in ("left", "right")]

sides = st.one_of(st.none(), st.integers(0, len(GROUPS) - 1))
rules = st.lists(st.tuples(sides, sides, st.sampled_from(("tcp/80", "any"))), max_size=4)


def policy_of(groups, found):
    """The policy of some rules; which of the groups stand at their sides is told by number."""
    sides = [None, *((group,) for group in groups)]
    return document(
        policy(
            "p", *(rule("allow", terms, *(sides[0 if n is None else n + 1] for n in both)) for *both, terms in found)
        )
    )


policies = st.builds(policy_of, st.tuples(*map(st.sampled_from, GROUPS)), rules)


@given(st.lists(policies, min_size=2, max_size=6))
@settings(max_examples=60, deadline=None)
def test_one_policy_after_the_other(history):
    book, bridge_books = PolicyBook(), [BridgeBook() for _ in BRIDGES]
    for each in history:
        found, fresh = book.prepare(each, VNICS), prepare(each, VNICS.values())
        for name in ("numbers", "entries", "blocks", "of_vnic", "flooded", "holding"):
            assert dict(getattr(found.identities, name)) == dict(getattr(fresh.identities, name)), name
        for bridge, bridge_book in zip(BRIDGES, bridge_books, strict=True):
            assert bridge_book.wanted(found, bridge, {}).flat() == bridge_flows(fresh, bridge, {})
