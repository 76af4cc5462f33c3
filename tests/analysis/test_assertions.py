"""Assertions: exact over everybody, and each counter-example is one by the evaluator's word."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.analysis.assertions import check_assertions, examine, vacuous_assertions
from policy.analysis.space import UNUSABLE
from policy.evaluate import covers
from policy.load import load_texts
from policy.members import side_has
from policy.model import Assertion, Verdict
from policy.terms import parse_term
from tests.analysis.strategies import PLACE, connections, documents, sides, terms, truth
from tests.examples import examples


@st.composite
def asserted(draw):
    """A policy and one assertion about it."""
    found = draw(documents())
    claim = Assertion("claim", draw(st.booleans()), draw(terms()), draw(sides()), draw(sides()), PLACE)
    return replace(found, assertions=(claim,))


def about(claim, connection, scope):
    """True if the assertion is about a connection."""
    source, destination = connection.source, connection.destination
    return (
        (source.vnic is not None or destination.vnic is not None)
        and source.vnic != destination.vnic
        and side_has(claim.sources, source.vnic, source.address, scope)
        and side_has(claim.destinations, destination.vnic, destination.address, scope)
        and any(covers(term, connection) for term in claim.terms)
    )


@examples(75)
@given(st.data())
def test_a_counter_example_is_one_and_without_one_there_is_none(data):
    document = data.draw(asserted())
    (claim,) = document.assertions
    (found,) = examine(document)
    if found.counter_example is not None:
        shown = found.counter_example.connection
        scope = next(end.vnic.scope for end in (shown.source, shown.destination) if end.vnic is not None)
        assert about(claim, shown, scope)
        for end in (shown.source, shown.destination):
            assert not any(end.address in prefix for prefix in UNUSABLE if end.address is not None
                           and prefix.version == end.address.version)  # fmt: skip
        verdict, egress, ingress = truth(document, shown)
        told = found.counter_example.decision
        assert (told.verdict, *(side and (side.policy, side.rule) for side in (told.egress, told.ingress))) == (
            verdict, egress, ingress,
        )  # fmt: skip
        assert (verdict is Verdict.ALLOW) is not claim.always
        return
    for _ in range(10):
        scope, connection = data.draw(connections(document))
        if about(claim, connection, scope):
            assert not found.vacuous
            assert (truth(document, connection)[0] is Verdict.ALLOW) is claim.always


POLICY = """\
version: 1
networks: {prod: {vlan: 10}, lab: {vlan: 30, scope: lab}}
vms:
  web-1: {labels: {role: web}, network: prod, addresses: [10.0.0.11, "2001:db8::11"]}
  db-1: {labels: {role: db}, network: prod, addresses: [10.0.0.21]}
  dev-1: {labels: {role: dev}, network: prod, addresses: [10.0.0.66]}
  lab-1: {labels: {role: dev}, network: lab, addresses: [10.0.0.21]}
groups:
  web: {match: role == web}
  db: {match: role == db}
  dev: {match: role == dev}
  nobody: {match: role == none}
  world: {cidrs: [0.0.0.0/0, "::/0"], except: 10.0.0.0/8}
  far: {cidrs: 198.51.100.0/24}
  everywhere: {cidrs: [224.0.0.0/4, 127.0.0.0/8, 0.0.0.0, 255.255.255.255]}
policies:
  - name: shop
    rules:
      - {name: https, allow: tcp/443, from: any, to: web, direction: in}
      - {name: storage, allow: tcp/3306, from: web, to: db}
      - {name: dev, allow: tcp/8000-8010, from: dev, to: web}
      - {name: no, reject: udp, from: world, to: web}
"""


def failures(*claims):
    """The messages of `check_assertions`; a claim is (always, service, from, to)."""
    document = load_texts({"p.yaml": POLICY.encode()})
    made = tuple(
        Assertion(f"a{number}", always, parse_term(service), side(document, source), side(document, destination), PLACE)
        for number, (always, service, source, destination) in enumerate(claims)
    )
    document = replace(document, assertions=made)
    return [p.message for p in check_assertions(document)], [p.message for p in vacuous_assertions(document)]


def side(document, name):
    return None if name == "any" else (document.groups[name],)


@pytest.mark.parametrize(
    ("claim", "words"),
    [
        ((False, "any", "dev", "db"), None),
        ((False, "any", "dev", "web"),
         "tcp/8000 from dev-1 (10.0.0.66) to web-1 (10.0.0.11) goes through (egress allowed by shop/dev, p.yaml:21; "
         "ingress allowed by shop/dev, p.yaml:21)"),
        ((False, "tcp/1-8001", "dev", "web"), "tcp/8000 from"),
        ((False, "tcp/8011-65535", "dev", "web"), None),
        ((True, "tcp/443", "world", "web"), None),
        ((True, "tcp/443", "any", "web"),
         "tcp/443 from db-1 (10.0.0.21) to web-1 (10.0.0.11) does not go through (egress denied: no rule allows it; "
         "ingress allowed by shop/https, p.yaml:19)"),
        ((True, "tcp/3306", "web", "db"), None),
        ((True, "any", "web", "db"), "tcp/0 from web-1 (10.0.0.11) to db-1"),
        ((True, "udp/53", "world", "web"),
         "udp/53 from 0.0.0.1 to web-1 (10.0.0.11) does not go through (ingress rejected by shop/no, p.yaml:22)"),
    ],
)  # fmt: skip
def test_assertions_about_a_small_shop(claim, words):
    found, vacuous = failures(claim)
    assert not vacuous
    if words is None:
        assert not found
    else:
        (message,) = found
        assert words in message, message


@pytest.mark.parametrize(
    "claim",
    [
        (True, "any", "nobody", "db"),
        (True, "any", "far", "far"),  # outside to outside
        (True, "any", "web", "web"),  # a vNIC to itself
        (True, "any", "everywhere", "web"),  # addresses that no host can have
    ],
)
def test_an_assertion_about_nobody_holds_and_is_told(claim):
    found, (message,) = failures(claim)
    assert not found
    assert message.startswith("assertion 'a0' is about no connection at all")


def test_no_assertions_cost_nothing():
    assert failures() == ([], [])


def test_scopes_are_apart():
    found, vacuous = failures((True, "any", "web", "dev"))
    assert "to dev-1 (10.0.0.66)" in found[0], "not lab-1, which web-1 cannot meet"
    assert not vacuous


def test_what_would_take_too_long_is_refused(monkeypatch):
    monkeypatch.setattr("policy.analysis.assertions.MAX_WORK", 3)
    found, _ = failures((False, "any", "any", "any"))
    assert found == ["assertion 'a0' cannot be checked: too many kinds of ends and rules to look at"]
