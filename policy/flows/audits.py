"""The rules of policies in audit: they decide nothing, and each has a number by which its flows can be told."""

from __future__ import annotations

from policy.flows.cookies import numbers
from policy.flows.rules import NumberedRule, numbered, rule_name
from policy.model import Document


def audited(document: Document) -> tuple[NumberedRule, ...]:
    """All rules of policies in audit, with their numbers, in the order in which they are walked.

    No rule that decides has such a number, so both may serve as ids of conjunctions in one table.
    """
    pairs = [(policy, rule) for policy in document.policies if policy.audit for rule in policy.rules]
    taken = (entry.number for entry in numbered(document))
    number_of = numbers((rule_name(policy, rule) for policy, rule in pairs), reserved=taken)
    return tuple(NumberedRule(number_of[rule_name(policy, rule)], policy, rule) for policy, rule in pairs)
