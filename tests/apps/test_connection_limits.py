"""How many connections a vNIC may have: what the engine has OVSDB say of conntrack's zones, and what status says."""

from dataclasses import replace

from ryu_apps.connection_limits import LEAST_SHARED, OLD_SWITCH
from ryu_apps.facts import LimitZones
from ryu_apps.remote import WRITE_CHECK, WRITE_PAUSE
from tests.apps.shops import APP, DB, ETH, ONE, OTHER, PORTS, WEB, A, a, shop, waiting
from tests.apps.worlds import World
from topology.rows import CtZoneRow, DatapathRow
from topology.zone_limits import zone_row
from topology.zones import FIRST_SHARED_ZONE

FEW = ONE + "limits:\n  few: {for: {match: role == web}, connections: 7}\n"
SHARED = FIRST_SHARED_ZONE


def newer(*ports, **bridges):
    """A server whose schema has limits; the bridge has a userspace datapath."""
    plain = a(*ports, **bridges)
    return replace(plain, limits=True, bridges=netdev(plain.bridges))


def netdev(bridges):
    return {uuid: replace(row, datapath_type="netdev") for uuid, row in bridges.items()}


def limited(text=FEW, database=None):
    world = World()
    world.policy(text)
    world.snapshot(newer(*PORTS) if database is None else database)
    world.connect(1)
    world.run()
    return world


def rows(world, datapath="netdev"):
    """What OVSDB says: limits by zone."""
    server = world.servers[A]
    zones = {zone for row in server.datapaths.values() for zone in row.zones}
    found = {zone: zone_row(server, datapath, zone) for zone in zones}
    return {zone: row.limit for zone, row in found.items() if row is not None}


def told(world):
    return {vnic["port"]: vnic["connections"] for vnic in world.status()["vnics"]}


def zones(world):
    return {vnic["port"]: vnic["zone"] for vnic in world.status()["vnics"]}


def writes(world):
    return [write for write in world.writes if isinstance(write, LimitZones)]


def findings(world):
    return [found["message"] for found in world.status()["findings"] if found["code"] == "no-connection-limit"]


def test_each_vnic_has_its_limit_and_the_network_one_for_what_they_open_to_each_other():
    world = limited()
    zone = zones(world)
    assert rows(world) == {zone["tap-web"]: 7, zone["tap-db"]: 100_000, SHARED: LEAST_SHARED}
    assert told(world)["tap-web"] == {"limit": 7, "enforced": True, "reason": None}
    assert findings(world) == []
    assert len(writes(world)) == 1
    world.check_settled()
    assert len(writes(world)) == 1


def test_a_sub_port_has_a_limit_of_its_own():
    """In the network of its tag, where it is alone."""
    text = FEW.replace("addresses: [10.0.0.13]", "vnics: [{iface_id: db}, {iface_id: db-20, parent: db, vlan: 20}]")
    text += "  none: {for: {vms: db}, connections: 3}\n"
    world = limited(text)
    zone = zones(world)
    others = {zone["tap-web"]: 7, zone["tap-db"]: 3, SHARED: LEAST_SHARED}
    assert rows(world) == {**others, zone["tap-db.20"]: 3}
    assert told(world)["tap-db.20"] == {"limit": 3, "enforced": True, "reason": None}
    world.check_settled()
    world.policy(text.replace(", {iface_id: db-20, parent: db, vlan: 20}", ""))
    world.run()
    assert writes(world)[-1].limits == (("netdev", zone["tap-db.20"], None),)
    assert rows(world) == others
    world.check_settled()


def test_what_a_network_shares_is_half_of_what_its_vnics_may_have_and_never_little():
    """Each connection there is two vNICs'."""
    text = ONE + "limits: {many: {connections: 900000}}\n"
    world = limited(text, newer(*PORTS, APP))
    assert rows(world)[SHARED] == 1_350_000
    world.policy(text.replace("900000", "3"))
    world.run()
    assert rows(world)[SHARED] == LEAST_SHARED
    # Alone in its network, a vNIC has nobody to share with.
    world.update(newer(ETH, WEB))
    world.run()
    assert SHARED not in rows(world)
    world.check_settled()


def test_limits_follow_policy_and_ports():
    world = limited()
    web, db = zones(world)["tap-web"], zones(world)["tap-db"]
    world.policy(FEW.replace("connections: 7", "connections: 9"))
    world.run()
    assert rows(world)[web] == 9 and writes(world)[-1].limits == (("netdev", web, 9),)
    world.policy(ONE)
    world.run()
    assert rows(world)[web] == 100_000
    world.update(newer(ETH, DB))
    world.run()
    assert rows(world) == {db: 100_000}
    world.check_settled()


def test_a_trusted_vnic_has_no_limit():
    world = limited(FEW.replace("web: {labels: {role: web}", "web: {trusted: true, labels: {role: web}"))
    assert told(world)["tap-web"] is None
    assert rows(world) == {zones(world)["tap-db"]: 100_000}


