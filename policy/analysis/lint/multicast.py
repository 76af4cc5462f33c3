"""Rules about multicast and broadcast, of which lint says nothing.

The exact analysis knows the addresses that a host can have. A rule that names others as its destination may decide
there, so it is never called hidden, redundant or about nobody.
"""

from __future__ import annotations

from ipaddress import ip_network

from policy.model import Group, Rule
from topology.addresses import Prefix, within

_MANY: tuple[Prefix, ...] = tuple(map(ip_network, ("224.0.0.0/4", "255.255.255.255/32", "ff00::/8")))


def about_many(rule: Rule) -> bool:
    """True if the rule names multicast or broadcast addresses as its destination."""
    return rule.destinations is not None and any(map(has_many, rule.destinations))


def has_many(group: Group) -> bool:
    """True if the group names multicast or broadcast addresses."""
    return any(_is_many(prefix) for prefix in group.cidrs) or any(map(has_many, group.any_of))


def _is_many(prefix: Prefix) -> bool:
    return any(within(prefix, many) for many in _MANY)
