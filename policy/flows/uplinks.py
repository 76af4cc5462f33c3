"""The flows of uplinks: frames sorted into VLANs on the way in, tagged as the port demands on the way out.

A trusted vNIC is an access port to the outside world: nothing of its traffic is judged at its own port.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from policy.flows import fields as f
from policy.flows.cookies import Kind, cookie
from policy.flows.flow import (
    Action,
    Condition,
    Flow,
    Load,
    Move,
    Output,
    OutputBond,
    PopVlan,
    PushVlan,
    Resubmit,
    exact,
    flow,
    masked,
    match,
)
from topology.ports import UplinkPort, VnicPort

NO_TAG = exact(f.VLAN_VID, 0)
ANY_TAG = masked(f.VLAN_VID, f.TAGGED, f.TAGGED)
PRIORITY_TAG = exact(f.VLAN_VID, f.TAGGED)


def as_uplink(port: VnicPort) -> UplinkPort:
    """A trusted vNIC as the uplink that it is to the pipeline."""
    return UplinkPort(port.name, "trusted", ((port.name, port.ofport),), port.vlan, ())


def number_of(uplink: UplinkPort) -> int:
    """The number that the registers hold for an uplink: the port of its first member, never 0."""
    return uplink.members[0][1]


def uplink_flows(uplink: UplinkPort) -> Iterator[Flow]:
    """The flows of one uplink."""
    mark = cookie(Kind.UPLINK, number_of(uplink))
    for _, ofport in uplink.members:
        yield from _arriving(uplink, ofport, mark)
    yield from _leaving(uplink, mark)


def _arriving(uplink: UplinkPort, ofport: int, mark: int) -> Iterator[Flow]:
    def enter(priority: int, tag: Condition, *actions: Action) -> Flow:
        common = (Load(f.SERVES, 1), Load(f.UPLINK_IN, number_of(uplink)))
        return flow(
            "CLASSIFY",
            priority,
            match(exact(f.IN_PORT, ofport), tag),
            (*common, *actions, Resubmit("UPLINK")),
            mark,
        )

    untagged = uplink.vlan_of(None)
    if untagged is not None:
        yield enter(100, NO_TAG, Load(f.VLAN, untagged))
        yield enter(100, PRIORITY_TAG, PopVlan(), Load(f.VLAN, untagged))
    if uplink.trunks is None:
        if untagged is None:
            yield flow("CLASSIFY", 100, match(exact(f.IN_PORT, ofport), PRIORITY_TAG), (), mark)
        yield enter(90, ANY_TAG, Move(f.VLAN_VID, f.VLAN, 12), PopVlan())
        return
    for vlan in uplink.trunks:
        if vlan:
            yield enter(100, exact(f.VLAN_VID, f.TAGGED | vlan), PopVlan(), Load(f.VLAN, vlan))


def _leaving(uplink: UplinkPort, mark: int) -> Iterator[Flow]:
    number = number_of(uplink)
    out = exact(f.UPLINK_OUT, number)
    send: Action
    if len(uplink.members) == 1:
        send = Output(uplink.members[0][1])
    else:
        algorithm = "active_backup" if uplink.bond_mode in (None, "active-backup") else "hrw"
        send = OutputBond(tuple(ofport for _, ofport in uplink.members), algorithm)
        # A frame must not come back by another member of the bond that it came in by.
        yield flow("UPLINK_OUT", 300, match(exact(f.UPLINK_IN, number), out), (), mark)
    tagged = (PushVlan(), Move(f.VLAN, f.VLAN_VID, 12), send, PopVlan())
    for vlan in sorted({uplink.native_vlan or 0, 0}):
        if uplink.carries(vlan):
            actions = tagged if uplink.tags(vlan) else (send,)
            yield flow("UPLINK_OUT", 200, match(out, exact(f.VLAN, vlan)), actions, mark)
        elif uplink.trunks is None:
            yield flow("UPLINK_OUT", 200, match(out, exact(f.VLAN, vlan)), (), mark)
    if uplink.trunks is None:
        yield flow("UPLINK_OUT", 100, match(out), tagged, mark)
        return
    for vlan in uplink.trunks:
        if vlan and vlan != uplink.native_vlan:
            yield flow("UPLINK_OUT", 200, match(out, exact(f.VLAN, vlan)), tagged, mark)


def all_uplinks_flow(uplinks: Iterable[UplinkPort]) -> Flow | None:
    """A copy to each uplink; None where there is no uplink."""
    actions: list[Action] = []
    for uplink in uplinks:
        actions += [Load(f.UPLINK_OUT, number_of(uplink)), Resubmit("UPLINK_OUT")]
    return flow("UPLINKS", 100, (), actions, cookie(Kind.PIPELINE)) if actions else None
