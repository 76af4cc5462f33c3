"""Reads the files of a policy from disk, and nothing but plain files: bounded in size, number and depth."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from policy.errors import PolicyNotFound, Problem
from policy.problems import Problems, quoted
from topology.inventory import Place

MAX_FILE = 16 * 2**20  # bytes
MAX_TOTAL = 64 * 2**20  # bytes
MAX_ENTRIES = 20_000  # names seen in all folders
MAX_FOLDERS = 32  # folders within folders
SUFFIXES = (".yaml", ".yml")


class _Walk:
    """One reading of a policy directory."""

    def __init__(self, problems: Problems) -> None:
        self.problems = problems
        self.files: dict[str, bytes] = {}
        self.entries = 0
        self.total = 0

    def failed(self, name: str, message: str) -> None:
        self.problems.unreadable(Place(name, 1, 1), message)

    def folder(self, path: Path, prefix: str, above: tuple[tuple[int, int], ...]) -> None:
        """Reads one folder; ``above`` identifies the folders on the way to it."""
        try:
            names = sorted(entry.name for entry in path.iterdir())
        except OSError as error:
            self.failed(prefix.rstrip("/") or ".", f"cannot list this folder: {error.strerror}")
            return
        for name in names:
            if name.startswith("."):
                continue
            self.entries += 1
            if self.entries > MAX_ENTRIES:
                if self.entries == MAX_ENTRIES + 1:
                    self.failed(prefix.rstrip("/") or ".", f"more than {MAX_ENTRIES:,} names in a policy directory")
                return
            self.entry(path / name, prefix + name, above)

    def entry(self, path: Path, name: str, above: tuple[tuple[int, int], ...]) -> None:
        """One name in a folder: a policy file, a folder, or something else, which is left alone."""
        if not name.isprintable():  # undecodable bytes are surrogates here, and not printable either
            self.failed(ascii(name)[1:-1], "a file name must be printable UTF-8")
            return
        try:
            found = path.stat()
        except OSError as error:
            if path.is_symlink() or name.endswith(SUFFIXES):
                reason = "symlinks in a loop" if error.errno == errno.ELOOP else error.strerror
                self.failed(name, f"cannot follow this: {reason}")
            return
        if stat.S_ISDIR(found.st_mode):
            here = (found.st_dev, found.st_ino)
            if here in above:
                self.failed(name, "a symlink back to a folder above it: a loop")
            elif len(above) >= MAX_FOLDERS:
                self.failed(name, f"folders are nested more than {MAX_FOLDERS} deep")
            else:
                self.folder(path, f"{name}/", (*above, here))
        elif name.endswith(SUFFIXES):
            self.file(path, name)

    def file(self, path: Path, name: str) -> None:
        """Reads one policy file."""
        try:
            # Opened, then looked at: nothing can take its place between. NONBLOCK: never wait for a pipe's writer.
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            with os.fdopen(descriptor, "rb") as file:
                if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                    self.failed(name, "not a plain file")
                    return
                data = file.read(MAX_FILE + 1)
        except OSError as error:
            # A socket, or a device without a driver, cannot even be opened.
            special = error.errno in (errno.ENXIO, errno.ENODEV)
            self.failed(name, "not a plain file" if special else f"cannot read this file: {error.strerror}")
            return
        self.total += len(data)
        if len(data) > MAX_FILE:
            self.failed(name, f"larger than {MAX_FILE // 2**20} MiB")
        elif self.total > MAX_TOTAL:
            self.failed(name, f"the policy's files are larger than {MAX_TOTAL // 2**20} MiB together")
        else:
            self.files[name] = data


def read_files(path: Path, problems: Problems) -> dict[str, bytes]:
    """Names (relative to the directory, or the file's own) and contents of a policy's files.

    What cannot be read is noted in ``problems``. Raises `PolicyNotFound` if there is nothing at all.
    """
    place = Place(str(path) if str(path).isprintable() else ascii(str(path))[1:-1], 1, 1)
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise PolicyNotFound([Problem(place, "there is no such file or directory")]) from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        problems.add(place, f"cannot read this: {error}")
        raise problems.error() from None
    walk = _Walk(problems)
    if stat.S_ISDIR(found.st_mode):
        walk.folder(path, "", ((found.st_dev, found.st_ino),))
        if not walk.files and not problems:
            kinds = " or ".join(f"*{suffix}" for suffix in SUFFIXES)
            raise PolicyNotFound([Problem(place, f"this directory holds no policy: no {kinds} in it")])
    elif not path.name.isprintable():
        walk.failed(quoted(path.name), "a file name must be printable UTF-8")
    else:
        walk.file(path, path.name)
    return walk.files
