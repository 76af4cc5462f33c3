"""Two controllers, one bridge: the server's lock says who enforces, and the switch takes no change from the former."""

import pytest
from ryu.ofproto import ofproto_v1_4 as ofp

from ryu_apps.facts import ClaimBridge, FlowsTouched, RoleRefused, RoleTold
from ryu_apps.ovsdb_facts import OvsdbLock, OvsdbSnapshot
from ryu_apps.session import FIRST_PAUSE
from ryu_apps.status import troubles
from ryu_apps.worker import Worker
from tests.apps.shops import ONE, OTHER, PORTS, A, a, shop, waiting
from tests.apps.switch_room import DPID, Room
from tests.apps.worlds import World
from tests.topology.builders import P

STANDS_BY = "OVSDB unix:a: another controller enforces on its bridges; this one stands by"


def standby():
    """A world whose controller comes second."""
    world = World()
    world.policy(ONE)
    world.snapshot(a(*PORTS))
    (told,) = [fact for fact in world.facts if isinstance(fact, OvsdbSnapshot)]
    world.facts[world.facts.index(told)] = OvsdbSnapshot(told.remote, told.database, ours=False)
    world.connect(1)
    return world.run()


def test_the_second_writes_nothing_and_says_so():
    world = standby()
    assert world.sent() == 0 and world.writes == []
    assert waiting(world) == STANDS_BY
    status = world.status()
    assert status["ovsdb"][0]["ours"] is False and status["bridges"][0]["master"] is False
    assert {vnic["reason"] for vnic in status["vnics"]} == {"its bridge is another controller's; this one stands by"}
    world.policy(OTHER)
    world.facts.append(FlowsTouched(1, world.switches[1].session))
    world.run()
    world.pass_time(100)
    assert world.sent() == 0 and waiting(world) == STANDS_BY


def test_the_second_takes_over_when_the_lock_comes_to_it():
    world = standby()
    # What the first did meanwhile is not taken for drift.
    world.facts.append(FlowsTouched(1, world.switches[1].session))
    world.facts.append(OvsdbLock(A, ours=True))
    world.run()
    assert world.alarms == []
    world.check_settled()


def test_who_loses_the_lock_stops():
    world = shop()
    world.facts.append(OvsdbLock(A, ours=False))
    world.policy(OTHER)
    sent = world.sent()
    world.run()
    assert world.sent() == sent and waiting(world) == STANDS_BY


def test_while_the_server_is_away_the_holder_of_the_lock_goes_on():
    world = shop()
    world.lose(A)
    world.policy(OTHER)
    sent = world.sent()
    world.run()
    assert world.sent() == sent + 1


def test_while_the_server_is_away_the_switch_tells_that_another_has_taken_over():
    world = shop()
    world.lose(A)
    world.run()
    world.facts.append(RoleTold(1, world.switches[1].session, master=False))
    world.policy(OTHER)
    sent = world.sent()
    world.run()
    world.pass_time(100)
    assert world.sent() == sent and waiting(world) == STANDS_BY
    # The server's word counts again when it is back.
    world.snapshot(a(*PORTS))
    world.run()
    world.check_settled()


def test_who_holds_the_lock_becomes_master_again_if_some_other_program_takes_it():
    world = shop()
    world.facts.append(RoleTold(1, world.switches[1].session, master=False))
    world.run()
    assert "another controller has made itself its master" in waiting(world)
    world.pass_time(FIRST_PAUSE)
    assert world.status()["bridges"][0]["master"] is True
    world.check_settled()


def test_a_switch_that_takes_no_master_is_asked_again():
    world = shop()
    switch = world.connect(1, silent=True)
    world.run()
    switch.silent = False
    session = world.engine.sessions[1]
    session.read((), {}, 0)
    assert session.prepare()
    world.facts.append(RoleRefused(1, switch.session, "it takes no master: X"))
    world.run()
    assert waiting(world) == "bridge br0 is waiting to try again: it takes no master: X"
    world.pass_time(FIRST_PAUSE)
    world.check_settled()


