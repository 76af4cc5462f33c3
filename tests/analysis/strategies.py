"""Random policies over a small fixed network, everything close together so that it often meets."""

from dataclasses import replace
from ipaddress import ip_address, ip_network

from hypothesis import strategies as st

from policy.evaluate import Connection, Endpoint, evaluate
from policy.model import SCTP, TCP, UDP, Builtins, Document, Group, Policy, Rule, Tier, Verdict
from policy.selectors import parse_selector
from policy.terms import merge, parse_term
from policy.universe import Universe
from topology.inventory import DEFAULT_SCOPE, Inventory, InventoryVnic, Network, Place, Vm
from topology.vnic import offline_vnics

PLACE = Place("policy.yaml", 1, 1)
NETWORKS = (Network("prod", 10), Network("lab", 30, "lab"))


def vm(name, addresses, network="prod", tenant=None, trusted=False, **labels):
    vnic = InventoryVnic(name, None, tuple(map(ip_network, addresses.split())), network, PLACE)
    return Vm(name, None, tenant, labels, (vnic,), PLACE, trusted)


VMS = (
    vm("web-1", "10.0.0.1 2001:db8::1", role="web", tenant="acme"),
    vm("web-2", "10.0.0.2", role="web"),
    vm("db-1", "10.0.0.3 10.0.1.0/28", role="db", tenant="acme"),
    vm("db-2", "2001:db8::4", role="db"),
    vm("new-1", "", role="web"),
    vm("router", "10.0.0.9 2001:db8::9", trusted=True, role="web"),
    vm("lab-1", "10.0.0.1 2001:db8::2", "lab", role="db"),
    vm("lab-2", "", "lab", tenant="acme"),
)
SELECTORS = ("role == web", "role == db", "role != web", "all()", 'vm.name like "*-1"', "vnic.network == lab")
PREFIXES = tuple(
    map(
        ip_network,
        (
            "0.0.0.0/0", "10.0.0.0/8", "10.0.0.0/30", "10.0.0.2/32", "10.0.1.0/29", "192.0.2.0/24", "192.0.2.66/32",
            "224.0.0.0/3", "::/0", "2001:db8::/32", "2001:db8::2/127", "2001:db8::4/128", "2001:db8:1::/48",
        ),
    )
)  # fmt: skip
TERMS = (
    "any", "tcp", "udp", "sctp", "icmp", "tcp/80", "tcp/80-90", "tcp/0-79,81-65535", "udp/53", "udp/50-60",
    "icmp/echo", "icmp4/8", "icmp6/128/0", "proto/47", "sctp/5",
)  # fmt: skip
ADDRESSES = tuple(
    map(
        ip_address,
        (
            "10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.9", "10.0.1.1", "10.0.1.9", "10.0.0.99", "192.0.2.5",
            "192.0.2.66", "198.51.100.1", "2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8::4", "2001:db8::9",
            "2001:db8:1::5", "2001:dba::1",
        ),
    )
)  # fmt: skip
PORTS = (0, 5, 52, 53, 79, 80, 81, 90, 91, 65535)


@st.composite
def groups(draw, depth=1, tenant=None):
    form = draw(st.sampled_from(("selector", "cidrs", "vms", "mixed", "union")))
    if form == "union" and depth:
        return Group(any_of=draw(st.lists(groups(depth=0, tenant=tenant), min_size=1, max_size=2).map(tuple)))
    selector = parse_selector(draw(st.sampled_from(SELECTORS))) if form in ("selector", "mixed") else None
    vms = (draw(st.sampled_from(VMS)).name,) if form == "vms" else ()
    cidrs = excepts = ()
    if form in ("cidrs", "mixed", "union"):
        cidrs = draw(st.lists(st.sampled_from(PREFIXES), min_size=1, max_size=3, unique=True).map(tuple))
        excepts = draw(st.lists(st.sampled_from(PREFIXES), max_size=2, unique=True).map(tuple))
    scope = draw(st.sampled_from((None, None, "default", "lab"))) if cidrs else None
    return Group(None, selector, cidrs, excepts, vms, scope=scope, tenant=tenant)


