"""What the switch counted, by reason: the packets of all flows that bear the reason's cookie, from its own dump."""

from __future__ import annotations

import re
import time

from mininet_scenarios.lab import Ovs
from policy.flows.cookies import Drop, Kind, reason
from tests.attack.declare import Elsewhere, Reason

_FLOW = re.compile(r"cookie=(0x[0-9a-f]+),.*? n_packets=(\d+),.* actions=(.*)")
# Fragments that reassembly took in, of both families; those of them that it let go again are counted by flows, too.
_FRAGMENTS = re.compile(r"v[46] frags (?:accepted|overlapped): (\d+)")
COUNTED_WITHIN = 3.0


def count(ovs: Ovs, bridge: str, why: Reason) -> int:
    """How many packets have ended for this reason so far."""
    if why is Elsewhere.REASSEMBLY:
        return sum(map(int, _FRAGMENTS.findall(ovs.appctl("dpctl/ipf-get-status"))))
    flows = _FLOW.findall(ovs.ofctl("dump-flows", bridge))
    return sum(int(packets) for cookie, packets, actions in flows if _is_for(why, int(cookie, 0), actions))


def _is_for(why: Reason, cookie: int, actions: str) -> bool:
    said = reason(cookie)
    if said is None:
        return False
    if isinstance(why, Drop):
        return said.kind is Kind.DROP and said.number == why
    return said.kind is Kind.DEFAULT or (said.kind is Kind.RULE and actions == "drop")


def counted(ovs: Ovs, bridge: str, why: Reason, at_least: int) -> int:
    """The count as soon as it is so high, or what it is after some seconds: the switch adds up from time to time."""
    deadline = time.monotonic() + COUNTED_WITHIN
    while (found := count(ovs, bridge, why)) < at_least and time.monotonic() < deadline:
        ovs.settle()
    return found
