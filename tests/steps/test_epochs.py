"""Epochs and owners: the same request again, by whom, when, and what is left of the one before."""

import json

import pytest

from drydock.advancing import submit_shard
from drydock.definitions import PERIOD_S
from drydock.errors import RequestRejected, RunSuperseded, ServiceUnavailable
from drydock.merging import merge_results
from drydock.resubmission import resubmit_interrupted
from drydock.retiring import retire_definitions
from drydock.stopping import Ended, stop_run
from tests.steps.world import DATA, EXECUTION

SWEEP = {"detail-type": "Scheduled Event", "source": "aws.events", "detail": {}}


@pytest.fixture
def run_id(world):
    world.inputs(4)
    return world.start()


def only_job(world):
    (job,) = world.batch.live()
    return job


def finish(world, run_id, job, **how):
    """The rest of a run of one shard; how it ended."""
    world.work(job, **how)
    resubmit_interrupted(world.services, world.ended(job))
    world.aggregate(run_id)
    return merge_results(world.services, run_id, world.owner(run_id))


def upload(world, sequencer, execution):
    event = world.upload("run.json", json.dumps(world.request()).encode(), sequencer)
    return world.enumerate(event, execution)


def test_the_next_owner_waits_for_what_the_last_one_left_running(world, run_id):
    world.submit(run_id)
    job = only_job(world)
    world.executions.running.clear()
    world.start("two")
    assert world.submit(run_id, token="two") == "Leave"
    assert only_job(world) is job
    assert stop_run(world.services, SWEEP) == Ended()
    assert finish(world, run_id, job)["status"] == "done"
    assert world.executions.answers["two"] == [{"ended": "complete"}]


def test_the_last_owner_s_late_calls_do_nothing(world, run_id):
    world.executions.running.clear()
    world.start("two")
    world.executions.running.add(EXECUTION + "one")
    with pytest.raises(RunSuperseded):
        submit_shard(world.services, run_id, 0, EXECUTION + "one", "late")
    with pytest.raises(RequestRejected, match=r"RUNNING as .*two"):
        world.enumerate(world.request(), "three")
    for _ in range(2):
        with pytest.raises(RunSuperseded):
            world.enumerate(world.request(), "one")
        world.executions.running.clear()
    assert world.run(run_id).epoch == 2
    assert world.batch.jobs == {}


def test_the_same_key_uploaded_again_after_a_stop_goes_on_with_what_remains(world):
    world.inputs(4)
    run_id = upload(world, "1", "one")["run_id"]
    world.submit(run_id)
    job = only_job(world)
    job.running = 1
    stop_run(world.services, {"run_id": run_id})
    ended = finish(world, run_id, job, children=[2])
    assert (ended["error"], ended["accounting"]["remaining"]) == ("RunStopped", 3)
    world.executions.running.clear()
    assert upload(world, "1", "late")["duplicate_of"] == EXECUTION + "one"
    again = upload(world, "2", "two")
    assert (again["run_id"], again["epoch"]) == (run_id, 2)
    world.submit(run_id, token="two")
    assert only_job(world).request.jobs == 3
    assert finish(world, run_id, only_job(world))["status"] == "done"


def test_failures_of_the_classes_that_are_named_are_tried_again_and_the_others_stay(world, run_id):
    world.submit(run_id)
    failing = {0: "bad_input", 1: "tool_failed"}
    first = finish(world, run_id, only_job(world), fail=failing)
    assert first["accounting"]["failed"] == 2
    world.executions.running.clear()
    world.start("two", retry_failed=["tool_failed"])
    assert world.detect(run_id)["remains"] == 1
    world.submit(run_id, token="two")
    (record,) = world.child(only_job(world), 0)[1]
    assert record.index == 1
    second = finish(world, run_id, only_job(world))
    assert (second["accounting"]["done"], second["accounting"]["failed"]) == (3, 1)
    world.executions.running.clear()
    world.start("three")
    assert world.detect(run_id)["remains"] == 0


def test_what_failed_again_in_the_epoch_that_opened_it_stays_failed(world, run_id):
    world.submit(run_id)
    finish(world, run_id, only_job(world), fail={1: "tool_failed"})
    world.executions.running.clear()
    world.start("two", retry_failed=["tool_failed"])
    world.submit(run_id, token="two")
    ended = finish(world, run_id, only_job(world), fail={1: "tool_failed"})
    assert (ended["status"], ended["accounting"]["failed"]) == ("done", 1)


