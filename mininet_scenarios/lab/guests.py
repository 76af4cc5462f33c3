"""Guests in network namespaces, plugged into a bridge like a virtual machine's NIC; and hosts of the outside world."""

import contextlib
import hashlib
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from ipaddress import ip_interface

from mininet_scenarios.guest import Guest
from mininet_scenarios.lab.names import fresh
from mininet_scenarios.lab.ovs import Ovs
from mininet_scenarios.lab.shell import CommandError, ip, run

LONGEST_DEVICE_NAME = 15


def mac_for(name: str) -> str:
    """A MAC that is the same for a name every time, in the range that QEMU uses."""
    return "52:54:00:" + hashlib.sha256(name.encode()).digest()[:3].hex(":")


class LiveGuest(Guest):
    """A namespace with an `eth0`, whose other end is a port of a bridge.

    Its port carries what a hypervisor would write (`iface-id`, `attached-mac`, `vm-id`, `iface-status`), so that the
    firewall takes it for a vNIC; `external_ids` adds to these, and with None takes one out. A host of the outside
    world has `role=uplink` instead (`vnic=False`).
    """

    def __init__(
        self,
        ovs: Ovs,
        bridge: str,
        name: str,
        addresses: Sequence[str],
        *,
        mac: str | None = None,
        iface_id: str | None = None,
        vm_id: str | None = None,
        tag: int | None = None,
        vnic: bool = True,
        external_ids: Mapping[str, str | None] | None = None,
        gateway: Sequence[str] = (),
        plugged: bool = True,
    ) -> None:
        super().__init__(name, addresses, self._spawn_inside)
        self.ovs = ovs
        self.bridge = bridge
        self.mac = mac or mac_for(name)
        self.iface_id = iface_id or name
        self.vm_id = vm_id or str(uuid.uuid5(uuid.NAMESPACE_OID, name))
        self.tag = tag
        self.namespace = f"{fresh('n')}-{name}"
        # In the switch's own namespace a port may have a readable name.
        self.port = name if len(name) <= LONGEST_DEVICE_NAME else fresh("v")
        ids: dict[str, str | None] = {"role": "uplink"}
        if vnic:
            ids = {
                "iface-id": self.iface_id,
                "attached-mac": self.mac,
                "vm-id": self.vm_id,
                "iface-status": "active",
            }
        self.external_ids = {k: v for k, v in (ids | dict(external_ids or {})).items() if v is not None}
        try:
            self._make(addresses, gateway)
            if plugged:
                self.plug()
        except BaseException:
            self.close()
            raise

    def plug(self) -> None:
        """Put the cable into the bridge: the port appears, with all its external_ids, in one transaction."""
        port = [f"tag={self.tag}"] if self.tag is not None else []
        ids = [f'external_ids:{key}="{value}"' for key, value in self.external_ids.items()]
        command = ["--", "add-port", self.bridge, self.port, *port]
        self.ovs.vsctl(*command, "--", "set", "interface", self.port, *ids)

    def unplug(self) -> None:
        """Pull the cable out of the bridge; the guest keeps running."""
        self.ovs.vsctl("--if-exists", "del-port", self.port)

    def replug(self) -> None:
        """Pull it out and put it in again, as a restarted virtual machine does."""
        self.unplug()
        self.plug()

    def set_ids(self, **external_ids: str | None) -> None:
        """Change external_ids of the plugged port; underscores stand for hyphens, None removes."""
        for name, value in external_ids.items():
            key = name.replace("_", "-")
            if value is None:
                self.external_ids.pop(key, None)
                self.ovs.vsctl("remove", "interface", self.port, "external_ids", key)
            else:
                self.external_ids[key] = value
                self.ovs.vsctl("set", "interface", self.port, f'external_ids:{key}="{value}"')

    @property
    def ofport(self) -> int:
        """Its port's OpenFlow number."""
        return self.ovs.ofport(self.port)

    def shut_port(self) -> None:
        """The switch port goes administratively down, as by `mod-port`; with a veth, the guest loses its link too."""
        self.ovs.ofctl("mod-port", self.bridge, self.port, "down")

    def open_port(self) -> None:
        """The switch port comes up again."""
        self.ovs.ofctl("mod-port", self.bridge, self.port, "up")

    def run(self, *command: str, timeout: float = 30) -> str:
        """Run a command inside the guest to its end."""
        return run("ip", "netns", "exec", self.namespace, *command, timeout=timeout)

    def add_address(self, address: str) -> None:
        """Give it one more address, at once usable."""
        ip(_address(address), inside=self.namespace)
        self.addresses = (*self.addresses, ip_interface(address).ip)

    def close(self) -> None:
        """Take it away: the agent, the port, the cable, the namespace."""
        super().close()
        for command in (
            ("ovs-vsctl", f"--db={self.ovs.db}", "--timeout=5", "--if-exists", "del-port", self.port),
            self.ovs.inside("ip", "link", "delete", self.port),
            ("ip", "netns", "delete", self.namespace),
        ):
            # Each may be missing after a failed start; whether all is gone is checked at the end (leftovers.py).
            with contextlib.suppress(CommandError):
                run(*command)

    def _spawn_inside(self, command: Sequence[str]) -> "subprocess.Popen[bytes]":
        inside = ["ip", "netns", "exec", self.namespace, *command, self.namespace]  # the last: for whoever reads `ps`
        return subprocess.Popen(inside, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def _make(self, addresses: Sequence[str], gateway: Sequence[str]) -> None:
        run("ip", "netns", "add", self.namespace)
        # No duplicate address detection: an IPv6 address is usable at once. Set before the interface exists.
        self.run("sh", "-c", "echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad")
        switch = self.ovs.namespace
        if switch is None:
            raise ValueError("guests of this kind need a switch in a namespace of its own")
        eth0 = f"name eth0 address {self.mac} netns {self.namespace}"
        ip(f"link add {self.port} type veth peer {eth0}", f"link set {self.port} up", inside=switch)
        # Checksums that hardware would fill in are never filled in on this way through a userspace switch.
        self.run("ethtool", "-K", "eth0", "tx", "off")
        routes = [f"route add default via {router}" for router in gateway]
        ip("link set lo up", *map(_address, addresses), "link set eth0 up", *routes, inside=self.namespace)


def _address(address: str) -> str:
    return f"address add {address} dev eth0" + (" nodad" if ":" in address else "")
