"""Who has one of some files open for writing: nobody else tells of those who began before one listened.

The kernel counts them and says so when it is asked for a read lease on the file (fcntl(2), F_SETLEASE): whatever name
they have opened it by, in whatever container they are, also when all that is left is a mapping into memory. Where there
are no leases (some file systems), or not for us (a file of somebody else's), every process is looked at in /proc, which
takes longer the more there are.
"""

from __future__ import annotations

import errno
import fcntl
import os
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path

# Device and inode.
FileId = tuple[int, int]


def open_for_writing(files: Mapping[FileId, Path]) -> tuple[Path, ...]:
    """Which of these files some process has open for writing."""
    answers = {number: _is_written(path) for number, path in files.items()}
    found = {files[number] for number, answer in answers.items() if answer}
    unknown = {number: files[number] for number, answer in answers.items() if answer is None}
    if unknown:
        found.update(_in_proc(unknown))
    return tuple(sorted(found))


def _is_written(path: Path) -> bool | None:
    """True if somebody has this file open for writing; None: the kernel does not say."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        # Who opens it for writing in the microseconds in which we have the lease waits until we have given it back (or
        # fails, with O_NONBLOCK), and we are sent a signal: one that is ignored, where SIGIO would end the process.
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        return True if error.errno == errno.EAGAIN else None
    else:
        return False
    finally:
        # This gives a lease back.
        os.close(descriptor)


def _in_proc(files: Mapping[FileId, Path]) -> Iterator[Path]:
    """Which of these files some process has open for writing, as far as /proc lets us see."""
    for process in filter(str.isdigit, os.listdir("/proc")):  # noqa: PTH208
        try:
            numbers = os.listdir(f"/proc/{process}/fd")  # noqa: PTH208
        except OSError:
            # It has ended by now, or we may not look at it.
            continue
        for number in numbers:
            try:
                there = os.stat(f"/proc/{process}/fd/{number}")  # noqa: PTH116 (there are many, and Path is slow)
                path = files.get((there.st_dev, there.st_ino))
                if path is not None and _may_write(f"/proc/{process}/fdinfo/{number}"):
                    yield path
            except OSError:
                # Closed by now.
                continue


def _may_write(description: str) -> bool:
    for line in Path(description).read_text().splitlines():
        key, _, value = line.partition(":")
        if key == "flags":
            return int(value, 8) & os.O_ACCMODE != os.O_RDONLY
    return False
