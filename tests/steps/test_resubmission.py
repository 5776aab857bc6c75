"""ResubmitInterrupted: what events mean for a shard, and what they must not do."""

import pytest

from drydock.keys import RunKeys
from drydock.resubmission import blocked_for, resubmit_interrupted
from drydock.run_document import Stop, put_stop
from tests.steps.world import DATA


def handle(world, event):
    return resubmit_interrupted(world.services, event)


@pytest.mark.parametrize("name", ["", "somebody-elses", "drydock-xyz-000000-0", "drydock-local"])
def test_jobs_of_others_are_left_alone(world, name):
    detail = {"jobId": "j", "jobName": name, "status": "FAILED"}
    assert handle(world, {"detail-type": "Batch Job State Change", "detail": detail}) == "not ours"


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        (
            "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - Service cannot fulfill the capacity",
            "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY",
        ),
        (
            "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT - The job resource requirement",
            "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT",
        ),
        ("UNDETERMINED - the root cause is undetermined", "UNDETERMINED"),
        ("something new", "UNDETERMINED"),
        (None, "UNDETERMINED"),
    ],
)
def test_why_a_queue_is_blocked_is_told_by_batchs_own_code(told, reason):
    detail = {} if told is None else {"statusReason": told}
    assert blocked_for({"detail-type": "Batch Job Queue Blocked", "detail": detail}) == reason


def test_a_job_that_ended_blocks_nothing():
    detail = {"statusReason": "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY"}
    assert blocked_for({"detail-type": "Batch Job State Change", "detail": detail}) is None
    assert blocked_for({"advance": {"run_id": "a", "shard": 0}}) is None


def test_an_event_of_a_run_that_was_removed_is_no_error(world, run_id, job):
    event = world.ended(job, "FAILED")
    world.remove("drydock-control", f"runs/{run_id}/run.json")
    assert handle(world, event) == "no such run"
    assert handle(world, world.child_failed(job, exitCode=78)) == "no such run"
    blocked = {"jobId": "j", "jobName": job.request.name, "statusReason": "CAPACITY:x - y"}
    event = {"detail-type": "Batch Job Queue Blocked", "detail": blocked}
    assert handle(world, event) == "no such run"
    assert handle(world, {"advance": {"run_id": run_id, "shard": 0}}) == "no such run"


def test_a_child_that_failed_is_left_to_its_array(world, job):
    assert handle(world, world.child_failed(job, exitCode=1)) == "left to its array"
    assert not job.terminated


def test_a_child_without_vina_stops_the_run_with_the_workers_sentence(world, run_id, job):
    sentence = b"vina is missing in the image\n"
    world.put(DATA, RunKeys(run_id, "out/").misconfigured(0, 0), sentence)
    for index in range(4):
        handle(world, world.child_failed(job, index, exitCode=78))
    stop = world.run(run_id).active_stop
    assert (stop.reason, stop.text) == ("misconfiguration", "vina is missing in the image")
    assert (job.cancelled, job.terminated) == (["drydock: stopped"], [])
    assert world.told() == [("drydock stopped a-run", "vina is missing in the image")]
    handle(world, world.ended(job, "FAILED", "drydock: stopped"))
    assert world.executions.answers == {"token": [{"ended": "stopped"}]}
    assert world.batch.live() == []


@pytest.mark.parametrize(
    ("container", "told"),
    [
        ({"exitCode": 78}, "The worker says that nothing in this run can work"),
        ({"exitCode": 126}, "The container's command may not be executed"),
        ({"exitCode": 127}, "`make image FROM=123456789012.dkr.ecr.us-east-1."),
        (
            {"reason": "CannotPullContainerError: pull access denied for lab/vina"},
            "pull access denied for lab/vina",
        ),
    ],
)
def test_a_stop_says_what_to_change(world, run_id, job, container, told):
    handle(world, world.child_failed(job, **container))
    assert told in world.run(run_id).active_stop.text


