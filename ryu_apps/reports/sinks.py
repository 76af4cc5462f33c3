"""Where lines of the log go: a file, syslog, standard output. Each sink writes as much as it can and says how much.

Writing may block (a disk, a pipe), so it is done in real threads by `ryu_apps.reports.spout`; hence the original
modules here, not eventlet's green ones.
"""

from __future__ import annotations

import contextlib
import errno
import stat
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from eventlet import patcher

from policy.commands.endpoints import is_host, is_port
from ryu_apps.reports.desk import Line
from ryu_apps.reports.events import timestamp

os: Any = patcher.original("os")
socket: Any = patcher.original("socket")

DEV_LOG = "/dev/log"
# Seconds between two looks whether a log file is still the one of its name.
LOOK = 1.0
# RFC 5424, 6.2.1: facility local0; severity notice for what was refused, informational for the rest.
FACILITY, NOTICE, INFORMATIONAL = 16, 5, 6
APPLICATION = "portcullis"
FORMS = "file:PATH, syslog, syslog:unix:PATH, syslog:HOST:PORT or stdout"


class SinkUnknown(ValueError):
    """A text that names no sink; the message says what would."""


class NotWritten(Exception):
    """A sink could not write all: ``written`` lines it has, and the ``lost`` ones after these it will never take."""

    def __init__(self, written: int, why: str, lost: int = 0) -> None:
        super().__init__(why)
        self.written = written
        self.lost = lost


class Sink(Protocol):
    """Takes lines. `write` may block; it raises `NotWritten`, and nothing else, if not all of them are written."""

    def write(self, lines: Sequence[Line]) -> None: ...


def sink_of(text: str) -> Sink:
    """The sink that an operator names. Nothing is opened yet. Raises `SinkUnknown`."""
    kind, _, rest = text.partition(":")
    if text == "stdout":
        return StdoutSink()
    if kind == "file" and rest and "\0" not in rest:
        return FileSink(Path(rest).absolute())
    if text == "syslog":
        return SyslogSink(DEV_LOG)
    if kind == "syslog":
        where, _, path = rest.partition(":")
        if where == "unix" and path and "\0" not in path:
            return SyslogSink(path)
        host, _, port = rest.rpartition(":")
        host = host[1:-1] if host.startswith("[") and host.endswith("]") else host
        if is_host(host) and is_port(port):
            return SyslogSink((host, int(port)))
    raise SinkUnknown(f"{text!r} is no place for a log: {FORMS}")


class FileSink:
    """A file that is appended to. It may be moved away (logrotate): then one of its name is made anew."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self.path = path
        self._clock = clock
        self._file: int | None = None
        self._looked = 0.0
        # The file ends in the middle of a line, which could not be written whole.
        self._torn = False

    def write(self, lines: Sequence[Line]) -> None:
        """Append lines, as many as go."""
        ends: list[int] = []
        data, done = bytearray(), 0
        try:
            file = self._opened()
            data += b"\n" if self._torn else b""
            for line in lines:
                data += line.text.encode() + b"\n"
                ends.append(len(data))
            while done < len(data):
                done += os.write(file, memoryview(data)[done:])
        except OSError as error:
            if done:
                self._torn = not data[:done].endswith(b"\n")
            self._close()
            raise NotWritten(sum(end <= done for end in ends), f"{self.path}: {error.strerror}") from None
        self._torn = False

    def _opened(self) -> int:
        """The file's descriptor. Raises ``OSError``."""
        now = self._clock()
        if self._file is not None and now - self._looked >= LOOK:
            self._looked = now
            if not self._same():
                self._close()
                self._torn = False
        if self._file is None:
            # O_NONBLOCK: a pipe without a reader must not hold us; a file on a disk takes no notice.
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
            self._file = os.open(self.path, flags, 0o600)
            self._looked = now
        return int(self._file)

    def _same(self) -> bool:
        try:
            there, ours = os.stat(self.path), os.fstat(self._file)
        except OSError:
            return False
        if stat.S_ISREG(ours.st_mode) and not ours.st_nlink:
            return False
        return (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)

    def _close(self) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):
                os.close(self._file)
            self._file = None


class StdoutSink:
    """Standard output, for whoever collects it (systemd's journal, a container's log)."""

    def __init__(self, file: int = 1) -> None:
        self._file = file

    def write(self, lines: Sequence[Line]) -> None:
        """Write lines; waits while the reader does not read."""
        for written, line in enumerate(lines):
            data = line.text.encode() + b"\n"
            try:
                while data:
                    data = data[os.write(self._file, data) :]
            except OSError as error:
                raise NotWritten(written, f"standard output: {error.strerror}") from None


class SyslogSink:
    """A syslog server, by RFC 5424 in datagrams: over UDP (RFC 5426), or a socket of this machine."""

    def __init__(self, target: str | tuple[str, int]) -> None:
        self._target = target
        self._socket: Any = None
        self._host = socket.gethostname()
        self._process = os.getpid()

    def write(self, lines: Sequence[Line]) -> None:
        """Send lines, a datagram each; never waits for the receiver."""
        for written, line in enumerate(lines):
            try:
                if self._socket is None:
                    self._socket = self._connected()
                self._socket.send(self.message(line))
            except (OSError, UnicodeError) as error:
                # UnicodeError: a name that no name server could be asked for.
                number = error.errno if isinstance(error, OSError) else None
                # A line that is too long would never go, and must not stop those behind it.
                lost = int(number == errno.EMSGSIZE)
                self._close()
                where = self._target if isinstance(self._target, str) else ":".join(map(str, self._target))
                told = getattr(error, "strerror", None) or error
                raise NotWritten(written, f"syslog at {where}: {told}", lost) from None

    def message(self, line: Line) -> bytes:
        """The syslog message of a line."""
        priority = FACILITY * 8 + (NOTICE if line.refused else INFORMATIONAL)
        host = "".join(sign for sign in self._host if "!" <= sign <= "~")[:255] or "-"
        head = f"<{priority}>1 {timestamp(line.wall)} {host} {APPLICATION} {self._process} {line.kind} - "
        return head.encode() + line.text.encode()

    def _connected(self) -> Any:  # noqa: ANN401 (the original socket module's)
        if isinstance(self._target, str):
            return self._connect(socket.AF_UNIX, self._target)
        family, _, _, _, address = socket.getaddrinfo(*self._target, type=socket.SOCK_DGRAM)[0]
        return self._connect(family, address)

    def _connect(self, family: int, address: Any) -> Any:  # noqa: ANN401
        made = socket.socket(family, socket.SOCK_DGRAM)
        try:
            made.setblocking(False)
            made.connect(address)
        except OSError:
            made.close()
            raise
        return made

    def _close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
