"""A laboratory on one machine: private switches, guests in namespaces, the controller; and everything taken away again.

    with Lab() as lab:
        ovs = lab.ovs()
        bridge = ovs.add_bridge()
        web = lab.guest(ovs, bridge, "web", ["10.0.0.11/24", "2001:db8::11/64"])
        ...

Several laboratories run side by side: every name in the machine carries the mark of the process that made it
(`names.py`), and whoever comes later can tell what a dead process has left behind (`leftovers.py`).
"""

from mininet_scenarios.lab.controller import (
    Controller,
    ControllerError,
    exchange_policy,
    vnics_enforced,
    write_policy,
)
from mininet_scenarios.lab.guests import LiveGuest
from mininet_scenarios.lab.lab import Lab
from mininet_scenarios.lab.ovs import Ovs
from mininet_scenarios.lab.shell import CommandError, MissingTools
from mininet_scenarios.lab.way import Way

__all__ = [
    "CommandError",
    "Controller",
    "ControllerError",
    "Lab",
    "LiveGuest",
    "MissingTools",
    "Ovs",
    "Way",
    "exchange_policy",
    "vnics_enforced",
    "write_policy",
]
