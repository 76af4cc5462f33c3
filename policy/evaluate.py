"""What the policy says about one connection, and which rule says it.

This is the language's definition in code, for `explain` and for tests to compare everything else with. It is written to
be read beside the page of the language, not to be fast, and knows nothing of OpenFlow.

ARP, neighbour discovery and the other ICMPv6 messages that steer the network (`STEERING_ICMPV6`) are no connections:
the built-in rules decide them packet by packet, and asking about them here has no meaning.
"""

from __future__ import annotations

from dataclasses import dataclass

from policy.members import side_has
from policy.model import PORT_PROTOCOLS, UDP, Document, Policy, Range, Rule, Side, Term, Tier, Verdict
from topology.addresses import Address
from topology.inventory import DHCP_SERVER
from topology.vnic import Vnic

BUILTIN_TIER, DEFAULT_TIER = "builtin", "default"
# Multicast listener discovery, router and neighbour discovery, redirects (RFC 2710, 3810, 4861).
STEERING_ICMPV6 = frozenset({*range(130, 138), 143})
# UDP ports of DHCP's client and server in each family (RFC 2131, RFC 8415).
DHCP_PORTS = {4: (68, 67), 6: (546, 547)}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One end of a connection. ``vnic`` None: the outside world. ``address`` None: a vNIC whose address is unknown."""

    vnic: Vnic | None = None
    address: Address | None = None


@dataclass(frozen=True, slots=True)
class Connection:
    """One connection, by its first packet.

    ``family`` is 4 or 6, ``protocol`` the IP protocol's number. TCP, UDP and SCTP have both ports, ICMP and ICMPv6 type
    and code, others neither.
    """

    source: Endpoint
    destination: Endpoint
    family: int
    protocol: int
    source_port: int | None = None
    destination_port: int | None = None
    icmp_type: int | None = None
    icmp_code: int | None = None


@dataclass(frozen=True, slots=True)
class SideDecision:
    """What one vNIC decides. ``tier`` is `builtin`, a tier's label or `default`.

    ``rule`` is the rule's name (a built-in rule's at `builtin`, None at `default`); ``tenant`` is None for the
    provider; ``policy``, ``file`` and ``line`` are None where no rule of a policy decides.
    """

    vnic: Vnic
    verdict: Verdict
    tier: str
    tenant: str | None = None
    policy: str | None = None
    rule: str | None = None
    file: str | None = None
    line: int | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """``verdict`` is that of the first side on the path that does not allow. A side is None if nobody firewalls it."""

    verdict: Verdict
    egress: SideDecision | None
    ingress: SideDecision | None


def evaluate(document: Document, connection: Connection) -> Decision:
    """What both sides of a connection decide about it."""
    egress = _decide(document, connection, Side.EGRESS)
    ingress = _decide(document, connection, Side.INGRESS)
    for side in (egress, ingress):
        if side is not None and side.verdict is not Verdict.ALLOW:
            return Decision(side.verdict, egress, ingress)
    return Decision(Verdict.ALLOW, egress, ingress)


def _decide(document: Document, connection: Connection, side: Side) -> SideDecision | None:
    """The built-in rules, then the tiers in order, then deny. None where nobody firewalls: outside, trusted vNICs."""
    vnic = (connection.source if side is Side.EGRESS else connection.destination).vnic
    if vnic is None or vnic.trusted:
        return None
    built_in = _built_in(document, connection, side, vnic)
    if built_in is not None:
        return built_in
    for tier in Tier:
        decision = _decide_in_tier(document, tier, connection, side, vnic)
        if decision is not None:
            return decision
    return SideDecision(vnic, Verdict.DENY, DEFAULT_TIER)


def _decide_in_tier(
    document: Document, tier: Tier, connection: Connection, side: Side, vnic: Vnic
) -> SideDecision | None:
    """The first rule that applies; None if there is none in the tier, or if it passes on to the next tier."""
    for policy in document.policies:
        if policy.tier is not tier or not _decides(policy, vnic):
            continue
        for rule in policy.rules:
            if not _applies(rule, connection, side, vnic):
                continue
            if rule.verdict is Verdict.PASS:
                return None
            return SideDecision(
                vnic,
                rule.verdict,
                tier.label,
                policy.tenant,
                policy.name,
                rule.name,
                rule.place.file,
                rule.place.line,
            )
    return None


def _decides(policy: Policy, vnic: Vnic) -> bool:
    """True if the policy is enforced, not only audited, and this vNIC is one that it may speak for."""
    return not policy.audit and policy.tenant in (None, vnic.tenant)


def _applies(rule: Rule, connection: Connection, side: Side, vnic: Vnic) -> bool:
    """True if the rule is enforced at this vNIC on this side, and both ends and the service match."""
    scope = vnic.scope
    source = _seen_in(scope, connection.source)
    destination = _seen_in(scope, connection.destination)
    if side is Side.EGRESS:
        enforced, own = rule.egress, source
    else:
        enforced, own = rule.ingress, destination
    return (
        enforced
        and side_has(rule.at, own.vnic, own.address, scope)
        and side_has(rule.sources, source.vnic, source.address, scope)
        and side_has(rule.destinations, destination.vnic, destination.address, scope)
        and any(covers(term, connection) for term in rule.terms)
    )


def _seen_in(scope: str, end: Endpoint) -> Endpoint:
    """The end as a vNIC of this scope sees it: an address is only somebody's in the scope of its owner."""
    if end.vnic is not None and end.vnic.scope != scope:
        return Endpoint(None, end.address)
    return end


def _built_in(document: Document, connection: Connection, side: Side, vnic: Vnic) -> SideDecision | None:
    """DHCP, the one built-in rule about something that looks like a connection.

    A vNIC's client may ask anybody, and servers that nobody firewalls (outside, or trusted) or that have the role may
    answer it. A vNIC that answers as a server is allowed to with the role and refused without, whether the rule is on
    or off.
    """
    client, server = DHCP_PORTS[connection.family]
    ports = (connection.source_port, connection.destination_port)
    if connection.protocol != UDP:
        return None
    if side is Side.EGRESS and ports == (server, client):
        verdict = Verdict.ALLOW if DHCP_SERVER in vnic.roles else Verdict.DENY
        return SideDecision(vnic, verdict, BUILTIN_TIER, rule="dhcp-server")
    if not document.builtins.dhcp_client:
        return None
    asks = side is Side.EGRESS and ports == (client, server)
    answered = side is Side.INGRESS and ports == (server, client) and _may_serve(connection.source.vnic)
    return SideDecision(vnic, Verdict.ALLOW, BUILTIN_TIER, rule="dhcp-client") if asks or answered else None


def _may_serve(server: Vnic | None) -> bool:
    """True if others may take DHCP answers from this end; None is the outside world."""
    return server is None or server.trusted or DHCP_SERVER in server.roles


def covers(term: Term, connection: Connection) -> bool:
    """True if the connection is one of those that the term means. A helper makes no difference."""
    if term.protocol is None:
        return True
    if term.protocol != connection.protocol or term.family not in (None, connection.family):
        return False
    if term.protocol in PORT_PROTOCOLS.values():
        return _in(term.ports, connection.destination_port) and _in(term.source_ports, connection.source_port)
    return term.icmp_type in (None, connection.icmp_type) and term.icmp_code in (None, connection.icmp_code)


def _in(ranges: tuple[Range, ...], port: int | None) -> bool:
    return port is not None and any(first <= port <= last for first, last in ranges)
