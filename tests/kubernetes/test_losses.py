"""What cannot be carried over is named with its place and field, and opens nothing; hostile files cost nothing."""

import json

import yaml
from hypothesis import given
from hypothesis import strategies as st
from pytest import mark, raises

from policy.errors import PolicyError
from policy.kubernetes.convert import convert
from policy.kubernetes.objects import KNOWN
from policy.kubernetes.write import as_files
from policy.load import load_texts
from policy.problems import Enough, Problems
from tests.examples import examples
from tests.kubernetes.imported import Imported
from tests.kubernetes.truth import Flow, Outside, Pod

PODS = """\
{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {team: shop}}}
---
{apiVersion: v1, kind: Pod, metadata: {name: web, namespace: shop, labels: {app: web}}, status: {podIP: 10.0.1.1}}
---
{apiVersion: v1, kind: Pod, metadata: {name: db, namespace: shop, labels: {app: db}}, status: {podIP: 10.0.1.2}}
---
"""
WEB, DB, WORLD = Pod("shop", "web", "10.0.1.1"), Pod("shop", "db", "10.0.1.2"), Outside("203.0.113.9")
NP = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: np, namespace: shop}\nspec:\n"
ANP = "apiVersion: policy.networking.k8s.io/v1alpha1\nkind: AdminNetworkPolicy\nmetadata: {name: anp}\nspec:\n"
CNP = "apiVersion: policy.networking.k8s.io/v1alpha2\nkind: ClusterNetworkPolicy\nmetadata: {name: cnp}\nspec:\n"
ALL = "  subject: {namespaces: {}}\n  priority: 1\n"
HEAD = PODS.count("\n") + NP.count("\n")


def read(text):
    return Imported({"c.yaml": (PODS + text).encode()})


# (object, field, line after the head, why). Each is about something that would have decided about connections.
LOSSES = [
    (NP + "  podSelecter: {}\n", "spec.podSelecter", 1, "'podSelecter' is not known here"),
    (NP + "  podSelector: {}\n  policyTypes: [ingress]\n", "spec.policyTypes[0]", 2, "not Ingress or Egress"),
    (NP + "  ingress:\n  - from: [{}]\n", "spec.ingress[0].from[0]", 2, "needs podSelector"),
    (NP + "  ingress:\n  - from: [{ipBlock: {cidr: x}}]\n", "ingress[0].from[0].ipBlock.cidr", 2, "not an IPv4 or"),
    (NP + "  ingress:\n  - from: [{ipBlock: {cidr: 10.0.0.0/8}, podSelector: {}}]\n", "from[0]", 2, "stands alone"),
    (NP + "  ingress:\n  - ports: [{port: http}]\n", "spec.ingress[0].ports[0].port", 2, "no Pod among the files"),
    (NP + "  ingress:\n  - ports: [{port: 70000}]\n", "ports[0].port", 2, "from 1 to 65535"),
    (NP + "  ingress:\n  - ports: [{port: 9, endPort: 8}]\n", "ports[0]", 2, "endPort 8 is before port 9"),
    (NP + "  ingress:\n  - ports: [{protocol: tcp}]\n", "ports[0].protocol", 2, "is not TCP, UDP or SCTP"),
    (NP + "  ingress: {}\n", "spec.ingress", 1, "must be a list"),
    (NP + "  podSelector: {matchLabels: {a: 1}}\n", "spec.podSelector.matchLabels.a", 1, "must be text"),
    (NP + "  podSelector: {matchLabels: {vm.name: x}}\n", "matchLabels.vm.name", 1, "cannot begin with"),
    (NP + "  podSelector: {matchLabels: {not: x}}\n", "spec", 1, "cannot be said in a selector"),
    (
        NP + "  podSelector: {matchExpressions: [{key: a, operator: Gt, values: ['1']}]}\n",
        "spec.podSelector.matchExpressions[0].operator",
        1,
        "'Gt' is not In",
    ),
    (
        ANP + ALL + "  egress:\n  - {action: Allow, to: [{nodes: {}}]}\n",
        "egress[0].to[0].nodes",
        4,
        "nodes are nothing",
    ),
    (
        ANP + ALL + "  egress:\n  - {action: Allow, to: [{domainNames: [a.org]}]}\n",
        "spec.egress[0].to[0].domainNames",
        4,
        "not domain names",
    ),
    (
        ANP + ALL + "  ingress:\n  - {action: Reject, from: [{namespaces: {}}]}\n",
        "ingress[0].action",
        4,
        "is not Allow",
    ),
    (ANP + ALL + "  ingress:\n  - {action: Deny}\n", "spec.ingress[0]", 4, "'from' is missing"),
    (ANP + "  subject: {}\n  priority: 1\n", "spec.subject", 1, "exactly one of namespaces, pods"),
    (ANP + "  subject: {namespaces: {}}\n", "spec", 1, "'priority' is missing"),
    (ANP + "  subject: {namespaces: {}}\n  priority: 1001\n", "spec.priority", 2, "from 0 to 1000"),
    (
        ANP + "  subject: {namespaces: {sameLabels: [x]}}\n  priority: 1\n",
        "spec.subject.namespaces.sameLabels",
        1,
        "not known",
    ),
    (CNP + ALL + "  tier: Middle\n", "spec.tier", 3, "is not Admin or Baseline"),
    (CNP + ALL + "  tier: Admin\n  egress:\n  - {action: Allow, to: [{pods: {}}]}\n", "egress[0].action", 5, "Accept"),
]


