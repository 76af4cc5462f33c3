"""Everybody to everybody: VMs to VMs, as `explain` would answer for each pair.

A VM stands for its first vNIC's first address of a family that both ends have, IPv4 first. Pairs that share no scope or
no family are not listed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from policy.analysis.classes import World
from policy.analysis.decide import Outcome, Role, Rules
from policy.analysis.regions import FAMILY, Region
from policy.analysis.space import FAMILIES
from policy.analysis.words import Service
from policy.evaluate import Connection, Endpoint
from policy.model import Document, Verdict
from policy.question import UsageError, parse_question
from topology.vnic import Vnic


@dataclass(frozen=True, slots=True)
class Cell:
    """What goes through from one VM to another, and what is rejected, of their family; everything else is denied."""

    source: str
    destination: str
    family: int
    allow: Region
    reject: Region


@dataclass(frozen=True, slots=True)
class ServiceCell:
    """What becomes of one kind of connection from one VM to another."""

    source: str
    destination: str
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class _Representative:
    """What a VM stands for in one family, as the rules see it."""

    vm: str
    scope: str
    as_source: Role
    as_destination: Role


class VmMatrix:
    """The VMs of a policy, and what becomes of connections between any two."""

    def __init__(self, document: Document) -> None:
        world = World(document)
        self._rules = Rules(document, world.grouping)
        first: dict[str, Vnic] = {}
        for vnic in world.vnics:
            if vnic.vm is not None:
                first.setdefault(vnic.vm, vnic)
        self.vms: Sequence[str] = tuple(first)
        self._of_family = {
            family: {vm: _representative(vnic, family, world, self._rules) for vm, vnic in first.items()}
            for family in FAMILIES
        }

    def cells(self) -> Iterator[Cell]:
        """All pairs, with all services. A generator: 1,000 VMs have 999,000 pairs."""
        for source, destination, family, outcome in self._pairs():
            space = FAMILY[family]
            yield Cell(source, destination, family, outcome.allow & space, outcome.reject & space)

    def of_service(self, services: dict[int, Service]) -> Iterator[ServiceCell]:
        """All pairs of a family that has the service, with the verdict about it."""
        for source, destination, family, outcome in self._pairs():
            if family in services:
                yield ServiceCell(source, destination, verdict_of(outcome, services[family]))

    def _pairs(self) -> Iterator[tuple[str, str, int, Outcome]]:
        for source in self.vms:
            for destination in self.vms:
                if source == destination:
                    continue
                for family in FAMILIES:
                    one, other = self._of_family[family][source], self._of_family[family][destination]
                    if one is not None and other is not None and one.scope == other.scope:
                        outcome = self._rules.between(one.as_source, other.as_destination)
                        yield source, destination, family, outcome
                        break


def _representative(vnic: Vnic, family: int, world: World, rules: Rules) -> _Representative | None:
    """None if the VM has addresses, but none of the family."""
    address = next((prefix.network_address for prefix in vnic.addresses if prefix.version == family), None)
    if address is None and vnic.addresses:
        return None
    members = world.members_of(Endpoint(vnic, address), vnic.scope)
    kind = world.kind_of(vnic)
    return _Representative(
        vnic.vm or vnic.name, vnic.scope, rules.source(kind, members), rules.destination(kind, members)
    )


def verdict_of(outcome: Outcome, service: Service) -> Verdict:
    """What becomes of one kind of connection."""
    if service.within(outcome.allow):
        return Verdict.ALLOW
    return Verdict.REJECT if service.within(outcome.reject) else Verdict.DENY


def service_of(document: Document, text: str, source_port: int | None = None) -> dict[int, Service]:
    """The one kind of connection that a term means, by family; not there in a family that does not have it.

    Raises `UsageError`, like `explain`.
    """
    found: dict[int, Service] = {}
    errors = []
    for family, (one, other) in {4: ("192.0.2.1", "192.0.2.2"), 6: ("2001:db8::1", "2001:db8::2")}.items():
        try:
            connection = parse_question(document, one, other, text, source_port=source_port, vnics=())
        except UsageError as error:
            errors.append(error)
        else:
            found[family] = kind_of(connection)
    if not found:
        raise errors[0]
    return found


def kind_of(connection: Connection) -> Service:
    """What a connection is, without its ends."""
    return Service(*(getattr(connection, name) for name in Service._fields))
