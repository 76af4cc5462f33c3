"""CIDRs for sets of addresses, and rectangles for sets of pairs, against the sets themselves."""

from ipaddress import ip_address

from hypothesis import given
from hypothesis import strategies as st

from policy.analysis.cover import covering, exactly
from policy.analysis.rectangles import rectangles
from policy.analysis.regions import ALL, region_of
from policy.terms import parse_term

BASE = int(ip_address("10.0.0.0"))
# Of each of 32 addresses: wanted, unwanted, or of no matter.
marks = st.lists(st.sampled_from("+-."), min_size=32, max_size=32)


def ranges(found, sign):
    return [(BASE + place, BASE + place) for place, mark in enumerate(found) if mark == sign]


@given(marks)
def test_a_cover_holds_the_wanted_and_nothing_unwanted(found):
    prefixes = covering(4, ranges(found, "+"), [*ranges(found, "-"), (0, BASE - 1), (BASE + 32, 2**32 - 1)])
    held = {int(address) - BASE for prefix in prefixes for address in prefix}
    assert {place for place, mark in enumerate(found) if mark == "+"} <= held
    assert not {place for place, mark in enumerate(found) if mark == "-"} & held
    assert len(prefixes) <= len(exactly(4, ranges(found, "+")))


@given(marks)
def test_exactly_is_exact(found):
    held = [int(address) - BASE for prefix in exactly(4, ranges(found, "+")) for address in prefix]
    assert held == [place for place, mark in enumerate(found) if mark == "+"]


def test_all_that_no_one_minds_is_one_prefix():
    assert list(map(str, covering(4, [(1, 2**32 - 2)], []))) == ["0.0.0.0/0"]
    assert list(map(str, covering(6, [(2, 2**128 - 1)], []))) == ["::/0"]
    assert list(map(str, covering(4, [(BASE + 5, BASE + 5)], []))) == ["10.0.0.5/32"]
    assert covering(4, [], [(0, 9)]) == []


REGIONS = [region_of(parse_term(text)) for text in ("tcp/1", "tcp/1-2", "udp")] + [ALL]
pairs = st.dictionaries(st.tuples(st.integers(0, 4), st.integers(0, 4)), st.sampled_from(REGIONS))


@given(pairs, st.sets(st.tuples(st.integers(0, 4), st.integers(0, 4))))
def test_rectangles_say_what_the_pairs_say(wanted, unimportant):
    def free(sources, destinations):
        return all((source, destination) in unimportant for source in sources for destination in destinations)

    told = {}
    for each in rectangles(wanted, free):
        for pair in ((source, destination) for source in each.sources for destination in each.destinations):
            told[pair] = told[pair] | each.region if pair in told else each.region
    for pair in {*wanted, *told} - unimportant:
        assert told.get(pair) == wanted.get(pair)
    for pair in set(wanted) & unimportant:
        assert wanted[pair] <= told[pair]
    assert len(rectangles(wanted, free)) <= len(wanted)
