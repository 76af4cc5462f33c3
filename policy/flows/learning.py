"""How vNICs come to addresses: what they ask and are answered by DHCP, and what they claim; the controller gets copies.

A copy for learning has a reason of its own: the built-in rule that has let a DHCP message pass, or the named drop of a
claim. Whoever learns looks at no other copies (`is_about_leases`, `is_about_claims`), so no guest can make up an
answer: what it sends in a server's name is dropped, under another name.

What a vNIC claims may be a router's or a server's outside, of which the controller knows nothing. So it asks: a bridge
has a MAC of its own for that, and what comes in by an uplink for this MAC is an objection (`is_about_objections`).

What a vNIC sends is limited by a meter (`MeterKind.LEARNS`) that only its own frames use up, what servers answer by
another (`ANSWERS`): nobody keeps a neighbour from being heard.
"""

from __future__ import annotations

from collections.abc import Iterator

from policy.flows import fields as f
from policy.flows.cookies import Builtin, Drop, Kind, cookie
from policy.flows.flow import (
    ARP,
    MULTICAST,
    UNICAST,
    Action,
    Condition,
    Flow,
    Limit,
    Load,
    Punt,
    Resubmit,
    exact,
    flow,
    match,
    udp_conditions,
)
from policy.flows.meters import STRANGERS, MeterKind, meter_number
from policy.flows.packet_in import Copy
from policy.flows.telling import why
from topology.learned import FIRST_USE, LEASES, Source

# DHCP ports (client, server) of each family: RFC 2131, RFC 8415.
DHCP = {4: (68, 67), 6: (546, 547)}

_LEASE = cookie(Kind.BUILTIN, Builtin.DHCP_CLIENT)
_OBJECTION = cookie(Kind.BUILTIN, Builtin.ARP)
_ARP_CLAIM, _ND_CLAIM = cookie(Kind.DROP, Drop.SPOOFED_SOURCE), cookie(Kind.DROP, Drop.FOREIGN_ND_TARGET)
_ARP_TYPE = f.ARP_TYPE.to_bytes(2, "big")


def is_about_leases(copy: Copy) -> bool:
    """True for a copy of a DHCP message that has been let pass, from a vNIC or to vNICs."""
    return copy.cookie == _LEASE


def is_about_claims(copy: Copy) -> bool:
    """True for a copy of a claim by ARP or neighbour discovery that was refused: the address is not the vNIC's."""
    return copy.cookie == _ND_CLAIM or (copy.cookie == _ARP_CLAIM and copy.frame[12:14] == _ARP_TYPE)


def is_about_objections(copy: Copy) -> bool:
    """True for a copy of what the outside has answered to a question of ours (`asker_flow`)."""
    return copy.cookie == _OBJECTION


def asker_mac(dpid: int) -> int:
    """The MAC in whose name a bridge asks the outside; locally administered, nobody else's."""
    return 0x067063 << 24 | dpid & 0xFFFFFF


def asker_flow(dpid: int) -> Flow:
    """What the outside answers to a bridge's questions comes to the controller, and goes nowhere else."""
    told = (*why(Kind.BUILTIN, Builtin.ARP), Punt(meter_number(MeterKind.LEARNS, STRANGERS)))
    return flow("UPLINK", 120, match(exact(f.ETH_DST, asker_mac(dpid))), told, _OBJECTION)


def ask_actions(vlan: int) -> tuple[Action, ...]:
    """Where a question of the controller's own goes: out by all uplinks that carry the network."""
    return (Load(f.VLAN, vlan), Resubmit("UPLINKS"))


def answer_flows(*, heard: bool) -> Iterator[Flow]:
    """What a DHCP server answers reaches the vNICs it is for. ``heard``: the controller gets a copy.

    An answer to all (DHCPv4 only) would give a copy for each vNIC of the network: there is one, before it is copied.
    """
    tell = (*why(Kind.BUILTIN, Builtin.DHCP_CLIENT), Resubmit("HEARD"))
    for family, (client, server) in DHCP.items():
        answer = (udp_conditions(family, server, client), exact(f.SERVES, 1))
        yield flow("ARRIVE", 300, match(*answer), (Resubmit("DELIVER"),), _LEASE)
        if heard:
            yield flow("ARRIVE", 310, match(*answer, UNICAST), (*tell, Resubmit("DELIVER")), _LEASE)
    if heard:
        client, server = DHCP[4]
        to_all = (udp_conditions(4, server, client), exact(f.SERVES, 1), MULTICAST, exact(f.IPV4_DST, 0xFFFFFFFF))
        yield flow("SWITCH", 95, match(*to_all), (*tell, Resubmit("FLOOD")), _LEASE)
        once = Punt(meter_number(MeterKind.ANSWERS, STRANGERS))
        yield flow("HEARD", 100, match(exact(f.DST_VNIC, STRANGERS)), (once,), _LEASE)


def asking_flow(vnic: int, learns: frozenset[Source], mark: int) -> Flow:
    """A vNIC's questions to DHCP servers pass, so many a second. ``learns``: from where it learns its addresses."""
    limit = meter_number(MeterKind.LEARNS, vnic)
    copy: tuple[Action, ...] = ()
    if not learns.isdisjoint(LEASES):
        copy = (*why(Kind.BUILTIN, Builtin.DHCP_CLIENT), Punt(limit))
    return flow("ASK", 100, match(exact(f.SRC_VNIC, vnic)), (Limit(limit), *copy, Resubmit("SWITCH")), mark)


def learning_flows(vnic: int, mac: int, learns: frozenset[Source], mark: int) -> Iterator[Flow]:
    """Copies of what is said to a vNIC about its addresses, and of what it claims and must not have yet."""
    if not learns.isdisjoint(LEASES):
        heard = Punt(meter_number(MeterKind.ANSWERS, vnic))
        yield flow("HEARD", 100, match(exact(f.DST_VNIC, vnic)), (heard,), mark)
    if not learns.isdisjoint(FIRST_USE):
        sender: Condition = exact(f.SRC_VNIC, vnic)
        claim = match(sender, ARP, exact(f.ARP_SHA, mac))
        for table, tests, reason in (
            ("CLAIMS", claim, Drop.SPOOFED_SOURCE),
            ("ND_TARGET", match(sender), Drop.FOREIGN_ND_TARGET),
        ):
            told = (*why(Kind.DROP, reason), Punt(meter_number(MeterKind.LEARNS, vnic)))
            yield flow(table, 50, tests, told, cookie(Kind.DROP, reason))
