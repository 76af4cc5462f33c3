"""Totals from flow statistics, the page made of them, and the same as metrics."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from policy.flows.cookies import Drop, Kind, Reason, cookie, reason
from policy.flows.tables import TABLES
from policy.model import Side
from ryu_apps.facts import FlowsCounted, MetersCounted
from ryu_apps.ovsdb_facts import OvsdbSnapshot
from ryu_apps.reports.metrics import exposition
from ryu_apps.reports.reporter import MAX_WAITING, Reporter
from ryu_apps.reports.reports import Reports
from ryu_apps.reports.totals import UNKNOWN, Count, Totals, side_of
from ryu_apps.status import status_of
from tests.apps.reporting import at, entry, number, punted, reports, world
from tests.topology.builders import database

EGRESS, INGRESS = TABLES["EGRESS_APPLICATION"].number, TABLES["INGRESS_APPLICATION"].number
RULE, OTHER = cookie(Kind.RULE, 5), cookie(Kind.RULE, 6)
WHY = Reason(Kind.RULE, 5)


def test_readings_add_up_by_side():
    it = Totals()
    it.read(1, [entry(RULE, 2, 200, EGRESS), entry(RULE, 1, 60, INGRESS), entry(RULE, 3, 300, EGRESS, b"n")])
    it.read(2, [entry(RULE, 10, 1000, EGRESS)])
    assert it.of(WHY, Side.EGRESS) == Count(15, 1500)
    assert it.of(WHY, Side.INGRESS) == Count(1, 60)
    assert it.all(WHY) == Count(16, 1560)


def test_the_same_reading_twice_counts_once():
    it = Totals()
    for _ in range(3):
        it.read(1, [entry(RULE, 2, 200), entry(RULE, 2, 200)])
    assert it.all(WHY) == Count(2, 200)


def test_a_flow_that_is_replaced_or_gone_or_begins_again():
    it = Totals()
    it.read(1, [entry(RULE, 5, 500)])
    it.read(1, [entry(RULE, 2, 200)])  # begins again
    assert it.all(WHY) == Count(7, 700)
    it.read(1, [])  # gone
    it.read(1, [entry(RULE, 3, 300)])  # there again
    assert it.all(WHY) == Count(10, 1000)
    it.read(1, [entry(OTHER, 4, 400)])  # another rule in its place
    assert it.all(WHY) == Count(10, 1000) and it.all(Reason(Kind.RULE, 6)) == Count(4, 400)


def test_what_is_not_counted():
    it = Totals()
    it.read(1, [entry(cookie(Kind.VNIC, 5), 5, 5), entry(77, 5, 5), entry(RULE, UNKNOWN, 0), entry(RULE, 0, 2**64 - 1)])
    assert it.all(WHY) == Count() and not it._counts


@given(st.lists(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=3), max_size=8))
def test_a_total_never_goes_backwards(readings):
    it, last = Totals(), Count()
    for reading in readings:
        it.read(1, [entry(RULE, packets, octets, match=bytes([at])) for at, (packets, octets) in enumerate(reading)])
        now = it.all(WHY)
        assert now.packets >= last.packets and now.bytes >= last.bytes
        last = now


def test_meters():
    it = Totals()
    it.read_meters(1, [(1, 5), (2, 7)])
    it.read_meters(1, [(1, 6), (2, 3)])
    it.read_meters(2, [(1, 2**64 - 1)])
    assert it.meters == {1: 16}


# --- the page


@pytest.fixture
def it():
    return reports()


def test_the_page(it):
    mark = number(it._engine, "shop/web-app")
    facts = [
        FlowsCounted(1, 1, (entry(mark, 4, 400, EGRESS), entry(cookie(Kind.DROP, Drop.INVALID), 3, 180, 0))),
        MetersCounted(1, 1, ((1, 9),)),
        punted(mark),
        punted(Drop.INVALID),
        punted(12345),
    ]
    it.hear(facts, at(0))
    page = it.page()
    rules = {row["name"]: row for row in page["rules"]}
    assert list(rules) == ["shop/web-app", "shop/no", "shop/loud-no", "shop/quiet", "trial/tight"]
    row = rules["shop/web-app"]
    assert (row["packets"], row["bytes"], row["logged"], row["suppressed"]) == (4, 400, 1, 0)
    assert (row["egress"], row["ingress"]) == ({"packets": 4, "bytes": 400}, {"packets": 0, "bytes": 0})
    assert rules["trial/tight"]["audit"] is True
    (drop,) = [row for row in page["drops"] if row["packets"]]
    assert drop == {"reason": "invalid", "packets": 3, "bytes": 180, "logged": 1, "suppressed": 0}
    assert page["losses"] == {"meters": 9, "limiter": 0, "unexplained": 1}
    assert page["meters"] == [{"bridge": "br0", "host": "hv1", "packets": 9}]


def test_bridges_that_nobody_knows_are_not_counted(it):
    it.hear([FlowsCounted(99, 1, (entry(RULE, 4, 400, EGRESS),)), MetersCounted(99, 1, ((1, 9),))], at(0))
    assert it.page()["losses"]["meters"] == 0 and not it.totals._flows and not it.totals._counts


def test_bridges_that_are_gone_are_forgotten_and_what_they_have_counted_is_not():
    made = world()
    it = Reports(made.engine)
    mark = number(made.engine, "shop/web-app")
    counted = [FlowsCounted(1, 1, (entry(mark, 4, 400, EGRESS),)), MetersCounted(1, 1, ((1, 9),))]
    it.hear(counted, at(0))
    there = made.servers["unix:a"]
    gone = OvsdbSnapshot("unix:a", database(remote="unix:a", bridge="other", dpid=2))
    # Its datapath id is not known for a moment: its counters go on.
    made.facts.append(gone)
    made.run()
    it.hear(counted, at(1))
    made.facts.append(OvsdbSnapshot("unix:a", there))
    made.run()
    it.hear(counted, at(2))
    assert it.page()["losses"]["meters"] == 9 and it.totals.all(reason(mark)).packets == 4
    made.disconnect(1)
    made.facts.append(gone)
    made.run()
    it.hear([], at(3))
    assert it.page()["losses"]["meters"] == 9 and it.totals.all(reason(mark)).packets == 4
    assert not it.totals._flows and not it.totals._meters and not it.totals.meters


def samples(engine, reporter):
    page = {**status_of(engine)}
    text = exposition(page, reporter.page(), 3, reporter.waiting).decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_metrics_say_what_the_pages_say():
    engine = world().engine
    engine.sessions[1].drift = 3
    reporter = Reporter(engine, sinks=["stdout"])
    mark = number(engine, "shop/web-app")
    reporter.reports.hear([FlowsCounted(1, 1, (entry(mark, 4, 400, EGRESS),)), punted(mark)], at(0))
    found = samples(engine, reporter)
    plain = {name: value for (name, labels), value in found.items() if not labels}
    assert plain["portcullis_enforced"] == 1 and plain["portcullis_worker_queue_length"] == 3
    assert plain["portcullis_sessions"] == 1 and plain["portcullis_policy_rules"] == 5
    labels = {"rule": "shop/web-app", "tenant": "", "tier": "application", "verdict": "allow", "audit": "no"}
    assert found["portcullis_rule_packets_total", tuple(sorted({**labels, "side": "egress"}.items()))] == 4
    assert found["portcullis_rule_logged_total", tuple(sorted(labels.items()))] == 1
    assert found["portcullis_vnics", (("bridge", "br0"), ("state", "enforced"))] == 3
    assert found["portcullis_lost_total", (("where", "reports"),)] == 0
    assert found["portcullis_log_failing", (("sink", "stdout"),)] == 0
    (flows,) = [value for (name, _), value in found.items() if name == "portcullis_bridge_flows"]
    assert flows == engine.sessions[1].count()
    assert [value for (name, _), value in found.items() if name == "portcullis_bridge_drift_total"] == [3]


def test_copies_that_find_the_queue_full_are_counted_but_counters_are_not_lost():
    reporter = Reporter(world().engine)
    for _ in range(MAX_WAITING + 5):
        reporter.put(punted(RULE))
    reporter.put(FlowsCounted(1, 1, ()))
    assert (reporter.waiting, reporter.lost, reporter.page()["losses"]["reports"]) == (MAX_WAITING + 1, 5, 5)


def test_sides_are_the_same_in_every_slot():
    assert [side_of(EGRESS + 64 * slot) for slot in range(4)] == [Side.EGRESS] * 4
    assert [side_of(INGRESS + 64 * slot) for slot in range(4)] == [Side.INGRESS] * 4
    assert [side_of(number) for number in (0, 64, 63, 128, 254)] == [None] * 5


def test_a_new_generation_goes_on_counting_and_the_old_one_counts_no_more():
    it = Totals()
    it.read(1, [entry(RULE, 10, 1000, EGRESS)])
    older = entry(RULE - (1 << 40), 12, 1200, EGRESS)
    it.read(1, [older, entry(RULE, 1, 100, EGRESS + 64)])
    it.read(1, [entry(RULE, 3, 300, EGRESS + 64)])
    assert it.of(WHY, Side.EGRESS) == Count(13, 1300)
