"""Sub-ports in the engine: several vNICs of one row of OVSDB, each with its own zone, flows and learned addresses."""

import pytest

from policy.flows.cookies import Kind, cookie
from ryu_apps.facts import WriteZones
from ryu_apps.refused_ports import REFUSED
from ryu_apps.remote import WRITE_PAUSE
from ryu_apps.session import FIRST_PAUSE
from tests.apps import learning_room
from tests.apps.learning_room import EXCHANGE, has, lab, learned_writes, port, restarted, tell
from tests.apps.shops import ETH, A, a
from tests.topology.builders import MAC_1, MAC_3, vnic
from topology.rows import LEARNED_KEY, ZONE_KEY

POLICY = """\
version: 1
networks: {green: {vlan: 20}}
vms:
  web: {labels: {role: web}, vnics: [{iface_id: web}, {iface_id: web-20, parent: web, vlan: 20, roles: router}]}
  db:  {labels: {role: db}, addresses: [10.0.0.13]}
groups: {web: {match: role == web}, db: {match: role == db}}
policies:
  - name: shop
    rules: [{name: web-db, allow: tcp/3306, from: web, to: db}]
"""
WITHOUT = POLICY.replace(", {iface_id: web-20, parent: web, vlan: 20, roles: router}", "")
WEB, DB = vnic("tap-web", "web", MAC_1), vnic("tap-db", "db", MAC_3)


@pytest.fixture(autouse=True)
def _trunk(monkeypatch):
    monkeypatch.setattr(learning_room, "POLICY", POLICY)


def keys(world, uuid="i-tap-web"):
    world.flush()
    return world.servers[A].interfaces[uuid].external_ids


def zones(world):
    return {vnic["port"]: vnic["zone"] for vnic in world.status()["vnics"] if "zone" in vnic}


def test_each_gets_a_zone_that_is_kept_at_its_parents_interface():
    world = lab(ETH, WEB, DB)
    world.check_settled()
    held = zones(world)
    assert set(held) == {"tap-web", "tap-web.20", "tap-db"} and len(set(held.values())) == 3
    assert (keys(world)[ZONE_KEY], keys(world)[f"{ZONE_KEY}.20"]) == (str(held["tap-web"]), str(held["tap-web.20"]))
    told = port(world, "tap-web.20")
    assert (told["vnic"], told["tag"], told["vlan"], told["state"]) == ("web/web-20", 20, 20, "enforced")
    assert len([write for write in world.writes if isinstance(write, WriteZones)]) == 1
    after = restarted(world)
    after.check_settled()
    assert zones(after) == held and after.sent() == 0


def test_a_sub_port_that_comes_back_has_its_zone_and_costs_the_parent_nothing():
    world = lab(ETH, WEB, DB)
    held = zones(world)
    world.policy(WITHOUT)
    world.run()
    world.check_settled()
    assert zones(world) == {"tap-web": held["tap-web"], "tap-db": held["tap-db"]}
    mine = cookie(Kind.VNIC, held["tap-web.20"])
    assert not [flow for flow in world.switches[1].flows.values() if flow.cookie == mine]
    world.policy(POLICY)
    world.run()
    world.check_settled()
    assert zones(world) == held


def test_what_a_switch_refuses_of_a_sub_port_shuts_that_alone():
    world = lab(ETH, DB)

    def refuse(bundle):
        names = ((f"OpenFlow error {flow.table}", flow) for flow in bundle.add if flow.table.name == "DELIVER")
        return next(((error, flow) for error, flow in names if flow.cookie >> 32 & 0xFF == Kind.VNIC), None)

    world.switches[1].refuse = refuse
    world.update(a(ETH, WEB, DB))
    world.run()
    world.pass_time(FIRST_PAUSE)
    told = {vnic["port"]: (vnic["state"], vnic.get("code")) for vnic in world.status()["vnics"]}
    assert told["tap-web.20"] == ("isolated", REFUSED)
    assert told["tap-web"] == told["tap-db"] == ("enforced", None)


def test_two_at_one_row_learn_at_once_and_both_are_written_and_known_again():
    world = lab(ETH, WEB, DB)
    world.refuse_writes = "disk full"
    tell(world, *EXCHANGE, of="tap-web.20")
    assert has(world, "tap-web.20") == {"10.0.0.50"} and has(world) == set()
    # Nobody looks at the checksums of what the switch has copied.
    tell(world, *(frame.replace(bytes((10, 0, 0, 50)), bytes((10, 0, 0, 51))) for frame in EXCHANGE))
    assert has(world, "tap-web.20") == {"10.0.0.50"} and has(world) == {"10.0.0.51"}
    assert world.holds_wanted(1) and LEARNED_KEY not in keys(world)
    world.refuse_writes = None
    world.pass_time(WRITE_PAUSE)
    world.check_settled()
    row = keys(world)
    assert "10.0.0.51," in row[LEARNED_KEY] and "10.0.0.50," in row[f"{LEARNED_KEY}.20"]
    assert dict(learned_writes(world)[-1].texts) == {
        "i-tap-web": row[LEARNED_KEY],
        "i-tap-web.20": row[f"{LEARNED_KEY}.20"],
    }
    after = restarted(world)
    assert has(after, "tap-web.20") == {"10.0.0.50"} and has(after) == {"10.0.0.51"}


def test_an_interface_that_goes_takes_all_its_vnics():
    world = lab(ETH, WEB, DB)
    tell(world, *EXCHANGE, of="tap-web.20")
    world.update(a(ETH, DB))
    world.run()
    world.check_settled()
    assert set(zones(world)) == {"tap-db"}
