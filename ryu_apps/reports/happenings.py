"""What the controller itself sees happen, as lines for a SIEM beside those about packets (docs/logging.md).

The policy loads or is refused, somebody else changes a bridge, a vNIC becomes enforced or shut, this controller takes
over or stands by. Pure: it looks at the engine after each batch, and tells what differs from the last time. All lines
have the same keys in the same order. Of bridges and vNICs it tells what the switch has confirmed, not what is intended;
a bridge of which another controller is in charge it does not judge.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from policy.flows.cookies import Kind, reason
from policy.flows.rules import NumberedRule
from ryu_apps.engine import Engine
from ryu_apps.facts import DriftFound, Effect
from ryu_apps.reports.desk import Line
from ryu_apps.reports.events import timestamp
from ryu_apps.session import Session
from ryu_apps.status import NOT_HANDED_OVER, in_force
from topology.ports import Bridge, IsolatedPort, Port, UplinkPort, VnicPort, port_order
from topology.vnic import Vnic

POLICY, DRIFT, BRIDGE, VNIC, CONTROLLER = "policy", "drift", "bridge", "vnic", "controller"
# What is said with severity notice: somebody should look.
GRAVE = frozenset({"refused", "missing", "found", "disconnected", "error", "shut", "unprotected", "standby"})
# Signs of a reason; what a switch or a file says may be long.
MAX_REASON = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """One line, in the order of its keys; ``time`` comes before them."""

    event: str
    state: str
    before: str | None = None
    host: str | None = None
    bridge: str | None = None
    dpid: str | None = None
    port: str | None = None
    vnic: str | None = None
    vm: str | None = None
    tenant: str | None = None
    ovsdb: str | None = None
    reason: str | None = None
    missing: int | None = None
    altered: int | None = None
    added: int | None = None
    problems: int | None = None
    policy: str | None = None
    policy_tenant: str | None = None
    rule: str | None = None
    file: str | None = None
    line: int | None = None
    revision: str | None = None

    def told(self, now: float) -> Line:
        """The line. ``now`` is in seconds since the epoch."""
        values: dict[str, object] = {"time": timestamp(now)}
        values.update((key.name, getattr(self, key.name)) for key in fields(self))
        if self.reason is not None:
            values["reason"] = self.reason[:MAX_REASON]
        text = json.dumps(values, ensure_ascii=True, separators=(",", ":"))
        return Line(text, now, self.event, self.state in GRAVE)


@dataclass(frozen=True, slots=True)
class _Known:
    """What was told last of a port, and of which it was: as long as that is the same object, nothing has happened."""

    state: str
    happening: Happening
    port: Port
    handed_over: bool


class Happenings:
    """Remembers what was told last."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._policy: tuple[object, ...] = (None, (), False)
        self._policy_state: str | None = None
        self._ours: dict[str, bool] = {}
        self._sessions: dict[int, tuple[int, bool, str | None, str | None]] = {}
        # Drift that has been told and is not repaired yet, by bridge.
        self._drift: dict[int, Happening] = {}
        # By bridge: what its ports were made of when they were looked at, and what was told of each.
        self._looked_at: dict[tuple[str, str], tuple[Bridge, bool]] = {}
        self._ports: dict[tuple[str, str], dict[str, _Known]] = {}
        self._rules: tuple[object, Mapping[int, NumberedRule]] = None, {}

    def look(self, effects: Iterable[Effect], now: float) -> list[Line]:
        """The lines of what has happened since the last look. ``effects`` are the engine's since then."""
        found = [*self._of_policy(), *self._of_servers()]
        found += (self._found(effect) for effect in effects if isinstance(effect, DriftFound))
        found += self._of_sessions()
        found += self._repaired()
        found += self._of_ports()
        return [happening.told(now) for happening in found]

    # --- policy

    def _of_policy(self) -> Iterator[Happening]:
        state = self._engine.policy
        revision = state.document.revision if state.document is not None else None
        now = (revision, state.problems, state.missing)
        if now == self._policy or not state.seen:
            return
        self._policy = now
        word = "missing" if state.missing else "refused" if state.problems else "loaded"
        first = state.problems[0] if state.problems else None
        yield Happening(
            event=POLICY,
            state=word,
            before=self._policy_state,
            reason=first.message if first is not None else None,
            problems=len(state.problems),
            file=first.place.file if first is not None else None,
            line=first.place.line if first is not None else None,
            revision=revision,
        )
        self._policy_state = word

    # --- who is in charge

    def _of_servers(self) -> Iterator[Happening]:
        for name, remote in self._engine.remotes.items():
            if remote.database is None or self._ours.get(name) is remote.ours:
                continue
            before = {None: None, True: "enforcing", False: "standby"}[self._ours.get(name)]
            self._ours[name] = remote.ours
            reason = None if remote.ours else "another controller enforces on its bridges; this one stands by"
            state = "enforcing" if remote.ours else "standby"
            host = remote.database.host
            yield Happening(event=CONTROLLER, state=state, before=before, host=host, ovsdb=name, reason=reason)

    # --- bridges

    def _of_sessions(self) -> Iterator[Happening]:
        """Of each managed bridge's connection: that it comes and goes, becomes master, fails, enforces a revision."""
        known, self._sessions = self._sessions, {}
        for bridge in self._engine.topology.bridges:
            session = self._session(bridge)
            before = known.get(bridge.dpid) if bridge.dpid is not None else None
            if session is None or bridge.dpid is None:
                if before is not None:
                    yield self._bridge(bridge, "disconnected")
                continue
            confirmed = session.in_force if in_force(self._engine, bridge, session) else None
            if before is None or before[0] != session.number:
                yield self._bridge(bridge, "connected")
                before = session.number, False, None, None
            _, master, error, revision = before
            if session.master is not master:
                yield self._bridge(bridge, "master" if session.master else "not-master")
            if session.error is not None and session.error != error:
                yield self._bridge(bridge, "error", session.error)
            if confirmed is not None and confirmed != revision:
                yield self._bridge(bridge, "enforced", revision=confirmed)
            self._sessions[bridge.dpid] = session.number, session.master, session.error, confirmed or revision

    def _bridge(self, bridge: Bridge, state: str, reason: str | None = None, revision: str | None = None) -> Happening:
        return Happening(event=BRIDGE, state=state, reason=reason, revision=revision, **_where(bridge))

    def _session(self, bridge: Bridge) -> Session | None:
        return self._engine.sessions.get(bridge.dpid) if bridge.dpid is not None else None

    # --- drift

    def _found(self, effect: DriftFound) -> Happening:
        bridge = self._engine.bridge(effect.dpid)
        document = self._engine.policy.document
        found = Happening(
            event=DRIFT,
            state="found",
            reason=effect.sample,
            missing=effect.missing,
            altered=effect.altered,
            added=effect.added,
            revision=document.revision if document is not None else None,
            **(_where(bridge) if bridge is not None else {"dpid": f"{effect.dpid:016x}"}),
            **_named(self._rule(effect.cookie)),
        )
        self._drift[effect.dpid] = found
        return found

    def _repaired(self) -> Iterator[Happening]:
        """Once the bridge holds again what is wanted, as it has confirmed."""
        for dpid, found in list(self._drift.items()):
            bridge, session = self._engine.bridge(dpid), self._engine.sessions.get(dpid)
            if bridge is None:
                del self._drift[dpid]
            elif session is not None and in_force(self._engine, bridge, session):
                del self._drift[dpid]
                where = _where(bridge)
                yield replace(found, state="repaired", before="found", reason=None, revision=session.in_force, **where)

    def _rule(self, cookie: int | None) -> NumberedRule | None:
        """The rule for which a flow is, by its cookie."""
        why = reason(cookie) if cookie is not None else None
        compiled = self._engine.compiled
        if why is None or why.kind not in (Kind.RULE, Kind.AUDIT) or compiled is None:
            return None
        if self._rules[0] is not compiled.rules:
            self._rules = compiled.rules, {entry.number: entry for entry in compiled.rules}
        return self._rules[1].get(why.number)

    # --- ports

    def _of_ports(self) -> Iterator[Happening]:
        bridges = {(bridge.remote, bridge.uuid): bridge for bridge in self._engine.topology.bridges}
        for key in self._ports.keys() - bridges.keys():
            yield from (self._changed(known, "gone") for known in self._ports.pop(key).values())
            self._looked_at.pop(key, None)
        for key, bridge in bridges.items():
            if not self._engine.remotes[bridge.remote].ours:
                # Another's to judge, and to tell of. When it is ours again, all is told anew.
                self._ports.pop(key, None)
                self._looked_at.pop(key, None)
                continue
            handed_over, session = self._engine.handed_over(bridge), self._session(bridge)
            if handed_over and (session is None or not in_force(self._engine, bridge, session)):
                continue
            last = self._looked_at.get(key)
            if last is not None and last[0] is bridge and last[1] is handed_over:
                continue
            self._looked_at[key] = bridge, handed_over
            revision = session.in_force if session is not None and handed_over else None
            before = last[0] if last is not None and last[1] is handed_over else None
            yield from self._of_bridge(key, before, bridge, handed_over, revision)

    def _of_bridge(
        self, key: tuple[str, str], last: Bridge | None, bridge: Bridge, handed_over: bool, revision: str | None
    ) -> Iterator[Happening]:
        """``last``: the bridge as it was when it was looked at and nothing else was so otherwise."""
        ports, gone = _differing(last, bridge)
        known = self._ports.get(key, {})
        now = {name: each for name, each in known.items() if name not in gone} if last is not None else {}
        for port in ports:
            before = known.get(port.name)
            if before is not None and before.port is port and before.handed_over is handed_over:
                now[port.name] = before
                continue
            if (found := _state(port, handed_over)) is None:
                if before is not None:
                    now[port.name] = before
                continue
            state, why = found
            told = before.happening if before is not None else None
            who = _who(port)
            same = told is not None and (told.state, told.reason, told.vnic) == (state, why, who["vnic"])
            if before is not None and same:
                now[port.name] = replace(before, port=port, handed_over=handed_over)
                continue
            happening = Happening(
                event=VNIC,
                state=state,
                before=before.state if before is not None else None,
                port=port.name,
                reason=why,
                revision=revision,
                **_where(bridge),
                **who,
            )
            now[port.name] = _Known(state, happening, port, handed_over)
            yield happening
        yield from (self._changed(each, "gone") for name, each in known.items() if name not in now)
        self._ports[key] = now

    @staticmethod
    def _changed(known: _Known, state: str) -> Happening:
        last = known.happening
        return replace(last, state=state, before=known.state, reason=None, revision=None)


