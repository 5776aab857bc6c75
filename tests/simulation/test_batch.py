from collections.abc import Iterator

import pytest
from botocore.exceptions import ClientError

from tests.simulation.account import ON_DEMAND
from tests.simulation.batch import KEPT_S
from tests.simulation.containers import simulated
from tests.simulation.machines import PERMANENT
from tests.simulation.rounds import Scripted, events, settled, stack_with, statuses, submit
from tests.simulation.toy import Planted


@pytest.fixture(autouse=True)
def containers() -> Iterator[None]:
    with simulated():
        yield


def three(**values):
    return stack_with(Planted(salt="a"), Planted(salt="b"), Planted(salt="c"), **values)


def test_an_array_ends_with_its_last_child_and_tells_of_every_state():
    stack = three()
    told = events(stack)
    job = submit(stack, 3)
    stack.kernel.run()
    assert statuses(stack, job) == ["SUCCEEDED"] * 3
    assert len(settled(stack)) == 3
    parents = [e["detail"] for e in told if e["detail"]["jobId"] == job]
    assert [d["status"] for d in parents] == ["PENDING", "SUCCEEDED"]
    assert all("attempts" not in d for d in parents)
    child = [e["detail"] for e in told if e["detail"]["jobId"] == f"{job}:1"]
    assert [d["status"] for d in child] == ["RUNNABLE", "STARTING", "RUNNING", "SUCCEEDED"]
    assert child[-1]["arrayProperties"]["index"] == 1


def test_a_retried_child_is_runnable_again_with_one_attempt_more():
    stack = three(chooser=Scripted(reclaim_without_notice=1))
    told = events(stack)
    job = submit(stack, 3)
    stack.kernel.run()
    grown = [
        e["detail"]["attempts"][-1]["statusReason"]
        for e in told
        if e["detail"]["status"] == "RUNNABLE" and e["detail"]["attempts"]
    ]
    assert len(grown) == 3
    assert all(reason.startswith("Host EC2 (instance i-") for reason in grown)
    assert statuses(stack, job) == ["SUCCEEDED"] * 3


def test_a_failed_child_fails_the_array_under_batchs_own_words():
    stack = stack_with(Planted(), Planted(dies="memory", needs_mib=9000))
    job = submit(stack, 2)
    stack.kernel.run()
    assert statuses(stack, job) == ["SUCCEEDED", "FAILED"]
    jobs = stack.services().jobs
    assert jobs.view(job).reason == "Array Child Job failed"
    (child,) = jobs.failed_children(job)
    assert (child.index, child.exit_code, child.is_terminated) == (1, 71, False)


def test_terminating_takes_all_children_and_attempts_keep_their_own_reason():
    stack = three()
    job = submit(stack, 3)
    stack.kernel.run(until=stack.kernel.now + 40)
    stack.services().jobs.terminate(job, "a user's words")
    stack.kernel.run()
    array = stack.batch.jobs[job]
    assert (array.status, array.status_reason) == ("FAILED", "a user's words")
    for child in array.children:
        assert (child.status_reason, child.terminated) == ("a user's words", True)
        assert child.attempts[-1]["statusReason"] == "Essential container in task exited"
        assert child.attempts[-1]["container"]["exitCode"] == 1


def test_cancelling_lets_run_what_runs():
    stack = stack_with(*(Planted(salt=f"{n}") for n in range(20)))
    job = submit(stack, 20)
    stack.kernel.run(until=stack.kernel.now + 40)
    running = statuses(stack, job).count("RUNNING")
    stack.services().jobs.cancel(job, "no more")
    stack.kernel.run()
    assert 0 < running < 20
    assert statuses(stack, job).count("SUCCEEDED") == running
    views = stack.services().jobs.failed_children(job)
    assert {(view.status_reason, view.is_terminated) for view in views} == {("no more", True)}


def test_running_children_are_counted():
    stack = three()
    job = submit(stack, 3)
    stack.kernel.run(until=stack.kernel.now + 40)
    assert stack.services().jobs.running([job]) == {job: 3}


def test_a_new_job_may_be_unknown_for_a_while():
    stack = three(chooser=Scripted(new_job_unknown=2))
    job = submit(stack, 3)
    jobs, name = stack.services().jobs, stack.batch.jobs[job].spec.name
    queue = stack.batch.jobs[job].spec.queue.arn
    assert (jobs.view(job).state, jobs.find(queue, name)) == ("gone", None)
    stack.kernel.run(until=stack.kernel.now + 10)
    stack.kernel.now += 1
    assert (jobs.view(job).state, jobs.find(queue, name)) == ("active", job)


