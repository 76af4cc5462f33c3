"""Who has an address: all vNICs at hand, found in the time that looking up takes, however many they are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from topology.addresses import Address
from topology.vnic import Vnic


class Owners:
    """vNICs by the addresses that they may use."""

    def __init__(self, vnics: Iterable[Vnic] = ()) -> None:
        # By scope, IP version and length of the prefix, and then by its first address.
        self._spaces: dict[tuple[str, int, int], dict[int, list[Vnic]]] = {}
        for vnic in vnics:
            for prefix in vnic.addresses:
                space = self._spaces.setdefault((vnic.scope, prefix.version, prefix.prefixlen), {})
                space.setdefault(int(prefix.network_address), []).append(vnic)

    def of(self, scope: str, address: Address) -> Iterator[Vnic]:
        """The vNICs of a scope that may use the address."""
        number, bits = int(address), address.max_prefixlen
        for length in range(bits, -1, -1):
            space = self._spaces.get((scope, address.version, length))
            if space is not None:
                yield from space.get(number >> bits - length << bits - length, ())
