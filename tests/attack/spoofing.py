"""Who you are: Ethernet, IPv4 and IPv6 sources that are not the vNIC's own."""

from __future__ import annotations

from policy.flows.cookies import Drop
from tests.attack.declare import OUT, VIC, Attack, Family, Honest
from tests.attack.frames import ether, ip4, ip6, nd6, tcp, udp
from tests.attack.place import ANN, EVIL, FAR
from tests.attack.place import OUT as OUTSIDE
from tests.attack.place import VIC as VICTIM

STRANGER = "52:54:00:de:ad:01"


def _mac(name: str, mac: str, wants: str) -> Attack:
    return Attack(name, wants, Drop.UNKNOWN_PORT_OR_MAC, lambda s: ether(src=mac) / ip4() / udp() / s.mark)


def _ip4(name: str, address: str, wants: str, why: Drop = Drop.SPOOFED_SOURCE) -> Attack:
    return Attack(
        name,
        wants,
        why,
        lambda s: [ether() / ip4(src=address) / udp() / s.mark, ether() / ip4(src=address) / tcp() / s.mark],
    )


def _ip6(name: str, address: str, wants: str, why: Drop = Drop.SPOOFED_SOURCE) -> Attack:
    return Attack(
        name,
        wants,
        why,
        lambda s: [ether() / ip6(src=address) / udp() / s.mark, ether() / ip6(src=address) / tcp() / s.mark],
    )


FAMILY = Family(
    "spoofing",
    "Ethernet, IPv4 and IPv6 sources that are not the vNIC's own",
    (
        _mac("MAC of nobody", STRANGER, "Hide who sends, or fill the tables of switches on the way."),
        _mac("MAC of the victim", VICTIM.mac, "Have the switch believe that the victim lives here."),
        _mac("MAC of a neighbour", ANN.mac, "Speak as a neighbour."),
        _mac("MAC of the outside", OUTSIDE.mac, "Draw the traffic for the outside world to itself."),
        _mac("MAC zero", "00:00:00:00:00:00", "Send as a station that cannot be."),
        _mac("MAC broadcast", "ff:ff:ff:ff:ff:ff", "Have answers go to everybody."),
        _mac("MAC multicast", "01:00:5e:00:00:01", "Have answers go to a group."),
        _mac("own MAC with the group bit", "53" + EVIL.mac[2:], "Pass a check that overlooks the group bit."),
        _ip4("IPv4 of nobody", "10.0.0.200", "Send without being found."),
        _ip4("IPv4 of the victim", VICTIM.ip4, "Have the victim talk to itself (land)."),
        _ip4("IPv4 of a neighbour", ANN.ip4, "Use what the policy allows to a neighbour."),
        _ip4("IPv4 of another network", FAR.ip4, "Use what the policy allows to another network."),
        _ip4("IPv4 of the outside", OUTSIDE.ip4, "Use what the policy allows to the outside."),
        _ip4("IPv4 unspecified", "0.0.0.0", "Speak before having an address.", Drop.CONTROL_SOURCE),
        _ip4("IPv4 of this network", "0.1.2.3", "Pass a check that knows 0.0.0.0 only (RFC 1122, 3.2.1.3)."),
        _ip4("IPv4 loopback", "127.0.0.1", "Be taken for the victim's own programs."),
        _ip4("IPv4 multicast", "224.0.0.1", "Have answers go to a group."),
        _ip4("IPv4 limited broadcast", "255.255.255.255", "Have answers go to everybody."),
        _ip4("IPv4 directed broadcast", "10.0.0.255", "Have answers go to the whole subnet (smurf)."),
        _ip4("IPv4 link-local", "169.254.10.66", "Use an address that nobody has given out (RFC 3927)."),
        _ip4("IPv4 reserved", "240.0.0.1", "Use a martian (RFC 1812, 5.3.7)."),
        _ip4("IPv4 of documentation", "192.0.2.1", "Use a bogon that looks like the Internet."),
        Attack(
            "land to itself",
            "Send the victim a packet whose source and destination are the same address.",
            Drop.NOT_ADDRESSED_HERE,
            lambda s: ether() / ip4(dst=EVIL.ip4) / tcp(sport=4000) / s.mark,
        ),
        _ip6("IPv6 of nobody", "2001:db8::bad", "Send without being found."),
        _ip6("IPv6 of the victim", VICTIM.ip6, "Have the victim talk to itself (land)."),
        _ip6("IPv6 of another network", FAR.ip6, "Use what the policy allows to another network."),
        _ip6("IPv6 unspecified", "::", "Speak before having an address.", Drop.CONTROL_SOURCE),
        _ip6("IPv6 loopback", "::1", "Be taken for the victim's own programs."),
        _ip6("IPv6 multicast", "ff02::1", "Have answers go to everybody."),
        _ip6("IPv6 link-local of the victim", VICTIM.link_local, "Speak as the victim on the link."),
        _ip6("IPv6 link-local of a router", "fe80::1", "Speak as the router on the link."),
        _ip6(
            "own link-local, for more than discovery",
            EVIL.link_local,
            "Have an address that no rule names.",
            Drop.CONTROL_SOURCE,
        ),
        _ip6("IPv4-mapped IPv6", f"::ffff:{EVIL.ip4}", "Be taken for an IPv4 peer by a dual-stack program."),
        _ip6("IPv4-compatible IPv6", f"::{VICTIM.ip4}", "Be taken for an IPv4 peer by a tunnel."),
        _ip6("6to4", f"2002:a00:{10:x}::1", "Be taken for an IPv4 peer by a relay (RFC 3964)."),
        _ip6("site-local IPv6", "fec0::66", "Use a prefix that no rule thinks of."),
        _ip6(
            "a temporary address of its own making", "2001:db8::5054:ff:fe00:a42", "Escape rules that name its address."
        ),
        Attack(
            "IPv6 land to itself",
            "Send the victim a packet whose source and destination are the same address.",
            Drop.NOT_ADDRESSED_HERE,
            lambda s: ether() / ip6(dst=EVIL.ip6) / tcp(sport=4000) / s.mark,
        ),
    ),
    (
        Honest("own IPv4", lambda s: ether() / ip4() / udp() / s.mark, frozenset({VIC})),
        Honest("own IPv6", lambda s: ether() / ip6() / udp() / s.mark, frozenset({VIC})),
        Honest("own TCP", lambda s: ether() / ip4() / tcp() / s.mark, frozenset({VIC})),
        Honest(
            "own IPv4 to the outside",
            lambda s: ether(dst=OUTSIDE.mac) / ip4(dst=OUTSIDE.ip4) / udp() / s.mark,
            frozenset({OUT}),
        ),
        Honest(
            "own IPv6 to the outside",
            lambda s: ether(dst=OUTSIDE.mac) / nd6(dst=OUTSIDE.ip6) / udp() / s.mark,
            frozenset({OUT}),
        ),
    ),
)
