"""VMs that no rule mentions (PC401)."""

from __future__ import annotations

from collections.abc import Iterator

from policy.analysis.contexts import Contexts
from policy.analysis.lint.findings import Finding
from topology.inventory import Vm


def unmentioned(contexts: Contexts) -> list[Vm]:
    """Firewalled VMs that are in no group that a deciding rule names as `from` or `to`."""
    named = 0
    for decider in contexts.rules.deciders:
        for side in (decider.rule.sources, decider.rule.destinations):
            named |= contexts.world.grouping.members(side) or 0
    members = contexts.world.of_vnic
    found: dict[str, int] = {}
    for place, vnic in enumerate(contexts.world.vnics):
        if vnic.vm is not None and not vnic.trusted:
            found[vnic.vm] = found.get(vnic.vm, 0) | members[place]
    for each in contexts.world.classes:
        for end in each.ends:
            if end.vnic is not None and end.vnic.vm in found:
                found[end.vnic.vm] |= each.members
    return [vm for vm in contexts.document.inventory.vms if vm.name in found and not found[vm.name] & named]


def find(contexts: Contexts) -> Iterator[Finding]:
    """PC401."""
    for vm in unmentioned(contexts):
        if vm.place is not None:
            yield Finding("PC401", vm.place, f"no rule mentions VM {vm.name}")
