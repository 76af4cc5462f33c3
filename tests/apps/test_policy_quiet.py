"""How long the watch over the policy's files waits after a change, and what it does meanwhile."""

import time

import pytest

from tests.apps.watching import replace, text

# Much longer than everything else takes here.
LONG = 2.0


@pytest.fixture
def patient(watch, policy):
    """A watch that waits long, which has loaded the policy, and the quiet after that has passed."""
    (policy / "b.yaml").write_text("version: 1\n")
    watcher = watch(policy, "0", str(LONG))
    watcher.next("loaded")
    time.sleep(LONG)
    return watcher


def took(watcher):
    """Seconds until the next outcome."""
    began = time.monotonic()
    watcher.next("loaded")
    return time.monotonic() - began


def test_a_file_replaced_whole_is_loaded_at_once_and_the_next_one_soon_after_is_not(patient, policy):
    replace(policy / "a.yaml", text("two"))
    assert took(patient) < LONG * 0.7
    replace(policy / "a.yaml", text("three"))
    assert took(patient) > LONG * 0.9


@pytest.mark.parametrize(
    "change",
    [
        # A file that is written in place may be written by several who open it one after the other.
        lambda policy: (policy / "a.yaml").write_text(text("two")),
        # A file that is new, and one that goes, may be part of something larger.
        lambda policy: replace(policy / "c.yaml", "version: 1\n"),
        lambda policy: (policy / "b.yaml").unlink(),
        lambda policy: [replace(policy / name, "version: 1\n") for name in ("a.yaml", "b.yaml")],
        # The draft of the next one.
        lambda policy: [replace(policy / "a.yaml", text("two")), (policy / ".b.yaml.x1").write_text("version")],
        lambda policy: [replace(policy / "a.yaml", text("two")), (policy / "a.yaml").chmod(0o600)],
        lambda policy: [(policy / "new").mkdir(), (policy / "new").rmdir()],
    ],
    ids=["in place", "new", "gone", "two", "draft", "attributes", "folder"],
)
def test_whatever_else_is_waited_after(patient, policy, change):
    change(policy)
    assert took(patient) > LONG * 0.9


def test_what_is_read_meanwhile_and_does_not_count_is_no_error_in_the_log(watch, policy):
    """A checkout of many files, slower than the watch reads: no state between is told, in the log neither."""
    watcher = watch(policy, "0", "1")
    watcher.next("loaded")
    (policy / "a.yaml").write_text(text("one").replace("to: any", "to: late"))
    watcher.next("loading")
    (policy / "c.yaml").write_text("groups:\n  late: {match: 'role == x'}\n")
    watcher.next("loaded")
    assert [set(outcome) for outcome in watcher.outcomes] == [{"loaded"}] * 2
    assert "policy refused" not in watcher.log()


def test_a_file_replaced_whole_is_read_while_the_quiet_passes(watch, policy):
    """It is read at once, and counts when nothing more has happened for as long as after any replacement."""
    watcher = watch(policy, "0", "0.1", "10", str(LONG))
    watcher.next("loaded")
    # Longer than the quiet after an outcome, in which a change may belong to the one before.
    time.sleep(0.5)
    began = time.monotonic()
    replace(policy / "a.yaml", text("two"))
    watcher.next("loading")
    assert time.monotonic() - began < LONG * 0.5
    assert watcher.next() == {"loaded": ["two"]}
    assert time.monotonic() - began > LONG * 0.9


def test_what_was_read_at_once_does_not_count_if_more_comes(watch, policy):
    """Several files are replaced by rename, one after the other: what lies between is read and never told."""
    (policy / "b.yaml").write_text("policies:\n  - {name: q, rules: [{name: b, allow: any, from: any, to: any}]}\n")
    watcher = watch(policy, "0", "0.1", "10", str(LONG))
    watcher.next("loaded")
    time.sleep(0.5)
    replace(policy / "a.yaml", text("two"))
    watcher.next("loading")
    replace(policy / "b.yaml", "policies:\n  - {name: q, rules: [{name: c, allow: any, from: any, to: any}]}\n")
    watcher.ends_with("two", "c")
    assert watcher.outcomes == [{"loaded": ["one", "b"]}, {"loaded": ["two", "c"]}]
