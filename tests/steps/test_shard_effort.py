"""What a shard took: asked of Batch where it must be, and never waited for."""

from dataclasses import replace

import pytest

from drydock import shard_effort as step
from drydock.errors import ServiceUnavailable
from drydock.job_views import AttemptView, FailedChild
from drydock.keys import RunKeys
from drydock.markers import encode_done, parse_done, parse_marker_name
from drydock.resubmission import resubmit_interrupted
from drydock.run_document import Stop, put_stop
from tests.steps.world import DATA

RECLAIM = "Host EC2 (instance i-0) terminated."
TAKEN = AttemptView(RECLAIM, None, None, 1000.0, 1060.0)
SAVED = AttemptView("Essential container in task exited", None, 1, 2000.0, 2030.0)
WELL = AttemptView("Essential container in task exited", None, 0, 3000.0, 3010.0)


def name_attempt(world, run_id, place, job_id, attempt, kept_s=None):
    """Let a done marker say which attempt settled its input, and how long its part took."""
    key = RunKeys(run_id, "out/").done_marker(0, place, place)
    name = parse_marker_name(key.rpartition("/")[2])
    (summary,) = parse_done(world.get(DATA, key), name)
    chain = tuple(
        part._replace(seconds=kept_s or 0.0, job_id=job_id, attempt=1) for part in summary.chain
    )
    told = summary._replace(chain=chain, job_id=job_id, attempt=attempt)
    world.put(DATA, key, encode_done([told]))


def with_first_failures(world, run_id, failures):
    """The shard's first round as it is when some of its children failed."""
    known = world.documents.shard(world.run(run_id), 0, 4)
    first, *rest = known.value.rounds
    changed = replace(known.value, rounds=(replace(first, failures=failures), *rest))
    world.documents.replace_shard(run_id, known, changed)


def aggregate(world, run_id):
    world.batch.reads.clear()
    world.aggregate(run_id)
    fields = world.json(DATA, "out/results/shards/000000/accounts.json")
    return fields["accounts"], fields["accounts"]["effort"]


def finish(world, job, **how):
    world.work(job, **how)
    resubmit_interrupted(world.services, world.ended(job))


def test_a_shard_without_interruption_costs_no_call(world, run_id, job):
    finish(world, job)
    _, effort = aggregate(world, run_id)
    assert world.batch.reads == []
    assert effort == {
        "rounds": 1,
        "jobs": 4,
        "on_demand_jobs": 0,
        "attempts": 4,
        "interruptions": {},
        "lost_seconds": 0.0,
        "at_least": False,
    }


def test_a_child_that_batch_tried_again_is_asked_about(world, run_id, job):
    finish(world, job)
    child = f"{job.job_id}:2"
    name_attempt(world, run_id, 2, child, 3, kept_s=20.0)
    job.attempts[child] = [SAVED, TAKEN, WELL]
    _, effort = aggregate(world, run_id)
    assert world.batch.reads == ["attempts"]
    assert effort["interruptions"] == {"again": 1, "interrupted": 1}
    assert (effort["attempts"], effort["lost_seconds"]) == (6, 10.0 + 60.0)
    assert not effort["at_least"]


def test_children_that_failed_are_found_and_asked_about(world, run_id, job):
    world.work(job, children=[0, 1])
    job.failed = [FailedChild(2, RECLAIM), FailedChild(3, RECLAIM)]
    job.attempts = {f"{job.job_id}:2": [TAKEN], f"{job.job_id}:3": [SAVED, TAKEN]}
    resubmit_interrupted(world.services, world.ended(job, "FAILED"))
    (again,) = world.batch.live()
    finish(world, again)
    with_first_failures(world, run_id, {"interrupted": 2})
    _, effort = aggregate(world, run_id)
    assert world.batch.reads == ["failed_children", "attempts"]
    assert effort["interruptions"] == {"interrupted": 2, "again": 1}
    assert (effort["rounds"], effort["jobs"], effort["attempts"]) == (2, 6, 7)
    assert (effort["lost_seconds"], effort["at_least"]) == (150.0, False)


