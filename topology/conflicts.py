"""Ports that cannot all be what they say: the same vNIC, MAC or address twice.

The port that the inventory backs wins; of several that are backed alike nobody is believed. First it is settled who
is which vNIC; whoever loses that is out. Then MACs and addresses are judged, of all that are left at once, so that the
outcome does not depend on their order. A vNIC may be on several switches for a while, but its addresses can mean only
one thing: where its ports are in networks of different scopes, all of them lose. Addresses that a vNIC has learned shut
nobody: where one is stated for somebody else, or somebody else has learned it before, it just does not count.

Almost always nobody conflicts with anybody. So `Contests` only keeps account of what is claimed more than once, and
`conflicts` judges those who take part in that.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_network
from typing import NamedTuple

from topology.addresses import Prefix
from topology.breath import breathing
from topology.claims import quote
from topology.crowds import AddressCrowds, Crowds
from topology.identity import Identity, Index, Match, Moved
from topology.inventory import Inventory, InventoryVnic, Vm
from topology.learned import LEASES, Learned
from topology.overlaps import Claim, losers
from topology.ports import Finding, VnicPort
from topology.vlans import Problem

# How much of a claim to an address the inventory states. What it says about one vNIC is worth more than what OVSDB
# says about another; an address stated together with its network more than one whose scope only the port tells.
_OVSDB, _IDENTITY, _ADDRESS, _ADDRESS_AND_NETWORK = range(4)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A port that is a vNIC unless it conflicts with another. ``iface_id`` is OVSDB's (a sub-port's the inventory's);
    ``where`` as in `Finding`.

    ``learned`` are the vNIC's addresses, if it has learned them.
    """

    remote: str
    bridge_uuid: str
    where: str
    iface_id: str
    port: VnicPort
    identity: Identity
    learned: tuple[Learned, ...] = ()

    @property
    def key(self) -> _Key:
        """What tells it from all other candidates."""
        return self.remote, self.bridge_uuid, self.port.holder


_Key = tuple[str, str, str]
# Who claims addresses: a candidate, or a vNIC of the inventory by its iface-id.
_Claimant = _Key | str


class Less(NamedTuple):
    """What is left of the addresses that a vNIC has learned, and why the others do not count."""

    addresses: tuple[Prefix, ...]
    why: tuple[str, ...]


class Outcome(NamedTuple):
    """Who is shut and why, and whose learned addresses do not all count, each by remote and `topology.ports.holder`;
    and the vNICs that are on several switches."""

    shut: Mapping[str, Mapping[str, Problem]]
    less: Mapping[str, Mapping[str, Less]]
    migrations: Sequence[Finding]


