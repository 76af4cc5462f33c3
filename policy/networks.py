"""The `networks` of a policy: from nodes to `topology.inventory.Network` values, and what a network's name means."""

from __future__ import annotations

from collections.abc import Mapping

from policy import fields
from policy.nodes import Node, Scalar
from policy.problems import Problems, quoted
from topology.inventory import DEFAULT_SCOPE, MAX_VLAN, Network, implicit_vlan

_KEYS = ("vlan", "scope")

Definitions = Mapping[str, tuple[Scalar, Node]]


class Networks:
    """The declared networks. ``networks`` holds those without a problem; ``scopes`` all address scopes there are."""

    def __init__(self, definitions: Definitions, problems: Problems) -> None:
        self._problems = problems
        self._declared = definitions
        self._vlans: dict[int, Scalar] = {}
        self.networks: dict[str, Network] = {}
        self.scopes: dict[str, None] = {DEFAULT_SCOPE: None}
        for name, (key, node) in definitions.items():
            self._declare(name, key, node)

    def _declare(self, name: str, key: Scalar, node: Node) -> None:
        what = f"network {quoted(name)}"
        values = fields.fields(node, what, _KEYS, self._problems)
        if values is None:
            return
        scope: str | None = DEFAULT_SCOPE
        if "scope" in values:
            scope = fields.name(values["scope"][1], "an address scope's name", self._problems)
            self.scopes.update({} if scope is None else {scope: None})
        if "vlan" not in values:
            self._problems.add(key, f"{what} needs 'vlan'")
            return
        vlan = fields.integer(values["vlan"][1], "'vlan'", 0, MAX_VLAN, self._problems)
        if vlan is None:
            return
        implicit = implicit_vlan(name)
        if implicit is not None and implicit != vlan:
            self._problems.add(key, f"{name!r} is the name of VLAN {implicit} where no network declares it")
        if vlan in self._vlans:
            other = self._vlans[vlan]
            self._problems.add(values["vlan"][1], f"VLAN {vlan} is network {other.text!r} ({other.place})")
            return
        self._vlans[vlan] = key
        if scope is not None:
            self.networks[name] = Network(name, vlan, scope)

    def alike(self, other: Networks) -> bool:
        """True if every name means in both the same, and is wrong in both alike."""
        return (
            self.networks == other.networks
            and self._declared.keys() == other._declared.keys()
            and {vlan: key.text for vlan, key in self._vlans.items()}
            == {vlan: key.text for vlan, key in other._vlans.items()}
        )

    def named(self, node: Node, what: str) -> str | None:
        """The network that a VM or vNIC names: a declared one, or the implicit one of a VLAN that nobody declares."""
        name = fields.text(node, f"{what}: 'network'", self._problems)
        if name is None or name in self._declared:
            return name
        vlan = implicit_vlan(name)
        if vlan is None:
            self._problems.dangling(node, "network", name, self._declared)
            return None
        if vlan in self._vlans:
            self._problems.add(node, f"VLAN {vlan} is network {self._vlans[vlan].text!r}")
            return None
        return name

    def of_vlan(self, vlan: int) -> str:
        """The name of a VLAN's network."""
        return self._vlans[vlan].text if vlan in self._vlans else f"vlan-{vlan}"

    def scope_of(self, name: str) -> str | None:
        """The address scope of a network; None if the network's own mistakes leave it open."""
        if name in self._declared:
            return self.networks[name].scope if name in self.networks else None
        return DEFAULT_SCOPE
