"""What makes a policy that the loader takes too much for any switch."""

from __future__ import annotations

from policy.errors import Problem
from policy.flows.fields import AUDIT
from policy.flows.floods import too_many_copies
from policy.flows.placement import HIGHEST, LOWEST
from policy.model import Document, Tier

# Rules that a tier can hold.
CAPACITY = HIGHEST - LOWEST + 1


def too_much(document: Document) -> Problem | None:
    """What is too much of a policy, if something is."""
    return _too_many_rules(document) or too_many_copies(document)


def _too_many_rules(document: Document) -> Problem | None:
    """Each rule of a tier has a priority of its own, and each policy in audit a number of few bits."""
    audits = [policy for policy in document.policies if policy.audit]
    if len(audits) > AUDIT.full:
        return Problem(audits[AUDIT.full].place, f"more than {AUDIT.full} policies in audit")
    counts: dict[Tier, int] = {}
    for policy in document.policies:
        counts[policy.tier] = counts.get(policy.tier, 0) + len(policy.rules)
        if counts[policy.tier] > CAPACITY:
            return Problem(policy.place, f"more than {CAPACITY:,} rules in tier {policy.tier.name.lower()}")
    return None
