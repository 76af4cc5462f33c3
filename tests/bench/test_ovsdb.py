"""The comparison's own way into a switch's database, against a server that we play."""

import json
import socket
import threading

import pytest

from bench.ovsdb import Ovsdb, OvsdbError


@pytest.fixture
def server(tmp_path):
    """Answers each request with what the test has put into `answers`; notes what was asked."""
    path = tmp_path / "db.sock"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen(1)
    asked, answers = [], []

    def go():
        connection, _ = listener.accept()
        with connection:
            while data := connection.recv(65536):
                asked.append(json.loads(data))
                if "method" in asked[-1]:
                    for answer in answers:
                        connection.sendall(answer)

    thread = threading.Thread(target=go, daemon=True)
    thread.start()
    database = Ovsdb(path)
    yield database, asked, answers, thread
    database.close()
    thread.join(5)
    listener.close()


def test_external_ids_change_in_one_transaction(server):
    database, asked, answers, _ = server
    answers.append(b'{"id":1,"error":null,"result":[{"count":1}]}')
    database.set_ids("third", {"labels": "probe=on"})
    (request,) = asked
    assert request["method"] == "transact"
    name, operation = request["params"]
    assert name == "Open_vSwitch"
    assert operation["where"] == [["name", "==", "third"]]
    assert operation["mutations"] == [
        ["external_ids", "delete", ["set", ["labels"]]],
        ["external_ids", "insert", ["map", [["labels", "probe=on"]]]],
    ]


def test_an_answer_in_pieces_after_a_question(server):
    database, asked, answers, thread = server
    answers += [b'{"id":"echo","method":"echo","params":[]}{"id":1,"err', b'or":null,"result":[{"count":2}]}']
    assert database.transact({"op": "comment"}) == [{"count": 2}]
    database.close()
    thread.join(5)
    assert asked[1:] == [{"result": [], "error": None, "id": "echo"}]


@pytest.mark.parametrize(
    "answer",
    [
        b'{"id":1,"error":null,"result":[{"count":1},{"error":"constraint violation","details":"no"}]}',
        b'{"id":1,"error":"unknown database","result":null}',
    ],
)
def test_a_refusal_is_an_error(server, answer):
    database, _, answers, _ = server
    answers.append(answer)
    with pytest.raises(OvsdbError, match=r"constraint violation|unknown database"):
        database.transact({"op": "comment"})
