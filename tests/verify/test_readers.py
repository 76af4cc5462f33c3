"""OVSDB and bridges are read by clients of our own: whatever a server says, there is an answer or an error, in time."""

import json
import socket
import struct
import threading
from contextlib import suppress

import pytest

from policy.flows.meter_wire import meter_mod
from policy.flows.openflow import VERSION
from policy.verify.openflow import read_bridge
from policy.verify.ovsdb import Unreadable, read_database
from tests.verify.held import entry, wanted
from topology.rows import COLUMNS

BRIDGE, FLOWS, METERS = wanted()


@pytest.fixture
def server(tmp_path):
    """A server for one connection: ``server(talk)`` tells its path; ``talk`` gets the connection."""
    threads = []

    def serve(talk):
        path = tmp_path / f"s{len(threads)}"
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(str(path))
        listening.listen()

        def run():
            with listening, listening.accept()[0] as connection, suppress(OSError):
                talk(connection)

        threads.append(threading.Thread(target=run))
        threads[-1].start()
        return path

    yield serve
    for thread in threads:
        thread.join(10)


# --- OVSDB

UUID = "6aacfcd5-04c9-47b3-bb1d-c6aae8901c77"
ROWS = {
    "Open_vSwitch": {"external_ids": ["map", [["hostname", "hv1"]]], "ovs_version": "3.1.0", "bridges": ["uuid", UUID]},
    "Bridge": {"name": "br0", "datapath_id": "0000525400000001", "datapath_type": "", "fail_mode": "secure",
               "other_config": ["map", [["disable-in-band", "true"]]], "ports": ["set", [["uuid", UUID]]]},
    "Port": {"name": "tap1", "tag": 10, "trunks": ["set", []], "vlan_mode": ["set", []], "bond_mode": ["set", []],
             "interfaces": ["uuid", UUID]},
    "Interface": {"name": "tap1", "type": "", "ofport": 1, "external_ids": ["map", [["iface-id", "web-1"]]],
                  "error": ["set", []], "options": ["map", []]},
}  # fmt: skip


def answer(rows=ROWS, **more):
    results = [{"rows": [{"_uuid": ["uuid", UUID], **rows[table]}]} for table in COLUMNS]
    return json.dumps({"id": 0, "error": None, "result": results, **more}).encode()


def says(*parts):
    def talk(connection):
        connection.recv(1 << 16)
        for part in parts:
            connection.sendall(part)

    return talk


@pytest.mark.parametrize("size", [7, 100, 1 << 20])
def test_the_rows(server, size):
    echo = json.dumps({"method": "echo", "id": "echo", "params": []}).encode()
    text = echo + answer()
    remote = f"unix:{server(says(*(text[at : at + size] for at in range(0, len(text), size))))}"
    found = read_database(remote)
    assert (found.remote, found.host) == (remote, "hv1")
    (bridge,), (port,), (interface,) = found.bridges.values(), found.ports.values(), found.interfaces.values()
    assert (bridge.datapath_id, bridge.fail_mode, bridge.ports) == (0x525400000001, "secure", (UUID,))
    assert (port.tag, port.trunks, port.interfaces) == (10, (), (UUID,))
    assert (interface.ofport, interface.external_ids) == (1, {"iface-id": "web-1"})


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"hello}",
        answer()[:-1],
        answer(error="permission"),
        answer(result=[]),
        answer(result=None),
        answer(result=[{"rows": [{}]}] * 4),
        answer({**ROWS, "Bridge": {**ROWS["Bridge"], "ports": ["what", []]}}),
        answer({**ROWS, "Bridge": {**ROWS["Bridge"], "ports": ["set", 3]}}),
        b"\xff}" + answer(),
        b'{"a":' * 100_000 + b"}",
    ],
)
def test_no_answer_of_ovsdb(server, said):
    with pytest.raises(Unreadable, match="OVSDB unix:"):
        read_database(f"unix:{server(says(said))}", seconds=2)


@pytest.mark.parametrize("depth", [200, 300, 400, 450, 480, 495, 2000])
def test_values_within_values(server, depth):
    value = "[\"set\",[" * depth + "]]" * depth
    deep = answer().decode().replace('["set", []]', value, 1).encode()
    with suppress(Unreadable):
        read_database(f"unix:{server(says(deep))}", seconds=5)