@mark.parametrize(("text", "field", "line", "why"), LOSSES)
def test_named_with_its_place(text, field, line, why):
    result = read(text)
    (loss,) = result.losses
    assert loss.split(": ")[0] in ("NetworkPolicy shop/np", "AdminNetworkPolicy anp", "ClusterNetworkPolicy cnp")
    assert loss.split(": ")[1].endswith(field)
    assert why in loss
    assert (result.places[0].file, result.places[0].line) == ("c.yaml", HEAD + line)
    # Whatever it was: nobody comes in who would not be let in by what is certain.
    if text.startswith(NP):
        assert not result.allows(Flow(WORLD, WEB, "TCP", 80))


@mark.parametrize("peer", ["{nodes: {}}", "{domainNames: [a.org]}", "{networks: [10.0.0.0/99]}", "{future: {}}"])
@mark.parametrize("action", ["Deny", "Pass"])
def test_a_denying_rule_that_is_lost_denies_everything(action, peer):
    result = read(ANP + ALL + f"  egress:\n  - {{action: {action}, to: [{peer}]}}\n")
    assert result.losses[0].endswith("; in its place all egress of its subject is denied")
    assert not result.allows(Flow(WEB, WORLD, "TCP", 80))
    assert result.allows(Flow(WORLD, WEB, "TCP", 80))


def test_of_an_allowing_rule_the_rest_stays():
    peers, ports = "[{nodes: {}}, {networks: [203.0.113.0/24]}]", "[{namedPort: x}, {portNumber: {port: 80}}]"
    rule = f"{{action: Allow, to: {peers}, ports: {ports}}}"
    result = read(ANP + ALL + f"  egress:\n  - {rule}\n  - {{action: Deny, to: [{{networks: [0.0.0.0/0]}}]}}\n")
    assert len(result.losses) == 2
    assert result.allows(Flow(WEB, WORLD, "TCP", 80))
    assert not result.allows(Flow(WEB, WORLD, "TCP", 81))


def test_policies_of_other_apis_are_each_named():
    text = "\n---\n".join(
        f"{{apiVersion: {api}, kind: {kind}, metadata: {{name: x, namespace: shop}}, spec: {{}}}}"
        for api, kind in [
            ("extensions/v1beta1", "NetworkPolicy"),
            ("projectcalico.org/v3", "GlobalNetworkPolicy"),
            ("cilium.io/v2", "CiliumClusterwideNetworkPolicy"),
            ("policy.networking.k8s.io/v1beta1", "ClusterNetworkPolicy"),
            ("apps/v1", "Deployment"),
        ]
    )
    result = read(text)
    assert [loss.split(" ")[0] for loss in result.losses] == [
        "NetworkPolicy", "GlobalNetworkPolicy", "CiliumClusterwideNetworkPolicy", "ClusterNetworkPolicy"
    ]  # fmt: skip
    assert [note.split(":")[0] for note in result.notes] == ["Deployment (apps/v1)"]


POD = "apiVersion: v1\nkind: Pod\nmetadata: {{name: x, namespace: {namespace}, labels: {labels}}}\n{more}"


@mark.parametrize(
    ("labels", "more", "lost", "noted"),
    [
        ("{}", "spec: {hostNetwork: true}", "", "uses its host's network"),
        ("{}", "status: {phase: Succeeded, podIP: 10.0.1.1}", "", "has ended"),
        ("{}", "", "", "has no address yet"),
        ("{}", "status: {podIPs: [{ip: 10.0.1.1}]}", "Pod shop/web has this address, too", ""),
        ("{}", "status: {podIP: 10.0.0.0.1}", "not an IPv4 or IPv6 address", ""),
        ("{}", "status: {podIP: 127.0.0.1}", "no host can have", ""),
        ("{vm.name: x}", "status: {podIP: 10.0.1.9}", "cannot begin with", ""),
        ("{'k' : 'a b'}", "status: {podIP: 10.0.1.9}", "is not the value of a label", ""),
        (f"{{{'a' * 60}.{'b' * 60}.org/{'c' * 60}: x}}", "status: {podIP: 10.0.1.9}", "at most 128 characters", ""),
        ("[]", "status: {podIP: 10.0.1.9}", "must be a mapping", ""),
        (
            "{}",
            "spec: {containers: [{ports: [{name: A_b, containerPort: 1}]}]}",
            "not the name of a port",
            "no address",
        ),
    ],
)
def test_pods(labels, more, lost, noted):
    result = read(POD.format(labels=labels, more=more, namespace="shop"))
    assert (len(result.losses), len(result.notes)) == (bool(lost), bool(noted))
    assert lost in "".join(result.losses)
    assert noted in "".join(result.notes)