@pytest.mark.parametrize("how", ["outage", "forgotten"])
def test_what_batch_does_not_say_holds_nothing_up(world, run_id, job, how):
    finish(world, job)
    name_attempt(world, run_id, 2, f"{job.job_id}:2", 2)
    with_first_failures(world, run_id, {"interrupted": 1})

    def unanswered(*_):
        if how == "outage":
            raise ServiceUnavailable("AWS Batch: try later")
        return {}

    world.batch.attempts = unanswered
    _, effort = aggregate(world, run_id)
    assert effort["interruptions"] == {"interrupted": 1}
    assert (effort["attempts"], effort["lost_seconds"], effort["at_least"]) == (5, None, True)


def test_what_an_attempt_worked_on_an_input_that_failed_is_not_lost_too(world, run_id, job):
    document, (record, *_) = world.child(job, 2)
    child = f"{job.job_id}:2"
    world.fail(document, record, "bad_input", seconds=45.0, job_id=child, attempt=1)
    finish(world, job, children=[0, 1, 3])
    job.attempts[child] = [TAKEN]
    with_first_failures(world, run_id, {"interrupted": 1})
    job.failed = [FailedChild(2, RECLAIM)]
    _, effort = aggregate(world, run_id)
    assert effort["lost_seconds"] == 15.0


def test_so_many_children_are_asked_about_and_no_more(world, run_id, job, monkeypatch):
    monkeypatch.setattr(step, "MAX_CALLS", 2)
    monkeypatch.setattr(step, "_CHILDREN_A_CALL", 1)
    finish(world, job)
    asked, plain = [], world.batch.attempts
    world.batch.attempts = lambda job_ids: asked.extend(job_ids) or plain(job_ids)
    for place in range(4):
        child = f"{job.job_id}:{place}"
        name_attempt(world, run_id, place, child, 2)
        job.attempts[child] = [TAKEN, WELL]
    _, effort = aggregate(world, run_id)
    assert len(asked) == 2
    assert effort["interruptions"] == {"interrupted": 2}
    assert (effort["attempts"], effort["at_least"]) == (8, True)


def test_what_remaining_inputs_would_go_on_from_is_not_lost(world, run_id, job):
    world.work(job, children=[0, 1, 2])
    document, records = world.child(job, 3)
    world.part(document, records[0], seconds=45.0, job_id=f"{job.job_id}:3")
    world.documents.change_run(run_id, lambda run: put_stop(run, Stop(1, "user", "enough")))
    job.failed = [FailedChild(3, RECLAIM)]
    job.attempts = {f"{job.job_id}:3": [TAKEN]}
    resubmit_interrupted(world.services, world.ended(job, "FAILED"))
    with_first_failures(world, run_id, {"interrupted": 1})
    accounts, effort = aggregate(world, run_id)
    assert effort["lost_seconds"] == 15.0
    assert (accounts["remaining"], accounts["ending"]) == (1, "stopped")


def test_a_shard_that_gave_up_says_what_batch_wrote(world, run_id, job):
    world.work(job, children=[0])
    world.documents.change_run(run_id, lambda run: put_stop(run, Stop(1, "user", "enough")))
    resubmit_interrupted(world.services, world.ended(job, "FAILED"))
    known = world.documents.shard(world.run(run_id), 0, 4)
    (only,) = known.value.rounds
    texts = {"unknown": "a text that nobody has seen before"}
    changed = replace(known.value, rounds=(replace(only, texts=texts),))
    world.documents.replace_shard(run_id, known, changed)
    accounts, _ = aggregate(world, run_id)
    assert (accounts["ending"], accounts["texts"]) == ("stopped", texts)


def test_a_whole_shard_says_nothing_of_why_it_ended(world, run_id, job):
    finish(world, job)
    accounts, _ = aggregate(world, run_id)
    assert (accounts["ending"], accounts["texts"]) == (None, {})
