"""Status and counters as Prometheus metrics (docs/status.md lists them). Pure: the two pages in, text out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

CONTENT_TYPE = CONTENT_TYPE_LATEST
PREFIX = "portcullis"

_BRIDGE = ("bridge", "host", "dpid")
_RULE = ("rule", "tenant", "tier", "verdict", "audit")
# Of a bridge's row: what it has, and what has happened since it connected.
_BRIDGE_COUNTERS = {
    "flow_mods": "Flows changed since the bridge connected.",
    "bundles": "Transactions that the bridge has committed since it connected.",
    "refusals": "Transactions and readings that the bridge has refused since it connected.",
    "foreign_removed": "Flows of others removed from our tables since the bridge connected.",
    "drift": "Flows and meters that somebody else removed, altered or added since the bridge connected.",
}
_LOSSES = "What the log has lost: to the switches' meters, the rates of rules, full queues, unexplained packets."
_SINK_COUNTERS = {
    "written": "Lines that a sink of the log has written.",
    "lost": "Lines that a sink of the log has dropped, the oldest first.",
    "errors": "Failed writings of a sink of the log.",
}

Page = Mapping[str, Any]


def exposition(status: Page, counters: Page, queue: int, reports: int) -> bytes:
    """The metrics, in the format that `CONTENT_TYPE` names.

    ``queue`` is the number of facts that wait for the worker, ``reports`` that of reports which wait to be heard.
    """
    families = [*_policy(status), *_bridges(status), *_rules(counters), *_losses(counters)]
    families.append(_gauge("worker_queue_length", "Facts that wait to be handled.", {(): queue}))
    families.append(_gauge("reports_queue_length", "Copies of packets and readings that wait.", {(): reports}))
    registry = CollectorRegistry()
    registry.register(_Fixed(families))
    return bytes(generate_latest(registry))


class _Fixed:
    """What prometheus_client calls a collector."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        yield from self._families


# The values of one family, by those of its labels: no two series of a family may have the same labels.
Values = Mapping[tuple[str, ...], float]


def _gauge(name: str, text: str, values: Values, labels: tuple[str, ...] = ()) -> Metric:
    family = GaugeMetricFamily(f"{PREFIX}_{name}", text, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family


def _counter(name: str, text: str, values: Values, labels: tuple[str, ...] = ()) -> Metric:
    family = CounterMetricFamily(f"{PREFIX}_{name}", text, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family


def _key(row: Page, names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(_text(row.get(name)) for name in names)


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else str(value)


def _policy(status: Page) -> Iterator[Metric]:
    policy = status["policy"]
    yield _gauge("enforced", "1: every bridge enforces the newest policy.", {(): status["enforced"]})
    info = {_key(policy, ("revision", "state")): 1.0}
    yield _gauge("policy_info", "The policy in use, and what became of the newest files.", info, ("revision", "state"))
    yield _gauge("policy_rules", "Rules of the policy in use.", {(): policy["rules"]})
    yield _gauge("policy_vms", "VMs of the policy in use.", {(): policy["vms"]})
    yield _gauge("policy_errors", "Problems of the newest files.", {(): len(policy["errors"])})
    findings = Counter(_key(finding, ("code",)) for finding in status["findings"])
    yield _gauge("findings", "Contradictions and the like that somebody should look at.", findings, ("code",))
    connected = {_key(row, ("remote",)): float(row["connected"]) for row in status["ovsdb"]}
    yield _gauge("ovsdb_connected", "1: the OVSDB server is connected.", connected, ("remote",))


def _bridges(status: Page) -> Iterator[Metric]:
    bridges = {_key(row, ("name", "host", "dpid")): row for row in status["bridges"]}
    sessions = sum(bool(row["connected"]) for row in bridges.values()) + len(status["unmanaged"])
    yield _gauge("sessions", "OpenFlow connections, those of unmanaged bridges too.", {(): sessions})
    up = {key: float(row["connected"]) for key, row in bridges.items()}
    yield _gauge("bridge_connected", "1: the bridge has an OpenFlow connection.", up, _BRIDGE)
    flows = {key: row["flows"] for key, row in bridges.items() if row["flows"] is not None}
    yield _gauge("bridge_flows", "Flows of ours that the bridge has.", flows, _BRIDGE)
    for name, text in _BRIDGE_COUNTERS.items():
        yield _counter(f"bridge_{name}", text, {key: row[name] for key, row in bridges.items()}, _BRIDGE)
    info = {(*key, *_key(row, ("wanted", "in_force"))): 1.0 for key, row in bridges.items()}
    yield _gauge("bridge_policy_info", "The revisions wanted and in force.", info, (*_BRIDGE, "wanted", "in_force"))
    vnics = Counter(_key(row, ("bridge", "state")) for row in status["vnics"])
    yield _gauge("vnics", "vNICs and shut ports, by their state.", vnics, ("bridge", "state"))
    limited = ((row["bridge"], row["connections"]["enforced"]) for row in status["vnics"] if row.get("connections"))
    found = Counter((_text(bridge), _text(enforced)) for bridge, enforced in limited)
    text = "vNICs by whether their limit of connections at one time is enforced."
    yield _gauge("connection_limits", text, found, ("bridge", "enforced"))


def _rules(counters: Page) -> Iterator[Metric]:
    rules = {_key(row, ("name", *_RULE[1:])): row for row in counters["rules"]}
    for what in ("packets", "bytes"):
        sides = {(*key, side): row[side][what] for key, row in rules.items() for side in ("egress", "ingress")}
        text = f"{what.capitalize()} that a rule has decided, at each side."
        yield _counter(f"rule_{what}", text, sides, (*_RULE, "side"))
        found = {_key(row, ("side",)): row[what] for row in counters["defaults"]}
        yield _counter(f"default_{what}", f"{what.capitalize()} that no rule has decided.", found, ("side",))
        found = {_key(row, ("reason",)): row[what] for row in counters["drops"]}
        yield _counter(f"drop_{what}", f"{what.capitalize()} dropped outside the policy.", found, ("reason",))
    for what, text in (("logged", "Lines logged"), ("suppressed", "Events not logged")):
        yield _counter(f"rule_{what}", f"{text}, by rule.", {key: row[what] for key, row in rules.items()}, _RULE)
        found = {_key(row, ("reason",)): row[what] for row in counters["drops"]}
        yield _counter(f"drop_{what}", f"{text}, by the reason of a drop.", found, ("reason",))


def _losses(counters: Page) -> Iterator[Metric]:
    yield _counter("lost", _LOSSES, {(where,): lost for where, lost in counters["losses"].items()}, ("where",))
    sinks = {_key(row, ("sink",)): row for row in counters["sinks"]}
    for name, text in _SINK_COUNTERS.items():
        yield _counter(f"log_{name}", text, {key: row[name] for key, row in sinks.items()}, ("sink",))
    failing = {key: float(row["error"] is not None) for key, row in sinks.items()}
    yield _gauge("log_failing", "1: the sink's last writing failed.", failing, ("sink",))
