"""The question that `explain` asks: two ends and a term, in the operator's words, made into one connection.

And the answer's JSON. What cannot be one concrete connection is wrong usage, told with what to write instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from policy.evaluate import STEERING_ICMPV6, Connection, Decision, Endpoint, SideDecision
from policy.model import ICMP, ICMPV6, PORT_PROTOCOLS, Document, Range, Term
from policy.problems import quoted, similar
from policy.terms import TermError, parse_term
from policy.universe import Universe
from topology.addresses import Address, parse_address
from topology.inventory import DEFAULT_SCOPE, Inventory, implicit_vlan
from topology.vnic import Vnic, offline_vnics

DEFAULT_SOURCE_PORT = 50000
_FAMILIES = (4, 6)  # in the order of preference


class UsageError(ValueError):
    """A question that is not about one connection, or about somebody unknown."""


def parse_question(
    document: Document,
    source: str,
    destination: str,
    service: str,
    *,
    source_port: int | None = None,
    network: str | None = None,
    vnics: Sequence[Vnic] | None = None,
) -> Connection:
    """The connection that the operator asks about.

    ``source`` and ``destination`` are a VM, VM/IFACE-ID, VM@ADDRESS or an address; ``service`` is a term;
    ``source_port`` None is 50000 where there are ports; ``network`` names the scope of addresses where no VM does;
    ``vnics`` are those there are, None for the inventory's. Raises `UsageError`.
    """
    universe = Universe(offline_vnics(document.inventory) if vnics is None else vnics)
    ends = (_named(source, universe), _named(destination, universe))
    scope = _scope(ends, (source, destination), document, network)
    first, second = (_owned(end, universe, scope) for end in ends)
    family = _common_family(first, second, source, destination)
    terms = _terms(service, document)
    term = _one_of_family(terms, family, service)
    kind = _concrete(term, service, source_port)
    return Connection(
        Endpoint(first.vnic, first.address_of(family)),
        Endpoint(second.vnic, second.address_of(family)),
        family,
        *kind,
    )


@dataclass(frozen=True, slots=True)
class _End:
    """One end, before it is known which of its addresses is meant: all it may stand for, or none."""

    vnic: Vnic | None
    addresses: Sequence[Address]

    @property
    def families(self) -> frozenset[int]:
        """Those it has an address of; where no address is known, all."""
        return frozenset(address.version for address in self.addresses) or frozenset(_FAMILIES)

    def address_of(self, family: int) -> Address | None:
        return next((address for address in self.addresses if address.version == family), None)


def _named(text: str, universe: Universe) -> _End:
    """One end of the question. An address alone has no vNIC yet: that depends on the other end's scope."""
    address = _address(text)
    if address is not None:
        return _End(None, (address,))
    name, at, own = text.partition("@")
    of_vm = [vnic for vnic in universe.vnics if vnic.vm is not None and vnic.vm == name]
    if at and of_vm:
        return _own_address(of_vm, name, own)
    exact = [vnic for vnic in universe.vnics if vnic.name == text]
    if exact or of_vm:
        vnic = (exact or of_vm)[0]
        return _End(vnic, [prefix.network_address for prefix in vnic.addresses])
    raise UsageError(_unknown(text, universe))


def _address(text: str) -> Address | None:
    try:
        return parse_address(text)
    except ValueError:
        return None


def _own_address(of_vm: Sequence[Vnic], name: str, text: str) -> _End:
    """`VM@ADDRESS`: the vNIC of the VM that owns the address."""
    address = _address(text)
    if address is None:
        raise UsageError(f"{quoted(text)} is not an IPv4 or IPv6 address")
    for vnic in of_vm:
        if vnic.owns(address):
            return _End(vnic, (address,))
    owned = [str(prefix) for vnic in of_vm for prefix in vnic.addresses]
    listed = f"; it has {', '.join(owned[:4])}" if owned else "; it has none in the inventory"
    raise UsageError(f"{address} is not an address of VM {name!r}{listed}")


def _unknown(text: str, universe: Universe) -> str:
    """Why this is nobody."""
    name, slash, _ = text.partition("/")
    if slash and _address(name) is not None:
        return f"{quoted(text)} is a network; ask about one address"
    of_vm = [vnic.name for vnic in universe.vnics if vnic.vm == name]
    if slash and of_vm:
        return f"VM {name!r} has no such vNIC; it has {', '.join(of_vm[:4])}"
    known = {vnic.vm or vnic.id for vnic in universe.vnics}
    return f"{quoted(text)} is neither a VM with a vNIC nor an address{similar(text, sorted(known))}"


