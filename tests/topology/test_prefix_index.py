"""The index of prefixes says what the standard library says of each two."""

from ipaddress import IPv4Address, IPv4Network, ip_network

from hypothesis import given
from hypothesis import strategies as st

from topology.prefix_index import PrefixIndex, node_of

# Few addresses, so that many prefixes meet.
prefixes = st.builds(
    lambda number, length: ip_network((number << 28 if length < 32 else number, length), strict=False),
    st.integers(0, 15),
    st.sampled_from((0, 1, 2, 3, 4, 30, 31, 32)),
)
steps = st.lists(st.tuples(st.booleans(), prefixes), max_size=20)


@given(steps, st.lists(prefixes, min_size=1, max_size=5), st.booleans())
def test_around_and_within(history, asked, early):
    index, there = PrefixIndex(32), set()
    for comes, prefix in history:
        if comes:
            index.add(node_of(prefix))
            there.add(prefix)
        elif prefix in there:
            index.remove(node_of(prefix))
            there.remove(prefix)
        if early:
            # From the first question on it is kept in order.
            index.within(node_of(asked[0]))
    for prefix in asked:
        others = there - {prefix}
        around = sorted((each for each in others if prefix.subnet_of(each)), key=lambda each: -each.prefixlen)
        assert [*index.around(node_of(prefix))] == [node_of(each) for each in around]
        assert index.within(node_of(prefix)) == sorted(node_of(each) for each in others if each.subnet_of(prefix))


def test_a_node_is_the_first_address_and_the_length():
    assert node_of(IPv4Network("10.0.0.0/8")) == (int(IPv4Address("10.0.0.0")), 8)
