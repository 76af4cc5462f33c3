"""Connections that come and go, and several of one bridge."""

import contextlib
from ipaddress import ip_address

from ryu.ofproto import ofproto_v1_4 as ofp

from ryu_apps.facts import (
    Answer,
    Ask,
    ReadFlows,
    ReadMeters,
    SendBundle,
    SwitchDown,
    SwitchUp,
    Unasked,
)
from ryu_apps.switches.line import MAX_PENDING
from ryu_apps.switches.switches import MAX_COMPLAINTS, Switches
from tests.apps.switch_room import DPID, FLOWS, Datapath, Room


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


def test_what_can_be_left_unsaid_is_when_a_switch_does_not_read():
    tasks, facts = [], []
    switches = Switches(facts.append, spawn=lambda *task: tasks.append(task))
    switches.up(Datapath())
    session = facts[0].session

    def run_all():
        while tasks:
            task, *arguments = tasks.pop()
            task(*arguments)

    for _ in range(1000):
        switches.answer(Answer(DPID, session, 1, 0, 0, 0, b"frame"), 0)
    assert len(tasks) == MAX_PENDING
    switches.read_meters(ReadMeters(DPID, session, 1))
    assert switches.count() == 0 and len(tasks) == MAX_PENDING
    # Never what the firewall is made of.
    switches.read(ReadFlows(DPID, session))
    switches.send(SendBundle(DPID, session, 1, FLOWS, ()))
    assert len(tasks) == MAX_PENDING + 2
    run_all()
    switches.answer(Answer(DPID, session, 1, 0, 0, 0, b"frame"), 0)
    assert len(tasks) == 1 and switches.count() == 1


def test_a_question_that_cannot_be_sent_is_told_as_unasked():
    tasks, facts = [], []
    switches = Switches(facts.append, spawn=lambda *task: tasks.append(task))
    unasked = Unasked(("vm-1", "52:54:00:00:00:01"), ip_address("10.0.0.50"))
    switches.ask(Ask(DPID, 1, 0, b"frame", unasked), 0)
    assert facts == [unasked] and not tasks
    switches.up(Datapath())
    session = facts[-1].session
    for _ in range(MAX_PENDING):
        switches.ask(Ask(DPID, session, 0, b"frame", unasked), 0)
    assert facts.count(unasked) == 1 and len(tasks) == MAX_PENDING
    switches.ask(Ask(DPID, session, 0, b"frame", unasked), 0)
    assert facts.count(unasked) == 2 and len(tasks) == MAX_PENDING


def test_a_switch_that_cannot_be_sent_to_is_not_taken_for_clogged():
    class Broken(Datapath):
        def send(self, data):
            raise OSError("gone")

    def spawn(task, *arguments):
        # An exception ends a green thread and nothing else.
        with contextlib.suppress(OSError):
            task(*arguments)

    facts = []
    switches = Switches(facts.append, spawn=spawn)
    switches.up(Broken())
    for _ in range(2 * MAX_PENDING):
        switches.answer(Answer(DPID, facts[0].session, 1, 0, 0, 0, b"frame"), 0)
    assert switches.count() == 1


def test_errors_about_nothing_are_logged_but_not_for_ever(caplog):
    room = Room()
    for xid in range(1000, 1100):
        room.error(xid)
    assert room.take() == []
    assert len(caplog.records) == MAX_COMPLAINTS
