"""The rows of the comparison's table: what they are called, where the figure is, and which way is good."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

Found = Mapping[str, Any]
Value = float | None


@dataclass(frozen=True)
class Row:
    """One measure of one peer at one size. `value` raises KeyError where it was not taken; None: it never ends."""

    title: str
    unit: str
    value: Callable[[Found], Value]
    # Whether the last column says how many times less ours is than OVN's, or (rates) how many times more.
    more_is_better: bool = False


def _change(kind: str, which: str, figure: str) -> Callable[[Found], Value]:
    return lambda found: found["changes"][kind][which][figure] * 1e3


def in_milliseconds(values: Sequence[Value]) -> Value:
    """The median; None if one of them never ended."""
    return None if any(value is None for value in values) else median(values) * 1e3  # type: ignore[type-var]


def cut(kind: str) -> Callable[[Found], Value]:
    return lambda found: in_milliseconds(found["cuts"][kind])


def lost(kinds: Iterable[str]) -> Callable[[Found], Value]:
    """Packets of the steady stream that were lost during these kinds of changes, together."""
    return lambda found: sum(found["changes"][kind]["steady"]["lost"] for kind in kinds)


def _stall(kinds: Iterable[str]) -> Callable[[Found], Value]:
    return lambda found: max(found["changes"][kind]["steady"]["stall"] for kind in kinds) * 1e3


# Changes of what is allowed; and those of a port, which keep the switch itself busy, whoever controls it.
POLICY_CHANGES, PORT_CHANGES = ("rule", "member", "address"), ("port",)
CHANGES = {"rule": "one rule changed", "member": "label or group member", "address": "address added", "port": "port up"}

CONTROL: tuple[Row, ...] = (
    Row("flows of the bridge", "", lambda found: found["flows"]),
    Row("flows per vNIC", "", lambda found: found["flows"] / found["vnics"]),
    Row("all ports at once, until enforced", "s", lambda found: found["cold"]["ports to enforced"]),
    Row("… of which the switch took", "s", lambda found: found["cold"]["ports known"]),
    Row("… processor time of the control plane", "s", lambda found: found["cold"]["ports processor"]),
    Row("cold start, until all enforced", "s", lambda found: found["cold"]["cold start"]),
    Row("… processor time of the control plane", "s", lambda found: found["cold"]["cold start processor"]),
    Row("control plane, most memory", "MB", lambda found: found["memory"]),
    Row("control plane, idle processor", "%", lambda found: found["idle"] * 100),
    *(
        Row(f"{title}, {name}", "ms", _change(kind, "opens", figure))
        for kind, title in CHANGES.items()
        for figure, name in (("median", "median"), ("p95", "p95"))
    ),
    Row("rule gone, until TCP is cut", "ms", cut("tcp")),
    Row("rule gone, until UDP to the server is cut", "ms", cut("udp")),
    Row("rule gone, until UDP pushed by the server is cut", "ms", cut("push")),
    Row("steady stream, rules, labels, addresses change: lost", "packets", lost(POLICY_CHANGES)),
    Row("… longest stall", "ms", _stall(POLICY_CHANGES)),
    Row("steady stream, a port comes and goes: lost", "packets", lost(PORT_CHANGES)),
    Row("… longest stall", "ms", _stall(PORT_CHANGES)),
    Row("steady stream, control plane killed: lost", "packets", lambda f: max(each["lost"] for each in f["restarts"])),
    Row("… longest stall", "ms", lambda f: max(each["stall"] for each in f["restarts"]) * 1e3),
    Row("… until all is in force again", "s", lambda f: median(each["seconds"] for each in f["restarts"])),
)


def _plane(figure: str, scale: float = 1.0) -> Callable[[Found], Value]:
    return lambda found: found["data plane"][figure] * scale


PLANE: tuple[Row, ...] = (
    Row("passes of the datapath per packet", "", _plane("passes")),
    Row("megaflows for 200 TCP connections", "", _plane("megaflows")),
    Row("switch processor per 64-byte packet, quietest", "µs", _plane("packet", 1e6)),
    Row("… relative to the plain bridge", "x", _plane("packet ratio")),
    Row("switch processor per TCP connection, quietest", "µs", _plane("connection", 1e6)),
    Row("… relative to the plain bridge", "x", _plane("connection ratio")),
    Row("64-byte packets a second, best", "k", _plane("packets per second", 1e-3), more_is_better=True),
    Row("connections a second, one after the other, best", "", _plane("connections per second"), more_is_better=True),
    Row("TCP throughput, best", "Gbit/s", _plane("throughput", 8e-9), more_is_better=True),
    Row("… relative to the plain bridge, median", "x", _plane("throughput ratio"), more_is_better=True),
    Row("round trip p50, quietest", "µs", _plane("trip p50", 1e6)),
    Row("round trip p99, quietest", "µs", _plane("trip p99", 1e6)),
    Row("round trips without an answer, all rounds", "", _plane("trips lost")),
)


def value_of(row: Row, found: Found) -> Value | str:
    """The figure; "" where the peer was not asked (a plain bridge has no control plane)."""
    try:
        return row.value(found)
    except KeyError:
        return ""


def shown(value: Value | str, unit: str = "") -> str:
    """A figure for people: three digits, thousands apart; "never" for what does not end."""
    if isinstance(value, str):
        return value
    if value is None:
        return "never"
    if value == int(value) or abs(value) >= 100:
        text = f"{value:,.0f}"
    else:
        text = f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"
    return f"{text}{unit}" if unit in ("x", "%") else f"{text} {unit}".rstrip()


def advantage(row: Row, ours: Value | str, theirs: Value | str) -> str:
    """How many times better ours is than theirs; "" where that means nothing."""
    if isinstance(ours, str) or isinstance(theirs, str) or ours is None:
        return ""
    if theirs is None:
        return "∞"
    better, worse = (ours, theirs) if row.more_is_better else (theirs, ours)
    if worse == 0:
        return "" if better == 0 else "∞"
    return shown(better / worse, "x")