def test_a_database_that_says_nothing(server, tmp_path):
    over = threading.Event()
    with pytest.raises(Unreadable, match="time"):
        read_database(f"unix:{server(lambda connection: over.wait(5))}", seconds=0.2)
    over.set()
    with pytest.raises(Unreadable, match="ended the connection"):
        read_database(f"unix:{server(says(b''))}", seconds=2)
    with pytest.raises(Unreadable, match="No such file"):
        read_database(f"unix:{tmp_path}/nobody")
    with pytest.raises(Unreadable, match="only unix: and tcp:"):
        read_database("ssl:127.0.0.1:1")


# --- bridges


def message(kind, xid, body=b"", version=VERSION):
    return struct.pack("!BBHI", version, kind, 8 + len(body), xid) + body


def part(xid, what, body, more=0):
    return message(19, xid, struct.pack("!HH4x", what, more) + body)


FEATURES = message(6, 1, struct.pack("!QIBB6xI", 0x5254, 0, 254, 0, 0))
SOME, REST = [entry(flow) for flow in list(FLOWS.values())[:3]], [entry(flow) for flow in list(FLOWS.values())[3:5]]
CONFIG = b"".join(
    struct.pack("!HHI", 24, 14, meter.number) + meter_mod(meter, 0, 0)[16:] for meter in list(METERS.values())[:2]
)
MANY = struct.pack("!IIIBB2x", 262144, 2, 15, 8, 0)
TOLD = [
    FEATURES,
    part(2, 1, b"".join(SOME), more=1),
    message(2, 77, b"alive?"),
    part(3, 10, CONFIG),
    part(2, 1, b"".join(REST)),
    part(4, 11, MANY),
]


def tells(*messages, hello=None):
    def talk(connection):
        connection.sendall(hello or message(0, 1))
        connection.sendall(b"".join(messages))
        while connection.recv(1 << 16):
            pass

    return talk


def test_a_bridge(server):
    told = read_bridge(str(server(tells(*TOLD))))
    assert (told.dpid, told.flows, told.metered) == (0x5254, (b"".join(SOME), b"".join(REST)), True)
    assert told.meters == {meter.number: meter for meter in list(METERS.values())[:2]}


@pytest.mark.parametrize(
    "messages",
    [
        *(TOLD[:number] for number in range(len(TOLD))),
        [*TOLD[:-1], TOLD[-1][:-4]],
        [*TOLD[:1], part(2, 10, CONFIG)],
        [*TOLD[:1], message(1, 2, struct.pack("!HH", 1, 5))],
        [*TOLD[:5], part(4, 11, MANY[:8])],
        [*TOLD[:5], part(4, 11, MANY, more=1), part(4, 11, MANY)],
        [*TOLD[:3], part(3, 10, CONFIG[:-4])],
        [struct.pack("!BBHI", VERSION, 6, 3, 1)],
    ],
)
def test_what_a_bridge_does_not_tell_whole_is_no_answer(server, messages):
    def talk(connection):
        connection.sendall(message(0, 1) + b"".join(messages))
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(1 << 16):
            pass

    with pytest.raises(Unreadable):
        read_bridge(str(server(talk)), seconds=2)


@pytest.mark.parametrize("hello", [message(0, 1, version=4), message(1, 1, struct.pack("!HH", 0, 0)), b"SSH-2.0-x\r\n"])
def test_what_speaks_something_else(server, hello):
    with pytest.raises(Unreadable):
        read_bridge(str(server(tells(hello=hello))), seconds=1)


def test_a_bridge_that_never_ends(server, monkeypatch):
    monkeypatch.setattr("policy.verify.openflow.MAX_OCTETS", 10_000)
    with pytest.raises(Unreadable, match="no end"):
        read_bridge(str(server(tells(FEATURES, *[part(2, 1, b"".join(SOME), more=1)] * 100))), seconds=5)
    over = threading.Event()
    with pytest.raises(Unreadable, match="time"):
        read_bridge(str(server(lambda connection: over.wait(5))), seconds=0.2)
    over.set()
