"""Processes take turns at their effects, suffer each kind of fault, and replay."""

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from tests.simulation.corner import Mishaps
from tests.simulation.kernel import Endless, Event, Fault, Kernel, Killed, Quiet


class Recorded(Quiet):
    """Picks by a list of numbers, which it also keeps."""

    def __init__(self, picks=()):
        self.picks, self.taken = list(picks), []

    def pick(self, ready):
        self.taken.append(self.picks.pop(0) % len(ready) if self.picks else len(ready) - 1)
        return self.taken[-1]


def writer(kernel, log, name, count):
    def run():
        for number in range(count):
            kernel.effect(f"{name}{number}", lambda n=number: log.append((name, n)), writes=True)

    return kernel.spawn(name, "lambda", run)


def faulty(fault, *, then=lambda kernel: None):
    """A process with one effect that goes wrong: the process, how often it was done, the kernel."""
    kernel = Kernel(Mishaps(faults=[("put", fault)]))
    done = []

    def run():
        kernel.effect("put", lambda: done.append(kernel.now), writes=True)
        then(kernel)
        return "lives"

    process = kernel.spawn("p", "lambda", run)
    kernel.run()
    return process, done, kernel


def test_processes_take_turns_at_each_effect():
    kernel, log = Kernel(Recorded([0, 1] * 10)), []
    writer(kernel, log, "a", 3)
    writer(kernel, log, "b", 3)
    kernel.run()
    assert sorted(log) == [("a", 0), ("a", 1), ("a", 2), ("b", 0), ("b", 1), ("b", 2)]
    assert log != sorted(log), "one ran to its end before the other began"


def test_a_replay_tells_the_same_story():
    def told(chooser):
        kernel, log = Kernel(chooser), []
        for name in "abc":
            writer(kernel, log, name, 4)
        kernel.run()
        return kernel.story, log

    first = Recorded([1, 0, 2, 2, 0, 1, 1, 0, 2])
    story, log = told(first)
    assert told(Recorded(first.taken)) == (story, log)
    assert told(Recorded()) != (story, log)


@pytest.mark.parametrize(("kind", "times"), [("dies before", 0), ("dies after", 1)])
def test_a_death_at_an_effect(kind, times):
    process, done, _ = faulty(Fault(kind))
    assert (process.dead, process.ended.is_set, len(done)) == (True, True, times)
    assert isinstance(process.error, Killed)


@pytest.mark.parametrize(
    ("kind", "error", "times"),
    [
        ("refused", ClientError, 0),
        ("lost answer", ReadTimeoutError, 1),
        ("late", ReadTimeoutError, 1),
    ],
)
def test_an_error_is_answered(kind, error, times):
    process, done, _ = faulty(Fault(kind, 5.0))
    assert isinstance(process.error, error)
    assert not process.dead
    assert len(done) == times


def test_what_is_late_happens_after_its_answer():
    seen = []
    kernel = Kernel(Mishaps(faults=[("put", Fault("late", 5.0))]))
    done = []

    def run():
        with pytest.raises(ReadTimeoutError):
            kernel.effect("put", lambda: done.append(kernel.now), writes=True)
        seen.append(list(done))
        kernel.sleep(10)
        seen.append(len(done))

    kernel.spawn("p", "lambda", run)
    kernel.run()
    assert seen == [[], 1]


def test_what_is_doubled_happens_twice_and_what_stalls_later():
    process, done, _ = faulty(Fault("doubled"))
    assert (process.result, len(done)) == ("lives", 2)
    process, done, kernel = faulty(Fault("stalls", 30.0))
    assert process.result == "lives"
    assert done[0] >= kernel.began + 30


def test_the_first_of_two_refused_writes_is_unheard():
    kernel = Kernel(Mishaps(faults=[("put", Fault("doubled"))]))
    written = []

    def put_once():
        if written:
            raise ClientError({"Error": {"Code": "412", "Message": "there"}}, "put")
        written.append(1)

    process = kernel.spawn("p", "lambda", lambda: kernel.effect("put", put_once, writes=True))
    kernel.run()
    assert written == [1]
    assert isinstance(process.error, ClientError), "the second try finds what the first one wrote"


@pytest.mark.parametrize("where", ["sleeping", "waiting", "stalled", "not started"])
def test_a_process_is_killed_wherever_it_is(where):
    kernel = Kernel(Mishaps(faults=[("put", Fault("stalls", 50.0))] if where == "stalled" else []))
    reached, unwound, event = [], [], Event(kernel)

    def run():
        try:
            if where == "sleeping":
                kernel.sleep(50)
            elif where == "waiting":
                event.wait()
            kernel.effect("put", lambda: reached.append(1), writes=True)
        finally:
            unwound.append(1)
            kernel.effect("clean up", lambda: reached.append(2), writes=True)

    process = kernel.spawn("p", "container", run)
    if where == "not started":
        process.kill()
    else:
        kernel.after(10, process.kill)
        kernel.after(20, event.set)
    kernel.run()
    assert reached == [], "the dead have no effect, not even as they unwind"
    assert unwound == ([] if where == "not started" else [1])
    assert process.dead
    assert process.ended.is_set
    assert isinstance(process.error, Killed)


def test_who_kills_itself_goes_no_further():
    reached = []
    process, _, _ = faulty(
        Fault("stalls", 1.0),
        then=lambda kernel: (kernel.current.kill(), reached.append(1)),
    )
    assert process.dead
    assert reached == []


def test_whoever_waits_for_an_end_goes_on():
    kernel = Kernel(Quiet())
    process = kernel.spawn("p", "container", lambda: kernel.sleep(100))
    waiter = kernel.spawn("w", "user", lambda: (process.ended.wait(), kernel.now)[1])
    kernel.after(7, process.kill)
    told = []
    process.ended.then(lambda: told.append(kernel.current))
    kernel.run()
    assert waiter.result == kernel.began + 7
    assert told == [None], "what follows an end is done outside of any process"
    process.ended.then(lambda: told.append("late"))
    kernel.run()
    assert told == [None, "late"]


def test_timers_come_in_order_unless_cancelled():
    kernel, seen = Kernel(Quiet()), []
    kernel.after(3, lambda: seen.append("third"))
    kernel.after(1, lambda: (seen.append("first"), kernel.after(1, lambda: seen.append("second"))))
    kernel.after(2.5, lambda: seen.append("never")).cancel()
    kernel.after(9, lambda: seen.append("later"))
    kernel.run(until=kernel.began + 5)
    assert seen == ["first", "second", "third"]
    kernel.run()
    assert seen[-1] == "later"
    assert kernel.now == kernel.began + 9


@pytest.mark.parametrize(("set_after", "heard", "until"), [(3, True, 3), (30, False, 10)])
def test_a_wait_ends_with_its_event_or_its_time(set_after, heard, until):
    kernel = Kernel(Quiet())
    event, seen = Event(kernel), []
    kernel.spawn("w", "lambda", lambda: seen.extend([event.wait(10), kernel.now - kernel.began]))
    kernel.after(set_after, event.set)
    kernel.run()
    assert seen == [heard, until]


def test_a_history_without_end_is_told():
    kernel = Kernel(Quiet(), limit=50)

    def run():
        while True:
            kernel.effect("again", lambda: None, writes=False)

    kernel.spawn("p", "lambda", run)
    with pytest.raises(Endless, match="50"):
        kernel.run()


def test_set_up_is_no_part_of_the_history():
    kernel = Kernel(Mishaps(faults=[("put", Fault("refused"))]))
    assert kernel.effect("put", lambda: "done", writes=True) == "done"
    assert (kernel.effects, kernel.story) == (0, [])
