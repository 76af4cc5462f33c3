"""A guest with VLAN interfaces, such as Linux's `eth0.20`, on kernels that need not know VLANs.

Its VLAN interfaces are namespaces of their own, behind a bridge that does what the guest's kernel would: frames of each
get its tag on the way out, and come to it without it. What runs on the cable itself can be heard, and more be said, by
a further one, the *wire*.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from mininet_scenarios.lab.guests import LiveGuest
from mininet_scenarios.lab.ovs import Ovs
from mininet_scenarios.lab.shell import ip

if TYPE_CHECKING:
    from mininet_scenarios.lab.lab import Lab

_NOBODY: Mapping[str, str | None] = {"role": None, "note": "inside a guest"}


class Trunk:
    """A virtual machine whose one port carries several vNICs. ``legs`` are its interfaces by tag (0: without).

    ``inside`` is the bridge in the guest; the firewall must not take it for one of the hypervisor's.
    """

    def __init__(self, lab: Lab, ovs: Ovs, bridge: str, name: str) -> None:
        self._lab, self._ovs, self._bridge = lab, ovs, bridge
        self.port, self._end = name, f"{name}-in"
        self.inside = ovs.add_bridge(f"{name}-os")
        ip(f"link add {self.port} type veth peer name {self._end}", inside=ovs.namespace)
        for end in (self.port, self._end):
            ip(f"link set {end} up", inside=ovs.namespace)
        ovs.vsctl("add-port", self.inside, self._end)
        self.wire = self._interface(f"{name}-wire", ())
        # Its kernel would solicit routers there, with a MAC that is no vNIC's: such drops are told in place of others.
        self.wire.run("sh", "-c", "echo 1 > /proc/sys/net/ipv6/conf/eth0/disable_ipv6")
        self.legs: dict[int, LiveGuest] = {}
        self._say(f"in_port={self.wire.port},actions=output:{self._end}")
        self._say(f"in_port={self._end},actions=output:{self.wire.port}")

    def leg(self, tag: int, addresses: Sequence[str], mac: str) -> LiveGuest:
        """The guest gets an interface for this tag (0: its `eth0` itself)."""
        leg = self.legs[tag] = self._interface(f"{self.port}-{tag}", addresses, mac)
        push, pop = (f"push_vlan:0x8100,set_field:{0x1000 | tag}->vlan_vid,", "pop_vlan,") if tag else ("", "")
        mine = f"dl_vlan={tag}" if tag else "vlan_tci=0"
        self._say(f"in_port={leg.port},actions={push}output:{self._end}")
        self._say(f"priority=40000,in_port={self._end},{mine},actions=output:{self.wire.port},{pop}output:{leg.port}")
        return leg

    def plug(self, ids: Mapping[str, str], **columns: str) -> None:
        """Put the cable into the hypervisor's bridge, with these external_ids and columns of its Port."""
        told = [f'external_ids:{key}="{value}"' for key, value in ids.items()]
        port = [f"{key}={value}" for key, value in columns.items()]
        command = ["--", "add-port", self._bridge, self.port, *port]
        self._ovs.vsctl(*command, "--", "set", "interface", self.port, *told)

    def unplug(self) -> None:
        """Pull it out."""
        self._ovs.vsctl("--if-exists", "del-port", self.port)

    def _interface(self, name: str, addresses: Sequence[str], mac: str | None = None) -> LiveGuest:
        return self._lab.guest(
            self._ovs, self.inside, name, addresses, mac=mac, vnic=False, external_ids=_NOBODY
        )

    def _say(self, flow: str) -> None:
        self._ovs.ofctl("add-flow", self.inside, flow, "--names")
