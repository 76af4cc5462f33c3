"""Fixtures of the tests of this folder."""

import contextlib

import pytest

from tests.apps.watching import Watcher, text


@pytest.fixture
def watch():
    """Starts watchers, and ends them."""
    with contextlib.ExitStack() as stack:

        def start(path, *arguments):
            watcher = Watcher(path, *arguments)
            stack.callback(watcher.close)
            return watcher

        yield start


@pytest.fixture
def policy(tmp_path):
    folder = tmp_path / "above" / "policy"
    folder.mkdir(parents=True)
    (folder / "a.yaml").write_text(text("one"))
    return folder
