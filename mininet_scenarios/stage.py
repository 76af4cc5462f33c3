"""A Mininet network on a private Open vSwitch, with our controller: what the scenarios and the demonstration play on.

    with stage(policy) as here:
        here.add_switch("s1")
        here.add_vm("web1", "s1")                   # as the inventory has it
        here.start()
        reaches(here["web1"], here["client"], "tcp/443")

Hosts, switches and cables are Mininet's own. Only what a hypervisor adds is added here: `external_ids` and VLAN tags on
the switch's ports, as libvirt writes them.
"""

import contextlib
import os
import re
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mininet.net import Mininet  # type: ignore[import-untyped]
from mininet.node import Host, OVSBridge, OVSSwitch, RemoteController  # type: ignore[import-untyped]

from mininet_scenarios.guest import Guest
from mininet_scenarios.lab import Controller, Lab, Ovs, write_policy
from mininet_scenarios.lab.guests import mac_for
from mininet_scenarios.lab.names import mark
from mininet_scenarios.lab.ovs import PROTOCOLS
from mininet_scenarios.own_network import own_network
from policy.load import load
from policy.model import Document

Ids = Mapping[str, str]
UPLINK: Ids = {"role": "uplink"}
INVENTORY = "inventory.yaml"
# How long the prefix of a VM's subnet is, in each family.
SUBNET = {4: 24, 6: 64}


class Machine(Host):  # type: ignore[misc]
    """A host with any number of addresses of both families; the whole world is on its link."""

    def config(self, addresses: Sequence[str] = (), **params: Any) -> dict[str, Any]:  # noqa: ANN401 - Mininet's
        """Set up the one interface."""
        result: dict[str, Any] = super().config(**params)
        device = self.defaultIntf().name
        # Checksums that hardware would fill in are never filled in on this way through a userspace switch.
        self.cmd(f"ethtool -K {device} tx off")
        for address in addresses:
            # No duplicate address detection: an IPv6 address is usable at once.
            self.cmd(f"ip address add {address} dev {device}", "nodad" if ":" in address else "")
        self.cmd(f"ip route add default dev {device}; ip -6 route add default dev {device}")
        return result


class Hypervisor(OVSSwitch):  # type: ignore[misc]
    """Mininet's switch with the userspace datapath, whose ports carry what a hypervisor writes about them."""

    def __init__(self, name: str, **params: Any) -> None:  # noqa: ANN401 - Mininet's
        super().__init__(name, datapath="user", failMode="secure", protocols=PROTOCOLS, **params)

    def intfOpts(self, intf: Any) -> str:  # noqa: ANN401 - Mininet's
        """What is set on a port in the transaction that adds it. Its OpenFlow number is the switch's choice."""
        ids = "".join(f" external_ids:{key}={value}" for key, value in intf.params.get("external_ids", {}).items())
        tag = intf.params.get("tag")
        return (f" -- set Interface {intf}{ids}" if ids else "") + (f" -- set Port {intf} tag={tag}" if tag else "")

    def plug(self, intf: Any) -> None:  # noqa: ANN401
        """Put a cable into the switch: the port appears with all that is written about it."""
        self.vsctl(f"-- add-port {self} {intf}", self.intfOpts(intf))


class Fabric(OVSBridge):  # type: ignore[misc]
    """The network outside: an ordinary learning switch that nobody firewalls."""

    def __init__(self, name: str, **params: Any) -> None:  # noqa: ANN401 - Mininet's
        super().__init__(name, datapath="user", dpid="fab", **params)


class OurController(RemoteController):  # type: ignore[misc]
    """ryu-manager as Mininet knows it."""

    def checkListening(self) -> None:
        """It may still be starting: the switches call until it answers."""


class SteadyController(Controller):
    """A controller that Ctrl-C at the terminal does not reach: whoever started it decides when it ends."""

    def command(self) -> list[str]:
        """How it is started."""
        return ["setsid", *super().command()]


