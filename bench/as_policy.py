"""The workload as a policy of ours: the files of a policy directory."""

from __future__ import annotations

from collections.abc import Iterable

from bench.workload import ALL, CLIENT_EXCEPTIONS, CLIENT_NETWORK, CLIENTS, PROBERS, THIRD, Rule, Service, Vm, Workload

ANY = "any"
PROBE_FILE = "probe.yaml"
# *third* is not in the inventory: its labels and addresses come from the switch's database, and change there.
PROBER_LABELS = "probe=on"
OTHER_LABELS = "probe=off"


def files(work: Workload) -> dict[str, str]:
    """All files: name to text."""
    return {
        "inventory.yaml": "\n".join(("version: 1", "vms:", *(_vm(vm) for vm in work.vms if vm.name != THIRD), "")),
        "groups.yaml": "\n".join(("groups:", *_groups(work), _limits())),
        "rules.yaml": _policy("shop", work.rules),
        PROBE_FILE: probe_file(work, present=True),
    }


def probe_file(work: Workload, *, present: bool) -> str:
    """The file with the rules that are measured by taking them out and putting them in again."""
    return _policy("probe", work.probe if present else ())


def _vm(vm: Vm) -> str:
    labels = ", ".join(f"in-{group}: yes" for group in vm.groups)
    vnic = f'{{iface_id: {vm.name}, mac: "{vm.mac}", addresses: [{", ".join(map(repr, vm.addresses))}]}}'
    return f"  {vm.name}: {{labels: {{{labels}}}, vnics: [{vnic}]}}"


def _groups(work: Workload) -> Iterable[str]:
    for group in work.members:
        match = {ALL: "all()", PROBERS: "probe == on"}.get(group, f"in-{group} == yes")
        yield f"  {group}: {{match: {match}}}"
    for group, cidrs in work.networks.items():
        if group != CLIENTS:
            yield f"  {group}: {{cidrs: [{', '.join(cidrs)}]}}"
    yield f"  {CLIENTS}: {{cidrs: {CLIENT_NETWORK}, except: [{', '.join(CLIENT_EXCEPTIONS)}]}}"


def _limits() -> str:
    # The measured guests open more connections a second than a guest may unless stated; the meter stays in the way.
    return "limits: {measured: {for: {match: in-left == yes}, new_connections: 1000000, connections: 1000000}}\n"


def _policy(name: str, rules: Iterable[Rule]) -> str:
    lines = [
        f"      - {{name: {rule.name}, allow: {_service(rule.service)}, from: {rule.source or ANY}, to: {rule.target}}}"
        for rule in rules
    ]
    return "\n".join(("policies:", f"  - name: {name}", "    rules:" if lines else "    rules: []", *lines, ""))


def _service(service: Service) -> str:
    if service.protocol == "icmp":
        return "icmp/echo"
    ports = str(service.first) if service.first == service.last else f"{service.first}-{service.last}"
    return f"{service.protocol}/{ports}"
