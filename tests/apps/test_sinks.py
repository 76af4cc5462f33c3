"""Where the log goes: files that are rotated or cannot be written, syslog, standard output; and the queue before it."""

import contextlib
import os
import re
import socket
import stat
from pathlib import Path

import pytest

from ryu_apps.reports import sinks, spout
from ryu_apps.reports.desk import Line
from ryu_apps.reports.sinks import FileSink, NotWritten, SinkUnknown, StdoutSink, SyslogSink, sink_of
from ryu_apps.reports.spout import Spout


def line(text, refused=False):
    return Line(text, 1_790_000_000.25, "connection", refused)


ONE, TWO = line('{"n":1}'), line('{"n":2}', refused=True)


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def log(tmp_path):
    clock = Clock()
    sink = FileSink(tmp_path / "log", clock)
    sink.clock = clock
    return sink


def test_a_file_is_appended_to_and_nobody_elses_to_read(log):
    log.path.write_text("before\n")
    log.write([ONE, TWO])
    assert log.path.read_text() == 'before\n{"n":1}\n{"n":2}\n'
    log.path.unlink()
    log.clock.now = 2
    log.write([ONE])
    assert stat.S_IMODE(log.path.stat().st_mode) == 0o600


def test_a_file_that_is_moved_away_is_made_anew_within_a_second(log):
    log.write([ONE])
    old = log.path.rename(log.path.with_name("log.1"))
    log.write([TWO])
    assert old.read_text().count("\n") == 2
    log.clock.now = 1.0
    log.write([TWO])
    assert log.path.read_text() == '{"n":2}\n'


def test_a_folder_that_is_gone_is_an_error_until_it_is_back(tmp_path):
    sink = FileSink(tmp_path / "gone" / "log")
    with pytest.raises(NotWritten, match="No such file") as error:
        sink.write([ONE])
    assert error.value.written == 0
    (tmp_path / "gone").mkdir()
    sink.write([ONE])
    assert sink.path.read_text() == '{"n":1}\n'


@pytest.mark.parametrize("what", ["folder", "pipe"])
def test_what_is_no_file_is_an_error_and_nobody_waits(tmp_path, what):
    path = tmp_path / what
    path.mkdir() if what == "folder" else os.mkfifo(path)
    with pytest.raises(NotWritten):
        FileSink(path).write([ONE])


def test_a_full_disk():
    with pytest.raises(NotWritten, match="No space left"):
        FileSink(Path("/dev/full")).write([ONE])


class HalfFull:
    """The os module of a disk that takes some bytes and no more."""

    def __init__(self, room):
        self.room = room

    def __getattr__(self, name):
        return getattr(os, name)

    def write(self, file, data):
        taken = min(self.room, len(data))
        if not taken:
            raise OSError(28, "No space left on device")
        self.room -= taken
        return os.write(file, data[:taken])


def test_a_line_that_was_cut_does_not_spoil_the_next(log, monkeypatch):
    monkeypatch.setattr(sinks, "os", HalfFull(11))
    with pytest.raises(NotWritten) as error:
        log.write([ONE, TWO])
    assert error.value.written == 1
    monkeypatch.undo()
    log.write([TWO])
    assert log.path.read_text() == '{"n":1}\n{"n\n{"n":2}\n'


def test_standard_output(capfd):
    StdoutSink().write([ONE, TWO])
    assert capfd.readouterr().out == '{"n":1}\n{"n":2}\n'


def test_a_standard_output_that_nobody_reads():
    reader, writer = os.pipe()
    os.close(reader)
    with pytest.raises(NotWritten, match="Broken pipe"):
        StdoutSink(writer).write([ONE])
    os.close(writer)


def test_syslog_over_udp():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(10)
        sink_of(f"syslog:127.0.0.1:{server.getsockname()[1]}").write([ONE, TWO])
        first, second = server.recv(4096).decode(), server.recv(4096).decode()
    # RFC 5424: priority, version, time, host, application, process, message id, structured data, message
    pattern = r'<134>1 2026-09-21T14:13:20\.250000Z [!-~]+ portcullis \d+ connection - \{"n":1\}'
    assert re.fullmatch(pattern, first)
    assert second.startswith("<133>1 ")


