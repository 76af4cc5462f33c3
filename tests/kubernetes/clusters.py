"""Clusters at random, as objects for the importer and as values for the truth."""

from hypothesis import strategies as st

from tests.kubernetes.truth import Cluster, Outside, Pod

NAMESPACES = ("shop", "ops", "dev")
NAMED = {("TCP", "http"): 8080, ("TCP", "db"): 5432, ("UDP", "dns"): 53}
NUMBERS = (53, 80, 8080, 5432)
OUTSIDE = [Outside("192.0.2.7"), Outside("198.51.100.9")]
CIDRS = ("0.0.0.0/0", "10.244.0.0/16", "10.244.1.0/24", "192.0.2.0/24", "198.51.100.9/32", "192.0.2.77/25")
KEYS, VALUES = ("app", "tier", "example.com/team"), ("a", "b", "")

labels = st.dictionaries(st.sampled_from(KEYS), st.sampled_from(VALUES), max_size=2)
protocols = st.sampled_from(["TCP", "UDP"])
numbers = st.sampled_from(NUMBERS)
_values = st.lists(st.sampled_from(VALUES), min_size=1, max_size=2, unique=True)
_expressions = st.one_of(
    st.fixed_dictionaries(
        {"key": st.sampled_from(KEYS), "operator": st.sampled_from(["In", "NotIn"]), "values": _values}
    ),
    st.fixed_dictionaries({"key": st.sampled_from(KEYS), "operator": st.sampled_from(["Exists", "DoesNotExist"])}),
)
selectors = st.one_of(
    st.just({}),
    st.fixed_dictionaries({}, optional={"matchLabels": labels, "matchExpressions": st.lists(_expressions, max_size=2)}),
)
_by_name = st.sampled_from(NAMESPACES).map(lambda name: {"matchLabels": {"kubernetes.io/metadata.name": name}})
namespace_selectors = st.one_of(selectors, _by_name)

# networking.k8s.io/v1
_pod_peers = st.one_of(
    st.fixed_dictionaries({"podSelector": selectors}),
    st.fixed_dictionaries({"namespaceSelector": namespace_selectors}),
    st.fixed_dictionaries({"namespaceSelector": namespace_selectors, "podSelector": selectors}),
)
_blocks = st.fixed_dictionaries(
    {
        "ipBlock": st.fixed_dictionaries(
            {"cidr": st.sampled_from(CIDRS)}, optional={"except": st.lists(st.sampled_from(CIDRS[1:]), max_size=2)}
        )
    }
)
_numeric_ports = st.one_of(
    st.fixed_dictionaries({}, optional={"protocol": protocols, "port": numbers}),
    st.fixed_dictionaries({"protocol": protocols, "port": st.just(53), "endPort": numbers}),
)
_named_ports = st.sampled_from(sorted(NAMED)).map(lambda it: {"protocol": it[0], "port": it[1]})


def _rules(side, *choices):
    """Rules with peers and ports of some choices of both; a named port to an address is nothing that there is."""
    return st.lists(
        st.one_of(
            st.fixed_dictionaries(
                {}, optional={side: st.lists(peers, max_size=2), "ports": st.lists(ports, max_size=2)}
            )
            for peers, ports in choices
        ),
        max_size=2,
    )


_any_peers, _any_ports = st.one_of(_pod_peers, _blocks), st.one_of(_numeric_ports, _named_ports)
_specs = st.fixed_dictionaries(
    {"podSelector": selectors},
    optional={
        "policyTypes": st.lists(st.sampled_from(["Ingress", "Egress"]), unique=True, max_size=2),
        "ingress": _rules("from", (_any_peers, _any_ports)),
        "egress": _rules("to", (_any_peers, _numeric_ports), (_pod_peers, _any_ports)),
    },
)

# policy.networking.k8s.io
_subjects = st.one_of(
    st.fixed_dictionaries({"namespaces": namespace_selectors}),
    st.fixed_dictionaries(
        {"pods": st.fixed_dictionaries({"namespaceSelector": namespace_selectors, "podSelector": selectors})}
    ),
)
_networks = st.fixed_dictionaries({"networks": st.lists(st.sampled_from(CIDRS), min_size=1, max_size=2)})
_unknown = st.sampled_from([{"nodes": {}}, {"domainNames": ["example.com"]}])
_ranges = st.fixed_dictionaries({"start": st.just(53), "end": st.sampled_from([80, 8080])})
_number_v1 = st.one_of(
    st.fixed_dictionaries({"portNumber": st.fixed_dictionaries({"protocol": protocols, "port": numbers})}),
    st.fixed_dictionaries(
        {"portRange": st.builds(lambda ports, name: {**ports, "protocol": name}, _ranges, protocols)}
    ),
)
_name_v1 = st.sampled_from(sorted(NAMED)).map(lambda it: {"namedPort": it[1]})
_number_v2 = st.builds(
    lambda name, port: {name: {"destinationPort": port}},
    st.sampled_from(["tcp", "udp"]),
    st.one_of(numbers.map(lambda number: {"number": number}), _ranges.map(lambda ports: {"range": ports})),
)
_name_v2 = st.sampled_from(sorted(NAMED)).map(lambda it: {"destinationNamedPort": it[1]})


