"""Every field that a flow of ours may match or set, declared once: packet headers, conntrack, and the register bits.

Everything about bit positions lives here; nobody else knows which register holds what. `tests/flows/test_declarations`
checks that register fields do not overlap and fit, and `docs/pipeline.md` prints this table.

Header numbers: OpenFlow 1.4 specification, 7.2.3.7 (class 0x8000), and Open vSwitch's ``ovs-fields(7)`` (class 0x0001).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

NXM_1, OXM = 0x0001, 0x8000
# The mask of all bits, by their number: one object each, as flows hold tens of thousands of them.
_FULL = tuple((1 << bits) - 1 for bits in range(129))


@dataclass(frozen=True, slots=True, eq=False)
class Field:
    """A field of the switch's, or some bits of one.

    ``bits`` is the width of this field, ``offset`` where it begins in its ``container`` of ``container_bits`` (0 and
    the field itself for everything but register parts). ``kind`` tells how people write a value.
    """

    name: str
    oxm_class: int
    oxm_field: int
    bits: int
    meaning: str
    kind: str = "number"
    maskable: bool = True
    prerequisites: tuple[str, ...] = ()
    container: str = ""
    offset: int = 0
    container_bits: int = 0

    @property
    def full(self) -> int:
        """The mask of all the field's bits."""
        return _FULL[self.bits]

    @property
    def is_register(self) -> bool:
        return bool(self.container)

    @property
    def wire_bits(self) -> int:
        """Width of the field on the wire (a register part travels as its whole register)."""
        return self.container_bits or self.bits


def _oxm(number: int, name: str, bits: int, kind: str, meaning: str, *needs: str, maskable: bool = True) -> Field:
    return Field(name, OXM, number, bits, meaning, kind, maskable, needs)


def _nxm(number: int, name: str, bits: int, kind: str, meaning: str, *needs: str, maskable: bool = True) -> Field:
    return Field(name, NXM_1, number, bits, meaning, kind, maskable, needs)


def _part(register: int, first: int, last: int, name: str, meaning: str, kind: str = "number") -> Field:
    return Field(
        name,
        NXM_1,
        register,
        last - first + 1,
        meaning,
        kind,
        container=f"reg{register}",
        offset=first,
        container_bits=32,
    )


# Packet headers.
IN_PORT = _oxm(0, "in_port", 32, "number", "port the frame came in by", maskable=False)
ETH_DST = _oxm(3, "eth_dst", 48, "mac", "destination MAC")
ETH_SRC = _oxm(4, "eth_src", 48, "mac", "source MAC")
ETH_TYPE = _oxm(5, "eth_type", 16, "hex", "Ethernet type", maskable=False)
VLAN_VID = _oxm(6, "vlan_vid", 13, "hex", "VLAN tag: 0x1000 + VLAN, or 0 for an untagged frame")
IP_PROTO = _oxm(10, "ip_proto", 8, "number", "IP protocol", "ip", maskable=False)
IPV4_SRC = _oxm(11, "ipv4_src", 32, "ipv4", "IPv4 source", "ipv4")
IPV4_DST = _oxm(12, "ipv4_dst", 32, "ipv4", "IPv4 destination", "ipv4")
TCP_SRC = _oxm(13, "tcp_src", 16, "number", "TCP source port", "ip", "tcp")
TCP_DST = _oxm(14, "tcp_dst", 16, "number", "TCP destination port", "ip", "tcp")
UDP_SRC = _oxm(15, "udp_src", 16, "number", "UDP source port", "ip", "udp")
UDP_DST = _oxm(16, "udp_dst", 16, "number", "UDP destination port", "ip", "udp")
SCTP_SRC = _oxm(17, "sctp_src", 16, "number", "SCTP source port", "ip", "sctp")
SCTP_DST = _oxm(18, "sctp_dst", 16, "number", "SCTP destination port", "ip", "sctp")
ICMP_TYPE = _oxm(19, "icmp_type", 8, "number", "ICMP type", "ipv4", "icmp", maskable=False)
ICMP_CODE = _oxm(20, "icmp_code", 8, "number", "ICMP code", "ipv4", "icmp", maskable=False)
ARP_OP = _oxm(21, "arp_op", 16, "number", "ARP operation: 1 asks, 2 answers", "arp", maskable=False)
ARP_SPA = _oxm(22, "arp_spa", 32, "ipv4", "ARP sender's IPv4 address", "arp")
ARP_TPA = _oxm(23, "arp_tpa", 32, "ipv4", "IPv4 address that ARP asks for", "arp")
ARP_SHA = _oxm(24, "arp_sha", 48, "mac", "ARP sender's MAC", "arp")
IPV6_SRC = _oxm(26, "ipv6_src", 128, "ipv6", "IPv6 source", "ipv6")
IPV6_DST = _oxm(27, "ipv6_dst", 128, "ipv6", "IPv6 destination", "ipv6")
ICMPV6_TYPE = _oxm(29, "icmpv6_type", 8, "number", "ICMPv6 type", "ipv6", "icmpv6", maskable=False)
ICMPV6_CODE = _oxm(30, "icmpv6_code", 8, "number", "ICMPv6 code", "ipv6", "icmpv6", maskable=False)
ND_TARGET = _oxm(31, "nd_target", 128, "ipv6", "neighbour discovery target", "ipv6", "icmpv6", "nd")
ND_SLL = _oxm(32, "nd_sll", 48, "mac", "source link-layer option (0: absent)", "ipv6", "icmpv6", "ns")
ND_TLL = _oxm(33, "nd_tll", 48, "mac", "target link-layer option (0: absent)", "ipv6", "icmpv6", "na")

