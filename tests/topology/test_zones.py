"""Conntrack zones: unique, stable, never somebody else's."""


import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.topology.builders import database, join, vnic
from topology.inventory import Inventory
from topology.rows import ZONE_KEY, Change, Database, InterfaceRow, apply_changes
from topology.zones import MAX_ZONE, assign, holders, parse_zone

MAC = "52:54:00:00:00:01"


@pytest.mark.parametrize(("text", "zone"), [("1", 1), ("33332", 33332), ("4711", 4711)])
def test_zones_that_can_be_read(text, zone):
    assert parse_zone(text) == zone


@pytest.mark.parametrize("text", [None, "", "0", "33333", "61440", "-1", "01", "1 ", "+1", "٣", "1e3", "x", "9" * 5000])
def test_zones_that_cannot(text):
    assert parse_zone(text) is None


def switch(zones, missing_ofport=()):
    """A database and its bridge; ``zones`` are texts or None by port."""
    ports = []
    for number, (name, text) in enumerate(zones.items()):
        ids = {} if text is None else {"portcullis_zone": text}
        mac = f"52:54:00:00:{number >> 8:02x}:{number & 255:02x}"
        ports.append(vnic(name, f"id-{name}", mac, ofport=None if name in missing_ofport else 0, **ids))
    rows = database(*ports)
    return rows, join(rows, inventory=Inventory())


def zoneless(topology):
    """The interfaces that need a zone."""
    return [uuid for bridge in topology.bridges for uuid in bridge.zoneless]


def written(rows, zones):
    """The database after the zones have been written."""
    return apply_changes(
        rows,
        [
            Change(
                "Interface",
                uuid,
                InterfaceRow(
                    uuid,
                    rows.interfaces[uuid].name,
                    "",
                    rows.interfaces[uuid].ofport,
                    {**rows.interfaces[uuid].external_ids, ZONE_KEY: str(zone)},
                ),
            )
            for uuid, zone in zones.items()
        ],
    )


def test_what_ovsdb_holds_is_kept():
    rows, topology = switch({"a": "5", "b": "6"})
    assert [port.zone for port in topology.vnic_ports] == [5, 6]
    assert assign(rows, ["i-a", "i-b"]) == {}


def test_a_port_without_zone_gets_one_that_nobody_holds():
    rows, topology = switch({"a": None, "b": "6"})
    assert [port.zone for port in topology.vnic_ports] == [None, 6]
    given_ = assign(rows, zoneless(topology))
    assert set(given_) == {"i-a"}
    assert given_["i-a"] != 6


def test_the_zone_of_an_interface_that_is_down_is_not_given_away():
    rows, topology = switch({"a": None})
    zone = assign(rows, zoneless(topology))["i-a"]
    rows, topology = switch({"a": None, "b": str(zone)}, missing_ofport=["b"])
    assert [port.name for port in topology.vnic_ports] == ["a"]
    assert assign(rows, zoneless(topology))["i-a"] != zone


def test_a_vnic_that_waits_for_its_openflow_port_gets_a_zone_meanwhile():
    rows, topology = switch({"a": None, "b": "6"}, missing_ofport=["a", "b"])
    assert list(topology.vnic_ports) == []
    assert zoneless(topology) == ["i-a"]
    assert set(assign(rows, zoneless(topology))) == {"i-a"}


def test_what_is_shut_for_another_reason_gets_none():
    rows = database(vnic("a", "id-a", MAC, ofport=None, iface_status="inactive"))
    assert zoneless(join(rows, inventory=Inventory())) == []


def test_one_holder_keeps_a_duplicate():
    rows, topology = switch({"a": "5", "b": "5"})
    assert [port.zone for port in topology.vnic_ports] == [5, None]
    assert set(assign(rows, zoneless(topology))) == {"i-b"}


def test_of_two_holders_the_one_that_is_up_keeps_it():
    topology = switch({"a": "5", "b": "5"}, missing_ofport=["a"])[1]
    assert [(port.name, port.zone) for port in topology.vnic_ports] == [("b", 5)]


@given(st.dictionaries(st.text("abcdef", min_size=1, max_size=3), st.sampled_from([None, "1", "2", "65535", "x", "0"])))
def test_zones_are_unique_and_settle_at_once(zones):
    rows, topology = switch(zones)
    rows = written(rows, assign(rows, zoneless(topology)))
    topology = join(rows, inventory=Inventory())
    held = [port.zone for port in topology.vnic_ports]
    assert None not in held
    assert len(set(held)) == len(held)
    assert zoneless(topology) == []


def test_a_zone_given_back_is_not_the_next_one_given():
    seen = set()
    for number in range(50):
        rows, topology = switch({f"tap{number}": None})
        seen.update(assign(rows, zoneless(topology)).values())
    assert len(seen) == 50



def test_a_switch_full_of_zones_gives_none():
    full = {str(n): InterfaceRow(str(n), str(n), external_ids={ZONE_KEY: str(n)}) for n in range(1, MAX_ZONE + 1)}
    assert len(holders(Database("unix:a", interfaces=full))) == MAX_ZONE
    assert assign(Database("unix:a", interfaces=full), ["i-a"]) == {}
