"""The flows of one firewalled vNIC: who it is, what it may claim, where its frames come out. No policy here."""

from __future__ import annotations

from collections.abc import Iterator

from policy.flows import fields as f
from policy.flows.cookies import Drop, Kind, cookie
from policy.flows.flow import (
    ARP,
    IPV6,
    MULTICAST,
    Condition,
    Flow,
    Limit,
    Load,
    Output,
    OutputTo,
    Pop,
    PopVlan,
    Push,
    PushVlan,
    Resubmit,
    exact,
    flow,
    match,
    prefix_conditions,
)
from policy.flows.icmpv6 import NEIGHBOUR_ADVERTISEMENT, NEIGHBOUR_SOLICITATION
from policy.flows.learning import asking_flow, learning_flows
from policy.flows.meters import MeterKind, meter_number
from policy.flows.plumbing import ADDRESSED, ASK_TARGET, role_flows
from policy.flows.telling import drop, notice_flow
from policy.flows.uplinks import ANY_TAG
from policy.model import ICMPV6
from topology.addresses import Prefix, link_local_of, mac_number
from topology.learned import Source, stated
from topology.ports import IsolatedPort, VnicPort


def zone_of(port: VnicPort) -> int:
    """The port's conntrack zone, which is also the vNIC's number.

    Raises ``ValueError`` for a port that has none yet: it must not be compiled.
    """
    if port.zone is None:
        raise ValueError(f"{port.name} has no conntrack zone yet")
    return port.zone


def vnic_flows(port: VnicPort, scope: int, learn: frozenset[Source] = frozenset()) -> Iterator[Flow]:
    """All flows of a firewalled vNIC but those that depend on policy.

    ``learn``: from where vNICs whose addresses nobody states learn some.
    """
    number, tagged = zone_of(port), port.tag and f.TAGGED | port.tag
    learns = frozenset[Source]() if stated(port.vnic) else learn
    mark = cookie(Kind.VNIC, number)
    sender, receiver = exact(f.SRC_VNIC, number), exact(f.DST_VNIC, number)
    mac = mac_number(port.vnic.mac or "")
    known = (exact(f.IN_PORT, port.ofport), exact(f.ETH_SRC, mac), exact(f.VLAN_VID, tagged))
    enter = (
        *((PopVlan(),) if tagged else ()),
        Load(f.VLAN, port.vlan),
        *((Load(f.SCOPE, scope),) if scope else ()),
        Load(f.SRC_VNIC, number),
        Load(f.PAYER, number),
        Resubmit("GUARD"),
    )
    yield flow("CLASSIFY", 100, match(known), enter, mark)
    many = Limit(meter_number(MeterKind.MANY, number))
    yield flow("CLASSIFY", 110, match(known, MULTICAST), (many, *enter), mark)
    yield flow(
        "SWITCH",
        100,
        match(exact(f.VLAN, port.vlan), exact(f.ETH_DST, mac)),
        (Load(f.DST_VNIC, number), Load(f.OUT_PORT, out_port_of(port)), Resubmit("ARRIVE")),
        mark,
    )
    opens = Limit(meter_number(MeterKind.OPENS, number))
    yield flow("OPENS", 100, match(exact(f.PAYER, number)), (opens, Resubmit("COMMIT")), mark)
    pieces = Limit(meter_number(MeterKind.FRAGMENTS, number))
    yield flow("FRAGMENTS", 100, match(exact(f.PAYER, number)), (pieces,), mark)
    if tagged:
        yield from _sub_port_flows(port, tagged, mark)
    yield notice_flow(number, mark)
    yield from role_flows(port.vnic.roles, number)
    yield asking_flow(number, learns, mark)
    yield from learning_flows(number, mac, learns, mark)
    for prefix in port.vnic.addresses:
        yield flow("OWNS", 100, match(sender, prefix_conditions(prefix, source=True)), (Load(f.OWN, 1),), mark)
        yield flow("ARRIVE", 100, match(receiver, prefix_conditions(prefix, source=False)), ADDRESSED, mark)
        if prefix.version == 4:
            claims = match(sender, ARP, exact(f.ARP_SHA, mac), _inside(f.CLAIMED, prefix))
            yield flow("CLAIMS", 100, claims, (Resubmit("SWITCH"),), mark)
    if learns or any(prefix.version == 6 for prefix in port.vnic.addresses):
        yield from _link_local_flows(port, sender, mac, mark)


def out_port_of(port: VnicPort) -> int:
    """What the registers hold for the port of a vNIC; 0: a sub-port, which only its own flows deliver to."""
    return 0 if port.tag else port.ofport


def _sub_port_flows(port: VnicPort, tagged: int, mark: int) -> Iterator[Flow]:
    """What is different about a vNIC whose frames have a tag at its guest's port, and others of which have that port.

    Two of these vNICs may be in one network, but Open vSwitch sends nothing back to the port that it came from: for the
    output the packet has come from nowhere. A vNIC's own copy of what it has sent then has to end before.
    """
    sender, receiver = exact(f.SRC_VNIC, zone_of(port)), exact(f.DST_VNIC, zone_of(port))
    from_nowhere, again = (Push(f.IN_PORT), Load(f.IN_PORT, 0)), Pop(f.IN_PORT)
    # A tag behind the tag would be somebody else's VLAN further on.
    yield drop("GUARD", 110, match(sender, ANY_TAG), Drop.SPOOFED_SOURCE)
    yield flow("DELIVER", 120, match(sender, receiver), (), mark)
    out = (PushVlan(), Load(f.VLAN_VID, tagged), Output(port.ofport), PopVlan())
    yield flow("DELIVER", 110, match(receiver), (*from_nowhere, *out, again), mark)
    yield flow("DELIVER", 100, match(sender), (*from_nowhere, OutputTo(f.OUT_PORT), again), mark)


def _link_local_flows(port: VnicPort, sender: Condition, mac: int, mark: int) -> Iterator[Flow]:
    """A vNIC that has IPv6, or may learn it, speaks neighbour discovery, MLD and DHCPv6 from the link-local address of
    its MAC.
    """
    own = link_local_of(port.vnic.mac or "")
    if not port.vnic.owns(own):
        yield flow("OWNS", 90, match(sender, IPV6, exact(f.IPV6_SRC, int(own))), (Load(f.CONTROL, 1),), mark)
    nd = (sender, IPV6, exact(f.IP_PROTO, ICMPV6), exact(f.ICMPV6_CODE, 0))
    solicits = match(nd, _type(NEIGHBOUR_SOLICITATION), exact(f.ND_SLL, mac))
    yield flow("ND", 100, solicits, (Resubmit("SWITCH"),), mark)
    claims = match(nd, _type(NEIGHBOUR_ADVERTISEMENT), exact(f.ND_TLL, mac))
    yield flow("ND", 100, claims, ASK_TARGET, mark)


def _type(number: int) -> Condition:
    return exact(f.ICMPV6_TYPE, number)


def _inside(field: f.Field, prefix: Prefix) -> tuple[Condition, ...]:
    mask = int(prefix.netmask)
    return (Condition(field, int(prefix.network_address), mask),) if mask else ()


def isolated_flows(port: IsolatedPort) -> Iterator[Flow]:
    """What a shut port sends ends at once, under a count of its own; not what its sub-ports send that are not shut."""
    if port.ofport is not None:
        tag = [exact(f.VLAN_VID, f.TAGGED | port.tag)] if port.tag else []
        why = cookie(Kind.ISOLATED, port.ofport & 0xFFFFFFFF)
        yield flow("CLASSIFY", 95 if tag else 90, match(exact(f.IN_PORT, port.ofport), *tag), (), why)
