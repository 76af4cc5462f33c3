"""What is there to stay is left out of the cycle collector's rounds, and looked at now and then all the same."""

import gc
import weakref

import pytest

from policy import collector
from ryu_apps import settling
from ryu_apps.settling import Settling


@pytest.fixture(autouse=True)
def thawed(monkeypatch):
    monkeypatch.setattr(settling, "LARGE", 1000)
    monkeypatch.setattr(settling, "ALL_OVER", 6000)
    gc.collect()
    yield
    gc.unfreeze()
    gc.collect()


class Cycle:
    def __init__(self):
        self.me = self


def test_little_work_is_not_settled():
    before = gc.get_freeze_count()
    with collector.paused():
        kept = [[] for _ in range(100)]
        Settling().settle()
    assert len(kept) == 100 and gc.get_freeze_count() == before


def test_much_work_is_settled_and_everything_is_gone_through_now_and_then():
    each = Settling()
    lost = Cycle()
    gone = weakref.ref(lost)
    kept = []
    for time in range(1, 4):
        with collector.paused():
            kept.append([[] for _ in range(2000)])
            each.settle()
        if time == 1:
            del lost
        assert gc.get_freeze_count() > 2000 * time
        gc.collect()
        assert (gone() is None) is (time == 3)
    assert len(kept) == 3


def test_the_pause_ends_also_where_the_work_fails_and_leaves_what_was_paused():
    with pytest.raises(ZeroDivisionError), collector.paused():
        assert not gc.isenabled()
        raise ZeroDivisionError
    assert gc.isenabled()
    with collector.paused():
        with collector.paused():
            pass
        assert not gc.isenabled()


def test_who_ends_first_does_not_let_the_collector_in_on_the_others():
    """As the worker and the client of OVSDB, who have their turns in the middle of each other's work."""
    one, other = collector.paused(), collector.paused()
    one.__enter__()
    other.__enter__()
    one.__exit__(None, None, None)
    assert not gc.isenabled()
    other.__exit__(None, None, None)
    assert gc.isenabled()