class StageGuest(Guest):
    """A Mininet host as its user sees it."""

    def __init__(self, host: Machine, addresses: Sequence[str], switches: Mapping[str, Hypervisor]) -> None:
        super().__init__(host.name, addresses, self._spawn_inside)
        self.host = host
        self.port = host.defaultIntf().link.intf2
        self.switch: Hypervisor = self.port.node
        self._switches = switches

    def unplug(self) -> None:
        """Pull the cable out of the switch; the host keeps running."""
        self.switch.detach(self.port)

    def plug(self, switch: str | None = None) -> None:
        """Put it in again, or into another switch of the same network."""
        if switch is not None:
            self.switch = self._switches[switch]
        self.switch.plug(self.port)

    def _spawn_inside(self, command: Sequence[str]) -> "subprocess.Popen[bytes]":
        # The last word is for whoever looks for what a dead process has left.
        inside = [*command, f"{mark()}n0-{self.name}"]
        process: subprocess.Popen[bytes] = self.host.popen(
            inside, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=None
        )
        return process


class Stage:
    """Everything that runs: Mininet's network, its private Open vSwitch, the guests, the controller."""

    def __init__(self, lab: Lab, ovs: Ovs, controller: Controller) -> None:
        self.lab = lab
        self.ovs = ovs
        self.controller = controller
        self.policy = controller.policy
        Mininet.inited = True  # else it raises the machine's limits, for good: ours is a small network
        self.net = Mininet(controller=None, build=False)
        self.net.addController(OurController("c0", ip="127.0.0.1", port=controller.openflow_port))
        self.guests: dict[str, StageGuest] = {}

    def __getitem__(self, name: str) -> StageGuest:
        """A host by its name."""
        return self.guests[name]

    def add_switch(self, name: str) -> None:
        """A switch of a hypervisor, under our controller."""
        self.net.addSwitch(name, cls=Hypervisor)
        self.ovs.bridges.append(name)

    def add_fabric(self, name: str, *hypervisors: str) -> None:
        """The network outside, to which each of the hypervisors has an uplink."""
        self.net.addSwitch(name, cls=Fabric)
        for hypervisor in hypervisors:
            self.net.addLink(
                name,
                hypervisor,
                intfName1=f"{name}-{hypervisor}",
                intfName2=f"{hypervisor}-uplink",
                params2={"external_ids": UPLINK},
            )

    def add_trunk(self, one: str, other: str) -> None:
        """A cable between two switches that carries all VLANs."""
        ids = {"external_ids": UPLINK}
        names = {"intfName1": f"{one}-{other}", "intfName2": f"{other}-{one}"}
        self.net.addLink(one, other, params1=ids, params2=ids, **names)

    def add_host(
        self,
        name: str,
        switch: str,
        addresses: Sequence[str],
        *,
        mac: str | None = None,
        external_ids: Ids | None = None,
        tag: int | None = None,
    ) -> StageGuest:
        """A host on a switch; `external_ids` and the VLAN `tag` are those of the switch's port."""
        host = self.net.addHost(name, cls=Machine, ip=None, mac=mac, addresses=addresses)
        port: dict[str, Any] = {"external_ids": external_ids or {}, "tag": tag}
        self.net.addLink(host, switch, intfName2=name, params2=port)
        guest = self.guests[name] = StageGuest(host, addresses, self.net)
        return guest

    def add_vm(self, name: str, switch: str) -> StageGuest:
        """A virtual machine of the inventory, plugged in as libvirt does it, in the VLAN of its network."""
        inventory = self.document.inventory
        (vm,) = (vm for vm in inventory.vms if vm.name == name)
        (vnic,) = vm.vnics
        vlans = {network.name: network.vlan for network in inventory.networks}
        mac = vnic.mac or mac_for(name)
        ids = {"iface-id": vnic.iface_id, "attached-mac": mac, "iface-status": "active"}
        if vm.id is not None:
            ids["vm-id"] = vm.id
        addresses = [f"{prefix.network_address}/{SUBNET[prefix.version]}" for prefix in vnic.addresses]
        tag = vlans[vnic.network] if vnic.network is not None else 0
        return self.add_host(name, switch, addresses, mac=mac, external_ids=ids, tag=tag or None)

    def start(self) -> None:
        """Everything begins, and is ready when this returns: hosts, switches, and the policy in force."""
        self.net.start()
        self.wait_enforced(30)

    def wait_enforced(self, timeout: float = 10) -> None:
        """Wait until the newest policy and topology are in force, down to what the datapath has learned."""
        self.controller.wait_enforced(timeout)
        self.ovs.settle()

    @property
    def document(self) -> Document:
        """The policy as its files say it now."""
        return load(self.policy)

    def text(self, file: str) -> str:
        """One of the policy's files."""
        return (self.policy / file).read_text()

    def write(self, file: str, text: str) -> None:
        """Change one of the policy's files, and go on: the controller notices by itself."""
        write_policy(self.policy / file, text)

    def replace(self, file: str, old: str, new: str) -> None:
        """Change a piece of one of the policy's files, and go on."""
        text = self.text(file)
        assert text.count(old) == 1, f"{file} has {text.count(old)} times {old!r}"
        self.write(file, text.replace(old, new))

    @contextlib.contextmanager
    def relabelled(self, vm: str, labels: str) -> Iterator[None]:
        """Other labels for a VM for a while, as the inventory writes them: `{role: app}`."""
        found = re.search(rf"^  {vm}:\n(    .*\n)*?    labels: \{{.*\}}$", self.text(INVENTORY), re.MULTILINE)
        assert found is not None, f"no labels of {vm} in the inventory"
        old = found[0]
        with self.changed(INVENTORY, old, old[: old.rindex("{")] + labels):
            yield

    @contextlib.contextmanager
    def changed(self, file: str, old: str, new: str) -> Iterator[None]:
        """Another policy for a while; in force when this begins, and the old one again when it ends."""
        before = self.text(file)
        self.replace(file, old, new)
        self.wait_enforced()
        try:
            yield
        finally:
            self.write(file, before)
            self.wait_enforced()

    def stop(self) -> None:
        """Everything ends, in good order."""
        with contextlib.ExitStack() as exits:
            exits.callback(self.net.stop)
            exits.callback(self.controller.stop)
            for guest in self.guests.values():
                exits.callback(guest.close)


