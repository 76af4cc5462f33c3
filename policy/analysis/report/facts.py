"""Everything that the report tells, gathered once, as values that are JSON already.

Nothing here depends on the day or the machine: the same files make the same report, to the byte.
"""

from __future__ import annotations

from policy.analysis import blast
from policy.analysis.assertions import Examined, examine
from policy.analysis.contexts import Contexts, places_of
from policy.analysis.decide import Decider
from policy.analysis.lint.run import Linted
from policy.analysis.lint.unmentioned import unmentioned
from policy.analysis.reach import OUTSIDE, Nodes, Reach
from policy.analysis.regions import Region, region_of
from policy.analysis.words import terms
from policy.model import Document, Verdict
from policy.terms import parse_term
from topology.inventory import DHCP_SERVER, ROUTER, Place

Fact = dict[str, object]
# What does not count as a way to take a VM over.
_NO_WAY = ("icmp",)
_ROLES = {
    DHCP_SERVER: "has the role dhcp-server: it may answer DHCP requests",
    ROUTER: "has the role router: it may send IPv6 router advertisements and redirects",
}


def gather(document: Document, linted: Linted) -> Fact:
    """The report's values."""
    contexts = Contexts(document)
    talking = Reach(contexts)
    return {
        "revision": document.revision,
        "scope": _scope(document),
        "vms": _vms(document, talking),
        "coverage": _coverage(document, contexts),
        "talks": _talks(talking),
        "exceptions": _exceptions(document, linted),
        "open_ends": _open_ends(document, contexts, talking),
        "assertions": [_assertion(each) for each in examine(document)],
        "lint": [finding.json() for finding in linted.findings],
        "blast_radius": _blast(Reach(contexts, ignored())),
    }


def ignored() -> Region:
    """The services by which nobody gets anywhere, as `blast-radius` has it unless told otherwise."""
    return region_of(tuple(term for text in _NO_WAY for term in parse_term(text)))


def _scope(document: Document) -> Fact:
    inventory = document.inventory
    return {
        "vms": len(inventory.vms),
        "vnics": sum(len(vm.vnics) for vm in inventory.vms),
        "networks": [{"name": net.name, "vlan": net.vlan, "scope": net.scope} for net in inventory.networks],
        "tenants": sorted({policy.tenant for policy in document.policies if policy.tenant is not None}),
        "groups": len(document.groups),
        "services": len(document.services),
        "policies": len(document.policies),
        "rules": sum(len(policy.rules) for policy in document.policies),
        "assertions": len(document.assertions),
    }


def _vms(document: Document, reach: Reach) -> list[Fact]:
    """VMs that are alike to every rule, together; with the labels that all of them have."""
    by_name = {vm.name: vm for vm in document.inventory.vms}
    found: list[Fact] = []
    for node in reach.nodes[OUTSIDE + 1 :]:
        machines = [by_name[name] for name in node.vms]
        first = machines[0]
        labels = {k: v for k, v in sorted(first.labels.items()) if all(m.labels.get(k) == v for m in machines)}
        tenants = sorted({machine.tenant or "" for machine in machines} - {""})
        found.append({"vms": list(node.vms), "tenants": tenants, "labels": labels})
    return found


def _coverage(document: Document, contexts: Contexts) -> Fact:
    trusted = [vm.name for vm in document.inventory.vms if vm.trusted or any(vnic.trusted for vnic in vm.vnics)]
    bare = [vm.name for vm in document.inventory.vms if not any(vnic.addresses for vnic in vm.vnics)]
    return {
        "firewalled": len(document.inventory.vms) - len(trusted),
        "trusted": trusted,
        "without_address": bare,
        "unmentioned": [vm.name for vm in unmentioned(contexts)],
    }


def _talks(reach: Reach) -> list[Fact]:
    """Who may talk to whom, rule by rule: what really goes through by it."""
    return [
        {
            **rule_fact(reach.contexts.rules.deciders[rule]),
            "services": terms(opened.services),
            "from": _who(reach, opened.sources),
            "to": _who(reach, opened.destinations),
            "pairs": opened.pairs,
        }
        for rule, opened in reach.opened().items()
    ]


