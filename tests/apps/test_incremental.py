"""The engine keeps what it worked out. Whatever has happened, that is what a fresh one would work out now.

Random histories of policies, rows, labels, addresses, ports and connections; at every step each kept answer (topology,
identities, meetings, the flows of each bridge, the difference sent) is held against one made from nothing.
"""

from contextlib import contextmanager
from copy import copy, deepcopy
from dataclasses import replace
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.errors import PolicyError
from policy.flows import rules as flows_of_rules
from policy.flows.bridge_book import BridgeBook, bridge_flows
from policy.flows.compile import PolicyBook, prepare
from policy.flows.cookies import Kind, digest
from policy.flows.difference import difference
from policy.flows.pieces import Wanted, flat
from policy.load import Loader
from policy.model import Side
from ryu_apps.connection_limits import ConnectionLimits
from ryu_apps.facts import PolicyLoaded, PolicyRefused
from ryu_apps.learner import Learner, LearnSettings
from ryu_apps.session import Session
from ryu_apps.whereabouts import Whereabouts
from tests.apps.test_histories import back, change, connect, lose, refusing
from tests.apps.worlds import UPLINKS, World
from tests.examples import examples
from tests.topology.builders import P, database, vnic
from topology.everybody import Everybody
from topology.join import Resolver, resolve
from topology.vnic import offline_vnics

A, B = "unix:a", "unix:b"


