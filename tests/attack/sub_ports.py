"""The attacker's port is a trunk: what it may send by its sub-port's tag is no way around anything."""

from __future__ import annotations

from scapy.layers.l2 import Dot1AD

from policy.flows.cookies import Drop
from tests.attack.declare import FAR, GUESTS, Attack, Elsewhere, Family, Honest
from tests.attack.frames import BROADCAST, arp, ether, ip4, tagged, udp
from tests.attack.place import EVIL, LEG
from tests.attack.place import FAR as FAR_HOST
from tests.attack.place import VIC as VICTIM

FOREIGN, FORGED = Drop.UNKNOWN_PORT_OR_MAC, Drop.SPOOFED_SOURCE
_TAG = LEG.tag or 0
_MINE = {"src": LEG.ip4, "dst": FAR_HOST.ip4}

FAMILY = Family(
    "sub-ports",
    "a trunk's guest, by the tag that it may use",
    (
        Attack(
            "a tag within the tag",
            "Hop by the one when the other is taken off.",
            FORGED,
            lambda s: [
                tagged(_TAG, inner, dst=mac) / ip4(**_MINE) / udp() / s.mark
                for inner in (0, 20, _TAG, 999)
                for mac in (FAR_HOST.mac, BROADCAST)
            ],
        ),
        Attack(
            "a provider tag within the tag",
            "Hop by a tag that filters forget.",
            FORGED,
            lambda s: tagged(_TAG, dst=FAR_HOST.mac) / Dot1AD(vlan=20) / ip4(**_MINE) / udp() / s.mark,
        ),
        Attack(
            "the tag within a tag",
            "Have the outer one taken for its own.",
            FOREIGN,
            lambda s: [
                tagged(outer, _TAG, dst=FAR_HOST.mac) / ip4(**_MINE) / udp() / s.mark for outer in (0, 20, 999)
            ],
        ),
        Attack(
            "the number of the sub-port's network as tag",
            "Be let through by the VLAN that it is in.",
            FOREIGN,
            lambda s: tagged(FAR_HOST.tag or 0, dst=FAR_HOST.mac) / ip4(**_MINE) / udp() / s.mark,
        ),
        Attack(
            "its parent's address by the tag",
            "Be judged as the vNIC that may do more.",
            FORGED,
            lambda s: tagged(_TAG, dst=FAR_HOST.mac) / ip4(dst=FAR_HOST.ip4) / udp() / s.mark,
        ),
        Attack(
            "the sub-port's address without a tag",
            "Be judged as the vNIC that may do more.",
            FORGED,
            lambda s: ether() / ip4(src=LEG.ip4) / udp() / s.mark,
        ),
        Attack(
            "a neighbour's address by the tag",
            "Pass for a neighbour of the other network.",
            FORGED,
            lambda s: tagged(_TAG, dst=BROADCAST) / ip4(src=FAR_HOST.ip4, dst="255.255.255.255") / udp() / s.mark,
        ),
        Attack(
            "a neighbour's MAC by the tag",
            "Draw a neighbour's frames to itself.",
            FOREIGN,
            lambda s: tagged(_TAG, src=FAR_HOST.mac, dst=BROADCAST) / ip4(**_MINE) / udp() / s.mark,
        ),
        Attack(
            "ARP for a neighbour by the tag",
            "Poison the other network.",
            FORGED,
            lambda s: tagged(_TAG, dst=BROADCAST) / arp(op=2, psrc=FAR_HOST.ip4, pdst=LEG.ip4) / s.mark,
        ),
        Attack(
            "a MAC of the parent's network by the tag",
            "Reach one network from the other by knowing a MAC.",
            Elsewhere.UPLINK,
            lambda s: tagged(_TAG, dst=VICTIM.mac) / ip4(src=LEG.ip4, dst=VICTIM.ip4) / udp() / s.mark,
            GUESTS,
        ),
        Attack(
            "its parent, by the tag",
            "Have one of its vNICs open the other from within the switch.",
            Elsewhere.UPLINK,
            lambda s: tagged(_TAG, dst=EVIL.mac) / ip4(src=LEG.ip4, dst=EVIL.ip4) / udp() / s.mark,
            GUESTS,
        ),
    ),
    (
        Honest(
            "its own address, by the tag",
            lambda s: tagged(_TAG, dst=FAR_HOST.mac) / ip4(**_MINE) / udp() / s.mark,
            frozenset({FAR}),
        ),
        Honest(
            "ARP of its own, by the tag",
            lambda s: tagged(_TAG, dst=BROADCAST) / arp(psrc=LEG.ip4, pdst=FAR_HOST.ip4) / s.mark,
            frozenset({FAR}),
        ),
    ),
)