def _who(reach: Reach, nodes: Nodes) -> Fact:
    return {
        "vms": [vm for node in places_of(nodes) for vm in reach.nodes[node].vms],
        "outside": bool(nodes >> OUTSIDE & 1),
    }


def rule_fact(decider: Decider) -> Fact:
    """A rule as `explain` tells it."""
    return {
        "tier": decider.policy.tier.label,
        "tenant": decider.policy.tenant,
        "policy": decider.policy.name,
        "rule": decider.rule.name,
        "file": decider.rule.place.file,
        "line": decider.rule.place.line,
    }


def _exceptions(document: Document, linted: Linted) -> list[Fact]:
    """What was put outside of the usual on purpose: trusted VMs, roles, silenced findings, built-in rules off."""
    found: list[Fact] = []
    for vm in document.inventory.vms:
        if vm.trusted:
            found.append(_noted(f"VM {vm.name} is trusted: nothing of it is firewalled", vm.place))
        found += [
            _noted(f"vNIC {vm.name}/{vnic.iface_id} is trusted: it is not firewalled", vnic.place)
            for vnic in vm.vnics
            if vnic.trusted and not vm.trusted
        ]
        found += [_noted(f"VM {vm.name} {_ROLES[role]}", vm.place) for role in sorted(vm.roles)]
        found += [
            _noted(f"vNIC {vm.name}/{vnic.iface_id} {_ROLES[role]}", vnic.place)
            for vnic in vm.vnics
            for role in sorted(vnic.roles - vm.roles)
        ]
    for finding, silence in linted.silenced:
        found.append(_noted(f"{finding.code} is silenced ({silence.reason}): {finding.message}", finding.place))
    switches = {
        "dhcp-client": document.builtins.dhcp_client,
        "router-discovery": document.builtins.router_discovery,
        "multicast-listener": document.builtins.multicast_listener,
    }
    found += [_noted(f"the built-in rule {name} is off", None) for name, on in switches.items() if not on]
    return found


def _open_ends(document: Document, contexts: Contexts, reach: Reach) -> list[Fact]:
    """What is not finished or wide open: audited policies, `any` without a limit, what the outside may come to."""
    found = [
        _noted(f"policy {policy.name} is only audited: its rules decide nothing", policy.place)
        for policy in document.policies
        if policy.audit
    ]
    for rule, opened in reach.opened().items():
        decider = contexts.rules.deciders[rule]
        name = f"{decider.policy.name}/{decider.rule.name}"
        everybody = decider.rule.sources is None and decider.rule.destinations is None
        if decider.rule.verdict is Verdict.ALLOW and everybody:
            found.append(_noted(f"rule {name} allows from any to any", decider.rule.place))
        if opened.sources >> OUTSIDE & 1:
            text = " ".join(terms(opened.services))
            found.append(_noted(f"rule {name} lets the outside in: {text}", decider.rule.place))
    return found


def _noted(text: str, place: Place | None) -> Fact:
    return {
        "text": text,
        "file": None if place is None else place.file,
        "line": None if place is None else place.line,
    }


def _assertion(each: Examined) -> Fact:
    assertion = each.assertion
    return {
        "name": assertion.name,
        "tenant": assertion.tenant,
        "claim": "always" if assertion.always else "never",
        "services": terms(region_of(assertion.terms)),
        "holds": each.counter_example is None,
        "vacuous": each.vacuous,
        "file": assertion.place.file,
        "line": assertion.place.line,
    }


def _blast(reach: Reach) -> Fact:
    return {
        "ignored": list(_NO_WAY),
        "compared": [{"hops": each.hops, "reached": each.reached, "flat": each.flat} for each in blast.worth(reach)],
        "ranking": [
            {
                "vms": list(reach.nodes[harm.node].vms),
                "direct": harm.direct,
                "reached": harm.reached,
                "outside": harm.outside,
            }
            for harm in blast.ranking(reach)
        ],
        "rules": [
            {**rule_fact(reach.contexts.rules.deciders[part.rule]), "pairs": part.pairs, "without": part.without}
            for part in blast.parts_of_all(reach)
        ],
    }
