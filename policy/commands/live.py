"""The vNICs that a running controller knows, for questions about flows that files alone cannot answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from policy.commands.client import Json, rows, text, texts
from policy.model import Document
from topology.addresses import Prefix, parse_prefix
from topology.inventory import DEFAULT_SCOPE, Vm
from topology.vnic import Vnic, offline_vnics


@dataclass(frozen=True, slots=True)
class LiveVnic:
    """A vNIC on a port. ``zone`` None: none yet; zones are each host's own, so two hosts may have the same."""

    vnic: Vnic
    zone: int | None
    bridge: str
    port: str

    def __str__(self) -> str:
        return f"{self.vnic.name} at port {self.port} of bridge {self.bridge}"


def live_vnics(status: Json, document: Document) -> tuple[LiveVnic, ...]:
    """The vNICs in a controller's status, with what the policy's inventory says of their VMs."""
    vms = {vm.name: vm for vm in document.inventory.vms}
    scopes = {network.name: network.scope for network in document.inventory.networks}
    hosts = {text(bridge, "name"): text(bridge, "host") for bridge in rows(status, "bridges")}
    return tuple(_live(row, vms, scopes, hosts) for row in rows(status, "vnics") if row.get("state") != "isolated")


def _live(row: Json, vms: Mapping[str, Vm], scopes: Mapping[str, str], hosts: Mapping[str, str]) -> LiveVnic:
    name, vm = text(row, "vnic"), row.get("vm")
    known = vms.get(vm) if isinstance(vm, str) else None
    labels, zone = row.get("labels"), row.get("zone")
    network = text(row, "network", "")
    bridge = text(row, "bridge")
    return LiveVnic(
        Vnic(
            id=name.removeprefix(f"{vm}/") if isinstance(vm, str) else name,
            vm=vm if isinstance(vm, str) else None,
            vm_id=known.id if known is not None else None,
            tenant=known.tenant if known is not None else None,
            labels={str(key): str(value) for key, value in labels.items()} if isinstance(labels, dict) else {},
            mac=text(row, "mac"),
            addresses=tuple(_prefixes(row)),
            network=network or None,
            scope=scopes.get(network, DEFAULT_SCOPE),
            host=hosts.get(bridge),
            bridge=bridge,
        ),
        zone if isinstance(zone, int) else None,
        bridge,
        text(row, "port"),
    )


def _prefixes(row: Json) -> Iterator[Prefix]:
    for told in texts(row, "addresses"):
        try:
            yield parse_prefix(told)
        except ValueError:
            continue


def everybody(document: Document, live: tuple[LiveVnic, ...]) -> tuple[Vnic, ...]:
    """All vNICs as the controller knows them: those on ports, and those of the inventory that are on none."""
    on_ports = {each.vnic.id: each.vnic for each in live}
    return (*(vnic for vnic in offline_vnics(document.inventory) if vnic.id not in on_ports), *on_ports.values())
