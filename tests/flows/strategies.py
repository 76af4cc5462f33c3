"""Random policies, labels and connections for `worlds`. Choices are few and close together, so that they often meet."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network

from hypothesis import strategies as st

from policy.evaluate import DHCP_PORTS, Connection, Endpoint
from policy.model import ICMP, ICMPV6, SCTP, TCP, UDP, Document, Group, Groups, Policy, Rule, Tier, Verdict
from policy.selectors import parse_selector
from tests.flows.worlds import PLACE, PLACES, address, document, policy, rule, services

ROLES = ("web", "db", "")
NAMES = tuple(found.id for ports in PLACES.values() for found in ports.values())
SELECTORS = (
    "role == web",
    "role == db",
    "role != web",
    "all()",
    'vm.name like "lab-*"',
    "vnic.network == lab",
    "vm.tenant == acme",
)
PREFIXES = tuple(
    map(
        ip_network,
        (
            "0.0.0.0/0", "10.0.0.0/8", "10.0.0.0/30", "10.0.0.2/32", "10.0.1.0/29", "192.0.2.0/24", "192.0.2.66/32",
            "::/0", "2001:db8::/32", "2001:db8::2/127", "2001:db8::2/128", "2001:db8:1::/48",
        ),
    )
)  # fmt: skip
TERMS = (
    "any", "tcp", "udp", "sctp", "icmp", "tcp/80", "tcp/80-90", "tcp/0-79,81-65535", "tcp/1024-65535", "udp/53",
    "udp/50-60", "icmp/echo", "icmp4/8", "icmp6/128/0", "proto/47", "proto/50", "sctp/5", "sctp/0-80",
)  # fmt: skip
OUTSIDERS = ("192.0.2.5", "192.0.2.66", "198.51.100.1", "10.0.0.99", "2001:db8:1::5", "2001:db8::99", "2001:dba::1")
PORTS = (1, 5, 52, 53, 54, 79, 80, 81, 90, 91, 443, 1023, 1024, 50000)

labels = st.fixed_dictionaries({name: st.sampled_from(ROLES).map(lambda role: {"role": role}) for name in NAMES})

some_prefixes = st.lists(st.sampled_from(PREFIXES), max_size=3, unique=True).map(tuple)


@st.composite
def groups(draw, depth: int = 1) -> Group:
    """A group of any form, at least one part of it there."""
    form = draw(st.sampled_from(("selector", "cidrs", "vms", "mixed", "union")))
    if form == "union" and depth:
        parts = st.lists(groups(depth=depth - 1), min_size=1, max_size=2).map(tuple)
        return Group(any_of=draw(parts))
    selector = parse_selector(draw(st.sampled_from(SELECTORS))) if form in ("selector", "mixed") else None
    vms = (draw(st.sampled_from(NAMES)),) if form == "vms" else ()
    cidrs = excepts = ()
    if form in ("cidrs", "mixed", "union"):
        cidrs = draw(st.lists(st.sampled_from(PREFIXES), min_size=1, max_size=3, unique=True).map(tuple))
        excepts = draw(some_prefixes)
    scope = draw(st.sampled_from((None, None, "default", "lab"))) if cidrs else None
    return Group(selector=selector, cidrs=cidrs, excepts=excepts, vms=vms, scope=scope)


sides = st.one_of(st.none(), st.lists(groups(), min_size=1, max_size=2).map(tuple))
source_ports = st.sampled_from((((0, 65535),), ((0, 65535),), ((50000, 50000),), ((0, 1023), (2000, 2000))))


@st.composite
def terms(draw):
    found = services(" ".join(draw(st.lists(st.sampled_from(TERMS), min_size=1, max_size=3))))
    if draw(st.integers(0, 4)) == 0:
        ranges = draw(source_ports)
        found = tuple(replace(t, source_ports=ranges) if t.protocol in (TCP, UDP, SCTP) else t for t in found)
    return found


@st.composite
def rules(draw) -> Rule:
    verdicts = (Verdict.ALLOW, Verdict.ALLOW, Verdict.ALLOW, Verdict.DENY, Verdict.REJECT, Verdict.PASS)
    egress, ingress = draw(st.sampled_from(((True, True), (True, True), (True, False), (False, True))))
    return Rule(
        "", draw(st.sampled_from(verdicts)), draw(terms()), draw(sides), draw(sides), PLACE,
        at=draw(st.one_of(st.none(), st.none(), sides)), egress=egress, ingress=ingress,
    )  # fmt: skip


def owned(rule: Rule, tenant: str) -> Rule:
    """The rule with its groups as the tenant's own."""

    def group(found: Group) -> Group:
        return replace(found, tenant=tenant, any_of=tuple(map(group, found.any_of)))

    def side(found: Groups) -> Groups:
        return None if found is None else tuple(map(group, found))

    return replace(rule, sources=side(rule.sources), destinations=side(rule.destinations), at=side(rule.at))


