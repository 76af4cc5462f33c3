"""Who is in a group: the one place that says it for people and tests. (The flow compiler says it for the switch.)"""

from __future__ import annotations

from policy.model import Group, Groups
from policy.terms import join_ranges
from topology.addresses import Address, Prefix, ends
from topology.vnic import Vnic


def group_has(group: Group, vnic: Vnic | None, address: Address | None, scope: str) -> bool:
    """True if this side of a connection is in the group.

    ``vnic`` is the side's vNIC, None for the outside world; ``address`` the side's address, None if unknown; ``scope``
    the address scope in which the connection is judged. A selector or a VM's name matches the vNIC whatever the
    address is; CIDRs match the address whoever uses it, and ``excepts`` narrows only the CIDRs beside it.
    """
    if vnic is not None and group.tenant in (None, vnic.tenant):
        if group.selector is not None and group.selector.matches(vnic):
            return True
        if vnic.vm in group.vms:
            return True
    if address is not None and group.scope in (None, scope):
        listed = any(_contains(prefix, address) for prefix in group.cidrs)
        if listed and not any(_contains(prefix, address) for prefix in group.excepts):
            return True
    return any(group_has(part, vnic, address, scope) for part in group.any_of)


def side_has(groups: Groups, vnic: Vnic | None, address: Address | None, scope: str) -> bool:
    """True if this side of a connection is in one of a rule's groups; None is any."""
    return groups is None or any(group_has(group, vnic, address, scope) for group in groups)


def vnic_in(groups: Groups, vnic: Vnic) -> bool:
    """True if a vNIC is in one of the groups with any of its addresses: what `side_has` says of some address of it.

    A vNIC without addresses is in a group by labels or name only. None is any.
    """
    return groups is None or any(
        group_has(group, vnic, None, vnic.scope) or _lists_some(group, vnic) for group in groups
    )


def _lists_some(group: Group, vnic: Vnic) -> bool:
    """True if the group's CIDRs, less exceptions, hold an address of the vNIC."""
    if group.scope in (None, vnic.scope) and any(_leaves_some(group, prefix) for prefix in vnic.addresses):
        return True
    return any(_lists_some(part, vnic) for part in group.any_of)


def _leaves_some(group: Group, prefix: Prefix) -> bool:
    """True if some address of the prefix is in the CIDRs and in no exception."""
    excepted = join_ranges(ends(other) for other in group.excepts if other.version == prefix.version)
    begin, end = ends(prefix)
    for other in group.cidrs:
        if other.version == prefix.version:
            first, last = ends(other)
            first, last = max(begin, first), min(end, last)
            if first <= last and not any(low <= first and last <= high for low, high in excepted):
                return True
    return False


def _contains(prefix: Prefix, address: Address) -> bool:
    return prefix.version == address.version and address in prefix
