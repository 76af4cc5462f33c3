"""Whose address is it (IPv4): ARP messages that claim what the vNIC does not own."""

from __future__ import annotations

from scapy.layers.l2 import ARP, Ether
from scapy.packet import Packet, Raw

from policy.flows.cookies import Drop
from tests.attack.declare import ANN, BEN, OUT, VIC, WEB, Attack, Family, Honest, Limit
from tests.attack.frames import BROADCAST, arp, ether
from tests.attack.place import ANN as NEIGHBOUR
from tests.attack.place import EVIL
from tests.attack.place import OUT as OUTSIDE
from tests.attack.place import VIC as VICTIM

REQUEST, REPLY, RARP_REQUEST, RARP_REPLY, INVERSE_REPLY = 1, 2, 3, 4, 9
ROUTER = "10.0.0.1"
NOBODY = "00:00:00:00:00:00"


def _claim(name: str, wants: str, message: Packet, *to: str, why: Drop = Drop.SPOOFED_SOURCE, **head: str) -> Attack:
    return Attack(name, wants, why, lambda s: [ether(dst=mac, **head) / message / s.mark for mac in to or (BROADCAST,)])


def _cut(data: bytes) -> Packet:
    return Ether(dst=BROADCAST, src=EVIL.mac, type=0x0806) / Raw(data)


