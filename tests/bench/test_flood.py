"""The flood that is measured: frames that are what they should be, and figures that say what they should."""

import json

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import ARP, Ether

from bench.flood import judged, markdown
from bench.flooding import KINDS, Ends, frames

ENDS = Ends.of("52:54:00:00:00:01", "10.0.0.1", "52:54:00:00:00:02", "10.0.0.2")


@pytest.mark.parametrize("kind", KINDS)
def test_frames_are_from_the_guest_and_right(kind):
    made = frames(ENDS, kind, 20)
    assert len(set(made)) == 20
    for frame in made:
        packet = Ether(frame)
        assert packet.src == "52:54:00:00:00:01"
        assert bytes(rebuilt(packet)) == frame


def rebuilt(packet):
    """The packet with its checksums as scapy makes them."""
    whole = packet.copy()
    for layer in (IP, TCP, UDP):
        if layer in whole and not (layer is UDP and whole[IP].flags.MF):
            whole[layer].chksum = None
    return whole


def test_what_each_kind_is():
    kinds = {kind: Ether(frames(ENDS, kind, 1)[0]) for kind in KINDS}
    assert (kinds["syn"][TCP].flags, kinds["syn"][IP].dst, kinds["syn"].dst) == ("S", "10.0.0.2", "52:54:00:00:00:02")
    assert kinds["udp"][UDP].len == 26
    assert (kinds["fragments"][IP].flags, kinds["fragments"][IP].frag) == ("MF", 0)
    assert (kinds["arp"][ARP].op, kinds["arp"][ARP].psrc, kinds["arp"].dst) == (1, "10.0.0.1", "ff:ff:ff:ff:ff:ff")


def a_round(bridge, firewall, before, after):
    """Connections a second of both under the flood, and a change's seconds at rest and under it."""
    rest = {"connections": 1000.0, "throughput": 5e7}
    flooded = {"throughput": 2e7, "frames": 1e5}
    return {
        "bridge": {"rest": rest, "flood": {**flooded, "connections": bridge}},
        "portcullis": {
            "rest": {**rest, "latency": before},
            "flood": {**flooded, "connections": firewall, "latency": after},
        },
    }


def test_ratios_are_within_a_round_and_the_median_counts():
    rounds = [a_round(100.0, 90.0, 0.1, 0.2), a_round(200.0, 100.0, 0.1, 0.3), a_round(50.0, 35.0, 0.2, 0.5)]
    found = judged(rounds)
    assert found["shares"]["connections"]["median"] == pytest.approx(0.7)
    assert found["latency"]["median"] == pytest.approx(2.5)
    assert found["medians"]["bridge"]["flood"]["connections"] == 100.0


def test_the_table_says_what_is_missed():
    found = judged([a_round(100.0, 70.0, 0.1, 0.15)])
    result = {"found": json.loads(json.dumps(found)), "machine": {"processor": "some"}, "rounds": 1, "seconds": 2}
    text = markdown(result)
    lines = {line.split(" | ")[0].strip("| "): line for line in text.splitlines() if line.startswith("|")}
    assert lines["new connections a second"].endswith("| 0.70 (0.70 to 0.70) | at least 0.8 | missed |")
    assert lines["one open connection, MB/s"].endswith("| 1.00 (1.00 to 1.00) | at least 0.8 | met |")
    assert lines["policy change in force, ms"].endswith("| 1.50 (1.50 to 1.50) | at most 2.0 | met |")
