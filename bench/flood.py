"""What a flooding guest takes from its neighbours, with the firewall and on a plain bridge: a table.

    sudo .venv/bin/python -m bench.flood [--allowed] [--rounds N] [--json FILE] [--markdown FILE]

*third* sends SYNs and UDP to random ports of *right*, lone fragments and ARP requests as fast as one process can
(`flooding.py`). The policy denies most of it, or with `--allowed` nothing, so that only the limits stand in its way
that a vNIC has unless others are stated. Meanwhile *left* opens connections to *right* and sends over one that is
open. Both switches stand side by side and are measured in rounds, one right after the other, first at rest and then
under the flood; ratios are within a round, and the median of the rounds counts. On the side with a controller a rule is
also put into force and out of it again, and the time until the controller says that the switch has it is taken.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from bench.compare import machine
from bench.figures import percentile
from bench.peer import SERVED, Bridge, Peer
from bench.portcullis_peer import Portcullis
from bench.table import inserted
from bench.workload import LEFT, PROBERS, RIGHT, THIRD, workload
from mininet_scenarios.guest import ROOT
from mininet_scenarios.lab import Lab, write_policy

VNICS = 20
ROUNDS = 20
SECONDS = 1.0
CHANGES = 6
# What it may cost at most: the neighbour's share of what a plain bridge leaves it, and how much longer a change takes.
LEAST_SHARE, MOST_LATENCY = 0.8, 2.0

# Source ports below those that the kernel gives away, more than connections are opened in one turn. They come again
# after some rounds, when nobody remembers them.
PORTS_FROM, PORTS, TURNS = 10_000, 1_500, 14
BEGIN = {False: "<!-- generated: flood -->", True: "<!-- generated: allowed flood -->"}
ALLOWED = f"""\
policies:
  - name: flood
    rules: [{{name: everything, allow: any, from: {PROBERS}}}]
"""

Figures = dict[str, float]
Round = Mapping[str, Mapping[str, Figures]]


@contextmanager
def flooded(peer: Peer) -> Iterator[Figures]:
    """*third* floods for as long as this lasts; then `frames` holds how many frames a second."""
    mine, aim = peer.work.vm(THIRD), peer.work.vm(RIGHT)
    inside = ["ip", "netns", "exec", peer.third.namespace, sys.executable, "-S", "-m", "bench.flooding"]
    process = subprocess.Popen(
        [*inside, mine.mac, mine.address, aim.mac, aim.address],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    process.stdout.readline()
    figures: Figures = {}
    try:
        yield figures
    finally:
        said, _ = process.communicate(timeout=20)
    told = json.loads(said)
    figures["frames"] = told["sent"] / told["seconds"]


def neighbour(peer: Peer, turn: int) -> Figures:
    """What *left* gets: connections opened a second, and bytes a second over one that is open."""
    left, host = peer.players[LEFT], peer.work.vm(RIGHT).address
    first = PORTS_FROM + turn % TURNS * PORTS
    opened = left.ask("opens", host=host, port=SERVED["accept"], seconds=SECONDS, source_port=first)
    bulk = left.ask("bulk", host=host, port=SERVED["sink"], seconds=SECONDS)
    return {"connections": opened["opened"] / opened["seconds"], "throughput": bulk["bytes_per_second"]}


def latency(peer: Portcullis) -> float:
    """Seconds from writing a rule into a file until the controller says that it is in force: the median of some."""
    took = []
    for number in range(CHANGES):
        began = time.monotonic()
        peer.set_rule(number % 2 == 0)
        peer.confirm()
        took.append(time.monotonic() - began)
    return median(took)


def one_round(peers: Sequence[Peer], number: int) -> dict[str, dict[str, Figures]]:
    """All at rest, then all under the flood, one right after the other; who is first changes from round to round."""
    result: dict[str, dict[str, Figures]] = {peer.name: {} for peer in peers}
    for turn, (state, during) in enumerate((("rest", _quiet), ("flood", flooded)), 2 * number):
        for peer in peers[:: -1 if number % 2 else 1]:
            with during(peer) as figures:
                found = neighbour(peer, turn)
                if isinstance(peer, Portcullis):
                    found["latency"] = latency(peer)
            result[peer.name][state] = found | figures
    return result


@contextmanager
def _quiet(_: Peer) -> Iterator[Figures]:
    yield {}


def measured(rounds: int, *, allowed: bool) -> list[dict[str, dict[str, Figures]]]:
    """Every round's figures, by peer and state."""
    work = workload(VNICS)
    with ExitStack() as stack:
        peers: list[Peer] = []
        for kind in (Bridge, Portcullis):
            peer: Peer = kind(stack.enter_context(Lab()), work)
            stack.callback(peer.close)
            peer.prepare()
            peer.make_guests()
            peer.plug_all()
            peer.wait_all()
            peers.append(peer)
            if allowed and isinstance(peer, Portcullis):
                write_policy(peer.controller.policy / "flood.yaml", ALLOWED)
                peer.confirm()
        one_round(peers, 0)  # what is done for the first time is not measured
        found = []
        for number in range(rounds):
            found.append(one_round(peers, number + 1))
            print(f"round {number + 1} of {rounds}", file=sys.stderr)
        return found


