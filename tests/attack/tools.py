"""The attackers' own tools, run inside evil for a bounded time: nmap, hping3, dsniff's arpspoof and macof, thc-ipv6."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from policy.flows.cookies import Drop
from tests.attack.declare import EVERYWHERE, WEB, Elsewhere, Reason
from tests.attack.place import ANN, EVIL
from tests.attack.place import VIC as VICTIM
from tests.attack.place import WEB as SERVER

# In the order of a packet: what nmap and hping3 put into it where they can.
MARK = "PORTCULLISATTACK"


@dataclass(frozen=True)
class Tool:
    """A command, what tells its frames from others, and what becomes of them.

    ``seconds`` bounds tools that do not end by themselves. ``where`` and ``contains`` are those of `sniff`.
    """

    name: str
    wants: str
    reason: Reason
    command: tuple[str, ...]
    where: dict[str, Any] = field(default_factory=dict)
    contains: bytes = b""
    spares: frozenset[str] = EVERYWHERE
    seconds: float = 1.0
    at_least: int = 1
    """How many frames the reason must have counted: the tool has really tried."""


def _scan(name: str, wants: str, flag: str, reason: Reason, *more: str) -> Tool:
    """A scan of web, of which one TCP port is allowed: no other may see a packet."""
    command = ("nmap", "-n", "-Pn", "--max-retries", "0", "--host-timeout", "5s", "-e", "eth0", flag, *more, SERVER.ip4)
    ports = () if flag == "-sO" else ("-p", "1-100")
    return Tool(
        name,
        wants,
        reason,
        (*command[:-1], *ports, command[-1]),
        {"src": EVIL.ip4, "dst": SERVER.ip4},
        spares=frozenset({WEB}),
        seconds=6,
        at_least=50,
    )


def _hping(name: str, wants: str, reason: Reason, *words: str, to: str = VICTIM.ip4, **more: Any) -> Tool:
    command = ("hping3", "-q", "-n", "-I", "eth0", "-i", "u2000", "-c", "100", "-d", "16", "-e", MARK, *words, to)
    return Tool(name, wants, reason, command, contains=MARK.encode(), **({"at_least": 100} | more))


def _thc(
    name: str,
    wants: str,
    reason: Reason,
    tool: str,
    *words: str,
    where: dict[str, Any],
    contains: bytes = b"",
    **more: Any,
) -> Tool:
    return Tool(name, wants, reason, (f"atk6-{tool}", *words), where, contains, **more)


_SIX = bytes.fromhex("20010db8" + "00" * 11)
_ADVERTISEMENT = {"protocol": 58, "icmp_type": 136}

TOOLS = (
    _scan("nmap -sS", "Learn of open ports.", "-sS", Elsewhere.POLICY),
    _scan("nmap -sA", "Learn what the filter lets through.", "-sA", Elsewhere.POLICY),
    _scan("nmap -sN", "Learn of open ports without opening.", "-sN", Drop.INVALID),
    _scan("nmap -sX", "Learn of open ports without opening.", "-sX", Drop.INVALID),
    _scan("nmap -sU", "Learn of open UDP ports.", "-sU", Elsewhere.POLICY),
    _scan("nmap -sO", "Learn of protocols that the filter forgets.", "-sO", Elsewhere.POLICY),
    _scan("nmap -sS -f", "Scan in tiny fragments.", "-sS", Drop.INVALID, "-f"),
    _scan("nmap -sS -g 443 --ttl 1", "Scan from an allowed port.", "-sS", Elsewhere.POLICY, "-g", "443", "--ttl", "1"),
    _scan("nmap -sS --badsum", "Find the filter by what hosts would not answer.", "-sS", Drop.INVALID, "--badsum"),
    _hping(
        "hping3 --udp from the victim",
        "Have the victim talk to itself (land).",
        Drop.SPOOFED_SOURCE,
        "--udp",
        "-a",
        VICTIM.ip4,
        "-s",
        "7",
        "-p",
        "7",
    ),
    _hping("hping3 -S --rand-source", "Flood from nobody.", Drop.SPOOFED_SOURCE, "-S", "-p", "4000", "--rand-source"),
    _hping(
        "hping3 -1 from a neighbour to the broadcast (smurf)",
        "Have everybody answer a neighbour.",
        Drop.SPOOFED_SOURCE,
        "-1",
        "-a",
        ANN.ip4,
    ),
    _hping("hping3 -S -A", "Open by answering what nobody asked.", Drop.INVALID, "-S", "-A", "-p", "4000"),
    _hping(
        "hping3 -R from a neighbour",
        "Cut the neighbours' connection.",
        Drop.SPOOFED_SOURCE,
        "-R",
        "-p",
        "5000",
        "-a",
        ANN.ip4,
        to="10.0.0.22",
    ),
    _hping(
        "hping3 --rawip GRE",
        "Talk by a protocol that the filter does not follow.",
        Elsewhere.POLICY,
        "--rawip",
        "--ipproto",
        "47",
        to=SERVER.ip4,
    ),
    Tool(
        "arpspoof",
        "Get a neighbour's packets for the victim.",
        Drop.SPOOFED_SOURCE,
        ("arpspoof", "-i", "eth0", "-t", ANN.ip4, VICTIM.ip4),
        {"ethertype": 0x0806, "src_mac": EVIL.mac},
        bytes.fromhex("0002" + EVIL.mac.replace(":", "")) + bytes(map(int, VICTIM.ip4.split("."))),
        seconds=1.5,
    ),
    Tool(
        "macof",
        "Fill the switch's table of MACs.",
        Drop.UNKNOWN_PORT_OR_MAC,
        ("macof", "-i", "eth0", "-n", "300"),
        {"protocol": 6},
        bytes(10) + b"\x50\x02\x02\x00",
        seconds=3,
        at_least=250,
    ),
    _thc(
        "thc-ipv6 fake_router6",
        "Become everybody's router.",
        Drop.ROUTER_ADVERTISEMENT,
        "fake_router6",
        "eth0",
        "2001:db8:bad::/64",
        where={"protocol": 58, "icmp_type": 134},
        seconds=2,
    ),
    _thc(
        "thc-ipv6 flood_router26",
        "Fill everybody's tables of routers.",
        Drop.UNKNOWN_PORT_OR_MAC,
        "flood_router26",
        "eth0",
        where={"icmp_type": 134},
        seconds=0.5,
    ),
    _thc(
        "thc-ipv6 fake_advertise6",
        "Get the victim's packets.",
        Drop.SPOOFED_SOURCE,
        "fake_advertise6",
        "eth0",
        VICTIM.ip6,
        where=_ADVERTISEMENT,
        contains=_SIX + bytes([10]) + b"\2\1",
        seconds=1.5,
    ),
    _thc(
        "thc-ipv6 flood_advertise6",
        "Fill everybody's neighbour tables.",
        Drop.UNKNOWN_PORT_OR_MAC,
        "flood_advertise6",
        "eth0",
        where=_ADVERTISEMENT,
        contains=b"\xfe\x80",
        seconds=0.5,
    ),
    _thc(
        "thc-ipv6 smurf6",
        "Have everybody answer the victim.",
        Drop.UNKNOWN_PORT_OR_MAC,
        "smurf6",
        "eth0",
        VICTIM.ip6,
        where={"protocol": 58, "icmp_type": 128, "src": VICTIM.ip6},
        seconds=0.5,
    ),
)
