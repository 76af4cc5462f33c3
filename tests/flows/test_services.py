"""Terms as tests of packets: exactly the connections that the term means, in both directions."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.evaluate import Connection, covers
from policy.flows import fields as f
from policy.flows.packet import headers
from policy.flows.services import port_masks, service_conditions
from policy.flows.tracker import Tracker
from policy.flows.walk import matches
from policy.model import ICMP, ICMPV6, Term
from policy.terms import parse_term
from tests.flows.packets import answer, end, later, opening
from tests.flows.strategies import PORTS, TERMS, terms


@given(st.integers(0, 65535), st.integers(0, 65535))
def test_port_masks_cover_exactly(one, other):
    low, high = sorted((one, other))
    masks = list(port_masks(low, high))
    assert all(not value & ~mask for value, mask in masks)
    # Each mask is a block of ports; together they are the range, without a gap.
    blocks = sorted((value, value + 0xFFFF - mask) for value, mask in masks)
    assert blocks[0][0] == low
    assert blocks[-1][1] == high
    assert all(first[1] + 1 == second[0] for first, second in pairwise(blocks))
    assert len(masks) <= 30


@pytest.mark.parametrize(
    ("low", "high", "count"), [(0, 65535, 1), (1, 65535, 16), (1, 65534, 30), (80, 80, 1), (5, 4, 0)]
)
def test_port_masks_are_few(low, high, count):
    assert len(list(port_masks(low, high))) == count


def says(term_list, values) -> bool:
    """True if a packet with these fields passes one of the tests."""
    found = service_conditions(term_list)
    return found is None or any(matches(tests, values) for tests in found)


@st.composite
def some_connections(draw) -> Connection:
    family = draw(st.sampled_from((4, 6)))
    ends = [end(None, {4: f"10.0.0.{n}", 6: f"2001:db8::{n}"}[family]) for n in (1, 2)]
    protocol = draw(st.sampled_from((6, 17, 132, 47, 50, ICMP if family == 4 else ICMPV6)))
    if protocol in (6, 17, 132):
        ports = [draw(st.sampled_from(PORTS) | st.integers(0, 65535)) for _ in range(2)]
        return Connection(*ends, family, protocol, *ports)
    if protocol in (ICMP, ICMPV6):
        return Connection(*ends, family, protocol, icmp_type=8 if family == 4 else 128, icmp_code=0)
    return Connection(*ends, family, protocol)


@given(terms(), some_connections(), st.booleans())
def test_a_service_means_the_same_in_every_packet_of_a_connection(found, connection, sctp_ports):
    """By the first packet's own fields, by the first tuple later on, and against the direction."""
    expected = any(covers(term, connection) for term in found)
    first = opening(connection, 1, 2)
    tracker = Tracker(sctp_ports=sctp_ports).commit(1, first)
    everything = dict.fromkeys(f.FIELDS, 0)
    assert says(found, everything | headers(first) | {"tuple": 0, "reply": 0}) == expected
    for packet, reply in ((answer(first), 1), (later(first), 0)):
        tracker, told = tracker.look(1, packet)
        assert says(found, everything | headers(packet) | told | {"tuple": 1, "reply": reply}) == expected


def test_any_needs_no_test():
    assert service_conditions((Term(),)) is None
    assert service_conditions((*parse_term("tcp/80"), Term())) is None


@pytest.mark.parametrize("text", TERMS)
def test_no_test_is_said_twice(text):
    doubled = parse_term(text) + tuple(replace(term) for term in parse_term(text))
    assert service_conditions(doubled) == service_conditions(parse_term(text))