def test_syslog_of_this_machine_and_its_restart(tmp_path):
    path = tmp_path / "log"
    sink = sink_of(f"syslog:unix:{path}")
    with pytest.raises(NotWritten):
        sink.write([ONE])
    with listening(path) as server:
        sink.write([ONE])
        assert b'{"n":1}' in server.recv(4096)
    # The first message after the server's end finds out about it.
    with listening(path) as server:
        with pytest.raises(NotWritten):
            sink.write([ONE])
        sink.write([ONE])
        assert b'{"n":1}' in server.recv(4096)


def test_a_name_that_nobody_can_be_asked_for_ends_nothing():
    """getaddrinfo raises UnicodeError for it, which is no OSError."""
    for host in ("h..x", "a" * 64, "\udc80"):
        with pytest.raises(NotWritten, match="syslog at ") as caught:
            SyslogSink((host, 514)).write([ONE])
        assert (caught.value.written, caught.value.lost) == (0, 0)


@contextlib.contextmanager
def listening(path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(path))
        server.settimeout(10)
        yield server
    path.unlink()


def test_a_syslog_that_does_not_read_holds_nobody_up(tmp_path):
    path = tmp_path / "log"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(path))
        with pytest.raises(NotWritten) as error:
            SyslogSink(str(path)).write([ONE] * 100_000)
    assert 0 < error.value.written < 100_000


def test_a_line_too_long_for_a_datagram_is_lost_alone():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        with pytest.raises(NotWritten) as error:
            SyslogSink(server.getsockname()).write([ONE, line("x" * 70_000), TWO])
    assert (error.value.written, error.value.lost) == (1, 1)


@pytest.mark.parametrize(
    "text", ["", "file", "file:", "file:a\0b", "syslog:", "syslog:h", "syslog:h:0", "syslog:h:65536", "syslog:h:x",
             "syslog:h..x:514", "syslog:.:514", f"syslog:{'a' * 64}.example:514", "syslog:h\n:514", "syslog:a:b:514",
             "syslog:unix:", "stdout:", "/var/log/x", "syslog:h:" + "9" * 5000]
)  # fmt: skip
def test_no_sink_has_such_a_name(text):
    with pytest.raises(SinkUnknown, match="no place for a log"):
        sink_of(text)


@pytest.mark.parametrize("text", ["stdout", "syslog", "syslog:[::1]:514", "syslog:log.example:514", "file:x"])
def test_sinks_by_name(text):
    assert sink_of(text)


# --- the queue


class Fussy:
    """A sink that takes ``room`` lines, then none."""

    def __init__(self, room=10**9):
        self.room = room
        self.got = []

    def write(self, lines):
        taken = lines[: self.room]
        self.room -= len(taken)
        self.got += [each.text for each in taken]
        if len(taken) < len(lines):
            raise NotWritten(len(taken), "full")


def at_once(function, *arguments):
    function(*arguments)


def test_lines_wait_until_they_can_be_written_in_their_order():
    sink = Fussy(room=2)
    it = Spout("s", sink)
    it.put(line(str(n)) for n in range(5))
    it.pour(at_once)
    page = {"sink": "s", "error": "full", "errors": 1, "written": 2, "lost": 0, "waiting": 3}
    assert it.page() == page
    sink.room = 100
    it.pour(at_once)
    assert sink.got == ["0", "1", "2", "3", "4"]
    assert it.page() == {**page, "error": None, "written": 5, "waiting": 0}


def test_the_oldest_lines_are_dropped_and_counted(monkeypatch):
    monkeypatch.setattr(spout, "MAX_WAITING", 3)
    sink = Fussy(room=0)
    it = Spout("s", sink)
    it.put(line(str(n)) for n in range(5))
    it.pour(at_once)
    it.put([line("5")])
    sink.room = 100
    it.pour(at_once)
    assert sink.got == ["3", "4", "5"] and it.lost == 3
