"""Many things at once, and an end that waits for none of them."""

import threading

import pytest

from worker.endings import Interrupted
from worker.parallel import each
from worker.stop_signals import Stop


def test_every_item_is_worked_on_once_and_told_of_in_this_thread():
    worked, told = [], []
    here = threading.get_ident()
    each(worked.append, range(100), 7, Stop(), lambda i: told.append((i, threading.get_ident())))
    assert sorted(worked) == list(range(100))
    assert sorted(told) == [(item, here) for item in range(100)]


def test_nothing_to_do():
    each(pytest.fail, [], 4, Stop())


def test_as_many_at_once_as_there_are_threads():
    meeting = threading.Barrier(3, timeout=30)
    each(lambda _item: meeting.wait(), range(6), 3, Stop())


def test_the_first_error_ends_it():
    worked = []

    def work(item):
        worked.append(item)
        if item == 3:
            raise ValueError("three")

    with pytest.raises(ValueError, match="three"):
        each(work, range(1000), 1, Stop())
    assert worked == [0, 1, 2, 3]


def test_a_stop_waits_for_no_thread():
    stop, release = Stop(), threading.Event()

    def work(_item):
        stop.ask("spot", "Spot notice")
        release.wait()

    try:
        with pytest.raises(Interrupted, match="Spot notice"):
            each(work, range(4), 2, stop)
        assert not release.is_set()
    finally:
        release.set()


def test_threads_do_not_keep_the_process():
    seen = []
    each(lambda _item: seen.append(threading.current_thread().daemon), range(3), 3, Stop())
    assert seen == [True, True, True]
