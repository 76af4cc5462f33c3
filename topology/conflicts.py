"""Ports that cannot all be what they say: the same vNIC, MAC or address twice.

The port that the inventory backs wins; of several that are backed alike nobody is believed. First it is settled who
is which vNIC; whoever loses that is out. Then MACs and addresses are judged, of all that are left at once, so that the
outcome does not depend on their order.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from topology.claims import quote
from topology.identity import Identity, Index, Match
from topology.inventory import Inventory
from topology.overlaps import Claim, losers
from topology.ports import Finding, VnicPort
from topology.vlans import Problem

# How much of a claim to an address the inventory states. What it says about one vNIC is worth more than what OVSDB
# says about another; an address stated together with its network more than one whose scope only the port tells.
_OVSDB, _IDENTITY, _ADDRESS, _ADDRESS_AND_NETWORK = range(4)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A port that is a vNIC unless it conflicts with another. ``iface_id`` is OVSDB's; ``where`` as in `Finding`."""

    remote: str
    bridge_uuid: str
    where: str
    iface_id: str
    port: VnicPort
    identity: Identity


def conflicts(candidates: Sequence[Candidate], inventory: Inventory, index: Index) -> dict[int, Problem]:
    """The candidates (by their place in the sequence) that lose a conflict, and why."""
    lost: dict[int, Problem] = {}

    def judge(code: str, key: Callable[[Candidate], tuple[Hashable, int]], told: str) -> None:
        entries = [(number, *key(each)) for number, each in enumerate(candidates) if number not in lost]
        for number, winner in _contest(entries):
            port, other = candidates[number].port, candidates[winner]
            reason = (
                f"{other.where} ({quote(other.port.vnic.name)}) {told} as this port "
                f"({quote(port.vnic.name)}, MAC {port.vnic.mac}, VLAN {port.vlan})"
            )
            lost[number] = Problem(code, reason)

    judge("duplicate-iface-id", _iface_id, "has the same iface-id on this switch")
    judge("duplicate-vnic", _vnic, "claims to be the same vNIC on this switch")
    rest = {number: each for number, each in enumerate(candidates) if number not in lost}
    judge("duplicate-mac", _mac, "has the same MAC in the same VLAN")
    for number, (claim, rival) in losers(_address_claims(rest, inventory, index)).items():
        if number >= 0:
            lost.setdefault(
                number,
                Problem(
                    "duplicate-address",
                    f"its address {claim.prefix} (scope {claim.scope}) overlaps {rival.prefix} of {rival.where}",
                ),
            )
    return lost


def migrations(candidates: Iterable[Candidate]) -> list[Finding]:
    """vNICs that are on several switches at once, as a live migration has it for a while: both stand."""
    places: dict[str, list[Candidate]] = defaultdict(list)
    for candidate in candidates:
        places[candidate.port.vnic.id].append(candidate)
    return [
        Finding(
            "several-switches",
            found[0].where,
            f"vNIC {quote(found[0].port.vnic.name)} is on several switches (a live migration?): "
            + ", ".join(candidate.where for candidate in found),
        )
        for _, found in sorted(places.items())
        if len({candidate.remote for candidate in found}) > 1
    ]


# What a candidate lays claim to, and with what weight.


def _iface_id(each: Candidate) -> tuple[Hashable, int]:
    return (each.remote, each.iface_id), int(each.identity.match is not Match.UNKNOWN)


def _vnic(each: Candidate) -> tuple[Hashable, int]:
    return (each.remote, each.port.vnic.id), each.identity.match


def _mac(each: Candidate) -> tuple[Hashable, int]:
    spec = each.identity.spec
    weight = 0 if spec is None else 1 if spec.mac is None else 2
    return (each.remote, each.bridge_uuid, each.port.vlan, each.port.vnic.mac), weight


def _contest(entries: Iterable[tuple[int, Hashable, int]]) -> list[tuple[int, int]]:
    """(loser, to whom) among entries (who, key, weight): under one key the heaviest wins, if it is the only one."""
    groups: dict[Hashable, list[tuple[int, int]]] = defaultdict(list)
    for number, key, weight in entries:
        groups[key].append((-weight, number))
    lost: list[tuple[int, int]] = []
    for group in groups.values():
        if len(group) > 1:
            first, second = sorted(group)[:2]
            lost.extend((number, first[1]) for _, number in group if number != first[1])
            if first[0] == second[0]:
                lost.append((first[1], second[1]))
    return lost


def _address_claims(candidates: Mapping[int, Candidate], inventory: Inventory, index: Index) -> Iterable[Claim]:
    """What ports claim, and what the inventory has promised to vNICs that are on no port we see (entrant -1).

    The latter matter because a VM may be off, or on a host of another controller.
    """
    present = set()
    for number, candidate in candidates.items():
        vnic, spec = candidate.port.vnic, candidate.identity.spec
        present.add(vnic.id)
        if spec is None:
            weight = _OVSDB
        elif not spec.addresses:
            weight = _IDENTITY
        else:
            weight = _ADDRESS if spec.network is None else _ADDRESS_AND_NETWORK
        for prefix in vnic.addresses:
            yield Claim(vnic.scope, prefix, vnic.id, weight, f"{candidate.where} ({quote(vnic.name)})", number)
    for vm in inventory.vms:
        for spec in vm.vnics:
            if spec.addresses and spec.iface_id not in present:
                scope, where = index.stated_scope(spec), f"{vm.name}/{spec.iface_id} in the inventory"
                weight = _ADDRESS if spec.network is None else _ADDRESS_AND_NETWORK
                for prefix in spec.addresses:
                    yield Claim(scope, prefix, spec.iface_id, weight, where, -1)
