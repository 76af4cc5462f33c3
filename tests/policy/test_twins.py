"""Addresses that were chosen so that looking them up is slow."""

from ipaddress import IPv6Address, ip_network

import pytest

from policy.errors import PolicyError
from policy.twins import MAX_TWINS, Twins
from tests.policy.words import document

SINGLE = [f"{IPv6Address(2**126 + n * (2**61 - 1))}" for n in range(3000)]


def group(addresses, key="cidrs"):
    listed = ", ".join(f'"{each}"' for each in addresses)
    return f"{{cidrs: '::/0', except: [{listed}]}}" if key == "except" else f"{{cidrs: [{listed}]}}"


@pytest.mark.parametrize("key", ["cidrs", "except"])
def test_thousands_with_one_hash_are_refused_before_they_are_compared(key):
    assert len({hash(ip_network(each)) for each in SINGLE}) == 1
    with pytest.raises(PolicyError) as raised:
        document(f"groups: {{a: {group(SINGLE, key)}}}")
    (problem,) = raised.value.problems
    assert f"more than {MAX_TWINS} IPv6 prefixes" in problem.message and problem.place.line == 1


def test_they_may_not_be_spread_over_groups_and_files_either():
    one, other = (f"groups: {{{name}: {group(part)}}}" for name, part in (("a", SINGLE[:9]), ("b", SINGLE[9:18])))
    assert len(document(one).groups) == len(document(other).groups) == 1
    with pytest.raises(PolicyError, match="cannot tell from"):
        document(one, other=other)


def test_one_prefix_named_often_has_no_twins():
    twins = Twins()
    assert not any(twins.too_many(ip_network("2001:db8::/32")) for _ in range(1000))
    assert not any(twins.too_many(ip_network("10.0.0.0/8")) for _ in range(1000))


def test_what_people_write_has_no_twins():
    twins = Twins()
    usual = [f"2001:db8:{a:x}:{b:x}::{c:x}" for a in range(16) for b in range(16) for c in range(16)]
    usual += [f"2001:db8:{a:x}:{b:x}::/64" for a in range(64) for b in range(64)]
    usual += [f"2001:db8:{a:x}00::/{length}" for a in range(256) for length in range(40, 65)]
    usual += [f"fd{a:02x}::/{length}" for a in range(256) for length in range(16, 129)] + ["::/0", "ff00::/8"]
    assert not any(twins.too_many(ip_network(each)) for each in usual)
