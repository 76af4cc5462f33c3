"""AdminNetworkPolicy, BaselineAdminNetworkPolicy (v1alpha1) and ClusterNetworkPolicy (v1alpha2): ordered rules.

Those of administrators become the tier `infrastructure`, before all NetworkPolicies; the baseline ones become the tier
`baseline`, where Pods come that no NetworkPolicy isolates. Smaller priorities go first, and so do they here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from policy.kubernetes.draft import DraftPolicy, DraftRule, Who, Whos, short_name
from policy.kubernetes.labels import ALL_PODS, tests, who
from policy.kubernetes.objects import Object
from policy.kubernetes.pods import protocol_of
from policy.kubernetes.report import Lost, Report
from policy.kubernetes.rules import NamedPort, Port, RuleMaker, deny_all, prefix, term
from policy.kubernetes.view import View
from policy.model import PORT_PROTOCOLS, Tier, Verdict
from policy.problems import quoted

MAX_PRIORITY = 1000
# Behind every ClusterNetworkPolicy of the tier; there is one such policy in a cluster.
BASELINE_ORDER = MAX_PRIORITY + 1
_ACTIONS = {
    "AdminNetworkPolicy": {"Allow": Verdict.ALLOW, "Deny": Verdict.DENY, "Pass": Verdict.PASS},
    "BaselineAdminNetworkPolicy": {"Allow": Verdict.ALLOW, "Deny": Verdict.DENY},
    "ClusterNetworkPolicy": {"Accept": Verdict.ALLOW, "Deny": Verdict.DENY, "Pass": Verdict.PASS},
}
_PREFIXES = {
    "AdminNetworkPolicy": "admin_",
    "BaselineAdminNetworkPolicy": "baseline_",
    "ClusterNetworkPolicy": "cluster_",
}
_TIERS = {"Admin": Tier.INFRASTRUCTURE, "Baseline": Tier.BASELINE}
_KEYS = {
    "AdminNetworkPolicy": ("priority", "subject", "ingress", "egress"),
    "BaselineAdminNetworkPolicy": ("subject", "ingress", "egress"),
    "ClusterNetworkPolicy": ("tier", "priority", "subject", "ingress", "egress"),
}
_NO_COUNTERPART = {
    "nodes": "nodes are nothing that we know here",
    "domainNames": "rules match addresses, not domain names",
}


@dataclass(frozen=True, slots=True)
class _Context:
    """What the rules of one policy share."""

    kind: str
    tier: Tier
    subject: Who


class AdminPolicies:
    """Reads these policies one after the other; ``asked`` collects the labels of namespaces that they ask for."""

    def __init__(self, maker: RuleMaker, asked: dict[str, View], report: Report) -> None:
        self._maker = maker
        self._asked = asked
        self._report = report
        self._priorities: dict[tuple[Tier, int], Object] = {}
        self.policies: list[DraftPolicy] = []

    def add(self, one: Object) -> None:
        """Takes one policy."""
        # Before anything is known, the worst: an administrator's policy of the first order.
        tier, order = (Tier.BASELINE if one.kind.startswith("Baseline") else Tier.INFRASTRUCTURE), 0
        try:
            spec = one.view.need("spec").only(*_KEYS[one.kind])
            tier = _tier(spec, one.kind)
            order = self._order(spec, one, tier)
            subject = self._pods(spec.need("subject"))
            context = _Context(one.kind, tier, subject)
            rules = [*self._rules(spec, context, True), *self._rules(spec, context, False)]
        except Lost as lost:
            self._report.losses.append(lost.but("in its place everything is denied for all Pods"))
            everybody = Who(ALL_PODS)
            rules = [deny_all("ingress", everybody, True), deny_all("egress", everybody, False)]
        name = short_name(_PREFIXES[one.kind] + one.name)
        self.policies.append(DraftPolicy(name, tier, order, tuple(rules), one.label, one.view.node.place))

    def _order(self, spec: View, one: Object, tier: Tier) -> int:
        if one.kind == "BaselineAdminNetworkPolicy":
            return BASELINE_ORDER
        view = spec.need("priority")
        order = view.integer(0, MAX_PRIORITY)
        first = self._priorities.setdefault((tier, order), one)
        if first is not one:
            self._report.notes.append(
                view.remark(
                    f"{first.label} has this priority, too: Kubernetes leaves open which goes first; here names tell"
                )
            )
        return order

    def _rules(self, spec: View, context: _Context, inward: bool) -> Iterator[DraftRule]:
        key, side = ("ingress", "from") if inward else ("egress", "to")
        for number, rule in enumerate(spec.list(key), 1):
            name = f"{key}-{number}"
            try:
                verdict = _verdict(rule, context)
            except Lost as lost:
                consequence = f"in its place all {key} of its subject is denied"
                self._report.losses.append(lost.but(consequence))
                yield deny_all(name, context.subject, inward)
                continue
            ports_key = "protocols" if context.kind == "ClusterNetworkPolicy" else "ports"
            peers = partial(self._peers, rule, side, ports_key)
            ports = partial(_ports, rule, ports_key)
            yield from self._maker.rules(name, verdict, context.subject, inward, peers, ports)

    def _peers(self, rule: View, side: str, ports_key: str) -> Iterator[Callable[[], Whos]]:
        rule.only("name", "action", side, ports_key)
        items = rule.need(side).items()
        if not items:
            raise rule.lost(f"{side!r} needs a peer")
        for item in items:
            yield partial(self._peer, item, side)

    def _peer(self, view: View, side: str) -> Whos:
        outside = ("networks", *_NO_COUNTERPART) if side == "to" else ()
        key, value = view.one_of("namespaces", "pods", *outside)
        if key in _NO_COUNTERPART:
            raise value.lost(_NO_COUNTERPART[key])
        if key == "networks":
            networks = value.items()
            if not networks:
                raise value.lost("must not be empty")
            return tuple(Who(cidr=str(prefix(network))) for network in networks)
        return (self._pods(view),)

    def _pods(self, view: View) -> Who:
        """The Pods of a subject or a peer."""
        key, value = view.one_of("namespaces", "pods")
        if key == "namespaces":
            return who(value, tests(value, of_namespace=True, keys=self._asked))
        value.only("namespaceSelector", "podSelector")
        namespaces = tests(value.get("namespaceSelector"), of_namespace=True, keys=self._asked)
        return who(value, [*namespaces, *tests(value.get("podSelector"))])


def _tier(spec: View, kind: str) -> Tier:
    if kind != "ClusterNetworkPolicy":
        return Tier.BASELINE if kind.startswith("Baseline") else Tier.INFRASTRUCTURE
    view = spec.need("tier")
    if view.text() not in _TIERS:
        raise view.lost(f"{quoted(view.text())} is not Admin or Baseline")
    return _TIERS[view.text()]


def _verdict(rule: View, context: _Context) -> Verdict:
    view = rule.need("action")
    actions = _ACTIONS[context.kind]
    if view.text() not in actions:
        raise view.lost(f"{quoted(view.text())} is not {', '.join(actions)}")
    verdict = actions[view.text()]
    # Behind the baseline tier there is only Kubernetes' default: everything is allowed. (Ours would be to deny.)
    return Verdict.ALLOW if verdict is Verdict.PASS and context.tier is Tier.BASELINE else verdict


def _ports(rule: View, key: str) -> Iterator[Callable[[], Port]]:
    for item in rule.list(key):
        yield partial(_protocol if key == "protocols" else _port, item)


def _port(view: View) -> Port:
    """A port of v1alpha1."""
    key, value = view.one_of("portNumber", "portRange", "namedPort")
    if key == "namedPort":
        return NamedPort(value, value.text())
    if key == "portNumber":
        value.only("protocol", "port")
        number = value.need("port").integer(1, 65535)
        return term(protocol_of(value.get("protocol")), number, number)
    value.only("protocol", "start", "end")
    return _range(protocol_of(value.get("protocol")), value)


def _protocol(view: View) -> Port:
    """A protocol of v1alpha2."""
    key, value = view.one_of(*PORT_PROTOCOLS, "destinationNamedPort")
    if key == "destinationNamedPort":
        return NamedPort(value, value.text())
    port = value.only("destinationPort").get("destinationPort")
    if port is None:
        return key
    form, said = port.one_of("number", "range")
    if form == "number":
        number = said.integer(1, 65535)
        return term(key, number, number)
    return _range(key, said.only("start", "end"))


def _range(protocol: str, view: View) -> str:
    first, last = view.need("start").integer(1, 65535), view.need("end").integer(1, 65535)
    if last < first:
        raise view.lost(f"the range ends at {last}, before it begins at {first}")
    return term(protocol, first, last)
