"""A small shop behind a firewall, for the live tests: web, app and db in one subnet, a client behind the uplink."""

from __future__ import annotations

from mininet_scenarios.lab import Controller, Lab, LiveGuest, Ovs
from mininet_scenarios.lab.lab import write_policy

VMS = """\
version: 1
vms:
  web: {labels: {role: web}, addresses: [10.0.0.11, "2001:db8::11"]}
  app: {labels: {role: app}, addresses: [10.0.0.12, "2001:db8::12"]}
  db:  {labels: {role: db},  addresses: [10.0.0.13, "2001:db8::13"]}
"""
RULES = """\
groups:
  web: {match: "role == web"}
  app: {match: "role == app"}
  db:  {match: "role == db"}
policies:
  - name: shop
    rules:
      - {name: clients, allow: [tcp/443, icmp/echo], from: any, to: web}
      - {name: web-app, allow: [tcp/8080, udp/5000, icmp/echo], from: web, to: app}
      - {name: app-db, allow: tcp/3306, from: app, to: db}
"""
FILES = {"inventory.yaml": VMS, "policy.yaml": RULES}


class Shop:
    """The network, its guests and its controller. Nothing is started yet but the switch and the guests."""

    def __init__(self, lab: Lab, files: dict[str, str] | None = None, *, start: bool = True) -> None:
        self.lab = lab
        self.files = dict(FILES if files is None else files)
        self.ovs: Ovs = lab.ovs()
        self.controller: Controller = lab.controller(self.files, self.ovs)
        self.bridge = self.ovs.add_bridge("br0", controller=self.controller.target)
        self.web: LiveGuest = lab.guest(self.ovs, self.bridge, "web", ["10.0.0.11/24", "2001:db8::11/64"])
        self.app: LiveGuest = lab.guest(self.ovs, self.bridge, "app", ["10.0.0.12/24", "2001:db8::12/64"])
        self.db: LiveGuest = lab.guest(self.ovs, self.bridge, "db", ["10.0.0.13/24", "2001:db8::13/64"])
        self.client: LiveGuest = lab.outside(self.ovs, self.bridge, "client", ["10.0.0.99/24", "2001:db8::99/64"])
        if start:
            self.start()

    def start(self) -> None:
        """Start the controller and wait until everything is enforced."""
        self.controller.start()
        self.controller.wait_enforced()

    def say(self, file: str, text: str) -> None:
        """Write a policy file, without waiting for what becomes of it."""
        self.files[file] = text
        write_policy(self.controller.policy / file, text)

    def change(self, file: str, old: str, new: str) -> None:
        """Change a policy file and wait until that is enforced."""
        assert old in self.files[file], f"{old!r} is not in {file}"
        self.say(file, self.files[file].replace(old, new))
        self.controller.wait_enforced()

    def vnic(self, port: str) -> dict[str, object]:
        """What the status page says of a port."""
        found = [vnic for vnic in self.controller.status()["vnics"] if vnic["port"] == port]
        assert len(found) == 1, f"{port} is told {len(found)} times"
        return dict(found[0])
