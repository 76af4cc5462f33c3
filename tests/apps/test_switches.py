"""The OpenFlow side with a datapath that only notes bytes: what is sent, and what is made of the answers."""

import struct
from ipaddress import ip_network

import pytest
from ryu.ofproto import ofproto_v1_4 as ofp
from ryu.ofproto import ofproto_v1_4_parser as parser
from ryu.ofproto.ofproto_parser import header, msg

from policy.flows import action_wire, openflow, wire
from policy.flows.bridge_book import bridge_flows
from policy.flows.compile import prepare
from policy.flows.cookies import reason
from policy.flows.flow import Punt
from policy.flows.match_wire import encode_match
from policy.flows.meters import HIGHEST_METER, Meter
from policy.flows.text import flow_text
from ryu_apps.engine import NO_POLICY
from ryu_apps.facts import (
    BundleDone,
    BundleRefused,
    FlowsCounted,
    FlowsRead,
    MetersCounted,
    ReadFailed,
    ReadFlows,
    SendBundle,
    SwitchDown,
    SwitchUp,
)
from ryu_apps.switches import ATOMIC, COUNTED, MAX_COMPLAINTS, Switches
from topology.ports import Bridge, UplinkPort, VnicPort
from topology.vnic import Vnic

DPID = 0x5A
ERROR = struct.Struct("!BBHIHH")


# A small bridge whose flows have all shapes.
VNIC = Vnic("web", mac="52:54:00:00:00:01", addresses=tuple(map(ip_network, ("10.0.0.1/32", "2001:db8::1/128"))))
PORTS = (VnicPort("tap", 7, 10, VNIC, 99, "u"), UplinkPort("bond", "uplink", (("e0", 1), ("e1", 2))))
BRIDGE = Bridge("r", "u", "h", "br0", DPID, "secure", False, PORTS)
FLOWS = tuple(bridge_flows(prepare(NO_POLICY, [VNIC]), BRIDGE, {}).values())


class Datapath:
    """What the application needs of Ryu's."""

    ofproto = ofp
    ofproto_parser = parser

    def __init__(self, dpid=DPID, address="10.0.0.1"):
        self.id, self.address = dpid, address
        self.xid = ofp.MAX_XID - 3  # it runs over within each test
        self.sent = []
        self.closed = 0

    def set_xid(self, message):
        self.xid = (self.xid + 1) & ofp.MAX_XID
        message.set_xid(self.xid)

    def send(self, data):
        self.sent.append(data)

    def close(self):
        self.closed += 1

    def take(self):
        """What has been sent since, as (message type, xid, body)."""
        data, self.sent = b"".join(self.sent), []
        found = []
        while data:
            version, kind, length, xid = header(data)
            assert version == ofp.OFP_VERSION and 8 <= length <= len(data)
            found.append((kind, xid, data[:length]))
            data = data[length:]
        return found


class Room:
    """`Switches` with one datapath connected, and the facts that came."""

    def __init__(self):
        self.facts = []
        self.switches = Switches(self.facts.append, spawn=lambda task, *arguments: task(*arguments))
        self.datapath = Datapath()
        self.switches.up(self.datapath)
        self.session = self.take()[0].session

    def take(self):
        facts, self.facts[:] = list(self.facts), []
        return facts

    def hear(self, data, datapath=None):
        """Bytes of the switch, through Ryu's parser, to where the application hands them."""
        version, kind, length, xid = header(data)
        message = msg(datapath or self.datapath, version, kind, length, xid, data)
        hears = {
            ofp.OFPT_ERROR: self.switches.heard_error,
            ofp.OFPT_MULTIPART_REPLY: self.switches.heard_flows,
            ofp.OFPT_BUNDLE_CONTROL: self.switches.heard_bundle,
            ofp.OFPT_ROLE_REPLY: self.switches.heard_role,
            ofp.OFPT_ROLE_STATUS: self.switches.heard_demotion,
        }
        hears[kind](message)

    def bundle(self, **more):
        fields = {"add": FLOWS, "remove": (), **more}
        self.switches.send(SendBundle(DPID, self.session, 5, **fields))
        return self.datapath.take()

    def control(self, kind, bundle=5):
        self.hear(struct.pack("!BBHIIHH", 5, ofp.OFPT_BUNDLE_CONTROL, 16, 1, bundle, kind, 3))

    def error(self, xid, kind=ofp.OFPET_BAD_MATCH, code=ofp.OFPBMC_BAD_PREREQ, data=b""):
        self.hear(ERROR.pack(5, ofp.OFPT_ERROR, 12 + len(data), xid, kind, code) + data)


