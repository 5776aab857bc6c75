"""How much time a stop leaves, by who asked for it."""

import math

import pytest

from worker.stop_signals import Stop


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_without_a_stop_time_is_endless(clock):
    assert Stop(clock=clock).seconds_left() == math.inf


@pytest.mark.parametrize(
    ("kind", "limit_s"), [("signal", 30), ("spot", 120), ("deadline", 90), ("run_stopped", 90)]
)
def test_what_is_left_is_less_than_what_the_one_who_asks_gives(clock, kind, limit_s):
    stop = Stop(clock=clock)
    stop.ask(kind, "why")
    assert 0.6 * limit_s < stop.seconds_left() < limit_s
    clock.now = limit_s
    assert stop.seconds_left() < 0


def test_a_second_signal_gives_no_more_time(clock):
    stop = Stop(clock=clock)
    stop.ask("signal", "SIGTERM")
    clock.now = 10.0
    before = stop.seconds_left()
    stop.ask("signal", "SIGTERM")
    assert stop.seconds_left() == before


def test_a_signal_after_the_spot_notice_shortens_what_is_left(clock):
    stop = Stop(clock=clock)
    stop.ask("spot", "notice")
    clock.now = 10.0
    stop.ask("signal", "SIGTERM")
    assert stop.seconds_left() < 30
    assert (stop.reason.kind, stop.reason.text) == ("spot", "notice")


def test_the_deadline_is_a_stop_with_time_to_save(clock):
    stop = Stop(deadline=100.0, clock=clock)
    assert stop.reason is None
    clock.now = 100.0
    assert stop.reason.kind == "deadline"
    assert 60 < stop.seconds_left() < 90
