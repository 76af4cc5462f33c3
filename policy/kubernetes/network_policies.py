"""NetworkPolicy (networking.k8s.io/v1): rules that allow, in the tier `application`; and isolation after all of them.

A Pod that some policy selects for a direction is isolated in it: what no policy that selects it allows is denied. The
rules of all policies add up, so the denying stands in one policy of its own, behind all others of the tier.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from policy.kubernetes.draft import DraftPolicy, DraftRule, Who, Whos, short_name
from policy.kubernetes.labels import NAMESPACE, tests, who, word
from policy.kubernetes.objects import Object
from policy.kubernetes.pods import protocol_of
from policy.kubernetes.report import Lost, Report
from policy.kubernetes.rules import NamedPort, Port, RuleMaker, deny_all, prefix, term
from policy.kubernetes.view import View
from policy.model import Tier, Verdict
from policy.problems import quoted

# Between the two there is room for rules of your own that only add.
ORDER, ISOLATION_ORDER = 1000, 60000
ISOLATION = "kubernetes_isolation"
_TYPES = {"Ingress": True, "Egress": False}
_PEERS = {True: "from", False: "to"}


class NetworkPolicies:
    """Reads NetworkPolicies one after the other; ``asked`` collects the labels of namespaces that they ask for."""

    def __init__(self, maker: RuleMaker, asked: dict[str, View], report: Report) -> None:
        self._maker = maker
        self._asked = asked
        self._report = report
        self._isolated: dict[tuple[Who, bool], DraftRule] = {}
        self.policies: list[DraftPolicy] = []

    def add(self, one: Object) -> None:
        """Takes one NetworkPolicy."""
        name = short_name(f"{one.namespace}.{one.name}")
        namespace = f"{NAMESPACE} == {word(one.namespace or '')}"
        directions: list[bool] = [True, False]
        try:
            spec = one.view.need("spec").only("podSelector", "policyTypes", "ingress", "egress")
            directions = _directions(spec, self._report)
            subject = who(spec, [namespace, *tests(spec.get("podSelector"))])
        except Lost as lost:
            # Whom it isolates, and whom it allows what, is not known.
            self._report.losses.append(lost.but(f"all Pods of namespace {one.namespace} are isolated in its place"))
            self._isolate(name, Who(namespace), directions)
            return
        self._isolate(name, subject, directions)
        rules = [rule for inward in directions for rule in self._rules(spec, one, subject, inward)]
        if rules:
            self.policies.append(
                DraftPolicy(name, Tier.APPLICATION, ORDER, tuple(rules), one.label, one.view.node.place)
            )

    def isolation(self) -> DraftPolicy | None:
        """What closes the Pods that the policies have selected; None if they have selected none."""
        if not self._isolated:
            return None
        rules = tuple(self._isolated.values())
        return DraftPolicy(
            ISOLATION, Tier.APPLICATION, ISOLATION_ORDER, rules, "what NetworkPolicies select, they isolate"
        )

    def _isolate(self, name: str, subject: Who, directions: list[bool]) -> None:
        for inward in directions:
            side = "in" if inward else "out"
            self._isolated.setdefault((subject, inward), deny_all(f"{name}_{side}", subject, inward))

    def _rules(self, spec: View, one: Object, subject: Who, inward: bool) -> Iterator[DraftRule]:
        key = "ingress" if inward else "egress"
        try:
            rules = spec.list(key)
        except Lost as lost:
            self._report.losses.append(lost.but("its rules are left out"))
            return
        for number, rule in enumerate(rules, 1):
            peers = partial(self._peers, rule, one.namespace or "", _PEERS[inward])
            ports = partial(_ports, rule)
            yield from self._maker.rules(f"{key}-{number}", Verdict.ALLOW, subject, inward, peers, ports)

    def _peers(self, rule: View, namespace: str, key: str) -> Iterator[Callable[[], Whos]]:
        """Readers of the peers; where none is written, or the list is empty, everybody is meant."""
        rule.only(key, "ports")
        items = rule.list(key)
        if not items:
            yield lambda: None
        for item in items:
            yield partial(self._peer, item, namespace)

    def _peer(self, view: View, namespace: str) -> Whos:
        view.only("podSelector", "namespaceSelector", "ipBlock")
        block, pods, namespaces = (view.get(key) for key in ("ipBlock", "podSelector", "namespaceSelector"))
        if block is not None:
            if pods is not None or namespaces is not None:
                raise view.lost("an ipBlock stands alone")
            return (_block(block),)
        if pods is None and namespaces is None:
            raise view.lost("a peer needs podSelector, namespaceSelector or ipBlock")
        if namespaces is None:
            conditions = [f"{NAMESPACE} == {word(namespace)}"]
        else:
            conditions = tests(namespaces, of_namespace=True, keys=self._asked)
        return (who(view, [*conditions, *tests(pods)]),)


def _directions(spec: View, report: Report) -> list[bool]:
    """The directions that a policy is about; True is ingress. Egress only if it says so, or has rules for it."""
    views = spec.list("policyTypes")
    for view in views:
        if view.text() not in _TYPES:
            raise view.lost(f"{quoted(view.text())} is not Ingress or Egress")
    types = {view.text() for view in views} or {"Ingress", *(["Egress"] if spec.list("egress") else [])}
    for name in _TYPES.keys() - types:
        rules = spec.get(name.lower())
        if rules is not None and rules.items():
            report.notes.append(rules.remark(f"is without effect in Kubernetes, too: policyTypes leaves {name} out"))
    return [inward for name, inward in _TYPES.items() if name in types]


def _block(view: View) -> Who:
    view.only("cidr", "except")
    excepts = tuple(str(prefix(item)) for item in view.list("except"))
    return Who(cidr=str(prefix(view.need("cidr"))), excepts=excepts)


def _ports(rule: View) -> Iterator[Callable[[], Port]]:
    for item in rule.list("ports"):
        yield partial(_port, item)


def _port(view: View) -> Port:
    view.only("protocol", "port", "endPort")
    protocol = protocol_of(view.get("protocol"))
    port, end = view.get("port"), view.get("endPort")
    if port is None:
        if end is not None:
            raise end.lost("endPort needs a port")
        return protocol
    if not port.is_integer():
        if end is not None:
            raise end.lost("endPort needs a port with a number")
        return NamedPort(port, port.text(), protocol)
    first = port.integer(1, 65535)
    last = first if end is None else end.integer(1, 65535)
    if last < first:
        raise view.lost(f"endPort {last} is before port {first}")
    return term(protocol, first, last)
