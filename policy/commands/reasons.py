"""Why a flow exists: its cookie turned back into the rule, the vNIC, the group or the built-in that it is there for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from policy.commands.live import LiveVnic, everybody
from policy.flows.cookies import Builtin, Drop, Kind, Reason, is_ours, reason
from policy.flows.identity import NOBODY, Members
from policy.flows.identity_book import identify
from policy.flows.rules import NumberedRule, numbered
from policy.model import Document, Group
from policy.plain import counted
from topology.vnic import Vnic, offline_vnics

DROPS: Mapping[Drop, str] = {
    Drop.UNKNOWN_PORT_OR_MAC: "from a port that is not known, or with a MAC or VLAN tag that is not this vNIC's",
    Drop.SPOOFED_SOURCE: "from an address that is not this vNIC's, a foreign ARP claim, or neither ARP nor IP",
    Drop.FOREIGN_LINK_LAYER_ADDRESS: "neighbour discovery that tells a MAC which is not this vNIC's",
    Drop.FOREIGN_ND_TARGET: "neighbour discovery that claims an address which is not this vNIC's",
    Drop.DHCP_SERVER: "an answer of a DHCP server from a vNIC",
    Drop.ROUTER_ADVERTISEMENT: "a router advertisement or redirect from a vNIC",
    Drop.INVALID: "a packet that belongs to no connection, or one that no host sends",
    Drop.NOT_ADDRESSED_HERE: "a packet that is not addressed to this vNIC",
    Drop.CONTROL_SOURCE: "a source address that may speak only the protocols by which a host gets an address",
    Drop.NO_PASSAGE: "a packet that nothing lets pass",
    Drop.ROUTED_DISCOVERY: "neighbour or router discovery that a router passed on from elsewhere",
    Drop.UNHELPED: "a connection agreed on over another one that no rule with a helper allows, or to a port below 1024",
    Drop.FORGED_ERROR: "an ICMP error about a connection of two other vNICs",
}


@dataclass(frozen=True, slots=True)
class Why:
    """What a cookie means. ``kind`` None: not ours, or not of a version that we know.

    ``explained``: this policy (and the controller, where one was asked) accounts for it. ``name`` is a built-in's, a
    drop's or a side's; ``groups`` are those of an identity, ``vnics`` those with a conntrack zone.
    """

    cookie: int
    text: str
    ours: bool = True
    explained: bool = True
    kind: Kind | None = None
    name: str | None = None
    rule: NumberedRule | None = None
    groups: tuple[str, ...] | None = None
    vnics: tuple[str, ...] | None = None

    def json(self) -> dict[str, object]:
        """As `explain --json` prints it."""
        policy, rule = (self.rule.policy, self.rule.rule) if self.rule is not None else (None, None)
        return {
            "cookie": f"{self.cookie:#x}",
            "ours": self.ours,
            "explained": self.explained,
            "kind": self.kind.name.lower() if self.kind is not None else None,
            "text": self.text,
            "name": self.name,
            "verdict": rule.verdict.value if rule is not None else None,
            "tier": policy.tier.label if policy is not None else None,
            "tenant": policy.tenant if policy is not None else None,
            "policy": policy.name if policy is not None else None,
            "rule": rule.name if rule is not None else None,
            "file": rule.place.file if rule is not None else None,
            "line": rule.place.line if rule is not None else None,
            "groups": list(self.groups) if self.groups is not None else None,
            "vnics": list(self.vnics) if self.vnics is not None else None,
        }


@dataclass
class Reasons:
    """Explains cookies by a policy. ``ask`` tells a controller's vNICs (None: none answers); it is asked once at most,
    and only about what the policy's files cannot tell."""

    document: Document
    ask: Callable[[], tuple[LiveVnic, ...] | None]
    _known: dict[int, Why] = field(default_factory=dict)

    def why(self, cookie: int) -> Why:
        """What a cookie means. A dump has thousands of flows and few reasons: each is found once."""
        if cookie not in self._known:
            self._known[cookie] = self._why(cookie)
        return self._known[cookie]

    def _why(self, cookie: int) -> Why:
        found = reason(cookie)
        if found is None:
            if is_ours(cookie):
                text = "written by another version of Portcullis"
                return Why(cookie, text, explained=False)
            return Why(cookie, "not ours: no flow of Portcullis", ours=False, explained=False)
        if found.kind in (Kind.RULE, Kind.AUDIT):
            return self._rule(cookie, found)
        if found.kind is Kind.IDENTITY:
            return self._identity(cookie, found)
        if found.kind is Kind.VNIC:
            return self._vnic(cookie, found)
        text, name = self._plain(found)
        return Why(cookie, text, kind=found.kind, name=name)

    def _plain(self, found: Reason) -> tuple[str, str | None]:
        """What needs neither policy nor controller: the text, and the name where it has one."""
        number = found.number
        match found.kind:
            case Kind.DEFAULT:
                side = "ingress" if number else "egress"
                return f"default deny: no rule has decided the {side}", side
            case Kind.BUILTIN:
                builtin = Builtin(number)
                return f"built-in rule {builtin.label}", builtin.label
            case Kind.DROP:
                drop = Drop(number)
                return f"drop {drop.label}: {DROPS[drop]}", drop.label
            case Kind.UPLINK:
                return f"uplink at port {number}", None
            case Kind.ISOLATED:
                return f"isolated port {number}: shut, 'portcullis status' says why", None
            case Kind.NETWORK:
                network = self.document.inventory.network_of_vlan(number & 0xFFF).name
                return f"network {network}, VLAN {number}: what goes to many", None
            case Kind.LEARNED:
                return "a MAC behind an uplink, learned by the switch", None
            case _:
                return "the pipeline's own: leads from table to table", None

    def _rule(self, cookie: int, found: Reason) -> Why:
        audit = found.kind is Kind.AUDIT
        entry = self._rules.get(found.number)
        if entry is None or bool(entry.audit) is not audit:
            text = f"a rule that is not in this policy (number {found.number:#010x}): is another revision in force?"
            return Why(cookie, text, explained=False, kind=found.kind)
        rule = entry.rule
        text = (
            f"{'audit of ' if audit else ''}rule {entry.name}: {rule.verdict.value}, tier {entry.policy.tier.label}, "
            f"{rule.place.file}:{rule.place.line}"
        )
        return Why(cookie, text, kind=found.kind, rule=entry)

    @cached_property
    def _rules(self) -> Mapping[int, NumberedRule]:
        return {entry.number: entry for entry in numbered(self.document)}

    def _identity(self, cookie: int, found: Reason) -> Why:
        if found.number == NOBODY:
            return Why(cookie, "addresses that are in no group of any rule", kind=found.kind, groups=())
        members = self._offline.get(found.number)
        if members is None and self._live is not None:
            members = self._online.get(found.number)
        if members is None:
            text = f"addresses of an identity that is not in this policy (number {found.number:#010x})"
            if self._live is None:
                text += "; a running controller may know more, but none answers"
            return Why(cookie, text, explained=False, kind=found.kind)
        groups = tuple(sorted(map(_group_name, members)))
        text = f"addresses in {'group' if len(groups) == 1 else 'groups'} {', '.join(groups)}"
        return Why(cookie, text, kind=found.kind, groups=groups)

    @cached_property
    def _offline(self) -> Mapping[int, Members]:
        return self._identities(offline_vnics(self.document.inventory))

    @cached_property
    def _online(self) -> Mapping[int, Members]:
        return self._identities(everybody(self.document, self._live or ()))

    def _identities(self, vnics: tuple[Vnic, ...]) -> Mapping[int, Members]:
        return identify(self.document, vnics).members

    def _vnic(self, cookie: int, found: Reason) -> Why:
        zone = found.number
        text = f"a vNIC's own port and addresses (conntrack zone {zone})"
        if self._live is None:
            return Why(cookie, f"{text}; a running controller knows which, but none answers", kind=found.kind)
        here = [each for each in self._live if each.zone == zone]
        if not here:
            text += "; the controller knows no such vNIC (any more)"
            return Why(cookie, text, explained=False, kind=found.kind, vnics=())
        names = tuple(each.vnic.name for each in here)
        if len(here) == 1:
            text = f"vNIC {here[0]}: its own port and addresses (conntrack zone {zone})"
        else:
            hosts = counted(len(here), "vNIC", "vNICs")
            text = f"{text}: {hosts} on different hosts: {'; '.join(map(str, here))}"
        return Why(cookie, text, kind=found.kind, vnics=names)

    @cached_property
    def _live(self) -> tuple[LiveVnic, ...] | None:
        return self.ask()


def _group_name(group: Group) -> str:
    """A group's name; an inline group's place."""
    if group.name is not None:
        return group.name
    return f"{group.place.file}:{group.place.line}" if group.place is not None else "an inline group"
