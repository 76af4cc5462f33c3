"""What a copied packet means to the operator: an event, and the event as one line of JSON (docs/logging.md).

Pure. Each kind of event always has the same keys, in the same order. Nothing that a guest sends can break a line: of a
frame only numbers and addresses are told, and JSON in ASCII has no line breaks.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from policy.flows.cookies import Drop, Kind, Reason, reason
from policy.flows.rules import NumberedRule
from policy.model import ICMP, ICMPV6, SCTP, TCP, UDP, Side, Verdict
from ryu_apps.facts import Punted
from ryu_apps.frames import ETH_ARP, Frame, Ip, read
from ryu_apps.reports.known import Known
from topology.addresses import Address
from topology.ports import VnicPort

CONNECTION, AUDIT, DROP = "connection", "audit", "drop"
# The tier of what no rule has decided.
DEFAULT_TIER = "default"

_PORTS = {TCP: "tcp", UDP: "udp", SCTP: "sctp"}
_ICMP = {ICMP: "icmp", ICMPV6: "icmp6"}
# Of an ICMP answer the question's type (RFC 792, 4443): a connection is called by what opened it.
_ASKED = {(ICMP, 0): 8, (ICMP, 14): 13, (ICMP, 16): 15, (ICMP, 18): 17, (ICMPV6, 129): 128}


@dataclass(frozen=True, slots=True)
class Connection:
    """A connection, from who opened it to whom it was opened."""

    source: Address
    destination: Address
    service: str
    source_port: int | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """One thing to tell. ``identity`` is what makes two packets the same news; ``why`` is whom it is counted for.

    ``refused``: something was not let through. ``rejected``: the packet's sender is to be answered.
    """

    kind: str
    why: Reason
    identity: tuple[object, ...]
    refused: bool
    rejected: bool
    told: bool
    fields: tuple[tuple[str, object], ...]

    def line(self, now: float, **counts: int) -> str:
        """The event in one line of JSON, without the line's end. ``now`` is in seconds since the epoch."""
        values = {"time": timestamp(now), "event": self.kind, **dict(self.fields), **counts}
        return json.dumps(values, ensure_ascii=True, separators=(",", ":"))


def timestamp(now: float) -> str:
    """A time as RFC 3339 has it, in UTC, with microseconds."""
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def event_of(fact: Punted, known: Known, before: Known | None = None, *, learning: bool = False) -> Event | None:
    """What a packet's copy is about; None if nobody can say: a flow that is not of this policy, nor of the one before.

    ``before`` is what was known before the last change: the switch may still have held a rule that is gone.
    ``learning``: the controller's own audit mode lets through what no rule allows.
    """
    why = reason(fact.copy.cookie)
    frame = read(fact.copy.frame)
    if why is None or frame is None:
        return None
    if why.kind is Kind.DROP:
        return _drop(fact, why, frame, known)
    if why.kind in (Kind.RULE, Kind.AUDIT):
        for each in (known, before):
            if each is not None and (entry := _rules(each, why).get(why.number)) is not None:
                return _decided(fact, why, frame, known, entry, each.revision, learning=False)
        return None
    if why.kind is Kind.DEFAULT:
        return _decided(fact, why, frame, known, None, known.revision, learning=learning)
    return None


def _rules(known: Known, why: Reason) -> Mapping[int, NumberedRule]:
    return known.audits if why.kind is Kind.AUDIT else known.rules


def _decided(
    fact: Punted, why: Reason, frame: Frame, known: Known, entry: NumberedRule | None, revision: str, *, learning: bool
) -> Event | None:
    """A rule's verdict, or what became of a packet that no rule has decided."""
    side = fact.copy.side
    if frame.ip is None:
        return None
    # The vNIC that opened the connection sends its packets and gets its answers; the other one the other way round.
    decided_by = fact.copy.dst_vnic if fact.copy.reply is (side is Side.EGRESS) else fact.copy.src_vnic
    port = known.in_zone(fact.dpid, decided_by)
    connection = connection_of(frame.ip, reply=fact.copy.reply)
    peer = connection.destination if side is Side.EGRESS else connection.source
    scope = port.vnic.scope if port is not None else known.scope_of_vlan(fact.copy.vlan)
    peer_vnic = known.owner(scope, peer)
    verdict = entry.rule.verdict if entry is not None else Verdict.DENY
    policy, rule = (entry.policy, entry.rule) if entry is not None else (None, None)
    audit = why.kind is Kind.AUDIT or learning
    fields: dict[str, object] = {
        **_where(fact, known, port),
        "side": side.value,
        "peer": str(peer),
        "peer_vm": peer_vnic.vm if peer_vnic is not None else None,
        "src": str(connection.source),
        "dst": str(connection.destination),
        "service": connection.service,
        "source_port": connection.source_port,
        "verdict": verdict.value,
        "tier": policy.tier.label if policy is not None else DEFAULT_TIER,
        "policy": policy.name if policy is not None else None,
        "policy_tenant": policy.tenant if policy is not None else None,
        "rule": rule.name if rule is not None else None,
        "file": rule.place.file if rule is not None else None,
        "line": rule.place.line if rule is not None else None,
        "revision": revision,
    }
    identity = (fact.dpid, decided_by, side, connection, why, verdict)
    refused = not audit and verdict in (Verdict.DENY, Verdict.REJECT)
    rejected = why.kind is Kind.RULE and verdict is Verdict.REJECT
    told = rule is None or rule.log or audit
    return Event(AUDIT if audit else CONNECTION, why, identity, refused, rejected, told, tuple(fields.items()))


