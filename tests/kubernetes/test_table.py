"""Policies from the book, each with what becomes of some connections, written down by hand; the truth must agree."""

import yaml
from pytest import mark, param

from tests.kubernetes.imported import imported
from tests.kubernetes.truth import Cluster, Flow, Outside, Pod, allowed

WEB = Pod("shop", "web", "10.0.1.1", {"app": "web"}, {("TCP", "http"): 8080})
WEB2 = Pod("shop", "web2", "10.0.1.2", {"app": "web"}, {("TCP", "http"): 8081})
DB = Pod("shop", "db", "10.0.1.3", {"app": "db"})
OPS = Pod("ops", "prom", "10.0.2.1", {"app": "prom"})
OPS_WEB = Pod("ops", "web", "10.0.2.2", {"app": "web"})
WORLD, OFFICE = Outside("203.0.113.9"), Outside("198.51.100.1")
NAMESPACES = {"shop": {"team": "shop"}, "ops": {"team": "ops"}}
ENDS = {"web": WEB, "web2": WEB2, "db": DB, "ops": OPS, "ops-web": OPS_WEB, "world": WORLD, "office": OFFICE}


def network(spec, name="np"):
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": yaml.safe_load(spec),
    }


def cluster_wide(kind, spec, name="default"):
    version = "v1alpha2" if kind.startswith("Cluster") else "v1alpha1"
    metadata = {"name": name}
    api = f"policy.networking.k8s.io/{version}"
    return {"apiVersion": api, "kind": kind, "metadata": metadata, "spec": yaml.safe_load(spec)}


def anp(spec, name="anp"):
    return cluster_wide("AdminNetworkPolicy", "subject: {namespaces: {}}\n" + spec, name)


def banp(spec):
    return cluster_wide("BaselineAdminNetworkPolicy", "subject: {namespaces: {}}\n" + spec)


def cnp(spec, name="cnp", subject="namespaces: {}"):
    return cluster_wide("ClusterNetworkPolicy", f"subject: {{{subject}}}\n{spec}", name)


