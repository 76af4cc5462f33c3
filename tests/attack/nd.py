"""Whose address is it (IPv6): neighbour discovery that claims what the vNIC does not own."""

from __future__ import annotations

from collections.abc import Iterator

from scapy.layers.inet6 import (
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6ND_RS,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptSrcLLAddr,
    ICMPv6Unknown,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrHopByHop,
)
from scapy.packet import Packet, Raw

from policy.flows.cookies import Drop
from tests.attack.declare import ANN, OUT, VIC, WEB, Attack, Family, Honest, Limit, Reason
from tests.attack.frames import ALL_NODES, ALL_NODES_MAC, ether, nd6, pieces6, upper
from tests.attack.place import EVIL
from tests.attack.place import OUT as OUTSIDE
from tests.attack.place import VIC as VICTIM

FOREIGN_MAC, FOREIGN_TARGET = Drop.FOREIGN_LINK_LAYER_ADDRESS, Drop.FOREIGN_ND_TARGET
VICTIMS_GROUP, VICTIMS_GROUP_MAC = "ff02::1:ff00:a", "33:33:ff:00:00:0a"
OWN_GROUP, OWN_GROUP_MAC = "ff02::1:ff00:42", "33:33:ff:00:00:42"


def everybody(message: Packet, **head: str) -> Packet:
    return ether(dst=ALL_NODES_MAC) / nd6(**({"dst": ALL_NODES} | head)) / message


def to_victim(message: Packet, **head: object) -> Packet:
    return ether() / nd6(**head) / message


def solicitation(target: str = VICTIM.ip6, **more: int) -> Packet:
    return ICMPv6ND_NS(tgt=target, **more)


def advertisement(target: str = EVIL.ip6, **more: int) -> Packet:
    return ICMPv6ND_NA(tgt=target, **({"R": 0, "S": 0, "O": 1} | more))


def source_option(mac: str = EVIL.mac) -> Packet:
    return ICMPv6NDOptSrcLLAddr(lladdr=mac)


def target_option(mac: str = EVIL.mac) -> Packet:
    return ICMPv6NDOptDstLLAddr(lladdr=mac)


def _nd(name: str, wants: str, why: Reason, *packets: Packet, counted: int | None = None) -> Attack:
    return Attack(name, wants, why, lambda s: [packet / s.mark for packet in packets], counted=counted)


def bare(name: str, wants: str, why: Reason, *packets: Packet) -> Attack:
    """The mark stands behind the packet, for it would be read as an option otherwise."""
    return Attack(name, wants, why, lambda s: [bytes(packet) + s.mark for packet in packets])


def _raw_option(kind: int, length: int, mac: str = VICTIM.mac) -> Packet:
    """An option whose length says something else than it is; the length in units of eight bytes."""
    return Raw(bytes([kind, length]) + bytes.fromhex(mac.replace(":", "")))


def _fragments(message: Packet, mark: bytes) -> Iterator[Packet]:
    data = upper(nd6(), message / Raw(mark * 100))
    return pieces6(58, data, 7001, hlim=255)


