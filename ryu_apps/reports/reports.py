"""Reports of the switches, heard: copies of packets become lines and answers, counters become totals, all as one page.

Pure: reports in, lines and answers out, the time passed in. It looks at the engine and changes nothing there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from policy.flows.cookies import Drop, Kind, Reason
from policy.flows.rules import NumberedRule
from policy.model import Side
from ryu_apps.engine import Engine
from ryu_apps.facts import Answer, FlowsCounted, MetersCounted, Punted, Report
from ryu_apps.rejections import answer
from ryu_apps.reports.desk import DEFAULT_RATE, Desk, Line, Moment
from ryu_apps.reports.events import event_of
from ryu_apps.reports.known import Known
from ryu_apps.reports.totals import Count, Totals

Page = dict[str, object]

DEFAULTS = {Side.EGRESS: Reason(Kind.DEFAULT, 0), Side.INGRESS: Reason(Kind.DEFAULT, 1)}
DROPS = {drop: Reason(Kind.DROP, drop) for drop in Drop}


@dataclass(frozen=True, slots=True)
class ReportSettings:
    """``rate``: lines a second that one rule may write. ``learning``: the controller's audit mode is on."""

    rate: float = DEFAULT_RATE
    learning: bool = False


@dataclass(slots=True)
class Heard:
    """What is to be done about some reports."""

    lines: list[Line] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)


class Reports:
    """All that is remembered of reports. ``unexplained`` counts copies of packets that no policy accounts for."""

    def __init__(self, engine: Engine, settings: ReportSettings | None = None) -> None:
        self.settings = settings or ReportSettings()
        self.desk = Desk(self.settings.rate)
        self.totals = Totals()
        self.unexplained = 0
        self._engine = engine
        self._known: Known | None = None
        self._before: Known | None = None

    def hear(self, reports: Iterable[Report], now: Moment) -> Heard:
        """Take in reports, in their order, and tell what was held back long enough."""
        heard = Heard()
        known = self.known()
        for report in reports:
            match report:
                case Punted():
                    self._punted(report, known, now, heard)
                case FlowsCounted(dpid, _, entries) if self._engine.bridge(dpid) is not None:
                    self.totals.read(dpid, entries)
                case MetersCounted(dpid, _, dropped) if self._engine.bridge(dpid) is not None:
                    self.totals.read_meters(dpid, dropped)
        heard.lines += self.desk.due(now)
        return heard

    def known(self) -> Known | None:
        """What is known now, by what the engine enforces; None: it has not decided anything yet."""
        compiled, topology = self._engine.compiled, self._engine.topology
        known = self._known
        if compiled is None:
            return None
        if known is None or known.compiled.document is not compiled.document:
            self._before = known
            self._known = Known(compiled, topology, self._engine.owners)
            self._forget()
        elif known.compiled is not compiled or known.topology is not topology:
            self._known = Known(compiled, topology, self._engine.owners)
        if self._known is not known:
            # A bridge that is connected may be known again in a moment, and its counters go on then.
            self.totals.keep_bridges(self._known.bridges.keys() | self._engine.sessions.keys())
        return self._known

    def _forget(self) -> None:
        reasons = {*DEFAULTS.values(), *DROPS.values()}
        for known in (self._known, self._before):
            if known is not None:
                reasons.update(Reason(Kind.RULE, number) for number in known.rules)
                reasons.update(Reason(Kind.AUDIT, number) for number in known.audits)
        self.desk.keep(reasons)
        self.totals.keep(reasons)

    def _punted(self, report: Punted, known: Known | None, now: Moment, heard: Heard) -> None:
        if known is not None and not self._enforced_by_us(report.dpid):
            return
        event = None
        if known is not None:
            event = event_of(report, known, self._before, learning=self.settings.learning)
        if event is None:
            self.unexplained += 1
            return
        if event.rejected and (told := answer(report.copy.frame)) is not None:
            where = report.copy.in_port, report.copy.src_vnic, report.copy.uplink, report.copy.vlan
            heard.answers.append(Answer(report.dpid, report.session, *where, told))
        if event.told:
            heard.lines += self.desk.hear(event, now)

    def _enforced_by_us(self, dpid: int) -> bool:
        """A bridge tells its copies to every controller that it is connected to; one of them logs and answers."""
        bridge = self._engine.bridge(dpid)
        return bridge is not None and self._engine.remotes[bridge.remote].ours

    # --- the page

    def page(self) -> Page:
        """What has been counted (docs/status.md)."""
        known = self.known()
        rules = [*self._rules(known)] if known is not None else []
        suppressed = sum(count for why, count in self.desk.suppressed.items() if why.kind is not Kind.DROP)
        return {
            "revision": known.revision if known is not None else None,
            "rules": rules,
            "defaults": [
                {"side": side.value, **self._counted(self.totals.all(why)), **self._told(why)}
                for side, why in DEFAULTS.items()
            ],
            "drops": [
                {"reason": drop.label, **self._counted(self.totals.all(why)), **self._told(why)}
                for drop, why in DROPS.items()
            ],
            "losses": {
                "meters": self.totals.gone_meters + sum(self.totals.meters.values()),
                "limiter": suppressed,
                "unexplained": self.unexplained,
            },
            "meters": [
                {"bridge": known.bridges[dpid].name, "host": known.bridges[dpid].host, "packets": packets}
                for dpid, packets in sorted(self.totals.meters.items())
                if known is not None and dpid in known.bridges
            ],
        }

    def _rules(self, known: Known) -> Iterator[Page]:
        for kind, rules in ((Kind.RULE, known.rules), (Kind.AUDIT, known.audits)):
            for number, entry in rules.items():
                why = Reason(kind, number)
                yield {
                    **_rule(entry, kind),
                    **self._counted(self.totals.all(why)),
                    **{side.value: self._counted(self.totals.of(why, side)) for side in Side},
                    **self._told(why),
                }

    def _counted(self, count: Count) -> Page:
        return {"packets": count.packets, "bytes": count.bytes}

    def _told(self, why: Reason) -> Page:
        return {"logged": self.desk.logged[why], "suppressed": self.desk.suppressed[why]}


def _rule(entry: NumberedRule, kind: Kind) -> Page:
    policy, rule = entry.policy, entry.rule
    return {
        "name": entry.name,
        "policy": policy.name,
        "rule": rule.name,
        "tenant": policy.tenant,
        "tier": policy.tier.label,
        "verdict": rule.verdict.value,
        "audit": kind is Kind.AUDIT,
        "log": rule.log,
        "file": rule.place.file,
        "line": rule.place.line,
    }