@pytest.fixture(scope="module", autouse=True)
def many_parts():
    """Rules are conjunctions whose clauses come in parts, as those about many identities do."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(flows_of_rules, "MANY", 1)
        monkeypatch.setattr(flows_of_rules, "WRITTEN_OUT", 1)
        yield


# --- answers that are held against fresh ones


class CheckedResolver(Resolver):
    def resolve(self, databases, inventory, learn):
        found = super().resolve(databases, inventory, learn)
        assert found == resolve(databases, inventory, UPLINKS, learn=learn)
        return found


class CheckedEverybody(Everybody):
    def known(self, inventory, topology):
        found = super().known(inventory, topology)
        live = {port.vnic.id: port.vnic for port in reversed([*topology.vnic_ports]) if port.ready}
        assert found == {**{vnic.id: vnic for vnic in offline_vnics(inventory)}, **live}
        return found


class CheckedPolicyBook(PolicyBook):
    def prepare(self, document, vnics):
        found = super().prepare(document, vnics)
        fresh = prepare(document, vnics.values(), learn=self._learn)
        assert found.rules == fresh.rules
        assert flat(flow for piece in found.shared.values() for flow in piece) == flat(
            flow for piece in fresh.shared.values() for flow in piece
        )
        for name in ("numbers", "members", "scopes", "flooded", "holding", "entries", "blocks", "of_vnic"):
            assert dict(getattr(found.identities, name)) == dict(getattr(fresh.identities, name)), name
        assert found.identities.many == fresh.identities.many and found.identities.crowded == fresh.identities.crowded
        assert {number: meets(meeting) for number, meeting in found.meetings.items()} == {
            number: meets(meeting) for number, meeting in fresh.meetings.items()
        }
        return found


def meets(meeting):
    return [(meeting.deciding(side), meeting.peers(side)) for side in Side]


class CheckedBridgeBook(BridgeBook):
    def wanted(self, compiled, bridge, held):
        found = super().wanted(compiled, bridge, held)
        fresh = BridgeBook().wanted(compiled, bridge, held)
        assert found.flat() == fresh.flat() == bridge_flows(compiled, bridge, held)
        assert found.priorities == fresh.priorities
        assert {key: set(piece) for key, piece in found.own.items()} == {
            key: set(piece) for key, piece in fresh.own.items()
        }
        return found


class CheckedLimits(ConnectionLimits):
    def wanted(self, document, database, bridges):
        bridges = [*bridges]
        found = super().wanted(document, database, bridges)
        assert found == ConnectionLimits().wanted(document, database, bridges)
        return found


class CheckedLearner(Learner):
    def follow(self, topology, databases):
        """Whoever looks at all vNICs, with what is known of them now, comes to the same."""
        other = copy(self)
        other._whereabouts = Whereabouts()
        for kept in ("_parties", "_written", "_notices", "_paces"):
            setattr(other, kept, deepcopy(getattr(self, kept)))
        found, fresh = super().follow(topology, databases), Learner.follow(other, topology, databases)
        assert found == fresh
        mine, anew = self._whereabouts, other._whereabouts
        if self.now is not None:
            assert mine.everybody() == anew.everybody()
            assert all({*mine.places(who)} == {*anew.places(who)} for who in mine.everybody())
            # Of those who are gone it knows as little as when they went.
            for learner in (self, other):
                learner._forget_absent()
            assert self._written == {who: each for who, each in other._written.items() if who in anew.everybody()}
        assert self._parties == other._parties
        return found


class CheckedSession(Session):
    def _changes(self, wanted):
        found = super()._changes(wanted)
        full = difference(wanted.flat(), flat(self.flows()))
        for kind in ("add", "remove", "replaced"):
            mine, other = getattr(found, kind), getattr(full, kind)
            assert len(mine) == len(other) and set(mine) == set(other), kind
        if isinstance(self.installed, Wanted):
            read_back = replace(self, installed=flat(self.flows()))
            assert self.priorities() == read_back.priorities()
        return found


def colliding(text, salt=0):
    """Digests of which many are alike."""
    return digest(text, salt) % 97 + 1


@contextmanager
def everything_checked(collide, most_copied):
    found = colliding if collide else digest
    with (
        patch("policy.flows.identity_book.MAX_COPIED", most_copied),
        patch("policy.flows.cookies.digest", found),
        patch("policy.flows.numbering.digest", found),
        patch.multiple(
            "ryu_apps.engine",
            Resolver=CheckedResolver,
            Everybody=CheckedEverybody,
            PolicyBook=CheckedPolicyBook,
            BridgeBook=CheckedBridgeBook,
            ConnectionLimits=CheckedLimits,
            Learner=CheckedLearner,
            Session=CheckedSession,
        ),
    ):
        yield


# --- what can happen

NAMES = ("web", "app", "db", "lab", "out")
MACS = tuple(f"52:54:00:00:00:0{number}" for number in range(1, 6))
# What each VM may have of addresses: single ones and ranges, some within another's.
ADDRESSES = (
    ((), ("10.0.0.1",), ("10.0.0.0/30", '"2001:db8::1"')),
    (("10.0.0.5", "10.0.0.6"), ("10.0.0.4/30",), ("10.0.0.5", '"2001:db8::5"')),
    (('"2001:db8::7"', "10.0.1.1"), ('"2001:db8:0:7::/64"',), ("10.0.1.0/24",)),
    ((), ("10.0.2.1",), ("10.0.2.0/24",)),
    (("10.9.0.1",), ("10.0.0.64/26", '"2001:db8:1::1"'), ("10.9.0.1", '"2001:db8:1::1"')),
)
# What of a sub-port a VM may have, beside its name.
SUB_PORTS = (
    *(None,) * 3,
    "vlan: 20",
    "vlan: 20, network: green, mac: '52:54:00:00:01:0{}', addresses: [10.0.3.{}]",
    "vlan: 10, addresses: ['2001:db8::3:{}'], roles: router",
)
vms = st.fixed_dictionaries(
    {
        name: st.tuples(
            st.sampled_from(("web", "app", "db")),
            st.sampled_from((None, None, "red", "blue")),
            st.sampled_from((*(None,) * 8, "green", "grey")),
            st.sampled_from(addresses),
            st.booleans(),
            st.sampled_from((False, False, False, True)),
            st.sampled_from(SUB_PORTS),
        )
        for name, addresses in zip(NAMES, ADDRESSES, strict=True)
    }
)
SCOPES = ("{green: {vlan: 10}, grey: {vlan: 20, scope: lab}}",
          "{green: {vlan: 10}, grey: {vlan: 20}, none: {vlan: 30, scope: lab}}",
          "{green: {vlan: 10, scope: aa}, grey: {vlan: 20, scope: lab}}")  # fmt: skip
GROUPS = {
    "web": ("match: role == web", "match: 'role in (web, app)'", "vms: web"),
    "app": ("match: role == app", "any_of: [web, nets, {vms: db}]", "match: not has(role)"),
    "nets": ("cidrs: [10.0.0.0/24]", "cidrs: [10.0.0.0/16, 224.0.0.0/8], except: [10.0.0.0/30]",
             'cidrs: [10.0.0.1, "2001:db8::/64"]'),
    "many": ("cidrs: [0.0.0.0/0], except: [10.0.0.0/8]", 'cidrs: ["ff02::/16", 224.0.0.251]', "match: all()",
             "cidrs: [224.0.0.0/8, 10.0.0.0/28], scope: lab"),
}  # fmt: skip
RULES = (
    "{name: one, allow: tcp/80, from: web, to: app}",
    "{name: two, deny: any, from: nets}",
    "{name: three, allow: [tcp/22, icmp/echo], from: many, to: nets, direction: in}",
    "{name: four, allow: udp/53, to: {cidrs: 10.0.0.0/29}}",
    "{name: five, pass: any, from: [web, app], to: [app, nets]}",
    "{name: six, allow: tcp/1000-1010, from: {match: tenant == red}, to: many, at: web}",
    "{name: one, allow: tcp/81, from: web, to: app}",
)


def policy_files(machines, networks, groups, first, second, builtin, limit):
    found = {"base.yaml": f"version: 1\nnetworks: {networks}\nbuiltins: {{dhcp-client: {builtin}}}\n"}
    found["limits.yaml"] = f"limits: {{some: {{for: {{match: role == web}}, connections: {limit}}}}}\n"
    for name, machine in machines.items():
        role, tenant, network, addresses, mac, trusted, sub_port = machine
        number = NAMES.index(name) + 1
        fields = [f"labels: {{role: {role}}}", f"trusted: {str(trusted).lower()}"]
        fields += [f"{key}: {value}" for key, value in (("tenant", tenant), ("network", network)) if value]
        own = [f"mac: '{MACS[number - 1]}'"] if mac else []
        own += [f"addresses: [{', '.join(addresses)}]"] if addresses else []
        if sub_port and not trusted:
            vnics = ", ".join((f"iface_id: {name}", *own))
            own = [f"vnics: [{{{vnics}}}, {{iface_id: {name}-s, parent: {name}, {sub_port.format(number, number)}}}]"]
        fields += own
        found[f"{name}.yaml"] = f"vms:\n  {name}: {{{', '.join(fields)}}}\n"
    lines = [f"  {name}: {{{GROUPS[name][number]}}}\n" for name, number in groups.items()]
    found["groups.yaml"] = "groups:\n" + "".join(lines)
    for name, rules in (("first", first), ("second", second)):
        unique = {rule.split(",")[0]: rule for rule in rules}
        lines = [f"      - {rule}\n" for rule in unique.values()]
        tier = "tier: environment\n    " if name == "second" else ""
        head = f"policies:\n  - name: {name}\n    {tier}rules:{'' if lines else ' []'}\n"
        found[f"{name}.yaml"] = head + "".join(lines)
    found["tenant.yaml"] = (
        "tenant: red\npolicies:\n  - name: own\n    rules:\n      - {name: ours, allow: tcp/25, to: {match: all()}}\n"
    )
    return {name: text.encode() for name, text in found.items()}


policies = st.builds(
    policy_files,
    vms,
    st.sampled_from(SCOPES),
    st.fixed_dictionaries({name: st.integers(0, len(forms) - 1) for name, forms in GROUPS.items()}),
    st.lists(st.sampled_from(RULES), max_size=5),
    st.lists(st.sampled_from(RULES), max_size=3),
    st.sampled_from(("on", "off")),
    st.sampled_from((7, 70)),
)
LEARNED = (
    *(None,) * 4,
    "nonsense",
    *(f"{mac} 5 10.0.0.1,arp,{since},- 2001:db8::7,dhcp6,3,{until}" for mac in MACS[:3] for since in (1, 2)
      for until in (20, 99)),
)  # fmt: skip
STATED = (None, None, "10.0.0.1", "10.0.0.0/30,2001:db8::9", "10.7.0.1,2001:db8::1", "nonsense")
TAPS = ("tap1", "tap2", "tap3", "tap4", "tap5", "tap6")
ports = st.fixed_dictionaries(
    {
        tap: st.one_of(
            st.none(),
            *[
                st.tuples(
                    st.sampled_from((*(usual,) * 20, None, *NAMES)),
                    st.sampled_from((*(mac,) * 20, None, *MACS)),
                    st.sampled_from((0, 0, 10, 10, 20)),
                    st.sampled_from(STATED),
                    st.sampled_from((None, "role=web", "role=db,env=prod")),
                    st.sampled_from(LEARNED),
                    st.sampled_from((*("own",) * 6, "first", None)),
                    st.sampled_from(("br0", "br0", "br1")),
                )
            ]
            * 3,
        )
        for tap, usual, mac in zip(TAPS, (*NAMES, "stranger"), (*MACS, "52:54:00:00:00:06"), strict=True)
    }
)


def rows(remote, wanted):
    """A database of two bridges with an uplink each."""
    bridges = {"br0": [P("eth0", ofport=100)], "br1": [P("eth1", ofport=101)]}
    for number, name in enumerate(TAPS, 1):
        port = wanted[name]
        if port is not None:
            iface_id, mac, tag, addresses, labels, learned, ofport, bridge = port
            ids = {"addresses": addresses, "labels": labels, "portcullis_learned": learned}
            ids["portcullis_learned.20"] = learned
            ids = {key: value for key, value in ids.items() if value is not None}
            # The world tells interfaces apart by their names, on whatever switch.
            name = name if remote == A else name.replace("tap", "vif")
            one = vnic(name, iface_id, mac, tag=tag, **ids) if iface_id else P(name)
            bridges[bridge].append(replace(one, ofport={"own": number, "first": 1, None: None}[ofport]))
    first, host = (1, "hv1") if remote == A else (11, "hv2")
    found = database(*bridges["br0"], remote=remote, host=host, dpid=first, br1=bridges["br1"])
    return replace(found, limits=remote == A)


def tell_policy(world, new, only=None):
    """The policy is loaded by a loader that has seen all those before; it says what a fresh one says.

    ``only``: the files that are edited, the others staying as they are.
    """
    world.files = files = new if only is None else world.files | {name: new[name] for name in only}
    outcomes = []
    for loader in (world.loader, Loader()):
        try:
            outcomes.append(PolicyLoaded(loader.load_texts(files)))
        except PolicyError as error:
            outcomes.append(PolicyRefused(error.problems))
    # In full, with the places that do not count when values are compared.
    assert repr(outcomes[0]) == repr(outcomes[1])
    world.facts.append(outcomes[0])


def put(world, remote, wanted):
    """Only rows that differ are new objects, as a client of the database has it."""
    new = rows(remote, wanted)
    if remote not in world.servers:
        world.snapshot(new)
    elif remote in world.reachable:
        world.update(new)
    else:
        world.servers[remote] = world.with_writes(new)


FILES = ("base.yaml", "limits.yaml", "groups.yaml", "first.yaml", "second.yaml", *(f"{name}.yaml" for name in NAMES))
REFUSALS = (None, refusing(Kind.VNIC), refusing(Kind.RULE))
remotes = st.sampled_from((A, B))
dpids = st.sampled_from((1, 2, 11, 12))
steps = st.one_of(
    st.tuples(st.just(tell_policy), policies),
    st.tuples(st.just(tell_policy), policies, st.sets(st.sampled_from(FILES), min_size=1, max_size=2)),
    st.tuples(st.just(tell_policy), policies, st.sets(st.sampled_from(FILES), min_size=1, max_size=2)),
    st.tuples(st.just(put), remotes, ports),
    st.tuples(st.just(put), remotes, ports),
    st.tuples(st.just(lose), remotes),
    st.tuples(st.just(back), remotes),
    st.tuples(st.just(connect), dpids, st.booleans()),
    st.tuples(st.just(World.disconnect), dpids),
    st.tuples(st.just(change), dpids, st.just("refuse"), st.sampled_from(REFUSALS)),
    st.tuples(st.just(World.pass_time), st.sampled_from((1, 31))),
)


@given(policies, ports, ports, st.lists(steps, max_size=12), st.booleans(), st.booleans(), st.sampled_from((6, 10**5)))
@examples(40)
def test_what_is_kept_is_what_a_fresh_engine_works_out(files, on_a, on_b, history, one_by_one, collide, most):
    with everything_checked(collide, most):
        world = World((A, B), one_by_one, learning=LearnSettings(("dhcp", "first-use")))
        world.loader = Loader()
        world.policy("version: 1\n")
        tell_policy(world, files)
        put(world, A, on_a)
        put(world, B, on_b)
        for dpid in (1, 2, 11, 12):
            world.connect(dpid)
        world.run()
        for happen, *arguments in history:
            happen(world, *arguments)
            world.run()