class Contests:
    """All candidates and what the inventory promises, and what of it several claim."""

    def __init__(self) -> None:
        self._candidates: dict[_Key, Candidate] = {}
        self._promised: dict[str, tuple[Vm, InventoryVnic]] = {}
        self._crowds: Crowds[_Key] = Crowds()
        self._addresses: AddressCrowds[_Claimant] = AddressCrowds()
        self._index = Index(Inventory())

    def take(self, moved: Moved, index: Index) -> None:
        """The inventory is another one, of which ``index`` is the index now."""
        self._index = index
        for vm in breathing(moved.gone):
            for spec in vm.vnics:
                if self._promised.pop(spec.iface_id, None) is not None:
                    self._addresses.remove(spec.iface_id)
        for vm in breathing(moved.new):
            for spec in vm.vnics:
                if spec.addresses and spec.iface_id not in self._promised:
                    self._promised[spec.iface_id] = vm, spec
                    self._addresses.add(spec.iface_id, spec.iface_id, index.stated_scope(spec), spec.addresses)

    def add(self, candidate: Candidate) -> None:
        """A candidate has come."""
        key, vnic = candidate.key, candidate.port.vnic
        self._candidates[key] = candidate
        self._crowds.add(key, _keys(candidate))
        self._addresses.add(key, vnic.id, vnic.scope, vnic.addresses)

    def remove(self, candidate: Candidate) -> None:
        """A candidate has gone."""
        del self._candidates[candidate.key]
        self._crowds.remove(candidate.key, _keys(candidate))
        self._addresses.remove(candidate.key)

    def outcome(self) -> Outcome:
        """Who wins and who loses."""
        involved = set(self._crowds.members())
        promises: dict[str, tuple[Vm, InventoryVnic]] = {}
        for claimant in self._addresses.members():
            if isinstance(claimant, str):
                promises[claimant] = self._promised[claimant]
                # Whether a promise counts depends on whether its vNIC is on a port.
                involved.update(self._crowds.having(("anywhere", claimant)))
            else:
                involved.add(claimant)
        if not involved:
            return Outcome({}, {}, ())
        candidates = sorted(
            (self._candidates[key] for key in involved),
            key=lambda candidate: (candidate.where, candidate.remote, candidate.port.holder),
        )
        lost = conflicts(candidates, promises.values(), self._index)
        shut: dict[str, dict[str, Problem]] = defaultdict(dict)
        for number, problem in lost.items():
            shut[candidates[number].remote][candidates[number].port.holder] = problem
        less: dict[str, dict[str, Less]] = defaultdict(dict)
        for number, what in learned_less(candidates, promises.values(), self._index).items():
            less[candidates[number].remote][candidates[number].port.holder] = what
        standing = (candidate for number, candidate in enumerate(candidates) if number not in lost)
        return Outcome(shut, less, migrations(standing))


def _keys(candidate: Candidate) -> tuple[Hashable, ...]:
    """What no two candidates should have alike; a vNIC may be on several switches for a while."""
    return (
        ("iface-id", *_iface_id(candidate)[0]),
        ("mac", *_mac(candidate)[0]),
        ("anywhere", candidate.port.vnic.id),
    )


def conflicts(
    candidates: Sequence[Candidate], promises: Iterable[tuple[Vm, InventoryVnic]], index: Index
) -> dict[int, Problem]:
    """The candidates (by their place in the sequence) that lose a conflict, and why.

    ``promises`` are vNICs of the inventory that state addresses. Those who conflict with nobody may be left out.
    """
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
    lost.update(_scopes_apart({number: each for number, each in enumerate(candidates) if number not in lost}))
    rest = {number: each for number, each in enumerate(candidates) if number not in lost}
    judge("duplicate-mac", _mac, "has the same MAC in the same VLAN")
    for number, (claim, rival) in losers(_address_claims(rest, promises, index)).items():
        if number >= 0:
            lost.setdefault(
                number,
                Problem(
                    "duplicate-address",
                    f"its address {claim.prefix} (scope {claim.scope}) overlaps {rival.prefix} of {rival.where}",
                ),
            )
    return lost


def learned_less(
    candidates: Sequence[Candidate], promises: Iterable[tuple[Vm, InventoryVnic]], index: Index
) -> dict[int, Less]:
    """The candidates (by their place in the sequence) whose learned addresses do not all count.

    What is stated wins over what was learned, wherever its owner is and even if he is shut; what a server has leased
    over what somebody just used; of several who have learned an address alike, the one who did so first has it.
    """
    entries = [(entry, number) for number, each in enumerate(candidates) for entry in each.learned]
    if not entries:
        return {}
    # Leases weigh most, and then the older ones; so of two who learned in one second one has it all the same.
    entries.sort(
        key=lambda found: (
            found[0].source in LEASES, -found[0].since, candidates[found[1]].port.vnic.id, found[1],
        )
    )  # fmt: skip
    claims = [
        Claim(
            candidates[number].port.vnic.scope,
            ip_network(entry.address),
            candidates[number].port.vnic.id,
            weight,
            _called(candidates[number]),
            weight,
        )
        for weight, (entry, number) in enumerate(entries)
    ]
    for each in candidates:
        if not each.learned:
            vnic = each.port.vnic
            claims += [Claim(vnic.scope, prefix, vnic.id, len(entries), _called(each), -1) for prefix in vnic.addresses]
    for vm, promised in promises:
        scope, where = index.stated_scope(promised), f"{vm.name}/{promised.iface_id} in the inventory"
        claims += [Claim(scope, prefix, promised.iface_id, len(entries), where, -1) for prefix in promised.addresses]
    gone: dict[int, dict[Prefix, str]] = defaultdict(dict)
    for entrant, (claim, rival) in losers(claims).items():
        if entrant >= 0:
            why = f"its address {claim.prefix.network_address} (scope {claim.scope}), learned by "
            why += f"{entries[entrant][0].source}, does not count: {rival.where} has {rival.prefix}"
            gone[entries[entrant][1]][claim.prefix] = why
    return {
        number: Less(
            tuple(prefix for prefix in candidates[number].port.vnic.addresses if prefix not in lost),
            tuple(lost[prefix] for prefix in sorted(lost, key=str)),
        )
        for number, lost in gone.items()
    }