# --- on the wire (OpenFlow 1.4, 7.3.8)


def role(room, xid, number, election):
    room.hear(bytes([5, ofp.OFPT_ROLE_REPLY]) + (24).to_bytes(2) + xid.to_bytes(4) + number.to_bytes(4) + bytes(4)
              + election.to_bytes(8))  # fmt: skip


def asked(room):
    ((kind, xid, data),) = room.datapath.take()
    assert kind == ofp.OFPT_ROLE_REQUEST
    return xid, int.from_bytes(data[8:12]), int.from_bytes(data[16:24])


@pytest.mark.parametrize("last,next_", [(2**64 - 1, 0), (0, 1), (41, 42)])
def test_the_next_election_is_won(last, next_):
    room = Room()
    room.switches.claim(ClaimBridge(DPID, room.session))
    xid, number, _ = asked(room)
    assert number == ofp.OFPCR_ROLE_NOCHANGE
    role(room, xid, ofp.OFPCR_ROLE_EQUAL, last)
    again, number, election = asked(room)
    assert again != xid and (number, election) == (ofp.OFPCR_ROLE_MASTER, next_)
    assert room.take() == []
    role(room, again, ofp.OFPCR_ROLE_MASTER, next_)
    role(room, again, ofp.OFPCR_ROLE_MASTER, next_)
    assert room.take() == [RoleTold(DPID, room.session, master=True)]


def test_an_election_that_somebody_else_has_won_meanwhile_is_told():
    room = Room()
    room.switches.claim(ClaimBridge(DPID, room.session))
    xid, _, _ = asked(room)
    role(room, xid, ofp.OFPCR_ROLE_SLAVE, 7)
    again, _, _ = asked(room)
    room.error(again, ofp.OFPET_ROLE_REQUEST_FAILED, ofp.OFPRRFC_STALE)
    assert room.take() == [
        RoleRefused(DPID, room.session, "it takes no master: OpenFlow error type 11, code 0"),
    ]


def test_a_demotion_is_told():
    room = Room()
    room.hear(bytes([5, ofp.OFPT_ROLE_STATUS, 0, 24]) + bytes(4) + ofp.OFPCR_ROLE_SLAVE.to_bytes(4) + bytes(12))
    assert room.take() == [RoleTold(DPID, room.session, master=False)]


def test_the_second_does_not_say_what_is_shut():
    """It has judged nothing there; and the first has not opened anything when it loses the lock."""
    it = standby()
    it.snapshot(a(*PORTS, P("stranger")))
    (told,) = [fact for fact in it.facts if isinstance(fact, OvsdbSnapshot)]
    it.facts[it.facts.index(told)] = OvsdbSnapshot(told.remote, told.database, ours=False)
    it.run()
    assert not any("is shut" in trouble for trouble in troubles(it.engine))
    it.facts.append(OvsdbLock(A, ours=True))
    it.run()
    assert any("port stranger is shut" in trouble for trouble in troubles(it.engine))


def test_the_log_says_no_longer_only_of_what_has_ended(caplog):
    caplog.set_level("INFO")
    it = shop()
    worker = Worker(it.engine)
    it.update(a(*PORTS, P("stranger")))
    it.run()

    def said():
        caplog.clear()
        worker._log_troubles()
        return [record.getMessage() for record in caplog.records]

    assert any("port stranger is shut" in line for line in said())
    it.facts.append(OvsdbLock(A, ours=False))
    it.run()
    assert said() == []
    it.facts.append(OvsdbLock(A, ours=True))
    it.run()
    assert any("port stranger is shut" in line for line in said())
    it.update(a(*PORTS))
    it.run()
    assert [line for line in said() if line.startswith("no longer: ") and "stranger" in line]