def test_a_sentence_is_cut_to_a_length_that_a_document_bears(world, run_id, job):
    world.put(DATA, RunKeys(run_id, "out/").misconfigured(0, 0), b"x" * 100_000)
    handle(world, world.child_failed(job, exitCode=78))
    assert len(world.run(run_id).active_stop.text) <= 2001


def test_an_empty_sentence_gives_way_to_the_tables(world, run_id, job):
    world.put(DATA, RunKeys(run_id, "out/").misconfigured(0, 0), b"")
    handle(world, world.child_failed(job, exitCode=78))
    assert world.run(run_id).active_stop.text.startswith("The worker says")


def test_a_plain_job_that_cannot_work_stops_the_run_and_ends_its_shard(world):
    world.inputs(1)
    run_id = world.start()
    world.submit(run_id)
    (job,) = world.batch.live()
    event = world.ended(job, "FAILED", "Essential container in task exited")
    event["detail"]["container"] = {"exitCode": 78}
    assert handle(world, event) == "Answer"
    assert world.executions.answers == {"token": [{"ended": "stopped"}]}


def test_an_earlier_stop_keeps_its_reason(world, run_id, job):
    world.documents.change_run(run_id, lambda run: put_stop(run, Stop(1, "user", "enough")))
    handle(world, world.child_failed(job, exitCode=78))
    assert world.run(run_id).active_stop.text == "enough"
    assert world.told() == []


def test_a_late_event_of_an_earlier_epoch_does_not_stop_this_one(world, run_id, job):
    """Thousands of children tell the same; meanwhile the user mended the image."""
    handle(world, world.child_failed(job, 0, exitCode=78))
    handle(world, world.ended(job, "FAILED", "drydock: stopped"))
    world.executions.running.clear()
    world.start("two")
    for index in range(1, 4):
        handle(world, world.child_failed(job, index, exitCode=78))
    assert world.run(run_id).active_stop is None
    world.submit(run_id, token="again")
    assert len(world.batch.live()) == 1
    handle(world, world.child_failed(job, 3, exitCode=78))
    assert world.run(run_id).active_stop is None


def test_a_child_that_tells_before_its_job_is_recorded_stops_the_run_too(world, run_id):
    def too_fast(job):
        handle(world, world.child_failed(job, exitCode=78))

    world.batch.after_submit = too_fast
    world.submit(run_id)
    assert world.run(run_id).active_stop.reason == "misconfiguration"


@pytest.mark.parametrize(
    ("reason", "stops"),
    [
        ("MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT - no instance type is large enough", True),
        ("MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE - max vcpus", True),
        ("CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - no capacity", False),
        ("UNDETERMINED - Batch job is blocked, root cause is undetermined.", False),
    ],
)
def test_a_blocked_queue_stops_the_run_or_is_told(world, run_id, job, reason, stops):
    detail = {"jobId": job.job_id, "jobName": job.request.name, "statusReason": reason}
    handle(world, {"detail-type": "Batch Job Queue Blocked", "detail": detail})
    assert (world.run(run_id).active_stop is not None) == stops
    assert bool(job.cancelled) == stops
    assert reason.split(" - ")[0] in world.told()[0][1]


@pytest.mark.parametrize(
    ("reason", "stops"),
    [
        ("MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT", True),
        ("CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY", False),
    ],
)
def test_a_child_that_its_queue_cancelled_stops_the_run_if_none_can_start(
    world, run_id, job, reason, stops
):
    told = f"Canceled by JobStateTimeLimit action due to reason: {reason}"
    handle(world, world.child_failed(job, status_reason=told))
    stop = world.run(run_id).active_stop
    assert (stop is not None) == stops
    assert stop is None or "No machine of the stack can ever run the job" in stop.text


def test_the_last_attempts_reason_is_believed_before_the_jobs(world, run_id, job):
    event = world.child_failed(job, status_reason="Host EC2 (instance i-1) terminated.")
    event["detail"]["statusReason"] = "drydock: aborted"
    event["detail"]["attempts"].insert(0, {"statusReason": "x", "container": {"exitCode": 78}})
    assert handle(world, event) == "left to its array"
    assert world.run(run_id).active_stop is None
