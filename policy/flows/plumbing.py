"""The fixed flows: what connects the tables, the built-in rules, and what happens to a packet that nothing matches.

None of these depends on vNICs or rules; only the built-in rules that the provider may turn off depend on the policy.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv6Network

from policy.flows import fields as f
from policy.flows.cookies import Builtin, Drop, Kind, cookie
from policy.flows.flow import (
    ARP,
    FAMILY,
    FRAGMENT,
    IPV4,
    IPV6,
    MULTICAST,
    Action,
    Condition,
    Flow,
    Learn,
    Load,
    Move,
    OutputTo,
    Pop,
    Push,
    Resubmit,
    Track,
    ct_state,
    exact,
    flow,
    match,
    prefix_conditions,
    udp_conditions,
)
from policy.flows.icmpv6 import (
    LISTENER_DONE,
    LISTENER_QUERY,
    LISTENER_REPORT,
    LISTENER_REPORT_V2,
    NEIGHBOUR_ADVERTISEMENT,
    NEIGHBOUR_SOLICITATION,
    REDIRECT,
    ROUTER_ADVERTISEMENT,
    ROUTER_SOLICITATION,
)
from policy.flows.learning import DHCP, answer_flows
from policy.flows.pipeline import audits_table, tier_table
from policy.flows.related import related_flows
from policy.flows.rules import ALLOWED, HELPED, next_table
from policy.flows.services import TRACKED
from policy.flows.telling import drop, drop_of_stranger, fixed_telling_flows, tell, tell_once
from policy.model import ICMP, ICMPV6, UDP, Builtins, Side, Tier
from topology.addresses import FLOODED
from topology.inventory import DHCP_SERVER, ROUTER
from topology.learned import LEASES, Source
from topology.zones import FIRST_SHARED_ZONE

PIPE = cookie(Kind.PIPELINE)
ARP_REQUEST = 1
# A MAC is forgotten this long after the last packet from it (OVS's own mac-aging-time), and a flood of forged source
# MACs from outside cannot take more than so many entries.
LEARN_SECONDS, LEARN_LIMIT = 300, 10_000


# IPv6 extension headers (RFC 8200; 44: a later fragment, 0 also: headers cut short): what the packet really is, the
# switch has not seen.
EXTENSION_HEADERS = (0, 43, 44, 51, 60)
IPV6_MULTICAST = IPv6Network("ff00::/8")
LINK_LOCAL = IPv6Network("fe80::/10")
LINK_MULTICAST = IPv6Network("ff02::/16")

LEARN = Learn("LEARNED", cookie(Kind.LEARNED), LEARN_SECONDS, LEARN_LIMIT)
LOOK_UP: tuple[Action, ...] = (Resubmit("SRC_ID"), Resubmit("DST_ID"))
# A packet for a vNIC's own address, or for many.
ADDRESSED: tuple[Action, ...] = (Load(f.ARRIVES, 1), Resubmit("TRACK"))
# Whether the vNIC owns what neighbour discovery is about.
ASK_TARGET: tuple[Action, ...] = (
    Load(f.OWN, 0),
    Load(f.CONTROL, 0),
    Push(f.IPV6_SRC),
    Move(f.ND_TARGET, f.IPV6_SRC, 128),
    Resubmit("OWNS"),
    Pop(f.IPV6_SRC),
    Resubmit("ND_TARGET"),
)


def _builtin(table: str, priority: int, tests: tuple[Condition, ...], target: str, why: Builtin) -> Flow:
    return flow(table, priority, tests, (Resubmit(target),), cookie(Kind.BUILTIN, why))


def _icmp6(kind: int) -> tuple[Condition, ...]:
    return (IPV6, exact(f.IP_PROTO, ICMPV6), exact(f.ICMPV6_TYPE, kind))


def role_flows(roles: frozenset[str], vnic: int) -> Iterator[Flow]:
    """What a vNIC may do by its roles: answer DHCP clients; advertise routes, and be asked for them."""
    sender, receiver = exact(f.SRC_VNIC, vnic), exact(f.DST_VNIC, vnic)
    granted = (Load(f.SERVES, 1), Resubmit("SWITCH"))
    if DHCP_SERVER in roles:
        mark = cookie(Kind.BUILTIN, Builtin.DHCP_SERVER)
        for family, (client, server) in DHCP.items():
            # Where asking is no built-in right, whoever is answered judges by the rules.
            tests = match(sender, udp_conditions(family, server, client))
            yield flow("LEAVE", 320, tests, (*LOOK_UP, *granted), mark)
    if ROUTER in roles:
        mark = cookie(Kind.BUILTIN, Builtin.ROUTER)
        yield flow("LEAVE", 320, match(sender, _icmp6(ROUTER_ADVERTISEMENT)), granted, mark)
        asked = match(receiver, _icmp6(ROUTER_SOLICITATION))
        yield flow("ARRIVE", 320, asked, (Resubmit("ON_LINK"),), mark)


def fixed_flows(
    builtins: Builtins, *, audit: bool = False, learn: frozenset[Source] = frozenset()
) -> Iterator[Flow]:
    """All fixed flows. ``audit``: what no rule decides is told and allowed, not denied. ``learn``: from where vNICs
    whose addresses nobody states learn some.
    """
    yield from _misses()
    yield from _guard()
    yield from _leave(builtins)
    yield from _neighbour_discovery()
    yield from _track(builtins)
    yield from _judge()
    yield from related_flows()
    yield from _allowed()
    yield from _switch()
    yield from _arrive(builtins)
    if builtins.dhcp_client:
        yield from answer_flows(heard=not learn.isdisjoint(LEASES))
    yield from _defaults(audit)


def _misses() -> Iterator[Flow]:
    yield drop_of_stranger("CLASSIFY", 0, (), Drop.UNKNOWN_PORT_OR_MAC)
    for table in ("GUARD", "CLAIMS"):
        yield drop(table, 0, (), Drop.SPOOFED_SOURCE)
    yield flow("UPLINK", 0, (), (LEARN, Resubmit("SWITCH")), PIPE)
    for family in (IPV4, IPV6):
        yield flow("UPLINK", 100, match(family), (LEARN, *LOOK_UP, Resubmit("SWITCH")), PIPE)
    for side in Side:
        for tier in Tier:
            yield flow(tier_table(side, tier), 0, (), (Resubmit(next_table(side, tier)),), PIPE)
    yield drop("ARRIVE", 0, (), Drop.NOT_ADDRESSED_HERE)
    yield drop("ND", 0, (), Drop.FOREIGN_LINK_LAYER_ADDRESS)
    yield drop("ND_TARGET", 0, (), Drop.FOREIGN_ND_TARGET)
    yield drop("PAIR", 0, (), Drop.NO_PASSAGE)
    yield drop("ON_LINK", 0, (), Drop.ROUTED_DISCOVERY)
    yield flow("DELIVER", 0, (), (OutputTo(f.OUT_PORT),), PIPE)


def _defaults(audit: bool) -> Iterator[Flow]:
    """No rule of any tier has decided: deny, unless the operator is only looking."""
    yield from fixed_telling_flows()
    for side in Side:
        number = int(side is Side.INGRESS)
        actions = tell(Kind.DEFAULT, number, side)
        if audit:
            actions = (*tell_once(Kind.DEFAULT, number, side), Resubmit(ALLOWED[side]))
        yield flow(f"{side.name}_DEFAULT", 0, (), actions, cookie(Kind.DEFAULT, number))


def scope_flows(vlan: int, scope: int) -> Iterator[Flow]:
    """Packets of this VLAN that come in by an uplink belong to this address scope (by number, not the default's 0)."""
    for family in (IPV4, IPV6):
        actions = (LEARN, Load(f.SCOPE, scope), *LOOK_UP, Resubmit("SWITCH"))
        yield flow("UPLINK", 110, match(family, exact(f.VLAN, vlan)), actions, cookie(Kind.NETWORK, vlan))


def _guard() -> Iterator[Flow]:
    """Whose is the source? Hosts without an address yet may speak the protocols by which they get one."""
    # From nobody, ARP asks whether anybody else has got an address (RFC 5227, 2.1.1).
    probes = match(ARP, exact(f.ARP_OP, ARP_REQUEST), exact(f.ARP_SPA, 0))
    yield flow("GUARD", 90, probes, (Move(f.ARP_TPA, f.CLAIMED, 32), Resubmit("CLAIMS")), PIPE)
    yield flow("GUARD", 80, match(ARP), (Move(f.ARP_SPA, f.CLAIMED, 32), Resubmit("CLAIMS")), PIPE)
    asks = (Resubmit("OWNS"), Resubmit("LEAVE"))
    for family, source in ((IPV4, f.IPV4_SRC), (IPV6, f.IPV6_SRC)):
        yield flow("GUARD", 80, match(family, exact(source, 0)), (Load(f.CONTROL, 1), *asks), PIPE)
        yield flow("GUARD", 70, match(family), asks, PIPE)


def _leave(builtins: Builtins) -> Iterator[Flow]:
    yield drop("LEAVE", 400, match(exact(f.OWN, 0), exact(f.CONTROL, 0)), Drop.SPOOFED_SOURCE)
    # RFC 1122, 3.2.1.7: no host sends it. Here only, where there are few values to remember: guests' packets have one
    # or two, those from outside as many as there are ways.
    for test in (IPV4, IPV6):
        yield drop("LEAVE", 330, match(test, exact(f.IP_TTL, 0)), Drop.INVALID)
    for kind in (NEIGHBOUR_SOLICITATION, NEIGHBOUR_ADVERTISEMENT):
        yield flow(
            "LEAVE", 300, match(_icmp6(kind)), (Resubmit("ND"),), cookie(Kind.BUILTIN, Builtin.NEIGHBOUR_DISCOVERY)
        )
    for kind in (ROUTER_ADVERTISEMENT, REDIRECT):
        yield drop("LEAVE", 300, match(_icmp6(kind)), Drop.ROUTER_ADVERTISEMENT)
    # These go to the link's own multicast groups, so that nobody far away can be told anything by them.
    on_link = prefix_conditions(LINK_MULTICAST, source=False)
    if builtins.router_discovery:
        solicitation = match(_icmp6(ROUTER_SOLICITATION), on_link)
        yield _builtin("LEAVE", 310, solicitation, "SWITCH", Builtin.ROUTER_DISCOVERY)
    reports = (LISTENER_REPORT, LISTENER_DONE, LISTENER_REPORT_V2)
    if builtins.multicast_listener:
        for kind in reports:
            yield _builtin("LEAVE", 310, match(_icmp6(kind), on_link), "SWITCH", Builtin.MULTICAST_LISTENER)
    for kind in (ROUTER_SOLICITATION, LISTENER_QUERY, *reports):
        yield drop("LEAVE", 300, match(_icmp6(kind)), Drop.NO_PASSAGE)
    for family, (client, server) in DHCP.items():
        if builtins.dhcp_client:
            # A vNIC that is asked on this bridge judges by its rules, so it must know who asks and who it is itself.
            asks = match(udp_conditions(family, client, server))
            yield flow("LEAVE", 300, asks, (*LOOK_UP, Resubmit("ASK")), cookie(Kind.BUILTIN, Builtin.DHCP_CLIENT))
        yield drop("LEAVE", 300, match(udp_conditions(family, server, client)), Drop.DHCP_SERVER)
    yield drop("LEAVE", 200, match(exact(f.OWN, 0)), Drop.CONTROL_SOURCE)
    for test in (IPV4, IPV6):
        yield flow("LEAVE", 100, match(test), (*LOOK_UP, Load(f.LEAVES, 1), Resubmit("SWITCH")), PIPE)


def _neighbour_discovery() -> Iterator[Flow]:
    """What may tell no link-layer address; whose targets are checked next.

    A malformed option hides from the switch what comes behind it, as if nothing came. So nobody's word is taken that
    says nothing where it has to say its own (RFC 4861, 4.3 and 4.4).
    """
    nd = (IPV6, exact(f.IP_PROTO, ICMPV6), exact(f.ICMPV6_CODE, 0))
    solicits = (*nd, exact(f.ICMPV6_TYPE, NEIGHBOUR_SOLICITATION))
    detects = match(solicits, exact(f.IPV6_SRC, 0), exact(f.ND_SLL, 0))
    yield flow("ND", 120, detects, ASK_TARGET, PIPE)
    # A solicitation from nobody carries no link-layer option.
    yield drop("ND", 110, match(solicits, exact(f.IPV6_SRC, 0)), Drop.FOREIGN_LINK_LAYER_ADDRESS)
    # An answer to somebody who knows the address already may be without.
    claims = (*nd, exact(f.ICMPV6_TYPE, NEIGHBOUR_ADVERTISEMENT), exact(f.ND_TLL, 0))
    yield drop("ND", 96, match(claims, MULTICAST), Drop.FOREIGN_LINK_LAYER_ADDRESS)
    to_many = prefix_conditions(IPV6_MULTICAST, source=False)
    yield drop("ND", 95, match(claims, to_many), Drop.FOREIGN_LINK_LAYER_ADDRESS)
    yield flow("ND", 90, match(claims), ASK_TARGET, PIPE)
    # By an address of its own, or by the link-local one of its MAC.
    yield flow("ND_TARGET", 100, match(exact(f.OWN, 1)), (Resubmit("SWITCH"),), PIPE)
    yield flow("ND_TARGET", 90, match(exact(f.CONTROL, 1)), (Resubmit("SWITCH"),), PIPE)


def _judge() -> Iterator[Flow]:
    yield flow("RELATED", 0, (), (Resubmit("JUDGE"),), PIPE)
    ahead = (Move(f.SRC_ID, f.FROM_ID, 32), Move(f.DST_ID, f.TO_ID, 32))
    against = (Move(f.DST_ID, f.FROM_ID, 32), Move(f.SRC_ID, f.TO_ID, 32))
    own, first_tuple, fresh = Load(f.TUPLE, 0), Load(f.TUPLE, 1), Load(f.FRESH, 1)
    side = Resubmit("SIDE")
    forgotten = exact(f.CT_MARK, 0)
    for priority, tests, actions in (
        (105, match(ct_state("+new+trk-inv"), forgotten), (own, Load(f.REPLY, 0), fresh, *ahead, side)),
        (100, match(ct_state("+new+trk-inv")), (own, Load(f.REPLY, 0), *ahead, side)),
        (100, match(ct_state("-new-rpl+trk-inv")), (first_tuple, Load(f.REPLY, 0), *ahead, side)),
        (100, match(ct_state("-new+rpl+trk-inv")), (first_tuple, Load(f.REPLY, 1), *against, side)),
    ):
        yield flow("JUDGE", priority, tests, actions, PIPE)
    yield from _judge_fragments(forgotten, fresh, (first_tuple, Load(f.REPLY, 0), *ahead, side))
    invalid = ct_state("+inv+trk")
    refused = (
        (IPV4, [protocol for protocol in TRACKED if protocol != ICMPV6]),
        (IPV6, [protocol for protocol in (*TRACKED, *EXTENSION_HEADERS) if protocol != ICMP]),
    )
    for family, protocols in refused:
        for protocol in protocols:
            yield drop("JUDGE", 100, match(invalid, family, exact(f.IP_PROTO, protocol)), Drop.INVALID)
    as_opening = (own, Load(f.REPLY, 0), *ahead, side)
    as_reply = (Load(f.REPLY, 1), *against, side)
    yield flow("JUDGE", 90, match(invalid), (*as_opening, *as_reply, Resubmit("PAIR")), PIPE)
    yield from _sides()


def _sides() -> Iterator[Flow]:
    """Who judges: the opener's egress policy, then the other's ingress policy, of those vNICs that are here.

    A side that is not here has nothing against a helper.
    """
    here, away = 1, 0
    for leaves, arrives, reply, first in (
        (here, here, None, Side.EGRESS),
        (here, away, 0, Side.EGRESS),
        (here, away, 1, Side.INGRESS),
        (away, here, 0, Side.INGRESS),
        (away, here, 1, Side.EGRESS),
    ):
        tests = [exact(f.LEAVES, leaves), exact(f.ARRIVES, arrives)]
        absent: tuple[Action, ...] = ()
        if reply is not None:
            tests.append(exact(f.REPLY, reply))
            absent = (Load(HELPED[Side.INGRESS if first is Side.EGRESS else Side.EGRESS], 1),)
        yield flow("SIDE", 100, match(tests), (*absent, *_asks(first)), PIPE)
    both = match(exact(f.LEAVES, here), exact(f.ARRIVES, here))
    yield flow("OTHER_SIDE", 100, both, _asks(Side.INGRESS), PIPE)
    yield flow("OTHER_SIDE", 0, (), (Resubmit("ALLOWED"),), PIPE)


def _asks(side: Side) -> tuple[Action, ...]:
    """First the policies in audit, which only tell, then those that decide."""
    return (Resubmit(audits_table(side)), Resubmit(tier_table(side, Tier.EMERGENCY)))


def _judge_fragments(forgotten: Condition, fresh: Action, as_opening: tuple[Action, ...]) -> Iterator[Flow]:
    """Fragments show no ports (ovs-ofctl(8), set-frags: "normal"), but conntrack has seen the whole."""
    for family in (IPV4, IPV6):
        new = (family, ct_state("+new+trk-inv"), FRAGMENT)
        yield flow("JUDGE", 115, match(new, forgotten), (fresh, *as_opening), PIPE)
        yield flow("JUDGE", 110, match(new), as_opening, PIPE)
    for version, (client, server) in DHCP.items():
        serves = (FAMILY[version], FRAGMENT, exact(f.LEAVES, 1), exact(f.CT_NW_PROTO, UDP))
        for flags, opener, opened in (("-rpl+trk-inv", server, client), ("+rpl+trk-inv", client, server)):
            tests = match(serves, ct_state(flags), exact(f.CT_TP_SRC, opener), exact(f.CT_TP_DST, opened))
            yield drop("JUDGE", 120, tests, Drop.DHCP_SERVER)


def _allowed() -> Iterator[Flow]:
    yield flow("ALLOWED", 100, match(ct_state("+trk-inv"), exact(f.FRESH, 1)), (Resubmit("OPENS"),), PIPE)
    yield flow("ALLOWED", 90, match(ct_state("+trk-inv")), (Resubmit("OUT"),), PIPE)
    invalid = ct_state("+inv+trk")
    yield flow("ALLOWED", 100, match(invalid, exact(f.REPLY, 0)), (Load(f.OK_FORWARD, 1),), PIPE)
    yield flow("ALLOWED", 100, match(invalid, exact(f.REPLY, 1)), (Load(f.OK_BACKWARD, 1),), PIPE)
    for priority, agreed in ((100, f.OK_FORWARD), (90, f.OK_BACKWARD)):
        yield flow("PAIR", priority, match(exact(agreed, 1)), (Resubmit("OUT"),), PIPE)
    yield flow("OUT", 100, match(exact(f.ARRIVES, 1)), (Resubmit("DELIVER"),), PIPE)
    yield flow("OUT", 0, (), (Resubmit("UNICAST"),), PIPE)


def _track(builtins: Builtins) -> Iterator[Flow]:
    """One visit to conntrack. Two vNICs of this bridge meet in the zone of their network (see `topology.zones`)."""
    leaves, arrives, away = exact(f.LEAVES, 1), exact(f.ARRIVES, 1), exact(f.LEAVES, 0)
    shared = (Load(f.ZONE, FIRST_SHARED_ZONE), Move(f.VLAN, f.ZONE, 12))
    sender = (Move(f.SRC_VNIC, f.ZONE, 16),)
    receiver = (Move(f.DST_VNIC, f.ZONE, 16),)
    # The receiver pays for what comes from outside; for a DHCP client's question to all, which no policy of its own
    # judges, the client does.
    from_outside = (Move(f.DST_VNIC, f.PAYER, 16), *receiver)
    for family in (IPV4, IPV6):
        ways = [
            (100, match(family, leaves, arrives), shared),
            (100, match(family, leaves, exact(f.ARRIVES, 0)), sender),
            (100, match(family, away, arrives), receiver),
            (110, match(family, away, arrives, exact(f.SRC_VNIC, 0)), from_outside),
        ]
        if not builtins.dhcp_client:
            # What a DHCP server here answers is not judged at its side, but belongs to the connection of the request.
            served = match(family, away, arrives, exact(f.SERVES, 1), exact(f.UPLINK_IN, 0))
            ways.append((120, served, shared))
        for priority, tests, zone in ways:
            pieces = (*zone, Resubmit("FRAGMENTS"), Track("RELATED"))
            yield flow("TRACK", priority + 5, match(tests, FRAGMENT), pieces, PIPE)
            yield flow("TRACK", priority, tests, (*zone, Track("RELATED")), PIPE)


def _switch() -> Iterator[Flow]:
    flood = (Resubmit("FLOOD"),)
    yield flow("SWITCH", 90, match(MULTICAST, ARP), flood, PIPE)
    for prefix in FLOODED:
        yield flow("SWITCH", 90, match(MULTICAST, prefix_conditions(prefix, source=False)), flood, PIPE)
    # What else is for many (other protocols; unicast addresses in broadcast frames) is no vNIC's business.
    yield flow("SWITCH", 80, match(MULTICAST), (Resubmit("OUTWARD"),), PIPE)
    yield flow("SWITCH", 0, (), (Resubmit("LEARNED"), Resubmit("OUTWARD")), PIPE)
    yield flow("FLOOD", 0, (), (Resubmit("OUTWARD"),), PIPE)
    yield flow("OUTWARD", 100, match(exact(f.LEAVES, 1)), (Resubmit("TRACK"),), PIPE)
    yield flow("OUTWARD", 0, (), (Resubmit("UNICAST"),), PIPE)
    yield flow("UNICAST", 100, match(exact(f.UPLINK_OUT, 0)), (Resubmit("UPLINKS"),), PIPE)
    yield flow("UNICAST", 0, (), (Resubmit("UPLINK_OUT"),), PIPE)


def _arrive(builtins: Builtins) -> Iterator[Flow]:
    outside = exact(f.SERVES, 1)
    yield _builtin("ARRIVE", 300, match(ARP), "DELIVER", Builtin.ARP)
    for kind in (NEIGHBOUR_SOLICITATION, NEIGHBOUR_ADVERTISEMENT):
        yield _builtin("ARRIVE", 300, match(_icmp6(kind)), "ON_LINK", Builtin.NEIGHBOUR_DISCOVERY)
    if builtins.router_discovery:
        advertisement = match(_icmp6(ROUTER_ADVERTISEMENT), outside)
        yield _builtin("ARRIVE", 310, advertisement, "ON_LINK", Builtin.ROUTER_DISCOVERY)
    yield flow("ON_LINK", 100, match(IPV6, exact(f.IP_TTL, 255)), (Resubmit("DELIVER"),), PIPE)
    if builtins.multicast_listener:
        query = match(_icmp6(LISTENER_QUERY), outside)
        yield _builtin("ARRIVE", 310, query, "ON_LINK", Builtin.MULTICAST_LISTENER)
        # RFC 3810, 5.1.14: from a link-local address, which no router passes on, with hop limit 1.
        on_link = match(_icmp6(LISTENER_QUERY), prefix_conditions(LINK_LOCAL, source=True), exact(f.IP_TTL, 1))
        yield flow("ON_LINK", 120, on_link, (Resubmit("DELIVER"),), PIPE)
        yield drop("ON_LINK", 110, match(_icmp6(LISTENER_QUERY)), Drop.ROUTED_DISCOVERY)
    # Types 130 to 137 and 143 steer the network; conntrack and policy have no say in them.
    # Nobody is told: each vNIC's own solicitations and reports come to all others as copies.
    for kind in (*range(LISTENER_QUERY, ROUTER_ADVERTISEMENT + 1), REDIRECT, LISTENER_REPORT_V2):
        yield flow("ARRIVE", 300, match(_icmp6(kind)), (), cookie(Kind.DROP, Drop.NO_PASSAGE))
    # For many, by both addresses: one in a unicast frame would be judged without its receiver's groups.
    for prefix in FLOODED:
        for_many = match(MULTICAST, prefix_conditions(prefix, source=False))
        yield flow("ARRIVE", 110, for_many, ADDRESSED, PIPE)
