"""Rows from columns, and changes that add up."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from topology.rows import (
    COLUMNS,
    FIELDS,
    LEARNED_KEY,
    LIMIT_COLUMNS,
    LIMIT_KEY,
    MAX_TEXT,
    ZONE_KEY,
    BridgeRow,
    Change,
    CtZoneRow,
    Database,
    DatapathRow,
    InterfaceRow,
    PortRow,
    SwitchRow,
    apply_changes,
    kept_at,
    make_row,
    parse_datapath_id,
)


def test_rows_are_made_of_columns():
    assert make_row("Bridge", "b", {"name": "br0", "datapath_id": ["00000000000000ff"], "ports": ["p2", "p1"]}) == (
        BridgeRow("b", "br0", 255, None, {}, ("p1", "p2"))
    )
    assert make_row("Port", "p", {"name": "eth0", "tag": [10], "trunks": [7, 5], "interfaces": ["i"]}) == (
        PortRow("p", "eth0", 10, (5, 7), None, None, ("i",))
    )
    assert make_row(
        "Open_vSwitch", "s", {"external_ids": {"hostname": "hv1", "rundir": "x"}, "ovs_version": ["3.1"]}
    ) == (SwitchRow("s", "hv1", None, "3.1"))


def test_only_what_we_need_of_an_interface_is_kept():
    columns = {
        "name": "tap1",
        "type": "gre",
        "ofport": [3],
        "external_ids": {"iface-id": "x", "secret": "y"},
        "options": {"remote_ip": "192.0.2.1", "psk": "hush"},
        "error": [],
    }
    assert make_row("Interface", "i", columns) == InterfaceRow(
        "i", "tap1", "gre", 3, {"iface-id": "x"}, None, {"remote_ip": "192.0.2.1"}
    )


@pytest.mark.parametrize("name", [ZONE_KEY, LEARNED_KEY])
def test_keys_of_sub_ports_are_read_in_one_spelling(name):
    tags = ("1", "42", "4094", "0", "4095", "042", "", "-1", "+1", " 1", "1_0", "¹", "٤", "4" * 5000, "1.1", "x")
    ids = {f"{name}.{tag}": "text" for tag in tags} | {"iface-id.1": "text", f".{name}": "text"}
    found = make_row("Interface", "i", {"name": "tap1", "external_ids": ids}).external_ids
    assert found == {kept_at(f"i.{tag}", name)[1]: "text" for tag in (1, 42, 4094)}


def test_only_ports_that_can_be_are_ports():
    numbers = ([], [-1], [0], [1], [5], [65279], [65280], [65533], [65534], [65535], [65536], [2**63 - 1])
    assert [make_row("Interface", "i", {"name": "x", "ofport": n}).ofport for n in numbers] == (
        [None, None, None, 1, 5, 65279, None, None, 65534, None, None, None]
    )


def test_long_text_is_cut_but_seen_to_be_too_long():
    row = make_row("Interface", "i", {"name": "x", "external_ids": {"iface-id": "y" * 10**6}})
    assert len(row.external_ids["iface-id"]) == MAX_TEXT + 1


def test_datapath_ids():
    assert parse_datapath_id("0000000000000010") == 16
    assert [parse_datapath_id(text) for text in (None, "", "10", "x" * 16, "0" * 16)] == [None] * 5


MAPS = ("external_ids", "options", "other_config", "datapaths", "ct_zones")


@given(st.sampled_from(sorted(FIELDS)), st.data())
def test_missing_columns_do_no_harm(table, data):
    columns = data.draw(st.sets(st.sampled_from((*COLUMNS.get(table, ()), *LIMIT_COLUMNS.get(table, ())))))
    assert make_row(table, "u", {column: {} if column in MAPS else [] for column in columns}).uuid == "u"


def test_zones_and_their_limits():
    switch = make_row("Open_vSwitch", "s", {"datapaths": {"netdev": UUID(int=1)}})
    assert switch.datapaths == {"netdev": str(UUID(int=1))}
    ours = {"external_ids": {LIMIT_KEY: "true", "other": "x"}}
    assert make_row("Datapath", "d", {"ct_zones": {5: UUID(int=2)}, **ours}) == DatapathRow(
        "d", {5: str(UUID(int=2))}, ours=True
    )
    assert make_row("CT_Zone", "z", {"limit": [9], **ours}) == CtZoneRow("z", 9, ours=True)
    assert make_row("CT_Zone", "z", {"limit": [], "external_ids": {"other": "x"}}) == CtZoneRow("z")
    assert make_row("Bridge", "b", {"datapath_type": "netdev"}).datapath_type == "netdev"
    assert make_row("Bridge", "b", {"datapath_type": ""}).datapath_type == "system"


def test_changes_add_up():
    one, two = InterfaceRow("i", "a"), InterfaceRow("i", "b")
    database = apply_changes(Database("unix:a"), [Change("Interface", "i", one)])
    assert database.interfaces == {"i": one}
    later = apply_changes(database, [Change("Interface", "i", two), Change("Bridge", "b", None)])
    assert later.interfaces == {"i": two}
    assert database.interfaces == {"i": one}
    assert apply_changes(later, [Change("Interface", "i", None)] * 2).interfaces == {}
    assert apply_changes(later, []) is later
    assert later.row("Interface", "i") == two
    assert later.row("Port", "i") is None


def test_the_host_is_the_hostname_else_the_system_id_else_the_remote():
    assert Database("unix:a", {"s": SwitchRow("s", "hv1", "uuid")}).host == "hv1"
    assert Database("unix:a", {"s": SwitchRow("s", None, "uuid")}).host == "uuid"
    assert Database("unix:a").host == "unix:a"