FAMILY = Family(
    "arp",
    "ARP messages that claim what the vNIC does not own",
    (
        _claim(
            "reply for the victim",
            "Get a neighbour's packets for the victim.",
            arp(op=REPLY, psrc=VICTIM.ip4),
            BROADCAST,
            NEIGHBOUR.mac,
            OUTSIDE.mac,
        ),
        _claim(
            "reply for the router",
            "Get everybody's packets for the outside.",
            arp(op=REPLY, psrc=ROUTER),
            BROADCAST,
            VICTIM.mac,
        ),
        _claim(
            "reply for the outside (proxy ARP)",
            "Get the victim's packets for the outside.",
            arp(op=REPLY, psrc=OUTSIDE.ip4),
            VICTIM.mac,
        ),
        _claim(
            "request as the victim",
            "Be entered in tables by asking.",
            arp(psrc=VICTIM.ip4, pdst=NEIGHBOUR.ip4),
            BROADCAST,
            NEIGHBOUR.mac,
        ),
        _claim(
            "gratuitous request as the victim",
            "Have everybody update the victim's entry.",
            arp(psrc=VICTIM.ip4, pdst=VICTIM.ip4),
        ),
        _claim(
            "gratuitous reply as the victim",
            "Have everybody update the victim's entry.",
            arp(op=REPLY, psrc=VICTIM.ip4, pdst=VICTIM.ip4),
        ),
        _claim(
            "probe for the victim's address",
            "Make the victim give up its address (RFC 5227).",
            arp(psrc="0.0.0.0", pdst=VICTIM.ip4),
        ),
        _claim(
            "answer from 0.0.0.0 about its own address",
            "Pass as the probe of an honest guest.",
            arp(op=REPLY, psrc="0.0.0.0", pdst=EVIL.ip4),
        ),
        _claim(
            "probe with the victim's MAC",
            "Pass as the probe of an honest guest.",
            arp(hwsrc=VICTIM.mac, psrc="0.0.0.0", pdst=EVIL.ip4),
        ),
        _claim(
            "reply for nobody's address", "Take an address that nobody has given out.", arp(op=REPLY, psrc="10.0.0.200")
        ),
        _claim(
            "reply for the broadcast address", "Draw broadcasts to one machine.", arp(op=REPLY, psrc="255.255.255.255")
        ),
        _claim(
            "own address at the victim's MAC",
            "Send others' packets for it to the victim.",
            arp(op=REPLY, hwsrc=VICTIM.mac),
            BROADCAST,
            NEIGHBOUR.mac,
        ),
        _claim("own address at the broadcast MAC", "Have packets for it flooded.", arp(op=REPLY, hwsrc=BROADCAST)),
        _claim(
            "own address at a multicast MAC", "Have packets for it flooded.", arp(op=REPLY, hwsrc="01:00:5e:00:00:05")
        ),
        _claim("own address at MAC zero", "Make its address unreachable for the victim.", arp(op=REPLY, hwsrc=NOBODY)),
        _claim(
            "victim's address, and MAC in the message",
            "Move the victim's MAC to its own port.",
            arp(op=REPLY, hwsrc=VICTIM.mac, psrc=VICTIM.ip4),
        ),
        _claim(
            "Ethernet source differs from the sender's",
            "Have switch and host believe different things.",
            arp(op=REPLY),
            src=VICTIM.mac,
            why=Drop.UNKNOWN_PORT_OR_MAC,
        ),
        _claim(
            "RARP operation for the victim",
            "Be told, or tell, the victim's address.",
            arp(op=RARP_REPLY, psrc=VICTIM.ip4),
        ),
        Attack(
            "RARP request",
            "Move a MAC in the tables of switches (RFC 903).",
            Drop.SPOOFED_SOURCE,
            lambda s: Ether(dst=BROADCAST, src=EVIL.mac, type=0x8035) / Raw(bytes(arp(op=RARP_REQUEST))) / s.mark,
        ),
        _claim(
            "inverse ARP reply as the victim",
            "Be entered by a kind that filters forget (RFC 2390).",
            arp(op=INVERSE_REPLY, psrc=VICTIM.ip4),
        ),
        _claim(
            "operation 0x0102 as the victim",
            "Pass a filter that reads one byte of the operation.",
            arp(op=0x0102, psrc=VICTIM.ip4),
        ),
        Attack(
            "long hardware addresses",
            "Have filter and host read the fields at different places.",
            Drop.SPOOFED_SOURCE,
            lambda s: _cut(b"\0\1\x08\0\x08\4\0\2" + bytes(2) + bytes(arp())[8:] + s.mark),
        ),
        Attack(
            "IPv6 in ARP",
            "Have filter and host read the fields at different places.",
            Drop.SPOOFED_SOURCE,
            lambda s: _cut(b"\0\1\x86\xdd\6\x10\0\2" + bytes(arp())[8:] + s.mark),
        ),
        Attack(
            "hardware of another kind",
            "Pass a filter that knows Ethernet only.",
            Drop.SPOOFED_SOURCE,
            lambda s: (
                ether(dst=BROADCAST)
                / ARP(hwtype=6, op=REPLY, hwsrc=EVIL.mac, psrc=VICTIM.ip4, hwlen=6, plen=4)
                / s.mark
            ),
        ),
        Attack(
            "message cut short",
            "Have a filter read beyond the end.",
            Drop.SPOOFED_SOURCE,
            lambda s: [_cut(bytes(arp(op=REPLY))[:size] + s.mark[:4]) for size in (8, 14)],
        ),
    ),
    (
        Honest("request", lambda s: ether(dst=BROADCAST) / arp() / s.mark, frozenset({VIC, WEB, ANN, BEN, OUT})),
        Honest("reply", lambda s: ether() / arp(op=REPLY, hwdst=VICTIM.mac) / s.mark, frozenset({VIC})),
        Honest(
            "probe for its own address (RFC 5227)",
            lambda s: ether(dst=BROADCAST) / arp(psrc="0.0.0.0", pdst=EVIL.ip4) / s.mark,
            frozenset({VIC, OUT}),
        ),
        Honest(
            "announcement", lambda s: ether(dst=BROADCAST) / arp(pdst=EVIL.ip4) / s.mark, frozenset({VIC, ANN, OUT})
        ),
    ),
    (
        Limit(
            "operations that nobody knows, about its own address",
            "Confuse who reads them.",
            "Both addresses of the sender are its own, and that is all that is asked of ARP.",
            lambda s: ether(dst=BROADCAST) / arp(op=INVERSE_REPLY) / s.mark,
            frozenset({VIC, OUT}),
        ),
    ),
)
