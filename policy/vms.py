"""The `vms` of a policy: from nodes to `topology.inventory` values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_network
from itertools import chain
from operator import is_

from policy import fields
from policy.networks import Networks
from policy.nodes import Kind, Node, Scalar
from policy.problems import Problems, quoted
from policy.selectors import BUILT_IN_PREFIXES
from policy.unique import Claims, Standing, claims_of
from topology.addresses import Prefix, parse_mac, within
from topology.inventory import DEFAULT_SCOPE, MAX_VLAN, ROLES, InventoryVnic, Place, Vm

IFACE_ID = "iface-id"
_LABEL = re.compile(r"[A-Za-z0-9_./-]{1,128}")
_VM_KEYS = ("id", "tenant", "network", "labels", "vnics", "mac", "addresses", "trusted", "roles")
_SHORT_FORM = ("mac", "addresses")
_VNIC_KEYS = ("iface_id", "mac", "addresses", "network", "trusted", "roles", "parent", "vlan")
# What to do with a trunk that is not to be firewalled.
AN_UPLINK = "a whole port is taken out of the firewall by external_ids:role=uplink"
_NO_HOST = tuple(
    ip_network(text)
    for text in ("0.0.0.0/32", "127.0.0.0/8", "224.0.0.0/4", "255.255.255.255/32", "::/128", "::1/128", "ff00::/8")
)

Definitions = Mapping[str, tuple[Scalar, Node]]
Values = dict[str, tuple[Scalar, Node]]


@dataclass(frozen=True, slots=True)
class Machines:
    """The VMs of a policy, and the names of those that the provider (None: all) and each tenant may name."""

    vms: tuple[Vm, ...] = ()
    names: Mapping[str | None, frozenset[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Section:
    """The VMs of one file. ``said``: the section as it stands there; ``nodes``: what of it they were read from."""

    said: Definitions
    nodes: Mapping[str, Node]
    vms: tuple[Vm, ...]
    names: Mapping[str | None, frozenset[str]]


class VmBook:
    """The VMs of one load after the other. Of nodes that are the same objects the VM is not read again, and sections
    that are the same objects are not looked into.

    What is kept comes from loads without a mistake; `Problems` that go on after one are for a new book only.
    """

    def __init__(self) -> None:
        self._sections: Sequence[_Section] = ()
        self._networks: Networks | None = None
        self._machines = Machines()
        # What the VMs claim, since somebody has first claimed something new.
        self._standing: Standing | None = None

    def machines(
        self, definitions: Definitions, files: Sequence[Definitions], networks: Networks, problems: Problems
    ) -> Machines:
        """The VMs, each by itself; what two of them cannot both have is a problem.

        ``files``: what ``definitions`` were put together from, of a name in several the first. The answer, and each VM
        in it, is the same object as before if it is equal.
        """
        # A VM says which network it is in; what that means may have changed.
        alike = self._networks is not None and networks.alike(self._networks)
        known = {id(section.said): section for section in self._sections} if alike else {}
        gone = [section for number, section in known.items() if number not in set(map(id, files))]
        before = {vm.name: (section.nodes[vm.name], vm) for section in gone for vm in section.vms}
        reader = _VmReader(networks, problems)
        sections = [known.get(id(said)) or _read(said, definitions, before, reader) for said in files]
        reader.claims.check_addresses()
        # The reader has seen only those that were read now; who claims nothing new clashes with nobody.
        if not alike:
            self._standing = None
        elif not self._claim(gone, [section for section in sections if id(section.said) not in known], networks):
            place = Place(min(vm.place.file for vm in _vms(sections) if vm.place), 1, 1)
            problems.stop(place, "two VMs claim the same")
        self._machines = self._as_before(sections)
        self._sections, self._networks = sections, networks
        return self._machines

    def _claim(self, gone: Iterable[_Section], come: Iterable[_Section], networks: Networks) -> bool:
        """Settle what VMs claim, of whom some were read again. False if two claim the same."""
        before, now = ({vm.name: vm for vm in _vms(sections)} for sections in (gone, come))
        away: list[Vm] = []
        new: list[Vm] = []
        for name in before.keys() | now.keys():
            old, vm = before.get(name), now.get(name)
            if old is vm or (old is not None and vm is not None and claims_of(old) == claims_of(vm)):
                continue
            away += [] if old is None else [old]
            new += [] if vm is None else [vm]
        if new and self._standing is None:
            self._standing = Standing(self._machines.vms, networks)
        if self._standing is not None and not self._standing.change(away, new):
            self._standing = None
            return False
        return True

    def _as_before(self, sections: Sequence[_Section]) -> Machines:
        """All VMs, of the objects that were there before as far as they are equal."""
        last = self._machines
        vms = tuple(_vms(sections))
        if [each.names for each in sections] != [each.names for each in self._sections]:
            known = {names: names for names in last.names.values()}
            fresh = _names(sections)
            return Machines(vms, {tenant: known.get(names, names) for tenant, names in fresh.items()})
        same = len(vms) == len(last.vms) and all(map(is_, vms, last.vms))
        return last if same else Machines(vms, last.names)


def _read(
    said: Definitions, definitions: Definitions, before: Mapping[str, tuple[Node, Vm]], reader: _VmReader
) -> _Section:
    """The VMs of a file's section; those that were read ``before`` from the same nodes are as they were."""
    nodes: dict[str, Node] = {}
    vms: list[Vm] = []
    names: dict[str | None, set[str]] = {None: set()}
    for name, (key, node) in said.items():
        known = before.get(name)
        vm = known[1] if known is not None and known[0] is node else None
        if vm is None and definitions[name][1] is node:
            vm = reader.vm(name, key, node)
            if known is not None and vm == known[1]:
                vm = known[1]
        if vm is not None:
            nodes[name] = node
            vms.append(vm)
            for tenant in {None, vm.tenant}:
                names.setdefault(tenant, set()).add(name)
    return _Section(said, nodes, tuple(vms), {tenant: frozenset(found) for tenant, found in names.items()})


