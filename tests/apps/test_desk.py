"""Which events become lines, by the clock: each decision once, a rate for each rule, drops once a second."""

import json

import pytest

from policy.flows.cookies import Drop, Kind, Reason
from policy.model import Side
from ryu_apps.reports import desk as desk_module
from ryu_apps.reports.desk import PACE, WALK, WINDOW
from tests.apps.reporting import at, number, punted, reports, tcp


@pytest.fixture
def it():
    return reports(rate=10)


def told(it, *facts, ticks=0.0):
    return [json.loads(line.text) for line in it.hear(facts, at(ticks)).lines]


def allowed(it, sport=40000, **more):
    return punted(number(it._engine, "shop/web-app"), tcp(sport=sport), **more)


def test_a_connection_is_told_once_however_often_it_is_tried(it):
    syn = allowed(it)
    assert len(told(it, syn, syn)) == 1
    for ticks in (1, 3, 7, 15, 31, 63, WINDOW - 0.1):
        assert told(it, syn, ticks=ticks) == []
    assert len(told(it, syn, ticks=WINDOW)) == 1
    assert it.desk.suppressed == {}


def test_another_end_rule_or_port_is_other_news(it):
    syn = allowed(it)
    others = [allowed(it, 40001), allowed(it, side=Side.INGRESS, target=102)]
    assert len(told(it, syn, *others, *others)) == 3


def test_a_rule_has_a_rate_and_what_is_left_out_is_told(it):
    burst = [allowed(it, sport) for sport in range(1000, 1050)]
    assert [line["suppressed"] for line in told(it, *burst)] == [0] * 10
    why = next(iter(it.desk.suppressed))
    assert (it.desk.logged[why], it.desk.suppressed[why]) == (10, 40)
    # A tenth of a second later there is room for one line.
    assert [line["suppressed"] for line in told(it, allowed(it, 2000), allowed(it, 2001), ticks=0.1)] == [40]
    # Another rule has a rate of its own, and a long pause fills no more than one second's worth.
    audit = number(it._engine, "trial/tight")
    assert len(told(it, punted(audit, tcp(sport=9)), ticks=0.1)) == 1
    late = [allowed(it, sport) for sport in range(3000, 3050)]
    assert len(told(it, *late, ticks=100)) == 10


def test_what_was_not_told_may_be_told_when_it_is_tried_again(it):
    told(it, *(allowed(it, sport) for sport in range(1000, 1011)))
    assert [line["source_port"] for line in told(it, allowed(it, 1010), ticks=1)] == [1010]


def test_a_clock_that_stands_still_or_goes_back_gives_nothing_away(it):
    told(it, *(allowed(it, sport) for sport in range(1000, 1010)), ticks=5)
    assert told(it, allowed(it, 2000), ticks=1) == []


def drop(source=101, reason=Drop.INVALID, **more):
    return punted(reason, source=source, **more)


def test_a_drop_is_told_once_a_second_with_the_number_left_out(it):
    assert [line["repeated"] for line in told(it, *[drop()] * 100)] == [0]
    assert told(it, drop(), ticks=0.9) == []
    assert [line["repeated"] for line in told(it, drop(), ticks=PACE)] == [100]
    assert it.desk.logged[Reason(Kind.DROP, Drop.INVALID)] == 2
    assert it.desk.suppressed[Reason(Kind.DROP, Drop.INVALID)] == 100


def test_what_is_held_back_is_told_though_nothing_follows(it):
    told(it, drop(), drop(), drop())
    assert it.desk.holds
    assert told(it, ticks=0.5) == []
    assert [line["repeated"] for line in told(it, ticks=PACE)] == [1]
    assert told(it, ticks=2 * PACE) == [] and not it.desk.holds


def test_what_is_held_back_is_not_walked_through_at_every_report(it):
    told(it, drop(), drop())
    told(it, ticks=PACE - WALK / 2)
    # It may be told by now, but was looked at a moment ago.
    assert told(it, ticks=PACE) == []
    assert [line["repeated"] for line in told(it, ticks=PACE + WALK / 2)] == [0]


def test_each_vnic_and_each_reason_has_its_own_line(it):
    facts = [drop(), drop(102, port=3), drop(reason=Drop.SPOOFED_SOURCE), drop()]
    assert len(told(it, *facts)) == 3


def test_memory_is_bounded_and_loses_no_number(it, monkeypatch):
    monkeypatch.setattr(desk_module, "MAX_RECENT", 5)
    monkeypatch.setattr(desk_module, "MAX_HELD", 2)
    told(it, *(allowed(it, sport) for sport in range(1000, 1010)))
    assert len(it.desk._recent) == 5
    strangers = [drop(0, port=port) for port in (50, 51)]
    told(it, *strangers, strangers[0], strangers[0])
    assert [line["repeated"] for line in told(it, drop(0, port=52))] == [1, 0]
    assert len(it.desk._held) == 2


def test_rules_that_are_gone_are_forgotten(it):
    told(it, allowed(it))
    it.desk.keep([])
    assert not it.desk.logged and not it.desk._buckets
