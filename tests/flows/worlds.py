"""Small worlds for the tests of flows: two bridges joined by uplinks, a few vNICs, an outside, and policies for them.

outside --1-- left --2----2-- right
               |                |
             web-1 web-2 db-1  web-3 db-2      VLAN 10, scope default
             router                            VLAN 10, trusted: nobody firewalls it
             lab-1 lab-2       lab-3           VLAN 30, scope lab, which reuses the addresses of VLAN 10

web-2 and web-3 are trunks: web-2-a, lab-4 and db-3 are sub-ports of theirs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import ip_address, ip_network

from policy.flows.bridge_book import BridgeBook, bridge_flows
from policy.flows.compile import Compiled, prepare
from policy.flows.fields import TAGGED
from policy.flows.flow import Flow, Key
from policy.flows.meters import Meter
from policy.flows.packet import Packet
from policy.flows.tracker import Tracker
from policy.flows.walk import Flows, Sent, Walk, walk
from policy.model import Builtins, Document, Group, Groups, Policy, Rule, Term, Tier, Verdict
from policy.selectors import parse_selector
from policy.terms import parse_term
from topology.addresses import Address, mac_number
from topology.inventory import DEFAULT_SCOPE, Inventory, Network, Place
from topology.ports import Bridge, Port, UplinkPort, VnicPort, port_name
from topology.vnic import Vnic

PLACE = Place("policy.yaml", 1, 1)
OUTSIDE_MAC = 0x02_00_00_00_00_FF
OUTSIDE, PATCH = 1, 2
# The zones of a host's bridges are distinct: they share one conntrack.
ZONES = {"left": 100, "right": 200}
NETWORKS = (Network("prod", 10), Network("lab", 30, "lab"))


def vnic(
    name: str,
    number: int,
    addresses: Sequence[str],
    scope: str = DEFAULT_SCOPE,
    *,
    tenant: str | None = None,
    trusted: bool = False,
    **labels: str,
) -> Vnic:
    """A vNIC of a VM with its name; its MAC ends in its number."""
    return Vnic(
        name,
        vm=name,
        tenant=tenant,
        labels=labels,
        mac=f"52:54:00:00:00:{number:02x}",
        addresses=tuple(map(ip_network, addresses)),
        network="lab" if scope == "lab" else "prod",
        scope=scope,
        trusted=trusted,
    )


# bridge -> vNIC's place on it: its port, unless it is one of `SUB_PORTS` -> vNIC
PLACES: dict[str, dict[int, Vnic]] = {
    "left": {
        11: vnic("web-1", 1, ["10.0.0.1", "2001:db8::1"], tenant="acme", role="web"),
        12: vnic("web-2", 2, ["10.0.0.2", "2001:db8::2"], role="web"),
        13: vnic("db-1", 3, ["10.0.0.3", "10.0.1.0/28", "2001:db8::3", "2001:db8:0:1::/64"], tenant="acme", role="db"),
        14: vnic("lab-1", 4, ["10.0.0.1", "2001:db8::1"], "lab", tenant="acme", role="web"),
        15: vnic("lab-2", 5, ["10.0.0.7", "2001:db8::7"], "lab", role="db"),
        16: vnic("router", 9, ["10.0.0.9", "2001:db8::9"], trusted=True, tenant="acme", role="web"),
        21: vnic("web-2-a", 10, ["10.0.0.6", "2001:db8::6"], role="db"),
        22: vnic("lab-4", 2, ["10.0.0.2", "2001:db8::2"], "lab", role="web"),
    },
    "right": {
        11: vnic("web-3", 6, ["10.0.0.4", "2001:db8::4"], role="web"),
        12: vnic("db-2", 7, ["10.0.0.5", "2001:db8::5"], tenant="beta", role="db"),
        13: vnic("lab-3", 8, ["10.0.0.3", "2001:db8::3"], "lab", role="web"),
        21: vnic("db-3", 11, ["10.0.0.8", "2001:db8::8"], tenant="acme", role="db"),
    },
}
# bridge -> place -> port and tag: in its parent's network; with its parent's MAC in another; by the network's own VLAN
SUB_PORTS = {"left": {21: (12, 20), 22: (12, 300)}, "right": {21: (11, 10)}}


def socket_of(name: str, place: int) -> tuple[int, int]:
    """The port and tag (0: none) of a place."""
    return SUB_PORTS[name].get(place, (place, 0))


def ports_of(name: str) -> list[int]:
    """The ports of a bridge that have vNICs."""
    return sorted({socket_of(name, place)[0] for place in PLACES[name]})


def mac_of(name: str) -> int:
    """A vNIC's MAC by its name; the outside's for everybody else."""
    for ports in PLACES.values():
        for found in ports.values():
            if found.id == name:
                return mac_number(found.mac or "")
    return OUTSIDE_MAC


def bridge_meters(document: Document, bridge: Bridge) -> dict[int, Meter]:
    """All meters of a bridge, by number."""
    return dict(BridgeBook().wanted(prepare(document, [port.vnic for port in bridge.vnic_ports]), bridge, {}).meters)


def bridge(name: str, ports: Iterable[Port]) -> Bridge:
    """A bridge with these ports."""
    return Bridge("test", f"uuid-{name}", "host", name, 1, "secure", False).with_ports(ports)


def vnic_port(ofport: int, vlan: int, found: Vnic, zone: int, tag: int = 0) -> VnicPort:
    return VnicPort(port_name(f"p{ofport}", tag), ofport, vlan, found, zone, f"uuid-{ofport}", tag)


def uplink(ofport: int, name: str | None = None, **more: object) -> UplinkPort:
    name = name or f"p{ofport}"
    return UplinkPort(name, "uplink", ((name, ofport),), **more)  # type: ignore[arg-type]


def document(*policies: Policy, builtins: Builtins | None = None) -> Document:
    """A policy as the loader would make it, for the networks of this world."""
    ordered = sorted(policies, key=lambda policy: (policy.tier, policy.order, policy.name, policy.tenant or ""))
    return Document(Inventory((), NETWORKS), {}, {}, tuple(ordered), builtins or Builtins(), "0" * 12)


def policy(name: str, *rules: Rule, tier: Tier = Tier.APPLICATION, order: int = 1000) -> Policy:
    """A policy whose rules are called #1, #2, … if they have no name."""
    named = tuple(replace(rule, name=rule.name or f"#{place}") for place, rule in enumerate(rules, 1))
    return Policy(name, tier, order, named, PLACE)


