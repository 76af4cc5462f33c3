"""Who is in a group: the one place that says it for people and tests. (The flow compiler says it for the switch.)"""

from __future__ import annotations

from policy.model import Group, Groups
from topology.addresses import Address, Prefix
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


def _contains(prefix: Prefix, address: Address) -> bool:
    return prefix.version == address.version and address in prefix