@st.composite
def terms(draw):
    found = [
        term for text in draw(st.lists(st.sampled_from(TERMS), min_size=1, max_size=3)) for term in parse_term(text)
    ]
    if draw(st.integers(0, 4)) == 0:
        found = [replace(t, source_ports=((0, 79), (90, 90))) if t.protocol in (TCP, UDP, SCTP) else t for t in found]
    return merge(found)


def sides(tenant=None):
    return st.one_of(st.none(), st.lists(groups(tenant=tenant), min_size=1, max_size=2).map(tuple))


@st.composite
def rules(draw, name, tenant=None):
    allow, deny, reject, skip = Verdict.ALLOW, Verdict.DENY, Verdict.REJECT, Verdict.PASS
    verdict = draw(st.sampled_from((allow, allow, allow, deny, reject, skip)))
    egress, ingress = draw(st.sampled_from(((True, True), (True, True), (True, False), (False, True))))
    at = draw(st.one_of(st.none(), st.none(), sides(tenant)))
    return Rule(name, verdict, draw(terms()), draw(sides(tenant)), draw(sides(tenant)), PLACE, at, egress, ingress)


@st.composite
def policies(draw, name):
    tenant = draw(st.sampled_from((None, None, None, "acme")))
    tiers = (Tier.ENVIRONMENT, Tier.APPLICATION) if tenant is not None else tuple(Tier)
    found = tuple(draw(rules(f"#{number}", tenant)) for number in range(1, draw(st.integers(2, 5))))
    tier, order = draw(st.sampled_from(tiers)), draw(st.sampled_from((100, 200)))
    return Policy(name, tier, order, found, PLACE, tenant, audit=draw(st.integers(0, 5)) == 0)


def document(policies, vms=VMS, **more):
    ordered = tuple(sorted(policies, key=lambda each: (each.tier, each.order, each.name)))
    return Document(Inventory(tuple(vms), NETWORKS), more.pop("groups", {}), {}, ordered, Builtins(), "0" * 12, **more)


@st.composite
def documents(draw, most=3):
    found = [draw(policies(f"policy-{number}")) for number in range(draw(st.integers(1, most)))]
    if draw(st.booleans()):
        every = Rule("#1", Verdict.ALLOW, parse_term("any"), None, None, PLACE)
        found.append(Policy("open", Tier.BASELINE, 1000, (every,), PLACE))
    return document(found)


def universe(found):
    return Universe(offline_vnics(found.inventory))


@st.composite
def ends(draw, found, scope, family):
    """One end: an address of the scope with its owner, or a vNIC whose address is not known."""
    known = universe(found)
    nameless = [vnic for vnic in known.vnics if not vnic.addresses and vnic.scope == scope]
    at = draw(st.sampled_from([*(each for each in ADDRESSES if each.version == family), *nameless]))
    return Endpoint(known.owner(at, scope), at) if at in ADDRESSES else Endpoint(at, None)


@st.composite
def connections(draw, found):
    """The scope, and a connection in it."""
    scope = draw(st.sampled_from((DEFAULT_SCOPE, DEFAULT_SCOPE, "lab")))
    family = draw(st.sampled_from((4, 6)))
    source, destination = draw(ends(found, scope, family)), draw(ends(found, scope, family))
    protocol = draw(st.sampled_from((TCP, TCP, UDP, SCTP, 1, 58, 47, 50)))
    kind = {}
    if protocol in (TCP, UDP, SCTP):
        kind = {"source_port": draw(st.sampled_from(PORTS)), "destination_port": draw(st.sampled_from(PORTS))}
    elif (protocol, family) in ((1, 4), (58, 6)):
        kind = {"icmp_type": draw(st.sampled_from((3, 8, 128))), "icmp_code": draw(st.sampled_from((0, 1)))}
    return scope, Connection(source, destination, family, protocol, **kind)


def plain(found):
    """The same policy without audit policies, which never decide."""
    return replace(found, policies=tuple(policy for policy in found.policies if not policy.audit))


def truth(found, connection):
    """The evaluator's verdict, and the (policy, rule) that decides at both sides; None where nobody does."""
    decision = evaluate(found, connection)
    sides = (None if side is None else (side.policy, side.rule) for side in (decision.egress, decision.ingress))
    return decision.verdict, *sides
