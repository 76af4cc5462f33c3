"""What Kubernetes does with a connection: a small evaluator of its policies, written from Kubernetes' documentation.

It works on the objects as they are (dictionaries of JSON) and shares nothing with the importer. Sources: the page
"Network Policies" of the Kubernetes documentation, and the comments of the API types of policy.networking.k8s.io.
"""

from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network

ALLOWING = ("Allow", "Accept")


@dataclass(frozen=True)
class Pod:
    namespace: str
    name: str
    ip: str
    labels: dict = field(default_factory=dict)
    ports: dict = field(default_factory=dict)  # (protocol, name) -> number


@dataclass(frozen=True)
class Outside:
    ip: str


@dataclass(frozen=True)
class Cluster:
    """``unknown``: whether what the importer cannot know (nodes, domain names) matches everybody or nobody."""

    namespaces: dict  # name -> labels
    pods: list
    policies: list
    unknown: bool = False

    def of_kind(self, *kinds):
        return [policy for policy in self.policies if policy["kind"] in kinds]

    def namespace_labels(self, name):
        return {**self.namespaces[name], "kubernetes.io/metadata.name": name}


@dataclass(frozen=True)
class Flow:
    source: object
    destination: object
    protocol: str
    port: int


def allowed(cluster, flow):
    """Both ends must allow, as far as they are Pods."""
    leaves = not isinstance(flow.source, Pod) or side(cluster, flow, flow.source, flow.destination, "egress")
    arrives = not isinstance(flow.destination, Pod) or side(cluster, flow, flow.destination, flow.source, "ingress")
    return leaves and arrives


def side(cluster, flow, pod, peer, direction):
    tiers = {"Admin": cluster.of_kind("AdminNetworkPolicy"), "Baseline": cluster.of_kind("BaselineAdminNetworkPolicy")}
    for policy in cluster.of_kind("ClusterNetworkPolicy"):
        tiers[policy["spec"]["tier"]].append(policy)

    action = first_action(cluster, flow, pod, peer, direction, tiers["Admin"])
    if action not in (None, "Pass"):
        return action in ALLOWING
    isolating = [
        policy
        for policy in cluster.of_kind("NetworkPolicy")
        if policy["metadata"]["namespace"] == pod.namespace
        and selects(policy["spec"].get("podSelector", {}), pod.labels)
        and direction in types(policy["spec"])
    ]
    if isolating:
        return any(network_policy_allows(cluster, flow, policy, peer, direction) for policy in isolating)
    action = first_action(cluster, flow, pod, peer, direction, tiers["Baseline"])
    return action is None or action == "Pass" or action in ALLOWING


def selects(selector, labels):
    if selector is None:
        return False
    tests = [labels.get(key) == value for key, value in selector.get("matchLabels", {}).items()]
    for expression in selector.get("matchExpressions", []):
        key, operator, values = expression["key"], expression["operator"], expression.get("values", [])
        tests.append(
            {
                "In": key in labels and labels[key] in values,
                "NotIn": key not in labels or labels[key] not in values,
                "Exists": key in labels,
                "DoesNotExist": key not in labels,
            }[operator]
        )
    return all(tests)


def types(spec):
    if spec.get("policyTypes"):
        return [name.lower() for name in spec["policyTypes"]]
    return ["ingress", "egress"] if spec.get("egress") else ["ingress"]


def within(cidr, ip):
    return ip_address(ip) in ip_network(cidr, strict=False)


def network_policy_allows(cluster, flow, policy, peer, direction):
    for rule in policy["spec"].get(direction) or []:
        peers = rule.get("from" if direction == "ingress" else "to") or []
        ports = rule.get("ports") or []
        fits = not peers or any(network_peer(cluster, policy, one, peer) for one in peers)
        if fits and (not ports or any(network_port(flow, one) for one in ports)):
            return True
    return False


def network_peer(cluster, policy, one, peer):
    if "ipBlock" in one:
        block = one["ipBlock"]
        return within(block["cidr"], peer.ip) and not any(within(cidr, peer.ip) for cidr in block.get("except", []))
    if not isinstance(peer, Pod):
        return False
    if "namespaceSelector" in one:
        if not selects(one["namespaceSelector"], cluster.namespace_labels(peer.namespace)):
            return False
    elif peer.namespace != policy["metadata"]["namespace"]:
        return False
    return "podSelector" not in one or selects(one["podSelector"], peer.labels)


def network_port(flow, one):
    if one.get("protocol", "TCP") != flow.protocol:
        return False
    port = one.get("port")
    if port is None:
        return True
    if isinstance(port, str):
        return isinstance(flow.destination, Pod) and flow.destination.ports.get((flow.protocol, port)) == flow.port
    return port <= flow.port <= one.get("endPort", port)


def first_action(cluster, flow, pod, peer, direction, policies):
    for policy in sorted(policies, key=lambda policy: policy["spec"].get("priority", 0)):
        if not cluster_pods(cluster, policy["spec"]["subject"], pod):
            continue
        for rule in policy["spec"].get(direction) or []:
            peers = rule["from" if direction == "ingress" else "to"]
            if not any(cluster_peer(cluster, one, peer) for one in peers):
                continue
            ports = rule.get("ports", []) + rule.get("protocols", [])
            if not ports or any(cluster_port(flow, one) for one in ports):
                return rule["action"]
    return None


def cluster_pods(cluster, selection, pod):
    if "namespaces" in selection:
        return selects(selection["namespaces"], cluster.namespace_labels(pod.namespace))
    pods = selection["pods"]
    return selects(pods["namespaceSelector"], cluster.namespace_labels(pod.namespace)) and selects(
        pods["podSelector"], pod.labels
    )


def cluster_peer(cluster, one, peer):
    if "networks" in one:
        return any(within(cidr, peer.ip) for cidr in one["networks"])
    if "nodes" in one or "domainNames" in one:
        return cluster.unknown
    return isinstance(peer, Pod) and cluster_pods(cluster, one, peer)


def cluster_port(flow, one):
    name = one.get("namedPort") or one.get("destinationNamedPort")
    if name:
        return isinstance(flow.destination, Pod) and flow.destination.ports.get((flow.protocol, name)) == flow.port
    if "portNumber" in one:
        return (one["portNumber"].get("protocol", "TCP"), one["portNumber"]["port"]) == (flow.protocol, flow.port)
    if "portRange" in one:
        ports = one["portRange"]
        return ports["protocol"] == flow.protocol and ports["start"] <= flow.port <= ports["end"]
    said = one.get(flow.protocol.lower())
    if said is None:
        return False
    port = said["destinationPort"]
    if "number" in port:
        return port["number"] == flow.port
    return port["range"]["start"] <= flow.port <= port["range"]["end"]
