"""Many names in few words, for people: the group that has just these VMs, the outside without some CIDRs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cached_property

from policy.analysis.lines import Ends
from policy.analysis.membership import Grouping
from policy.model import Document
from topology.vnic import offline_vnics

# So many names are told one by one, and of more the first ones.
SHOWN = 6
# From so many VMs on, a group that has just these tells more than their names.
MANY = 3


class GroupNames:
    """The groups of a policy by the VMs that they have by label or name."""

    def __init__(self, document: Document) -> None:
        self._document = document

    def text(self, ends: Ends) -> str:
        """One side of a line."""
        group = self._by_vms.get(frozenset(ends.vms)) if len(ends.vms) >= MANY else None
        parts = _few(ends.vms) if group is None else [group]
        if ends.but is None:
            parts += _few(ends.cidrs)
        else:
            families = {"IPv6" if ":" in cidr else "IPv4" for cidr in ends.cidrs}
            outside = "outside" if len(families) > 1 else f"outside ({families.pop()})"
            parts.append(f"{outside} but {', '.join(_few(ends.but))}" if ends.but else outside)
        return ", ".join(parts)

    @cached_property
    def _by_vms(self) -> Mapping[frozenset[str], str]:
        """Groups whose VMs are in them with all their vNICs; the first of groups that are alike."""
        vnics = offline_vnics(self._document.inventory)
        grouping = Grouping()
        bits = {name: grouping.bit(group) for name, group in sorted(self._document.groups.items())}
        of_vm: dict[str, list[int]] = defaultdict(list)
        for vnic, members in zip(vnics, grouping.of_vnics(vnics), strict=True):
            of_vm[vnic.vm or ""].append(members)
        found: dict[frozenset[str], str] = {frozenset(of_vm): f"all {len(of_vm)} VMs"}
        for name, bit in bits.items():
            own = {vm for vm, each in of_vm.items() if all(members & bit for members in each)}
            partly = any(members & bit for vm, each in of_vm.items() if vm not in own for members in each)
            if not partly:
                found.setdefault(frozenset(own), f"{name} ({len(own)} VMs)")
        return found


def _few(names: Sequence[str]) -> list[str]:
    """The first ones, and how many more there are."""
    return [*names[:SHOWN], *([f"{len(names) - SHOWN:,} more"] if len(names) > SHOWN else [])]
