"""Policies to compare: a file, a directory, or either as it was in a revision of Git (`REV:PATH`)."""

from __future__ import annotations

import subprocess
from pathlib import Path, PurePosixPath

import click

from policy.commands.output import WRONG, NoAnswer, err, say, stop
from policy.commands.policies import load_policy, tell_problems
from policy.errors import PolicyError
from policy.files import MAX_ENTRIES, MAX_FILE, MAX_TOTAL, SUFFIXES
from policy.load import load_texts
from policy.model import Document

_FILE, _EXECUTABLE, _SYMLINK = "100644", "100755", "120000"


def load_revision(text: str) -> Document:
    """The policy that OLD or NEW names. What is on disk comes first; nothing is checked out."""
    path = Path(text)
    if path.exists() or ":" not in text:
        return load_policy(path)
    files = _files_in_git(text)
    if not files:
        raise NoAnswer(f"{text}: no policy files there")
    try:
        return load_texts(files)
    except PolicyError as error:
        tell_problems(Path(text), error)
        say(err(), "nothing can be said about a policy that does not load")
        stop(WRONG)


def _files_in_git(text: str) -> dict[str, bytes]:
    """The policy files of a tree, named as the loader would name them, or the one file."""
    revision, _, path = text.partition(":")
    if not revision or revision.startswith("-"):
        raise click.BadParameter(f"{text}: no such file, and not REV:PATH either")
    found = _git(text, "rev-parse", "--verify", "--quiet", "--end-of-options", text).decode().strip()
    if _git(text, "cat-file", "-t", found).strip() == b"blob":
        return {PurePosixPath(path).name: _blob(text, found)}
    files: dict[str, bytes] = {}
    total = 0
    entries = [entry for entry in _git(text, "ls-tree", "-r", "-l", "-z", found).split(b"\0") if entry]
    if len(entries) > MAX_ENTRIES:
        raise NoAnswer(f"{text}: more than {MAX_ENTRIES:,} files")
    for entry in entries:
        about, _, raw = entry.partition(b"\t")
        mode, _, digest, size = about.decode().split()
        name = raw.decode(errors="backslashreplace")
        if not name.endswith(SUFFIXES) or any(part.startswith(".") for part in name.split("/")):
            continue
        if mode == _SYMLINK:
            raise NoAnswer(f"{text}/{name} is a symlink; symlinks are followed on disk only")
        if mode not in (_FILE, _EXECUTABLE):
            continue
        total += int(size)
        if int(size) > MAX_FILE or total > MAX_TOTAL:
            raise NoAnswer(f"{text}: the policy's files are too large")
        files[name] = _blob(text, digest)
    return files


def _blob(text: str, digest: str) -> bytes:
    return _git(text, "cat-file", "blob", digest)


def _git(text: str, *words: str) -> bytes:
    try:
        done = subprocess.run(["git", *words], capture_output=True, check=False)
    except OSError as error:
        raise NoAnswer(f"{text}: git cannot be run: {error.strerror}") from None
    if done.returncode != 0:
        told = done.stderr.decode(errors="backslashreplace").strip() or "no such revision or path"
        raise NoAnswer(f"{text}: no such file, and in Git: {told.splitlines()[0]}")
    return done.stdout
