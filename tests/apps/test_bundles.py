"""Changes as they are sent to a switch, and what is made of its answers."""

import struct

import pytest
from ryu.ofproto import ofproto_v1_4 as ofp
from ryu.ofproto import ofproto_v1_4_parser as parser
from ryu.ofproto.ofproto_parser import header

from policy.flows import openflow, wire
from policy.flows.cookies import Kind, cookie
from policy.flows.flow import Punt
from policy.flows.match_wire import encode_match
from policy.flows.meters import Meter
from policy.flows.tables import TABLES
from policy.flows.text import flow_text
from ryu_apps.facts import (
    BundleDone,
    BundleRefused,
)
from ryu_apps.switches.bundles import ATOMIC
from tests.apps.switch_room import DPID, FLOWS, Room, control_of, ryu_reads


def test_a_bundle_is_one_stream_of_messages_that_ryu_and_we_read_alike():
    room = Room()
    foreign = wire.Installed(3, 77, 0xBAD, encode_match(()), None, 0, 0)
    sent = room.bundle(add=FLOWS[1:], remove=FLOWS[:1], foreign=(foreign,), unlearn=True)
    assert [kind for kind, _, _ in sent] == [
        ofp.OFPT_BUNDLE_CONTROL,
        *[ofp.OFPT_BUNDLE_ADD_MESSAGE] * (len(FLOWS) + 2),
        ofp.OFPT_BUNDLE_CONTROL,
    ]
    assert control_of(sent[0][2]) == (5, ofp.OFPBCT_OPEN_REQUEST, ATOMIC)
    assert control_of(sent[-1][2]) == (5, ofp.OFPBCT_CLOSE_REQUEST, ATOMIC)
    assert len({xid for _, xid, _ in sent}) == len(sent), "an xid names two messages"
    inner = []
    for _, xid, data in sent[1:-1]:
        bundle, _, flags = struct.unpack_from("!IHH", data, 8)
        version, kind, length, inner_xid = header(data[16:])
        assert (bundle, flags, version, kind, inner_xid) == (5, ATOMIC, 5, ofp.OFPT_FLOW_MOD, xid)
        assert length == len(data) - 16
        if ryu_reads(data[16:]):
            inner.append(parser.OFPFlowMod.parser(room.datapath, version, kind, length, xid, data[16:]))
    commands = [message.command for message in inner]
    told = [flow for flow in FLOWS[1:] if not any(isinstance(action, Punt) for action in flow.actions)]
    assert 0 < len(told) < len(FLOWS) - 1
    adds = [ofp.OFPFC_ADD] * len(told)
    assert commands == [ofp.OFPFC_DELETE_STRICT, ofp.OFPFC_DELETE_STRICT, *adds, ofp.OFPFC_DELETE]
    assert (inner[0].table_id, inner[0].priority, inner[0].cookie_mask) == (3, 77, 0)
    for message, flow in zip(inner[2:-1], told, strict=True):
        assert (message.table_id, message.priority, message.cookie) == (flow.table.number, flow.priority, flow.cookie)


def test_another_slot_has_other_numbers_and_an_old_one_is_emptied_whole():
    room = Room()
    outdated = wire.Installed(0, 66, cookie(Kind.VNIC, 1), encode_match(()), None, 0, 0, 0)
    sent = room.bundle(add=FLOWS, remove=(), slot=1, outdated=(outdated,), unlearn=True, retire=(0, 2))
    inner = [data[16:] for kind, _, data in sent if kind == ofp.OFPT_BUNDLE_ADD_MESSAGE]
    said = [(data[24], data[25], int.from_bytes(data[30:32], "big")) for data in inner]
    tables = [64 + flow.table.number if flow.table.number else 0 for flow in FLOWS]
    assert said == [
        (0, ofp.OFPFC_DELETE_STRICT, 66),
        *((number, ofp.OFPFC_ADD, flow.priority) for number, flow in zip(tables, FLOWS, strict=True)),
        (64 + TABLES["LEARNED"].number, ofp.OFPFC_DELETE, 0),
        *((number, ofp.OFPFC_DELETE, 0) for number in (*range(1, 62), *range(129, 190))),
    ]
    assert [data[8:] for data in inner[1:-123]] == [wire.flow_mod(flow, 1, 0)[8:] for flow in FLOWS]


