"""Broadcast and multicast: each vNIC of a network gets its copy through its own ingress policy.

A copy is judged under the vNIC's own groups and the CIDRs that contain the packet's destination, so each block of vNICs
has one flow for each set of such CIDRs that a flooded destination can have (mostly one: the empty set).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from operator import attrgetter

from policy.errors import Problem
from policy.flows import fields as f
from policy.flows.cookies import Kind, cookie
from policy.flows.flow import Action, Flow, Load, Resubmit, exact, flow, match
from policy.flows.identity import Identities, Members, referenced_groups
from policy.flows.identity_book import MAX_COPIED, identify
from policy.flows.membership import leaves
from policy.flows.outlook import Outlook
from policy.flows.vnics import out_port_of, zone_of
from policy.model import Document, Group
from topology.addresses import Prefix, may_flood
from topology.inventory import Place
from topology.ports import VnicPort
from topology.vnic import offline_vnics

# vNICs of a block share a flow, so a port that comes or goes rewrites one flow of a sixteenth of the network's vNICs
# here. A copy takes 88 bytes of the 64 KiB that a flow's actions may have:
# 16 blocks hold some 11,000 vNICs of one network on one bridge.
BLOCKS = 16


def block_of(port: VnicPort) -> int:
    """The block of a vNIC; it follows from the vNIC's zone alone."""
    return zone_of(port) % BLOCKS


def copied(port: VnicPort) -> tuple[object, ...]:
    """All of a port that its copies depend on, beside the groups of its vNIC."""
    return port.vlan, zone_of(port), out_port_of(port), port.vnic.id, port.vnic.scope


def network_flow(vlan: int, blocks: Iterable[int]) -> Flow:
    """The flow that sends flooded packets of a network to its blocks, and out by the uplinks."""
    actions: list[Action] = []
    for block in sorted(blocks):
        actions += [Load(f.BLOCK, block), Resubmit("COPIES")]
    # What follows is nobody's copy any more.
    outward = (Load(f.ARRIVES, 0), Load(f.DST_VNIC, 0), Resubmit("OUTWARD"))
    return flow("FLOOD", 100, match(exact(f.VLAN, vlan)), (*actions, *outward), cookie(Kind.NETWORK, vlan))


def copy_flows(
    vlan: int, block: int, ports: Iterable[VnicPort], identities: Identities, outlook: Outlook
) -> Iterator[Flow]:
    """The flows that copy flooded packets to the firewalled vNICs of one block of a network; there is at least one."""
    ports = sorted(ports, key=zone_of)
    found: dict[int, Members] = {outlook.of_own(shared): shared for shared in identities.flooded[ports[0].vnic.scope]}
    for number, shared in sorted(found.items()):
        actions: list[Action] = []
        for port in ports:
            own = identities.of_vnic[port.vnic.id] | shared
            actions += [
                Load(f.DST_VNIC, zone_of(port)),
                Load(f.OUT_PORT, out_port_of(port)),
                Load(f.DST_ID, outlook.of_own(own)),
                Resubmit("ARRIVE"),
            ]
        # The next block is looked up by the packet's own destination again.
        actions.append(Load(f.DST_ID, number))
        yield flow(
            "COPIES",
            100,
            match(exact(f.VLAN, vlan), exact(f.BLOCK, block), exact(f.DST_ID, number)),
            actions,
            cookie(Kind.NETWORK, vlan),
        )


def too_many_copies(document: Document) -> Problem | None:
    """What is wrong with a policy whose rules tell too many multicast destinations apart for its VMs."""
    many: dict[Prefix, Group] = {}
    for group in referenced_groups(document):
        for leaf in filter(attrgetter("floods"), leaves(group)):
            many.update((prefix, group) for prefix in (*leaf.cidrs, *leaf.excepts) if may_flood(prefix))
    # Mostly that is enough to know: each prefix changes the set of groups once.
    if not many or sum(len(vm.vnics) for vm in document.inventory.vms) * (len(many) + 1) <= MAX_COPIED:
        return None
    crowded = identify(document, offline_vnics(document.inventory)).crowded
    if not crowded:
        return None
    places = [group.place for group in many.values() if group.place is not None]
    return Problem(
        places[-1] if places else Place(".", 1, 1),
        "rules name so many groups with multicast CIDRs that these, times the kinds of VMs in scope "
        f"{min(crowded)!r}, are more than {MAX_COPIED:,} combinations",
    )
