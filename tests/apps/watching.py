"""The watch over a policy's files in a process of its own, and who changes the files."""

import contextlib
import json
import queue
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
DEADLINE = 20.0
# How long a silence is listened to. A load comes some 0.2 s after a change.
SILENCE = 0.8


def text(*rules):
    """A policy file with rules of these names."""
    lines = [f"      - {{name: {rule}, allow: tcp/1, from: any, to: any}}" for rule in rules]
    return "\n".join(["version: 1", "policies:", "  - name: p", "    rules:", *lines, ""])


class Watcher:
    """The child, and what it has said."""

    def __init__(self, path, *arguments):
        command = [sys.executable, "-W", "ignore", "-m", "tests.apps.watch_child", str(path), *arguments]
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 (until `close`)
        self.process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True, bufsize=1
        )
        self.said = queue.Queue()
        self.outcomes = []
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        for line in self.process.stdout:
            self.said.put(json.loads(line))

    def next(self, kind=None, within=DEADLINE):
        """The next thing said, or of those that have this key."""
        deadline = time.monotonic() + within
        while True:
            try:
                said = self.said.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"no {kind or 'word'} in {within} s; outcomes: {self.outcomes}") from None
            if "loaded" in said or "refused" in said:
                self.outcomes.append(said)
            if kind is None or kind in said:
                return said

    def ask(self, word, kind):
        self.process.stdin.write(word + "\n")
        return self.next(kind)[kind]

    def waits_for(self, path, within=DEADLINE):
        """It says that somebody is writing this file; asked again until it has looked."""
        deadline = time.monotonic() + within
        while (writing := self.ask("writing", "writing")) != [str(path)]:
            assert time.monotonic() < deadline, writing

    def loads(self, *rules, within=DEADLINE):
        """A policy with these rules is loaded, and nothing else before it."""
        assert self.next(within=within) == {"loaded": list(rules)}

    def ends_with(self, *rules):
        """A policy with these rules is loaded at last."""
        while self.next() != {"loaded": list(rules)}:
            pass

    def silent(self):
        """Nothing is loaded for a while."""
        with contextlib.suppress(queue.Empty):
            raise AssertionError(f"unexpected: {self.said.get(timeout=SILENCE)}")

    def log(self):
        """What it has logged."""
        self._errors.seek(0)
        return self._errors.read()

    def close(self):
        self.process.kill()
        self.process.wait()
        self._errors.close()


def replace(path, content):
    """As careful writers do it."""
    draft = path.with_name(f".{path.name}.draft")
    draft.write_text(content)
    draft.rename(path)