def ryu_reads(flow_mod):
    """False for a metered copy to the controller, whose properties Ryu cannot read (OVS reads them: `test_wire`)."""
    return struct.pack("!IH", openflow.NICIRA, action_wire.CONTROLLER2) not in flow_mod


def control_of(data):
    return struct.unpack_from("!IHH", data, 8)


# --- bundles


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


def test_errors_about_nothing_are_logged_but_not_for_ever(caplog):
    room = Room()
    for xid in range(1000, 1100):
        room.error(xid)
    assert room.take() == []
    assert len(caplog.records) == MAX_COMPLAINTS


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


# --- reading


def entry(flow):
    """One entry of a flow-statistics reply."""
    tests = encode_match(flow.match)
    rest = tests + wire.encode_instructions(flow.actions)
    return (
        struct.pack(
            "!HBxIIHHHHHHQQQ", 48 + len(rest), flow.table.number, 0, 0, flow.priority, 0, 0, 0, 0, 0, flow.cookie, 1, 2
        )
        + rest
    )


def part(xid, body, more=False, what=ofp.OFPMP_FLOW):
    return struct.pack("!BBHIHH4x", 5, ofp.OFPT_MULTIPART_REPLY, 16 + len(body), xid, what, more) + body


METERS = {7: Meter(7, 100, 200), 8: None}
# A meter of ours, and one that counts kilobits.
METER_CONFIGS = struct.pack("!HHIHHII4x", 24, 14, 7, 1, 16, 100, 200) + struct.pack("!HHIHHII4x", 24, 1, 8, 1, 16, 5, 0)


def asked(room):
    """What the bridge is asked, its meters told already; the xid of the question about flows."""
    features, configs, xid = questions(room)
    room.hear(part(features, struct.pack("!IIIBB2x", HIGHEST_METER, 2, 15, 1, 0), what=ofp.OFPMP_METER_FEATURES))
    room.hear(part(configs, METER_CONFIGS, what=ofp.OFPMP_METER_CONFIG))
    return xid


def is_monitor(message):
    return struct.unpack_from("!H", message[2], 8)[0] == ofp.OFPMP_FLOW_MONITOR


def questions(room):
    room.switches.read(ReadFlows(DPID, room.session))
    sent = [message for message in room.datapath.take() if not is_monitor(message)]
    assert {kind for kind, _, _ in sent} == {ofp.OFPT_MULTIPART_REQUEST}
    kinds = [struct.unpack_from("!H", data, 8)[0] for _, _, data in sent]
    assert kinds == [ofp.OFPMP_METER_FEATURES, ofp.OFPMP_METER_CONFIG, ofp.OFPMP_FLOW]
    table, cookie_mask = struct.unpack_from("!B23xQ", sent[2][2], 16)
    assert (table, cookie_mask) == (ofp.OFPTT_ALL, 0)
    return [xid for _, xid, _ in sent]


def test_flows_come_in_parts():
    room = Room()
    xid = asked(room)
    thirds = [FLOWS[:50], FLOWS[50:100], FLOWS[100:]]
    for number, flows in enumerate(thirds):
        assert room.take() == []
        room.hear(part(xid, b"".join(map(entry, flows)), more=number < 2))
    (fact,) = room.take()
    assert isinstance(fact, FlowsRead) and fact.session == room.session
    assert tuple(found.flow for found in fact.entries) == FLOWS
    assert (fact.meters, fact.most_meters) == (METERS, HIGHEST_METER)
    # The same answer again answers nothing.
    room.hear(part(xid, b""))
    assert room.take() == []


def test_parts_of_an_older_question_are_not_mixed_in():
    room = Room()
    old = asked(room)
    room.hear(part(old, entry(FLOWS[0]), more=True))
    xid = asked(room)
    room.hear(part(old, entry(FLOWS[1])))
    room.hear(part(xid, b""))
    assert room.take() == [FlowsRead(DPID, room.session, (), METERS, HIGHEST_METER)]


def test_a_switch_that_tells_no_meters_has_none():
    room = Room()
    features, configs, xid = questions(room)
    room.error(features, ofp.OFPET_BAD_REQUEST, ofp.OFPBRC_BAD_MULTIPART)
    room.error(configs, ofp.OFPET_BAD_REQUEST, ofp.OFPBRC_BAD_MULTIPART)
    room.hear(part(xid, b""))
    assert room.take() == [FlowsRead(DPID, room.session, (), {}, 0)]


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


@pytest.mark.parametrize("cut", [1, 20, 47, 55])
def test_a_malformed_answer_is_a_failed_read(cut):
    room = Room()
    xid = asked(room)
    room.hear(part(xid, entry(FLOWS[0]) + entry(FLOWS[1])[:cut]))
    (fact,) = room.take()
    assert isinstance(fact, ReadFailed) and "cut short" in fact.error
    # What may follow of it is not waited for.
    room.hear(part(xid, b""))
    assert room.take() == []