def _scope(ends: tuple[_End, _End], texts: tuple[str, str], document: Document, network: str | None) -> str:
    """The scope of the question: that of the VMs, else of the network, else the default."""
    of_network = None if network is None else _scope_of_network(document.inventory, network)
    found = {end.vnic.scope: text for end, text in zip(ends, texts, strict=True) if end.vnic is not None}
    if len(found) > 1:
        (first, one), (second, other) = found.items()
        raise UsageError(f"{quoted(one)} is in address scope {first!r}, {quoted(other)} in {second!r}: they never meet")
    if found:
        return next(iter(found))
    return DEFAULT_SCOPE if of_network is None else of_network


def _scope_of_network(inventory: Inventory, name: str) -> str:
    """The scope of a network: a declared one, or the implicit one of a VLAN that nobody declares."""
    for network in inventory.networks:
        if network.name == name:
            return network.scope
    vlan = implicit_vlan(name)
    if vlan is not None and inventory.network_of_vlan(vlan).name == name:
        return DEFAULT_SCOPE
    known = [network.name for network in inventory.networks]
    raise UsageError(f"no network is called {quoted(name)}{similar(name, known)}")


def _owned(end: _End, universe: Universe, scope: str) -> _End:
    """The end with the owner of its address, if it was only an address."""
    if end.vnic is not None:
        return end
    return _End(universe.owner(end.addresses[0], scope), end.addresses)


def _common_family(first: _End, second: _End, source: str, destination: str) -> int:
    for family in _FAMILIES:
        if family in first.families and family in second.families:
            return family
    raise UsageError(f"{quoted(source)} and {quoted(destination)} have no address family in common")


def _terms(service: str, document: Document) -> tuple[Term, ...]:
    if service in document.services:
        raise UsageError(f"{quoted(service)} is a service; ask about one connection, with a term like tcp/443")
    try:
        return parse_term(service)
    except TermError as error:
        raise UsageError(str(error)) from None


def _one_of_family(terms: tuple[Term, ...], family: int, service: str) -> Term:
    """The term for the question's address family."""
    fitting = [term for term in terms if term.family in (None, family)]
    if not fitting:
        raise UsageError(
            f"{quoted(service)} is not of IPv{family}, which both ends speak; name the ends as VM@ADDRESS to ask about "
            "another family"
        )
    return fitting[0]


def _concrete(
    term: Term, service: str, source_port: int | None
) -> tuple[int, int | None, int | None, int | None, int | None]:
    """Protocol, source and destination port, ICMP type and code of the one connection that the term means."""
    wide = UsageError(f"{quoted(service)} is more than one connection: name one port or type (or ask for the matrix)")
    if term.protocol is None:
        raise wide
    if term.protocol in PORT_PROTOCOLS.values():
        return term.protocol, _checked_port(source_port), _only(term.ports, wide), None, None
    if source_port is not None:
        raise UsageError(f"{quoted(service)} has no ports, so no source port either")
    if term.protocol not in (ICMP, ICMPV6):
        return term.protocol, None, None, None, None
    if term.icmp_type is None:
        raise wide
    if term.protocol == ICMPV6 and term.icmp_type in STEERING_ICMPV6:
        raise UsageError(
            f"{quoted(service)} is no connection: the built-in rules decide neighbour, router and multicast listener "
            "discovery packet by packet"
        )
    return term.protocol, None, None, term.icmp_type, term.icmp_code or 0


def _checked_port(source_port: int | None) -> int:
    if source_port is None:
        return DEFAULT_SOURCE_PORT
    if not 0 <= source_port <= 65535:
        raise UsageError(f"a source port is a number from 0 to 65535, not {source_port}")
    return source_port


def _only(ports: tuple[Range, ...], wide: UsageError) -> int:
    """The one port in the ranges."""
    if len(ports) != 1 or ports[0][0] != ports[0][1]:
        raise wide
    return ports[0][0]


def decision_json(decision: Decision) -> dict[str, object]:
    """The answer as `explain --json` prints it."""
    return {
        "verdict": decision.verdict.value,
        "egress": _side_json(decision.egress),
        "ingress": _side_json(decision.ingress),
    }


def _side_json(side: SideDecision | None) -> dict[str, object] | None:
    if side is None:
        return None
    return {
        "vnic": side.vnic.name,
        "verdict": side.verdict.value,
        "tier": side.tier,
        "tenant": side.tenant,
        "policy": side.policy,
        "rule": side.rule,
        "file": side.file,
        "line": side.line,
    }