IP_FRAG = _nxm(26, "ip_frag", 8, "number", "1: the first fragment, 3: a later one, 0: no fragment", "ip")
IP_TTL = _nxm(29, "ip_ttl", 8, "number", "time to live, hop limit", "ip", maskable=False)

# Conntrack (filled in by a ct action) and conjunctions. The original-direction tuple needs ct_state=+trk-inv beside it.
CONJ_ID = _nxm(37, "conj_id", 32, "hex", "the conjunction that matched", maskable=False)
CT_STATE = _nxm(105, "ct_state", 32, "ct_state", "what conntrack says of the packet")
CT_MARK = _nxm(107, "ct_mark", 32, "number", "of the connection: 1 it is remembered, 3 and its opener is here")
CT_NW_PROTO = _nxm(119, "ct_nw_proto", 8, "number", "protocol of the connection", "tracked", maskable=False)
CT_NW_SRC = _nxm(120, "ct_nw_src", 32, "ipv4", "who opened the IPv4 connection", "ipv4", "tracked")
CT_NW_DST = _nxm(121, "ct_nw_dst", 32, "ipv4", "whom the IPv4 connection was opened to", "ipv4", "tracked")
CT_IPV6_SRC = _nxm(122, "ct_ipv6_src", 128, "ipv6", "who opened the IPv6 connection", "ipv6", "tracked")
CT_IPV6_DST = _nxm(123, "ct_ipv6_dst", 128, "ipv6", "whom the IPv6 connection was opened to", "ipv6", "tracked")
CT_TP_SRC = _nxm(124, "ct_tp_src", 16, "number", "the connection's source port (ICMP: type)", "tracked")
CT_TP_DST = _nxm(125, "ct_tp_dst", 16, "number", "the connection's destination port (ICMP: code)", "tracked")

