"""Who claims what somebody else claims too, while claims come and go: the same as looking at all pairs."""

from contextvars import copy_context
from ipaddress import ip_network

from hypothesis import given
from hypothesis import strategies as st

from topology.breath import moments
from topology.crowds import AddressCrowds, Crowds

PREFIXES = tuple(map(ip_network, ("10.0.0.1", "10.0.0.2", "10.0.0.0/30", "10.0.0.0/24", "0.0.0.0/0", "10.0.1.0/24",
                                  "2001:db8::1", "2001:db8::/64", "::/0")))  # fmt: skip
claims = st.tuples(st.sampled_from("abc"), st.sampled_from(("x", "y")), st.sets(st.sampled_from(PREFIXES), max_size=3))


@given(st.lists(st.tuples(st.integers(0, 7), st.one_of(st.none(), claims), st.booleans()), max_size=40))
def test_addresses(history):
    crowds, standing = AddressCrowds(), {}
    for claimant, claim, look in history:
        if claimant in standing:
            crowds.remove(claimant)
            del standing[claimant]
        if claim is not None:
            standing[claimant] = claim
            crowds.add(claimant, *claim)
        if look:
            assert set(crowds.members()) == set(in_each_others_way(standing))


def in_each_others_way(standing):
    for one, (owner, scope, prefixes) in standing.items():
        for other_owner, other_scope, others in standing.values():
            if owner != other_owner and scope == other_scope and any(a.version == b.version and a.overlaps(b)
                                                                     for a in prefixes for b in others):  # fmt: skip
                yield one


@given(st.lists(st.tuples(st.integers(0, 5), st.sets(st.integers(0, 4), max_size=3)), max_size=30))
def test_keys(history):
    crowds, standing = Crowds(), {}
    for claimant, keys in history:
        crowds.remove(claimant, standing.pop(claimant, ()))
        crowds.add(claimant, keys)
        standing[claimant] = keys
        assert set(crowds.members()) == {
            one for one in standing for other in standing if one != other and standing[one] & standing[other]
        }
        assert all(set(crowds.having(key)) == {one for one in standing if key in standing[one]} for key in range(5))


def test_others_could_have_their_turn_while_many_are_looked_at():
    crowds, came = AddressCrowds(), []
    for number in range(100):
        crowds.add(number, f"owner {number}", "x", [ip_network(f"10.0.0.{number}")])

    def looked_at():
        moments(lambda: came.append("moment"))
        return list(crowds.members())

    assert copy_context().run(looked_at) == []
    assert len(came) == 3
