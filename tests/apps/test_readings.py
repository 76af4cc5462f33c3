"""What a switch is asked about its flows, meters and counters, and what is made of its answers."""

import struct

import pytest
from ryu.ofproto import ofproto_v1_4 as ofp

from policy.flows import wire
from policy.flows.cookies import COUNTED, reason
from policy.flows.match_wire import encode_match
from policy.flows.meters import HIGHEST_METER, Meter
from policy.flows.slots import FIRST
from ryu_apps.facts import (
    FlowsCounted,
    FlowsRead,
    MetersCounted,
    MetersRead,
    ReadFailed,
    ReadFlows,
    ReadMeters,
    Unwatched,
)
from ryu_apps.switches import counting, readings
from ryu_apps.switches.counting import PATIENCE
from tests.apps.switch_room import DPID, FLOWS, Datapath, Room


def entry(flow):
    """One entry of a flow-statistics reply."""
    tests = encode_match(flow.match)
    rest = tests + wire.encode_instructions(flow.actions, FIRST)
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


MONITOR = ofp.OFPMP_FLOW_MONITOR


def is_monitor(message):
    return struct.unpack_from("!H", message[2], 8)[0] == MONITOR


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


def test_flows_are_not_read_as_they_are_heard_but_when_there_is_time(monkeypatch):
    room = Room()
    xid = asked(room)
    decode = wire.decode_flow_stats
    monkeypatch.setattr(wire, "decode_flow_stats", lambda body: pytest.fail("read while it is heard"))
    room.hear(part(xid, entry(FLOWS[0]), more=True))
    room.hear(part(xid, entry(FLOWS[1])))
    (told,) = room.facts
    monkeypatch.setattr(wire, "decode_flow_stats", decode)
    assert [found.flow for found in readings.read(told).entries] == [*FLOWS[:2]]


def test_no_end_of_flows_or_meters(monkeypatch):
    for limit, body, what in (
        ("MAX_OCTETS", entry(FLOWS[0]) * 2, ofp.OFPMP_FLOW),
        ("MAX_METERS", METER_CONFIGS, ofp.OFPMP_METER_CONFIG),
    ):
        room = Room()
        _, configs, xid = questions(room)
        most = len(body) if what == ofp.OFPMP_FLOW else 2
        monkeypatch.setattr(readings, limit, most)
        asked_about = xid if what == ofp.OFPMP_FLOW else configs
        room.hear(part(asked_about, body, more=True, what=what))
        assert room.take() == []
        monkeypatch.setattr(readings, limit, most - 1)
        room.hear(part(asked_about, body[:0], more=True, what=what))
        assert room.take() == [ReadFailed(DPID, room.session, "it tells no end of flows or meters")]
        monkeypatch.undo()


def test_a_question_that_is_refused():
    room = Room()
    xid = asked(room)
    room.error(xid, ofp.OFPET_BAD_REQUEST, ofp.OFPBRC_EPERM)
    room.error(xid, ofp.OFPET_BAD_REQUEST, ofp.OFPBRC_EPERM)
    assert room.take() == [ReadFailed(DPID, room.session, "OpenFlow error OFPBRC_EPERM")]


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


def counters(room):
    """The xids of a question about counters: of flows, and of meters last; none if nothing is asked."""
    assert room.switches.count() == 1
    return [xid for _, xid, _ in room.datapath.take()]


def answer_counters(room, xids):
    for xid in xids[:-1]:
        room.hear(part(xid, b""))
    room.hear(part(xids[-1], b"", what=ofp.OFPMP_METER))


def test_who_asks_while_counters_are_told_gets_the_same_answer():
    room = Room()
    xids = counters(room)
    assert counters(room) == []
    answer_counters(room, xids)
    assert [type(fact) for fact in room.take()] == [FlowsCounted, MetersCounted]
    assert counters(room)


def test_counters_that_a_switch_does_not_tell_are_asked_for_anew(monkeypatch):
    room = Room()
    now = [0.0]
    monkeypatch.setattr(room.switches._connections[DPID][-1].counting, "_clock", lambda: now[0])
    old = counters(room)
    now[0] = PATIENCE
    xids = counters(room)
    answer_counters(room, old)
    assert room.take() == []
    answer_counters(room, xids)
    assert len(room.take()) == 2
    # One who tells for ever is not listened to for ever.
    xids = counters(room)
    now[0] += PATIENCE + 1
    room.hear(part(xids[0], entry(FLOWS[0]), more=True))
    assert room.take() == [MetersCounted(DPID, room.session, ())]
    answer_counters(room, xids)
    assert room.take() == []


def told_meters(room, serial, *bodies):
    """The meters, as what comes of an answer to the question about them."""
    room.switches.read_meters(ReadMeters(DPID, room.session, serial))
    ((_, xid, _),) = room.datapath.take()
    for number, body in enumerate(bodies, 1):
        room.hear(part(xid, body, more=number < len(bodies), what=ofp.OFPMP_METER_CONFIG))
    (fact,) = room.take()
    assert (type(fact), fact.serial) == (MetersRead, serial)
    return fact.meters


