"""Groups and services that nobody names (PC201, PC203), and groups with nobody in them (PC202)."""

from __future__ import annotations

from collections.abc import Iterator

from policy.analysis.contexts import Contexts
from policy.analysis.lint.findings import Finding
from policy.analysis.lint.multicast import has_many
from policy.analysis.lint.sources import Sources


def find(contexts: Contexts, sources: Sources) -> Iterator[Finding]:
    """PC201, PC202 and PC203."""
    for name in sources.groups.unused():
        yield Finding("PC201", sources.groups.places[name], f"no rule, assertion or limit uses group {name}")
    for name in sources.services.unused():
        yield Finding("PC203", sources.services.places[name], f"no rule or assertion uses service {name}")
    somebody = 0
    for each in contexts.world.classes:
        somebody |= each.members
    for name, group in contexts.document.groups.items():
        if not contexts.world.grouping.bit(group) & somebody and not has_many(group):
            message = f"group {name} is empty: no vNIC and no usable address is in it"
            yield Finding("PC202", sources.groups.places[name], message)
