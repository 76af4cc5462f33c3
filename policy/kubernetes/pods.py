"""Pods and Namespaces as VMs, and what policies must know of them: the numbers behind the names of ports."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import ip_address

from policy.kubernetes.draft import DraftVm, short_name
from policy.kubernetes.labels import NAMESPACE, PORT, label_key, label_value
from policy.kubernetes.objects import Object
from policy.kubernetes.report import Lost, Report
from policy.kubernetes.view import View
from policy.model import PORT_PROTOCOLS
from policy.problems import quoted
from topology.addresses import parse_address

# Pods that have ended: their addresses may be somebody else's by now.
_ENDED = ("Succeeded", "Failed")
_MAX_PORT_NAME = 15  # of a container's port, by Kubernetes' own rule


class Pods:
    """The VMs. ``ports``: for (protocol, name) the numbers that Pods have under that name."""

    def __init__(self, pods: Iterable[Object], namespaces: Iterable[Object], report: Report) -> None:
        self._report = report
        self._namespaces = {one.name: self._namespace_labels(one) for one in namespaces}
        self._owners: dict[str, str] = {}
        self._without: dict[str, View] = {}
        self.ports: dict[tuple[str, str], set[int]] = {}
        self.vms = [vm for pod in pods if (vm := self._vm(pod)) is not None]

    def check_namespaces(self, asked: dict[str, View]) -> None:
        """Names the namespaces that are not there although their labels are asked for; ``asked`` is by label."""
        labels = {key: view for key, view in asked.items() if key != NAMESPACE}
        if not labels:
            return
        key, view = next(iter(labels.items()))
        for pod in self._without.values():
            self._report.losses.append(
                pod.remark(
                    f"its Namespace is not among the files, and {view.owner} asks for its labels "
                    f"({quoted(key.rpartition('label/')[2])} at {view.node.place}): it is taken to have none"
                )
            )

    def _namespace_labels(self, one: Object) -> dict[str, str]:
        return dict(self._labels(one.view.get("metadata", "labels"), of_namespace=True))

    def _labels(self, view: View | None, *, of_namespace: bool = False) -> Iterator[tuple[str, str]]:
        try:
            entries = [] if view is None else list(view.entries())
        except Lost as lost:
            self._report.losses.append(lost.remark)
            return
        for key, value in entries:
            try:
                yield label_key(value, key, of_namespace=of_namespace), label_value(value)
            except Lost as lost:
                self._report.losses.append(lost.but("the label is left out"))

    def _vm(self, pod: Object) -> DraftVm | None:
        namespace = pod.namespace or ""
        try:
            phase = pod.view.get("status", "phase")
            if phase is not None and phase.text() in _ENDED:
                self._report.notes.append(pod.view.remark("has ended: it is left out"))
                return None
            spec = pod.view.get("spec")
            if spec is not None and spec.is_true("hostNetwork"):
                why = "uses its host's network, where no policy selects it: it is left out"
                self._report.notes.append(pod.view.remark(why))
                return None
            labels = dict(self._labels(pod.view.get("metadata", "labels")))
            if namespace in self._namespaces:
                labels |= self._namespaces[namespace]
            else:
                self._without.setdefault(namespace, pod.view)
            labels[NAMESPACE] = namespace
            labels |= self._named_ports(spec)
            addresses = self._addresses(pod)
        except Lost as lost:
            self._report.losses.append(lost.but("the Pod is left out"))
            return None
        return DraftVm(_vm_name(namespace, pod.name), labels, addresses, pod.label)

    def _addresses(self, pod: Object) -> tuple[str, ...]:
        views = [ip for item in self._pod_ips(pod) if (ip := item.get("ip")) is not None]
        single = pod.view.get("status", "podIP")
        if not views and single is not None:
            views = [single]
        found: list[str] = []
        for view in views:
            try:
                address = _address(view)
                owner = self._owners.setdefault(address, pod.label)
                if owner != pod.label:
                    raise view.lost(f"{owner} has this address, too")
            except Lost as lost:
                self._report.losses.append(lost.but("the address is left out"))
                continue
            if address not in found:
                found.append(address)
        if not views:
            self._report.notes.append(pod.view.remark("has no address yet: only its labels are known"))
        return tuple(found)

    def _pod_ips(self, pod: Object) -> list[View]:
        found = pod.view.get("status", "podIPs")
        return [] if found is None else found.items()

    def _named_ports(self, spec: View | None) -> dict[str, str]:
        """The labels that tell the numbers of a Pod's named ports."""
        found: dict[str, str] = {}
        for port in [] if spec is None else _ports(spec):
            try:
                name, number = port.get("name"), port.need("containerPort").integer(1, 65535)
                if name is None:
                    continue
                protocol = protocol_of(port.get("protocol"))
                key = port_label(name, protocol)
                if found.setdefault(key, str(number)) != str(number):
                    raise name.lost(f"another port of this Pod is called {quoted(name.text())} as well")
                self.ports.setdefault((protocol, name.text()), set()).add(number)
            except Lost as lost:
                self._report.losses.append(lost.but("the port's name is left out"))
        return found


def _ports(spec: View) -> Iterator[View]:
    """The ports of all containers that run as long as the Pod does."""
    yield from (port for container in spec.list("containers") for port in container.list("ports"))
    for container in spec.list("initContainers"):
        restart = container.get("restartPolicy")
        if restart is not None and restart.text() == "Always":
            yield from container.list("ports")


def protocol_of(view: View | None) -> str:
    """The protocol of a port: TCP where nothing is said."""
    if view is None:
        return "tcp"
    name = view.text().lower()
    if name not in PORT_PROTOCOLS or view.text() != name.upper():
        raise view.lost(f"{quoted(view.text())} is not TCP, UDP or SCTP")
    return name


def port_label(name: View, protocol: str) -> str:
    """The key of the label that tells a named port's number."""
    text = name.text()
    if not text.replace("-", "").isalnum() or not text.isascii() or len(text) > _MAX_PORT_NAME:
        raise name.lost(f"{quoted(text)} is not the name of a port")
    return f"{PORT}{protocol}/{text}"


def _address(view: View) -> str:
    """One address that a host can have."""
    try:
        address = parse_address(view.text())
    except ValueError as error:
        raise view.lost(str(error)) from None
    if address.is_multicast or address.is_loopback or address.is_unspecified or str(address) == "255.255.255.255":
        raise view.lost(f"no host can have the address {address}")
    return str(address)


def _vm_name(namespace: str, name: str) -> str:
    """`NAMESPACE.POD`: a namespace has no dots, so no two Pods have one name."""
    full = f"{namespace}.{name}"
    try:
        ip_address(full)
    except ValueError:
        return short_name(full)
    return f"pod-{full}"