def rule(
    verdict: str, terms: str, source: Groups = None, target: Groups = None, name: str = "", **more: object
) -> Rule:
    """A rule; ``terms`` as in the language, separated by spaces."""
    return Rule(name, Verdict(verdict), services(terms), source, target, PLACE, **more)  # type: ignore[arg-type]


def services(texts: str) -> tuple[Term, ...]:
    return tuple(term for text in texts.split() for term in parse_term(text))


def who(selector: str, name: str | None = None) -> Group:
    """The group of a selector."""
    return Group(name, selector=parse_selector(selector))


def cidrs(*prefixes: str, but: Sequence[str] = (), scope: str | None = None, name: str | None = None) -> Group:
    """The group of some CIDRs."""
    return Group(name, cidrs=tuple(map(ip_network, prefixes)), excepts=tuple(map(ip_network, but)), scope=scope)


@dataclass(frozen=True)
class Arrival:
    """A packet that came out for somebody: a vNIC's name, or ``outside``."""

    at: str
    packet: Packet


@dataclass
class World:
    """Both bridges with the flows of a policy; their conntrack and the MACs learned survive a change of policy."""

    document: Document
    labels: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    audit: bool = False
    known: frozenset[int] | None = None  # the protocols that conntrack follows; None: all
    flows: dict[str, Flows] = field(default_factory=dict)

    trackers: dict[str, Tracker] = field(default_factory=dict)
    learned: dict[str, dict[Key, Flow]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.forget()
        self.install(self.document, self.labels)

    def install(self, document: Document, labels: Mapping[str, Mapping[str, str]]) -> None:
        """Another policy, other labels."""
        self.document, self.labels = document, labels
        self.compiled: Compiled = prepare(document, self.vnics(), audit=self.audit)
        self.tables: dict[str, dict[Key, Flow]] = {
            name: bridge_flows(self.compiled, self.bridge(name), {}) for name in PLACES
        }
        self.flows = {name: Flows(found.values()) for name, found in self.tables.items()}
        self._remember()

    def _remember(self) -> None:
        for name, found in self.flows.items():
            found.learn(self.learned[name].values())

    def forget(self) -> None:
        """Forget all connections and all MACs learned."""
        self.trackers = dict.fromkeys(PLACES, Tracker(known=self.known))
        self.learned = {name: {} for name in PLACES}
        self._remember()

    def vnics(self) -> list[Vnic]:
        """All vNICs with their labels of now."""
        return [self.labelled(found) for ports in PLACES.values() for found in ports.values()]

    def labelled(self, found: Vnic) -> Vnic:
        return replace(found, labels=self.labels.get(found.id, found.labels))

    def vnic(self, name: str) -> Vnic | None:
        return next((found for found in self.vnics() if found.id == name), None)

    def bridge(self, name: str) -> Bridge:
        ports: list[Port] = []
        for place, found in PLACES[name].items():
            (ofport, tag), vlan = socket_of(name, place), 30 if found.scope == "lab" else 10
            ports.append(vnic_port(ofport, vlan, self.labelled(found), ZONES[name] + place, tag))
        ports += [uplink(PATCH), *([uplink(OUTSIDE)] if name == "left" else [])]
        return bridge(name, ports)

    def send(self, name: str, packet: Packet, vlan: int = 10) -> tuple[list[Arrival], list[Walk]]:
        """A packet leaves a vNIC, or comes from the outside; who gets it in the end, and the walk on each bridge.

        It has the vNIC's tag, unless it has one already.
        """
        for where, ports in PLACES.items():
            for place, found in ports.items():
                if found.id == name:
                    ofport, tag = socket_of(where, place)
                    tagged = packet.vlan_vid or (tag and TAGGED | tag)
                    return self._through(where, ofport, replace(packet, vlan_vid=tagged))
        return self._through("left", OUTSIDE, replace(packet, vlan_vid=0x1000 | vlan))

    def _through(self, where: str, in_port: int, packet: Packet) -> tuple[list[Arrival], list[Walk]]:
        result = walk(self.flows[where], packet, in_port, self.trackers[where])
        self.trackers[where] = result.tracker
        if result.learned:
            self.learned[where].update((item.key, item) for item in result.learned)
            self._remember()
        arrivals: list[Arrival] = []
        walks = [result]
        for sent in result.sent:
            if sent.port == PATCH:
                further, more = self._through("right" if where == "left" else "left", PATCH, sent.packet)
                arrivals += further
                walks += more
            else:
                arrivals.append(Arrival(_receiver(where, sent), sent.packet))
        return arrivals, walks


def _receiver(where: str, sent: Sent) -> str:
    """Whose packet it is that comes out by a port; a guest has nobody for a tag that is no sub-port's."""
    if sent.port == OUTSIDE:
        return "outside"
    socket = sent.port, sent.packet.vlan_vid & 0xFFF
    (name,) = (found.id for place, found in PLACES[where].items() if socket_of(where, place) == socket)
    return name


def address(text: str) -> Address:
    return ip_address(text)
