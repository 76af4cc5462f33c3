"""A draft as YAML of ours. Every value is written as JSON, which is YAML without surprises."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from policy.kubernetes.draft import Draft, DraftPolicy, DraftRule, DraftVm, Who, Whos
from policy.kubernetes.labels import NAMESPACE, NAMESPACE_LABEL, PORT

INVENTORY, POLICIES = "inventory.yaml", "policies.yaml"
_VERSION = "version: 1\n"
_VMS = f"""\
# Imported from Kubernetes: each Pod is a VM. Its labels are the Pod's; besides:
#   {NAMESPACE}         its namespace
#   {NAMESPACE_LABEL}KEY    a label of its namespace
#   {PORT}tcp/NAME          the number of a named port
# The iface-id of a VM's port in Open vSwitch (external_ids:iface-id) is expected to be the VM's name.
"""
_RULES = """\
# Imported from Kubernetes. Tiers: AdminNetworkPolicy (and ClusterNetworkPolicy of tier Admin) are infrastructure,
# NetworkPolicy is application, BaselineAdminNetworkPolicy (and ClusterNetworkPolicy of tier Baseline) is baseline.
"""


def as_files(draft: Draft) -> dict[str, str]:
    """The policy as files, by name."""
    inventory = "".join([_VMS, _VERSION, "\n", *_vms(draft.vms)])
    return {INVENTORY: inventory, POLICIES: "".join([_RULES, *_policies(draft.policies)])}


def as_text(draft: Draft) -> str:
    """The policy as one file."""
    return "".join([_VMS, _VERSION, "\n", *_vms(draft.vms), "\n", _RULES, *_policies(draft.policies)])


def _vms(vms: Iterable[DraftVm]) -> Iterator[str]:
    lines = [f"  {_text(vm.name)}: {{labels: {_text(vm.labels)}{_addresses(vm)}}}\n" for vm in vms]
    yield "vms:\n" if lines else "vms: {}\n"
    yield from lines


def _addresses(vm: DraftVm) -> str:
    return f", addresses: {_text(vm.addresses)}" if vm.addresses else ""


def _policies(policies: Iterable[DraftPolicy]) -> Iterator[str]:
    yield "policies:\n"
    for policy in policies:
        place = "" if policy.place is None else f" ({policy.place.file}:{policy.place.line})"
        yield f"  # {_comment(policy.origin + place)}\n"
        yield f"  - name: {_text(policy.name)}\n"
        yield f"    tier: {policy.tier.label}\n"
        yield f"    order: {policy.order}\n"
        yield "    rules:\n" if policy.rules else "    rules: []\n"
        for rule in policy.rules:
            yield from _rule(rule)


def _rule(rule: DraftRule) -> Iterator[str]:
    terms = rule.terms if len(rule.terms) > 1 else rule.terms[0]
    yield f"      - name: {_text(rule.name)}\n"
    yield f"        {rule.verdict.value}: {_text(terms)}\n"
    for key, whos in (("from", rule.sources), ("to", rule.destinations)):
        if whos is not None:
            yield f"        {key}: {_whos(whos)}\n"
    yield f"        direction: {'in' if rule.inward else 'out'}\n"


def _whos(whos: Whos) -> str:
    written = [_who(one) for one in dict.fromkeys(whos or ())]
    return written[0] if len(written) == 1 else f"[{', '.join(written)}]"


def _who(one: Who) -> str:
    if one.match is not None:
        return f"{{match: {_text(one.match)}}}"
    excepts = f", except: {_text(one.excepts)}" if one.excepts else ""
    return f"{{cidrs: {_text(one.cidr)}{excepts}}}"


def _text(value: object) -> str:
    return json.dumps(value)


def _comment(text: str) -> str:
    """Text for a comment: nothing in it can end the line."""
    return json.dumps(text)[1:-1].replace('\\"', '"')
