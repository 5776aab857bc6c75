"""The embedded Batch decides: who runs when and where, and what ends before its time."""

import time

import pytest

from local.batch import scheduler
from tests.embedded.batch_support import bench, until

HANG = "while :; do sleep 0.05; done"
LEAVE_WELL = f'trap "exit 0" TERM; echo ready; {HANG}'
TOO_LARGE = {"resourceRequirements": [{"type": "VCPU", "value": "1000"}]}
DEFY = f'trap "" TERM; echo ready; {HANG}'


@pytest.fixture
def aws(tmp_path):
    """One machine with one slot: what runs and what waits is known."""
    with bench(tmp_path, vcpus=1, machines=1) as running:
        yield running


def ready(aws, job_id):
    """Waits until the job's script has set its traps."""
    aws.wait(job_id, "RUNNING")
    until(lambda: "ready" in aws.log(job_id))


def starts(aws):
    return [e["detail"]["jobId"] for e in aws.events if e["detail"]["status"] == "STARTING"]


def pass_time(aws, seconds):
    """The scheduler's clock is that much later from now on."""
    aws.batch._scheduler._clock = lambda: time.monotonic() + seconds
    aws.batch._scheduler.wake()


def test_no_more_runs_than_there_are_slots(tmp_path):
    with bench(tmp_path, vcpus=2, machines=2) as aws:
        job_id = aws.sh(HANG, size=9)
        until(lambda: aws.batch.running() == 4)
        aws.submit(["true"], jobQueue="urgent")
        until(lambda: aws.batch.counts().get("RUNNABLE") == 6)
        assert aws.batch.counts() == {"RUNNING": 4, "RUNNABLE": 6}
        assert [sum(m.used.values()) for m in aws.batch.machines()] == [2, 2]
        assert aws.describe(job_id)["arrayProperties"]["statusSummary"]["RUNNING"] == 4


def test_the_queue_of_higher_priority_goes_first(aws):
    first = aws.sh(LEAVE_WELL)
    ready(aws, first)
    low = aws.submit(["true"])
    high = aws.submit(["true"], jobQueue="urgent")
    aws.client.terminate_job(jobId=first, reason="make room")
    aws.wait(low)
    until(lambda: len(starts(aws)) == 3)
    assert starts(aws) == [first, high, low]


def test_a_retried_child_goes_to_the_front_of_its_queue(aws):
    job_id = aws.sh(
        'test "$AWS_BATCH_JOB_ARRAY_INDEX$AWS_BATCH_JOB_ATTEMPT" != 01',
        size=3,
        retryStrategy={"attempts": 2},
    )
    assert aws.wait(job_id)["status"] == "SUCCEEDED"
    until(lambda: len(starts(aws)) == 4)
    assert starts(aws) == [f"{job_id}:{n}" for n in (0, 0, 1, 2)]


def test_what_never_fits_waits_blocks_its_queue_and_says_so(aws):
    needs = [{"type": "GPU", "value": "1"}]
    job_id = aws.submit(["true"], containerOverrides={"resourceRequirements": needs})
    behind = aws.submit(["true"])
    elsewhere = aws.submit(["true"], jobQueue="urgent")
    assert aws.wait(elsewhere)["status"] == "SUCCEEDED"
    blocked = until(
        lambda: [e for e in aws.events if e["detail-type"] == "Batch Job Queue Blocked"]
    )
    assert len(blocked) == 1
    assert blocked[0]["resources"][0].endswith(job_id)
    assert blocked[0]["resources"][1].endswith("job-queue/spot")
    job = aws.describe(job_id)
    assert job["status"] == aws.describe(behind)["status"] == "RUNNABLE"
    assert job["statusReason"].startswith("MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT - ")
    aws.client.cancel_job(jobId=job_id, reason="no GPU")
    assert aws.wait(behind)["status"] == "SUCCEEDED"


def test_what_blocked_its_queue_for_as_long_as_it_may_makes_room(aws):
    limits = [
        {"state": "RUNNABLE", "action": "CANCEL", "maxTimeSeconds": seconds, "reason": reason}
        for seconds, reason in (
            (600, "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY"),
            (900, "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT"),
        )
    ]
    aws.client.create_job_queue(
        jobQueueName="limited",
        priority=1,
        computeEnvironmentOrder=[{"order": 1, "computeEnvironment": "spot"}],
        jobStateTimeLimitActions=limits,
    )
    job_id = aws.submit(["true"], jobQueue="limited", containerOverrides=TOO_LARGE)
    behind = aws.submit(["true"], jobQueue="limited")
    until(lambda: aws.describe(job_id).get("statusReason"))
    pass_time(aws, 890)
    elsewhere = aws.submit(["true"], jobQueue="urgent")
    aws.wait(elsewhere)
    assert aws.describe(job_id)["status"] == "RUNNABLE"
    pass_time(aws, 910)
    assert aws.wait(behind)["status"] == "SUCCEEDED"
    job = aws.describe(job_id)
    assert job["status"] == "FAILED"
    assert job["statusReason"] == (
        "Canceled by JobStateTimeLimit action due to reason: "
        "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT"
    )
    assert job["isCancelled"]
    assert job["attempts"] == []


def test_terminate_lets_it_leave_by_itself_and_it_is_failed_all_the_same(aws):
    job_id = aws.sh(LEAVE_WELL, retryStrategy={"attempts": 3})
    ready(aws, job_id)
    aws.client.terminate_job(jobId=job_id, reason="drydock: stopped")
    job = aws.wait(job_id)
    assert (job["status"], job["statusReason"]) == ("FAILED", "drydock: stopped")
    assert job["isTerminated"] is True
    assert len(job["attempts"]) == 1
    assert job["attempts"][0]["statusReason"] == "Essential container in task exited"
    assert job["attempts"][0]["container"]["exitCode"] == 0


