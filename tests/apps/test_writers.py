"""Who has a file open for writing, as the kernel tells it and as /proc does."""

import errno
import fcntl
import mmap
import os
import subprocess
import sys
import time

import pytest

from ryu_apps import writers
from ryu_apps.writers import open_for_writing
from tests.apps.watching import ROOT

HARMLESS = """
import sys, time
from pathlib import Path
from ryu_apps.writers import open_for_writing
path = Path(sys.argv[1])
found = path.stat()
until = time.monotonic() + 2
while time.monotonic() < until:
    open_for_writing({(found.st_dev, found.st_ino): path})
"""


def files(*paths):
    return {(path.stat().st_dev, path.stat().st_ino): path for path in paths}


@pytest.fixture
def two(tmp_path):
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text("version: 1\n")
    return tmp_path / "a.yaml", tmp_path / "b.yaml"


@pytest.fixture(params=["the kernel tells", "no leases", "not for us"])
def way(request, monkeypatch):
    """Of what the answer is made."""
    asked = fcntl.fcntl
    answers = {"no leases": errno.EINVAL, "not for us": errno.EACCES}

    def refused(descriptor, command, *arguments):
        if command == fcntl.F_SETLEASE:
            raise OSError(answers[request.param], "refused")
        return asked(descriptor, command, *arguments)

    if request.param in answers:
        monkeypatch.setattr(fcntl, "fcntl", refused)
    return request.param


@pytest.mark.parametrize("mode", ["a", "r+"])
def test_a_writer_is_found_whatever_name_he_has_used(two, way, mode):
    one, other = two
    (one.parent / "elsewhere").hardlink_to(one)
    assert open_for_writing(files(*two)) == ()
    with (one.parent / "elsewhere").open(mode):
        assert open_for_writing(files(*two)) == (one,)
        with other.open(mode):
            assert open_for_writing(files(*two)) == (one, other)
    assert open_for_writing(files(*two)) == ()


def test_readers_are_no_writers(two, way):
    with two[0].open(), two[0].open():
        assert open_for_writing(files(*two)) == ()


def test_what_is_gone_or_no_file_is_not_written(two, way, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    asked = files(*two, tmp_path / "pipe")
    two[0].unlink()
    assert open_for_writing(asked) == ()


def test_a_mapping_is_found_when_the_file_is_closed(two):
    with two[0].open("r+b") as file:
        mapping = mmap.mmap(file.fileno(), 0)
    assert open_for_writing(files(*two)) == (two[0],)
    mapping.close()


def test_the_number_of_processes_does_not_matter_where_the_kernel_tells(two, monkeypatch):
    monkeypatch.setattr(writers, "_in_proc", lambda files: pytest.fail("/proc was read"))
    assert open_for_writing(files(*two)) == ()


def test_who_is_kept_waiting_by_the_question_does_no_harm(two):
    """The kernel tells whoever has a lease of him, by a signal."""
    asking = subprocess.Popen([sys.executable, "-c", HARMLESS, str(two[0])], cwd=ROOT)
    while asking.poll() is None:
        began = time.monotonic()
        with two[0].open("a") as file:
            file.write("#\n")
        assert time.monotonic() - began < 1
    assert asking.returncode == 0