def _actions(side, actions, ports_key, *choices):
    return st.lists(
        st.one_of(
            st.fixed_dictionaries(
                {"action": st.sampled_from(actions), side: st.lists(peers, min_size=1, max_size=2)},
                optional={ports_key: st.lists(ports, max_size=2)},
            )
            for peers, ports in choices
        ),
        max_size=3,
    )


def _admin_specs(actions, ports_key, number, name, more, unknown):
    outside = st.one_of(_networks, _unknown) if unknown else _networks
    return st.fixed_dictionaries(
        {
            "subject": _subjects,
            "ingress": _actions("from", actions, ports_key, (_subjects, st.one_of(number, name))),
            "egress": _actions(
                "to", actions, ports_key, (st.one_of(_subjects, outside), number), (_subjects, st.one_of(number, name))
            ),
            **more,
        }
    )


@st.composite
def clusters(draw, unknown=False):
    """``unknown``: rules also have peers that the importer cannot carry over."""
    namespaces = {name: draw(labels) for name in NAMESPACES}
    pods = [Pod("shop", "anchor", "10.244.0.1", {}, NAMED)]
    for number in range(draw(st.integers(1, 4))):
        ports = draw(st.dictionaries(st.sampled_from(sorted(NAMED)), numbers, max_size=2))
        where = draw(st.sampled_from(NAMESPACES))
        pods.append(Pod(where, f"pod-{number}", f"10.244.{number % 2}.{10 + number}", draw(labels), ports))
    # Equal priorities in one tier mean nothing in particular.
    priorities = draw(st.permutations(range(0, 1001, 100)))
    policies = []

    def add(kind, api, name, spec, namespace=None):
        metadata = {"name": name, "namespace": namespace} if namespace else {"name": name}
        policies.append({"apiVersion": api, "kind": kind, "metadata": metadata, "spec": spec})

    for number in range(draw(st.integers(0, 3))):
        where = draw(st.sampled_from(NAMESPACES))
        add("NetworkPolicy", "networking.k8s.io/v1", f"np-{number}", draw(_specs), where)
    three = ["Allow", "Deny", "Pass"]
    for number in range(draw(st.integers(0, 2))):
        more = {"priority": st.just(priorities[number])}
        spec = draw(_admin_specs(three, "ports", _number_v1, _name_v1, more, unknown))
        add("AdminNetworkPolicy", "policy.networking.k8s.io/v1alpha1", f"anp-{number}", spec)
    for number in range(draw(st.integers(0, 2))):
        more = {"priority": st.just(priorities[5 + number]), "tier": st.sampled_from(["Admin", "Baseline"])}
        spec = draw(_admin_specs(["Accept", "Deny", "Pass"], "protocols", _number_v2, _name_v2, more, unknown))
        add("ClusterNetworkPolicy", "policy.networking.k8s.io/v1alpha2", f"cnp-{number}", spec)
    # Which goes first, a baseline policy of the old kind or the new, nobody says.
    if draw(st.booleans()) and not any(policy["spec"].get("tier") == "Baseline" for policy in policies):
        spec = draw(_admin_specs(three[:2], "ports", _number_v1, _name_v1, {}, unknown))
        add("BaselineAdminNetworkPolicy", "policy.networking.k8s.io/v1alpha1", "default", spec)
    return Cluster(namespaces, pods, policies)


def objects(cluster):
    """The cluster as Kubernetes' objects."""
    found = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": cluster.namespace_labels(name)}}
        for name in cluster.namespaces
    ]
    for pod in cluster.pods:
        ports = [
            {"name": name, "containerPort": number, "protocol": protocol}
            for (protocol, name), number in pod.ports.items()
        ]
        found.append(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": pod.name, "namespace": pod.namespace, "labels": pod.labels},
                "spec": {"containers": [{"name": "main", "image": "x", "ports": ports}]},
                "status": {"phase": "Running", "podIP": pod.ip, "podIPs": [{"ip": pod.ip}]},
            }
        )
    return found + cluster.policies
