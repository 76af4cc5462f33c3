"""Who has an address: all vNICs at hand, found in the time that looking up takes, however many they are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from topology.addresses import Address
from topology.shared_map import changed_keys
from topology.vnic import Vnic

# By the length of the prefix, and then by its first address.
_Space = dict[int, dict[int, list[Vnic]]]


class Owners:
    """vNICs by the addresses that they may use."""

    def __init__(self, vnics: Iterable[Vnic] = ()) -> None:
        self._spaces: dict[tuple[str, int], _Space] = {}
        self._vnics: Mapping[str, Vnic] = {}
        self.take({vnic.id: vnic for vnic in vnics})

    def take(self, vnics: Mapping[str, Vnic]) -> None:
        """From now on these are all vNICs, by id. Those that are the same objects as before are not looked into."""
        before, self._vnics = self._vnics, vnics
        names = changed_keys(vnics, before)
        for name in names:
            if name in before:
                self._remove(before[name])
        for name in names:
            if name in vnics:
                self._add(vnics[name])

    def of(self, scope: str, address: Address) -> Iterator[Vnic]:
        """The vNICs of a scope that may use the address, those with the longest prefix first."""
        space = self._spaces.get((scope, address.version), {})
        number, bits = int(address), address.max_prefixlen
        for length in sorted(space, reverse=True):
            yield from space[length].get(number >> bits - length << bits - length, ())

    def _add(self, vnic: Vnic) -> None:
        for prefix in vnic.addresses:
            space = self._spaces.setdefault((vnic.scope, prefix.version), {})
            space.setdefault(prefix.prefixlen, {}).setdefault(int(prefix.network_address), []).append(vnic)

    def _remove(self, vnic: Vnic) -> None:
        for prefix in vnic.addresses:
            space = self._spaces[vnic.scope, prefix.version]
            of_length = space[prefix.prefixlen]
            first = int(prefix.network_address)
            left = [other for other in of_length[first] if other.id != vnic.id]
            if left:
                of_length[first] = left
            else:
                del of_length[first]
                if not of_length:
                    del space[prefix.prefixlen]