def test_terminate_kills_what_does_not_leave_in_time(aws):
    job_id = aws.sh(DEFY)
    ready(aws, job_id)
    aws.client.terminate_job(jobId=job_id, reason="enough")
    pass_time(aws, scheduler.STOP_GRACE_S - 5)
    assert aws.describe(job_id)["status"] == "RUNNING"
    pass_time(aws, scheduler.STOP_GRACE_S + 1)
    job = aws.wait(job_id)
    assert job["statusReason"] == "enough"
    assert job["container"]["exitCode"] == 137


def test_terminating_an_array_takes_all_children_and_spares_what_has_ended(aws):
    job_id = aws.sh(f'test "$AWS_BATCH_JOB_ARRAY_INDEX" = 0 && exit 0; {LEAVE_WELL}', size=4)
    ready(aws, f"{job_id}:1")
    aws.client.terminate_job(jobId=job_id, reason="drydock: aborted")
    parent = aws.wait(job_id)
    assert (parent["status"], parent["statusReason"]) == ("FAILED", "drydock: aborted")
    assert parent["arrayProperties"]["statusSummary"] == {"SUCCEEDED": 1, "FAILED": 3}
    children = [aws.describe(f"{job_id}:{n}") for n in range(4)]
    assert [len(child["attempts"]) for child in children] == [1, 1, 0, 0]
    assert {child["statusReason"] for child in children[1:]} == {"drydock: aborted"}
    aws.client.terminate_job(jobId=job_id, reason="too late")
    assert aws.describe(job_id)["statusReason"] == "drydock: aborted"


def test_cancelling_an_array_leaves_what_runs_alone(aws, tmp_path):
    job_id = aws.sh(f"echo ready; while [ ! -e {tmp_path}/go ]; do sleep 0.05; done", size=3)
    ready(aws, f"{job_id}:0")
    aws.client.cancel_job(jobId=job_id, reason="drydock: stopped")
    children = [aws.describe(f"{job_id}:{n}") for n in range(3)]
    assert [child["status"] for child in children] == ["RUNNING", "FAILED", "FAILED"]
    assert children[1]["statusReason"] == "drydock: stopped"
    assert aws.describe(job_id)["status"] == "PENDING"
    (tmp_path / "go").touch()
    parent = aws.wait(job_id)
    assert (parent["status"], parent["statusReason"]) == ("FAILED", "drydock: stopped")
    assert parent["isCancelled"] is True
    assert aws.describe(f"{job_id}:0")["status"] == "SUCCEEDED"


def test_up_to_fifty_jobs_are_ended_in_one_call(aws):
    ids = [aws.sh(LEAVE_WELL, containerOverrides=TOO_LARGE) for _ in range(3)]
    answer = aws.client.terminate_jobs(jobs=[ids[0], "unknown"], reason="drydock: aborted")
    assert (answer["successful"], answer["errors"]) == ([ids[0], "unknown"], [])
    answer = aws.client.cancel_jobs(jobs=ids[1:], reason="drydock: stopped")
    assert (answer["successful"], answer["errors"]) == (ids[1:], [])
    jobs = [aws.wait(each) for each in ids]
    assert [(job["isTerminated"], job["isCancelled"]) for job in jobs] == [
        (True, False),
        (False, True),
        (False, True),
    ]
    said = ["drydock: aborted", "drydock: stopped", "drydock: stopped"]
    assert [job["statusReason"] for job in jobs] == said


def test_cancelling_jobs_that_run_already_does_nothing(aws):
    running = aws.sh(LEAVE_WELL)
    ready(aws, running)
    aws.client.cancel_jobs(jobs=[running], reason="too late")
    assert aws.describe(running)["status"] == "RUNNING"
    aws.client.terminate_jobs(jobs=[running], reason="drydock: stopped")
    assert aws.wait(running)["statusReason"] == "drydock: stopped"


def test_cancelling_what_runs_already_does_nothing(aws):
    job_id = aws.sh(LEAVE_WELL)
    ready(aws, job_id)
    aws.client.cancel_job(jobId=job_id, reason="too late")
    job = aws.describe(job_id)
    assert (job["status"], job["isCancelled"]) == ("RUNNING", False)


def test_a_timeout_stops_for_good(aws):
    job_id = aws.sh(
        LEAVE_WELL, retryStrategy={"attempts": 3}, timeout={"attemptDurationSeconds": 60}
    )
    ready(aws, job_id)
    pass_time(aws, 50)
    assert aws.describe(job_id)["status"] == "RUNNING"
    pass_time(aws, 61)
    job = aws.wait(job_id)
    assert job["status"] == "FAILED"
    assert job["statusReason"] == "Job attempt duration exceeded timeout"
    assert len(job["attempts"]) == 1
    assert job["attempts"][0]["statusReason"] == "Job attempt duration exceeded timeout"


def test_the_timeout_of_an_attempt_does_not_reach_the_next(aws):
    job_id = aws.sh(
        f'test "$AWS_BATCH_JOB_ATTEMPT" = 1 && exit 1; {LEAVE_WELL}',
        retryStrategy={"attempts": 2},
        timeout={"attemptDurationSeconds": 100},
    )
    until(lambda: len(aws.describe(job_id)["attempts"]) == 1)
    aws.wait(job_id, "RUNNING")
    first, second = sorted(timer[0] for timer in aws.batch._scheduler._timers)
    aws.batch._scheduler._clock = lambda: (first + second) / 2
    aws.batch._scheduler.wake()
    until(lambda: len(aws.batch._scheduler._timers) == 1)
    assert aws.describe(job_id)["status"] == "RUNNING"
