"""What is finished at a stop goes up as soon as S3 takes it, within the time that is left."""

import json
import os
import signal

import pytest

from drydock.errors import StoreUnavailable
from drydock.store import Store
from tests.worker.attempts.counting import lines, whole
from worker.agent import main
from worker.endings import own_code
from worker.stop_signals import Stop


class Clock:
    """Time that passes only when somebody sleeps."""

    now = 0.0

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


class FailingStore(Store):
    """S3 that refuses so many writes after the stop was asked for."""

    def __init__(self, client, stop, refusals):
        super().__init__(client)
        self.stop, self.refusals = stop, refusals

    def encrypting_with(self, _kms_key_id):
        return self

    def _put(self, *given, **named):
        if self.stop.reason is not None and self.refusals > 0:
            self.refusals -= 1
            raise StoreUnavailable("503 Slow Down")
        return super()._put(*given, **named)


@pytest.fixture
def stopped_run(client, scratch, tool):
    """A run that is told to stop at its first poll, by a store that fails."""

    def run(made, refusals):
        clock = Clock()
        stop = Stop(clock=clock, sleep=clock.sleep)
        polls = iter([False, False])
        tool.on_poll = lambda: next(polls, True) and stop.ask("signal", "SIGTERM")
        return main(made.environment(scratch), FailingStore(client, stop, refusals), stop), clock

    return run


def test_writes_that_fail_at_a_stop_are_tried_again(shard, stopped_run, tool, run):
    made = shard(("in/0", lines("a", "b", "c", "d")))
    code, clock = stopped_run(made, refusals=5)
    assert code == 1
    assert clock.now == 5
    assert [record.progress for record in made.part_records()] == [3]
    tool.on_poll = lambda: None
    assert run(made) == 0
    assert whole(made) == [(0, "a"), (0, "b"), (0, "c"), (0, "d")]


def test_what_cannot_be_saved_in_time_leaves_the_earlier_part_valid(
    shard, stopped_run, tool, run, capsys
):
    made = shard(("in/0", lines("a", "b", "c", "d", "e", "f", "g")))
    assert stopped_run(made, refusals=0)[0] == 1
    code, clock = stopped_run(made, refusals=10_000)
    assert code == 1
    assert 20 < clock.now < 30
    assert [record.progress for record in made.part_records()] == [3]
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert events[-2]["event"] == "try_again"
    tool.on_poll = lambda: None
    assert run(made) == 0
    assert len(whole(made)) == 7


def test_more_signals_while_it_saves_lose_nothing(shard, client, scratch, tool):
    made = shard(("in/0", lines("a", "b", "c")))
    signals = iter([signal.SIGTERM, signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP])

    class Bothered(Store):
        def encrypting_with(self, _kms_key_id):
            return self

        def _put(self, *given, **named):
            for number in (next(signals, None), next(signals, None)):
                if number is not None:
                    os.kill(os.getpid(), number)
            return super()._put(*given, **named)

    tool.on_poll = lambda: os.kill(os.getpid(), next(signals))
    assert main(made.environment(scratch), Bothered(client)) == 1
    assert next(signals, None) is None
    assert [record.progress for record in made.part_records()] == [1]


@pytest.mark.parametrize(
    ("code", "exits_with"), [(None, 1), (0, 1), (1, 1), (3, 3), (255, 255), (-9, 137), (-11, 139)]
)
def test_by_hand_a_failed_input_exits_with_the_tools_own_code(code, exits_with):
    assert own_code(code) == exits_with