FAMILY = Family(
    "nd",
    "neighbour discovery that claims what the vNIC does not own",
    (
        bare(
            "advertisement of the victim's address",
            "Get the victim's packets.",
            FOREIGN_TARGET,
            everybody(advertisement(VICTIM.ip6) / target_option()),
            to_victim(advertisement(VICTIM.ip6, S=1) / target_option()),
        ),
        bare(
            "advertisement of the victim's link-local address",
            "Get the victim's packets.",
            FOREIGN_TARGET,
            everybody(advertisement(VICTIM.link_local) / target_option()),
        ),
        bare(
            "advertisement of the router's address",
            "Get everybody's packets for the outside.",
            FOREIGN_TARGET,
            everybody(advertisement("fe80::1", R=1) / target_option()),
            everybody(advertisement(OUTSIDE.ip6, R=1) / target_option()),
        ),
        bare(
            "advertisement of the victim's address without a MAC",
            "Mark the victim's entry as confirmed.",
            FOREIGN_TARGET,
            to_victim(advertisement(VICTIM.ip6)),
        ),
        bare(
            "advertisement of nobody's address",
            "Take an address that nobody has given out.",
            FOREIGN_TARGET,
            everybody(advertisement("2001:db8::bad") / target_option()),
        ),
        bare(
            "advertisement against an address detection",
            "Make the victim give up its address (RFC 4862, 5.4.4).",
            FOREIGN_TARGET,
            everybody(advertisement(VICTIM.ip6, O=0) / target_option()),
        ),
        bare(
            "own address at the victim's MAC",
            "Send others' packets for it to the victim.",
            FOREIGN_MAC,
            everybody(advertisement() / target_option(VICTIM.mac)),
            to_victim(advertisement() / target_option(VICTIM.mac)),
        ),
        bare(
            "own address at the broadcast MAC",
            "Have packets for it flooded.",
            FOREIGN_MAC,
            everybody(advertisement() / target_option("ff:ff:ff:ff:ff:ff")),
        ),
        bare(
            "advertisement with two MACs",
            "Have filter and host read different ones.",
            FOREIGN_MAC,
            everybody(advertisement() / target_option() / target_option(VICTIM.mac)),
            everybody(advertisement() / target_option(VICTIM.mac) / target_option()),
        ),
        bare(
            "advertisement of code 1",
            "Pass a filter that knows code 0.",
            FOREIGN_MAC,
            everybody(ICMPv6ND_NA(tgt=VICTIM.ip6, code=1) / target_option()),
        ),
        bare(
            "solicitation with the victim's MAC",
            "Have others enter a MAC that is not its own.",
            FOREIGN_MAC,
            to_victim(solicitation() / source_option(VICTIM.mac)),
            ether(dst=VICTIMS_GROUP_MAC) / nd6(dst=VICTIMS_GROUP) / solicitation() / source_option(VICTIM.mac),
        ),
        bare(
            "solicitation with nobody's MAC",
            "Have packets for it flooded.",
            FOREIGN_MAC,
            to_victim(solicitation() / source_option("52:54:00:de:ad:01")),
        ),
        bare(
            "solicitation with two MACs",
            "Have filter and host read different ones.",
            FOREIGN_MAC,
            to_victim(solicitation() / source_option() / source_option(VICTIM.mac)),
            to_victim(solicitation() / source_option(VICTIM.mac) / source_option()),
        ),
        bare(
            "advertisement with an option of length 0",
            "Stop a filter before the option that counts.",
            FOREIGN_MAC,
            everybody(advertisement() / _raw_option(1, 0) / target_option(VICTIM.mac)),
        ),
        bare(
            "advertisement with an option cut short",
            "Have a filter read beyond the end.",
            FOREIGN_MAC,
            everybody(advertisement() / _raw_option(2, 4)),
        ),
        bare(
            "solicitation with an option of length 0",
            "Stop a filter before the option that counts.",
            FOREIGN_MAC,
            to_victim(solicitation() / _raw_option(14, 0) / source_option(VICTIM.mac)),
        ),
        bare(
            "solicitation with an option cut short",
            "Have a filter read beyond the end.",
            FOREIGN_MAC,
            to_victim(solicitation() / _raw_option(1, 3)),
        ),
        bare(
            "solicitation with a long MAC option of the victim's",
            "Have the filter overlook the option for its length.",
            FOREIGN_MAC,
            to_victim(solicitation() / _raw_option(1, 2) / bytes(8)),
        ),
        bare(
            "advertisement with a long MAC option of the victim's",
            "Have the filter overlook the option for its length.",
            FOREIGN_MAC,
            everybody(advertisement() / _raw_option(2, 2) / bytes(8)),
        ),
        bare(
            "advertisement to many without a MAC",
            "Have a filter look for a MAC in vain.",
            FOREIGN_MAC,
            everybody(advertisement()),
            everybody(advertisement(VICTIM.ip6)),
            ether() / nd6(dst=ALL_NODES) / advertisement(),
        ),
        bare(
            "solicitation without a MAC",
            "Have a filter look for a MAC in vain.",
            FOREIGN_MAC,
            to_victim(solicitation()),
        ),
        bare(
            "solicitation as the victim",
            "Be entered in tables by asking.",
            Drop.SPOOFED_SOURCE,
            everybody(solicitation(OUTSIDE.ip6) / source_option(), src=VICTIM.ip6),
            everybody(solicitation(OUTSIDE.ip6) / source_option(), src=VICTIM.link_local),
        ),
        bare(
            "advertisement as the victim",
            "Be believed for its source.",
            Drop.SPOOFED_SOURCE,
            everybody(advertisement(VICTIM.ip6) / target_option(), src=VICTIM.ip6),
        ),
        bare(
            "detection of the victim's address",
            "Make the victim give up its address (RFC 4862, 5.4).",
            FOREIGN_TARGET,
            ether(dst=VICTIMS_GROUP_MAC) / nd6(src="::", dst=VICTIMS_GROUP) / solicitation(),
            to_victim(solicitation(), src="::"),
        ),
        bare(
            "detection with a MAC",
            "Be entered under the unspecified address (RFC 4861, 4.3).",
            FOREIGN_MAC,
            ether(dst=OWN_GROUP_MAC) / nd6(src="::", dst=OWN_GROUP) / solicitation(EVIL.ip6) / source_option(),
        ),
        bare(
            "advertisement from the unspecified address",
            "Hide who sends.",
            FOREIGN_TARGET,
            everybody(advertisement(VICTIM.ip6) / target_option(), src="::"),
        ),
        Attack(
            "honest discovery, hop limit 254",
            "Have discovery believed that a router passed on (RFC 4861, 7.1).",
            Drop.ROUTED_DISCOVERY,
            lambda s: [
                bytes(to_victim(solicitation() / source_option(), hlim=254)) + s.mark,
                bytes(to_victim(advertisement() / target_option(), hlim=64)) + s.mark,
            ],
        ),
        bare(
            "forged MAC behind hop-by-hop options",
            "Have the filter see another protocol.",
            FOREIGN_MAC,
            ether() / nd6() / IPv6ExtHdrHopByHop() / solicitation() / source_option(VICTIM.mac),
        ),
        bare(
            "forged target behind destination options",
            "Have the filter see another protocol.",
            FOREIGN_TARGET,
            ether() / nd6() / IPv6ExtHdrDestOpt() / IPv6ExtHdrDestOpt() / advertisement(VICTIM.ip6) / target_option(),
        ),
        Attack(
            "forged target in fragments",
            "Have the filter see no protocol at all (RFC 6980).",
            Drop.INVALID,
            lambda s: _fragments(advertisement(VICTIM.ip6) / target_option(), s.mark),
        ),
        _nd(
            "inverse discovery",
            "Use a kind of discovery that filters forget (RFC 3122).",
            Drop.INVALID,
            to_victim(ICMPv6Unknown(type=141)),
            to_victim(ICMPv6Unknown(type=142)),
        ),
        _nd(
            "renumbering, node information, certification",
            "Use control messages that filters forget.",
            Drop.INVALID,
            *(to_victim(ICMPv6Unknown(type=kind)) for kind in (138, 139, 140, 144, 145, 146, 147, 148, 149, 155, 200)),
        ),
    ),
    (
        Honest("solicitation", lambda s: bytes(to_victim(solicitation() / source_option())) + s.mark, frozenset({VIC})),
        Honest(
            "solicitation to the group",
            lambda s: (
                bytes(ether(dst=VICTIMS_GROUP_MAC) / nd6(dst=VICTIMS_GROUP) / solicitation() / source_option()) + s.mark
            ),
            frozenset({VIC}),
        ),
        Honest(
            "advertisement", lambda s: bytes(to_victim(advertisement(S=1) / target_option())) + s.mark, frozenset({VIC})
        ),
        Honest(
            "advertisement to everybody",
            lambda s: bytes(everybody(advertisement() / target_option())) + s.mark,
            frozenset({VIC, WEB, ANN, OUT}),
        ),
        Honest(
            "advertisement of the link-local address",
            lambda s: bytes(everybody(advertisement(EVIL.link_local) / target_option(), src=EVIL.link_local)) + s.mark,
            frozenset({VIC, OUT}),
        ),
        Honest(
            "answer to who knows its MAC, without it (RFC 4861, 4.4)",
            lambda s: bytes(to_victim(advertisement(S=1))) + s.mark,
            frozenset({VIC}),
        ),
        Honest(
            "detection of its own address",
            lambda s: bytes(ether(dst=OWN_GROUP_MAC) / nd6(src="::", dst=OWN_GROUP) / solicitation(EVIL.ip6)) + s.mark,
            frozenset({VIC, OUT}),
        ),
    ),
    (
        Limit(
            "router flag for its own address",
            "Be taken for a router.",
            "A flag alone makes nobody use it as a router: its router advertisements are stopped.",
            lambda s: bytes(everybody(advertisement(R=1) / target_option())) + s.mark,
            frozenset({VIC, OUT}),
        ),
        Limit(
            "solicitation with a target's MAC beside its own",
            "Have others enter a MAC that is not its own.",
            "Open vSwitch cannot match this option there; RFC 4861, 4.3, has receivers ignore it.",
            lambda s: bytes(to_victim(solicitation() / source_option() / target_option(VICTIM.mac))) + s.mark,
            frozenset({VIC}),
        ),
        Limit(
            "options of length 0 and too long behind its own",
            "Have others enter a MAC that is not its own.",
            "Open vSwitch stops reading there; RFC 4861, 4.6, has receivers discard the packet.",
            lambda s: [
                bytes(to_victim(solicitation() / source_option() / _raw_option(1, length) / bytes(8))) + s.mark
                for length in (0, 2)
            ],
            frozenset({VIC}),
        ),
        Limit(
            "answer whose option is cut short",
            "Have others enter a MAC that is not its own.",
            "Open vSwitch cannot tell it from one without options; RFC 4861, 4.6, has receivers discard it.",
            lambda s: bytes(to_victim(advertisement(S=1) / _raw_option(2, 4))) + s.mark,
            frozenset({VIC}),
        ),
        Limit(
            "router solicitation with the victim's MAC",
            "Have the router send its own packets to the victim.",
            "Open vSwitch cannot match this option there; it concerns the sender's own link-local address only.",
            lambda s: (
                bytes(
                    ether(dst="33:33:00:00:00:02")
                    / nd6(src=EVIL.link_local, dst="ff02::2")
                    / ICMPv6ND_RS()
                    / source_option(VICTIM.mac)
                )
                + s.mark
            ),
            frozenset({OUT}),
        ),
    ),
)
