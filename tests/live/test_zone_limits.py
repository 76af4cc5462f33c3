"""Limits of conntrack's zones in OVSDB: a server whose schema has them, as Open vSwitch 3.3 and later have, and others.

The schema is that of the Open vSwitch at hand, with the columns that later ones have: this runs on every version.
"""

from __future__ import annotations

import json

import pytest

from ryu_apps.ovsdb_facts import OvsdbLost, OvsdbSnapshot, OvsdbWriteFailed
from tests.live.client_process import Child, add_bridge, bridge
from tests.live.private_ovs import SCHEMA, PrivateOvs
from topology.zone_limits import zone_row

NUMBER = {"type": {"key": {"type": "integer", "minInteger": 0, "maxInteger": 4294967295}, "min": 0, "max": 1}}


def schema(path, limits):
    """The schema at hand, with or without limits, whatever it has itself."""
    found = json.loads(SCHEMA.read_text())
    for table, column in (("CT_Zone", "limit"), ("Datapath", "ct_zone_default_limit")):
        found["tables"][table]["columns"].pop(column, None)
        if limits:
            found["tables"][table]["columns"][column] = NUMBER
    path.write_text(json.dumps(found))
    return path


@pytest.fixture
def ovs(tmp_path):
    with PrivateOvs(schema=schema(tmp_path / "schema", limits=True)) as private:
        yield private


@pytest.fixture
def child(ovs):
    with Child(ovs.remote) as running:
        running.wait_for(OvsdbSnapshot)
        yield running


def limits(database, datapath="dummy"):
    """What the database says, by zone."""
    rows = {zone: zone_row(database, datapath, zone) for zone in range(10)}
    return {zone: row.limit for zone, row in rows.items() if row is not None}


def shows(child, **wanted):
    """Waits until these are the limits of the datapaths that are named."""
    child.wait_until(lambda db: {name: limits(db, name) for name in wanted} == wanted, f"{wanted}")


def test_a_server_without_limits_is_known_as_such_and_not_written_to(tmp_path):
    with PrivateOvs(schema=schema(tmp_path / "schema", limits=False)) as ovs, Child(ovs.remote) as child:
        assert not child.wait_for(OvsdbSnapshot).database.limits
        child.do("limit_zones", [("dummy", 5, 9)])
        assert child.wait_for(OvsdbWriteFailed).what == "limits of conntrack's zones"
        assert ovs.vsctl("--columns=_uuid list datapath") == ""
        # The connection goes on.
        add_bridge(ovs, "br0")
        child.wait_until(lambda db: bridge(db, "br0"), "br0")
        assert bridge(child.database, "br0").datapath_type == "dummy"


def test_limits_are_written_changed_and_taken_back(ovs, child):
    assert child.database.limits
    child.do("limit_zones", [("dummy", 5, 9), ("dummy", 6, 7), ("system", 5, 8)])
    shows(child, dummy={5: 9, 6: 7}, system={5: 8})
    child.do("limit_zones", [("dummy", 5, 10), ("dummy", 6, None), ("dummy", 7, 3)])
    shows(child, dummy={5: 10, 7: 3}, system={5: 8})
    child.do("limit_zones", [("dummy", 5, None), ("dummy", 7, None)])
    shows(child, dummy={}, system={5: 8})
    # Nothing of it is left, not even the row that we had made for the datapath.
    assert len(ovs.vsctl("--bare --columns=_uuid list datapath").split()) == 1
    assert len(ovs.vsctl("--bare --columns=_uuid list ct_zone").split()) == 1


THEIRS = (
    "-- --id=@z create ct_zone external_ids:who=them "
    "-- --id=@d create datapath datapath_version=1 ct_zones:5=@z external_ids:who=them "
    "-- set open_vswitch . datapaths:dummy=@d"
)


def test_rows_of_others_are_left_alone(ovs, child):
    ovs.vsctl(THEIRS)
    shows(child, dummy={5: None})
    child.do("limit_zones", [("dummy", 5, 9), ("dummy", 6, 7)])
    shows(child, dummy={5: None, 6: 7})
    child.do("limit_zones", [("dummy", 5, None), ("dummy", 6, None)])
    shows(child, dummy={5: None})
    assert not zone_row(child.database, "dummy", 5).ours
    assert ovs.vsctl("--bare --columns=external_ids list datapath") == "who=them"


def test_a_datapath_of_ours_stays_as_long_as_somebody_else_uses_it(ovs, child):
    child.do("limit_zones", [("dummy", 5, 9)])
    shows(child, dummy={5: 9})
    ours = ovs.vsctl("get open_vswitch . datapaths:dummy")
    ovs.vsctl(f"-- --id=@z create ct_zone external_ids:who=them -- set datapath {ours} ct_zones:6=@z")
    child.do("limit_zones", [("dummy", 5, None)])
    shows(child, dummy={6: None})


def test_limits_survive_both_ends_and_are_known_as_ours(ovs, child):
    child.do("limit_zones", [("dummy", 5, 9)])
    shows(child, dummy={5: 9})
    ovs.stop_server()
    child.wait_for(OvsdbLost)
    child.do("limit_zones", [("dummy", 6, 7)])
    assert child.wait_for(OvsdbWriteFailed).error == "the database is not connected"
    ovs.start_server()
    assert limits(child.wait_for(OvsdbSnapshot).database) == {5: 9}
    with Child(ovs.remote) as later:
        found = later.wait_for(OvsdbSnapshot).database
        assert found.limits and zone_row(found, "dummy", 5).ours
    child.do("limit_zones", [("dummy", 5, None), ("dummy", 6, 7)])
    shows(child, dummy={6: 7})


def test_what_somebody_else_does_to_ours_is_told(ovs, child):
    child.do("limit_zones", [("dummy", 5, 9)])
    shows(child, dummy={5: 9})
    ovs.transact({"op": "update", "table": "CT_Zone", "where": [], "row": {"limit": 1000000}})
    shows(child, dummy={5: 1000000})
    ovs.vsctl("clear open_vswitch . datapaths")
    shows(child, dummy={})


def test_a_server_may_be_exchanged_for_one_with_limits_and_back(tmp_path):
    """As in an upgrade of Open vSwitch while the controller runs: its database is converted."""
    with PrivateOvs(schema=schema(tmp_path / "old", limits=False)) as ovs, Child(ovs.remote) as child:
        assert not child.wait_for(OvsdbSnapshot).database.limits
        add_bridge(ovs, "br0")
        child.wait_until(lambda db: bridge(db, "br0"), "br0")
        for name, has in (("new", True), ("older", False)):
            ovs.stop_server()
            child.wait_for(OvsdbLost)
            ovs.convert(schema(tmp_path / name, limits=has))
            ovs.start_server()
            found = child.wait_for(OvsdbSnapshot).database
            assert found.limits is has
            assert bridge(found, "br0")


def test_a_running_server_may_get_another_schema(tmp_path):
    with PrivateOvs(schema=schema(tmp_path / "old", limits=False)) as ovs, Child(ovs.remote) as child:
        assert not child.wait_for(OvsdbSnapshot).database.limits
        ovs.convert_online(schema(tmp_path / "new", limits=True))
        assert child.wait_for(OvsdbSnapshot).database.limits
        child.do("limit_zones", [("dummy", 5, 9)])
        shows(child, dummy={5: 9})
