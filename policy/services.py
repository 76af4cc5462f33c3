"""The `services` of a policy, and whatever stands where a rule names services: from nodes to merged terms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from policy import fields
from policy.model import ALL_PORTS, HELPER_PORTS, HELPERS, PORT_PROTOCOLS, Range, Term
from policy.nodes import Kind, Node, Scalar, Sequence
from policy.nodes import Mapping as MappingNode
from policy.order import cycle_text, in_order
from policy.problems import PROVIDED, Problems, quoted
from policy.speaker import Speaker, own_name, provided
from policy.terms import (
    MAX_TERM,
    PROTOCOL_WORDS,
    TermError,
    is_term,
    join_ranges,
    merge,
    parse_ports,
    parse_term,
    protocol_term,
    size,
)

# Port ranges in all services and rules together, names replaced by what they mean: 10,000 services that each name the
# one before would otherwise grow as the square of the file.
MAX_RANGES = 1_000_000
_ONE_PROTOCOL = ("protocol", "port", "source_port")
_FORM = (*_ONE_PROTOCOL, "terms", "helper", "shared")
PROTOCOLS = ("any", *PROTOCOL_WORDS[:-1])  # what `protocol` may be called; numbers will do too


@dataclass(slots=True)
class _Parts:
    """What one service or rule says: terms of its own and names of services. ``helper`` is for all of them."""

    terms: list[Term] = field(default_factory=list)
    names: list[tuple[str, Scalar]] = field(default_factory=list)
    helper: tuple[str, Node] | None = None


@dataclass(slots=True)
class ServiceLimits:
    """What the services of all namespaces have used of their bounds."""

    ranges: int = 0


class Services:
    """The services of one namespace. Made once all of them are known; rules ask it for their terms.

    ``shared``: the provider's, by the names by which a tenant may call them. ``terms`` are the namespace's own, and
    ``offered`` those of them that it shares.
    """

    def __init__(
        self,
        definitions: Mapping[str, tuple[Scalar, Node]],
        speaker: Speaker,
        shared: Mapping[str, tuple[Term, ...]],
        limits: ServiceLimits,
        problems: Problems,
    ) -> None:
        self._problems = problems
        self._speaker = speaker
        self._limits = limits
        self._shared = shared
        self._known = definitions
        self._offers: set[str] = set()
        self.terms: dict[str, tuple[Term, ...]] = {}
        parts = {name: self._definition(name, key, node) for name, (key, node) in definitions.items()}
        order, cycles = in_order({name: [other for other, _ in part.names] for name, part in parts.items()})
        for cycle in cycles:
            problems.add(definitions[cycle[0]][0], f"services in a cycle: {cycle_text(cycle)}")
        for name in order:
            self.terms[name] = self._helped(name, parts[name], self._resolved(parts[name], definitions[name][0]))

    @cached_property
    def offered(self) -> dict[str, tuple[Term, ...]]:
        return {provided(name): terms for name, terms in self.terms.items() if name in self._offers}

    def of_rule(self, node: Node, what: str) -> tuple[Term, ...]:
        """The terms that a rule's `allow` (or the like) names: a service, a term or a list of these."""
        parts = _Parts()
        for item in fields.one_or_more(node, what, self._problems):
            self._item(item, what, parts)
        return self._resolved(parts, node)

    def _definition(self, name: str, key: Scalar, node: Node) -> _Parts:
        parts = _Parts()
        if name in PROTOCOL_WORDS:
            self._problems.add(key, f"a service cannot be called {name!r}, like a protocol")
        if isinstance(node, MappingNode):
            self._form(node, name, parts)
        else:
            for item in fields.one_or_more(node, f"service {quoted(name)}", self._problems):
                self._item(item, f"service {quoted(name)}", parts)
        return parts

    def _item(self, node: Node, what: str, parts: _Parts) -> None:
        """One term, or one service's name."""
        if isinstance(node, Sequence):
            self._problems.add(node, f"{what}: a list of services holds names and terms, not lists")
            return
        if isinstance(node, MappingNode):
            self._problems.add(node, f"{what}: define this under 'services' and write its name here")
            return
        if isinstance(node, Scalar) and node.kind is Kind.INTEGER:
            self._problems.add(
                node,
                f"{what}: {quoted(node.text)} is only a number; write a term like 'tcp/{node.text[:5]}' "
                "(and quote terms with commas within { } and [ ])",
            )
            return
        written = fields.text(node, what, self._problems, longest=MAX_TERM)
        if written is None:
            return
        assert isinstance(node, Scalar)
        if written.startswith(PROVIDED):
            self._provided(node, written, parts)
        elif is_term(written):
            try:
                parts.terms.extend(parse_term(written))
            except TermError as error:
                self._problems.add(node, str(error))
        elif written in self._known:
            parts.names.append((written, node))
        else:
            self._problems.dangling(node, "service", written, self._known, self._shared, PROTOCOL_WORDS)

    def _provided(self, node: Scalar, written: str, parts: _Parts) -> None:
        """`provider/NAME`: a service that the provider shares with its tenants."""
        if self._speaker.tenant is None:
            self._problems.add(node, own_name(written))
        elif written in self._shared:
            parts.names.append((written, node))
        else:
            self._problems.dangling(node, "service", written, self._shared)

    def _form(self, node: MappingNode, name: str, parts: _Parts) -> None:
        """`{protocol: tcp, port: 443, source_port: 1024-65535}` or `{terms: […]}`; either with `helper`, `shared`."""
        what = f"service {quoted(name)}"
        found = fields.fields(node, what, self._speaker.keys(_FORM), self._problems, self._speaker.barred(_FORM))
        if found is None:
            return
        # A wrong word here is told once, and not again wherever a tenant names the service.
        if "shared" in found and fields.boolean(found["shared"][1], f"{what}: 'shared'", self._problems) is not False:
            self._offers.add(name)
        if "helper" in found:
            helper = fields.choice(found["helper"][1], f"{what}: 'helper'", HELPERS, self._problems)
            parts.helper = None if helper is None else (helper, found["helper"][1])
        if "terms" in found:
            for extra in (key for key in found if key in _ONE_PROTOCOL):
                self._problems.add(found[extra][0], f"{what}: either 'terms' or {extra!r}, not both")
            for item in fields.one_or_more(found["terms"][1], f"{what}: 'terms'", self._problems):
                self._item(item, what, parts)
            return
        if "protocol" not in found:
            self._problems.add(node, f"{what} needs 'protocol' or 'terms'")
            return
        bases = self._protocol(found["protocol"][1], what)
        ports = self._ports(found.get("port"), f"{what}: 'port'")
        source_ports = self._ports(found.get("source_port"), f"{what}: 'source_port'")
        for base in bases:
            if base.protocol in PORT_PROTOCOLS.values():
                parts.terms.append(Term(base.protocol, ports=ports, source_ports=source_ports))
                continue
            for key in ("port", "source_port"):
                if key in found:
                    self._problems.add(found[key][0], f"{what}: only {', '.join(PORT_PROTOCOLS)} have ports")
            parts.terms.append(base)

    def _protocol(self, node: Node, what: str) -> tuple[Term, ...]:
        """The terms of all connections of a protocol, by its word or number."""
        if isinstance(node, Scalar) and node.kind is Kind.INTEGER:
            number = fields.integer(node, f"{what}: 'protocol'", 0, 255, self._problems)
            return () if number is None else (protocol_term(number),)
        word = fields.choice(node, f"{what}: 'protocol'", PROTOCOLS, self._problems)
        return () if word is None else parse_term(word)

    def _ports(self, entry: tuple[Scalar, Node] | None, what: str) -> tuple[Range, ...]:
        """The ports of a `protocol:` form: a number, a range, or a list; all ports where nothing is said."""
        if entry is None:
            return ALL_PORTS
        ranges: list[Range] = []
        for item in fields.one_or_more(entry[1], what, self._problems):
            if isinstance(item, Scalar) and item.kind is Kind.INTEGER:
                port = fields.integer(item, what, 0, 65535, self._problems)
                ranges.extend([] if port is None else [(port, port)])
                continue
            written = fields.text(item, what, self._problems, longest=MAX_TERM)
            try:
                ranges.extend(parse_ports(written) if written is not None else ())
            except TermError as error:
                self._problems.add(item, str(error))
        return join_ranges(ranges)

    def _helped(self, name: str, parts: _Parts, terms: tuple[Term, ...]) -> tuple[Term, ...]:
        """The service's terms with its helper, if it has one."""
        if parts.helper is None:
            return terms
        helper, node = parts.helper
        for term in terms:
            ranges = [each for each in term.ports if each[0] != each[1]]
            if term.protocol != HELPERS[helper] or ranges:
                why = "and nothing else"
                if term.protocol == HELPERS[helper] and term.ports != ALL_PORTS:
                    first, last = ranges[0]
                    why = f"and {first}-{last} is a range, as ports next to each other are: make a service of each port"
                self._problems.add(
                    node,
                    f"service {quoted(name)}: the helper {helper!r} is for single destination ports like "
                    f"{_home(helper)!r}, {why}",
                )
                return terms
        return tuple(replace(term, helper=helper) for term in terms)

    def _resolved(self, parts: _Parts, where: Node) -> tuple[Term, ...]:
        """The terms that the parts mean, names replaced. A name that stands in a cycle adds nothing (it was told)."""
        named = [self._shared[name] if name in self._shared else self.terms.get(name, ()) for name, _ in parts.names]
        if len(named) == 1 and not parts.terms:
            return named[0]
        self._limits.ranges += size(tuple(parts.terms)) + sum(size(terms) for terms in named)
        if self._limits.ranges > MAX_RANGES:
            self._problems.stop(where, f"services and rules have more than {MAX_RANGES:,} port ranges, names replaced")
        return merge([*parts.terms, *(term for terms in named for term in terms)])


def _home(helper: str) -> str:
    """The term of the port at which a helper is at home."""
    (word,) = (word for word, protocol in PORT_PROTOCOLS.items() if protocol == HELPERS[helper])
    return f"{word}/{HELPER_PORTS[helper]}"