def _vms(sections: Iterable[_Section]) -> Iterator[Vm]:
    return chain.from_iterable(section.vms for section in sections)


def _names(sections: Iterable[_Section]) -> Mapping[str | None, frozenset[str]]:
    names: dict[str | None, set[str]] = {None: set()}
    for section in sections:
        for tenant, found in section.names.items():
            names.setdefault(tenant, set()).update(found)
    return {tenant: frozenset(found) for tenant, found in names.items()}


@dataclass(frozen=True, slots=True)
class _Common:
    """What a VM says for its vNICs: network (None: not stated), the scope that follows from it (None: a mistake leaves
    it open), and whether it is trusted.
    """

    network: str | None = None
    scope: str | None = DEFAULT_SCOPE
    trusted: bool = False


class _VmReader:
    def __init__(self, networks: Networks, problems: Problems) -> None:
        self._networks = networks
        self._problems = problems
        self.claims = Claims(problems)

    def vm(self, name: str, key: Scalar, node: Node) -> Vm | None:
        """One VM, or None if nothing of it can be read."""
        what = f"VM {quoted(name)}"
        values = fields.fields(node, what, _VM_KEYS, self._problems)
        if values is None:
            return None
        common = self._common(values, what, _Common())
        return Vm(
            name,
            id=self._claimed(values, "id", "vm-id", name),
            tenant=self._tenant(values),
            labels=self._labels(values["labels"][1], what) if "labels" in values else {},
            vnics=self._vnics(name, key, values, common, what),
            place=key.place,
            trusted=common.trusted,
            roles=self._roles(values, what),
        )

    def _claimed(self, values: Values, key: str, what: str, vm: str) -> str | None:
        """The text of a field that no two may have alike; ``what`` is its name in OVSDB."""
        if key not in values:
            return None
        node = values[key][1]
        written = fields.text(node, repr(key), self._problems)
        if written is not None:
            self.claims.once(what, written, vm, node)
        return written

    def _tenant(self, values: Values) -> str | None:
        return fields.name(values["tenant"][1], "a tenant's name", self._problems) if "tenant" in values else None

    def _labels(self, node: Node, what: str) -> dict[str, str]:
        """Labels; numbers and booleans are taken as written."""
        labels: dict[str, str] = {}
        for key, value in fields.entries(node, f"{what}: 'labels'", self._problems):
            if not _LABEL.fullmatch(key.text):
                self._problems.add(
                    key, f"{quoted(key.text)} cannot be a label: 1 to 128 letters, digits, '_', '-', '.' or '/'"
                )
            elif key.text.startswith(BUILT_IN_PREFIXES):
                self._problems.add(
                    key, f"{quoted(key.text)}: labels cannot begin with 'vm.' or 'vnic.', as attributes do"
                )
            elif not isinstance(value, Scalar) or value.kind is Kind.NULL:
                self._problems.add(value, f"label {quoted(key.text)} must have a value, not {fields.described(value)}")
            elif len(value.text) > fields.MAX_TEXT:
                self._problems.add(value, f"a label's value has at most {fields.MAX_TEXT} characters")
            elif not value.text.isprintable():
                self._problems.add(value, f"label {quoted(key.text)} holds a character that cannot be printed")
            else:
                labels[key.text] = value.text
        return labels

    def _vnics(self, name: str, key: Scalar, values: Values, common: _Common, what: str) -> tuple[InventoryVnic, ...]:
        if "vnics" not in values:  # the short form: one vNIC, called like its VM
            self.claims.once(IFACE_ID, name, name, key)
            mac, addresses = self._mac(values, name), self._addresses(values, name, common.scope)
            return (InventoryVnic(name, mac, addresses, common.network, key.place),)
        for short in _SHORT_FORM:
            if short in values:
                self._problems.add(values[short][0], f"{what}: {short!r} stands at a vNIC where there are 'vnics'")
        found: dict[int, InventoryVnic] = {}
        trunks = _Trunks(name, self._problems)
        subs: list[tuple[int, Node, Values]] = []
        for number, item in enumerate(fields.items(values["vnics"][1], f"{what}: 'vnics'", self._problems)):
            own = fields.fields(item, f"a vNIC of VM {name!r}", _VNIC_KEYS, self._problems)
            if own is None:
                continue
            if "iface_id" not in own:
                self._problems.add(item, f"a vNIC of VM {name!r} needs 'iface_id'")
            if "parent" in own or "vlan" in own:
                subs.append((number, item, own))
                continue
            vnic = self._vnic(item, own, name, common)
            if vnic is not None:
                found[number] = trunks.parents[vnic.iface_id] = vnic
        # What a sub-port says is about its parent, which may stand behind it.
        for number, item, own in subs:
            vnic = self._sub_port(item, own, name, trunks)
            if vnic is not None:
                found[number] = vnic
        return tuple(found[number] for number in sorted(found))

    def _vnic(self, node: Node, values: Values, vm: str, common: _Common) -> InventoryVnic | None:
        what = f"a vNIC of VM {vm!r}"
        iface_id = self._claimed(values, "iface_id", IFACE_ID, vm)
        own = self._common(values, what, common)
        mac, addresses = self._mac(values, vm), self._addresses(values, vm, own.scope)
        roles = self._roles(values, what)
        if iface_id is None:
            return None
        return InventoryVnic(iface_id, mac, addresses, own.network, node.place, own.trusted, roles)

    def _sub_port(self, node: Node, values: Values, vm: str, trunks: _Trunks) -> InventoryVnic | None:
        what = f"a sub-port of VM {vm!r}"
        for key in ("parent", "vlan"):
            if key not in values:
                self._problems.add(node, f"{what} needs {key!r}")
        iface_id = self._claimed(values, "iface_id", IFACE_ID, vm)
        parent = trunks.parent(values["parent"][1]) if "parent" in values else None
        tag = None
        if "vlan" in values:
            tag = fields.integer(values["vlan"][1], f"{what}: 'vlan'", 1, MAX_VLAN, self._problems)
        if "trusted" in values:
            self._problems.add(values["trusted"][0], f"{what} cannot be trusted; {AN_UPLINK}")
        network, scope = None, None
        if "network" in values:
            network = self._networks.named(values["network"][1], what)
        elif tag is not None:
            network = self._networks.of_vlan(tag)
        if network is not None:
            scope = self._networks.scope_of(network)
        mac = self._mac(values, vm, None if parent is None else parent.mac)
        addresses, roles = self._addresses(values, vm, scope), self._roles(values, what)
        if iface_id is None or parent is None or tag is None:
            return None
        sub = InventoryVnic(iface_id, mac, addresses, network, node.place, False, roles, parent.iface_id, tag)
        trunks.check(sub, node, values)
        return sub

    def _mac(self, values: Values, vm: str, parents: str | None = None) -> str | None:
        """A MAC that nobody else has; a sub-port's may be its parent's."""
        if "mac" not in values:
            return None
        node = values["mac"][1]
        written = fields.text(node, "'mac'", self._problems, longest=32)
        if written is None:
            return None
        try:
            mac = parse_mac(written)
        except ValueError as error:
            self._problems.add(node, str(error))
            return None
        if mac != parents:
            self.claims.once("MAC", mac, vm, node)
        return mac

    def _addresses(self, values: Values, vm: str, scope: str | None) -> tuple[Prefix, ...]:
        if "addresses" not in values:
            return ()
        found: list[Prefix] = []
        for item in fields.one_or_more(values["addresses"][1], "'addresses'", self._problems):
            prefix = fields.prefix(item, "an address", self._problems)
            if prefix is None:
                continue
            if any(within(prefix, network) for network in _NO_HOST):
                self._problems.add(item, f"no host can have the address {prefix}")
                continue
            if scope is not None:
                self.claims.address(scope, prefix, vm, item)
            found.append(prefix)
        return tuple(found)

    def _roles(self, values: Values, what: str) -> frozenset[str]:
        if "roles" not in values:
            return frozenset()
        nodes = fields.one_or_more(values["roles"][1], f"{what}: 'roles'", self._problems)
        found = (fields.choice(node, "a role", ROLES, self._problems) for node in nodes)
        return frozenset(role for role in found if role is not None)

    def _common(self, values: Values, what: str, above: _Common) -> _Common:
        """What is said here, and for the rest what is said above."""
        network, scope, trusted = above.network, above.scope, above.trusted
        if "network" in values:
            network = self._networks.named(values["network"][1], what)
            scope = None if network is None else self._networks.scope_of(network)
        if "trusted" in values:
            node = values["trusted"][1]
            trusted = bool(fields.boolean(node, f"{what}: 'trusted'", self._problems))
            if above.trusted and not trusted:
                self._problems.add(node, f"{what}: the VM is trusted, and so is every vNIC of it; say it at vNICs only")
        return _Common(network, scope, trusted)


