"""What the language says about who enforces a rule, in flows: tenants, scopes, audit, `reject`, trusted vNICs.

The random roads (`test_roads`) say that evaluator and flows agree; these say it in the words of one case each.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from policy.evaluate import Connection, Endpoint
from policy.flows.cookies import Drop, Kind, Reason, reason
from policy.flows.flow import Flow, refuses
from policy.flows.icmpv6 import LISTENER_QUERY, REDIRECT, ROUTER_ADVERTISEMENT, ROUTER_SOLICITATION
from policy.flows.packet import Packet
from policy.flows.walk import Told
from policy.load import load_texts
from policy.model import ICMPV6, SCTP, TCP, UDP, Builtins, Group, Tier
from policy.selectors import parse_selector
from tests.flows.packets import answer, ip, later, opening, with_ports
from tests.flows.worlds import PLACES, World, address, cidrs, document, mac_of, policy, rule, who

ALL = parse_selector("all()")
ADDRESSES = {found.id: str(found.addresses[0].network_address) for ports in PLACES.values() for found in ports.values()}


def arrives(world: World, source: str, target: str, port: int = 80, **addresses: str) -> bool:
    """True if the first packet of a connection comes to its target."""
    world.forget()
    ends = [addresses.get(name, ADDRESSES.get(name, "192.0.2.5")) for name in (source, target)]
    first, second = (Endpoint(None, address(text)) for text in ends)
    packet = opening(Connection(first, second, 4, TCP, 50000, port), mac_of(source), mac_of(target))
    arrivals, _ = world.send(source, packet, 30 if "lab" in source + target else 10)
    return target in {arrival.at for arrival in arrivals}


def of_tenant(tenant: str, *rules, **more):
    return replace(policy("theirs", *rules, **more), tenant=tenant)


def flows_of_rules(world: World) -> list[Flow]:
    every = (flow for flows in world.tables.values() for flow in flows.values())
    return [flow for flow in every if (why := reason(flow.cookie)) is not None and why.kind is Kind.RULE]


OPEN_IN = policy("open-in", rule("allow", "any", egress=False))


def test_a_tenants_rules_are_enforced_at_its_own_vnics_only():
    world = World(document(of_tenant("acme", rule("allow", "any"))))
    assert arrives(world, "web-1", "db-1") and arrives(world, "web-1", "outside") and arrives(world, "outside", "web-1")
    assert not arrives(world, "web-1", "web-2")  # web-2 is nobody's: its ingress denies
    assert not arrives(world, "db-2", "web-1")  # beta's: its egress denies


def test_a_tenants_groups_select_its_own_vnics_and_any_address():
    mine = Group("mine", selector=ALL, tenant="acme")
    world = World(document(of_tenant("acme", rule("allow", "any", (mine,), None, ingress=False)), OPEN_IN))
    assert arrives(world, "web-1", "web-2") and not arrives(world, "web-2", "web-1")
    by_address = replace(cidrs("10.0.0.2/32", name="b"), tenant="acme")
    world = World(document(of_tenant("acme", rule("allow", "any", None, (by_address,))), OPEN_IN))
    assert arrives(world, "web-1", "web-2") and not arrives(world, "web-1", "db-2")


def test_at_narrows_within_the_tenant():
    world = World(document(of_tenant("acme", rule("allow", "any", at=(who("role == web"),)))))
    assert arrives(world, "web-1", "outside") and not arrives(world, "db-1", "outside")
    assert not arrives(world, "web-2", "outside")


def test_two_tenants_may_call_rules_alike():
    world = World(document(of_tenant("acme", rule("allow", "any")), of_tenant("beta", rule("deny", "any"))))
    assert len({entry.number for entry in world.compiled.rules}) == 2
    assert arrives(world, "web-1", "outside") and not arrives(world, "db-2", "outside")


def test_an_audited_policy_decides_nothing_and_tells_what_each_would_have_decided():
    for verdict in ("allow", "deny", "reject", "pass"):
        audited = replace(policy("a", rule("deny", "tcp/81"), rule(verdict, "any")), audit=True)
        another = replace(policy("z", rule("deny", "any"), tier=Tier.EMERGENCY), audit=True)
        assert flows_of_rules(World(document(audited))) == []
        world = World(document(audited, another, policy("b", rule("allow", "any"))))
        assert arrives(world, "web-1", "web-2")
        by_name = {entry.name: entry.number for entry in world.compiled.rules}
        ends = Endpoint(None, address("10.0.0.1")), Endpoint(None, address("10.0.0.2"))
        first = opening(Connection(*ends, 4, TCP, 50000, 80), mac_of("web-1"), mac_of("web-2"))
        found = told(world, "web-1", "web-2", first, answer(first), later(first))
        names = [(name, side) for side in (0, 1) for name in ("z/#1", "a/#2")]
        assert found == [[Told(Kind.AUDIT, by_name[name], side) for name, side in names], [], []]


def test_while_only_looking_what_no_rule_decides_passes_and_is_told_once():
    world = World(document(policy("p", rule("deny", "tcp/22"))), audit=True)
    assert arrives(world, "web-1", "web-2") and not arrives(world, "web-1", "web-2", 22)
    ends = Endpoint(None, address("10.0.0.1")), Endpoint(None, address("10.0.0.2"))
    first = opening(Connection(*ends, 4, TCP, 50000, 80), mac_of("web-1"), mac_of("web-2"))
    found = told(world, "web-1", "web-2", first, answer(first), later(first))
    assert found == [[Told(Kind.DEFAULT, 0, 0), Told(Kind.DEFAULT, 1, 1)], [], []]


def test_reject_is_a_drop_under_the_rules_own_cookie():
    world = World(document(policy("p", rule("reject", "tcp/80"), rule("allow", "any"))))
    assert not arrives(world, "web-1", "web-2") and arrives(world, "web-1", "web-2", 81)
    rejecting = Reason(Kind.RULE, world.compiled.rules[0].number)
    ends = [flow for flow in flows_of_rules(world) if reason(flow.cookie) == rejecting]
    assert ends and all(refuses(flow) for flow in ends)


def told(world: World, source: str, target: str, *packets: Packet) -> list[list[Told]]:
    """What the controller is told of each packet."""
    world.forget()
    result = []
    for packet in packets:
        sender = source if packet.eth_src == mac_of(source) else target
        _, walks = world.send(sender, packet)
        result.append([one for walk in walks for one in walk.told])
    return result


def test_the_controller_is_told_of_a_connections_first_packet_where_a_rule_logs():
    logged = rule("allow", "tcp/80 udp/53", egress=False, log=True)
    world = World(document(policy("p", logged, rule("allow", "any", ingress=False))))
    number = next(entry.number for entry in world.compiled.rules if entry.rule.log)
    ends = Endpoint(None, address("10.0.0.1")), Endpoint(None, address("10.0.0.2"))
    for protocol, port in ((TCP, 80), (UDP, 53)):
        first = opening(Connection(*ends, 4, protocol, 50000, port), mac_of("web-1"), mac_of("web-2"))
        found = told(world, "web-1", "web-2", first, first, answer(first), later(first))
        assert found == [[Told(Kind.RULE, number, 1)], [], [], []]


def test_the_controller_is_told_of_everything_that_is_rejected_or_denied_and_logged():
    for verdict, log in (("reject", False), ("deny", True)):
        world = World(document(policy("p", rule(verdict, "tcp/80", log=log), rule("allow", "any"))))
        number = world.compiled.rules[0].number
        ends = Endpoint(None, address("10.0.0.1")), Endpoint(None, address("10.0.0.2"))
        first = opening(Connection(*ends, 4, TCP, 50000, 80), mac_of("web-1"), mac_of("web-2"))
        assert told(world, "web-1", "web-2", first, first) == [[Told(Kind.RULE, number, 0)]] * 2
    world = World(document(policy("p", rule("deny", "tcp/80"), rule("allow", "any"))))
    assert told(world, "web-1", "web-2", first) == [[]]


def test_the_controller_is_told_of_forgeries_and_of_what_no_rule_decides():
    world = World(document())
    ends = Endpoint(None, address("10.0.0.3")), Endpoint(None, address("10.0.0.2"))
    forged = opening(Connection(*ends, 4, TCP, 50000, 80), mac_of("web-1"), mac_of("web-2"))
    assert told(world, "web-1", "web-2", forged) == [[Told(Kind.DROP, Drop.SPOOFED_SOURCE, 0)]]
    honest = replace(forged, ipv4_src=int(address("10.0.0.1")))
    assert told(world, "web-1", "web-2", honest) == [[Told(Kind.DEFAULT, 0, 0)]]


def test_scopes_have_their_own_groups_and_owners():
    lab = cidrs("192.0.2.0/24", scope="lab", name="lab")
    world = World(document(policy("p", rule("allow", "any", (lab,)))))
    assert arrives(world, "outside", "lab-1") and not arrives(world, "outside", "web-1")
    # 10.0.0.7 is a vNIC's in lab only: outside, the address is nobody's.
    world = World(document(policy("p", rule("allow", "any", (who("role == db"),)))))
    assert arrives(world, "lab-2", "lab-1")
    assert not arrives(world, "outside", "web-1", outside="10.0.0.7")
    assert arrives(world, "outside", "lab-1", outside="10.0.0.7")


def test_no_frame_reaches_a_vnic_of_another_network():
    """Not by its MAC, not from a vNIC, from the outside or from another bridge; nor do floods."""
    world = World(document(policy("p", rule("allow", "any"))))
    for source, own in (("web-1", "10.0.0.1"), ("web-3", "10.0.0.4"), ("outside", "192.0.2.5")):
        for mac, to in ((mac_of("lab-2"), "10.0.0.7"), (0xFFFFFFFFFFFF, "255.255.255.255")):
            packet = with_ports(ip(own, to, UDP, eth_src=mac_of(source), eth_dst=mac), 5, 6)
            got = {arrival.at for arrival in world.send(source, packet)[0]}
            assert got and not {name for name in got if name.startswith("lab-")}, (source, to)


def test_a_trusted_vnic_is_judged_by_others_only():
    world = World(document())
    assert arrives(world, "router", "outside") and arrives(world, "outside", "router")
    assert not arrives(world, "router", "web-1") and not arrives(world, "web-1", "router")
    world = World(document(policy("p", rule("allow", "any", (Group("r", vms=("router",)),)))))
    assert arrives(world, "router", "web-1") and arrives(world, "router", "web-3")
    assert not arrives(world, "router", "web-1", router="192.0.2.5")  # known by its address, and this is not its own


def test_from_policy_text_to_flows():
    """The same from files: the loader's tenants and scopes are the compiler's."""
    texts = {
        "p.yaml": b"version: 1\nnetworks: {prod: {vlan: 10}, lab: {vlan: 30, scope: lab}}\n"
        b"groups: {offices: {cidrs: 192.0.2.0/24, scope: lab, shared: true}}",
        "t.yaml": b"tenant: acme\npolicies: [{name: p, rules: [{allow: any, from: provider/offices}]}]",
    }
    world = World(load_texts(texts))
    assert arrives(world, "outside", "lab-1") and not arrives(world, "outside", "lab-2")  # lab-2 is not acme's
    assert not arrives(world, "outside", "web-1")


def test_a_trusted_vnic_may_serve_dhcp_and_advertise_routes():
    world = World(document())
    ends = Endpoint(None, address("10.0.0.9")), Endpoint(None, address("10.0.0.1"))
    offer = opening(Connection(*ends, 4, UDP, 67, 68), mac_of("router"), mac_of("web-1"))
    arrivals, _ = world.send("router", offer)
    assert "web-1" in {arrival.at for arrival in arrivals}
    advertisement = replace(
        ip("fe80::9", "ff02::1", ICMPV6, ip_ttl=255), eth_dst=0x3333_0000_0001, icmpv6_type=ROUTER_ADVERTISEMENT
    )
    for source, heard in (("router", True), ("web-2", False)):
        arrivals, _ = world.send(source, replace(advertisement, eth_src=mac_of(source)))
        assert ("web-1" in {arrival.at for arrival in arrivals}) is heard


@pytest.mark.parametrize("granted", [False, True])
def test_a_vnic_may_serve_dhcp_and_advertise_routes_by_its_roles(monkeypatch, granted):
    roles = frozenset({"dhcp-server", "router"}) if granted else frozenset()
    monkeypatch.setitem(PLACES["left"], 12, replace(PLACES["left"][12], roles=roles))
    world = World(document())
    server, client = Endpoint(None, address("10.0.0.2")), Endpoint(None, address("10.0.0.1"))
    offer = opening(Connection(server, client, 4, UDP, 67, 68), mac_of("web-2"), mac_of("web-1"))
    advertisement = replace(
        ip("fe80::5054:ff:fe00:2", "ff02::1", ICMPV6, ip_ttl=255),
        eth_src=mac_of("web-2"), eth_dst=0x3333_0000_0001, icmpv6_type=ROUTER_ADVERTISEMENT,
    )  # fmt: skip
    for packet in (offer, advertisement):
        arrivals, _ = world.send("web-2", packet)
        assert ("web-1" in {arrival.at for arrival in arrivals}) is granted
    # No role lets a vNIC send these, be it from an address with which it may do everything.
    for kind, why in ((REDIRECT, Drop.ROUTER_ADVERTISEMENT), (LISTENER_QUERY, Drop.NO_PASSAGE)):
        for source in ("fe80::5054:ff:fe00:2", "2001:db8::2"):
            told = replace(advertisement, icmpv6_type=kind, ipv6_src=int(address(source)))
            arrivals, (only,) = world.send("web-2", told)
            assert not arrivals and only.drop == Reason(Kind.DROP, why)
    arrivals, _ = world.send("outside", replace(advertisement, eth_src=0x2000000FF, icmpv6_type=REDIRECT))
    assert "web-1" not in {arrival.at for arrival in arrivals}
    solicitation = replace(
        ip("fe80::5054:ff:fe00:1", "ff02::2", ICMPV6, ip_ttl=255),
        eth_src=mac_of("web-1"), eth_dst=0x3333_0000_0002, icmpv6_type=ROUTER_SOLICITATION,
    )  # fmt: skip
    arrivals, _ = world.send("web-1", solicitation)
    assert ("web-2" in {arrival.at for arrival in arrivals}) is granted


def test_who_was_reached_by_sctp_may_open_from_the_port_that_was_allowed():
    """A known loss (docs/security.md): conntrack of Open vSwitch 3.1 knows no ports of SCTP, and calls that a reply."""
    world = World(document(policy("p", rule("allow", "sctp/80", (who("role == web"),), (who("role == db"),)))))

    def opens(source: str, target: str, *ports: int) -> bool:
        packet = ip(ADDRESSES[source], ADDRESSES[target], SCTP, eth_src=mac_of(source), eth_dst=mac_of(target))
        return comes(world, source, target, with_ports(packet, *ports))

    assert not opens("db-1", "web-1", 80, 3868)
    assert opens("web-1", "db-1", 5000, 80)
    assert opens("db-1", "web-1", 80, 3868)
    assert not opens("db-1", "web-1", 81, 3868)


ASKS = rule("allow", "udp/67", (who("role == db"),), (who("role == web"),))
# Where the server is and where the client; web-2 and web-3 have the role.
SERVED = {"one bridge": ("db-1", "web-2"), "two bridges": ("db-1", "web-3")}


@pytest.fixture
def dhcp_servers(monkeypatch):
    for bridge, place in (("left", 12), ("right", 11)):
        with_role = replace(PLACES[bridge][place], roles=frozenset({"dhcp-server"}))
        monkeypatch.setitem(PLACES[bridge], place, with_role)


def dhcp(client: str, server: str) -> Packet:
    """A client that has an address asks for it again."""
    ends = (Endpoint(None, address(ADDRESSES[name])) for name in (client, server))
    return opening(Connection(*ends, 4, UDP, 68, 67), mac_of(client), mac_of(server))


def comes(world: World, source: str, target: str, packet: Packet) -> bool:
    return target in {arrival.at for arrival in world.send(source, packet)[0]}


@pytest.mark.parametrize("where", SERVED)
def test_who_asks_by_dhcp_is_judged_as_who_it_is_by_those_it_asks(where):
    """The built-in rule lets the question leave; it does not make its sender, or its receiver, somebody of no group."""
    client, server = SERVED[where]
    allowed, refused = rule("allow", "any"), rule("deny", "any", (who("role == db"),), (who("role == web"),))
    for rules, heard in (((refused, allowed), False), ((ASKS,), True)):
        world = World(document(policy("p", *(replace(each, egress=False) for each in rules))))
        assert comes(world, client, server, dhcp(client, server)) is heard


@pytest.mark.parametrize("where", SERVED)
def test_without_the_built_in_rule_dhcp_goes_by_the_rules_and_so_do_answers(dhcp_servers, where):
    client, server = SERVED[where]
    off = Builtins(dhcp_client=False)
    world = World(document(policy("p", ASKS), builtins=off))
    request = dhcp(client, server)
    assert not comes(world, server, client, answer(request))  # nobody has asked
    assert comes(world, client, server, request)
    assert comes(world, server, client, answer(request))
    assert comes(world, client, server, later(request))
    world.install(document(builtins=off), {})
    assert not comes(world, client, server, request)
    assert not comes(world, server, client, answer(request))  # what is not allowed any more is cut


@pytest.mark.parametrize("where", SERVED)
def test_an_offer_that_nobody_asked_for_is_judged_by_the_client_as_from_the_server(dhcp_servers, where):
    """As after a request to all from 0.0.0.0, of which conntrack does not know that this is its answer."""
    client, server = SERVED[where]
    offers = rule("allow", "udp/68", (who("role == web"),), (who("role == db"),), egress=False)
    world = World(document(policy("p", offers), builtins=Builtins(dhcp_client=False)))
    offer = answer(dhcp(client, server))
    assert comes(world, server, client, offer)
    others = rule("allow", "udp/68", (who("role == db"),), (who("role == db"),), egress=False)
    world = World(document(policy("p", others), builtins=Builtins(dhcp_client=False)))
    assert not comes(world, server, client, offer)
