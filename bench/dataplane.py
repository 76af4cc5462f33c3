"""Measures of the data plane, between two vNICs of one bridge: what a packet and a connection cost the switch.

All peers stand side by side and are measured in rounds, one after the other in each round, so that what the machine
does besides hits all alike. Processor time of ovs-vswitchd per packet and per connection is the steady figure;
throughput swings by a factor of two on a shared machine.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bench.figures import median_of_ratios, percentile, quietest
from bench.peer import BLAST_PORT, SERVED, Peer, threads_seconds
from bench.workload import LEFT, RIGHT

# Source ports below those that the kernel gives away, each used once: the userspace conntrack of OVS 3.1 can abort when
# a tuple comes again while its translated entry lives.
SOURCE_PORTS = itertools.count(10000)
SAMPLED_TRIPS = 1000
SAMPLED_CONNECTIONS = 200


@dataclass(frozen=True)
class Effort:
    """How much one round measures of each."""

    blast_seconds: float = 0.5
    connections: int = 300
    bulk_seconds: float = 0.5
    trips: int = 500


def measured(peers: Sequence[Peer], rounds: int, effort: Effort, base: str) -> dict[str, Any]:
    """All figures, by peer; ratios are to the peer called `base`."""
    for peer in peers:
        one_round(peer, effort)  # what is done for the first time (addresses learned, memory taken) is not measured
    found = [{peer.name: one_round(peer, effort) for peer in peers} for _ in range(rounds)]

    def of(key: str) -> list[dict[str, float]]:
        return [{name: values[key] for name, values in each.items()} for each in found]

    result: dict[str, Any] = {peer.name: sample(peer) for peer in peers}
    ratios = {
        "packet ratio": quietest(of("packet"), base),
        "connection ratio": quietest(of("connection"), base),
        "throughput ratio": median_of_ratios(of("throughput"), base),
        "packet ratio median": median_of_ratios(of("packet"), base),
        "connection ratio median": median_of_ratios(of("connection"), base),
    }
    for name, values in result.items():
        mine = [each[name] for each in found]
        values |= {key: by_peer[name] for key, by_peer in ratios.items()}
        values |= {
            "packet": min(each["packet"] for each in mine),
            "connection": min(each["connection"] for each in mine),
            "throughput": max(each["throughput"] for each in mine),
            "packets per second": max(each["packets per second"] for each in mine),
            "connections per second": max(each["connections per second"] for each in mine),
            "trip p50": min(each["trip p50"] for each in mine),
            "trip p99": min(each["trip p99"] for each in mine),
            "trips lost": sum(each["trips lost"] for each in mine),
            "rounds": [each[name] for each in found],
        }
    return result


def one_round(peer: Peer, effort: Effort) -> dict[str, float]:
    """Seconds of ovs-vswitchd per 64-byte packet and per connection, bytes a second, seconds of round trips."""
    left, right = peer.players[LEFT], peer.players[RIGHT]
    host = peer.work.vm(RIGHT).address
    switch = peer.ovs.pid()

    right.ask("answer_once", port=BLAST_PORT)
    before, frames = threads_seconds(switch), right.ask("arrived")["frames"]
    port = next(SOURCE_PORTS)
    sent = left.ask("blast", host=host, port=BLAST_PORT, seconds=effort.blast_seconds, source_port=port)
    arrived = right.ask("arrived")["frames"] - frames
    packet = (threads_seconds(switch) - before) / arrived

    first = _fresh_ports(effort.connections)
    before = threads_seconds(switch)
    took = left.ask("connects", host=host, port=SERVED["accept"], count=effort.connections, source_port=first)
    connection = (threads_seconds(switch) - before) / effort.connections

    bulk = left.ask("bulk", host=host, port=SERVED["sink"], seconds=effort.bulk_seconds)
    trips = left.ask("round_trips", host=host, port=SERVED["echo"], count=effort.trips)
    return {
        "packet": packet,
        "packets per second": arrived / sent["seconds"],
        "connection": connection,
        "connections per second": effort.connections / took["seconds"],
        "throughput": bulk["bytes_per_second"],
        "trip p50": percentile(trips["seconds"], 0.50),
        "trip p99": percentile(trips["seconds"], 0.99),
        "trips lost": trips["lost"],
    }


def sample(peer: Peer) -> dict[str, float]:
    """From the datapath's own flows: passes per packet, and megaflows per connection."""
    left = peer.players[LEFT]
    host = peer.work.vm(RIGHT).address
    peer.ovs.appctl("revalidator/purge")
    left.ask("round_trips", host=host, port=SERVED["echo"], count=SAMPLED_TRIPS)
    passed = passes(peer.ovs.megaflows(), peer.players[LEFT].guest.port)
    peer.ovs.appctl("revalidator/purge")
    first = _fresh_ports(SAMPLED_CONNECTIONS)
    left.ask("connects", host=host, port=SERVED["accept"], count=SAMPLED_CONNECTIONS, source_port=first)
    ours = [line for line in peer.ovs.megaflows() if _is_between(line)]
    return {"passes": passed, "megaflows": len(ours), "megaflows per connection": len(ours) / SAMPLED_CONNECTIONS}


def passes(megaflows: Sequence[str], port: str) -> float:
    """How often a packet from a port goes through the datapath's flow table: once, and again for each recirculation."""
    counts = {True: 0, False: 0}
    for line in megaflows:
        fits = re.search(r"recirc_id\((0x[0-9a-f]+|0)\)", line)
        packets = re.search(r"packets:(\d+)", line)
        if f"in_port({port})" in line and "eth_type(0x0800)" in line and fits and packets:
            counts[int(fits[1], 16) == 0] += int(packets[1])
    if not counts[True]:
        raise ValueError(f"no packets from {port} in the datapath's flows")
    return (counts[True] + counts[False]) / counts[True]


def _fresh_ports(count: int) -> int:
    """The first of so many source ports in a row."""
    first = next(SOURCE_PORTS)
    for _ in range(count - 1):
        next(SOURCE_PORTS)
    return first


def _is_between(line: str) -> bool:
    return "eth_type(0x0800)" in line and (f"in_port({LEFT})" in line or f"in_port({RIGHT})" in line)
