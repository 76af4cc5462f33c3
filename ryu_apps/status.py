"""What the controller says of itself: one JSON document, made when somebody asks for it (docs/status.md).

``enforced`` is true only if every managed bridge enforces the newest policy over the newest topology.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from policy.flows.cookies import LAYOUT
from policy.plain import clean
from ryu_apps.connection_limits import NO_ZONE, NOT_YET
from ryu_apps.engine import Engine
from ryu_apps.refused_ports import REFUSED
from ryu_apps.session import Session, State
from topology.breath import breathing
from topology.learned import Learned
from topology.ports import Bridge, Finding, IsolatedPort, UplinkPort, VnicPort

Status = dict[str, Any]

NOT_HANDED_OVER = "it has not connected yet, and is not named by --bridge"
# What every port of such a bridge is, whoever is there.
_UNPROTECTED = {"state": "unprotected", "reason": f"its bridge is not handed over: {NOT_HANDED_OVER}"}


def status_of(engine: Engine) -> Status:
    """The whole status."""
    waiting = list(_waiting(engine))
    bridges = [_bridge(engine, bridge) for bridge in breathing(engine.topology.bridges, 1)]
    return {
        "enforced": not waiting,
        "waiting_for": waiting,
        "policy": _policy(engine),
        "bridges": bridges,
        "unmanaged": [{"dpid": f"{dpid:016x}"} for dpid in sorted(engine.sessions) if engine.bridge(dpid) is None],
        "vnics": [vnic for bridge in breathing(engine.topology.bridges, 1) for vnic in _vnics(engine, bridge)],
        "ovsdb": [
            {
                "remote": name,
                "connected": remote.error is None,
                "error": remote.error,
                "write_error": remote.write_error,
                "ours": remote.ours,
            }
            for name, remote in sorted(engine.remotes.items())
        ],
        "findings": [
            {"code": finding.code, "where": finding.where, "message": finding.message}
            for finding in (*_own_findings(engine), *engine.topology.findings, *engine.learner.findings())
        ],
    }


def _own_findings(engine: Engine) -> Iterator[Finding]:
    """What the controller itself has to say that no bridge's ports say."""
    if engine.settings.audit:
        yield Finding("audit", "controller", "only looking (--audit): what no rule decides is logged and ALLOWED")
    for scope in sorted(engine.compiled.identities.crowded) if engine.compiled is not None else ():
        message = (
            "rules name so many multicast CIDRs, and vNICs are of so many kinds, that no vNIC of this scope "
            "gets packets for a multicast group that rules name"
        )
        yield Finding("too-many-copies", f"scope {scope}", message)
    for bridge in engine.topology.bridges:
        if not engine.handed_over(bridge) and bridge.vnics:
            message = f"{NOT_HANDED_OVER}: nothing is enforced there, and its vNICs are NOT firewalled"
            yield Finding("not-handed-over", f"{bridge.host}/{bridge.name}", message)
        session = _session(engine, bridge)
        if session is not None and session.ready and not session.metered:
            message = (
                "the switch has no meters: no limits of vNICs, no log, nothing is answered that is rejected, and no "
                "addresses are learned"
            )
            yield Finding("no-meters", f"{bridge.host}/{bridge.name}", message)
    yield from _unlimited(engine)


def _unlimited(engine: Engine) -> Iterator[Finding]:
    """Where a policy states how many connections vNICs may have, and nothing enforces it: once a bridge and reason."""
    document = engine.policy.document
    if document is None or not any("connections" in entry.stated for entry in document.limits):
        return
    for bridge in filter(engine.handed_over, engine.topology.bridges):
        limits = ((port, engine.connection_limit(bridge, port)) for port in bridge.vnic_ports)
        concerned: dict[str, list[str]] = {}
        for port, limit in limits:
            if limit is not None and limit.why_not not in (None, NOT_YET, NO_ZONE):
                concerned.setdefault(limit.why_not or "", []).append(port.name)
        for why, ports in concerned.items():
            message = f"the limit `connections` does not hold for {len(ports)} of its vNICs ({ports[0]}): {why}"
            yield Finding("no-connection-limit", f"{bridge.host}/{bridge.name}", message)


