"""The shop of `examples/shop` as a network: its VMs from its inventory, and the people outside. Built in one place."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from mininet_scenarios.guest import ROOT
from mininet_scenarios.stage import Stage, stage

POLICY = ROOT / "examples/shop"
SWITCH, FABRIC = "s1", "fabric"

# Who is outside: a customer, somebody whose addresses are banned, the people who run the shop, and a name server.
OUTSIDE = {
    "client": ["203.0.113.9/32", "2001:db8:ffff::9/128"],
    "banned": ["203.0.113.66/32", "2001:db8:ffff::66/128"],
    "office": ["198.51.100.7/32", "2001:db8:100::7/128"],
    "dns": ["10.20.0.2/24", "2001:db8:20::2/64"],
}


@contextlib.contextmanager
def running_shop(policy: Path = POLICY) -> Iterator[Stage]:
    """The shop, open: all hosts up and the policy in force."""
    files = {file.name: file.read_text() for file in sorted(policy.glob("*.yaml"))}
    with stage(files, options=["--portcullis-bridge", SWITCH]) as here:
        here.add_switch(SWITCH)
        here.add_fabric(FABRIC, SWITCH)
        for vm in here.document.inventory.vms:
            here.add_vm(vm.name, SWITCH)
        for name, addresses in OUTSIDE.items():
            here.add_host(name, FABRIC, addresses)
        here.start()
        yield here