def test_it_is_committed_when_the_switch_has_closed_it_and_only_once():
    room = Room()
    room.bundle()
    room.control(ofp.OFPBCT_OPEN_REPLY)
    room.control(ofp.OFPBCT_COMMIT_REPLY)
    room.control(ofp.OFPBCT_CLOSE_REPLY, bundle=4)
    assert room.datapath.take() == [] and room.take() == []
    room.control(ofp.OFPBCT_CLOSE_REPLY)
    room.control(ofp.OFPBCT_CLOSE_REPLY)
    ((kind, _, data),) = room.datapath.take()
    assert kind == ofp.OFPT_BUNDLE_CONTROL and control_of(data) == (5, ofp.OFPBCT_COMMIT_REQUEST, ATOMIC)
    assert room.take() == []
    room.control(ofp.OFPBCT_COMMIT_REPLY)
    room.control(ofp.OFPBCT_COMMIT_REPLY)
    assert room.take() == [BundleDone(DPID, room.session, 5)]


@pytest.mark.parametrize("place", [0, 40, -1])
def test_an_error_about_a_flow_names_it_and_nothing_is_committed(place):
    room = Room()
    sent = room.bundle()
    flow = FLOWS[place]
    xid = sent[1:-1][place][1]
    room.error(xid)
    (refused,) = room.take()
    assert refused == BundleRefused(DPID, room.session, 5, f"OpenFlow error OFPBMC_BAD_PREREQ: {flow_text(flow)}", flow)
    ((_, _, data),) = room.datapath.take()
    assert control_of(data) == (5, ofp.OFPBCT_DISCARD_REQUEST, ATOMIC)
    # The switch goes on about the same bundle: it is over.
    room.error(sent[3][1])
    room.control(ofp.OFPBCT_CLOSE_REPLY)
    room.control(ofp.OFPBCT_COMMIT_REPLY)
    assert room.take() == [] and room.datapath.take() == []


def test_an_error_at_the_commit():
    room = Room()
    sent = room.bundle()
    room.control(ofp.OFPBCT_CLOSE_REPLY)
    ((_, commit, _),) = room.datapath.take()
    # As OVS tells it: first the message, then the commit.
    room.error(sent[2][1], ofp.OFPET_FLOW_MOD_FAILED, ofp.OFPFMFC_TABLE_FULL)
    room.error(commit, ofp.OFPET_BUNDLE_FAILED, ofp.OFPBFC_MSG_FAILED)
    (refused,) = room.take()
    assert refused.flow is FLOWS[1] and refused.error.startswith("OpenFlow error OFPFMFC_TABLE_FULL: ")
    assert room.datapath.take() == [], "a bundle that the switch has taken away is not there to discard"


@pytest.mark.parametrize(
    "error,text",
    [
        ((ofp.OFPET_BUNDLE_FAILED, ofp.OFPBFC_TIMEOUT), "OpenFlow error OFPBFC_TIMEOUT"),
        ((77, 78), "OpenFlow error type 77, code 78"),
        ((ofp.OFPET_BAD_ACTION, 999), "OpenFlow error type 2, code 999"),
    ],
)
def test_an_error_that_names_no_flow(error, text):
    room = Room()
    room.error(room.bundle()[0][1], *error)
    assert room.take() == [BundleRefused(DPID, room.session, 5, text, None)]


