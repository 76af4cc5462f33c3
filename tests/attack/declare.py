"""The words in which attacks are declared. Nothing here touches a network."""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from scapy.packet import Packet

from policy.flows.cookies import Drop


class Elsewhere(enum.Enum):
    """Where an attack ends if not at a named drop."""

    POLICY = "policy"
    """No rule allows it: counted by the flow that decided."""
    REASSEMBLY = "reassembly"
    """Conntrack keeps fragments until they are whole, and these never are: counted by the switch's reassembly."""
    UPLINK = "uplinks only"
    """It is for nobody here, so it goes where a switch sends what it does not know; no guest gets it."""


Reason = Drop | Elsewhere


def reason_label(reason: Reason) -> str:
    """A reason as the page and the status call it."""
    return reason.label if isinstance(reason, Drop) else reason.value


@dataclass(frozen=True)
class Ports:
    """An established TCP connection that an attack may be about: the port of who opened it, and the service's."""

    opener: int
    service: int


@dataclass(frozen=True)
class Scene:
    """What a frame can be made of beside constants: its mark, and the connections that are open meanwhile."""

    mark: bytes
    """Eight bytes, twice; the first four of the eight tell a frame of an attack from all others, wherever it is cut."""
    neighbours: Ports
    """ann's connection to ben."""
    stream: Ports
    """ann's stream to ben (UDP)."""
    own: Ports
    """evil's connection to web."""

    @property
    def body(self) -> bytes:
        """A payload of 3200 bytes, so full of the mark that every fragment shows it."""
        return self.mark * 200


Sent = Packet | bytes | Iterable["Packet | bytes"]
Sends = Callable[[Scene], Sent]

# The version of Open vSwitch on which losses are declared.
LOSES = "3.1.0"
# Occurs in no frame but those of attacks.
PREFIX = b"\xa7\x7a\xc4\xed"
EVIL, VIC, WEB, ANN, BEN, FAR, OUT = "evil", "vic", "web", "ann", "ben", "far", "out"
GUESTS = frozenset({VIC, WEB, ANN, BEN, FAR})
EVERYWHERE = GUESTS | {OUT}


@dataclass(frozen=True)
class Attack:
    """One thing that an attacker tries: nothing of it may arrive at `spares`, and `reason` counts every frame of it."""

    name: str
    wants: str
    """A sentence: what the attacker would have from it."""
    reason: Reason
    sends: Sends
    spares: frozenset[str] = EVERYWHERE
    by: str = EVIL
    counted: int | None = None
    """How often the reason counts it at least; None: once for each frame."""
    passes_on: str | None = None
    """The version of Open vSwitch on which it gets past to vic, by a fault of that version."""


@dataclass(frozen=True)
class Honest:
    """An honest variant of a family's frames. It arrives, so the attacks' silence is not that of a dead network."""

    name: str
    sends: Sends
    reaches: frozenset[str]
    by: str = EVIL


@dataclass(frozen=True)
class Limit:
    """What gets past, and is known to: it arrives at `reaches`. Whoever closes it finds this declaration untrue."""

    name: str
    wants: str
    why: str
    """A sentence: why it is let through, and what stands against it."""
    sends: Sends
    reaches: frozenset[str]
    by: str = EVIL


@dataclass(frozen=True)
class Loss:
    """Honest frames that are stopped, and known to be, on the switch `LOSES`: not all arrive at `reaches`."""

    name: str
    why: str
    """A sentence: what stops them, and who need not fear it."""
    sends: Sends
    reaches: frozenset[str]
    by: str = EVIL


@dataclass(frozen=True)
class Family:
    """Attacks of one kind, and what shows that the network is alive for that kind."""

    name: str
    about: str
    attacks: tuple[Attack, ...]
    honest: tuple[Honest, ...]
    limits: tuple[Limit, ...] = ()
    losses: tuple[Loss, ...] = ()


def mark_of(*names: str) -> bytes:
    """The eight bytes that stand for a frame of this name."""
    return PREFIX + hashlib.blake2b("\0".join(names).encode(), digest_size=4).digest()
