from collections.abc import Iterator

import pytest

from drydock.errors import Malformed
from tests.simulation.containers import simulated
from tests.simulation.kernel import Quiet
from tests.simulation.rounds import Scripted, settled, stack_with, statuses, submit
from tests.simulation.toy import Planted, joined


@pytest.fixture(autouse=True)
def containers() -> Iterator[None]:
    with simulated():
        yield


def after(planted: Planted, *, memory_mib: int = 2000, **values):
    chooser = values.pop("chooser", Quiet())
    stack = stack_with(planted, chooser=chooser, **values)
    job = submit(stack, 1, memory_mib=memory_mib)
    stack.kernel.run()
    assert not stack.batch.crashes
    return stack, stack.batch.jobs[job]


def test_an_undisturbed_input_is_one_part_with_all_units():
    stack, job = after(Planted(units=4))
    (summary,) = settled(stack)
    assert (job.status, len(summary.chain)) == ("SUCCEEDED", 1)
    assert joined(stack.services().store, summary) == [1, 2, 3, 4]


def test_parts_made_on_a_period_join_to_the_whole():
    stack, _ = after(Planted(units=5, seconds=50), checkpoint_seconds=100)
    (summary,) = settled(stack)
    assert len(summary.chain) > 1
    assert joined(stack.services().store, summary) == [1, 2, 3, 4, 5]


def test_a_part_of_another_input_is_not_joined():
    stack, _ = after(Planted())
    (summary,) = settled(stack)
    other = summary._replace(index=7)
    with pytest.raises(Malformed):
        joined(stack.services().store, other)


def test_an_input_that_is_bad_settles_as_failed():
    stack, job = after(Planted(bad=True))
    assert job.status == "SUCCEEDED"
    assert settled(stack)[0].failure_class == "bad_input"


def test_a_second_death_at_the_same_place_is_the_inputs_fault():
    stack, job = after(Planted(units=3, at=1, dies="place"))
    assert len(job.attempts) == 2
    assert settled(stack)[0].failure_class == "tool_failed"


@pytest.mark.parametrize("dies", ["once", "elsewhere"])
def test_what_passes_is_gone_on_from(dies):
    stack, job = after(Planted(units=3, at=2, dies=dies))
    (summary,) = settled(stack)
    assert [a["container"]["exitCode"] for a in job.attempts] == [1, 0]
    assert [part.part for part in summary.chain] == [0, 1]
    assert joined(stack.services().store, summary) == [1, 2, 3]


def test_a_restart_that_cannot_be_used_is_not_gone_on_from():
    stack, _ = after(Planted(units=3, at=2, dies="elsewhere", forgets=True))
    (summary,) = settled(stack)
    assert joined(stack.services().store, summary) == [1, 2, 3]
    assert [part.part for part in summary.chain] == [1]


@pytest.mark.parametrize(("dies", "exit_code"), [("memory", 71), ("container", 137)])
def test_too_little_memory_ends_the_job_and_twice_as_much_does_not(dies, exit_code):
    planted = Planted(units=3, at=1, dies=dies, needs_mib=4000)
    stack, job = after(planted)
    assert job.attempts[-1]["container"]["exitCode"] == exit_code
    assert job.status == "FAILED"
    assert not settled(stack)
    assert ("OutOfMemoryError" in str(job.attempts)) == (dies == "container")
    stack, _ = after(planted, memory_mib=4000)
    assert joined(stack.services().store, settled(stack)[0]) == [1, 2, 3]


def test_an_input_without_end_ends_with_the_attempts_time():
    _, job = after(Planted(hangs=True), attempt_seconds=600)
    (attempt,) = job.attempts
    assert attempt["container"]["exitCode"] == 75
    assert attempt["stoppedAt"] - attempt["startedAt"] == pytest.approx(510_000, abs=1000)


def test_a_tool_that_refuses_all_work_says_so():
    stack, job = after(Planted(), options={"refuses": True})
    assert job.attempts[-1]["container"]["exitCode"] == 78
    assert not settled(stack)


def test_a_killed_container_leaves_no_marker_and_its_replacement_does_all():
    stack, job = after(Planted(units=3), chooser=Scripted(reclaim_without_notice=1))
    assert statuses(stack, job.id) == ["SUCCEEDED"]
    assert "Host EC2" in job.attempts[0]["statusReason"]
    assert joined(stack.services().store, settled(stack)[0]) == [1, 2, 3]


def test_seconds_are_virtual_ones():
    stack, _ = after(Planted(units=3, seconds=1000))
    assert settled(stack)[0].seconds == pytest.approx(3000, abs=1)


def test_scores_are_written_beside_the_rows():
    stack, _ = after(Planted(units=2, scored=True))
    (part,) = settled(stack)[0].chain
    assert [output.name for output in part.outputs] == ["rows", "scores"]
