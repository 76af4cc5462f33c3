"""One thread for all: whoever works for long lets the others in, and nobody sees the engine at half of its work."""

import json

from ryu_apps.http import _encoded
from tests.apps.test_worker import run

# An engine that is at work until somebody else has had a turn (or for ever, if nobody gets one).
AT_WORK = """
from ryu_apps import turns, worker as room
from topology.breath import breathing
turns.TURN = 0.0
seen = []
def handle(facts):
    seen.append("begun")
    for _ in breathing(range(100_000)):
        if "heard" in seen:
            break
    seen.append("done")
    return []
worker.engine.handle = handle
worker.put(GraceOver())
"""


def test_others_are_heard_while_the_engine_is_at_work():
    done = run(
        AT_WORK
        + """
hub.sleep(0)
while "begun" not in seen:
    hub.sleep(0)
seen.append("heard")
worker.wait_for_change(20)
assert seen == ["begun", "heard", "done"], seen
"""
    )
    assert done.returncode == 0, done.stderr


def test_the_status_waits_until_the_engine_has_done_its_work_and_the_engine_until_the_status_is_made():
    done = run(
        AT_WORK
        + """
room.status_of = lambda engine: [seen.append("status") for _ in breathing(range(100), 1)] and {}
while "begun" not in seen:
    hub.sleep(0)
asked = hub.spawn(lambda: worker.status)
hub.sleep(0)
assert "status" not in seen
seen.append("heard")
asked.wait()
assert seen == ["begun", "heard", "done", *["status"] * 100], seen
# And the other way round.
seen[:] = ["heard"]
def ask():
    turns.Turns()
    return worker.status
worker._status = None
asked = hub.spawn(ask)
worker.put(GraceOver())
asked.wait()
while not worker.idle:
    hub.sleep(0)
told = [word for word in seen if word != "heard"]
assert told in (["begun", "done", *["status"] * 100], [*["status"] * 100, "begun", "done"]), told
"""
    )
    assert done.returncode == 0, done.stderr


def test_what_bridges_have_told_is_read_one_after_the_other_and_what_else_waits_goes_before():
    done = run(
        """
from ryu_apps import worker as room
order = []
def read(told):
    order.append(("read", told.dpid))
    if told.dpid == 1:
        worker.put(GraceOver())
    return FlowsRead(told.dpid, told.session, (), {}, 0)
room.read = read
counted = []
worker.reporter.put = counted.append
worker.engine.handle = lambda facts: order.append([type(fact).__name__ for fact in facts[1:]]) or []
worker.put(GraceOver())
worker.put(FlowsTold(1, 1, (b"",), {}, 0))
worker.put(FlowsTold(2, 1, (b"",), {}, 0))
worker.put(GraceOver())
while not worker.idle:
    hub.sleep(0.01)
expected = [("read", 1), ["GraceOver", "GraceOver", "FlowsRead"], ("read", 2), ["GraceOver", "FlowsRead"]]
assert order == expected, order
assert [fact.dpid for fact in counted] == [1, 2]
"""
    )
    assert done.returncode == 0, done.stderr


def test_a_page_in_pieces_is_the_page():
    page = {"enforced": True, "none": [], "vnics": [{"a": "ü\n", "b": None}, {"c": [1, 2]}], "policy": {"x": [1]}}
    for value in (page, {}, {"one": []}):
        assert json.loads("".join(_encoded(value))) == value
