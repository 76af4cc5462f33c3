"""Regions against brute force: a small part of each axis, every point of it asked."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.analysis.planes import by_line
from policy.analysis.regions import ALL, EMPTY, FAMILY, Region, region_of, unite
from policy.analysis.words import example, summary, terms
from policy.evaluate import Connection, Endpoint, covers
from policy.model import ICMP, ICMPV6, SCTP, TCP, UDP, Term
from policy.terms import parse_term
from tests.examples import examples

EDGES = (0, 1, 79, 80, 81, 443, 444, 1023, 1024, 65534, 65535)
KINDS = (0, 3, 8, 128, 255)
CODES = (0, 1, 255)
ranges = st.lists(
    st.tuples(st.sampled_from(EDGES), st.sampled_from(EDGES)).map(sorted).map(tuple), min_size=1, max_size=3
)


def joined(found):
    numbers = sorted(found)
    merged = [list(numbers[0])]
    for first, last in numbers[1:]:
        if first <= merged[-1][1] + 1:
            merged[-1][1] = max(merged[-1][1], last)
        else:
            merged.append([first, last])
    return tuple(map(tuple, merged))


port_terms = st.builds(
    Term, st.sampled_from((TCP, UDP, SCTP)), ports=ranges.map(joined), source_ports=st.one_of(
        st.just(((0, 65535),)), ranges.map(joined)
    )
)  # fmt: skip
icmp_terms = st.builds(
    lambda family, kind, code: Term(family[0], family[1], icmp_type=kind, icmp_code=code if kind is not None else None),
    st.sampled_from(((ICMP, 4), (ICMPV6, 6))),
    st.one_of(st.none(), st.sampled_from(KINDS)),
    st.one_of(st.none(), st.sampled_from(CODES)),
)
other_terms = st.sampled_from((47, 50, 0, 255)).map(Term)
some_terms = st.lists(st.one_of(port_terms, icmp_terms, other_terms, st.just(Term())), max_size=4).map(tuple)

POINTS = [
    *((family, protocol, y, x, None, None) for family in (4, 6) for protocol in (TCP, UDP, SCTP)
      for x, y in product((0, 80, 443, 500, 65535), (0, 79, 1024, 65534))),
    *((family, protocol, None, None, kind, code) for family, protocol in ((4, ICMP), (6, ICMPV6))
      for kind, code in product((0, 7, 8, 128), (0, 1, 2))),
    *((family, protocol, None, None, None, None) for family in (4, 6) for protocol in (0, 47, 50, 255)),
    (6, ICMP, None, None, None, None), (4, ICMPV6, None, None, None, None),
]  # fmt: skip


def points(region):
    return {
        (family, protocol, source, port, kind, code)
        for family, protocol, source, port, kind, code in POINTS
        if region.has(family, protocol, port if kind is None else kind, source if code is None else code)
    }


def meant(wanted):
    return {
        point for point in POINTS if any(covers(term, Connection(Endpoint(), Endpoint(), *point)) for term in wanted)
    }


@given(some_terms)
def test_a_region_is_what_its_terms_cover(wanted):
    assert points(region_of(wanted)) == meant(wanted)


@given(some_terms, some_terms)
def test_union_intersection_difference(one, other):
    left, right = region_of(one), region_of(other)
    assert points(left | right) == meant(one) | meant(other)
    assert points(left & right) == meant(one) & meant(other)
    assert points(left - right) == meant(one) - meant(other)


@given(some_terms, some_terms, some_terms)
def test_one_set_is_one_value(one, other, third):
    a, b, c = map(region_of, (one, other, third))
    assert (a & b) | (a - b) == a
    assert a - (b | c) == (a - b) - c
    assert a & (b | c) == (a & b) | (a & c)
    assert ALL - (ALL - a) == a
    assert bool(a) == (a != EMPTY)
    assert (a <= b) == ((a | b) == b)
    assert unite([a, b, c]) == c | b | a
    assert hash((a & b) | (a - b)) == hash(a)


def read_back(text):
    """The region of a term as `terms` writes it."""
    if text in ("proto/1", "proto/58"):
        return Region(1 << int(text.removeprefix("proto/")), EMPTY.planes)
    plain, _, sources = text.partition(" source-port ")
    found = parse_term(plain)
    if sources:
        (term,) = found
        (line,) = (each.ports for each in parse_term(f"tcp/{sources}"))
        found = (Term(term.protocol, ports=term.ports, source_ports=line),)
    return region_of(found)


@examples(40)
@given(some_terms, some_terms)
def test_terms_say_the_whole_set_and_each_service_once(one, other):
    region = region_of(one) - region_of(other)
    told = EMPTY
    for text in terms(region):
        read = read_back(text)
        assert not told & read
        told |= read
    assert told == region
    for family in (4, 6):
        shown = unite(map(read_back, terms(region, family)))
        assert shown & FAMILY[family] == region & FAMILY[family]


@given(some_terms, some_terms, st.sampled_from((4, 6)))
def test_an_example_is_of_the_set(one, other, family):
    region = (region_of(one) - region_of(other)) & FAMILY[family]
    found = example(region, family)
    if found is None:
        assert not region
        return
    axes = (
        (found.icmp_type, found.icmp_code)
        if found.icmp_type is not None
        else (found.destination_port, found.source_port)
    )
    assert region.has(family, found.protocol, *axes)


def written(*texts):
    return region_of(tuple(term for text in texts for term in parse_term(text)))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["tcp/443"], ["tcp/443"]),
        (["tcp/8085-8089", "tcp/8080-8084"], ["tcp/8080-8089"]),
        (["udp/53", "tcp/53", "tcp/80"], ["tcp/53,80", "udp/53"]),
        (["icmp4/8"], ["icmp4/8"]),
        (["icmp/echo"], ["icmp/echo"]),
        (["icmp"], ["icmp"]),
        (["icmp", "icmp/echo"], ["icmp"]),
        (["icmp4/3/4", "icmp6"], ["icmp4/3/4", "icmp6"]),
        (["proto/47", "proto/6"], ["proto/47", "tcp"]),
        (["any", "tcp/1"], ["any"]),
        ([], []),
    ],
)
def test_terms_are_written_as_in_the_language(given, expected):
    assert terms(written(*given)) == expected


def test_terms_of_one_family():
    assert terms(written("icmp/echo", "tcp"), 4) == ["icmp4/8", "tcp"]
    assert terms(FAMILY[6], 6) == ["any"]
    assert terms(FAMILY[6] & written("icmp"), 6) == ["icmp6"]


def test_source_ports_are_told():
    term = Term(TCP, ports=((443, 443),), source_ports=((1024, 65535),))
    assert terms(region_of((term, *parse_term("tcp/80")))) == ["tcp/80", "tcp/443 source-port 1024-65535"]


def test_what_is_left_out_is_told_where_that_is_shorter():
    assert summary(ALL - written("tcp/22")) == "any but tcp/22"
    assert summary(written("tcp/22", "icmp/echo")) == "icmp/echo tcp/22"
    assert summary(EMPTY) == "nothing"
    assert summary(FAMILY[4] - written("icmp4/5"), 4) == "any but icmp4/5"


def test_equal_lines_are_found_together():
    plane = written("tcp/80,443").planes[0]
    assert by_line(plane) == {((0, 65535),): ((80, 80), (443, 443))}
