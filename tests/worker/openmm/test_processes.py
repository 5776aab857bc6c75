"""The worker and its simulation as processes: threads, signals and kills from outside."""

import shutil
import signal

import boto3
import psutil
import pytest

from tests.worker.openmm.reading import joined
from tests.worker.support import CONTROL, DATA, finish, start_worker, until

SLOW = {"steps": 3000, "trajectory_steps": 500}


@pytest.fixture
def client(endpoint):
    """S3 that other processes reach."""
    client = boto3.client("s3", endpoint_url=endpoint)
    for bucket in (CONTROL, DATA):
        client.create_bucket(Bucket=bucket)
    yield client
    for bucket in (CONTROL, DATA):
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
            for found in page.get("Contents", []):
                client.delete_object(Bucket=bucket, Key=found["Key"])
        client.delete_bucket(Bucket=bucket)


def simulation_of(worker):
    """The process that simulates, once it does."""

    def found():
        children = psutil.Process(worker.pid).children(recursive=True)
        return next((c for c in children if "worker.tools.openmm_run" in c.cmdline()), None)

    return until(found)


def running(scratch):
    """Wait until steps are done."""

    def at_it():
        events = scratch.glob("drydock-*/*/simulation/events.jsonl")
        return any(b"running" in path.read_bytes() for path in events)

    until(at_it)


def is_whole(made):
    whole = joined(made)
    assert whole.log_steps == list(range(1, SLOW["steps"] + 1))
    assert whole.frame_steps == list(range(500, SLOW["steps"] + 1, 500))


def test_a_killed_worker_takes_the_simulation_along_and_loses_a_period_at_most(
    shard, scratch, endpoint
):
    made = shard(options=SLOW, checkpoint_seconds=1)
    worker = start_worker(made, scratch, endpoint)
    simulation = simulation_of(worker)
    until(made.part_records)
    worker.kill()
    worker.communicate()
    until(lambda: not psutil.pid_exists(simulation.pid))
    for left in scratch.glob("drydock-*"):
        if left.name != "drydock-somebody-else":
            shutil.rmtree(left)
    best = max(record.progress for record in made.part_records())
    code, events, _ = finish(start_worker(made, scratch, endpoint))
    assert code == 0
    assert [event["progress"] for event in events if event["event"] == "start"] == [best]
    is_whole(made)


def test_a_signal_from_elsewhere_to_the_simulation_loses_nothing(shard, scratch, endpoint):
    made = shard(options=SLOW)
    worker = start_worker(made, scratch, endpoint)
    running(scratch)
    simulation_of(worker).send_signal(signal.SIGTERM)
    assert finish(worker)[0] == 1
    (record,) = made.part_records()
    assert record.progress > 0
    assert record.trouble is None
    assert "not the worker's" in record.why
    assert finish(start_worker(made, scratch, endpoint))[0] == 0
    is_whole(made)


def test_a_simulation_that_is_killed_is_taken_for_out_of_memory(shard, scratch, endpoint):
    made = shard(options=SLOW)
    worker = start_worker(made, scratch, endpoint)
    running(scratch)
    simulation_of(worker).kill()
    assert finish(worker)[0] == 71
    assert made.markers() == []


def test_a_crash_is_tried_once_more_and_then_the_tools_failure(shard, scratch, endpoint):
    made = shard(options=SLOW)
    for code in (1, 0):
        worker = start_worker(made, scratch, endpoint)
        running(scratch)
        simulation_of(worker).send_signal(signal.SIGSEGV)
        assert finish(worker)[0] == code
    assert [record.trouble for record in made.part_records()] == ["after step 0"]
    failure = made.marker("00000.1.tool_failed.failed")
    assert "signal 11" in failure.reason
    assert failure.exit_code == -11


@pytest.mark.parametrize("vcpus", [1, 3])
def test_the_simulation_computes_with_as_many_threads_as_there_are_vcpus(
    shard, scratch, endpoint, vcpus
):
    made = shard(options=SLOW | {"platform": "CPU"}, vcpus=vcpus)
    worker = start_worker(made, scratch, endpoint)
    simulation = simulation_of(worker)
    running(scratch)
    environment = simulation.environ()
    worker.send_signal(signal.SIGTERM)
    _, events, _ = finish(worker)
    (told,) = [event for event in events if event["event"] == "openmm"]
    assert (told["platform"], told["Threads"]) == ("CPU", str(vcpus))
    # PME has threads of its own, numpy's libraries too.
    assert environment["OPENMM_CPU_THREADS"] == str(vcpus)
    assert environment["OPENBLAS_NUM_THREADS"] == "1"
    assert "AWS_BATCH_JOB_ID" not in environment