def test_a_namespace_that_is_not_there_is_missed_only_if_its_labels_matter():
    pod = POD.format(labels="{}", more="status: {podIP: 10.0.3.1}", namespace="other")
    by = "\n---\n" + NP + "  ingress: [{from: [{namespaceSelector: {matchLabels: {%s: other}}}]}]\n"
    assert read(pod).losses == []
    assert read(pod + by % "kubernetes.io/metadata.name").losses == []
    (loss,) = read(pod + by % "team").losses
    assert "its Namespace is not among the files, and NetworkPolicy shop/np asks for its labels ('team'" in loss


def test_names_that_are_long_or_like_addresses():
    names = ["a" * 200, "a" * 201, "0.0.1"]
    pods = "\n---\n".join(
        f"{{apiVersion: v1, kind: Pod, metadata: {{name: {json.dumps(name)}, namespace: '10'}}}}" for name in names
    )
    result = read(pods)
    assert result.losses == []
    found = [vm.name for vm in result.draft.vms if vm.labels["k8s/namespace/name"] == "10"]
    assert len(set(found)) == 3
    assert "pod-10.0.0.1" in found


def test_the_same_object_twice_is_named():
    assert "is already at c.yaml:3:1" in read(PODS.split("---\n")[1]).losses[0]


def test_typed_lists_and_json():
    pod = {"metadata": {"name": "x", "namespace": "shop"}, "status": {"podIP": "10.0.1.7"}}
    result = read(json.dumps({"kind": "PodList", "apiVersion": "v1", "items": [pod]}, indent="\t"))
    assert (result.losses, len(result.draft.vms)) == ([], 3)


def test_rules_that_kubernetes_ignores_are_noted():
    result = read(NP + "  policyTypes: [Ingress]\n  egress: [{}]\n")
    assert "is without effect in Kubernetes, too" in result.notes[0]


@mark.parametrize(
    "text",
    [
        "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\n" + "d: [" + "*c, " * 1001 + "]",
        "[" * 40 + "]" * 40,
        "a: !!python/object:os.system x",
        "\x00",
        "{" * 5,
    ],
)
def test_hostile_files_are_refused(text):
    problems = Problems()
    convert({"x.yaml": text.encode()}, problems)
    with raises(PolicyError):
        problems.check()


def test_named_ports_cannot_be_made_to_cost_everything(monkeypatch):
    monkeypatch.setattr("policy.kubernetes.rules.MAX_PARTS", 100)
    pods = [
        f"{{apiVersion: v1, kind: Pod, metadata: {{name: p{n}}}, spec: {{containers: [{{ports: [{{name: http, "
        f"containerPort: {n + 1}}}]}}]}}}}"
        for n in range(30)
    ]
    text = "\n---\n".join([*pods, NP + "  ingress:\n" + "  - ports: [{port: http}]\n" * 10])
    with raises(Enough):
        read(text)


def test_an_object_without_a_kind_is_named():
    for text in (
        "just text",
        "[1, 2]",
        "{kind: Pod}",
        "{kind: [], apiVersion: v1}",
        "{kind: List, apiVersion: v1, items: 3}",
    ):
        assert len(read(text).losses) == 1


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-1, 70000), st.text(max_size=5), st.sampled_from(["TCP", "Allow"])
)
KEYS = st.sampled_from(
    """
    metadata name namespace labels spec status podIP podIPs ip podSelector matchLabels matchExpressions key
    operator values policyTypes ingress egress from to ports port endPort protocol ipBlock cidr except
    namespaceSelector priority subject namespaces pods action networks tier protocols tcp destinationPort
    containers containerPort items
    """.split()  # noqa: SIM905 -- a list of forty quoted words is no easier to read
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(KEYS, inner, max_size=4)),
    max_leaves=12,
)


@examples(150)
@given(st.sampled_from([*KNOWN, "List"]), VALUES, VALUES, VALUES)
def test_whatever_is_in_an_object_a_policy_comes_out(kind, metadata, spec, more):
    good = {"name": "x", "namespace": "shop", **(metadata if isinstance(metadata, dict) else {})}
    one = {
        "apiVersion": KNOWN.get(kind, "v1"),
        "kind": kind,
        "metadata": good,
        "spec": spec,
        "status": more,
        "items": [more],
    }
    problems = Problems()
    try:
        draft, _ = convert({"x.yaml": (PODS + yaml.safe_dump(one)).encode()}, problems)
    except Enough:
        return
    if not problems:
        load_texts({name: text.encode() for name, text in as_files(draft).items()})
