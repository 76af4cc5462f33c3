"""What lint says of rules, against brute force: rules left out one by one, the evaluator asked about everything."""

from dataclasses import replace
from ipaddress import ip_address, ip_network
from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from policy.analysis.contexts import Contexts
from policy.analysis.lint.hidden import hidden
from policy.analysis.lint.redundant import changing_nothing
from policy.analysis.lint.wide import pairs_opened
from policy.evaluate import Connection, Endpoint, evaluate
from policy.model import Policy, Rule, Tier, Verdict
from policy.terms import parse_term
from tests.analysis.strategies import PLACE, document, groups, plain, universe, vm
from tests.examples import examples
from topology.inventory import InventoryVnic

VMS = (
    vm("web-1", "10.0.0.1 2001:db8::1", role="web", tenant="acme"),
    vm("web-2", "10.0.0.2", role="web"),
    vm("db-1", "10.0.0.3", role="db", tenant="acme"),
    vm("router", "10.0.0.9", trusted=True, role="web"),
    vm("lab-1", "10.0.0.1", "lab", role="db"),
    vm("new-1", "", role="web"),
    # One VM with a vNIC in each scope, and two in one of them.
    replace(
        vm("gate", "", role="db"),
        vnics=tuple(
            InventoryVnic(f"gate-{number}", None, (ip_network(address),), network, PLACE)
            for number, (address, network) in enumerate(
                (("10.0.0.98/32", "prod"), ("2001:db8::98/128", "prod"), ("10.0.0.2/32", "lab"))
            )
        ),
    ),
)
# An address of each part that the CIDRs of the strategies cut the outside into.
OUTSIDE = (
    "10.0.0.0", "10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.9", "10.0.0.99", "10.0.1.1", "10.0.1.9", "192.0.2.5",
    "192.0.2.66", "198.51.100.1", "223.0.0.1", "240.0.0.1", "2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8::4",
    "2001:db8::9", "2001:db8:1::5", "2001:dba::1",
)  # fmt: skip
TERMS = ("any", "tcp", "tcp/80", "tcp/0-79,81-65535", "icmp4/8", "udp/53")
# A connection of each kind that these terms tell apart: (protocol, port) or (protocol, None).
KINDS = ((6, 80), (6, 81), (17, 53), (17, 54), (1, 8), (1, 9), (47, None))


@st.composite
def policies(draw, name):
    tenant = draw(st.sampled_from((None, None, None, "acme")))
    sides = st.one_of(st.none(), st.tuples(groups(tenant=tenant)))
    verdicts = st.sampled_from((Verdict.ALLOW, Verdict.ALLOW, Verdict.DENY, Verdict.REJECT, Verdict.PASS))
    rules = []
    for number in range(draw(st.integers(1, 3))):
        egress, ingress = draw(st.sampled_from(((True, True), (True, True), (True, False), (False, True))))
        terms = parse_term(draw(st.sampled_from(TERMS)))
        at = draw(st.one_of(st.none(), st.none(), sides)) if tenant is None else None
        made = Rule(f"#{number}", draw(verdicts), terms, draw(sides), draw(sides), PLACE, at, egress, ingress)
        rules.append(made)
    tier = draw(st.sampled_from((Tier.ENVIRONMENT, Tier.APPLICATION)))
    return Policy(name, tier, 100, tuple(rules), PLACE, tenant, audit=draw(st.integers(0, 9)) == 0)


@st.composite
def documents(draw):
    return document([draw(policies(f"policy-{number}")) for number in range(draw(st.integers(1, 2)))], VMS)


def everything(found):
    """All connections of the small universe."""
    known = universe(found)
    for scope, family in product(("default", "lab"), (4, 6)):
        vnics = [vnic for vnic in known.vnics if vnic.scope == scope]
        own = [Endpoint(v, p.network_address) for v in vnics for p in v.addresses if p.version == family]
        own += [Endpoint(vnic) for vnic in vnics if not vnic.addresses]
        owned = {end.address for end in own}
        world = [Endpoint(None, at) for at in map(ip_address, OUTSIDE) if at.version == family and at not in owned]
        for source, destination in product([*own, *world], repeat=2):
            if source.vnic is destination.vnic:
                continue
            for protocol, number in KINDS:
                kind = {}
                if protocol in (6, 17):
                    kind = {"source_port": 50000, "destination_port": number}
                elif protocol == 1 and family == 4:
                    kind = {"icmp_type": number, "icmp_code": 0}
                yield Connection(source, destination, family, protocol, **kind)


def talking(found):
    """For each rule (policy, name) the pairs of different VMs (None: the outside) that talk by a decision of it."""
    pairs = {}
    asked = plain(found)
    for connection in everything(asked):
        decision = evaluate(asked, connection)
        ends = tuple(None if end.vnic is None else end.vnic.vm for end in (connection.source, connection.destination))
        if decision.verdict is Verdict.ALLOW and ends[0] != ends[1]:
            for side in (decision.egress, decision.ingress):
                if side is not None:
                    pairs.setdefault((side.policy, side.rule), set()).add(ends)
    return pairs


def leave_out(found, decider, instead=None):
    """The policy without one rule, or with another in its place."""
    changed = []
    for policy in found.policies:
        if policy.name == decider.policy.name:
            kept = [instead if rule.name == decider.rule.name else rule for rule in policy.rules]
            policy = replace(policy, rules=tuple(rule for rule in kept if rule is not None))
        changed.append(policy)
    return replace(found, policies=tuple(changed))


def verdicts(found):
    found = plain(found)
    return [evaluate(found, connection).verdict for connection in everything(found)]


def decides(found, decider):
    """True if the rule decides something. A `pass` is asked as if it allowed: it takes the same."""
    found = plain(leave_out(found, decider, replace(decider.rule, verdict=Verdict.ALLOW)))
    for connection in everything(found):
        decision = evaluate(found, connection)
        for side in (decision.egress, decision.ingress):
            if side is not None and (side.policy, side.rule) == (decider.policy.name, decider.rule.name):
                return True
    return False


@examples(25)
@given(documents())
def test_rules_that_never_decide_or_change_nothing_are_all_found_and_no_others(found):
    contexts = Contexts(found)
    decided = contexts.deciding
    nothing = changing_nothing(contexts)
    before = verdicts(found)
    for place, decider in enumerate(contexts.rules.deciders):
        assert decides(found, decider) == bool(decided >> place & 1), decider
        same = verdicts(leave_out(found, decider)) == before
        assert same == (place in nothing or not decided >> place & 1), decider


@examples(25)
@given(documents())
def test_without_those_that_hide_it_a_hidden_rule_decides(found):
    contexts = Contexts(found)
    for place, hiders in hidden(contexts).items():
        without = found
        for hider in hiders:
            without = leave_out(without, contexts.rules.deciders[hider])
        before = [contexts.rules.deciders[at] for at in range(place) if at not in hiders]
        for other in before:
            without = leave_out(without, other)
        assert hiders
        assert decides(without, contexts.rules.deciders[place])


@examples(15)
@given(documents())
def test_pairs_are_counted_as_they_are(found):
    contexts = Contexts(found)
    every = (1 << len(contexts.rules.deciders)) - 1
    counted = pairs_opened(contexts, every)
    opened = talking(found)
    for place, decider in enumerate(contexts.rules.deciders):
        assert counted[place] == len(opened.get((decider.policy.name, decider.rule.name), ())), decider
