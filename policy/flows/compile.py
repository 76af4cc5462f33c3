"""All flows of one bridge: policy, universe of vNICs and the bridge's own ports in; flows out. Nothing else decides."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from policy.flows import fields as f
from policy.flows.cookies import Kind, cookie
from policy.flows.floods import flood_flows, flood_identities
from policy.flows.flow import Flow, FlowError, Key, Limit, Load, Punt, exact, flow, match, prefix_conditions
from policy.flows.identity import Identities, identify
from policy.flows.meters import Meter, strangers_meter, vnic_meters
from policy.flows.placement import place
from policy.flows.plumbing import fixed_flows, scope_flows
from policy.flows.rules import NumberedRule, numbered, tier_flows
from policy.flows.uplinks import all_uplinks_flow, as_uplink, uplink_flows
from policy.flows.vnics import isolated_flows, vnic_flows, zone_of
from policy.limits import limits_of
from policy.model import Document, Side, Tier
from topology.ports import Bridge
from topology.vnic import Vnic

Flows = Mapping[Key, Flow]


@dataclass(frozen=True, slots=True)
class Compiled:
    """A policy made ready for any bridge: rules with their numbers, identities over the whole universe."""

    document: Document
    rules: tuple[NumberedRule, ...]
    identities: Identities


def prepare(document: Document, vnics: Iterable[Vnic]) -> Compiled:
    """Number the rules and find the identities. ``vnics``: every vNIC that is known, on whatever bridge."""
    return Compiled(document, numbered(document), identify(document, vnics))


def bridge_flows(compiled: Compiled, bridge: Bridge, held: Mapping[int, int]) -> dict[Key, Flow]:
    """The flows of a bridge. ``held``: the priorities that rules have there now, by rule number.

    vNICs without a conntrack zone are left out: nothing of them passes. Raises ``FlowError`` for a defect.
    """
    identities = compiled.identities
    firewalled = [port for port in bridge.vnic_ports if port.zone is not None and not port.vnic.trusted]
    uplinks = [*bridge.uplinks, *(as_uplink(port) for port in bridge.vnic_ports if port.vnic.trusted)]
    flows: dict[Key, Flow] = {}

    def add(found: Iterable[Flow]) -> None:
        for item in found:
            if flows.setdefault(item.key, item) != item:
                raise FlowError(f"two flows in {item.table} at priority {item.priority} with one match")

    add(fixed_flows(compiled.document.builtins))
    for uplink in uplinks:
        add(uplink_flows(uplink))
    add(filter(None, [all_uplinks_flow(uplinks)]))
    for shut in bridge.isolated:
        add(isolated_flows(shut))
    for port in firewalled:
        add(vnic_flows(port, identities.scopes.get(port.vnic.scope, 0)))
    add(flood_flows(firewalled, identities))
    add(_scope_flows(compiled))
    add(_identity_flows(identities))
    own = local_identities(identities, (port.vnic for port in firewalled))
    arriving = own | flood_identities(firewalled, identities)
    priorities = placed(compiled.rules, held)
    add(tier_flows(compiled.rules, Side.EGRESS, identities, own, priorities))
    add(tier_flows(compiled.rules, Side.INGRESS, identities, arriving, priorities))
    return flows


def bridge_meters(document: Document, bridge: Bridge) -> dict[int, Meter]:
    """The meters that a bridge's flows need, by number."""
    firewalled = [port for port in bridge.vnic_ports if port.zone is not None and not port.vnic.trusted]
    meters = [strangers_meter()]
    for port in firewalled:
        meters += vnic_meters(zone_of(port), limits_of(document, port.vnic))
    return {meter.number: meter for meter in meters}


def unmetered(flows: Mapping[Key, Flow]) -> dict[Key, Flow]:
    """The same for a switch without meters: nothing is limited, and the controller is told nothing.

    An unlimited copy to the controller would let one guest drown it.
    """
    return {
        key: replace(item, actions=tuple(action for action in item.actions if not isinstance(action, Limit | Punt)))
        for key, item in flows.items()
    }


def placed(rules: Iterable[NumberedRule], held: Mapping[int, int]) -> dict[int, int]:
    """A priority for each rule, tier by tier."""
    result: dict[int, int] = {}
    for tier in Tier:
        result.update(place([entry.number for entry in rules if entry.policy.tier is tier], held))
    return result


def local_identities(identities: Identities, vnics: Iterable[Vnic]) -> set[int]:
    """The identities that the addresses of these vNICs can have."""
    result: set[int] = set()
    owned = [(vnic.scope, prefix) for vnic in vnics for prefix in vnic.addresses]
    result.update(identities.number(identities.blocks[key]) for key in owned)
    wide = [(scope, prefix) for scope, prefix in owned if prefix.prefixlen < prefix.max_prefixlen]
    for scope, prefix in wide:
        for (where, block), members in identities.blocks.items():
            if where == scope and block.version == prefix.version and block.subnet_of(prefix):  # type: ignore[arg-type]
                result.add(identities.number(members))
    return result


def _scope_flows(compiled: Compiled) -> Iterable[Flow]:
    """The scope of a VLAN that comes in by an uplink, where it is not the default."""
    for network in compiled.document.inventory.networks:
        scope = compiled.identities.scopes[network.scope]
        if scope:
            yield from scope_flows(network.vlan, scope)


def _identity_flows(identities: Identities) -> Iterable[Flow]:
    for (scope, prefix), members in identities.entries.items():
        number = identities.number(members)
        mark = cookie(Kind.IDENTITY, number)
        where = exact(f.SCOPE, identities.scopes[scope])
        for table, source, field in (("SRC_ID", True, f.SRC_ID), ("DST_ID", False, f.DST_ID)):
            tests = match(where, prefix_conditions(prefix, source))
            yield flow(table, 100 + prefix.prefixlen, tests, (Load(field, number),), mark)
