"""What is alike on all bridges, made once: rules with their numbers, identities, and the flows that every bridge has.

Those are the fixed ones and the scopes of VLANs. Bridges that see an address alike share its flows, too. Policy and all
vNICs go in, nothing else.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field

from policy.flows.entries import EntryPieces
from policy.flows.flow import Flow
from policy.flows.identity import Identities
from policy.flows.identity_book import IdentityBook
from policy.flows.meetings import Meeting, MeetingBook
from policy.flows.pieces import Piece, Pieces, piece
from policy.flows.placement import Order
from policy.flows.plumbing import fixed_flows, scope_flows
from policy.flows.rules import NumberedRule, audit_flows, numbered
from policy.model import Document, Tier
from topology.learned import Source
from topology.shared_map import SharedMap, shared
from topology.vnic import Vnic


@dataclass(frozen=True, slots=True, eq=False)
class Compiled:
    """A policy made ready for any bridge: rules with their numbers, identities over the whole universe.

    ``orders``: the rules of each tier, by number. ``meetings``: the identities that meet in each rule, by its number.
    ``shared``: the flows that all bridges have. ``pieces``: those of addresses, which bridges with one view of an
    address share.
    ``learn``: from where vNICs whose addresses nobody states learn some.
    """

    document: Document
    rules: tuple[NumberedRule, ...]
    identities: Identities
    orders: tuple[Order, ...] = ()
    meetings: SharedMap[int, Meeting] = field(default_factory=SharedMap)
    shared: Pieces = field(default_factory=SharedMap)
    pieces: EntryPieces = field(default_factory=EntryPieces)
    learn: frozenset[Source] = frozenset()


def prepare(
    document: Document, vnics: Iterable[Vnic], *, audit: bool = False, learn: frozenset[Source] = frozenset()
) -> Compiled:
    """Number the rules and find the identities. ``vnics``: every vNIC that is known, on whatever bridge.

    ``audit``: what no rule decides is told and allowed, not denied. ``learn``: from where vNICs whose addresses nobody
    states learn some.
    """
    return PolicyBook(audit=audit, learn=learn).prepare(document, shared({vnic.id: vnic for vnic in vnics}))


class PolicyBook:
    """One prepared policy after the other: the answers are those of `prepare`, in the time that the changes take."""

    def __init__(self, *, audit: bool = False, learn: frozenset[Source] = frozenset()) -> None:
        self._audit, self._learn = audit, learn
        self._identities = IdentityBook()
        self._meetings = MeetingBook()
        self._pieces = EntryPieces()
        self._last: Compiled | None = None

    def prepare(self, document: Document, vnics: SharedMap[str, Vnic]) -> Compiled:
        """As the function of that name; ``vnics`` by id. Without a difference it is the same object."""
        last = self._last
        identities = self._identities.identify(document, vnics)
        if last is not None and last.document is document and last.identities is identities:
            return last
        same_rules = last is not None and last.document.policies is document.policies
        rules = last.rules if last is not None and same_rules else numbered(document)
        orders = last.orders if last is not None and last.rules is rules else self._orders(rules)
        meetings = self._meetings.meetings(rules, identities)
        entries = last.identities.entries if last is not None else identities.entries
        self._pieces.forget(identities, (place for place, _, _ in identities.entries.changes_since(entries)))
        shared = self._shared(document, identities)
        self._last = Compiled(document, rules, identities, orders, meetings, shared, self._pieces, self._learn)
        return self._last

    def _orders(self, rules: Iterable[NumberedRule]) -> tuple[Order, ...]:
        """The same object if no rule has come, gone or moved."""
        found, before = orders_of(rules), self._last.orders if self._last is not None else ()
        same = [each.numbers for each in found] == [each.numbers for each in before]
        return before if same else found

    def _shared(self, document: Document, identities: Identities) -> Pieces:
        last = self._last
        changes: dict[Hashable, Piece | None] = {}
        if last is None or last.document.builtins != document.builtins:
            changes["fixed"] = piece(fixed_flows(document.builtins, audit=self._audit, learn=self._learn))
        if last is None or last.document.policies is not document.policies:
            changes["audits"] = piece(audit_flows(sum(policy.audit for policy in document.policies))) or None
        same_scopes = last is not None and last.identities.scopes == identities.scopes
        if last is None or not same_scopes or last.document.inventory.networks != document.inventory.networks:
            changes["scopes"] = piece(_scope_flows(document, identities))
        return (last.shared if last is not None else SharedMap()).with_changes(changes)


def orders_of(rules: Iterable[NumberedRule]) -> tuple[Order, ...]:
    """The rules of each tier in their order."""
    of_tier: dict[Tier, list[int]] = {tier: [] for tier in Tier}
    for entry in rules:
        of_tier[entry.policy.tier].append(entry.number)
    return tuple(map(Order, of_tier.values()))


def _scope_flows(document: Document, identities: Identities) -> Iterable[Flow]:
    """The scope of a VLAN that comes in by an uplink, where it is not the default."""
    for network in document.inventory.networks:
        scope = identities.scopes[network.scope]
        if scope:
            yield from scope_flows(network.vlan, scope)
