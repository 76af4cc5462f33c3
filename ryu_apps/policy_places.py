"""Where a policy's files are: the folders in which a change could mean another policy.

Only looks at the file system; `ryu_apps.policy_watch` does the watching.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from policy.files import SUFFIXES
from ryu_apps.writers import FileId

LOG = logging.getLogger(__name__)

MAX_FOLDERS = 1000
# Symlinks on the way to one file, as in the kernel.
MAX_LINKS = 40


@dataclass(slots=True)
class Places:
    """All paths here are free of symlinks but for their last name.

    ``way``: every name that is looked up on the way to the policy, through symlinks: whatever is read of it is reached
    through each of them. ``names``: these, and those on the way to what symlinks in it lead to. ``inside``: the
    policy's own folders. ``folders``: those to watch; True: for what is in their files too, not only for names.
    ``files``: the policy's files by device and inode. ``stamps``: their sizes and times of change.
    """

    way: frozenset[Path]
    names: set[Path] = field(default_factory=set)
    inside: set[Path] = field(default_factory=set)
    folders: dict[Path, bool] = field(default_factory=dict)
    files: dict[FileId, Path] = field(default_factory=dict)
    stamps: dict[FileId, tuple[int, int]] = field(default_factory=dict)

    def counts(self, folder: Path, name: str, is_folder: bool) -> bool:
        """True if a change of this name could mean another policy.

        A folder above the policy sees much that is none of ours, a log file say; and editors' temporary files must not
        hold a load back. Hidden names count if they are on the way: a link called ``..data`` is how some systems
        switch over a whole directory.
        """
        path = folder / name
        if path in self.names:
            return True
        if folder not in self.inside or name.startswith("."):
            return False
        # Without a suffix it may be a symlink to a folder, or have been one.
        return is_folder or name.endswith(SUFFIXES) or not path.is_file()


def look(path: Path) -> Places:
    """Where the policy at ``path`` is now. Nothing that is there, or is not, makes it fail."""
    way = frozenset(_way(path))
    places = Places(way, names=set(way))
    root = Path(os.path.realpath(path))
    todo = [root]
    if not _is_folder(root):
        todo = []
        _add_file(places, root)
    while todo and len(places.inside) < MAX_FOLDERS:
        folder = todo.pop()
        # A symlink may lead back up, or twice to one place.
        if folder not in places.inside:
            places.inside.add(folder)
            places.folders[folder] = True
            todo += _look_into(places, folder)
    if todo:
        LOG.warning("%s has more than %d folders: changes in the others are not noticed", path, MAX_FOLDERS)
    for name in places.names:
        places.folders.setdefault(name.parent, False)
    places.folders = {folder: full for folder, full in places.folders.items() if _is_folder(folder)}
    return places


def _look_into(places: Places, folder: Path) -> Iterator[Path]:
    """Takes in the files of a folder; the folders in it."""
    try:
        names = os.listdir(folder)  # noqa: PTH208 (names are all that is wanted)
    except OSError:
        # It is gone by now, or closed to us: then the load will say so.
        return
    for name in names:
        path = folder / name
        if name.startswith("."):
            continue
        if path.is_symlink():
            places.names.update(_way(path))
            path = Path(os.path.realpath(path))
        if _is_folder(path):
            yield path
        elif name.endswith(SUFFIXES):
            _add_file(places, path)


def _add_file(places: Places, path: Path) -> None:
    places.folders[path.parent] = True
    try:
        found = path.stat()
    except OSError:
        return
    places.files[found.st_dev, found.st_ino] = path
    places.stamps[found.st_dev, found.st_ino] = found.st_size, found.st_mtime_ns


def _is_folder(path: Path) -> bool:
    # Path.is_dir raises where access is denied.
    return os.path.isdir(path)  # noqa: PTH112


def _way(path: Path) -> Iterator[Path]:
    """Every name that is looked up on the way to an absolute path, each in a folder that is no symlink."""
    here = Path("/")
    todo = list(reversed(path.parts[1:]))
    links = 0
    while todo:
        name = todo.pop()
        if name == "..":
            here = here.parent
            continue
        step = here / name
        yield step
        try:
            target = step.readlink()
        except OSError:
            here = step
            continue
        links += 1
        if links > MAX_LINKS:
            return
        if target.is_absolute():
            here = Path("/")
        todo += [part for part in reversed(target.parts) if part != "/"]
