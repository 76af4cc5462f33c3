"""What may be only once in an inventory: vm-ids, iface-ids, MACs, and addresses. Each clash names both places."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass

from policy.networks import Networks
from policy.nodes import Node
from policy.problems import Problems
from topology.addresses import Prefix, ends
from topology.inventory import DEFAULT_SCOPE, Place, Vm


@dataclass(frozen=True, slots=True)
class _Claim:
    vm: str
    place: Place


class Claims:
    """What VMs claim as their own; addresses, each within its scope."""

    def __init__(self, problems: Problems) -> None:
        self._problems = problems
        self._single: dict[tuple[str, str], _Claim] = {}
        self._addresses: dict[str, list[tuple[Prefix, _Claim]]] = defaultdict(list)

    def once(self, what: str, value: str, vm: str, where: Node) -> None:
        """A VM claims a value that only one may have, ``what`` tells of which kind. A clash is noted at once."""
        claim = _Claim(vm, where.place)
        first = self._single.setdefault((what, value), claim)
        if first is not claim:  # not by value: an alias claims a second time from the same place
            self._problems.add(where, f"{what} {value!r} is taken: VM {first.vm!r} has it at {first.place}")

    def address(self, scope: str, prefix: Prefix, vm: str, where: Node) -> None:
        """A VM claims addresses in a scope. Clashes show when all claims are known."""
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
            if last is None or last[0].version != prefix.version or ends(last[0])[1] < int(prefix.network_address):
                last = entry
                continue
            overlap = "is taken" if last[0] == prefix else f"overlaps {last[0]}"
            owner = last[1]
            self._problems.add(claim.place, f"address {prefix} {overlap}: VM {owner.vm!r} has it at {owner.place}")


def claims_of(vm: Vm) -> Hashable:
    """All that a VM claims, to be compared with what another claims."""
    return vm.id, tuple((vnic.iface_id, vnic.mac, vnic.addresses, vnic.network) for vnic in vm.vnics)


class Standing:
    """What the VMs of a policy claim, of whom no two claim the same, while some come and go."""

    def __init__(self, vms: Iterable[Vm], networks: Networks) -> None:
        self._networks = networks
        self._singles: set[tuple[str, str]] = set()
        # In the order of where they begin, the ranges of each scope and family.
        self._ranges: dict[tuple[str | None, int], list[tuple[int, int]]] = defaultdict(list)
        for vm in vms:
            self._singles.update(_singles(vm))
            for space, found in self._ranges_of(vm):
                self._ranges[space].append(found)
        for ranges in self._ranges.values():
            ranges.sort()

    def change(self, gone: Iterable[Vm], come: Iterable[Vm]) -> bool:
        """Some go, and then others come. False if one of these claims what another does (then this is of no use)."""
        for vm in gone:
            self._singles.difference_update(_singles(vm))
            for space, found in self._ranges_of(vm):
                ranges = self._ranges[space]
                del ranges[bisect_left(ranges, found)]
        return all(map(self._come, come))

    def _come(self, vm: Vm) -> bool:
        for single in _singles(vm):
            if single in self._singles:
                return False
            self._singles.add(single)
        for space, (first, last) in self._ranges_of(vm):
            ranges = self._ranges[space]
            at = bisect_left(ranges, (first, last))
            if (at and ranges[at - 1][1] >= first) or (at < len(ranges) and ranges[at][0] <= last):
                return False
            ranges.insert(at, (first, last))
        return True

    def _ranges_of(self, vm: Vm) -> Iterator[tuple[tuple[str | None, int], tuple[int, int]]]:
        for vnic in vm.vnics:
            scope = DEFAULT_SCOPE if vnic.network is None else self._networks.scope_of(vnic.network)
            for prefix in vnic.addresses:
                yield (scope, prefix.version), ends(prefix)


def _singles(vm: Vm) -> Iterator[tuple[str, str]]:
    if vm.id is not None:
        yield "vm-id", vm.id
    yield from (("iface-id", vnic.iface_id) for vnic in vm.vnics)
    # A sub-port may have its parent's: whether a VM may have it twice has been seen when that was read.
    yield from (("MAC", mac) for mac in {vnic.mac for vnic in vm.vnics} if mac is not None)
