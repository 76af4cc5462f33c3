"""The objects in files as `kubectl get -o yaml` writes them: several documents, lists of objects, JSON."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from policy.kubernetes.report import Lost, Report
from policy.kubernetes.view import View
from policy.nodes import Node
from policy.problems import Problems, quoted
from policy.source import Budget, read_documents

DEFAULT_NAMESPACE = "default"
MAX_OBJECTS = 200_000
# Kinds that belong to no namespace.
_OF_CLUSTER = frozenset({"Namespace", "AdminNetworkPolicy", "BaselineAdminNetworkPolicy", "ClusterNetworkPolicy"})
_NAMESPACE_NAME = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")
_OBJECT_NAME = re.compile(r"[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?")
_NETWORKING = "networking.k8s.io/v1"
_POLICY_API = "policy.networking.k8s.io/v1alpha1"
_POLICY_API_2 = "policy.networking.k8s.io/v1alpha2"
KNOWN = {
    "Pod": "v1",
    "Namespace": "v1",
    "NetworkPolicy": _NETWORKING,
    "AdminNetworkPolicy": _POLICY_API,
    "BaselineAdminNetworkPolicy": _POLICY_API,
    "ClusterNetworkPolicy": _POLICY_API_2,
}


@dataclass(frozen=True, slots=True)
class Object:
    """One object. ``namespace`` is None for kinds that have none."""

    kind: str
    namespace: str | None
    name: str
    view: View

    @property
    def label(self) -> str:
        return self.view.owner


def read_objects(files: Mapping[str, bytes], problems: Problems, report: Report) -> dict[str, list[Object]]:
    """The objects of the kinds that we know, by kind, in the order of the files."""
    found: dict[str, list[Object]] = {kind: [] for kind in KNOWN}
    seen: dict[tuple[str, str | None, str], Object] = {}
    others: dict[str, Node] = {}
    number = 0
    for name in files:
        # A cluster's Pods are many, so each file has a budget of its own.
        for root in read_documents(name, files[name], Budget(), problems):
            for kind, api, view in _flat(View(root, "a document"), "", "", report):
                number += 1
                if number > MAX_OBJECTS:
                    problems.stop(view.node, f"more than {MAX_OBJECTS:,} objects")
                if KNOWN.get(kind) != api:
                    _leave(kind, api, view, others, report)
                    continue
                one = _object(kind, view, report)
                if one is None:
                    continue
                first = seen.setdefault((kind, one.namespace, one.name), one)
                if first is one:
                    found[kind].append(one)
                else:
                    report.losses.append(
                        one.view.remark(f"is already at {first.view.node.place}; this one is left out")
                    )
    for kind, node in others.items():
        why = "says nothing about who may connect: all objects of this kind are left out"
        report.notes.append(View(node, kind).remark(why))
    return found


def _flat(view: View, kind: str, api: str, report: Report) -> Iterator[tuple[str, str, View]]:
    """(kind, API, object) of each object in a document. ``kind``, ``api``: what a typed list says for its items."""
    try:
        own_kind, own_api = (view.get(key) for key in ("kind", "apiVersion"))
        kind = kind if own_kind is None else own_kind.text()
        api = api if own_api is None else own_api.text()
        if not kind or not api:
            raise view.lost("an object needs 'kind' and 'apiVersion'")
        if kind != "List" and not (kind.endswith("List") and view.get("items") is not None):
            yield kind, api, view
            return
        items = view.list("items")
    except Lost as lost:
        report.losses.append(lost.remark)
        return
    # The items of a PodList do not say that they are Pods. (Nesting is bounded by the file's.)
    of_items = ("", "") if kind == "List" else (kind.removesuffix("List"), api)
    for item in items:
        yield from _flat(item, *of_items, report)


def _leave(kind: str, api: str, view: View, others: dict[str, Node], report: Report) -> None:
    """Tells what is not read: once for each kind, but every single policy of an API that we do not know."""
    if "Polic" in kind and ("Network" in kind or "network" in api or "cilium" in api or "calico" in api):
        name = _name_of(view)
        read = f"; what is read is {KNOWN[kind]}" if kind in KNOWN else ""
        owner = View(view.node, f"{kind} {name}" if name else kind)
        report.losses.append(owner.remark(f"is a policy of {quoted(api)}, which is not read{read}"))
    else:
        others.setdefault(f"{kind} ({api})", view.node)


def _name_of(view: View) -> str:
    try:
        names = [found.text() for key in ("namespace", "name") if (found := view.get("metadata", key)) is not None]
    except Lost:
        return ""
    return "/".join(names)


def _named(view: View, form: re.Pattern[str]) -> str:
    name = view.text()
    if not form.fullmatch(name):
        raise view.lost(f"{quoted(name)} is no name in Kubernetes")
    return name


def _object(kind: str, view: View, report: Report) -> Object | None:
    try:
        metadata = view.need("metadata")
        name = _named(metadata.need("name"), _OBJECT_NAME)
        namespace = None
        if kind not in _OF_CLUSTER:
            said = metadata.get("namespace")
            namespace = DEFAULT_NAMESPACE if said is None else _named(said, _NAMESPACE_NAME)
        label = f"{kind} {name}" if namespace is None else f"{kind} {namespace}/{name}"
    except Lost as lost:
        report.losses.append(lost.but(f"this {kind} is left out"))
        return None
    return Object(kind, namespace, name, View(view.node, label))