def troubles(engine: Engine) -> Iterator[str]:
    """What somebody should see who only reads the log, a line each.

    Names come from OVSDB and may hold anything: a line break, and what looks like a line of ours behind it.
    """
    for bridge in filter(engine.handed_over, engine.topology.bridges):
        if not engine.remotes[bridge.remote].ours:
            # Another controller judges there.
            continue
        for port in bridge.isolated:
            whose = f" of vNIC {port.who}" if port.who else ""
            yield clean(f"bridge {bridge.name}: port {port.name}{whose} is shut: {port.reason}")
    yield from map(clean, map(str, (*engine.topology.findings, *engine.learner.findings())))


def _policy(engine: Engine) -> Status:
    state = engine.policy
    document = state.document
    return {
        "revision": document.revision if document else None,
        "state": "loaded" if document and not state.problems else "refused" if state.seen else "not read yet",
        "missing": state.missing,
        "errors": [
            {"file": p.place.file, "line": p.place.line, "column": p.place.column, "message": p.message}
            for p in state.problems
        ],
        "rules": sum(len(policy.rules) for policy in document.policies) if document else 0,
        "vms": len(document.inventory.vms) if document else 0,
    }


def enforced(engine: Engine) -> bool:
    """True if the newest policy is in force everywhere: the answer of the status, for less."""
    return next(_waiting(engine), None) is None


def _waiting(engine: Engine) -> Iterator[str]:
    """Everything that keeps the newest policy from being in force everywhere, in the operator's words."""
    yield from _waiting_for_policy(engine)
    for name, remote in sorted(engine.remotes.items()):
        if remote.database is None:
            yield f"OVSDB {name}: {remote.error}"
        elif not remote.ours:
            yield f"OVSDB {name}: another controller enforces on its bridges; this one stands by"
        elif remote.error is not None:
            yield f"OVSDB {name} is lost: {remote.error}; what it told last stays in force"
    if not engine.topology.bridges:
        yield "no bridge is known"
    elif not any(map(engine.handed_over, engine.topology.bridges)):
        yield "no bridge has connected yet, and none is named by --bridge"
    namesakes = Counter(bridge.name for bridge in engine.topology.bridges)
    for bridge in filter(engine.handed_over, engine.topology.bridges):
        called = bridge.name if namesakes[bridge.name] == 1 else f"{bridge.name} of {bridge.host}"
        yield from (f"bridge {called} {what}" for what in _waiting_for_bridge(engine, bridge))


def _waiting_for_policy(engine: Engine) -> Iterator[str]:
    policy = engine.policy
    if policy.document:
        kept = "the last good one stays in force"
    else:
        kept = "bridges keep what they had, and where that was nothing, nothing is allowed"
    if not policy.seen:
        yield "the policy has not been read yet"
    elif policy.problems:
        more = f" and {len(policy.problems) - 1} more" if len(policy.problems) > 1 else ""
        yield f"the policy was refused: {policy.problems[0]}{more}; {kept}"


def _waiting_for_bridge(engine: Engine, bridge: Bridge) -> Iterator[str]:
    session = _session(engine, bridge)
    if not engine.remotes[bridge.remote].ours:
        return
    if bridge.dpid is None:
        yield "has no datapath id of its own: is its ovs-vswitchd running?"
    elif session is None:
        yield "is not connected"
    elif not in_force(engine, bridge, session):
        yield f"is {_progress(engine, session)}"
    if bridge.fail_mode != "secure":
        yield "would open without us: its fail_mode is not secure yet"
    if bridge.in_band:
        yield "lets frames of in-band control pass: it is not disabled yet"
    for port in bridge.ports:
        if isinstance(port, VnicPort) and port.zone is None:
            yield f"has a port without conntrack zone yet: {port.name}"
        elif isinstance(port, VnicPort) and engine.limit_is_due(bridge, port):
            yield f"has a vNIC whose connections are not limited yet: {port.name}"
        elif isinstance(port, IsolatedPort) and port.code == REFUSED:
            yield f"has a port that stays shut: {port.name}: {port.reason}"


def _progress(engine: Engine, session: Session) -> str:
    """What a bridge is doing that does not enforce the newest of everything."""
    if session.error is not None:
        return f"{session.state.value}: {session.error}"
    if session.state is State.IDLE and not session.ready:
        return "about to look at what somebody else has changed"
    if not session.ready:
        return session.state.value
    if engine.policy.document is None and session.was_ours:
        return "keeping the policy that it had"
    if engine.compiled is not None:
        return "waiting for its turn"
    return "waiting for what is not known yet"


