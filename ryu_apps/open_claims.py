"""What vNICs have begun to use, until the outside has had its say: it may be a router's or a server's there.

    claimed --asked--> open --a moment--> the vNIC's own
                         |--objected, or so much comes that an objection may be lost: not for a minute, and then it may
                            be asked again
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

from policy.flows.meters import OBJECTIONS_A_SECOND
from ryu_apps.learn_bounds import Who
from topology.addresses import Address
from topology.frames import Claim

# The seconds for which an objection of the outside holds.
OBJECTION_SECONDS = 60.0
# What comes for a bridge's asker goes through a meter. Whoever uses that up, be it a guest of another hypervisor, keeps
# objections from being heard; then as many copies come in a second as the meter lets pass. Half of that is far more
# than the honest say.
CROWD, CROWD_SECONDS = OBJECTIONS_A_SECOND // 2, 1.0


class Question(NamedTuple):
    """Does somebody outside have the address that a vNIC has begun to use, on a network of a bridge?"""

    who: Who
    address: Address
    dpid: int
    vlan: int


@dataclass(slots=True)
class OpenClaim:
    """A claim, where it was made and when; and whether somebody outside has objected."""

    claimed: Claim
    dpid: int
    vlan: int
    when: float
    objected: bool = False


class OpenClaims:
    """The claims that the outside may object to, or has objected to. How many there are, `Paces` bounds."""

    def __init__(self) -> None:
        self._open: dict[tuple[Who, Address], OpenClaim] = {}
        self._questions: list[Question] = []
        # When what came for a bridge's asker came, of the last so many.
        self._heard: dict[int, deque[float]] = {}

    def hear(self, dpid: int, now: float) -> None:
        """Something has come for a bridge's asker, whatever it says."""
        self._heard.setdefault(dpid, deque(maxlen=CROWD)).append(now)

    def has(self, who: Who, address: Address, now: float) -> bool:
        """True if it is open, or has been objected to not long ago."""
        over = [key for key, each in self._open.items() if each.objected and now - each.when >= OBJECTION_SECONDS]
        for key in over:
            del self._open[key]
        return (who, address) in self._open

    def begin(self, who: Who, claimed: Claim, dpid: int, vlan: int, now: float) -> None:
        """A vNIC has begun to use an address; the outside is to be asked."""
        self._open[who, claimed.address] = OpenClaim(claimed, dpid, vlan, now)
        self._questions.append(Question(who, claimed.address, dpid, vlan))

    def questions(self) -> list[Question]:
        """What is to be asked, once."""
        asked, self._questions = self._questions, []
        return asked

    def object(self, claimed: Claim, dpid: int, vlan: int) -> list[Who]:
        """Somebody outside says that an address is his; the vNICs that it is refused to by that."""
        refused = []
        for (who, address), each in self._open.items():
            # A vNIC that is also seen outside, as in a migration, does not object to itself.
            if address == claimed.address and (each.dpid, each.vlan) == (dpid, vlan) and claimed.mac != who[1]:
                each.objected = True
                refused.append(who)
        return refused

    def drowned(self, who: Who, address: Address) -> bool:
        """True if so much has come meanwhile that an objection may be lost. That holds like one."""
        each = self._open.get((who, address))
        heard = self._heard.get(each.dpid) if each is not None else None
        if each is None or heard is None or len(heard) < CROWD or heard[0] < each.when - CROWD_SECONDS:
            return False
        each.objected = True
        return True

    def close(self, who: Who, address: Address) -> OpenClaim | None:
        """The time is over: the claim, if nobody has objected. It is not open any more."""
        each = self._open.get((who, address))
        if each is None or each.objected:
            return None
        return self._open.pop((who, address))
