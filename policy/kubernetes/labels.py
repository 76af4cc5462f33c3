"""Label selectors of Kubernetes as tests of our selectors.

A VM has the labels of its Pod under their own names. What else is known of it has keys with two slashes, which no label
in Kubernetes can have: the namespace's name, the namespace's labels, and the numbers of its named ports.
"""

from __future__ import annotations

import re

from policy.kubernetes.draft import Who, selected
from policy.kubernetes.view import View
from policy.problems import quoted
from policy.selectors import BUILT_IN_PREFIXES

NAMESPACE = "k8s/namespace/name"
NAMESPACE_LABEL = "k8s/namespace/label/"
PORT = "k8s/port/"
# Every namespace has this label, with its own name: the API server sees to it.
NAME_LABEL = "kubernetes.io/metadata.name"
ALL_PODS = f"has({NAMESPACE})"
MAX_KEY = 128  # characters of a label's key here
_KEY = re.compile(r"([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?")
_PLAIN = re.compile(r"[A-Za-z0-9_.-]+")
_KEYWORDS = frozenset({"and", "or", "not", "in", "like", "has", "all"})


def label_key(view: View, key: str, *, of_namespace: bool = False) -> str:
    """The key under which a VM has a label of its Pod or of its Pod's namespace."""
    if not _KEY.fullmatch(key):
        raise view.lost(f"{quoted(key)} is not the key of a label")
    if of_namespace:
        key = NAMESPACE if key == NAME_LABEL else NAMESPACE_LABEL + key
    elif key.startswith(BUILT_IN_PREFIXES):
        raise view.lost(f"a label cannot begin with {' or '.join(BUILT_IN_PREFIXES)} here, as {quoted(key)} does")
    if len(key) > MAX_KEY:
        raise view.lost(f"the key of a label has at most {MAX_KEY} characters here; {quoted(key)} has {len(key)}")
    return key


def label_value(view: View) -> str:
    """The value of a label."""
    value = view.text()
    if not _VALUE.fullmatch(value):
        raise view.lost(f"{quoted(value)} is not the value of a label")
    return value


def tests(view: View | None, *, of_namespace: bool = False, keys: dict[str, View] | None = None) -> list[str]:
    """The tests that a selector's labels must all pass; none where it is empty, or is not there.

    ``keys`` collects the keys of labels that are asked for, each with one place where it is.
    """
    found: list[str] = []
    if view is None:
        return found
    view.only("matchLabels", "matchExpressions")
    labels = view.get("matchLabels")
    for key, value in [] if labels is None else labels.entries():
        ours = label_key(value, key, of_namespace=of_namespace)
        found.append(f"{ours} == {word(label_value(value))}")
        _collect(keys, ours, value)
    for expression in view.list("matchExpressions"):
        ours = label_key(expression, expression.need("key").text(), of_namespace=of_namespace)
        found.append(_expression(expression, ours))
        _collect(keys, ours, expression)
    return found


def _collect(keys: dict[str, View] | None, key: str, view: View) -> None:
    if keys is not None:
        keys.setdefault(key, view)


def _expression(view: View, key: str) -> str:
    view.only("key", "operator", "values")
    operator = view.need("operator")
    values = [word(label_value(value)) for value in view.list("values")]
    name = operator.text()
    if name in ("Exists", "DoesNotExist"):
        if values:
            raise view.lost(f"{name} takes no values")
        return f"has({key})" if name == "Exists" else f"not has({key})"
    # As in our language, NotIn holds for a label that is missing.
    words = {"In": "in", "NotIn": "not in"}
    if name not in words:
        raise operator.lost(f"{quoted(name)} is not In, NotIn, Exists or DoesNotExist")
    if not values:
        raise view.lost(f"{name} needs values")
    return f"{key} {words[name]} ({', '.join(values)})"


def word(value: str) -> str:
    """A value as our selectors write it: quoted where it has to be."""
    return value if _PLAIN.fullmatch(value) and value not in _KEYWORDS else f"'{value}'"


def who(view: View, conditions: list[str]) -> Who:
    """The Pods that pass these tests; without a test, all Pods."""
    try:
        return selected(conditions or [ALL_PODS])
    except ValueError as error:
        raise view.lost(str(error)) from None
