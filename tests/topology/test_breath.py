"""Moments of long work: they come to whoever has asked for them, and the work is the same without."""

import threading

import eventlet
from hypothesis import given
from hypothesis import strategies as st

from topology.breath import breathing, moments


def in_a_thread(task):
    """What a task returns in a thread of its own, so that what it asks for ends with it."""
    found = []
    thread = threading.Thread(target=lambda: found.append(task()))
    thread.start()
    thread.join()
    return found[0]


@given(st.lists(st.integers()), st.integers(1, 5))
def test_a_moment_comes_after_so_many_and_the_items_are_the_same(items, each):
    def work():
        came = []
        moments(lambda: came.append(None))
        return list(breathing(iter(items), each)), len(came)

    assert in_a_thread(work) == (items, len(items) // each)
    assert list(breathing(items, each)) == items


def test_nobody_else_is_called():
    came = []
    in_a_thread(lambda: moments(lambda: came.append("another thread's")))
    begun = eventlet.spawn(lambda: moments(lambda: came.append("another green thread's")))
    begun.wait()
    assert list(breathing(range(100), 1)) == list(range(100)) and came == []
