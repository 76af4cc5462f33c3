"""Broadcast and multicast: each vNIC of a network gets its copy through its own ingress policy.

A copy is judged under the vNIC's own groups and the CIDRs that contain the packet's destination, so each block of vNICs
has one flow for each set of such CIDRs that a flooded destination can have (mostly one: the empty set).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from policy.flows import fields as f
from policy.flows.cookies import Kind, cookie
from policy.flows.flow import Action, Flow, Load, Resubmit, exact, flow, match
from policy.flows.identity import Identities
from policy.flows.vnics import zone_of
from topology.ports import VnicPort

# vNICs of a block share a flow, so a port that comes or goes rewrites one flow of a sixteenth of the network's vNICs
# here. A vNIC's block follows from its zone alone. A copy takes 88 bytes of the 64 KiB that a flow's actions may have:
# 16 blocks hold some 11,000 vNICs of one network on one bridge.
BLOCKS = 16


def flood_flows(ports: Iterable[VnicPort], identities: Identities) -> Iterator[Flow]:
    """The flows that copy flooded packets to firewalled vNICs."""
    networks: dict[int, dict[int, list[VnicPort]]] = defaultdict(lambda: defaultdict(list))
    for port in sorted(ports, key=zone_of):
        networks[port.vlan][zone_of(port) % BLOCKS].append(port)
    for vlan, blocks in sorted(networks.items()):
        mark = cookie(Kind.NETWORK, vlan)
        actions: list[Action] = []
        for block in sorted(blocks):
            actions += [Load(f.BLOCK, block), Resubmit("COPIES")]
        # What follows is nobody's copy any more.
        outward = (Load(f.ARRIVES, 0), Load(f.DST_VNIC, 0), Resubmit("OUTWARD"))
        yield flow("FLOOD", 100, match(exact(f.VLAN, vlan)), (*actions, *outward), mark)
        for block, members in sorted(blocks.items()):
            yield from _copies(vlan, block, members, identities, mark)


def _copies(vlan: int, block: int, ports: list[VnicPort], identities: Identities, mark: int) -> Iterator[Flow]:
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
            mark,
        )


def flood_identities(ports: Iterable[VnicPort], identities: Identities) -> set[int]:
    """The identities under which vNICs receive flooded packets."""
    return {
        identities.number(identities.of_vnic[port.vnic.id] | shared)
        for port in ports
        for shared in identities.flooded[port.vnic.scope]
    }