@contextlib.contextmanager
def stage(policy: Mapping[str, str], *, options: Sequence[str] = ()) -> Iterator[Stage]:
    """An empty stage whose controller is starting with a copy of these policy files; taken away at the end."""
    with _Undisturbed() as exits:
        exits.enter_context(own_network())
        lab = exits.enter_context(Lab())
        ovs = lab.ovs(isolated=False)
        exits.enter_context(_environment(OVS_RUNDIR=str(ovs.run_dir)))
        directory = lab.directory / "policy"
        directory.mkdir()
        for name, text in policy.items():
            (directory / name).write_text(text)
        controller = SteadyController(directory, [ovs.db], lab.directory / "controller.log", options=options)
        lab.controllers.append(controller)
        here = Stage(lab, ovs, controller)
        exits.callback(here.stop)
        controller.start()
        yield here


class _Undisturbed(contextlib.ExitStack):
    """Takes things away to the end, however often somebody presses Ctrl-C meanwhile."""

    def __exit__(self, *details: Any) -> bool | None:  # noqa: ANN401 - ExitStack's
        before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            return super().__exit__(*details)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


@contextlib.contextmanager
def _environment(**variables: str) -> Iterator[None]:
    """Variables of the environment: how Mininet's calls of ovs-vsctl, and its users', find the private switch."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