def test_a_prefix_that_was_deleted_is_a_new_run_that_the_old_one_s_jobs_do_not_touch(world, run_id):
    world.submit(run_id)
    old = only_job(world)
    documents = [world.child(old, child) for child in range(4)]
    for key in world.keys(DATA, "out/"):
        world.remove(DATA, key)
    world.executions.running.clear()
    new_id = world.start("two")
    assert new_id != run_id
    for document, (record,) in documents:
        world.settle(document, record)
    assert world.detect(new_id)["remains"] == 4
    assert stop_run(world.services, SWEEP) == Ended(terminated=1)
    assert old.terminated == ["drydock: aborted"]
    resubmit_interrupted(world.services, world.ended(old, "FAILED", "drydock: aborted"))
    assert world.batch.live() == []
    world.submit(new_id, token="two")
    assert finish(world, new_id, only_job(world))["accounting"]["done"] == 4


def test_more_memory_and_another_image_count_from_the_next_round_on(world, run_id):
    world.submit(run_id)
    job = only_job(world)
    world.work(job, children=[0])
    world.executions.running.clear()
    image = "123456789012.dkr.ecr.us-east-1.amazonaws.com/lab/vina:2"
    world.push(image, "vina 2")
    world.start("two", resources={"memory_mib": 8000}, image=image)
    resubmit_interrupted(world.services, world.ended(job, "FAILED"))
    again = only_job(world)
    assert (again.request.jobs, again.request.memory_mib) == (3, 8000)
    assert again.request.definition_arn != job.request.definition_arn


def test_an_abort_that_is_told_late_ends_nothing_of_the_epoch_after_it(world, run_id):
    """Also when the execution that it tells of shows as running again, as a redriven one does."""
    world.executions.running.clear()
    world.start("two")
    world.submit(run_id)
    detail = {"executionArn": EXECUTION + "one", "status": "ABORTED"}
    event = {"detail-type": "Step Functions Execution Status Change", "detail": detail}
    assert stop_run(world.services, event) == Ended()
    assert not only_job(world).terminated


def test_a_prefix_of_which_the_manifest_is_left_is_no_place_for_another_run(world, run_id):
    world.executions.running.clear()
    world.remove(DATA, "out/run.json")
    with pytest.raises(RequestRejected, match="remove s3://drydock-data/out/manifest/ too"):
        world.enumerate(world.request(), "two")
    assert "out/run.json" not in world.keys(DATA, "out/")
    with pytest.raises(RequestRejected, match="manifest of a run whose"):
        world.enumerate(world.request(), "three")


def test_definitions_that_no_run_needs_are_retired_when_another_one_is_registered(world, run_id):
    """The first run goes on all the time; the second one's image is not used any more."""
    needed = world.run(run_id).current.job_definition_arn
    world.start("two", output=f"s3://{DATA}/two/", resources={"shm_mib": 65})
    (past,) = world.batch.registered.keys() - {needed}
    foreign = [past.replace("drydock-", "other-"), past.replace(":1", "0:1"), "a/drydock:1"]
    world.batch.registered |= dict.fromkeys(foreign)
    world.executions.running = {EXECUTION + "one"}
    for name, periods in (("three", 1), ("four", 2)):
        world.time += PERIOD_S
        before = set(world.batch.registered)
        world.start(name, output=f"s3://{DATA}/{name}/")
        gone = before - world.batch.registered.keys()
        assert gone == ({past} if periods == 2 else set())
        (now,) = world.batch.registered.keys() - before
        assert now not in (past, needed)


def test_an_execution_without_a_run_needs_no_definition(world, run_id):
    world.executions.running = {EXECUTION + "not begun"}
    world.time += 2 * PERIOD_S
    assert retire_definitions(world.services, EXECUTION + "one") == 1
    assert world.batch.registered == {}
    assert retire_definitions(world.services, EXECUTION + "one") == 0


def test_a_run_begins_also_where_definitions_cannot_be_retired(world, run_id, monkeypatch):
    def refuse(_arn):
        raise ServiceUnavailable("AWS Batch: AccessDenied")

    monkeypatch.setattr(world.batch, "deregister", refuse)
    world.executions.running.clear()
    world.time += 2 * PERIOD_S
    assert world.start("two") == run_id
    assert len(world.batch.registered) == 2
