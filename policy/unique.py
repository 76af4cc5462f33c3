"""What may be only once in an inventory: vm-ids, iface-ids, MACs, and addresses. Each clash names both places."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

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


def all_unique(vms: Sequence[Vm], networks: Networks) -> bool:
    """True if no two of the VMs claim the same, in any kind of claim: if `Claims` would note no problem."""
    vnics = [vnic for vm in vms for vnic in vm.vnics]
    addresses: dict[tuple[str | None, int], list[tuple[int, int]]] = defaultdict(list)
    for vnic in vnics:
        scope = DEFAULT_SCOPE if vnic.network is None else networks.scope_of(vnic.network)
        for prefix in vnic.addresses:
            addresses[scope, prefix.version].append(ends(prefix))
    singles: tuple[Iterable[str | None], ...] = (
        (vm.id for vm in vms),
        (vnic.iface_id for vnic in vnics),
        # A sub-port may have its parent's: whether a VM may have it twice has been seen when that was read.
        (mac for vm in vms for mac in {vnic.mac for vnic in vm.vnics}),
    )
    return all(map(_each_once, singles)) and all(map(_disjoint, addresses.values()))


def _each_once(values: Iterable[str | None]) -> bool:
    stated = [value for value in values if value is not None]
    return len(set(stated)) == len(stated)


def _disjoint(ranges: list[tuple[int, int]]) -> bool:
    ranges.sort()
    return all(end < begin for (_, end), (begin, _) in pairwise(ranges))
