"""Broadcast, multicast and unknown unicast: frames that a switch copies, and addresses that do not fit their frames."""

from __future__ import annotations

from scapy.layers.inet import ICMP
from scapy.layers.inet6 import ICMPv6EchoRequest
from scapy.packet import Packet, Raw

from policy.flows.cookies import Drop
from tests.attack.declare import GUESTS, OUT, VIC, Attack, Elsewhere, Family, Honest, Reason
from tests.attack.frames import ALL_NODES, ALL_NODES_MAC, BROADCAST, ether, from_outside, ip4, ip6, udp
from tests.attack.place import OUT as OUTSIDE
from tests.attack.place import WEB as SERVER

UNKNOWN = "52:54:00:00:99:99"
GROUP, GROUP_MAC = "224.0.0.251", "01:00:5e:00:00:fb"
# vic takes everything from evil, and so its copies; nobody else does.
OTHERS = GUESTS - {VIC}
# As many copies of a frame end as there are other guests in the network, and one of evil's own.
COPIES = len(OTHERS)


def _sent(
    name: str,
    wants: str,
    why: Reason,
    *packets: Packet,
    spares: frozenset[str] = GUESTS,
    counted: int | None = None,
    by: str = "evil",
) -> Attack:
    return Attack(name, wants, why, lambda s: [packet / s.mark for packet in packets], spares, by, counted)


def _group(name: str, wants: str, protocol: int, address: str, mac: str) -> Attack:
    """A protocol to its group, from evil: only vic may get it."""
    head = ip4(dst=address, proto=protocol, ttl=1)
    return Attack(
        name, wants, Elsewhere.POLICY, lambda s: ether(dst=mac) / head / Raw(s.mark * 2), OTHERS, counted=COPIES
    )


def _group6(name: str, wants: str, protocol: int, address: str, mac: str) -> Attack:
    head = ip6(dst=address, nh=protocol, hlim=1)
    return Attack(
        name, wants, Elsewhere.POLICY, lambda s: ether(dst=mac) / head / Raw(s.mark * 2), OTHERS, counted=COPIES
    )