def judged(rounds: Sequence[Round]) -> dict[str, Any]:
    """Medians of both, and the ratios that count."""
    ours, theirs = Portcullis.name, Bridge.name
    medians = {
        peer: {state: {key: _median(rounds, peer, state, key) for key in values} for state, values in found.items()}
        for peer, found in rounds[0].items()
    }
    shares = {
        key: [each[ours]["flood"][key] / each[theirs]["flood"][key] for each in rounds]
        for key in ("connections", "throughput")
    }
    slower = [each[ours]["flood"]["latency"] / each[ours]["rest"]["latency"] for each in rounds]
    return {
        "medians": medians,
        "shares": {key: _spread(values) for key, values in shares.items()},
        "latency": _spread(slower),
    }


def _median(rounds: Sequence[Round], peer: str, state: str, key: str) -> float:
    return median(each[peer][state][key] for each in rounds)


def _spread(values: Sequence[float]) -> Figures:
    return {"median": median(values), "p10": percentile(values, 0.1), "p90": percentile(values, 0.9)}


def rows(found: Mapping[str, Any]) -> Iterator[list[str]]:
    """The cells of the table, the heading first."""
    ours, theirs = found["medians"][Portcullis.name], found["medians"][Bridge.name]
    yield ["", "bridge at rest", "bridge flooded", "firewall at rest", "firewall flooded", "ratio", "aim", ""]

    def line(title: str, key: str, scale: float, form: str, spread: Figures, aim: str, met: bool) -> list[str]:
        cells = [f"{each[state][key] / scale:{form}}" if key in each[state] else ""
                 for each in (theirs, ours) for state in ("rest", "flood")]  # fmt: skip
        ratio = f"{spread['median']:.2f} ({spread['p10']:.2f} to {spread['p90']:.2f})"
        return [title, *cells, ratio, aim, "met" if met else "missed"]

    for title, key, scale, form in (
        ("new connections a second", "connections", 1, ",.0f"),
        ("one open connection, MB/s", "throughput", 1e6, ",.0f"),
    ):
        spread = found["shares"][key]
        yield line(title, key, scale, form, spread, f"at least {LEAST_SHARE}", spread["median"] >= LEAST_SHARE)
    spread = found["latency"]
    aim, met = f"at most {MOST_LATENCY}", spread["median"] <= MOST_LATENCY
    yield line("policy change in force, ms", "latency", 1e-3, ",.0f", spread, aim, met)
    sent = [f"{each['flood']['frames']:,.0f}" for each in (theirs, ours)]
    yield ["frames of the flood a second", "", sent[0], "", sent[1], "", "", ""]


def markdown(result: Mapping[str, Any]) -> str:
    """The table, and where and with what it was made."""
    heading, *lines = rows(result["found"])
    rule = ["---", *("---:" for _ in heading[1:])]
    table = "\n".join("| " + " | ".join(cells) + " |" for cells in (heading, rule, *lines))
    where = ", ".join(f"{key} {value}" for key, value in result["machine"].items() if key != "ovn")
    return f"{table}\n\n{where}; {result['rounds']} rounds, {result['seconds']} s in all.\n"


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--allowed", action="store_true", help="the policy allows all of the flood")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="default: %(default)s")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="between the marks of a page, if it has them")
    options = parser.parse_args()
    began = time.monotonic()
    result: dict[str, Any] = {"machine": machine(), "rounds": options.rounds, "allowed": options.allowed}
    every = measured(options.rounds, allowed=options.allowed)
    result |= {"found": judged(every), "every": every, "seconds": round(time.monotonic() - began)}
    print(markdown(result))
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")
    if options.markdown:
        page = options.markdown.read_text() if options.markdown.exists() else ""
        options.markdown.write_text(inserted(page, markdown(result), BEGIN[options.allowed]))


if __name__ == "__main__":
    main()
