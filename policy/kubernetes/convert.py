"""An import from beginning to end: files to objects, objects to a draft of a policy."""

from __future__ import annotations

from collections.abc import Mapping

from policy.kubernetes.admin_policies import AdminPolicies
from policy.kubernetes.draft import Draft, DraftPolicy, DraftRule, Who
from policy.kubernetes.labels import ALL_PODS
from policy.kubernetes.network_policies import NetworkPolicies
from policy.kubernetes.objects import read_objects
from policy.kubernetes.pods import Pods
from policy.kubernetes.report import Report
from policy.kubernetes.rules import ANY, RuleMaker
from policy.kubernetes.view import View
from policy.model import Tier, Verdict
from policy.problems import Problems

DEFAULT = "kubernetes_default"
_LAST_ORDER = 65535


def convert(files: Mapping[str, bytes], problems: Problems) -> tuple[Draft, Report]:
    """The policy that the objects in files of these names and contents come to.

    Files that cannot be read are noted in ``problems``; raises `Enough` like they do.
    """
    report = Report()
    objects = read_objects(files, problems, report)
    asked: dict[str, View] = {}
    pods = Pods(objects["Pod"], objects["Namespace"], report)
    maker = RuleMaker(pods.ports, report, problems)
    admin = AdminPolicies(maker, asked, report)
    for kind in ("AdminNetworkPolicy", "BaselineAdminNetworkPolicy", "ClusterNetworkPolicy"):
        for one in objects[kind]:
            admin.add(one)
    network = NetworkPolicies(maker, asked, report)
    for one in objects["NetworkPolicy"]:
        network.add(one)
    pods.check_namespaces(asked)
    isolation = network.isolation()
    policies = [*admin.policies, *network.policies, *([] if isolation is None else [isolation]), _default()]
    policies.sort(key=lambda policy: (policy.tier, policy.order, policy.name))
    return Draft(sorted(pods.vms, key=lambda vm: vm.name), policies), report


def _default() -> DraftPolicy:
    """What no policy is about, Kubernetes allows: the other way round than here."""
    pods = (Who(ALL_PODS),)
    rules = (
        DraftRule("ingress", Verdict.ALLOW, ANY, None, pods, True),
        DraftRule("egress", Verdict.ALLOW, ANY, pods, None, False),
    )
    return DraftPolicy(DEFAULT, Tier.BASELINE, _LAST_ORDER, rules, "what no policy is about, Kubernetes allows")
