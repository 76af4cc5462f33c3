"""The contest over addresses against the plain definition of it."""

from ipaddress import ip_network

from hypothesis import given
from hypothesis import strategies as st

from topology.overlaps import Claim, losers


def prefixes():
    def make(version, address, bits):
        width = 32 if version == 4 else 128
        length = width - bits
        base = int(ip_network("10.0.0.0" if version == 4 else "2001:db8::").network_address)
        return ip_network(((base + address) >> bits << bits, length))

    return st.builds(make, st.sampled_from([4, 6]), st.integers(0, 15), st.integers(0, 4))


claims = st.lists(
    st.tuples(st.sampled_from(["s", "t"]), prefixes(), st.sampled_from("abcd"), st.integers(0, 2)), max_size=12
).map(
    lambda drawn: [
        Claim(scope, prefix, owner, weight, f"w{n}", n) for n, (scope, prefix, owner, weight) in enumerate(drawn)
    ]
)


def overlap(one, other):
    return (
        one.scope == other.scope
        and one.owner != other.owner
        and one.prefix.version == other.prefix.version
        and one.prefix.overlaps(other.prefix)
    )


@given(claims)
def test_who_loses(drawn):
    lost = losers(drawn)
    expected = {
        claim.entrant
        for claim in drawn
        if any(overlap(claim, other) and other.weight >= claim.weight for other in drawn)
    }
    assert set(lost) == expected
    for entrant, (claim, rival) in lost.items():
        assert claim.entrant == entrant
        assert overlap(claim, rival) and rival.weight >= claim.weight


@given(claims)
def test_the_order_does_not_matter(drawn):
    assert losers(drawn) == losers(drawn[::-1])


def test_a_thousand_claims_on_one_address_and_on_all_are_no_burden():
    everything, one = ip_network("0.0.0.0/0"), ip_network("10.0.0.1")
    drawn = [Claim("s", everything if n % 2 else one, f"o{n}", 0, f"w{n:04}", n) for n in range(2000)]
    assert len(losers(drawn)) == 2000
