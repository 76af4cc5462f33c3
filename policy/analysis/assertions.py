"""Assertions: what must hold for all VMs and all addresses, checked on every load; or one connection that breaks it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from policy.analysis.classes import End, EndpointClass, Kind, World
from policy.analysis.decide import MAX_KNOWN, Outcome, Role, RuleBits, Rules
from policy.analysis.membership import Members
from policy.analysis.regions import FAMILY, Region, region_of
from policy.analysis.words import example
from policy.errors import Problem
from policy.evaluate import DEFAULT_TIER, Connection, Decision, Endpoint, SideDecision
from policy.model import Assertion, Document, Verdict

# What all assertions of a policy may cost, in pairs of roles and rules walked: less than a minute. A data centre of
# 10,000 VMs, 500 groups and 2,000 rules needs 1.6 million for an assertion about everybody and everything.
# Whoever may write a policy must not be able to keep the controller busy for hours with one line.
MAX_WORK = 50_000_000


@dataclass(frozen=True, slots=True)
class CounterExample:
    """One connection that an assertion says cannot be, and what both sides decide about it."""

    connection: Connection
    service: str
    decision: Decision


@dataclass(frozen=True, slots=True)
class Examined:
    """An assertion, what breaks it (None: it holds), and whether it is about nobody at all (and so holds).

    ``too_large``: it was not examined to its end.
    """

    assertion: Assertion
    counter_example: CounterExample | None
    vacuous: bool
    too_large: bool = False


class _TooLarge(Exception):
    """The work is more than `MAX_WORK`."""


def check_assertions(document: Document) -> tuple[Problem, ...]:
    """The assertions of a policy that fail, each with a counter-example."""
    found = []
    for each in examine(document):
        if each.too_large:
            message = (
                f"assertion {each.assertion.name!r} cannot be checked: too many kinds of ends and rules to look at"
            )
            found.append(Problem(each.assertion.place, message))
        elif each.counter_example is not None:
            found.append(Problem(each.assertion.place, _failed(each.assertion, each.counter_example)))
    return tuple(found)


def vacuous_assertions(document: Document) -> tuple[Problem, ...]:
    """The assertions that hold only because there is nobody, or no possible service, that they are about."""
    return tuple(
        Problem(
            each.assertion.place,
            f"assertion {each.assertion.name!r} is about no connection at all: nobody is on one of its sides, or the "
            "sides never meet",
        )
        for each in examine(document)
        if each.vacuous
    )


def examine(document: Document) -> tuple[Examined, ...]:
    """What becomes of each assertion of a policy."""
    if not document.assertions:
        return ()
    world = World(document)
    examiner = _Examiner(world, Rules(document, world.grouping))
    return tuple(examiner.examined(assertion) for assertion in document.assertions)


@dataclass(slots=True)
class _Examiner:
    world: World
    rules: Rules
    pairs: int = 0

    def examined(self, assertion: Assertion) -> Examined:
        """What becomes of an assertion."""
        try:
            return self._looked_at(assertion)
        except _TooLarge:
            return Examined(assertion, None, vacuous=False, too_large=True)

    def _looked_at(self, assertion: Assertion) -> Examined:
        """Looks at every pair of classes that the assertion is about."""
        wanted = region_of(assertion.terms)
        sources = self.world.grouping.members(assertion.sources)
        destinations = self.world.grouping.members(assertion.destinations)
        vacuous = True
        for (_, family), classes in self.world.by_space.items():
            region = wanted & FAMILY[family]
            if not region:
                continue
            from_classes, to_classes = _within(classes, sources), _within(classes, destinations)
            vacuous = vacuous and _pair(from_classes, to_classes) is None
            found = self._breaking(assertion.always, region, from_classes, to_classes)
            if found is not None:
                return Examined(assertion, found, False)
        return Examined(assertion, None, vacuous)

    def _breaking(
        self, always: bool, region: Region, sources: Sequence[EndpointClass], destinations: Sequence[EndpointClass]
    ) -> CounterExample | None:
        """A connection that breaks the assertion.

        Ends of one role are alike to every rule, so roles are asked, not classes. Rules about other services cannot
        matter, and without them there are fewer roles: most assertions are about few services.
        """
        rules = self.rules.touching(region)
        by_source = _by_role(sources, self.rules.source, rules)
        by_destination = _by_role(destinations, self.rules.destination, rules)
        wrong: dict[Outcome, Region] = {}
        for source, from_classes in by_source.items():
            if len(wrong) > MAX_KNOWN:
                wrong.clear()
            self.pairs += len(by_destination)
            if self.pairs + self.rules.walked > MAX_WORK:
                raise _TooLarge
            for destination, to_classes in by_destination.items():
                outcome = self.rules.between(source, destination)
                if outcome not in wrong:
                    wrong[outcome] = region - outcome.allow if always else region & outcome.allow
                if wrong[outcome] and (ends := _pair(from_classes, to_classes)):
                    return self._counter_example(ends, outcome, wrong[outcome], from_classes[0].family)
        return None

    def _counter_example(self, ends: tuple[End, End], outcome: Outcome, wrong: Region, family: int) -> CounterExample:
        service = example(wrong, family)
        assert service is not None  # it is not empty, and within the family
        source, destination = (end.endpoint(family) for end in ends)
        decision = self.rules.decision(*ends, outcome, service)
        return CounterExample(Connection(source, destination, *service), service.text, decision)


def _within(classes: Iterable[EndpointClass], side: Members | None) -> list[EndpointClass]:
    """The classes that are on a side of an assertion; None is any."""
    return [each for each in classes if side is None or each.members & side]


def _by_role(
    classes: Iterable[EndpointClass], role: Callable[[Kind, Members], Role], rules: RuleBits
) -> Mapping[Role, list[EndpointClass]]:
    """The classes by their role, as far as these rules go."""
    found: dict[Role, list[EndpointClass]] = defaultdict(list)
    for each in classes:
        own, peer = role(each.kind, each.members)
        found[own if own is None else own & rules, peer & rules].append(each)
    return found


def _pair(sources: Sequence[EndpointClass], destinations: Sequence[EndpointClass]) -> tuple[End, End] | None:
    """Two ends of these classes whose connections count."""
    inside = [each for each in destinations if not each.is_outside]
    for source in sources:
        # Of the classes of others than one vNIC, all but two meet it: this is never a long search.
        for destination in inside if source.is_outside else destinations:
            if ends := source.pair(destination):
                return ends
    return None


def _failed(assertion: Assertion, found: CounterExample) -> str:
    source, destination = found.connection.source, found.connection.destination
    ends = f"from {end_text(source)} to {end_text(destination)}"
    through = "goes through" if found.decision.verdict is Verdict.ALLOW else "does not go through"
    sides = [
        f"{name} {side_text(side)}"
        for name, side in (("egress", found.decision.egress), ("ingress", found.decision.ingress))
        if side is not None
    ]
    return (
        f"assertion {assertion.name!r} fails: {found.service} {ends} {through} "
        f"({'; '.join(sides) or 'nobody firewalls either side'})"
    )


def end_text(end: Endpoint) -> str:
    """`web-1 (10.0.0.11)`, an address alone for the outside."""
    if end.vnic is None:
        return str(end.address)
    return f"{end.vnic.vm or end.vnic.name} ({end.address or 'no address known'})"


_PAST = {Verdict.ALLOW: "allowed", Verdict.DENY: "denied", Verdict.REJECT: "rejected"}


def side_text(side: SideDecision) -> str:
    """`allowed by shop/storage, shop.yaml:14`."""
    if side.tier == DEFAULT_TIER:
        return f"{_PAST[side.verdict]}: no rule allows it"
    tenant = f"{side.tenant}:" if side.tenant is not None else ""
    return f"{_PAST[side.verdict]} by {tenant}{side.policy}/{side.rule}, {side.file}:{side.line}"
