"""What all kinds of policies share: a rule of Kubernetes as rules of ours.

A rule has a subject (the Pods whose connections it is about), a direction, peers, and ports. A port's name means
whatever number the Pod at the destination has under that name, so it needs a rule of its own for each such number.

Where something cannot be carried over, what comes out never allows more than the cluster did: a part of an allowing
rule is left out, and a denying (or passing) rule denies everything in its direction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from policy.kubernetes.draft import DraftRule, Who, Whos, short_name
from policy.kubernetes.labels import ALL_PODS, PORT
from policy.kubernetes.report import Lost, Report
from policy.kubernetes.view import View
from policy.model import PORT_PROTOCOLS, Verdict
from policy.problems import Problems, quoted
from topology.addresses import Prefix, parse_prefix

ANY = ("any",)
# Groups and rules that named ports come to: each number that some Pod has under a name is a rule with all its peers.
MAX_PARTS = 1_000_000
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class NamedPort:
    """A port by its name; ``protocol`` None: of whatever protocol."""

    view: View
    name: str
    protocol: str | None = None


# One port of a rule: a term of ours, or a name.
Port = str | NamedPort


class RuleMaker:
    """Makes rules; ``ports`` are the numbers of named ports in all Pods."""

    def __init__(self, ports: dict[tuple[str, str], set[int]], report: Report, problems: Problems) -> None:
        self._ports = ports
        self._report = report
        self._problems = problems
        self._parts = 0

    def rules(
        self,
        name: str,
        verdict: Verdict,
        subject: Who,
        inward: bool,
        peers: Callable[[], Iterator[Callable[[], Whos]]],
        ports: Callable[[], Iterator[Callable[[], Port]]],
    ) -> list[DraftRule]:
        """The rules that one rule comes to.

        ``peers`` and ``ports`` give readers of the single items, any of which may raise `Lost`; no port at all is any
        port.
        """
        strict = verdict is not Verdict.ALLOW
        try:
            found = self._each(peers(), strict, "the peer is left out")
            # None among the peers is everybody.
            who = None if None in found else tuple(one for some in found for one in some or ())
            readers = list(ports())
            read = self._each(readers, strict, "the port is left out") if readers else list[Port](ANY)
            if who == () or not read:
                return []
            return list(self._expanded(name, verdict, subject, inward, who, read))
        except Lost as lost:
            self._report.losses.append(lost.but(closed(verdict, inward)))
            return [] if not strict else [deny_all(name, subject, inward)]

    def _each(self, readers: Iterable[Callable[[], _T]], strict: bool, consequence: str) -> list[_T]:
        """What the readers read. ``strict``: one that is lost loses all."""
        found: list[_T] = []
        for reader in readers:
            try:
                found.append(reader())
            except Lost as lost:
                if strict:
                    raise
                self._report.losses.append(lost.but(consequence))
        return found

    def _expanded(
        self, name: str, verdict: Verdict, subject: Who, inward: bool, peers: Whos, ports: list[Port]
    ) -> Iterator[DraftRule]:
        own = (subject,)
        strict = verdict is not Verdict.ALLOW

        def rule(suffix: str, terms: tuple[str, ...], destinations: Whos) -> DraftRule:
            sources = peers if inward else own
            return DraftRule(short_name(name + suffix), verdict, terms, sources, destinations, inward)

        terms = tuple(dict.fromkeys(port for port in ports if isinstance(port, str)))
        if terms:
            yield rule("", terms, own if inward else peers)
        number = 0
        for port in ports:
            if isinstance(port, str):
                continue
            try:
                resolved = self._resolved(port)
                aimed = own if inward else self._with_names(port, peers, strict)
            except Lost as lost:
                if strict:
                    raise
                self._report.losses.append(lost.but("the port is left out"))
                continue
            for protocol, value in resolved:
                number += 1
                self._spend(port.view, 1 + len(aimed) + len(peers or ()))
                test = f"{PORT}{protocol}/{port.name} == {value}"
                yield rule(f".{number}", (f"{protocol}/{value}",), tuple(one.narrowed(test) for one in aimed))

    def _spend(self, view: View, parts: int) -> None:
        self._parts += parts
        if self._parts > MAX_PARTS:
            self._problems.stop(view.node, f"rules with named ports come to more than {MAX_PARTS:,} groups and rules")

    def _resolved(self, port: NamedPort) -> list[tuple[str, int]]:
        protocols = PORT_PROTOCOLS if port.protocol is None else (port.protocol,)
        found = [(one, number) for one in protocols for number in sorted(self._ports.get((one, port.name), ()))]
        if not found:
            raise port.view.lost(f"no Pod among the files has a port called {quoted(port.name)}")
        return found

    def _with_names(self, port: NamedPort, peers: Whos, strict: bool) -> tuple[Who, ...]:
        """The peers as far as they can have named ports; everybody's are those of all Pods."""
        if peers is None:
            return (Who(ALL_PODS),)
        named = tuple(peer for peer in peers if peer.match is not None)
        if len(named) < len(peers):
            lost = port.view.lost("an address has no named ports")
            if strict or not named:
                raise lost
            self._report.losses.append(lost.but("for addresses the port is left out"))
        return named


def deny_all(name: str, subject: Who, inward: bool) -> DraftRule:
    """Everything of the subject in one direction is denied."""
    own: Whos = (subject,)
    return DraftRule(short_name(name), Verdict.DENY, ANY, None if inward else own, own if inward else None, inward)


def closed(verdict: Verdict, inward: bool) -> str:
    """What is done where a whole rule cannot be carried over."""
    if verdict is Verdict.ALLOW:
        return "the rule is left out"
    return f"in its place all {'ingress' if inward else 'egress'} of its subject is denied"


def term(protocol: str, first: int, last: int) -> str:
    """A range of ports as a term."""
    if first == 0 and last == 65535:
        return protocol
    return f"{protocol}/{first}" if first == last else f"{protocol}/{first}-{last}"


def prefix(view: View) -> Prefix:
    """A CIDR. Kubernetes takes one with host bits for its network."""
    text = view.text()
    try:
        return parse_prefix(text)
    except ValueError as error:
        told = str(error)
    network = told.rpartition("the network is ")[2]
    try:
        return parse_prefix(network)
    except ValueError:
        raise view.lost(told) from None
