"""What was collected with OVS's own tools is read whole, or it is no answer. A live test collects the real thing."""

import json

import pytest

from policy.flows.meters import Meter
from policy.verify.evidence import read_evidence
from policy.verify.ovsdb import Unreadable
from tests.commands.conftest import portcullis
from tests.commands.sample import SHOP

UUID = "6aacfcd5-04c9-47b3-bb1d-c6aae8901c77"
SHOW = """\
OFPT_FEATURES_REPLY (OF1.4) (xid=0x2): dpid:00005254000000a1
n_tables:254, n_buffers:0
capabilities: FLOW_STATS TABLE_STATS PORT_STATS GROUP_STATS QUEUE_STATS
OFPST_PORT_DESC reply (OF1.4) (xid=0x3):
 1(tap1): addr:aa:55:aa:55:00:08
     speed: 0 Mbps now, 0 Mbps max
OFPT_GET_CONFIG_REPLY (OF1.4) (xid=0x5): frags=normal miss_send_len=0
"""
FLOWS = """\
OFPST_FLOW reply (OF1.4) (xid=0x2):
 cookie=0x1, duration=1.460s, table=0, n_packets=0, n_bytes=0, priority=0 actions=drop
 cookie=0x2, duration=1.460s, table=3, n_packets=0, n_bytes=0, tcp,tp_dst=80 actions=resubmit(,7)
"""
COUNT = "OFPST_AGGREGATE reply (OF1.4) (xid=0x2): packet_count=0 byte_count=0 flow_count=2\n"
METERS = """\
OFPST_METER_CONFIG reply (OF1.4) (xid=0x2):
meter=7 pktps burst stats bands=
type=drop rate=10 burst_size=20

meter=8 kbps bands=
type=drop rate=10

meter=9 pktps burst stats bands=
type=drop rate=10 burst_size=20
type=drop rate=11 burst_size=21
"""
FEATURES = """\
OFPST_METER_FEATURES reply (OF1.4) (xid=0x2):
max_meter:262144 max_bands:8 max_color:0
band_types: drop
capabilities: kbps pktps burst stats
"""
ROWS = "".join(
    json.dumps({"caption": f"{table} table", "headings": ["_uuid", *columns], "data": [[["uuid", UUID], *data]]}) + "\n"
    for table, columns, data in (
        ("Open_vSwitch", ["external_ids", "ovs_version", "bridges"], [["map", []], "3.1.0", ["uuid", UUID]]),
        (
            "Bridge",
            ["name", "datapath_id", "datapath_type", "fail_mode", "other_config", "ports"],
            ["br0", "00005254000000a1", "", "secure", ["map", [["disable-in-band", "true"]]], ["set", []]],
        ),
        ("Port", ["name", "tag", "trunks", "vlan_mode", "bond_mode", "interfaces"], ["p", *[["set", []]] * 5]),
        ("Interface", ["name", "type", "ofport", "external_ids", "error", "options"],
         ["p", "", ["set", []], ["map", []], ["set", []], ["map", []]]),
        ("Manager", [], []),
    )
)  # fmt: skip
PARTS = (SHOW, FLOWS, COUNT, METERS, FEATURES, ROWS, "time=1790000000\n")
ALL = "".join(PARTS)


def read(text):
    return read_evidence("hv1.txt", text.splitlines(keepends=True))


@pytest.mark.parametrize("parts", [PARTS, PARTS[::-1]])
def test_all_of_it(parts):
    found = read("".join(parts))
    assert (found.at, found.told.dpid, found.told.metered, len(found.told.flows)) == (
        1790000000,
        0x5254000000A1,
        True,
        2,
    )
    assert found.told.meters == {7: Meter(7, 10, 20), 8: None, 9: None}
    assert [bridge.name for bridge in found.database.bridges.values()] == ["br0"]


def test_the_rows_alone():
    found = read(ROWS)
    assert (found.told, found.at) == (None, None)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        *((ALL.replace(part, ""), "missing") for part in (SHOW, COUNT, FEATURES, ROWS)),
        (ALL.replace(FLOWS, ""), "0 flows of 2"),
        (ALL.replace("flow_count=2", "flow_count=3"), "2 flows of 3"),
        (ALL + COUNT, "told twice"),
        (ALL + SHOW, "told twice"),
        (ALL + ROWS, "there twice"),
        (ALL.replace("(OF1.4)", "(OF1.3)"), "OpenFlow14"),
        (ALL.replace(" actions=resubmit(,7)", ""), "not understood"),
        (ALL.replace("max_meter:262144", "max_meter:many"), "not understood"),
        (ALL.replace("bands=", "band"), "not understood"),
        (ALL.replace('"headings"', '"heads"'), "not understood"),
        (ALL + "ovs-ofctl: br0 is not a bridge\n", "not understood"),
        (ALL + "time=1\n", "not understood"),
        ("cookie=0x1, table=1, priority=1 actions=drop\n" + ALL, "not understood"),
        (ALL[: ALL.index("capabilities: kbps")] + ROWS[:100], "not understood"),
        ("", "missing"),
        ("\x00\x01\x02", "not understood"),
        ("{" * 100_000, "not understood"),
    ],
)
def test_what_is_not_whole_is_no_answer(text, why):
    with pytest.raises(Unreadable, match=why):
        read(text)


def test_less_meters_than_ours_are_none():
    assert not read(ALL.replace("max_meter:262144", "max_meter:100")).told.metered
    assert not read(ALL.replace("band_types: drop", "band_types: dscp_remark")).told.metered


def test_the_command(tmp_path):
    (tmp_path / "shop.yaml").write_text(SHOP)
    for text, status in ((ALL, 1), (ALL.replace("flow_count=2", "flow_count=3"), 2), (ROWS, 2)):
        result = portcullis("verify", tmp_path / "shop.yaml", "--evidence", "-", stdin=text)
        assert result.exit_code == status, result.output
        assert bool(result.stdout) is (status == 1)
    other = ALL.replace("dpid:00005254000000a1", "dpid:00005254000000a2")
    result = portcullis("verify", tmp_path / "shop.yaml", "--evidence", "-", stdin=other)
    assert (result.exit_code, result.stdout) == (2, "") and "knows no bridge 00005254000000a2" in result.stderr


def test_settings_that_say_nothing(tmp_path):
    (tmp_path / "shop.yaml").write_text(SHOP)
    for words in (
        ("--learn", "none", "--learn", "dhcp"),
        ("--wait", "nan"),
        ("--ovsdb", "http://x"),
        ("--ovsdb", "ssl:a:1"),
    ):
        result = portcullis("verify", tmp_path / "shop.yaml", *words)
        assert (result.exit_code, result.stdout) == (2, "")