def _drop(fact: Punted, why: Reason, frame: Frame, known: Known) -> Event:
    """A refusal outside the policy; what was forged is named where the reason for it is just that."""
    name, sender = known.at_port(fact.dpid, fact.copy.in_port, frame.tag)
    port = known.in_zone(fact.dpid, fact.copy.src_vnic or fact.copy.dst_vnic) or sender
    connection = connection_of(frame.ip, reply=False) if frame.ip is not None else None
    drop = Drop(why.number)
    fields: dict[str, object] = {
        **_where(fact, known, port),
        "port": name,
        "reason": drop.label,
        "mac": frame.source,
        "ethertype": f"{frame.ethertype:#06x}",
        "tag": frame.tag,
        "src": str(connection.source) if connection is not None else None,
        "dst": str(connection.destination) if connection is not None else None,
        "service": connection.service if connection is not None else None,
        "source_port": connection.source_port if connection is not None else None,
        "forged_mac": None,
        "forged_address": None,
        "forged_claim": None,
        **_forged(drop, frame, sender),
        "revision": known.revision,
    }
    # Where no vNIC is known, a port that nobody has must not hide what comes by another.
    who = port.vnic.id if port is not None else fact.copy.in_port
    return Event(DROP, why, (fact.dpid, who, why), True, False, True, tuple(fields.items()))


def _forged(drop: Drop, frame: Frame, sender: VnicPort | None) -> dict[str, object]:
    if drop is Drop.UNKNOWN_PORT_OR_MAC:
        return {"forged_mac": frame.source} if sender is not None and frame.source != sender.vnic.mac else {}
    if drop is Drop.SPOOFED_SOURCE:
        if frame.ip is not None:
            return {"forged_address": str(frame.ip.source)}
        return {"forged_claim": str(frame.claim)} if frame.ethertype == ETH_ARP and frame.claim is not None else {}
    if drop in (Drop.FOREIGN_LINK_LAYER_ADDRESS, Drop.FOREIGN_ND_TARGET):
        return {"forged_claim": str(frame.claim)} if frame.claim is not None else {}
    return {}


def _where(fact: Punted, known: Known, port: VnicPort | None) -> dict[str, object]:
    """The vNIC at which it happened."""
    bridge = known.bridges.get(fact.dpid)
    vnic = port.vnic if port is not None else None
    return {
        "host": bridge.host if bridge is not None else None,
        "bridge": bridge.name if bridge is not None else f"{fact.dpid:016x}",
        "vnic": vnic.name if vnic is not None else None,
        "vm": vnic.vm if vnic is not None else None,
        "tenant": vnic.tenant if vnic is not None else None,
        "vlan": fact.copy.vlan,
    }


def connection_of(ip: Ip, *, reply: bool) -> Connection:
    """The connection that a packet belongs to; an ICMP error belongs to that of the packet it quotes."""
    quoted = ip.quoted
    if quoted is not None and not quoted.is_error:
        # What it quotes went the other way.
        return connection_of(quoted, reply=not reply)
    source, destination = (ip.destination, ip.source) if reply else (ip.source, ip.destination)
    if ip.ports is not None:
        first, second = reversed(ip.ports) if reply else ip.ports
        return Connection(source, destination, f"{_PORTS[ip.protocol]}/{second}", first)
    if ip.icmp is not None:
        kind, code = ip.icmp
        kind = _ASKED.get((ip.protocol, kind), kind) if reply else kind
        return Connection(source, destination, f"{_ICMP[ip.protocol]}/{kind}/{code}")
    # Ports stand in the first fragment only.
    return Connection(source, destination, _PORTS.get(ip.protocol, f"proto/{ip.protocol}"))
