"""Where it happens: an attacker among guests of one switch, one more network, and a host of the outside world.

evil may open anything to vic and to the outside, so that what does not arrive there has been stopped by the firewall's
guards and not by a rule. web takes tcp/443 alone. ann and ben are neighbours who talk to each other, and never to evil.
far is in another network (VLAN 20) of the same switch. evil has a sub-port there, by another tag, which may open anything
to far.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from mininet_scenarios.guest import Service
from mininet_scenarios.lab import Controller, Lab, LiveGuest, Ovs
from mininet_scenarios.words import Link, Stream, connect, stream
from tests.attack import declare
from tests.attack.told import Log


@dataclass(frozen=True)
class Host:
    """A guest's addresses, for declarations to name."""

    name: str
    mac: str
    ip4: str
    ip6: str
    tag: int | None = None

    @property
    def link_local(self) -> str:
        """The link-local address of its MAC (RFC 4291, appendix A)."""
        a, b, c, d, e, f = (int(part, 16) for part in self.mac.split(":"))
        return f"fe80::{a ^ 2:x}{b:02x}:{c:x}ff:fe{d:02x}:{e:x}{f:02x}"


def _host(name: str, number: int, tag: int | None = None) -> Host:
    net = tag or 0
    return Host(
        name, f"52:54:00:{net:02x}:0a:{number:02x}", f"10.{net}.0.{number}", f"2001:db8:{net:x}::{number:x}", tag
    )


EVIL = _host(declare.EVIL, 66)
VIC = _host(declare.VIC, 10)
WEB = _host(declare.WEB, 80)
ANN = _host(declare.ANN, 21)
BEN = _host(declare.BEN, 22)
FAR = _host(declare.FAR, 30, 20)
# A sub-port of evil's, in far's network.
LEG = Host("evil-leg", EVIL.mac, "10.20.0.66", "2001:db8:14::66", 40)
OUT = Host(declare.OUT, "02:00:00:00:00:99", "10.0.0.99", "2001:db8::99")
VNICS = (EVIL, VIC, WEB, ANN, BEN, FAR)

# Its own word for the service, so that a change here is one of the attacks' too.
HTTPS, TALK, STREAM = "tcp/443", "tcp/5000", "udp/5001"



def _vnic(host: Host, more: str = "") -> str:
    return f'{{iface_id: {host.name}, {more}addresses: [{host.ip4}, "{host.ip6}"]}}'


_LEG = _vnic(LEG, f"parent: {EVIL.name}, vlan: {LEG.tag}, network: vlan-{FAR.tag}, ")
POLICY = (
    "version: 1\nvms:\n"
    + "".join(
        f"  {host.name}: {{labels: {{name: {host.name}}}, vnics: [{_vnic(host)}{f', {_LEG}' if host is EVIL else ''}]}}\n"
        for host in VNICS
    )
    + f"""\
groups:
{"".join(f'  {host.name}: {{match: "name == {host.name}"}}' + chr(10) for host in VNICS)}\
policies:
  - name: attacked
    rules:
      - {{name: whatever, allow: any, from: evil, direction: out}}
      - {{name: open, allow: any, from: [evil, {{cidrs: [{OUT.ip4}, "{OUT.ip6}"]}}], to: vic}}
      - {{name: leg, allow: any, from: {{match: "vnic.id == {LEG.name}"}}, to: far}}
      - {{name: https, allow: {HTTPS}, to: web}}
      - {{name: neighbours, allow: [{TALK}, {STREAM}, icmp/echo], from: ann, to: ben}}
"""
)


def port_of(service: str) -> int:
    """The port that a service names."""
    return Service.parse(service).port


class Place:
    """The network, enforced and alive: the neighbours' connection and stream, and evil's own connection, are open."""

    def __init__(self, lab: Lab) -> None:
        self.ovs: Ovs = lab.ovs()
        log = self.ovs.run_dir / "decisions.log"
        self.log = Log(log)
        self.controller: Controller = lab.controller(POLICY, self.ovs, options=["--portcullis-log", f"file:{log}"])
        self.bridge = self.ovs.add_bridge("br0", controller=self.controller.target)
        self.guests: dict[str, LiveGuest] = {}
        for host in VNICS:
            addresses = [f"{host.ip4}/24", f"{host.ip6}/64"]
            self.guests[host.name] = lab.guest(self.ovs, self.bridge, host.name, addresses, mac=host.mac, tag=host.tag)
        addresses = [f"{OUT.ip4}/24", f"{OUT.ip6}/64"]
        self.guests[OUT.name] = lab.outside(self.ovs, self.bridge, OUT.name, addresses, mac=OUT.mac)
        self.controller.start()
        self.controller.wait_enforced(until=lambda status: len(status["vnics"]) > len(VNICS) + 1)
        self.neighbours: Link = connect(self.guests["ann"], self.guests["ben"], TALK)
        self.own: Link = connect(self.guests["evil"], self.guests["web"], HTTPS)

    @contextmanager
    def streaming(self) -> Iterator[Stream]:
        """The neighbours' stream, 200 packets a second, for as long as this lasts."""
        with stream(self.guests["ann"], self.guests["ben"], STREAM, rate=200, over=4) as running:
            yield running
            running.finish()