DENY_IN = network("podSelector: {}\npolicyTypes: [Ingress]", "deny-in")
FROM_OPS = "from: [{namespaces: {matchLabels: {team: ops}}}]"
TABLE = {
    "no policy at all": ([], "world>web:80 web>world:80 web>db:1", ""),
    "default deny ingress": ([DENY_IN], "web>world:80 ops>world:1 web>ops:1", "world>web:80 web>db:1 ops>web:1"),
    "default deny egress": ([network("podSelector: {}\npolicyTypes: [Egress]")], "ops>web:1 world>web:1", "web>ops:1"),
    "types follow from the rules": (
        [network("podSelector: {matchLabels: {app: web}}\negress: [{to: [{podSelector: {}}]}]")],
        "web>db:1",
        "world>web:1 db>web:1 web>world:1",
    ),
    "no types: ingress only": ([network("podSelector: {}")], "web>world:1", "world>web:1"),
    "allow all ingress": ([DENY_IN, network("podSelector: {}\ningress: [{}]")], "world>web:1 ops>db:9", ""),
    "an empty from is everybody": ([network("podSelector: {}\ningress: [{from: [], ports: []}]")], "world>web:1", ""),
    "rules of all policies add up": (
        [
            DENY_IN,
            network("podSelector: {matchLabels: {app: web}}\ningress: [{ports: [{port: 80}]}]", "a"),
            network("podSelector: {matchLabels: {app: web}}\ningress: [{ports: [{port: 443}]}]", "b"),
        ],
        "world>web:80 world>web:443",
        "world>web:81 world>db:80",
    ),
    "a pod selector means the own namespace": (
        [network("podSelector: {}\ningress: [{from: [{podSelector: {matchLabels: {app: web}}}]}]")],
        "web>db:1 web>web2:1",
        "ops-web>db:1 db>web:1",
    ),
    "one peer with both selectors: both must hold": (
        [
            network(
                "podSelector: {}\ningress: [{from: [{namespaceSelector: {matchLabels: {team: ops}}, "
                "podSelector: {matchLabels: {app: web}}}]}]"
            )
        ],
        "ops-web>db:1",
        "ops>db:1 web>db:1",
    ),
    "two peers: either will do": (
        [
            network(
                "podSelector: {}\ningress: [{from: [{namespaceSelector: {matchLabels: {team: ops}}}, "
                "{podSelector: {matchLabels: {app: web}}}]}]"
            )
        ],
        "ops-web>db:1 ops>db:1 web>db:1",
        "db>web:1 world>web:1",
    ),
    "blocks with exceptions": (
        [network("podSelector: {}\ningress: [{from: [{ipBlock: {cidr: 0.0.0.0/0, except: [203.0.113.0/24]}}]}]")],
        "office>web:1 ops>web:1",
        "world>web:1",
    ),
    "egress to a block": (
        [network("podSelector: {}\npolicyTypes: [Egress]\negress: [{to: [{ipBlock: {cidr: 203.0.113.0/24}}]}]")],
        "web>world:1 office>web:1",
        "web>office:1 web>db:1",
    ),
    "ranges of ports": (
        [network("podSelector: {}\ningress: [{ports: [{protocol: TCP, port: 1000, endPort: 2000}]}]")],
        "world>web:1000 world>web:2000",
        "world>web:999 world>web:2001 world>web:1500/UDP",
    ),
    "only a protocol": (
        [network("podSelector: {}\ningress: [{ports: [{protocol: UDP}]}]")], "world>web:7/UDP", "world>web:7"
    ),
    "named ports are each Pod's own": (
        [network("podSelector: {matchLabels: {app: web}}\ningress: [{ports: [{port: http}]}]")],
        "world>web:8080 world>web2:8081",
        "world>web:8081 world>web2:8080",
    ),
    "named ports of peers": (
        [network("podSelector: {matchLabels: {app: db}}\negress: [{to: [{podSelector: {}}], ports: [{port: http}]}]")],
        "db>web:8080 db>web2:8081",
        "db>web:8081 db>ops:8080",
    ),
    "expressions": (
        [
            network(
                "podSelector: {matchExpressions: [{key: app, operator: NotIn, values: [db]}]}\n"
                "ingress: [{from: [{namespaceSelector: {matchExpressions: [{key: nothing, operator: DoesNotExist}]}, "
                "podSelector: {matchExpressions: [{key: app, operator: In, values: [prom, db]}]}}]}]"
            )
        ],
        "world>db:1 ops>web:1 db>web2:1",
        "world>web:1 ops-web>web:1",
    ),
    "an administrator's Deny is above": (
        [
            network("podSelector: {}\ningress: [{}]"),
            anp(f"priority: 5\ningress: [{{action: Deny, {FROM_OPS}, ports: [{{portNumber: {{port: 22}}}}]}}]"),
        ],
        "ops>web:80 web>db:22 world>web:22",
        "ops>web:22 ops-web>ops:22",
    ),
    "an administrator's Allow is above": (
        [DENY_IN, anp(f"priority: 5\ningress: [{{action: Allow, {FROM_OPS}}}]")], "ops>web:1", "web>db:1"
    ),
    "Pass leaves it to NetworkPolicies": (
        [
            DENY_IN,
            anp(f"priority: 5\ningress: [{{action: Pass, {FROM_OPS}}}]", "first"),
            anp(f"priority: 6\ningress: [{{action: Allow, {FROM_OPS}}}]", "second"),
        ],
        "ops>ops-web:1",
        "ops>web:1",
    ),
    "smaller priorities first, whatever the names": (
        [
            anp("priority: 1000\negress: [{action: Deny, to: [{networks: [0.0.0.0/0]}]}]", "a"),
            anp("priority: 9\negress: [{action: Allow, to: [{networks: [203.0.113.0/24]}]}]", "z"),
        ],
        "web>world:1",
        "web>office:1 web>db:1",
    ),
    "baseline: below NetworkPolicies": (
        [
            banp("ingress: [{action: Deny, from: [{namespaces: {}}]}]"),
            network("podSelector: {matchLabels: {app: db}}\ningress: [{from: [{podSelector: {}}]}]"),
        ],
        "web>db:1 world>web:1",
        "ops>db:1 ops>web:1 db>web:1",
    ),
    "cluster network policies in both tiers": (
        [
            cnp(
                "tier: Admin\npriority: 1\n"
                f"ingress: [{{action: Deny, {FROM_OPS}, protocols: [{{tcp: {{destinationPort: {{range: "
                "{start: 1, end: 99}}}}]}]",
                subject="pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: web}}}",
            ),
            cnp(
                "tier: Baseline\npriority: 1\n"
                f"ingress: [{{action: Pass, {FROM_OPS}}}, {{action: Deny, from: [{{namespaces: {{}}}}]}}]",
                "base",
            ),
        ],
        "ops>web:100 ops>db:50 world>web:50",
        "ops>web:50 ops-web>web:99 web>db:1 db>web:100",
    ),
}  # fmt: skip


def flow(text):
    ends, _, port = text.partition(":")
    source, _, destination = ends.partition(">")
    number, _, protocol = port.partition("/")
    return Flow(ENDS[source], ENDS[destination], protocol or "TCP", int(number))


@mark.parametrize(("policies", "open_", "shut"), [param(*row, id=name) for name, row in TABLE.items()])
def test_from_the_book(policies, open_, shut):
    pods = [end for end in ENDS.values() if isinstance(end, Pod)]
    cluster = Cluster(NAMESPACES, pods, policies)
    result = imported(cluster)
    assert result.losses == []
    wanted = dict.fromkeys(open_.split(), True) | dict.fromkeys(shut.split(), False)
    assert {text: allowed(cluster, flow(text)) for text in wanted} == wanted
    assert {text: result.allows(flow(text)) for text in wanted} == wanted


def test_ipv6():
    web, world = Pod("shop", "web", "2001:db8:1::1", {"app": "web"}), Outside("2001:db8:9::9")
    policy = network("podSelector: {}\ningress: [{from: [{ipBlock: {cidr: '::/0', except: ['2001:db8:9::/64']}}]}]")
    cluster = Cluster(NAMESPACES, [web], [policy])
    result = imported(cluster)
    assert result.losses == []
    for source, wanted in ((world, False), (Outside("2001:db8:8::9"), True)):
        flow = Flow(source, web, "TCP", 80)
        assert (allowed(cluster, flow), result.allows(flow)) == (wanted, wanted)
