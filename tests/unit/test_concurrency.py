"""Many requests at a time, answers in order."""

import threading

import pytest

from drydock.concurrency import each


def test_answers_come_in_the_order_of_what_was_asked():
    last_is_through = threading.Event()

    def do(number):
        if number == 3:
            last_is_through.set()
        else:
            assert last_is_through.wait(30)
        return number * number

    assert each(do, range(4)) == [0, 1, 4, 9]


def test_no_more_are_asked_at_a_time_than_there_are_readers():
    assert len(set(each(lambda _: threading.get_ident(), range(20), readers=1))) == 1


def test_what_one_raises_comes_out():
    with pytest.raises(ZeroDivisionError):
        each(lambda number: 1 / number, [1, 0])