def test_rows_of_others_are_left_alone_and_told():
    world = limited(ONE)
    web = zones(world)["tap-web"]
    server = world.servers[A]
    theirs = {**server.ct_zones, f"z-netdev-{web}": CtZoneRow(f"z-netdev-{web}", 5)}
    world.servers[A] = replace(server, ct_zones=theirs)
    world.snapshot(world.servers[A])
    world.run()
    before = len(writes(world))
    assert "somebody else's row" in told(world)["tap-web"]["reason"]
    assert not told(world)["tap-web"]["enforced"] and told(world)["tap-db"]["enforced"]
    # It was not asked for: nobody need look at it.
    assert findings(world) == []
    world.policy(FEW)
    world.run()
    assert len(writes(world)) == before
    assert findings(world) == [
        f"the limit `connections` does not hold for 1 of its vNICs (tap-web): {told(world)['tap-web']['reason']}"
    ]
    world.update(newer(ETH, DB))
    world.run()
    assert rows(world)[web] == 5, "it was not ours to remove"


def test_what_somebody_changes_is_put_back():
    world = limited()
    web, server = zones(world)["tap-web"], world.servers[A]
    world.servers[A] = replace(
        server, ct_zones={**server.ct_zones, f"z-netdev-{web}": CtZoneRow(f"z-netdev-{web}", 10**6, ours=True)}
    )
    world.snapshot(world.servers[A])
    world.run()
    assert rows(world)[web] == 7
    server = world.servers[A]
    emptied = replace(server, datapaths={"d-netdev": DatapathRow("d-netdev")}, ct_zones={})
    world.servers[A] = emptied
    world.snapshot(emptied)
    world.run()
    assert len(rows(world)) == 3
    world.check_settled()


def test_an_older_server_is_not_written_to_and_it_is_said():
    world = shop(FEW)
    assert writes(world) == []
    assert told(world)["tap-web"] == {"limit": 7, "enforced": False, "reason": OLD_SWITCH}
    assert findings(world) == [f"the limit `connections` does not hold for 2 of its vNICs (tap-db): {OLD_SWITCH}"]
    world.policy(ONE)
    world.run()
    # Nobody has stated any: the status of each vNIC says it all the same.
    assert findings(world) == [] and not told(world)["tap-web"]["enforced"]


def test_a_server_that_is_exchanged_for_a_newer_one_gets_its_limits():
    world = shop(FEW)
    world.lose(A)
    world.snapshot(replace(newer(*PORTS), interfaces=world.servers[A].interfaces))
    world.run()
    assert told(world)["tap-web"]["enforced"]
    world.check_settled()


def test_without_a_policy_nothing_is_limited_and_nothing_is_taken_away():
    world = limited()
    later = World()
    later.policy(None)
    later.snapshot(world.servers[A])
    later.connect(1)
    later.run()
    assert writes(later) == [] and rows(later) == rows(world)
    later.policy(ONE)
    later.run()
    assert rows(later)[zones(later)["tap-web"]] == 100_000


def test_a_refused_write_is_tried_again_and_waited_for():
    world = World()
    world.policy(FEW)
    world.snapshot(newer(*PORTS))
    world.connect(1)
    world.run()
    world.refuse_writes = "constraint violation"
    world.policy(FEW.replace("connections: 7", "connections: 8"))
    world.run()
    assert "has a vNIC whose connections are not limited yet: tap-web" in waiting(world)
    assert not told(world)["tap-web"]["enforced"] and findings(world) == []
    asked = len(writes(world))
    world.policy(OTHER + "limits:\n  few: {for: {match: role == web}, connections: 8}\n")
    world.run()
    assert len(writes(world)) == asked, "nothing is asked for twice"
    world.refuse_writes = None
    world.pass_time(WRITE_PAUSE)
    assert rows(world)[zones(world)["tap-web"]] == 8
    world.check_settled()


def test_a_write_that_nobody_answers_is_asked_for_again():
    world = limited()
    world._write = lambda *_: None
    world.policy(FEW.replace("connections: 7", "connections: 8"))
    world.run()
    del world._write
    world.pass_time(WRITE_CHECK)
    assert rows(world)[zones(world)["tap-web"]] == 8
    world.check_settled()


def test_bridges_of_one_datapath_share_what_their_networks_share():
    text = ONE + "limits: {many: {connections: 900000}}\n"
    two = newer(ETH, WEB, DB, br1=(APP,))
    world = World()
    world.policy(text)
    world.snapshot(two)
    world.connect(1)
    world.connect(2)
    world.run()
    assert rows(world)[SHARED] == 1_350_000
    assert {limit["enforced"] for limit in told(world).values()} == {True}


def test_a_bridge_that_is_not_handed_over_has_no_limits():
    plain = newer(*PORTS)
    standalone = {uuid: replace(row, fail_mode=None) for uuid, row in plain.bridges.items()}
    world = World()
    world.policy(FEW)
    world.snapshot(replace(plain, bridges=standalone))
    world.run()
    assert writes(world) == []
    assert set(told(world).values()) == {None}