@st.composite
def policies(draw, name: str, tenant: str | None) -> Policy:
    found = draw(st.lists(rules(), min_size=1, max_size=4))
    # Some rules name only groups of the provider's: those that a tenant calls provider/NAME.
    if tenant is not None:
        found = [owned(rule, tenant) if draw(st.integers(0, 2)) else rule for rule in found]
    named = tuple(replace(rule, name=f"#{place}") for place, rule in enumerate(found, 1))
    tiers = tuple(Tier) if tenant is None else (Tier.ENVIRONMENT, Tier.APPLICATION)
    return Policy(
        name,
        draw(st.sampled_from(tiers)),
        draw(st.sampled_from((100, 200))),
        named,
        PLACE,
        tenant=tenant,
        audit=draw(st.sampled_from((False, False, False, True))),
    )


@st.composite
def documents(draw) -> Document:
    speakers = draw(st.lists(st.sampled_from((None, "acme", "beta")), min_size=1, max_size=3, unique=True))
    found = [draw(policies("policy", tenant)) for tenant in speakers]
    if draw(st.booleans()):
        found.append(policy("open", rule("allow", "any"), tier=Tier.BASELINE))
    return document(*found)


@st.composite
def dhcp_messages(draw) -> tuple[str, str, Connection]:
    """As `connections`, but what DHCP's clients and servers say to each other, or somebody in their place."""
    source, target, found = draw(connections())
    ports = draw(st.permutations(DHCP_PORTS[found.family]))
    changes = {"source_port": ports[0], "destination_port": ports[1], "icmp_type": None, "icmp_code": None}
    return source, target, replace(found, protocol=UDP, **changes)


@st.composite
def connections(draw) -> tuple[str, str, Connection]:
    """Who opens it, to whom, and what; vNICs' ends without their vNIC (the labels are not known here)."""
    lab = draw(st.booleans()) and draw(st.booleans())
    inside = [found for ports in PLACES.values() for found in ports.values() if (found.scope == "lab") is lab]
    first = draw(st.sampled_from(inside))
    other = draw(st.sampled_from([None, *(found for found in inside if found is not first)]))
    family = draw(st.sampled_from((4, 6)))

    def one_address(found):
        if found is None:
            return draw(st.sampled_from([a for a in map(address, OUTSIDERS) if a.version == family]))
        prefix = draw(st.sampled_from([p for p in found.addresses if p.version == family]))
        return prefix[draw(st.integers(0, min(15, prefix.num_addresses - 1)))]

    ends = [(first.id, Endpoint(None, one_address(first)))]
    ends.append((other.id if other else "outside", Endpoint(None, one_address(other))))
    if draw(st.booleans()):
        ends.reverse()
    protocol = draw(st.sampled_from((TCP, TCP, UDP, ICMP if family == 4 else ICMPV6, 47, 50, SCTP)))
    more: dict[str, int] = {}
    if protocol in (TCP, UDP, SCTP):
        more = {"source_port": draw(st.sampled_from(PORTS)), "destination_port": draw(st.sampled_from(PORTS))}
    elif protocol in (ICMP, ICMPV6):
        more = {"icmp_type": 8 if family == 4 else 128, "icmp_code": 0}
    (source, from_end), (target, to_end) = ends
    return source, target, Connection(from_end, to_end, family, protocol, **more)