# Register parts. All are 0 when a packet enters the bridge.
VLAN = _part(0, 0, 11, "vlan", "the network's VLAN; frames travel the pipeline untagged")
SCOPE = _part(0, 12, 23, "scope", "number of the network's address scope; 0 is the default scope")
LEAVES = _part(0, 24, 24, "leaves", "1: the vNIC that it comes from is firewalled here, and judges it")
ARRIVES = _part(0, 25, 25, "arrives", "1: the vNIC that it goes to is firewalled here, and judges it")
REPLY = _part(0, 26, 26, "reply", "1: the packet goes against the direction of its connection")
TUPLE = _part(0, 27, 27, "tuple", "where a service is read: 0 the packet, 1 its connection's first tuple", "tuple")
SERVES = _part(0, 28, 28, "serves", "1: it may answer DHCP clients, advertise routes and query listeners")
CONTROL = _part(0, 29, 29, "control", "1: a source (::, 0.0.0.0, fe80) that may speak ND, MLD and DHCP only")
OK_FORWARD = _part(0, 30, 30, "ok_forward", "no conntrack: allowed as an opening packet")
OK_BACKWARD = _part(0, 31, 31, "ok_backward", "no conntrack: allowed as a reply")
ZONE = _part(1, 0, 15, "zone", "conntrack zone that the packet visits")
OUT_PORT = _part(1, 16, 31, "out_port", "port of the vNIC that the packet arrives at")
SRC_ID = _part(2, 0, 31, "src_id", "identity of the packet's source address", "hex")
DST_ID = _part(3, 0, 31, "dst_id", "identity of the packet's destination address", "hex")
FROM_ID = _part(4, 0, 31, "from_id", "identity of the side that opened the connection", "hex")
TO_ID = _part(5, 0, 31, "to_id", "identity of the side that the connection was opened to", "hex")
UPLINK_IN = _part(6, 0, 15, "uplink_in", "uplink the packet came in by (its first member's port)")
UPLINK_OUT = _part(6, 16, 31, "uplink_out", "uplink the packet leaves by; 0: not known")
BLOCK = _part(7, 0, 15, "block", "which block of a network's vNICs gets its copies of a flooded packet")
PAYER = _part(7, 16, 31, "payer", "number of the vNIC whose limits it counts against: its sender, else its receiver")
SRC_VNIC = _part(8, 0, 15, "src_vnic", "number (own conntrack zone) of the vNIC it comes from; 0: an uplink")
DST_VNIC = _part(8, 16, 31, "dst_vnic", "number (own conntrack zone) of the vNIC it goes to; 0: an uplink")
WHY = _part(9, 0, 31, "why", "what the controller is told: the number of the reason", "hex")
WHY_KIND = _part(10, 0, 7, "why_kind", "what the controller is told: the kind of the reason, as in cookies")
WHY_SIDE = _part(10, 8, 8, "why_side", "what the controller is told: 0 egress, 1 ingress")
AUDIT = _part(10, 16, 23, "audit", "which policy in audit is asked, from 1, in the order in which they are walked")
FRESH = _part(10, 9, 9, "fresh", "1: the first packet of its connection")
HELPED_EGRESS = _part(10, 10, 10, "helped_egress", "1: the egress side allows it with a helper, or has no say")
HELPED_INGRESS = _part(10, 11, 11, "helped_ingress", "1: the ingress side allows it with a helper, or has no say")
OWN = _part(10, 13, 13, "own", "1: the vNIC it comes from owns the address that is asked about")
EXPECTED = _part(10, 12, 12, "expected", "1: of a connection that a helper expected")
CLAIMED = _part(12, 0, 31, "claimed", "the IPv4 address that ARP claims, or a probe asks for", "ipv4")
RULE = _part(11, 0, 31, "rule", "number of the rule that allows it, if that has services with a helper", "hex")

FIELDS: dict[str, Field] = {value.name: value for value in list(vars().values()) if isinstance(value, Field)}

# ct_state bits: ovs-fields(7).
CT_NEW, CT_EST, CT_REL, CT_RPL, CT_INV, CT_TRK = 1, 2, 4, 8, 16, 32
CT_FLAGS = {"new": CT_NEW, "est": CT_EST, "rel": CT_REL, "rpl": CT_RPL, "inv": CT_INV, "trk": CT_TRK}

# Bits of a connection's ct_mark. `MARK_OURS` is in every one: conntrack calls a connection new until it has been
# answered, and the mark tells its first packet from the others. `MARK_OPENER`: the vNIC whose zone it is opened it. A
# connection that a helper expected has the mark of the one over which it was agreed on.
MARK_OURS, MARK_OPENER = 1, 2

# Ethernet types and the no-tag and any-tag values of VLAN_VID.
IPV4_TYPE, ARP_TYPE, IPV6_TYPE = 0x0800, 0x0806, 0x86DD
TAGGED = 0x1000


def register_parts() -> Iterator[Field]:
    """The register parts, in the order of registers and bits."""
    parts = [field for field in FIELDS.values() if field.is_register]
    return iter(sorted(parts, key=lambda field: (field.oxm_field, field.offset)))
