"""The flows of one bridge, kept in pieces from one time to the next: its answers are those of a new one, in the time
that the changes take.

Each piece is a function of few things: a vNIC's of its port, a block's copies of its ports and their groups, a rule's
of the identities that meet in it here, and of its priority. Those whose things have not changed are not made again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace

from policy.flows.compile import Compiled, placed, prepare
from policy.flows.floods import block_of, copy_flows, network_flow
from policy.flows.flow import Flow, Key
from policy.flows.identity import Identities, Members, Place
from policy.flows.meetings import Meeting
from policy.flows.meters import Meter, strangers_meter, vnic_meters
from policy.flows.pieces import Piece, Pieces, Wanted, piece
from policy.flows.rules import NumberedRule, enforced, rule_flows
from policy.flows.shared_map import SharedMap
from policy.flows.uplinks import all_uplinks_flow, as_uplink, uplink_flows
from policy.flows.vnics import isolated_flows, vnic_flows, zone_of
from policy.limits import limits_of
from policy.model import Document, LimitEntry, Limits, Side
from topology.ports import Bridge, IsolatedPort, UplinkPort, VnicPort

Flows = Mapping[Key, Flow]
Numbers = frozenset[int]
Changes = dict[Hashable, Piece | None]
# A network's block of vNICs.
_Block = tuple[int, int]


def bridge_flows(compiled: Compiled, bridge: Bridge, held: Mapping[int, int]) -> dict[Key, Flow]:
    """All flows of a bridge. ``held``: the priorities that rules have there now, by rule number.

    Raises ``FlowError`` for a defect: two flows that cannot both be.
    """
    return BridgeBook().wanted(compiled, bridge, held).flat()


def bridge_meters(document: Document, bridge: Bridge) -> dict[int, Meter]:
    """All meters of a bridge, by number."""
    return dict(BridgeBook().wanted(prepare(document, [port.vnic for port in bridge.vnic_ports]), bridge, {}).meters)


class BridgeBook:
    """What is wanted on one bridge, one time after the other."""

    def __init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        self._compiled: Compiled | None = None
        self._bridge: Bridge | None = None
        self._own: Pieces = SharedMap()
        self._wanted: Wanted | None = None
        # Firewalled vNICs, by zone; and those who own a prefix.
        self._vnics: dict[int, VnicPort] = {}
        self._owners: dict[Place, int] = {}
        self._wide: dict[int, VnicPort] = {}
        # Zones of vNICs with addresses that are in the identities only by what encloses them: another port of the same
        # vNIC says otherwise about its addresses, and counts.
        self._strays: set[int] = set()
        self._zones: dict[str, int] = {}
        self._shut: dict[int, IsolatedPort] = {}
        self._uplinks: tuple[UplinkPort, ...] = ()
        # vNICs by network and block, and the blocks in which something has changed.
        self._blocks: dict[_Block, dict[int, VnicPort]] = defaultdict(dict)
        self._stale_blocks: set[_Block] = set()
        # The sets of groups under which a vNIC, by zone, opens connections or is meant by them.
        self._reach: dict[int, tuple[frozenset[Members], frozenset[Members]]] = {}
        self._here: tuple[Numbers, Numbers] = frozenset(), frozenset()
        self._placed: tuple[Sequence[NumberedRule], Mapping[int, int], Mapping[int, int]] | None = None
        # What each rule's piece at a side was made of.
        self._made_of: dict[tuple[int, Side], tuple[object, ...]] = {}
        self._in_use: dict[tuple[int, Side], int] = {}
        self._met: tuple[Numbers, Numbers] | None = None
        self._last_priorities: Mapping[int, int] = {}
        stranger = strangers_meter()
        self._meters: SharedMap[int, Meter] = SharedMap[int, Meter]().with_changes({stranger.number: stranger})
        # What the limits of the vNICs follow from.
        self._limits: tuple[LimitEntry, ...] = ()

    def wanted(self, compiled: Compiled, bridge: Bridge, held: Mapping[int, int]) -> Wanted:
        """What the bridge must hold. ``held``: the priorities that rules have there now, by rule number.

        vNICs without a conntrack zone are left out: nothing of them passes. Raises ``FlowError`` for a defect.
        """
        if self._compiled is not None and compiled.identities.edition != self._compiled.identities.edition:
            self._forget()
        changes: Changes = {}
        moved = self._take_ports(compiled.identities, bridge, changes)
        meters = self._take_limits(compiled.document, moved)
        self._take_groups(compiled.identities, moved)
        self._copy_floods(compiled.identities, changes)
        here = self._find_identities(compiled.identities, moved)
        self._apply_rules(compiled, here, held, changes)
        self._compiled, self._bridge = compiled, bridge
        own = self._own.with_changes(changes)
        same = own is self._own and meters is self._meters
        if self._wanted is None or not same or compiled.shared is not self._wanted.shared:
            self._own, self._meters = own, meters
            priorities = {number: priority for (number, _), priority in self._in_use.items()}
            self._wanted = Wanted(own, compiled.shared, priorities, meters)
        return self._wanted

    # --- ports

    def _take_ports(self, identities: Identities, bridge: Bridge, changes: Changes) -> set[int]:
        """The pieces of ports that have changed; the zones of vNICs that have come, gone or changed."""
        if bridge is self._bridge:
            return set()
        vnics = {
            zone_of(port): port for port in bridge.vnic_ports if port.zone is not None and not port.vnic.trusted
        }
        moved = {zone for zone, port in vnics.items() if self._vnics.get(zone) is not port}
        moved.update(self._vnics.keys() - vnics.keys())
        for zone in moved:
            self._remove(zone)
        for zone in moved & vnics.keys():
            self._add(zone, vnics[zone])
        for zone in moved:
            port = vnics.get(zone)
            scope = 0 if port is None else identities.scopes.get(port.vnic.scope, 0)
            changes["vnic", zone] = None if port is None else piece(vnic_flows(port, scope))
        self._vnics = vnics
        self._take_shut(bridge, changes)
        self._take_uplinks(bridge, changes)
        return moved

    def _take_limits(self, document: Document, moved: set[int]) -> SharedMap[int, Meter]:
        """The meters: those of vNICs that have changed, or of all if other limits hold."""
        stale = {*moved}
        if document.limits != self._limits:
            self._limits = document.limits
            stale.update(self._vnics)
        changes: dict[int, Meter | None] = {}
        for zone in stale:
            port = self._vnics.get(zone)
            for meter in vnic_meters(zone, limits_of(document, port.vnic) if port is not None else Limits()):
                changes[meter.number] = meter if port is not None else None
        return self._meters.with_changes(changes)

    def _take_shut(self, bridge: Bridge, changes: Changes) -> None:
        """One piece for an OpenFlow port, however many interfaces are said to have it."""
        shut: dict[int, IsolatedPort] = {}
        for port in bridge.isolated:
            if port.ofport is not None:
                shut.setdefault(port.ofport, port)
        for ofport in self._shut.keys() - shut.keys():
            changes["shut", ofport] = None
        for ofport, port in shut.items():
            if self._shut.get(ofport) is not port:
                changes["shut", ofport] = piece(isolated_flows(port))
        self._shut = shut

    def _take_uplinks(self, bridge: Bridge, changes: Changes) -> None:
        uplinks = (*bridge.uplinks, *(as_uplink(port) for port in bridge.vnic_ports if port.vnic.trusted))
        if uplinks == self._uplinks:
            return
        for uplink in {*self._uplinks} - {*uplinks}:
            changes["uplink", uplink] = None
        for uplink in {*uplinks} - {*self._uplinks}:
            changes["uplink", uplink] = piece(uplink_flows(uplink))
        changes["uplinks"] = piece(filter(None, [all_uplinks_flow(uplinks)])) or None
        self._uplinks = uplinks

    def _remove(self, zone: int) -> None:
        port = self._vnics.get(zone)
        if port is None:
            return
        for prefix in port.vnic.addresses:
            if self._owners.get((port.vnic.scope, prefix)) == zone:
                del self._owners[port.vnic.scope, prefix]
        self._wide.pop(zone, None)
        self._strays.discard(zone)
        if self._zones.get(port.vnic.id) == zone:
            del self._zones[port.vnic.id]
        del self._blocks[port.vlan, block_of(port)][zone]
        self._stale_blocks.add((port.vlan, block_of(port)))
        self._reach.pop(zone, None)

    def _add(self, zone: int, port: VnicPort) -> None:
        for prefix in port.vnic.addresses:
            self._owners[port.vnic.scope, prefix] = zone
            if prefix.prefixlen < prefix.max_prefixlen:
                self._wide[zone] = port
        self._zones[port.vnic.id] = zone
        self._blocks[port.vlan, block_of(port)][zone] = port
        self._stale_blocks.add((port.vlan, block_of(port)))

    # --- identities

    def _take_groups(self, identities: Identities, moved: set[int]) -> None:
        """Adds to ``moved`` the zones of vNICs whose groups, or those of whose addresses, have changed."""
        last = self._compiled.identities if self._compiled is not None else None
        if last is None:
            return
        if identities.flooded is not last.flooded and identities.flooded != last.flooded:
            moved.update(self._vnics)
            self._stale_blocks.update(self._blocks)
        if identities.of_vnic is not last.of_vnic:
            for vnic, _, _ in identities.of_vnic.changes_since(last.of_vnic):
                zone = self._zones.get(vnic)
                if zone is not None:
                    moved.add(zone)
                    self._stale_blocks.add((self._vnics[zone].vlan, block_of(self._vnics[zone])))
        if identities.blocks is not last.blocks:
            changed = [place for place, _, _ in identities.blocks.changes_since(last.blocks)]
            moved.update(self._owners[place] for place in changed if place in self._owners)
            if changed:
                moved.update(self._wide)
                moved.update(self._strays)

    def _find_identities(self, identities: Identities, moved: set[int]) -> tuple[Numbers, Numbers]:
        """The identities that the addresses of this bridge's vNICs can have; and with those of flooded packets."""
        if not moved:
            return self._here
        inside = identities.inside((port.vnic.scope, prefix) for port in self._wide.values()
                                   for prefix in port.vnic.addresses)  # fmt: skip
        for zone in moved & self._vnics.keys():
            vnic = self._vnics[zone].vnic
            groups = identities.of_vnic[vnic.id]
            own = {identities.at(vnic.scope, prefix) for prefix in vnic.addresses}
            if any((vnic.scope, prefix) not in identities.blocks for prefix in vnic.addresses):
                self._strays.add(zone)
            else:
                self._strays.discard(zone)
            self._reach[zone] = frozenset(own), frozenset(groups | shared for shared in identities.flooded[vnic.scope])
        opening = inside.union(*(own for own, _ in self._reach.values()))
        meant = opening.union(*(arriving for _, arriving in self._reach.values()))
        self._here = frozenset(map(identities.number, opening)), frozenset(map(identities.number, meant))
        return self._here

    def _copy_floods(self, identities: Identities, changes: Changes) -> None:
        for vlan, block in self._stale_blocks:
            ports = self._blocks[vlan, block]
            if ports:
                changes["copies", vlan, block] = piece(copy_flows(vlan, block, ports.values(), identities))
            else:
                changes["copies", vlan, block] = None
                del self._blocks[vlan, block]
        for vlan in {vlan for vlan, _ in self._stale_blocks}:
            blocks = [block for where, block in self._blocks if where == vlan]
            changes["flood", vlan] = (network_flow(vlan, blocks),) if blocks else None
        self._stale_blocks.clear()

    # --- rules

    def _apply_rules(
        self, compiled: Compiled, here: tuple[Numbers, Numbers], held: Mapping[int, int], changes: Changes
    ) -> None:
        priorities = self._priorities(compiled.rules, held)
        last = self._compiled
        if last is not None and here == self._met:
            found = {number: now for number, _, now in compiled.meetings.changes_since(last.meetings)}
            if priorities is not self._last_priorities:
                moved = priorities.items() - self._last_priorities.items()
                found.update((number, compiled.meetings[number]) for number, _ in moved)
        else:
            found = {} if last is None else dict.fromkeys(last.meetings)
            found.update(compiled.meetings)
        self._met, self._last_priorities = here, priorities
        for number, meeting in found.items():
            for side in Side:
                self._apply(compiled.identities, number, meeting, side, priorities, changes)

    def _apply(
        self,
        identities: Identities,
        number: int,
        meeting: Meeting | None,
        side: Side,
        priorities: Mapping[int, int],
        changes: Changes,
    ) -> None:
        """The piece of one rule at one side."""
        if meeting is None or not enforced(meeting.entry.rule, side):
            self._note(number, side, None, 0, changes)
            return
        local = self._here[side is Side.INGRESS]
        deciding, peers = meeting.deciding(side), meeting.peers(side)
        own = None if deciding is None else deciding & local
        if own == frozenset() or peers == frozenset():
            # No vNIC here, or no peer anywhere, can meet it.
            self._note(number, side, None, 0, changes)
            return
        made_of = (meeting.rest, own, peers, priorities[number])
        if self._made_of.get((number, side)) == made_of:
            return
        self._made_of[number, side] = made_of
        met = (own or frozenset()) | (peers or frozenset())
        narrowed = replace(identities, members={each: identities.members[each] for each in met})
        flows = piece(rule_flows(meeting.entry, side, narrowed, own or frozenset(), priorities[number]))
        self._note(number, side, flows or None, priorities[number], changes)

    def _note(self, number: int, side: Side, flows: Piece | None, priority: int, changes: Changes) -> None:
        changes["rule", side, number] = flows
        if flows is None:
            self._in_use.pop((number, side), None)
            self._made_of.pop((number, side), None)
        else:
            self._in_use[number, side] = priority

    def _priorities(self, rules: Sequence[NumberedRule], held: Mapping[int, int]) -> Mapping[int, int]:
        if self._placed is None or self._placed[0] is not rules or self._placed[1] != held:
            found = placed(rules, held)
            same = self._placed is not None and self._placed[2] == found
            self._placed = rules, dict(held), self._placed[2] if same and self._placed is not None else found
        return self._placed[2]
