"""The way that can be broken: it carries, breaks where it is told to, and stalls."""

import socket

import pytest

from mininet_scenarios.lab import Way


@pytest.fixture
def server():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(5)
        yield listener


@pytest.fixture
def way(server):
    way, target = Way.tcp(None, server.getsockname()[1])
    way.target = ("127.0.0.1", int(target.rpartition(":")[2]))
    yield way
    way.close()


def ends(way, server):
    """A connection through the way: the client's end and the server's."""
    client = socket.create_connection(way.target, 5)
    there, _ = server.accept()
    there.settimeout(5)
    return client, there


def test_it_carries_both_ways_and_tells_an_end(way, server):
    client, there = ends(way, server)
    client.sendall(b"question")
    assert there.recv(100) == b"question"
    there.sendall(b"answer")
    assert client.recv(100) == b"answer" and way.carried == 6
    there.close()
    assert client.recv(100) == b""
    client.close()


def test_it_breaks_after_so_many_bytes_and_works_again(way, server):
    client, there = ends(way, server)
    way.reset_after(4)
    there.sendall(b"0123456789")
    got = b""
    with pytest.raises(ConnectionResetError):
        while True:
            got += client.recv(100)
            assert got, "an end, not a reset"
    # A reset may overtake what was sent before it.
    assert b"0123".startswith(got)
    way.wait_reset(1)
    again, there_again = ends(way, server)
    there_again.sendall(b"0123456789")
    assert again.recv(100) == b"0123456789"
    for end in (client, there, again, there_again):
        end.close()


def test_it_breaks_at_once(way, server):
    client, there = ends(way, server)
    client.sendall(b"x")
    assert there.recv(1) == b"x"
    way.reset()
    way.wait_reset(1)
    with pytest.raises(ConnectionResetError):
        client.recv(1)
    client.close()
    there.close()


def test_it_stalls_and_goes_on(way, server):
    client, there = ends(way, server)
    client.sendall(b"a")
    assert there.recv(1) == b"a"
    way.stall()
    client.sendall(b"b")
    there.settimeout(0.3)
    with pytest.raises(TimeoutError):
        there.recv(1)
    way.go()
    there.settimeout(5)
    assert there.recv(1) == b"b"
    client.close()
    there.close()