def test_a_decoder_that_fails_is_that_bridges_trouble_only(monkeypatch):
    room = Room()
    xid = asked(room)
    monkeypatch.setattr(wire, "decode_flow_stats", lambda body: 1 // 0)
    room.hear(part(xid, b"x"))
    assert isinstance(room.take()[0], ReadFailed)


def test_a_question_that_is_refused():
    room = Room()
    xid = asked(room)
    room.error(xid, ofp.OFPET_BAD_REQUEST, ofp.OFPBRC_EPERM)
    room.error(xid, ofp.OFPET_BAD_REQUEST, ofp.OFPBRC_EPERM)
    assert room.take() == [ReadFailed(DPID, room.session, "OpenFlow error OFPBRC_EPERM")]


# --- connections


def test_nothing_is_sent_to_connections_that_are_gone():
    room = Room()
    room.switches.down(room.datapath)
    assert room.take() == [SwitchDown(DPID, room.session)]
    room.switches.down(room.datapath)
    room.bundle()
    room.switches.read(ReadFlows(DPID, room.session))
    room.switches.disconnect(DPID, room.session)
    room.control(ofp.OFPBCT_COMMIT_REPLY)
    room.error(1)
    assert room.take() == [] and room.datapath.sent == [] and room.datapath.closed == 0


def test_of_two_connections_of_one_bridge_the_newest_is_used_and_then_the_other(caplog):
    room = Room()
    first, second = room.datapath, Datapath(address="10.0.0.2")
    room.bundle()
    room.switches.up(second)
    (up,) = room.take()
    assert isinstance(up, SwitchUp) and up.session != room.session
    assert "10.0.0.2" in caplog.text and "10.0.0.1" in caplog.text
    # The older one's answers are nobody's, and its bundle is never committed.
    room.control(ofp.OFPBCT_CLOSE_REPLY)
    assert first.take() == [] and room.take() == []
    room.switches.read(ReadFlows(DPID, up.session))
    assert second.take() and not first.take()
    room.switches.down(second)
    down, again = room.take()
    assert down == SwitchDown(DPID, up.session)
    assert isinstance(again, SwitchUp) and again.session not in (room.session, up.session)
    room.session = again.session
    room.control(ofp.OFPBCT_CLOSE_REPLY)
    assert first.take() == []
    assert room.bundle()
    room.switches.disconnect(DPID, again.session)
    assert first.closed == 1


def test_an_old_connection_that_ends_is_not_news():
    room = Room()
    second = Datapath()
    room.switches.up(second)
    room.take()
    room.switches.down(room.datapath)
    assert room.take() == []
    room.switches.down(second)
    assert [type(fact) for fact in room.take()] == [SwitchDown]


def test_sending_never_waits():
    """Ryu's send does, when a switch does not read. It is left to a green thread of its own."""
    tasks = []
    facts = []
    switches = Switches(facts.append, spawn=lambda *task: tasks.append(task))
    datapath = Datapath()
    switches.up(datapath)
    session = facts[0].session
    switches.read(ReadFlows(DPID, session))
    switches.send(SendBundle(DPID, session, 1, FLOWS, ()))
    switches.disconnect(DPID, session)
    assert datapath.sent == [] and datapath.closed == 0
    assert len(tasks) == 3


def test_counters_are_asked_by_what_they_count_and_told_together():
    room = Room()
    room.switches.count()
    sent = room.datapath.take()
    kinds = [struct.unpack_from("!H", data, 8)[0] for _, _, data in sent]
    assert kinds == [*[ofp.OFPMP_FLOW] * len(COUNTED), ofp.OFPMP_METER]
    for (_, _, data), kind in zip(sent, COUNTED, strict=False):
        wanted, mask = struct.unpack_from("!QQ", data, 32)
        assert [flow for flow in FLOWS if flow.cookie & mask == wanted] == [
            flow for flow in FLOWS if reason(flow.cookie).kind is kind
        ]
    for _, xid, _ in sent[:-1]:
        room.hear(part(xid, entry(FLOWS[0])))
        assert room.take() == []
    dropped = struct.pack("!IH6xIQQIIQQ", 7, 56, 1, 9, 9, 0, 0, 5, 500)
    room.hear(part(sent[-1][1], dropped, what=ofp.OFPMP_METER))
    flows, meters = room.take()
    assert isinstance(flows, FlowsCounted) and [one.packets for one in flows.entries] == [1] * len(COUNTED)
    assert meters == MetersCounted(DPID, room.session, ((7, 5),))
