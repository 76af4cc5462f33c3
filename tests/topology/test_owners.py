"""Who has an address: the index says what a look at everybody says."""

from ipaddress import ip_address, ip_network

from hypothesis import given
from hypothesis import strategies as st

from topology.owners import Owners
from topology.vnic import Vnic

PREFIXES = ("10.0.0.0/30", "10.0.0.1/32", "10.0.0.2/32", "0.0.0.0/0", "2001:db8::/126", "2001:db8::1/128", "::/0")
ADDRESSES = ("10.0.0.0", "10.0.0.1", "10.0.0.2", "10.0.0.9", "2001:db8::1", "2001:db8::9")
vnics = st.lists(
    st.tuples(st.sampled_from(("default", "lab")), st.sets(st.sampled_from(PREFIXES), max_size=3)), max_size=5
)


@given(vnics, st.sampled_from(("default", "lab", "none")), st.sampled_from(ADDRESSES))
def test_the_index_says_what_a_look_at_everybody_says(made, scope, text):
    everybody = [
        Vnic(str(number), scope=of, addresses=tuple(map(ip_network, sorted(prefixes))))
        for number, (of, prefixes) in enumerate(made)
    ]
    address = ip_address(text)
    wanted = {vnic.id for vnic in everybody if vnic.scope == scope and vnic.owns(address)}
    assert {vnic.id for vnic in Owners(everybody).of(scope, address)} == wanted


@given(st.lists(vnics, min_size=2, max_size=4))
def test_one_time_after_the_other_it_says_what_a_new_index_says(times):
    owners = Owners()
    # The same objects from one time to the next, where they are the same vNICs.
    made = {}
    for everybody in times:
        now = {}
        for number, (of, prefixes) in enumerate(everybody):
            key = str(number), of, tuple(sorted(prefixes))
            now[str(number)] = made.setdefault(key, Vnic(key[0], scope=of, addresses=tuple(map(ip_network, key[2]))))
        owners.take(now)
        new = Owners(now.values())
        for scope in ("default", "lab"):
            for address in map(ip_address, ADDRESSES):
                assert {vnic.id for vnic in owners.of(scope, address)} == {vnic.id for vnic in new.of(scope, address)}