def _called(each: Candidate) -> str:
    return f"{each.where} ({quote(each.port.vnic.name)})"


def _scopes_apart(candidates: Mapping[int, Candidate]) -> Iterator[tuple[int, Problem]]:
    """The ports of vNICs that are in several scopes at once, each told of one in another."""
    places: dict[str, dict[str, Candidate]] = defaultdict(dict)
    for each in candidates.values():
        places[each.port.vnic.id].setdefault(each.port.vnic.scope, each)
    for number, each in candidates.items():
        vnic = each.port.vnic
        other = next((found for scope, found in places[vnic.id].items() if scope != vnic.scope), None)
        if other is not None:
            reason = (
                f"{other.where} (VLAN {other.port.vlan}, scope {other.port.vnic.scope}) is the same vNIC as this port "
                f"({quote(vnic.name)}, VLAN {each.port.vlan}, scope {vnic.scope}): it cannot be in both scopes"
            )
            yield number, Problem("several-scopes", reason)


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


def _iface_id(each: Candidate) -> tuple[tuple[Hashable, ...], int]:
    return (each.remote, each.iface_id), int(each.identity.match is not Match.UNKNOWN)


def _vnic(each: Candidate) -> tuple[tuple[Hashable, ...], int]:
    return (each.remote, each.port.vnic.id), each.identity.match


def _mac(each: Candidate) -> tuple[tuple[Hashable, ...], int]:
    spec = each.identity.spec
    # A sub-port without a MAC of its own has its parent's, which in the same VLAN is the parent's alone.
    weight = 0 if spec is None else 3 if spec.mac is not None else 2 if spec.parent is None else 1
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


def _address_claims(
    candidates: Mapping[int, Candidate], promises: Iterable[tuple[Vm, InventoryVnic]], index: Index
) -> Iterable[Claim]:
    """What ports claim, and what the inventory has promised to vNICs that are on no port we see (entrant -1).

    The latter matter because a VM may be off, or on a host of another controller.
    """
    present = set()
    for number, candidate in candidates.items():
        vnic, spec = candidate.port.vnic, candidate.identity.spec
        present.add(vnic.id)
        if candidate.learned:
            continue
        if spec is None:
            weight = _OVSDB
        elif not spec.addresses:
            weight = _IDENTITY
        else:
            weight = _ADDRESS if spec.network is None else _ADDRESS_AND_NETWORK
        for prefix in vnic.addresses:
            yield Claim(vnic.scope, prefix, vnic.id, weight, _called(candidate), number)
    for vm, promised in promises:
        if promised.iface_id not in present:
            scope, where = index.stated_scope(promised), f"{vm.name}/{promised.iface_id} in the inventory"
            weight = _ADDRESS if promised.network is None else _ADDRESS_AND_NETWORK
            for prefix in promised.addresses:
                yield Claim(scope, prefix, promised.iface_id, weight, where, -1)