def _session(engine: Engine, bridge: Bridge) -> Session | None:
    return engine.sessions.get(bridge.dpid) if bridge.dpid is not None else None


def in_force(engine: Engine, bridge: Bridge, session: Session) -> bool:
    """True if the bridge has confirmed the newest of everything."""
    assert bridge.dpid is not None
    if not engine.remotes[bridge.remote].ours:
        return False
    return session.ready and session.in_force is not None and engine.wanted.get(bridge.dpid) is not None


def _bridge(engine: Engine, bridge: Bridge) -> Status:
    session, handed_over = _session(engine, bridge), engine.handed_over(bridge)
    revision = engine.policy.document.revision if engine.policy.document else None
    return {
        "name": bridge.name,
        "host": bridge.host,
        "dpid": f"{bridge.dpid:016x}" if bridge.dpid is not None else None,
        "handed_over": handed_over,
        "connected": session is not None,
        "state": session.state.value if session else "not connected" if handed_over else "not handed over",
        "wanted": revision if handed_over else None,
        "in_force": session.in_force if session else None,
        "error": session.error if session else None,
        "flows": session.count() if session else None,
        "layout": LAYOUT,
        "slot": session.slot if session else None,
        "old_slots": sorted(session.remains.slots) if session else [],
        "flow_mods": session.flow_mods if session else 0,
        "bundles": session.bundles if session else 0,
        "refusals": session.refusals if session else 0,
        "foreign_removed": session.foreign_removed if session else 0,
        "drift": session.drift if session else 0,
        "watched": session.watched if session else None,
        "master": session.master if session else False,
        "uplinks": [_uplink(port) for port in bridge.uplinks],
    }


def _uplink(port: UplinkPort) -> Status:
    return {"port": port.name, "kind": port.kind, "members": [name for name, _ in port.members]}


def _vnics(engine: Engine, bridge: Bridge) -> Iterator[Status]:
    session, handed_over = _session(engine, bridge), engine.handed_over(bridge)
    for port in bridge.ports:
        if isinstance(port, VnicPort):
            state, why = _vnic_state(engine, bridge, port, session)
            yield {
                "bridge": bridge.name,
                "port": port.name,
                "vnic": port.vnic.name,
                "vm": port.vnic.vm,
                "state": state,
                "reason": why,
                "tag": port.tag or None,
                "mac": port.vnic.mac,
                "addresses": [str(prefix) for prefix in port.vnic.addresses],
                "learned": [_learned(entry) for entry in engine.learner.learned(port.vnic)],
                "network": port.vnic.network,
                "vlan": port.vlan,
                "zone": port.zone,
                "connections": _connections(engine, bridge, port),
                "labels": dict(port.vnic.labels),
            }
        elif isinstance(port, IsolatedPort):
            yield {
                "bridge": bridge.name,
                "port": port.name,
                "vnic": port.who,
                **({"state": "isolated", "reason": port.reason} if handed_over else _UNPROTECTED),
                "code": port.code,
            }


def _connections(engine: Engine, bridge: Bridge, port: VnicPort) -> Status | None:
    """A vNIC's limit of connections, and whether it is enforced; None: it has none."""
    limit = engine.connection_limit(bridge, port)
    if limit is None:
        return None
    return {"limit": limit.limit, "enforced": limit.why_not is None, "reason": limit.why_not}


def _learned(entry: Learned) -> Status:
    return {"address": str(entry.address), "source": str(entry.source), "since": entry.since, "until": entry.until}


def _vnic_state(engine: Engine, bridge: Bridge, port: VnicPort, session: Session | None) -> tuple[str, str | None]:
    if port.vnic.trusted:
        return "trusted", "out of the firewall by the inventory's word"
    if not engine.remotes[bridge.remote].ours:
        return "pending", "its bridge is another controller's; this one stands by"
    if not engine.handed_over(bridge):
        return _UNPROTECTED["state"], _UNPROTECTED["reason"]
    if session is None:
        return "pending", "its bridge is not connected"
    if port.zone is None:
        return "pending", "it has no conntrack zone yet"
    if not in_force(engine, bridge, session):
        return "pending", f"its bridge is {_progress(engine, session)}"
    if not port.vnic.addresses:
        return "enforced", "it has no address: nothing but DHCP passes"
    return "enforced", None