def test_an_error_of_a_vendor():
    room = Room()
    xid = room.bundle()[0][1]
    room.hear(struct.pack("!BBHIHHI", 5, ofp.OFPT_ERROR, 16, xid, ofp.OFPET_EXPERIMENTER, 9, openflow.NICIRA))
    assert room.take() == [BundleRefused(DPID, room.session, 5, "OpenFlow error of vendor 0x2320, type 9", None)]


def test_zones_are_forgotten_first_in_the_words_of_nicira_ext_h():
    room = Room()
    sent = room.bundle(forget=(7, 65535))
    for (kind, xid, data), zone in zip(sent, (7, 65535), strict=False):
        # struct nicira_header: vendor 0x00002320, subtype NXT_CT_FLUSH_ZONE; struct nx_zone_id: pad[6], zone.
        assert kind == ofp.OFPT_EXPERIMENTER
        assert data == struct.pack("!BBHIII6xH", 5, 4, 24, xid, 0x00002320, 29, zone)
    assert sent[2][0] == ofp.OFPT_BUNDLE_CONTROL
    room.error(sent[1][1], ofp.OFPET_BAD_REQUEST, ofp.OFPBRC_BAD_TYPE)
    assert isinstance(room.take()[0], BundleRefused)


def test_meters_are_there_before_the_flows_and_go_after_them():
    room = Room()
    added, changed = Meter(1, 10, 20), Meter(2, 30, 40)
    sent = room.bundle(add_meters=(added,), change_meters=(changed,), remove_meters=(3,))
    expected = ((added, ofp.OFPMC_ADD), (changed, ofp.OFPMC_MODIFY))
    for (kind, xid, data), (meter, command) in zip(sent[:2], expected, strict=True):
        assert kind == ofp.OFPT_METER_MOD
        message = parser.OFPMeterMod(
            room.datapath, command, ofp.OFPMF_PKTPS | ofp.OFPMF_BURST | ofp.OFPMF_STATS, meter.number,
            [parser.OFPMeterBandDrop(meter.rate, meter.burst)],
        )  # fmt: skip
        message.set_xid(xid)
        message.serialize()
        assert data == bytes(message.buf)
    assert sent[2][0] == ofp.OFPT_BUNDLE_CONTROL
    room.control(ofp.OFPBCT_CLOSE_REPLY)
    assert [kind for kind, _, _ in room.datapath.take()] == [ofp.OFPT_BUNDLE_CONTROL]
    room.control(ofp.OFPBCT_COMMIT_REPLY)
    ((kind, _, data),) = room.datapath.take()
    assert kind == ofp.OFPT_METER_MOD and struct.unpack_from("!HHI", data, 8) == (ofp.OFPMC_DELETE, 0, 3)
    assert room.take() == [BundleDone(DPID, room.session, 5)]


def test_a_meter_that_is_refused_is_a_refused_bundle():
    room = Room()
    sent = room.bundle(add_meters=(Meter(1, 10, 20),))
    room.error(sent[0][1], ofp.OFPET_METER_MOD_FAILED, ofp.OFPMMFC_OUT_OF_METERS)
    (refused,) = room.take()
    assert isinstance(refused, BundleRefused) and refused.flow is None


def test_a_meter_that_stays_though_it_was_removed_is_logged(caplog):
    room = Room()
    room.bundle(remove_meters=(3,))
    room.control(ofp.OFPBCT_CLOSE_REPLY)
    room.control(ofp.OFPBCT_COMMIT_REPLY)
    removal = room.datapath.take()[-1][1]
    room.error(removal, ofp.OFPET_METER_MOD_FAILED, ofp.OFPMMFC_UNKNOWN_METER)
    assert [type(fact) for fact in room.take()] == [BundleDone]
    (record,) = caplog.records
    assert "a meter was not removed: OpenFlow error" in record.message
    # What a refused bundle's messages have to say besides is no such thing.
    caplog.clear()
    sent = room.bundle()
    for _, xid, _ in sent[1:4]:
        room.error(xid)
    assert not any("not removed" in record.message for record in caplog.records)
