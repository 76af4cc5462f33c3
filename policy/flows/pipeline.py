"""The pipeline's tables as data, in the order in which packets go through them: name, what each is for, which fields it
may match, where it may go. `policy.flows.tables` makes them what flows are checked against.
"""

from __future__ import annotations

from collections.abc import Iterator

from policy.flows import fields as f
from policy.flows.fields import Field
from policy.model import Side, Tier


def tier_table(side: Side, tier: Tier) -> str:
    """The name of the table that holds a tier's rules for one side."""
    return f"{side.name}_{tier.name}"


def audits_table(side: Side) -> str:
    """The name of the table that asks the policies in audit for one side."""
    return f"{side.name}_AUDITS"


def audit_table(side: Side) -> str:
    """The name of the table that holds the rules of policies in audit for one side."""
    return f"{side.name}_AUDIT"


def helped_table(side: Side) -> str:
    """The name of the table that knows which services of an allowing rule have a helper, for one side."""
    return f"{side.name}_HELPED"


_TELL, _TELL_ONCE = "TELL", "TELL_ONCE"
# Name, purpose, matches, jumps, tables that conntrack sends to, what a miss means (`policy.flows.tables.Table`).
Declaration = tuple[str, str, tuple[Field, ...], tuple[str, ...], tuple[str, ...], str]


def _judging(side: Side, allowed: str) -> Iterator[Declaration]:
    """The tables of one side: a tier each, and the default. ``allowed`` is where an allowed packet goes on."""
    who = "opens" if side is Side.EGRESS else "is addressed"
    default = f"{side.name}_DEFAULT"
    for tier in Tier:
        following = tier_table(side, Tier(tier + 1)) if tier is not Tier.BASELINE else default
        purpose = f"Rules of tier {tier.label} at the vNIC that {who}."
        jumps = (allowed, following, _TELL, _TELL_ONCE, helped_table(side))
        yield tier_table(side, tier), purpose, _SERVICE, jumps, (), "to the next tier"
    yield default, f"No tier has decided the {side.value}.", (), (allowed, _TELL, _TELL_ONCE), (), "drop"


_CONTROL = (f.ETH_TYPE, f.IP_PROTO, f.UDP_SRC, f.UDP_DST, f.ICMPV6_TYPE, f.ICMPV6_CODE)
_SERVICE = (
    f.ETH_TYPE, f.IP_PROTO, f.TCP_SRC, f.TCP_DST, f.UDP_SRC, f.UDP_DST, f.SCTP_SRC, f.SCTP_DST, f.ICMP_TYPE,
    f.ICMP_CODE, f.ICMPV6_TYPE, f.ICMPV6_CODE, f.CT_STATE, f.CT_NW_PROTO, f.CT_TP_SRC, f.CT_TP_DST, f.TUPLE,
    f.REPLY, f.FROM_ID, f.TO_ID, f.CONJ_ID,
)  # fmt: skip

