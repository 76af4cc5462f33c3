"""Watches the policy's files and loads them when they have changed and nobody is writing to them.

inotify tells of changes; nothing is polled, but that while a file was found open for writing, it is looked at again. A
load is held back by a file that was modified and not yet closed by its writer, by one that somebody has open for
writing (inotify tells nothing of what began before we watched), and by a change within the last moment; and a load
during which something changed, or a moment after which, does not count: a half-written file never becomes policy. How
long that moment is depends on how the files were changed (docs/design.md, "A change of files").
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping
from enum import Enum, auto
from pathlib import Path
from typing import Any

import eventlet.hubs
from eventlet import patcher, tpool
from ryu.lib import hub

from policy.errors import PolicyError, PolicyNotFound, Problem
from policy.load import Loader
from policy.model import Document
from ryu_apps.facts import PolicyLoaded, PolicyRefused
from ryu_apps.policy_places import MAX_FOLDERS, Places, look
from ryu_apps.worker import end_of_process
from ryu_apps.writers import FileId, open_for_writing
from topology.inventory import Place

LOG = logging.getLogger(__name__)

# inotify_simple wants select.poll, which eventlet takes away; it gets the original one and is never let wait in it. And
# the original os.read: eventlet's first waits for data, beside the green thread that waits already, which is refused.
_ORIGINALS = [(name, patcher.original(name)) for name in ("select", "os")]
inotify = patcher.inject("inotify_simple", None, *_ORIGINALS)
flags = inotify.flags

# Seconds of quiet after the last change before what the files say counts: editors write, rename and delete in quick
# order.
SETTLE = 0.1
# The same where nothing has happened but that one of the policy's files was replaced whole, by a rename; and the
# seconds of quiet before the files are read at all. Where all of the policy was exchanged by one rename there are none.
QUICK = 0.02
# Seconds between two looks at who has a file open for writing, while somebody has.
LOOK_AGAIN = 1.0
# Seconds without a moment of quiet after which that is worth a line in the log.
RESTLESS = 10.0
NAMES = (
    flags.MOVED_TO | flags.MOVED_FROM | flags.CREATE | flags.DELETE | flags.DELETE_SELF | flags.MOVE_SELF
    | flags.ONLYDIR
)  # fmt: skip
CONTENTS = NAMES | flags.MODIFY | flags.CLOSE_WRITE | flags.ATTRIB

Loaded = PolicyLoaded | PolicyRefused


class News(Enum):
    """What has happened to the files since the last outcome."""

    NONE = auto()
    # All of the policy was exchanged by one rename, and nothing else.
    EXCHANGED = auto()
    # One of its files was, and nothing else.
    REPLACED = auto()
    OTHER = auto()


class PolicyWatch:
    """Loads the policy at ``path`` at the start and after every change; each outcome goes to ``emit``."""

    def __init__(self, path: Path, emit: Callable[[Loaded], None]) -> None:
        self.path = path.absolute()
        self._emit = emit
        self._inotify = inotify.INotify(nonblocking=True)
        self._places = Places(frozenset())
        self._loader = Loader()
        self._watches: dict[int, Path] = {}
        self._unwatched: set[Path] = set()
        # Files being written, by the watch that told so and their name there; and those that were found open.
        self._writing: set[tuple[int, str]] = set()
        self._open: tuple[Path, ...] = ()
        # When something changed last; what has since the last outcome; when that was.
        self._last_change = time.monotonic()
        self._news = News.NONE
        self._last_outcome = -math.inf
        # When it is worth a line in the log that nothing could be loaded yet.
        self._patience = math.inf
        self._changed = hub.Event()
        self._wake = hub.Event()
        self._asked: list[hub.Event] = []

    def start(self) -> None:
        """Begin; returns at once."""
        hub.spawn(self._or_end, self._read_events)
        hub.spawn(self._or_end, self._run)

    def check(self, timeout: float) -> None:
        """Look at the files now, and return when what they say has been emitted, or after ``timeout`` seconds."""
        done = hub.Event()
        self._asked.append(done)
        self._wake.set()
        done.wait(timeout)
        if done in self._asked:
            self._asked.remove(done)

    @property
    def writing(self) -> tuple[str, ...]:
        """Files that somebody is writing just now: no load until they are closed."""
        heard = (self._watches[number] / name for number, name in self._writing if number in self._watches)
        return tuple(sorted({*map(str, heard), *map(str, self._open)}))

    def _or_end(self, task: Callable[[], None]) -> None:
        """Nobody would notice a green thread that is gone: no policy would ever be loaded again."""
        try:
            task()
        except Exception:
            end_of_process(f"the policy at {self.path}")

    def _run(self) -> None:
        logged: object = None
        while True:
            outcome, asked = self._settled_load()
            # Whoever asks has the files read once more; the log tells when they say something else.
            if (gist := _gist(outcome)) != logged:
                _log(outcome)
                logged = gist
            self._emit(outcome)
            for done in asked:
                done.set()
            self._wake.wait()

    def _settled_load(self) -> tuple[Loaded, list[hub.Event]]:
        """What the files say, when nothing has changed while they were read; and who asked for it."""
        asked: list[hub.Event] = []
        # What was replaced whole is read at once: the quiet after it, if any, passes meanwhile. Who only asks, and has
        # changed nothing, must not keep us reading; nor who goes on changing.
        quiet = {News.NONE: SETTLE, News.OTHER: QUICK}.get(self._news, 0.0)
        self._patience = time.monotonic() + RESTLESS
        while True:
            self._settle(quiet)
            quiet = SETTLE
            asked, self._asked = asked + self._asked, []
            self._wake.clear()
            outcome = self._load()
            if outcome is None:
                self._changed.wait(LOOK_AGAIN)
            elif self._undisturbed(outcome):
                self._news, self._last_outcome = News.NONE, time.monotonic()
                return outcome, asked

    def _undisturbed(self, outcome: Loaded) -> bool:
        """Wait until the last change is long enough ago. False: something has changed since the load began."""
        if self._news is News.EXCHANGED:
            self._doubt(outcome)
        self._read_now()
        while not self._changed.is_set():
            quiet = {News.EXCHANGED: 0.0, News.REPLACED: QUICK}.get(self._news, SETTLE)
            left = self._last_change + quiet - time.monotonic()
            if left <= 0:
                return True
            self._changed.wait(left)
            self._read_now()
        return False

    def _doubt(self, outcome: Loaded) -> None:
        """An exchange needs no quiet, if what was read is a policy, and its files are those that were found before.

        Else nobody would hear of a change of which inotify is just about to tell; and it never tells of one that is
        made under another name of a file.
        """
        same = look(self.path) == self._places
        if not same or isinstance(outcome, PolicyRefused):
            self._news = News.OTHER
        if not same:
            self._changed.set()

    def _settle(self, quiet: float) -> None:
        """Wait until nobody writes and no change has come for ``quiet`` seconds."""
        while True:
            self._watch_all()
            self._changed.clear()
            if time.monotonic() > self._patience:
                self._patience = math.inf
                busy = ", ".join(self.writing) or "no file for long"
                LOG.warning("%s keeps changing and is not loaded meanwhile; being written: %s", self.path, busy)
            if self._writing:
                self._changed.wait()
                # A writer may tell a thousand times a second.
                hub.sleep(SETTLE / 10)
                continue
            hub.sleep(quiet)
            if not self._changed.is_set():
                return

    def _read_events(self) -> None:
        while True:
            eventlet.hubs.trampoline(self._inotify.fileno(), read=True)
            self._read_now()

    def _read_now(self) -> None:
        for event in self._inotify.read(timeout=0):
            if self._note(event):
                now = time.monotonic()
                self._news = self._news_with(event, now)
                if self._news is News.EXCHANGED:
                    # What happens from now on to the files that the policy had is nothing to us.
                    self._places = look(self.path)
                self._last_change = now
                self._changed.set()
                self._wake.set()
            elif self._news is News.REPLACED or (
                self._news is News.EXCHANGED and self._watches.get(event.wd) in self._places.inside
            ):
                # A draft of the next file, perhaps: whoever is at work here may not be done.
                self._news = News.OTHER

    def _news_with(self, event: Any, now: float) -> News:  # noqa: ANN401 (inotify_simple's)
        """What has happened, with this event of ours.

        Soon after an outcome it is nothing by itself: it may belong to the change before.
        """
        folder = self._watches.get(event.wd)
        path = folder / event.name if folder is not None and event.name else None
        if self._news is News.EXCHANGED:
            # Where two have exchanged names (renameat2), the old one leaves in the same instant. If it is the new one
            # that leaves, none will be found.
            leaves = event.mask & flags.MOVE_SELF or (event.mask & flags.MOVED_FROM and path in self._places.way)
            return News.EXCHANGED if leaves else News.OTHER
        if self._news is not News.NONE or now - self._last_outcome < SETTLE or not event.mask & flags.MOVED_TO:
            return News.OTHER
        if path in self._places.way:
            return News.EXCHANGED
        ours = path in self._places.names or path in self._places.files.values()
        return News.REPLACED if ours and not event.mask & flags.ISDIR else News.OTHER

    def _note(self, event: Any) -> bool:  # noqa: ANN401 (inotify_simple's)
        """Keep account of writers; True if the event could mean another policy."""
        if event.mask & flags.Q_OVERFLOW:
            # Lost events: whoever was writing may have finished unnoticed. If not, the kernel tells.
            self._writing.clear()
            return True
        folder = self._watches.get(event.wd)
        if folder is None:
            return False
        if event.mask & flags.IGNORED:
            self._forget(event.wd)
        if not event.name:
            return folder in self._places.folders
        if not self._places.counts(folder, event.name, bool(event.mask & flags.ISDIR)):
            return False
        if not event.mask & flags.ISDIR:
            if event.mask & flags.MODIFY:
                self._writing.add((event.wd, event.name))
            elif event.mask & (flags.CLOSE_WRITE | flags.DELETE | flags.MOVED_FROM):
                self._writing.discard((event.wd, event.name))
        return True

    def _forget(self, number: int) -> None:
        """A watch is gone, and with it the word of whoever was writing there."""
        self._watches.pop(number, None)
        self._writing = {writer for writer in self._writing if writer[0] != number}

    def _watch_all(self) -> None:
        """Watch every folder in which a change could mean another policy.

        All are asked for each time: a folder that has taken another's name gets a watch of its own by that. Again if
        there was a new one: something may have come into it before it was watched.
        """
        known: set[int] | None = None
        while known is None or not self._watches.keys() <= known:
            known = set(self._watches)
            self._places = look(self.path)
            watches: dict[int, Path] = {}
            for folder, inside in self._places.folders.items():
                try:
                    watches[self._inotify.add_watch(folder, CONTENTS if inside else NAMES)] = folder
                except OSError as error:
                    self._cannot_watch(folder, error)
            gone = self._watches.keys() - watches.keys()
            self._watches |= watches
            for number in gone:
                self._forget(number)
                try:
                    self._inotify.rm_watch(number)
                except OSError as error:
                    LOG.debug("watch %d was gone already: %s", number, error)

    def _cannot_watch(self, folder: Path, error: OSError) -> None:
        if folder not in self._unwatched and len(self._unwatched) < MAX_FOLDERS:
            self._unwatched.add(folder)
            LOG.warning("cannot watch %s, changes there are not noticed: %s", folder, error)

    def _load(self) -> Loaded | None:
        """What the files say; None: somebody has one of them open for writing."""
        began = time.monotonic()
        try:
            # In a real thread: a large policy must not keep the switches waiting for their answers.
            self._open, document = tpool.execute(self._read, self._places.files)
        except PolicyError as error:
            self._open = ()
            return PolicyRefused(error.problems, isinstance(error, PolicyNotFound))
        except Exception as error:
            # A defect of the loader. With another policy in its place all would be well, so this one is refused.
            self._open = ()
            LOG.exception("policy refused: defect while loading %s", self.path)
            return PolicyRefused((Problem(Place(str(self.path), 1, 1), f"cannot be loaded: {error!r}"),))
        if document is None:
            return None
        LOG.debug("policy %s read in %.0f ms", document.revision, 1000 * (time.monotonic() - began))
        return PolicyLoaded(document)

    def _read(self, files: Mapping[FileId, Path]) -> tuple[tuple[Path, ...], Document | None]:
        """Which of the files somebody has open for writing; if none, the policy. In a real thread, so no logging."""
        written = open_for_writing(files)
        return written, None if written else self._loader.load(self.path)


def _gist(outcome: Loaded) -> object:
    return outcome.document.revision if isinstance(outcome, PolicyLoaded) else outcome.problems


def _log(outcome: Loaded) -> None:
    match outcome:
        case PolicyLoaded(document):
            LOG.info("policy %s loaded", document.revision)
        case PolicyRefused(problems):
            for problem in problems:
                LOG.error("policy refused: %s", problem)
