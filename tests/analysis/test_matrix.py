"""The matrix against the evaluator: VMs as `explain` answers for them, groups over all their members."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.analysis.group_matrix import OUTSIDE, GroupMatrix
from policy.analysis.matrix import VmMatrix, kind_of, service_of
from policy.analysis.words import terms
from policy.evaluate import evaluate
from policy.load import load_texts
from policy.members import group_has
from policy.model import Verdict
from policy.question import UsageError, parse_question
from tests.analysis.strategies import connections, document, documents, groups, truth
from tests.examples import examples

SERVICES = ("tcp/80", "tcp/443", "udp/53", "icmp/echo", "icmp4/3", "proto/47", "sctp/5")


@examples(35)
@given(documents(), st.sampled_from(SERVICES))
def test_vms_are_answered_for_as_explain_does(found, service):
    matrix = VmMatrix(found)
    cells = {(cell.source, cell.destination): cell for cell in matrix.cells()}
    services = service_of(found, service)
    verdicts = {(cell.source, cell.destination): cell.verdict for cell in matrix.of_service(services)}
    for source in matrix.vms:
        for destination in matrix.vms:
            pair = source, destination
            try:
                asked = parse_question(found, source, destination, service)
            except UsageError:
                assert pair not in verdicts
                continue
            if source == destination:
                assert pair not in cells
            else:
                verdict = evaluate(found, asked).verdict
                assert verdicts[pair] is verdict
                kind = kind_of(asked)
                assert kind.within(cells[pair].allow) == (verdict is Verdict.ALLOW)
                assert kind.within(cells[pair].reject) == (verdict is Verdict.REJECT)
                assert cells[pair].family == asked.family


@examples(35)
@given(st.data())
def test_groups_are_told_over_all_their_members(data):
    one, other = data.draw(groups()), data.draw(groups())
    found = document(data.draw(documents()).policies, groups={"one": one, "other": other})
    cells = {(cell.source, cell.destination): cell for cell in GroupMatrix(found).cells()}
    for _ in range(8):
        scope, connection = data.draw(connections(found))
        source, destination = connection.source, connection.destination
        if source.vnic == destination.vnic:
            continue
        verdict, *_ = truth(found, connection)
        kind = kind_of(connection)
        for pair in ((a, b) for a in ("one", "other", OUTSIDE) for b in ("one", "other", OUTSIDE)):
            if all(member(found, name, end, scope) for name, end in zip(pair, (source, destination), strict=True)):
                cell = cells[pair]
                assert cell.family in (None, connection.family)
                if not kind.within(cell.mixed):
                    assert kind.within(cell.allow) == (verdict is Verdict.ALLOW)
                    assert kind.within(cell.reject) == (verdict is Verdict.REJECT)
                else:
                    assert not kind.within(cell.allow | cell.reject)


def member(found, name, end, scope):
    if name == OUTSIDE:
        return end.vnic is None
    return group_has(found.groups[name], end.vnic, end.address, scope)


NET = """\
version: 1
vms:
  web-1: {labels: {role: web}, addresses: [10.0.0.11, "2001:db8::11"]}
  web-2: {labels: {role: web}, addresses: 10.0.0.12}
  db-1: {labels: {role: db}, addresses: "2001:db8::21"}
  none: {vnics: []}
groups:
  web: {match: role == web}
  db: {match: role == db}
  nobody: {match: role == ghost}
policies:
  - name: shop
    rules:
      - {allow: [tcp/3306, icmp], from: web, to: db}
      - {allow: tcp/22, from: {vms: web-1}, to: {vms: web-2}}
      - {reject: any, to: web, direction: in}
"""


def net():
    return load_texts({"p.yaml": NET.encode()})


def test_pairs_and_words():
    found = [
        (c.source, c.destination, terms(c.allow, c.family), terms(c.reject, c.family)) for c in VmMatrix(net()).cells()
    ]
    assert found == [
        ("web-1", "web-2", ["tcp/22"], []),
        ("web-1", "db-1", ["icmp6", "tcp/3306"], []),
        ("web-2", "web-1", [], []),
        ("db-1", "web-1", [], []),
    ], "web-2 has no IPv6, db-1 no IPv4, and what egress denies is not rejected"


def test_groups_without_members_are_left_out_and_the_outside_never_meets_itself():
    cells = {(c.source, c.destination): c for c in GroupMatrix(net()).cells()}
    assert list(GroupMatrix(net()).groups) == ["web", "db", OUTSIDE]
    assert (OUTSIDE, OUTSIDE) not in cells and ("db", "db") not in cells
    assert terms(cells[OUTSIDE, "web"].reject) == ["any"]
    assert terms(cells["web", "web"].mixed, cells["web", "web"].family) == ["tcp/22"]
    assert cells["web", "db"].family == 6


@pytest.mark.parametrize("service", ["tcp", "any", "icmp4", "tcp/80,443", "no-such"])
def test_a_service_is_one_connection(service):
    with pytest.raises(UsageError):
        service_of(net(), service)


def test_a_service_of_one_family():
    assert set(service_of(net(), "icmp4/8")) == {4}
    assert set(service_of(net(), "icmp/echo")) == {4, 6}
    assert service_of(net(), "tcp/80", 1)[4].source_port == 1
