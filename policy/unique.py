"""What may be only once in an inventory: vm-ids, iface-ids, MACs, and addresses. Each clash names both places."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from policy.nodes import Node
from policy.problems import Problems
from topology.addresses import Prefix
from topology.inventory import Place


@dataclass(frozen=True, slots=True)
class _Claim:
    vm: str
    place: Place


@dataclass(frozen=True, slots=True)
class Made:
    """Claims as they were made."""

    once: list[tuple[str, str, str, Node]] = field(default_factory=list)
    addresses: list[tuple[str, Prefix, str, Node]] = field(default_factory=list)


class Claims:
    """What VMs claim as their own; addresses, each within its scope."""

    def __init__(self, problems: Problems) -> None:
        self._problems = problems
        self._single: dict[tuple[str, str], _Claim] = {}
        self._addresses: dict[str, list[tuple[Prefix, _Claim]]] = defaultdict(list)
        # What has been claimed since `made` was asked last.
        self._made = Made()

    def made(self) -> Made:
        """The claims made since this was asked last, to be made `again` in another load."""
        made, self._made = self._made, Made()
        return made

    def again(self, made: Made) -> None:
        """Make the same claims."""
        for what, value, vm, where in made.once:
            self.once(what, value, vm, where)
        for scope, prefix, vm, where in made.addresses:
            self.address(scope, prefix, vm, where)

    def once(self, what: str, value: str, vm: str, where: Node) -> None:
        """A VM claims a value that only one may have, ``what`` tells of which kind. A clash is noted at once."""
        self._made.once.append((what, value, vm, where))
        claim = _Claim(vm, where.place)
        first = self._single.setdefault((what, value), claim)
        if first is not claim:  # not by value: an alias claims a second time from the same place
            self._problems.add(where, f"{what} {value!r} is taken: VM {first.vm!r} has it at {first.place}")

    def address(self, scope: str, prefix: Prefix, vm: str, where: Node) -> None:
        """A VM claims addresses in a scope. Clashes show when all claims are known."""
        self._made.addresses.append((scope, prefix, vm, where))
        self._addresses[scope].append((prefix, _Claim(vm, where.place)))

    def check_addresses(self) -> None:
        """Notes every claim of addresses that overlaps another of its scope."""
        for claims in self._addresses.values():
            self._check(claims)

    def _check(self, claims: list[tuple[Prefix, _Claim]]) -> None:
        def begin(entry: tuple[Prefix, _Claim]) -> tuple[int, int, int]:
            return entry[0].version, int(entry[0].network_address), entry[0].prefixlen

        # In the order of where they begin, wider first, a prefix overlaps an earlier one only if it lies within the
        # last one that lies in no other.
        last: tuple[Prefix, _Claim] | None = None
        for entry in sorted(claims, key=begin):
            prefix, claim = entry
            if last is None or last[0].version != prefix.version or _end(last[0]) < int(prefix.network_address):
                last = entry
                continue
            overlap = "is taken" if last[0] == prefix else f"overlaps {last[0]}"
            owner = last[1]
            self._problems.add(claim.place, f"address {prefix} {overlap}: VM {owner.vm!r} has it at {owner.place}")


def _end(prefix: Prefix) -> int:
    return int(prefix.broadcast_address)