def test_records_go_after_seven_days_and_by_chance_before():
    stack = three(chooser=Scripted(record_lost=1))
    lost = submit(stack, 3)
    stack.kernel.run()
    kept = submit(stack, 3)
    stack.kernel.run()
    jobs = stack.services().jobs
    assert (jobs.view(lost).state, jobs.view(kept).state) == ("gone", "ended")
    stack.kernel.now += KEPT_S
    assert jobs.view(kept).state == "gone"


@pytest.mark.parametrize("broken", [*PERMANENT, "exit 126", "exit 127"])
def test_what_cannot_start_fails_every_time(broken):
    stack = stack_with(Planted())
    stack.batch.broken = broken
    job = submit(stack, 1)
    stack.kernel.run()
    (attempt,) = stack.batch.jobs[job].attempts
    if broken in PERMANENT:
        assert attempt["container"]["reason"] == PERMANENT[broken]
        assert "exitCode" not in attempt["container"]
    else:
        assert attempt["container"]["exitCode"] == int(broken[-3:])
    assert not settled(stack)


@pytest.mark.parametrize(
    ("chance", "status", "exit_code"),
    [("start failure", "FAILED", None), ("segfault", "FAILED", 139)],
)
def test_what_goes_wrong_by_chance_is_told_in_batchs_words(chance, status, exit_code):
    stack = stack_with(Planted(), chooser=Scripted(**{chance.replace(" ", "_"): 1}))
    job = submit(stack, 1)
    stack.kernel.run()
    (attempt,) = stack.batch.jobs[job].attempts
    assert (stack.batch.jobs[job].status, attempt["container"].get("exitCode")) == (
        status,
        exit_code,
    )


def test_a_container_that_was_not_inspected_has_failed_and_left_its_marker():
    stack = stack_with(Planted(), chooser=Scripted(container_not_inspected=1))
    job = submit(stack, 1)
    stack.kernel.run()
    assert stack.batch.jobs[job].status == "FAILED"
    assert stack.batch.jobs[job].attempts[-1]["container"]["reason"].startswith("CannotInspect")
    assert len(settled(stack)) == 1


def test_a_job_that_no_machine_can_run_blocks_its_queue():
    stack = three()
    told = events(stack)
    job = submit(stack, 3, vcpus=64)
    stack.kernel.run()
    assert statuses(stack, job) == ["RUNNABLE"] * 3
    (blocked,) = [e for e in told if e["detail-type"] == "Batch Job Queue Blocked"]
    assert blocked["detail"]["statusReason"].startswith("MISCONFIGURATION:")
    stack.services().jobs.terminate(job, "drydock: stopped")
    assert statuses(stack, job) == ["FAILED"] * 3


def test_what_is_broken_blocks_the_queue_until_it_is_mended():
    chooser = Scripted(surroundings_broken=1)
    chooser.between = lambda what, low, high: high if what.endswith("what breaks") else low
    stack = three(chooser=chooser)
    told = events(stack)
    job = submit(stack, 3)
    stack.kernel.run(until=stack.kernel.now + 10)
    assert [e["detail-type"] for e in told].count("Batch Job Queue Blocked") == 1
    assert statuses(stack, job) == ["RUNNABLE"] * 3
    stack.kernel.run()
    assert statuses(stack, job) == ["SUCCEEDED"] * 3


def test_want_of_capacity_is_told():
    stack = three(chooser=Scripted(no_capacity=1))
    told = events(stack)
    submit(stack, 3)
    stack.kernel.run()
    (blocked,) = [e for e in told if e["detail-type"] == "Batch Job Queue Blocked"]
    assert blocked["detail"]["statusReason"].startswith("CAPACITY:")


def test_batch_refuses_what_it_refuses():
    stack = three()
    with pytest.raises(ClientError, match=r"JobQueue .* not found"):
        stack.batch.client().list_jobs(jobQueue="nowhere")
    with pytest.raises(ClientError, match="Array size"):
        stack.batch.client().submit_job(
            jobName="a",
            jobQueue=ON_DEMAND,
            jobDefinition="drydock-worker",
            arrayProperties={"size": 1},
        )


def test_an_attempt_beyond_its_time_is_ended_by_batch():
    stack = stack_with(Planted(hangs=True))
    job = submit(stack, 1, timeout_s=100)
    stack.kernel.run()
    assert stack.batch.jobs[job].status_reason == "Job attempt duration exceeded timeout"
    (attempt,) = stack.batch.jobs[job].attempts
    assert attempt["statusReason"] == "Job attempt duration exceeded timeout"
