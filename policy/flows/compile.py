"""All flows of one bridge: policy, universe of vNICs and the bridge's own ports in; flows out. Nothing else decides.

What is alike on all bridges is made once: the fixed flows, the scopes of VLANs, and who has which address.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field

from policy.flows import fields as f
from policy.flows.cookies import Kind, cookie
from policy.flows.flow import Flow, Load, exact, flow, match, prefix_conditions
from policy.flows.identity import Identities, Members, Place
from policy.flows.identity_book import IdentityBook
from policy.flows.meetings import Meeting, MeetingBook
from policy.flows.pieces import Piece, Pieces, piece
from policy.flows.placement import place
from policy.flows.plumbing import fixed_flows, scope_flows
from policy.flows.rules import NumberedRule, audit_flows, numbered
from policy.flows.shared_map import SharedMap
from policy.model import Document, Tier
from topology.vnic import Vnic


@dataclass(frozen=True, slots=True, eq=False)
class Compiled:
    """A policy made ready for any bridge: rules with their numbers, identities over the whole universe.

    ``meetings``: the identities that meet in each rule, by its number. ``shared``: the flows that all bridges have.
    """

    document: Document
    rules: tuple[NumberedRule, ...]
    identities: Identities
    meetings: SharedMap[int, Meeting] = field(default_factory=SharedMap)
    shared: Pieces = field(default_factory=SharedMap)


def prepare(document: Document, vnics: Iterable[Vnic], *, audit: bool = False) -> Compiled:
    """Number the rules and find the identities. ``vnics``: every vNIC that is known, on whatever bridge.

    ``audit``: what no rule decides is told and allowed, not denied.
    """
    return PolicyBook(audit=audit).prepare(document, {vnic.id: vnic for vnic in vnics})


class PolicyBook:
    """One prepared policy after the other: the answers are those of `prepare`, in the time that the changes take."""

    def __init__(self, *, audit: bool = False) -> None:
        self._audit = audit
        self._identities = IdentityBook()
        self._meetings = MeetingBook()
        self._last: Compiled | None = None

    def prepare(self, document: Document, vnics: Mapping[str, Vnic]) -> Compiled:
        """As the function of that name; ``vnics`` by id."""
        last = self._last
        identities = self._identities.identify(document, vnics)
        rules = last.rules if last is not None and last.document is document else numbered(document)
        meetings = self._meetings.meetings(rules, identities)
        self._last = Compiled(document, rules, identities, meetings, self._shared(document, identities))
        return self._last

    def _shared(self, document: Document, identities: Identities) -> Pieces:
        last = self._last
        changes: dict[Hashable, Piece | None] = {}
        if last is None or last.document.builtins != document.builtins:
            changes["fixed"] = piece(fixed_flows(document.builtins, audit=self._audit))
        changes["audits"] = piece(audit_flows(sum(policy.audit for policy in document.policies))) or None
        same_scopes = last is not None and last.identities.scopes == identities.scopes
        if last is None or not same_scopes or last.document.inventory.networks != document.inventory.networks:
            changes["scopes"] = piece(_scope_flows(document, identities))
        if last is not None and last.identities.edition == identities.edition:
            entries = [(key, now) for key, _, now in identities.entries.changes_since(last.identities.entries)]
        else:
            gone = () if last is None else last.identities.entries.keys() - identities.entries.keys()
            entries = [*identities.entries.items(), *((key, None) for key in gone)]
        for key, members in entries:
            changes["entry", *key] = None if members is None else piece(_entry_flows(identities, key, members))
        return (last.shared if last is not None else SharedMap()).with_changes(changes)


def placed(rules: Iterable[NumberedRule], held: Mapping[int, int]) -> dict[int, int]:
    """A priority for each rule, tier by tier."""
    of_tier: dict[Tier, list[int]] = {tier: [] for tier in Tier}
    for entry in rules:
        of_tier[entry.policy.tier].append(entry.number)
    result: dict[int, int] = {}
    for order in of_tier.values():
        result.update(place(order, held))
    return result


def _scope_flows(document: Document, identities: Identities) -> Iterable[Flow]:
    """The scope of a VLAN that comes in by an uplink, where it is not the default."""
    for network in document.inventory.networks:
        scope = identities.scopes[network.scope]
        if scope:
            yield from scope_flows(network.vlan, scope)


def _entry_flows(identities: Identities, place: Place, members: Members) -> Iterable[Flow]:
    """Who has an address, looked up as a packet's source and as its destination."""
    scope, prefix = place
    number = identities.number(members)
    mark = cookie(Kind.IDENTITY, number)
    where = exact(f.SCOPE, identities.scopes[scope])
    for table, source, field_ in (("SRC_ID", True, f.SRC_ID), ("DST_ID", False, f.DST_ID)):
        tests = match(where, prefix_conditions(prefix, source))
        yield flow(table, 100 + prefix.prefixlen, tests, (Load(field_, number),), mark)
