"""From measurements to figures, rows and verdicts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.chart import Bar, groups, scaled
from bench.dataplane import passes
from bench.figures import median_of_ratios, percentile, quietest, summary
from bench.goals import judge
from bench.packets import PACKET, Arrivals
from bench.rows import Row, advantage, in_milliseconds, shown, value_of
from bench.table import BEGIN, END, inserted, lines, markdown
from bench.traffic import Traffic

ROUNDS = [{"bridge": 2.0, "ovn": 3.0}, {"bridge": 4.0, "ovn": 8.0}, {"bridge": 1.0, "ovn": 2.5}]


def test_a_percentile_is_one_of_the_values():
    values = [float(value) for value in range(1, 21)]
    assert percentile(values, 0.95) == 19.0
    assert percentile(values, 0.5) == 10.0
    assert percentile([7.0], 0.99) == 7.0
    with pytest.raises(ValueError, match="no values"):
        percentile([], 0.5)


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0.01, 1))
def test_a_percentile_leaves_its_share_below(values, share):
    found = percentile(values, share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values) - 1e-6


def test_a_summary_keeps_the_extremes():
    assert summary([3.0, 1.0, 2.0]) == {"median": 2.0, "p95": 3.0, "least": 1.0, "most": 3.0, "count": 3}


def test_costs_are_compared_where_it_was_quietest():
    assert quietest(ROUNDS, "bridge") == {"bridge": 1.0, "ovn": 2.5}


def test_rates_are_compared_within_rounds():
    assert median_of_ratios(ROUNDS, "bridge") == {"bridge": 1.0, "ovn": 2.0}


def test_what_is_never_cut_has_no_median():
    assert in_milliseconds([0.1, 0.3, 0.2]) == pytest.approx(200)
    assert in_milliseconds([0.1, None, 0.2]) is None


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (None, "ms", "never"),
        ("", "ms", ""),
        (54175, "", "54,175"),
        (1.234, "s", "1.23 s"),
        (12.34, "ms", "12.3 ms"),
        (1.5, "x", "1.50x"),
        (0, "%", "0%"),
    ],
)
def test_figures_for_people(value, unit, text):
    assert shown(value, unit) == text


def test_how_much_better_ours_is():
    cost = Row("cost", "", lambda found: found["cost"])
    rate = Row("rate", "", lambda found: found["rate"], more_is_better=True)
    assert advantage(cost, 10.0, 50.0) == "5x"
    assert advantage(rate, 10.0, 50.0) == "0.20x"
    assert advantage(cost, 10.0, None) == "∞"
    assert advantage(cost, None, 10.0) == ""
    assert advantage(cost, 0.0, 0.0) == ""
    assert value_of(cost, {"rate": 3}) == ""


def change(median, p95, lost=0):
    return {"opens": {"median": median, "p95": p95}, "steady": {"lost": lost, "stall": 0.002}}


def peer(flows, seconds, push):
    return {
        "flows": flows,
        "cold": {"ports to enforced": 3.0, "ports known": 1.5, "ports processor": 1.0},
        "changes": {kind: change(seconds, seconds * 2) for kind in ("rule", "member", "address", "port")},
        "cuts": {"tcp": [0.03], "udp": [0.03], "push": [push]},
        "restarts": [{"lost": 0, "stall": 0.001, "seconds": 2.0}],
        "idle": 0.001,
        "memory": 99.0,
        "data plane": {"passes": 2.0, "packet ratio": 1.05, "connection ratio": 1.3},
    }


def result(size):
    peers = {
        "bridge": {"flows": 1, "changes": {"port": change(0.002, 0.003, lost=3)}},
        "ovn": peer(1000, 0.1, None),
        "portcullis": peer(100, 0.009, 0.02),
    }
    return {"sizes": {str(size): peers}}


def verdicts(size):
    return {verdict["goal"]: verdict["verdict"] for verdict in judge(result(size))}


def test_goals_are_judged():
    found = verdicts(1000)
    assert found["10 times fewer flows than OVN at 1,000 vNICs"] == "met"
    assert found["one rule changed: 10 times faster than OVN at 1,000 vNICs"] == "met"
    assert found["cold start of 1,000 vNICs under 2 s, from ports known to all enforced"] == "met"
    assert found["server-push streams are cut like any other"] == "met"
    assert found["… per connection at most 1.20x"] == "missed"
    assert found["switch processor per packet at most 1.10x the plain bridge"] == "met"


def test_what_a_stream_loses_is_held_against_a_plain_bridge_for_ports_only():
    whole = result(50)
    changes = whole["sizes"]["50"]["portcullis"]["changes"]
    rules, ports = "no unrelated packet lost while rules, labels, addresses change", "… nor while a port comes and goes"

    def found():
        return [verdict["verdict"] for verdict in judge(whole) if verdict["goal"].startswith((rules, ports))]

    changes["port"]["steady"]["lost"] = 3
    assert found() == ["met", "met"]
    changes["port"]["steady"]["lost"] = 4
    changes["rule"]["steady"]["lost"] = 1
    assert found() == ["missed", "missed"]


def test_goals_for_a_thousand_are_not_judged_by_fewer():
    found = verdicts(50)
    assert found["10 times fewer flows than OVN at 1,000 vNICs"] == "not measured"
    assert found["controller under 120 MB at 1,000 vNICs"] == "not measured"
    assert found["port up: no slower than OVN at 50 vNICs"] == "met"


def test_the_table_has_a_row_for_what_was_measured_and_no_other():
    peers = result(1000)["sizes"]["1000"]
    heading, *rows = lines(1000, peers)
    assert heading == ["1,000 vNICs", "bridge", "ovn", "portcullis", "better than OVN"]
    by_title = {row[0]: row[1:] for row in rows}
    assert by_title["flows of the bridge"] == ["1", "1,000", "100", "10x"]
    assert by_title["rule gone, until UDP pushed by the server is cut"] == ["", "never", "20 ms", "∞"]
    assert "cold start, until all enforced" not in by_title


def test_markdown_has_every_table():
    whole = result(50) | {"goals": judge(result(50)), "machine": {"ovs": "3.1.0"}, "seconds": 3}
    text = markdown(whole)
    assert text.startswith("ovs 3.1.0; 3 s in all.\n")
    assert "| 50 vNICs | bridge | ovn | portcullis | better than OVN |\n| --- | ---: |" in text


def test_bars_are_logarithmic_over_three_powers_of_ten():
    assert scaled(100.0, 100.0) == 1.0
    assert scaled(10.0, 100.0) == pytest.approx(2 / 3)
    assert scaled(0.01, 100.0) == scaled(0.0, 100.0) == 0.0


def test_bars_of_all_sizes_share_a_measure_and_what_never_ends_has_none():
    small, large = result(50)["sizes"]["50"], result(1000)["sizes"]["1000"]
    large["portcullis"]["flows"] = 10_000
    small["ovn"]["cuts"]["tcp"] = [None]
    bars = dict(groups({"sizes": {"50": small, "1000": large}}))
    assert [bar.peer for bar in bars["flows of the bridge, 50 vNICs"]] == ["bridge", "ovn", "portcullis"]
    assert bars["flows of the bridge, 1,000 vNICs"][2].length == 1.0
    assert bars["flows of the bridge, 50 vNICs"][2] == Bar("portcullis", pytest.approx(1 / 3), "100")
    assert [bar.peer for bar in bars["rule gone, until TCP is cut, 50 vNICs"]] == ["portcullis"]


def test_a_page_keeps_what_is_around_the_marks():
    page = f"# Title\n\n{BEGIN}\n\nold\n{END}\n\nthe end\n"
    assert inserted(page, "new\n") == f"# Title\n\n{BEGIN}\n\nnew\n\n{END}\n\nthe end\n"
    assert inserted("no marks", "new\n") == "new\n"


MEGAFLOWS = [
    "recirc_id(0),in_port(left),packet_type(ns=0,id=0),eth_type(0x0800),ipv4(frag=no), packets:100, actions:ct",
    "recirc_id(0x1a),in_port(left),packet_type(ns=0,id=0),eth_type(0x0800),ipv4(frag=no), packets:99, actions:3",
    "recirc_id(0),in_port(right),packet_type(ns=0,id=0),eth_type(0x0800),ipv4(frag=no), packets:7, actions:ct",
    "recirc_id(0),in_port(left),packet_type(ns=0,id=0),eth_type(0x0806), packets:5, actions:3",
]


def test_passes_are_counted_for_one_direction():
    assert passes(MEGAFLOWS, "left") == 1.99
    assert passes(MEGAFLOWS, "right") == 1.0
    with pytest.raises(ValueError, match="no packets from third"):
        passes(MEGAFLOWS, "third")


def arrived(*packets):
    arrivals = Arrivals()
    for number, sent, came in packets:
        arrivals.note(PACKET.pack(number, sent), came)
    traffic = Traffic()
    traffic._arrivals["s"] = arrivals
    return traffic


def test_a_stall_is_how_long_packets_did_not_arrive():
    ms = 1_000_000
    traffic = arrived((0, 0, 1 * ms), (1, 1 * ms, 2 * ms), (5, 5 * ms, 6 * ms), (6, 100 * ms, 101 * ms))
    found = traffic.tally("s", 0, 8)
    assert found["lost"] == 4  # 2, 3, 4 and 7
    # From when 1 was sent to when 5 came; that the sender paused before 6 is no stall.
    assert found["stall"] == pytest.approx(0.005)
    assert traffic.tally("s", 5, 7) == {"lost": 0, "stall": pytest.approx(0.001), "received": 2}


def test_a_packet_that_comes_late_is_a_stall():
    assert arrived((0, 0, 1000), (1, 1000, 901_000)).tally("s", 0, 2)["stall"] == pytest.approx(0.0009)


def test_the_first_after_and_the_last():
    traffic = arrived((0, 0, 10), (1, 1, 20), (2, 2, 30))
    assert traffic.first_after("s", 10, 0.0) == {"at": 20}
    assert traffic.first_after("s", 30, 0.0) == {"at": None}
    assert traffic.last("s", 0.1, 0.0) == {"at": 30}


def test_a_minimal_frame():
    ethernet_ip_udp_and_checksum = 14 + 20 + 8 + 4
    assert PACKET.size + ethernet_ip_udp_and_checksum == 64