@dataclass(slots=True)
class _Trunks:
    """The vNICs of a VM that have a port of their own, and which of their VLANs are sub-ports."""

    vm: str
    problems: Problems
    parents: dict[str, InventoryVnic] = field(default_factory=dict)
    # Where it was said, by parent and VLAN; and by parent, network and MAC.
    _tags: dict[tuple[str, int], Node] = field(default_factory=dict)
    _stations: dict[tuple[str, str | None, str | None], Node] = field(default_factory=dict)

    def parent(self, node: Node) -> InventoryVnic | None:
        """The vNIC that a sub-port names."""
        iface_id = fields.text(node, "'parent'", self.problems)
        if iface_id is None:
            return None
        parent = self.parents.get(iface_id)
        if parent is None:
            self.problems.dangling(node, f"vNIC of VM {self.vm!r} with a port of its own", iface_id, self.parents)
        elif parent.trusted:
            self.problems.add(node, f"vNIC {quoted(iface_id)} is trusted and cannot have sub-ports; {AN_UPLINK}")
        return parent

    def check(self, sub: InventoryVnic, node: Node, values: Values) -> None:
        """Notes what a sub-port cannot have beside its parent and the others: its tag; in one network, its MAC."""
        assert sub.parent is not None
        first = self._tags.setdefault((sub.parent, sub.tag), node)
        if first is not node:
            told = f"VLAN {sub.tag} of vNIC {quoted(sub.parent)} is another sub-port's: {first.place}"
            self.problems.add(values["vlan"][1], told)
        parent = self.parents[sub.parent]
        mac = sub.mac or parent.mac
        first = self._stations.setdefault((sub.parent, sub.network, mac), node)
        if first is not node or (mac == parent.mac and sub.network == parent.network is not None):
            other = first.place if first is not node else parent.place
            told = f"a sub-port of VM {self.vm!r} needs a 'mac' of its own: in network {sub.network!r} the VM has it at"
            self.problems.add(node, f"{told} {other}")
