"""What the comparison is to show, as goals that a run reaches or misses. None is ever bent to fit a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypedDict

from bench.rows import CHANGES, POLICY_CHANGES, PORT_CHANGES, Value, cut, lost, shown

FEWER_FLOWS = 10
FASTER = 10
P95_MS = 20
COLD_START_S = 2
MEMORY_MB = 120
PASSES = 2
PACKET_RATIO = 1.10
CONNECTION_RATIO = 1.20
IDLE_PERCENT = 1
MANY = 1000


class Verdict(TypedDict):
    """A goal, what was measured, and `met`, `missed` or `not measured`."""

    goal: str
    measured: str
    verdict: str


def judge(result: Mapping[str, Any]) -> list[Verdict]:
    """All goals, about the smallest and the largest number of vNICs measured; those for 1,000 vNICs need a run with
    1,000 and say so otherwise."""
    sizes = {int(size): peers for size, peers in result["sizes"].items()}
    return [*_control(sizes), *_plane(sizes)]


def _verdict(goal: str, measured: str | None, met: bool) -> Verdict:
    if measured is None:
        return {"goal": goal, "measured": "", "verdict": "not measured"}
    return {"goal": goal, "measured": measured, "verdict": "met" if met else "missed"}


def _missing(goal: str) -> Verdict:
    return _verdict(goal, None, False)


def _control(sizes: Mapping[int, Mapping[str, Any]]) -> Iterator[Verdict]:
    small, large = min(sizes), max(sizes)
    ours = {size: peers.get("portcullis") for size, peers in sizes.items()}
    theirs = {size: peers.get("ovn") for size, peers in sizes.items()}
    mine, many = ours[large], ours.get(MANY)
    ovn_many = theirs.get(MANY)

    goal = f"{FEWER_FLOWS} times fewer flows than OVN at {MANY:,} vNICs"
    if many and ovn_many:
        fewer = ovn_many["flows"] / many["flows"]
        yield _verdict(goal, f"{shown(fewer, 'x')}", fewer >= FEWER_FLOWS)
    else:
        yield _missing(goal)
    for kind, title in CHANGES.items():
        goal = f"{title}: {FASTER} times faster than OVN at {MANY:,} vNICs"
        if many and ovn_many:
            faster = _median(ovn_many, kind) / _median(many, kind)
            yield _verdict(goal, shown(faster, "x"), faster >= FASTER)
        else:
            yield _missing(goal)
        goal = f"{title}: no slower than OVN at {small:,} vNICs"
        first, other = ours[small], theirs[small]
        if first and other:
            pair = (_median(first, kind), _median(other, kind))
            yield _verdict(goal, f"{shown(pair[0], 'ms')}, OVN {shown(pair[1], 'ms')}", pair[0] <= pair[1])
        else:
            yield _missing(goal)
        goal = f"{title}: p95 under {P95_MS} ms at {large:,} vNICs"
        if mine:
            p95 = mine["changes"][kind]["opens"]["p95"] * 1e3
            yield _verdict(goal, shown(p95, "ms"), p95 < P95_MS)
    if not mine:
        return
    gone = max(lost(POLICY_CHANGES)(each) or 0 for each in ours.values() if each)
    yield _verdict("no unrelated packet lost while rules, labels, addresses change", f"{gone:,.0f} lost", gone == 0)
    plain = {size: peers.get("bridge") for size, peers in sizes.items()}
    pairs = [(lost(PORT_CHANGES)(each) or 0, lost(PORT_CHANGES)(other) or 0)
             for size in sizes if (each := ours[size]) and (other := plain[size])]  # fmt: skip
    goal = "… nor while a port comes and goes, beyond what a plain bridge loses"
    if pairs:
        most, base = max(pairs, key=lambda pair: pair[0] - pair[1])
        yield _verdict(goal, f"{most:,.0f} lost, plain bridge {base:,.0f}", most <= base)
    else:
        yield _missing(goal)
    gone = max(each["lost"] for size in ours.values() if size for each in size["restarts"])
    yield _verdict("nothing lost over a killed and restarted controller", f"{gone:,} lost", gone == 0)
    goal = f"cold start of {MANY:,} vNICs under {COLD_START_S} s, from ports known to all enforced"
    if many:
        seconds = many["cold"]["ports to enforced"] - many["cold"]["ports known"]
        yield _verdict(goal, shown(seconds, "s"), seconds < COLD_START_S)
    else:
        yield _missing(goal)
    push: Value = cut("push")(mine)
    yield _verdict("server-push streams are cut like any other", shown(push, "ms"), push is not None)
    goal = f"controller under {MEMORY_MB} MB at {MANY:,} vNICs"
    yield _verdict(goal, shown(many["memory"], "MB"), many["memory"] < MEMORY_MB) if many else _missing(goal)
    idle = mine["idle"] * 100
    yield _verdict(f"idle processor about zero (under {IDLE_PERCENT} %)", shown(idle, "%"), idle < IDLE_PERCENT)


def _median(found: Mapping[str, Any], kind: str) -> float:
    return float(found["changes"][kind]["opens"]["median"]) * 1e3


def _plane(sizes: Mapping[int, Mapping[str, Any]]) -> Iterator[Verdict]:
    measured = [peers for peers in sizes.values() if "data plane" in peers.get("portcullis", {}) and "bridge" in peers]
    goals = {
        f"at most {PASSES} passes of the datapath per packet": ("passes", PASSES + 0.05),
        f"switch processor per packet at most {PACKET_RATIO:.2f}x the plain bridge": ("packet ratio", PACKET_RATIO),
        f"… per connection at most {CONNECTION_RATIO:.2f}x": ("connection ratio", CONNECTION_RATIO),
    }
    for goal, (figure, most) in goals.items():
        if not measured:
            yield _missing(goal)
            continue
        plane = measured[0]["portcullis"]["data plane"]
        yield _verdict(goal, shown(plane[figure], "" if figure == "passes" else "x"), plane[figure] <= most)
