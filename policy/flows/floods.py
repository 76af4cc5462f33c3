"""Broadcast and multicast: each vNIC of a network gets its copy through its own ingress policy.

A copy is judged under the vNIC's own groups and the CIDRs that contain the packet's destination, so each block of vNICs
has one flow for each set of such CIDRs that a flooded destination can have (mostly one: the empty set).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from policy.flows import fields as f
from policy.flows.cookies import Kind, cookie
from policy.flows.flow import Action, Flow, Load, Resubmit, exact, flow, match
from policy.flows.identity import Identities
from policy.flows.vnics import zone_of
from topology.ports import VnicPort

# vNICs of a block share a flow, so a port that comes or goes rewrites one flow of a sixteenth of the network's vNICs
# here. A copy takes 88 bytes of the 64 KiB that a flow's actions may have:
# 16 blocks hold some 11,000 vNICs of one network on one bridge.
BLOCKS = 16


def block_of(port: VnicPort) -> int:
    """The block of a vNIC; it follows from the vNIC's zone alone."""
    return zone_of(port) % BLOCKS


def network_flow(vlan: int, blocks: Iterable[int]) -> Flow:
    """The flow that sends flooded packets of a network to its blocks, and out by the uplinks."""
    actions: list[Action] = []
    for block in sorted(blocks):
        actions += [Load(f.BLOCK, block), Resubmit("COPIES")]
    # What follows is nobody's copy any more.
    outward = (Load(f.ARRIVES, 0), Load(f.DST_VNIC, 0), Resubmit("OUTWARD"))
    return flow("FLOOD", 100, match(exact(f.VLAN, vlan)), (*actions, *outward), cookie(Kind.NETWORK, vlan))


def copy_flows(vlan: int, block: int, ports: Iterable[VnicPort], identities: Identities) -> Iterator[Flow]:
    """The flows that copy flooded packets to the firewalled vNICs of one block of a network; there is at least one."""
    ports = sorted(ports, key=zone_of)
    scope = ports[0].vnic.scope
    for shared in sorted(identities.flooded[scope], key=identities.number):
        actions: list[Action] = []
        for port in ports:
            own = identities.of_vnic[port.vnic.id] | shared
            actions += [
                Load(f.DST_VNIC, zone_of(port)),
                Load(f.OUT_PORT, port.ofport),
                Load(f.DST_ID, identities.number(own)),
                Resubmit("ARRIVE"),
            ]
        # The next block is looked up by the packet's own destination again.
        actions.append(Load(f.DST_ID, identities.number(shared)))
        yield flow(
            "COPIES",
            100,
            match(exact(f.VLAN, vlan), exact(f.BLOCK, block), exact(f.DST_ID, identities.number(shared))),
            actions,
            cookie(Kind.NETWORK, vlan),
        )