FAMILY = Family(
    "copies",
    "broadcast, multicast and unknown unicast, and addresses that do not fit their frames",
    (
        _sent(
            "unicast address in a broadcast frame",
            "Reach a guest past its own port's rule.",
            Elsewhere.UPLINK,
            ether(dst=BROADCAST) / ip4() / udp(),
            ether(dst=BROADCAST) / ip4(dst=SERVER.ip4) / udp(443),
            ether(dst=BROADCAST) / ip6() / udp(),
        ),
        _sent(
            "unicast address in a multicast frame",
            "Reach a guest past its own port's rule.",
            Elsewhere.UPLINK,
            ether(dst=GROUP_MAC) / ip4() / udp(),
            ether(dst=ALL_NODES_MAC) / ip6() / udp(),
            ether(dst="01:80:c2:00:00:00") / ip4(dst=SERVER.ip4) / udp(443),
        ),
        _sent(
            "group address in a unicast frame",
            "Have the victim take it for the group's.",
            Drop.NOT_ADDRESSED_HERE,
            ether() / ip4(dst=GROUP) / udp(5353),
            ether() / ip6(dst=ALL_NODES) / udp(),
        ),
        _sent(
            "broadcast address in a unicast frame",
            "Have the victim take it for everybody's.",
            Drop.NOT_ADDRESSED_HERE,
            ether() / ip4(dst="255.255.255.255") / udp(),
            ether() / ip4(dst="10.0.0.255") / udp(),
        ),
        _sent(
            "another's address in a unicast frame",
            "Have the victim pass it on.",
            Drop.NOT_ADDRESSED_HERE,
            ether() / ip4(dst=SERVER.ip4) / udp(),
            ether() / ip6(dst=SERVER.ip6) / udp(),
            ether() / ip4(dst=OUTSIDE.ip4) / udp(),
        ),
        _sent(
            "directed broadcast",
            "Have the whole subnet answer (smurf).",
            Elsewhere.UPLINK,
            ether(dst=BROADCAST) / ip4(dst="10.0.0.255") / ICMP(),
            ether(dst=BROADCAST) / ip4(dst="10.0.0.0") / udp(7),
        ),
        _sent(
            "limited broadcast",
            "Talk to everybody at once.",
            Elsewhere.POLICY,
            ether(dst=BROADCAST) / ip4(dst="255.255.255.255") / udp(),
            spares=OTHERS,
            counted=COPIES,
        ),
        _sent(
            "echo request to everybody",
            "Have the whole subnet answer.",
            Elsewhere.POLICY,
            ether(dst=BROADCAST) / ip4(dst="255.255.255.255") / ICMP(),
            ether(dst="01:00:5e:00:00:01") / ip4(dst="224.0.0.1") / ICMP(),
            ether(dst=ALL_NODES_MAC) / ip6(dst=ALL_NODES) / ICMPv6EchoRequest(),
            spares=OTHERS,
            counted=COPIES,
        ),
        _sent(
            "names by multicast",
            "Answer for everybody's names (mDNS, LLMNR).",
            Elsewhere.POLICY,
            ether(dst=GROUP_MAC) / ip4(dst=GROUP) / udp(5353),
            ether(dst="33:33:00:00:00:fb") / ip6(dst="ff02::fb") / udp(5353),
            ether(dst="01:00:5e:00:00:fc") / ip4(dst="224.0.0.252") / udp(5355),
            spares=OTHERS,
            counted=COPIES,
        ),
        _sent(
            "group in a broadcast frame",
            "Reach who has not joined the group.",
            Elsewhere.POLICY,
            ether(dst=BROADCAST) / ip4(dst=GROUP) / udp(5353),
            spares=OTHERS,
            counted=COPIES,
        ),
        _group("OSPF hello", "Join the routing.", 89, "224.0.0.5", "01:00:5e:00:00:05"),
        _group("VRRP advertisement", "Become the virtual router.", 112, "224.0.0.18", "01:00:5e:00:00:12"),
        _group("IGMP query", "Become the querier.", 2, "224.0.0.1", "01:00:5e:00:00:01"),
        _group("PIM hello", "Join the multicast routing.", 103, "224.0.0.13", "01:00:5e:00:00:0d"),
        _group("EIGRP hello", "Join the routing.", 88, "224.0.0.10", "01:00:5e:00:00:0a"),
        _group6("OSPFv3 hello", "Join the routing.", 89, "ff02::5", "33:33:00:00:00:05"),
        _group6("VRRPv3 advertisement for IPv6", "Become the virtual router.", 112, "ff02::12", "33:33:00:00:00:12"),
        _sent(
            "HSRP, RIP, and others by UDP",
            "Become the router.",
            Elsewhere.POLICY,
            ether(dst="01:00:5e:00:00:02") / ip4(dst="224.0.0.2") / udp(1985),
            ether(dst="01:00:5e:00:00:09") / ip4(dst="224.0.0.9") / udp(520),
            spares=OTHERS,
            counted=COPIES,
        ),
        _sent(
            "unknown unicast",
            "Have the frame flooded to guests.",
            Elsewhere.UPLINK,
            ether(dst=UNKNOWN) / ip4() / udp(),
            ether(dst=UNKNOWN) / ip6() / udp(),
            ether(dst="00:00:00:00:00:00") / ip4() / udp(),
        ),
        _sent(
            "unknown unicast, from outside",
            "Have the frame flooded to guests.",
            Elsewhere.UPLINK,
            from_outside(dst=UNKNOWN) / ip4(src=OUTSIDE.ip4) / udp(),
            from_outside(dst=UNKNOWN) / ip4(src=OUTSIDE.ip4, dst=SERVER.ip4) / udp(443),
            by=OUT,
        ),
        _sent(
            "unicast address in a broadcast frame, from outside",
            "Reach a guest past its own port's rule.",
            Elsewhere.UPLINK,
            from_outside(dst=BROADCAST) / ip4(src=OUTSIDE.ip4) / udp(),
            from_outside(dst=ALL_NODES_MAC) / ip6(src=OUTSIDE.ip6) / udp(),
            by=OUT,
        ),
        _sent(
            "group address in a unicast frame, from outside",
            "Have the victim take it for the group's.",
            Drop.NOT_ADDRESSED_HERE,
            from_outside() / ip4(src=OUTSIDE.ip4, dst=GROUP) / udp(5353),
            by=OUT,
        ),
        _sent(
            "multicast, from outside",
            "Talk to everybody at once.",
            Elsewhere.POLICY,
            from_outside(dst=GROUP_MAC) / ip4(src=OUTSIDE.ip4, dst=GROUP) / udp(5353),
            spares=OTHERS,
            by=OUT,
        ),
        _sent(
            "another's address, from outside",
            "Have the victim pass it on.",
            Drop.NOT_ADDRESSED_HERE,
            from_outside() / ip4(src=OUTSIDE.ip4, dst=SERVER.ip4) / udp(443),
            by=OUT,
        ),
    ),
    (
        Honest(
            "multicast to who allows it",
            lambda s: ether(dst=GROUP_MAC) / ip4(dst=GROUP) / udp(5354) / s.mark,
            frozenset({VIC, OUT}),
        ),
        Honest(
            "broadcast to who allows it",
            lambda s: ether(dst=BROADCAST) / ip4(dst="255.255.255.255") / udp(5354) / s.mark,
            frozenset({VIC, OUT}),
        ),
        Honest(
            "IPv6 multicast to who allows it",
            lambda s: ether(dst=ALL_NODES_MAC) / ip6(dst=ALL_NODES) / udp(5354) / s.mark,
            frozenset({VIC, OUT}),
        ),
        Honest("unicast", lambda s: ether() / ip4() / udp() / s.mark, frozenset({VIC})),
        Honest(
            "unicast from outside",
            lambda s: from_outside() / ip4(src=OUTSIDE.ip4) / udp() / s.mark,
            frozenset({VIC}),
            OUT,
        ),
        Honest(
            "unknown unicast goes to the uplink",
            lambda s: ether(dst=UNKNOWN) / ip4(dst="10.0.0.200") / udp() / s.mark,
            frozenset({OUT}),
        ),
    ),
)