def _state(port: Port, handed_over: bool) -> tuple[str, str | None] | None:
    """What becomes of a port's traffic, and why; None: that is not settled yet, or it is no vNIC's to tell of."""
    if isinstance(port, UplinkPort):
        return None
    if not handed_over:
        return ("unprotected", f"its bridge is not handed over: {NOT_HANDED_OVER}") if _vnic(port) else None
    if isinstance(port, IsolatedPort):
        return ("shut", port.reason) if port.ofport is not None else None
    if not port.ready:
        return None
    return ("trusted", "out of the firewall by the inventory's word") if port.vnic.trusted else ("enforced", None)


def _vnic(port: Port) -> Vnic | None:
    return port.vnic if isinstance(port, VnicPort) else None


def _who(port: Port) -> dict[str, Any]:
    vnic = _vnic(port)
    if vnic is not None:
        return {"vnic": vnic.name, "vm": vnic.vm, "tenant": vnic.tenant}
    return {"vnic": port.who if isinstance(port, IsolatedPort) else None, "vm": None, "tenant": None}


def _differing(last: Bridge | None, bridge: Bridge) -> tuple[list[Port], set[str]]:
    """The ports that are others than those of the bridge as it was last (None: all), by name; and the names of those
    that were there instead."""
    if last is None:
        return [*bridge.ports], set()
    changes = [(before, now) for _, before, now in bridge.vnics.changes_since(last.vnics)]
    ports: list[Port] = [now for _, now in changes if now is not None]
    gone: list[Port] = [before for before, _ in changes if before is not None]
    if bridge.others is not last.others:
        ports += bridge.others
        gone += last.others
    return sorted(ports, key=port_order), {port.name for port in gone}


def _where(bridge: Bridge) -> dict[str, Any]:
    dpid = f"{bridge.dpid:016x}" if bridge.dpid is not None else None
    return {"host": bridge.host, "bridge": bridge.name, "dpid": dpid}


def _named(entry: NumberedRule | None) -> dict[str, Any]:
    if entry is None:
        return {}
    policy, rule = entry.policy, entry.rule
    named = {"policy": policy.name, "policy_tenant": policy.tenant, "rule": rule.name}
    return {**named, "file": rule.place.file, "line": rule.place.line}
