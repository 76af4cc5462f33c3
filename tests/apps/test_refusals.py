"""What a switch refuses, what others left in its tables, and what it must forget."""

from dataclasses import replace
from itertools import pairwise

import pytest

from policy.flows import fields as f
from policy.flows import wire
from policy.flows.cookies import Kind, cookie, reason
from policy.flows.flow import Flow, Output, exact, match
from policy.flows.match_wire import encode_match
from policy.flows.tables import TABLES
from ryu_apps.facts import (
    ReadFailed,
)
from ryu_apps.refused_ports import REFUSED
from ryu_apps.session import FIRST_PAUSE, LAST_PAUSE
from tests.apps.bridges import installed as told
from tests.apps.shops import APP, DB, ETH, NONE, OTHER, PORTS, WEB, a, flows_of, policy, shop, waiting
from tests.topology.builders import P


def refusing(kind, error="OpenFlow error X"):
    """A switch that refuses each bundle that adds a flow of this kind, and names it; None: that names nothing."""

    def refuse(bundle):
        if kind is None:
            return error, None
        return next(((error, flow) for flow in bundle.add if reason(flow.cookie).kind is kind), None)

    return refuse


def test_a_refused_flow_of_a_vnic_shuts_that_vnic_only_until_it_changes():
    world = shop()
    switch = world.switches[1]
    switch.refuse = refusing(Kind.VNIC)
    world.update(a(*PORTS, APP))
    world.run()
    assert "bridge br0 is waiting to try again: OpenFlow error X" in waiting(world)
    world.pass_time(FIRST_PAUSE)
    vnics = {vnic["port"]: vnic for vnic in world.status()["vnics"]}
    assert (vnics["tap-app"]["state"], vnics["tap-app"]["code"]) == ("isolated", REFUSED)
    assert vnics["tap-web"]["state"] == vnics["tap-db"]["state"] == "enforced"
    assert waiting(world) == (
        "bridge br0 has a port that stays shut: tap-app: the switch refused its flows: OpenFlow error X"
    )
    assert world.holds_wanted(1)
    # It is not tried again and again while nothing changes.
    sent = world.sent()
    world.pass_time(1000)
    assert world.sent() == sent
    # Another MAC may be another matter.
    switch.refuse = None
    world.update(a(*PORTS, replace(APP, ids={**APP.ids, "attached-mac": "52:54:00:00:00:77"})))
    world.run()
    world.check_settled()


def test_what_was_refused_is_tried_again_on_a_new_connection():
    world = shop()
    world.switches[1].refuse = refusing(Kind.VNIC)
    world.update(a(*PORTS, APP))
    world.run()
    world.pass_time(FIRST_PAUSE)
    assert world.engine.refused
    world.connect(1, refuse=None)
    world.run()
    world.check_settled()


@pytest.mark.parametrize("kind", [Kind.RULE, None])
def test_a_refused_change_leaves_the_old_in_force_and_is_retried_ever_more_slowly(kind):
    world = shop()
    switch = world.switches[1]
    before = dict(switch.flows)
    tries = []
    refuse = refusing(kind)
    switch.refuse = lambda bundle: tries.append(world.now) or refuse(bundle)
    world.policy(OTHER)
    world.run()
    world.pass_time(200)
    assert switch.flows == before
    pauses = [later - sooner for sooner, later in pairwise(tries)]
    assert pauses[:5] == [1, 2, 4, 8, 16] and set(pauses[5:]) == {LAST_PAUSE}
    assert waiting(world) == "bridge br0 is waiting to try again: OpenFlow error X"
    assert world.status()["bridges"][0]["refusals"] == len(tries)
    switch.refuse = None
    world.pass_time(LAST_PAUSE)
    assert world.status()["enforced"] and world.status()["bridges"][0]["error"] is None
    # The next refusal is met with short patience again.
    switch.refuse = refuse
    world.policy(NONE if kind is None else policy("another 1 web app"))
    world.run()
    world.pass_time(FIRST_PAUSE + 2 * FIRST_PAUSE)
    assert world.status()["bridges"][0]["refusals"] == len(tries) + 3


def test_a_change_while_another_is_refused_or_on_its_way_is_not_lost():
    world = shop()
    switch = world.switches[1]
    switch.refuse = refusing(Kind.RULE)
    world.policy(OTHER)
    world.run()
    world.policy(policy("third 1 web app"))
    world.run()
    switch.refuse = None
    world.pass_time(LAST_PAUSE)
    world.check_settled()
    assert world.document.policies[0].rules[0].name == "third"


def test_flows_that_cannot_be_read_are_asked_for_again():
    world = shop()
    switch = world.connect(1, silent=True)
    world.run()
    world.facts.append(ReadFailed(1, switch.session, "its flows cannot be read: cut short"))
    world.run()
    assert waiting(world) == "bridge br0 is waiting to try again: its flows cannot be read: cut short"
    switch.silent = False
    world.pass_time(FIRST_PAUSE)
    world.check_settled()


# --- what others left in our tables


def installed(found, **more):
    """The flow as the switch tells it; ``more`` says what is different."""
    return replace(told(found), **more)


def test_flows_of_others_in_our_tables_are_removed_and_told():
    world = shop()
    switch = world.switches[1]
    opens = Flow(TABLES["CLASSIFY"], 65535, match(exact(f.IN_PORT, 3)), (Output(2),), 0x1)
    # One of our own by its key, another's by its cookie; it stands in ours' place.
    stolen = next(iter(flows_of(switch, Kind.VNIC)))
    switch.flows.pop(stolen.key)
    elsewhere = wire.Installed(250, 1, 0, encode_match(()), None, 0, 0)
    switch.foreign = [
        installed(opens),
        installed(opens, flow=None, cookie=stolen.cookie),
        installed(replace(stolen, cookie=5)),
        elsewhere,
    ]
    world.connect(1)
    world.run()
    assert switch.foreign == [elsewhere]
    assert world.status()["bridges"][0]["foreign_removed"] == 2
    world.check_settled()


def test_what_the_switch_has_learned_is_left_alone():
    world = shop()
    switch = world.switches[1]
    learned = Flow(TABLES["LEARNED"], 100, match(exact(f.VLAN, 10)), (), cookie(Kind.LEARNED))
    switch.foreign = [installed(learned)]
    world.connect(1)
    world.run()
    assert world.sent() == 1 and switch.foreign


@pytest.mark.parametrize(
    "ports,unlearns",
    [
        ((P("eth0", ofport=9), WEB, DB), True),
        ((WEB, DB), True),
        ((P("eth0", trunks=(10,), vlan_mode="trunk"), WEB, DB), True),
        ((ETH, P("eth1", ofport=9), WEB, DB), False),
        ((ETH, WEB), False),
    ],
)
def test_a_changed_uplink_makes_the_switch_forget_which_mac_is_behind_which(ports, unlearns):
    world = shop()
    world.update(a(*ports))
    world.run()
    assert [bundle.unlearn for bundle in world.switches[1].bundles] == [False, unlearns]
