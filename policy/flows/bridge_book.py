"""The flows of one bridge, kept in pieces from one time to the next: its answers are those of a new one, in the time
that the changes take.

Each piece is a function of few things: a vNIC's of its port, a block's copies of its ports and their groups, a rule's
of the identities that meet in it here, and of its priority. Those whose things have not changed are not made again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping

from policy.flows.address_book import AddressBook
from policy.flows.compile import Compiled
from policy.flows.floods import block_of, copied, copy_flows, network_flow
from policy.flows.flow import Flow, Key
from policy.flows.identity import Identities
from policy.flows.learning import asker_flow
from policy.flows.local_vnics import LocalVnics, Numbers, places_of
from policy.flows.meters import Meter, common_meters, vnic_meters
from policy.flows.outlook import Outlook
from policy.flows.pieces import Piece, Pieces, Wanted, piece
from policy.flows.rule_book import RuleBook
from policy.flows.uplinks import all_uplinks_flow, as_uplink, uplink_flows
from policy.flows.vnics import isolated_flows, vnic_flows
from policy.limits import limits_of
from policy.model import Document, LimitEntry, Limits
from topology.breath import breathing
from topology.learned import FIRST_USE
from topology.ports import Bridge, IsolatedPort, UplinkPort, VnicPort, port_order
from topology.shared_map import SharedMap

Flows = Mapping[Key, Flow]
Changes = dict[Hashable, Piece | None]
# A network's block of vNICs; an OpenFlow port that is shut, with the tag if it is only a sub-port.
_Block = tuple[int, int]
_Shut = tuple[int, int]


def bridge_flows(compiled: Compiled, bridge: Bridge, held: Mapping[int, int]) -> dict[Key, Flow]:
    """All flows of a bridge. ``held``: the priorities that rules have there now, by rule number.

    Raises ``FlowError`` for a defect: two flows that cannot both be.
    """
    return BridgeBook().wanted(compiled, bridge, held).flat()


class BridgeBook:
    """What is wanted on one bridge, one time after the other."""

    def __init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        self._compiled: Compiled | None = None
        self._bridge: Bridge | None = None
        self._own: Pieces = SharedMap()
        self._wanted: Wanted | None = None
        self._vnics = LocalVnics()
        self._outlook = Outlook()
        self._rules = RuleBook(self._vnics, self._outlook)
        self._addresses = AddressBook(self._vnics, self._outlook)
        self._shut: dict[_Shut, IsolatedPort] = {}
        self._uplinks: tuple[UplinkPort, ...] = ()
        self._trusted: dict[str, VnicPort] = {}
        # vNICs by network and block, and the blocks in which something has changed.
        self._blocks: dict[_Block, dict[int, VnicPort]] = defaultdict(dict)
        self._stale_blocks: set[_Block] = set()
        common = {meter.number: meter for meter in common_meters()}
        self._meters: SharedMap[int, Meter] = SharedMap[int, Meter]().with_changes(common)
        # What the limits of the vNICs follow from.
        self._limits: tuple[LimitEntry, ...] = ()

    def wanted(self, compiled: Compiled, bridge: Bridge, held: Mapping[int, int]) -> Wanted:
        """What the bridge must hold. ``held``: the priorities that rules have there now, by rule number.

        vNICs without a conntrack zone are left out: nothing of them passes. Raises ``FlowError`` for a defect.
        """
        if self._compiled is not None and (
            compiled.identities.edition != self._compiled.identities.edition
            or self._outlook.crowded(compiled.identities)
        ):
            self._forget()
        identities, changes = compiled.identities, Changes()
        gone = self._take_ports(compiled, bridge, changes)
        meters = self._take_limits(compiled.document, set(gone))
        moved = self._take_groups(identities, set(gone))
        self._vnics.find(identities, moved)
        self._rules.choose(compiled)
        changed = self._outlook.turn(identities, *self._rules.groups)
        seen_anew = frozenset[int]().union(*(identities.holding.get(group, ()) for group in changed))
        changes |= self._rules.changes(compiled, seen_anew, held)
        self._copy_floods(identities, seen_anew, changes)
        touched = [*gone.values(), *(self._vnics.by_zone.get(zone) for zone in moved)]
        places = {place for port in touched if port is not None for place in places_of(port)}
        changes |= self._addresses.changes(identities, compiled.pieces, places, seen_anew)
        self._compiled, self._bridge = compiled, bridge
        own = self._own.with_changes(changes)
        same = own is self._own and meters is self._meters
        if self._wanted is None or not same or compiled.shared is not self._wanted.shared:
            self._own, self._meters = own, meters
            self._wanted = Wanted(own, compiled.shared, self._rules.priorities, meters)
        return self._wanted

    # --- ports

    def _take_ports(self, compiled: Compiled, bridge: Bridge, changes: Changes) -> dict[int, VnicPort | None]:
        """The pieces of ports that have changed. Tells the zones of vNICs where that is so, with who was there."""
        if bridge is self._bridge:
            return {}
        if self._bridge is None and bridge.dpid is not None and not compiled.learn.isdisjoint(FIRST_USE):
            changes["asker"] = piece([asker_flow(bridge.dpid)])
        gone = self._vnics.take(bridge.vnics)
        for zone, before in breathing(gone.items(), 8):
            now = self._vnics.by_zone.get(zone)
            scope = 0 if now is None else compiled.identities.scopes.get(now.vnic.scope, 0)
            changes["vnic", zone] = None if now is None else piece(vnic_flows(now, scope, compiled.learn))
            if before is not None:
                del self._blocks[before.vlan, block_of(before)][zone]
            if now is not None:
                self._blocks[now.vlan, block_of(now)][zone] = now
            if before is None or now is None or copied(before) != copied(now):
                self._stale_blocks.update((port.vlan, block_of(port)) for port in (before, now) if port is not None)
        self._take_shut(bridge, changes)
        self._take_uplinks(bridge, changes)
        return gone

    def _take_groups(self, identities: Identities, moved: set[int]) -> set[int]:
        """The zones of vNICs that have ``moved``, or whose groups, or those of whose addresses, have changed."""
        last = self._compiled.identities if self._compiled is not None else None
        if last is None or last is identities:
            return moved
        vnics, addresses = self._vnics.regrouped(identities, last)
        self._copy_anew(vnics)
        return moved | vnics | addresses

    def _take_limits(self, document: Document, moved: set[int]) -> SharedMap[int, Meter]:
        """The meters: those of vNICs that have changed, or of all if other limits hold."""
        stale = {*moved}
        if document.limits != self._limits:
            self._limits = document.limits
            stale.update(self._vnics.by_zone)
        changes: dict[int, Meter | None] = {}
        for zone in stale:
            port = self._vnics.by_zone.get(zone)
            for meter in vnic_meters(zone, limits_of(document, port.vnic) if port is not None else Limits()):
                changes[meter.number] = meter if port is not None else None
        return self._meters.with_changes(changes)

    def _take_shut(self, bridge: Bridge, changes: Changes) -> None:
        """One piece for an OpenFlow port or sub-port, however many interfaces are said to have it."""
        shut: dict[_Shut, IsolatedPort] = {}
        for port in bridge.isolated:
            if port.ofport is not None:
                shut.setdefault((port.ofport, port.tag), port)
        for where in self._shut.keys() - shut.keys():
            changes["shut", where] = None
        for where, port in shut.items():
            if self._shut.get(where) is not port:
                changes["shut", where] = piece(isolated_flows(port))
        self._shut = shut

    def _take_uplinks(self, bridge: Bridge, changes: Changes) -> None:
        last = self._bridge.vnics if self._bridge is not None else SharedMap[str, VnicPort]()
        for holder, _, now in bridge.vnics.changes_since(last):
            self._trusted.pop(holder, None)
            if now is not None and now.vnic.trusted:
                self._trusted[holder] = now
        trusted = map(as_uplink, sorted(self._trusted.values(), key=port_order))
        uplinks = (*bridge.uplinks, *trusted)
        if uplinks == self._uplinks:
            return
        for uplink in {*self._uplinks} - {*uplinks}:
            changes["uplink", uplink] = None
        for uplink in {*uplinks} - {*self._uplinks}:
            changes["uplink", uplink] = piece(uplink_flows(uplink))
        changes["uplinks"] = piece(filter(None, [all_uplinks_flow(uplinks)])) or None
        self._uplinks = uplinks

    # --- floods

    def _copy_anew(self, zones: Iterable[int]) -> None:
        for zone in zones:
            port = self._vnics.by_zone[zone]
            self._stale_blocks.add((port.vlan, block_of(port)))

    def _copy_floods(self, identities: Identities, seen_anew: Numbers, changes: Changes) -> None:
        if seen_anew:
            sets = {identities.members[number] for number in seen_anew}
            everywhere = any(not shared.isdisjoint(sets) for shared in identities.flooded.values())
            self._copy_anew(self._vnics.by_zone if everywhere else self._vnics.meant_by_floods(sets))
        for vlan, block in breathing(self._stale_blocks, 2):
            ports = self._blocks[vlan, block]
            if ports:
                changes["copies", vlan, block] = piece(
                    copy_flows(vlan, block, ports.values(), identities, self._outlook)
                )
            else:
                changes["copies", vlan, block] = None
                del self._blocks[vlan, block]
        for vlan in {vlan for vlan, _ in self._stale_blocks}:
            blocks = [block for where, block in self._blocks if where == vlan]
            changes["flood", vlan] = (network_flow(vlan, blocks),) if blocks else None
        self._stale_blocks.clear()