DECLARED: list[Declaration] = [
    (
        "CLASSIFY",
        "Which port is this? A vNIC's frames must bear its MAC and be untagged, a sub-port's have its tag; an uplink's "
        "go by VLAN.",
        (f.IN_PORT, f.ETH_SRC, f.ETH_DST, f.VLAN_VID),
        ("GUARD", "UPLINK", _TELL),
        (),
        "drop: a port we do not know (yet), or a vNIC with a foreign MAC or VLAN tag",
    ),
    (
        "GUARD",
        "What does the frame say whose it is? IP by its source, ARP by what it claims. A sub-port sends no second tag.",
        (f.SRC_VNIC, f.VLAN_VID, f.ETH_TYPE, f.IPV4_SRC, f.IPV6_SRC, f.ARP_OP, f.ARP_SPA),
        ("CLAIMS", "OWNS", "LEAVE", _TELL),
        (),
        "drop: a frame that is neither ARP nor IP",
    ),
    (
        "CLAIMS",
        "An address that a vNIC claims by ARP must be its own, and so must the MAC.",
        (f.SRC_VNIC, f.ETH_TYPE, f.ARP_SHA, f.CLAIMED),
        ("SWITCH", _TELL),
        (),
        "drop: a foreign address or MAC",
    ),
    (
        "UPLINK",
        "From the outside: learn where the source MAC lives, find the scope and the identities of the addresses.",
        (f.ETH_TYPE, f.VLAN, f.ETH_DST),
        ("SRC_ID", "DST_ID", "SWITCH"),
        (),
        "to SWITCH: frames other than IP have no identities",
    ),
    (
        "LEAVE",
        "A vNIC's packet, from its own address or one that hosts have before they have one. Built-in rules first; "
        "everything else its policy must allow.",
        (*_CONTROL, f.IP_TTL, f.OWN, f.CONTROL, f.SRC_VNIC, f.IPV6_DST),
        ("ND", "ASK", "SWITCH", "SRC_ID", "DST_ID", _TELL),
        (),
        "drop: nothing that is not IP comes here",
    ),
    (
        "ND",
        "Neighbour discovery from a vNIC: link-layer options must tell its own MAC, and must not be left out.",
        (
            f.SRC_VNIC, f.ETH_DST, f.ETH_TYPE, f.IP_PROTO, f.ICMPV6_TYPE, f.ICMPV6_CODE, f.ND_SLL, f.ND_TLL, f.IPV6_SRC,
            f.IPV6_DST,
        ),
        ("OWNS", "ND_TARGET", "SWITCH", _TELL),
        (),
        "drop: a foreign link-layer address, or none",
    ),
    (
        "ND_TARGET",
        "Neighbour advertisements and duplicate address detection: the target must be the vNIC's own.",
        (f.SRC_VNIC, f.OWN, f.CONTROL),
        ("SWITCH", _TELL),
        (),
        "drop: a foreign target",
    ),
    (
        "ASK",
        "A DHCP client's message: so many a second of each vNIC. Of one that learns its addresses the controller gets "
        "a copy.",
        (f.SRC_VNIC,),
        ("SWITCH",),
        (),
        "drop: nobody's question",
    ),
    (
        "SWITCH",
        "Where does the frame go? To a local vNIC, to many, or to an uplink.",
        (f.VLAN, f.ETH_DST, f.ETH_TYPE, f.IPV4_DST, f.IPV6_DST, f.SERVES, f.IP_PROTO, f.UDP_SRC, f.UDP_DST),
        ("FLOOD", "LEARNED", "OUTWARD", "ARRIVE", "HEARD"),
        (),
        "to the uplink behind which the MAC was learned, else to all uplinks; never to a vNIC",
    ),
    (
        "FLOOD",
        "Broadcast and multicast: block by block to the network's vNICs, then to the uplinks.",
        (f.VLAN,),
        ("COPIES", "OUTWARD"),
        (),
        "to the uplinks only",
    ),
    (
        "COPIES",
        "One copy for each vNIC of a block, each with that vNIC's identity under the packet's destination.",
        (f.VLAN, f.BLOCK, f.DST_ID),
        ("ARRIVE",),
        (),
        "drop: no copies",
    ),
    (
        "ARRIVE",
        "A packet for a vNIC: built-in rules first; what is addressed to it, its policy must allow.",
        (*_CONTROL, f.DST_VNIC, f.SERVES, f.ETH_DST, f.IPV4_DST, f.IPV6_DST),
        ("ON_LINK", "TRACK", "DELIVER", _TELL, "HEARD"),
        (),
        "drop: not this vNIC's address, or a frame that is neither ARP nor IP",
    ),
    (
        "ON_LINK",
        "Neighbour and router discovery must come from a neighbour: no router lowered its hop limit of 255. Listener "
        "queries have hop limit 1 and a link-local source.",
        (f.ETH_TYPE, f.IP_PROTO, f.ICMPV6_TYPE, f.IP_TTL, f.IPV6_SRC),
        ("DELIVER", _TELL),
        (),
        "drop: routed here from elsewhere",
    ),
    (
        "OUTWARD",
        "A frame for the uplinks: what a firewalled vNIC sends, its policy must allow.",
        (f.LEAVES,),
        ("TRACK", "UNICAST"),
        (),
        "to the uplinks: a built-in rule has allowed it, or nobody here firewalls it",
    ),
    (
        "TRACK",
        "Through conntrack, once. Between two vNICs of this bridge in the zone of their network, which both directions "
        "share; otherwise in the zone of the one vNIC that is here.",
        (f.ETH_TYPE, f.IP_FRAG, f.LEAVES, f.ARRIVES, f.SRC_VNIC, f.SERVES, f.UPLINK_IN),
        ("FRAGMENTS",),
        ("RELATED",),
        "drop: nobody judges it",
    ),
    (
        "RELATED",
        "Back from conntrack. An ICMP error gets the identities of the connection it belongs to, a connection that a "
        "helper expected those of the one over which it was agreed on. Redirects and source quenches end here.",
        (f.ETH_TYPE, f.CT_STATE, f.IP_PROTO, f.IP_FRAG, f.ICMP_TYPE, f.TCP_DST, f.UDP_DST),
        ("SRC_ID", "DST_ID", "OWNS", "JUDGE", _TELL),
        (),
        "to JUDGE",
    ),
    (
        "JUDGE",
        "Who opened the connection that this packet belongs to, and where is its service read? Invalid packets end "
        "here; a protocol that conntrack does not follow is tried as an opening packet and as a reply.",
        (
            f.CT_STATE, f.CT_MARK, f.ETH_TYPE, f.IP_PROTO, f.IP_FRAG, f.LEAVES, f.ARRIVES, f.OWN,
            f.CT_NW_PROTO, f.CT_TP_SRC, f.CT_TP_DST,
        ),
        ("SIDE", "PAIR", _TELL),
        (),
        "drop: no answer, no passage",
    ),
    (
        "SIDE",
        "Whose policies decide? The egress policy of the vNIC that opened the connection, if it is here, and then the "
        "ingress policy of the vNIC it was opened to, if that is here.",
        (f.LEAVES, f.ARRIVES, f.REPLY),
        (*(tier_table(side, Tier.EMERGENCY) for side in Side), *map(audits_table, Side)),
        (),
        "drop: no answer, no passage",
    ),
    *_judging(Side.EGRESS, "OTHER_SIDE"),
    (
        "OTHER_SIDE",
        "The vNIC that opened the connection allows it. Is the other one here, too?",
        (f.LEAVES, f.ARRIVES),
        (audits_table(Side.INGRESS), tier_table(Side.INGRESS, Tier.EMERGENCY), "ALLOWED"),
        (),
        "allowed: there is no other side here",
    ),
    *_judging(Side.INGRESS, "ALLOWED"),
    (
        "ALLOWED",
        "Everybody here who has a say allows it; what a helper expected, they must allow with a helper. A new "
        "connection is committed to the zone that the packet visited.",
        (f.CT_STATE, f.FRESH, f.REPLY, f.EXPECTED, f.HELPED_EGRESS, f.HELPED_INGRESS),
        ("OPENS", "OUT", _TELL),
        (),
        "drop: no answer, no passage",
    ),
    (
        "OPENS",
        "A new connection counts against the limit of the vNIC that sends it, else of the one it comes to.",
        (f.PAYER,),
        ("COMMIT",),
        (),
        "drop: nobody's connection",
    ),
    (
        "COMMIT",
        "A new connection is remembered; a helper listens to it if everybody here who has a say wants that.",
        (f.ETH_TYPE, f.IP_PROTO, f.LEAVES, f.CT_MARK, f.EXPECTED, f.HELPED_EGRESS, f.HELPED_INGRESS),
        ("OUT",),
        (),
        "drop: conntrack follows IP only",
    ),
    (
        "PAIR",
        "Protocols without conntrack: everybody must agree whether it is an opening packet or a reply.",
        (f.OK_FORWARD, f.OK_BACKWARD),
        ("OUT", _TELL),
        (),
        "drop: neither as an opening packet nor as a reply",
    ),
    (
        "OUT",
        "Judged and allowed: to the vNIC, or to the uplinks.",
        (f.ARRIVES,),
        ("DELIVER", "UNICAST"),
        (),
        "to the uplinks",
    ),
    (
        "DELIVER",
        "Out to the vNIC; to a sub-port with its tag.",
        (f.SRC_VNIC, f.DST_VNIC),
        (),
        (),
        "output to out_port",
    ),
    (
        "UNICAST",
        "One uplink where it is known, else all of them.",
        (f.UPLINK_OUT,),
        ("UPLINK_OUT", "UPLINKS"),
        (),
        "to the uplink that was learned",
    ),
    ("UPLINKS", "A copy to each uplink.", (), ("UPLINK_OUT",), (), "drop: no uplinks"),
    (
        "UPLINK_OUT",
        "Out to an uplink, tagged as that port demands; never back to the one it came from.",
        (f.UPLINK_IN, f.UPLINK_OUT, f.VLAN),
        (),
        (),
        "drop: the uplink does not carry this VLAN",
    ),
    (
        "SRC_ID",
        "Subroutine: the identity of the source address, by longest prefix.",
        (f.SCOPE, f.ETH_TYPE, f.IPV4_SRC, f.IPV6_SRC),
        (),
        (),
        "identity 0: an address of no group",
    ),
    (
        "DST_ID",
        "Subroutine: the identity of the destination address, by longest prefix.",
        (f.SCOPE, f.ETH_TYPE, f.IPV4_DST, f.IPV6_DST),
        (),
        (),
        "identity 0: an address of no group",
    ),
    (
        "LEARNED",
        "Subroutine, written by the switch: behind which uplink does this MAC live?",
        (f.VLAN, f.ETH_DST),
        (),
        (),
        "not known",
    ),
    *(
        (
            audits_table(side),
            f"Subroutine: a connection's first packet is shown to each policy in audit, for the {side.value}.",
            (f.FRESH,),
            (audit_table(side),),
            (),
            "no policy is in audit, or the connection is known",
        )
        for side in Side
    ),
    *(
        (
            audit_table(side),
            f"Subroutine: which rule of the policy in audit would decide the {side.value}? It only tells.",
            (*_SERVICE, f.AUDIT),
            (_TELL,),
            (),
            "none of that policy",
        )
        for side in Side
    ),
    (
        _TELL_ONCE,
        "Subroutine: is it a connection's first packet?",
        (f.FRESH,),
        (_TELL,),
        (),
        "nobody is told",
    ),
    (
        _TELL,
        "Subroutine: a copy to the controller. What comes from outside counts against the limit of the vNIC it is for.",
        (f.SRC_VNIC,),
        ("NOTICE",),
        (),
        "the sender's limit",
    ),
    (
        "NOTICE",
        "Subroutine: so many copies a second of each vNIC. `why` says what they are about.",
        (f.PAYER,),
        (),
        (),
        "nobody is told",
    ),
    *(
        (
            helped_table(side),
            f"Subroutine: is it one of the services with a helper of the rule that allows the {side.value}?",
            (*_SERVICE, f.RULE),
            (),
            (),
            "no helper",
        )
        for side in Side
    ),
    (
        "OWNS",
        "Subroutine: does the vNIC that it comes from own the source address? Other addresses that it has to own are "
        "asked about in the source's place: neighbour discovery's target, a related packet's connection's ends.",
        (f.SRC_VNIC, f.ETH_TYPE, f.IPV4_SRC, f.IPV6_SRC),
        (),
        (),
        "it does not",
    ),
    (
        "HEARD",
        "Subroutine: a copy of a DHCP server's answer to the controller, for the vNIC that learns its addresses; of an "
        "answer to all, one copy for all.",
        (f.DST_VNIC,),
        (),
        (),
        "nobody learns anything",
    ),
    (
        "FRAGMENTS",
        "Subroutine: conntrack keeps fragments until they are whole, in one place for all. Each counts against the "
        "limit of the vNIC that sends it, else of the one it comes to.",
        (f.PAYER,),
        (),
        (),
        "no limit",
    ),
]
