from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.simulation import containers
from tests.simulation.kernel import EPOCH_S, Fault, Quiet
from tests.simulation.rounds import settled, stack_with, statuses, submit
from tests.simulation.toy import Planted, joined
from worker import attempt, work


class Once(Quiet):
    """One fault at the first container's request of that number."""

    def __init__(self, number: int, kind: str) -> None:
        self.number, self.kind = number, kind

    def fault(self, effect):
        is_first = effect.process.name == "container job-000000-0-1 attempt 1"
        return Fault(self.kind) if is_first and effect.number == self.number else None


@pytest.mark.parametrize("kind", ["dies before", "dies after", "refused", "lost answer", "doubled"])
@pytest.mark.parametrize("number", range(9))
def test_whatever_happens_at_whichever_request_a_second_job_finds_or_does_the_whole(number, kind):
    with containers.simulated():
        stack = stack_with(Planted(units=3), chooser=Once(number, kind))
        submit(stack, 1)
        stack.kernel.run()
        job = submit(stack, 1)
        stack.kernel.run()
    assert statuses(stack, job) == ["SUCCEEDED"]
    assert not stack.batch.crashes
    (summary,) = settled(stack)
    assert joined(stack.services().store, summary) == [1, 2, 3]


def test_a_container_that_is_killed_leaves_nothing_on_the_machine():
    with containers.simulated():
        folder = Path(containers._scratch)
        stack = stack_with(Planted(units=9))
        job = submit(stack, 1)
        stack.kernel.run(until=EPOCH_S + 60)
        assert len(list(folder.iterdir())) == 1
        stack.batch.running[job].lose_host()
        stack.kernel.run(until=stack.kernel.now + 0.5)
        assert not list(folder.iterdir())
    assert not folder.exists()


def test_the_same_choices_make_the_same_story():
    def story():
        with containers.simulated():
            stack = stack_with(*(Planted(salt=f"{n}") for n in range(5)))
            submit(stack, 5)
            stack.kernel.run()
        return stack.kernel.story

    assert story() == story()


def test_containers_run_in_virtual_time_alone():
    stack = stack_with(Planted())
    submit(stack, 1)
    with pytest.raises(AssertionError, match="simulated"):
        stack.kernel.run()


def test_what_the_worker_newly_has_of_the_real_world_is_seen(monkeypatch):
    monkeypatch.setattr(work, "time", SimpleNamespace(), raising=False)
    with pytest.raises(AssertionError, match=r"worker\.work.*time"), containers.simulated():
        pass


def test_what_the_worker_no_longer_has_is_seen(monkeypatch):
    with monkeypatch.context() as until:
        until.delattr(attempt, "log_stream")
        with pytest.raises(AttributeError), containers.simulated():
            pass
    with containers.simulated():
        assert containers._scratch is not None