CHANGED = struct.pack("!HHIHHII4x", 24, 14, 7, 1, 16, 100, 300)


@pytest.mark.parametrize(("body", "meters"), [(METER_CONFIGS[:24], {7: METERS[7]}), (CHANGED, {7: Meter(7, 100, 300)})])
def test_meters_that_are_told_as_before_are_the_same_object_and_others_are_not(body, meters):
    room = Room()
    first = told_meters(room, 1, METER_CONFIGS[:24], METER_CONFIGS[24:])
    assert first == METERS
    assert told_meters(room, 2, METER_CONFIGS[:24], METER_CONFIGS[24:]) is first
    assert told_meters(room, 3, body) == meters


def test_no_end_of_counters_or_meters(monkeypatch):
    room = Room()
    monkeypatch.setattr(counting, "MAX_TOLD", 2)
    xids = counters(room)
    room.hear(part(xids[0], entry(FLOWS[0]) * 2, more=True))
    assert room.take() == []
    room.hear(part(xids[0], entry(FLOWS[0]), more=True))
    assert room.take() == [MetersCounted(DPID, room.session, ())]
    monkeypatch.setattr(readings, "MAX_METERS", 1)
    room.switches.read_meters(ReadMeters(DPID, room.session, 3))
    ((_, xid, _),) = room.datapath.take()
    room.hear(part(xid, METER_CONFIGS, more=True, what=ofp.OFPMP_METER_CONFIG))
    assert [type(fact) for fact in room.take()] == [ReadFailed]


@pytest.mark.parametrize("spoil", ["refused", "unreadable"])
def test_flows_that_are_not_all_counted_are_no_reading(spoil):
    """What is missing in a reading would be counted anew by the next, from its beginning."""
    room = Room()
    first, *others = counters(room)
    if spoil == "refused":
        room.error(first, ofp.OFPET_BAD_REQUEST, ofp.OFPBRC_EPERM)
    else:
        room.hear(part(first, b"xx"))
    answer_counters(room, others)
    assert room.take() == [MetersCounted(DPID, room.session, ())]


def test_a_switch_that_has_meters_and_does_not_tell_them_is_not_read():
    room = Room()
    features, configs, xid = questions(room)
    room.hear(part(features, struct.pack("!IIIBB2x", HIGHEST_METER, 2, 15, 1, 0), what=ofp.OFPMP_METER_FEATURES))
    room.error(configs, ofp.OFPET_BAD_REQUEST, ofp.OFPBRC_EPERM)
    room.hear(part(xid, b""))
    assert room.take() == [ReadFailed(DPID, room.session, "it does not tell its meters")]


def test_meters_are_read_alone_and_a_switch_that_refuses_is_read_anew():
    room = Room()
    ask = ReadMeters(DPID, room.session, 3)
    room.switches.read_meters(ask)
    ((_, xid, _),) = room.datapath.take()
    room.hear(part(xid, METER_CONFIGS[:24], more=True, what=ofp.OFPMP_METER_CONFIG))
    assert room.take() == []
    room.hear(part(xid, METER_CONFIGS[24:], what=ofp.OFPMP_METER_CONFIG))
    assert room.take() == [MetersRead(DPID, room.session, 3, METERS)]
    for refuse in (
        lambda xid: room.error(xid, ofp.OFPET_BAD_REQUEST, ofp.OFPBRC_EPERM),
        lambda xid: room.hear(part(xid, METER_CONFIGS[:20], what=ofp.OFPMP_METER_CONFIG)),
    ):
        room.switches.read_meters(ask)
        ((_, xid, _),) = room.datapath.take()
        refuse(xid)
        assert [type(fact) for fact in room.take()] == [ReadFailed]
        # The question is over: what may follow answers nothing.
        room.hear(part(xid, METER_CONFIGS, what=ofp.OFPMP_METER_CONFIG))
        assert room.take() == []


def test_the_monitor_is_asked_for_once_a_connection():
    room = Room()
    second = Datapath(address="10.0.0.2")

    def monitors(datapath, session):
        room.switches.read(ReadFlows(DPID, session))
        return [xid for _, xid, data in datapath.take() if struct.unpack_from("!H", data, 8)[0] == MONITOR]

    (xid,) = monitors(room.datapath, room.session)
    assert monitors(room.datapath, room.session) == []
    room.switches.up(second)
    assert len(monitors(second, room.take()[0].session)) == 1
    # The first is used again: the switch still tells it, and would refuse a second request.
    room.switches.down(second)
    again = room.take()[1].session
    assert monitors(room.datapath, again) == []
    room.error(xid)
    assert room.take() == []


def test_a_switch_that_has_no_monitor_is_told_of_once(caplog):
    room = Room()
    room.switches.read(ReadFlows(DPID, room.session))
    xid = room.datapath.take()[0][1]
    for _ in range(2):
        room.error(xid, ofp.OFPET_BAD_REQUEST, ofp.OFPBRC_BAD_MULTIPART)
    assert room.take() == [Unwatched(DPID, room.session)]
    assert "read back from time to time" in caplog.text
