"""StopRun: a user's stop, the end of an execution, the sweep."""

import pytest

from drydock.advancing import advance
from drydock.errors import RequestRejected
from drydock.jobs import JobRequest
from drydock.resubmission import resubmit_interrupted
from drydock.stopping import Ended, stop_run
from tests.steps.world import CONTROL, DATA, EXECUTION

SWEEP = {"detail-type": "Scheduled Event", "source": "aws.events", "detail": {}}


@pytest.fixture
def run_id(world):
    world.inputs(4)
    return world.start()


@pytest.fixture
def job(world, run_id):
    world.submit(run_id)
    (found,) = world.batch.live()
    return found


def stop(world, **event):
    return stop_run(world.services, event)


def execution_ended(world, execution, status="ABORTED"):
    world.executions.running.discard(EXECUTION + execution)
    detail = {"executionArn": EXECUTION + execution, "status": status}
    kind = "Step Functions Execution Status Change"
    return stop_run(world.services, {"detail-type": kind, "detail": detail})


def orphan(world, name, queue="spot_queue_arn"):
    """A job of ours that nobody wrote down."""
    settings = world.services.settings
    request = JobRequest(
        name, getattr(settings, queue), settings.job_definition_arn, 2, {}, 1, 512, 0, 120, {}
    )
    return world.batch.jobs[world.batch.submit(request)]


# -- a user's stop


def test_a_stop_lets_what_runs_finish_its_input(world, run_id, job):
    assert stop(world, run_id=run_id) == Ended(0, 0)
    assert not job.terminated
    world.work(job, children=[0])
    resubmit_interrupted(world.services, world.ended(job, "FAILED"))
    assert world.executions.answers == {"token": [{"ended": "stopped"}]}
    assert world.batch.live() == []


def test_a_stop_now_terminates_what_runs(world, run_id, job):
    assert stop(world, run_id=run_id, now=True, text="the wrong receptor") == Ended(1, 0)
    assert job.terminated == ["drydock: stopped"]
    assert world.run(run_id).active_stop.text == "the wrong receptor"
    resubmit_interrupted(world.services, world.ended(job, "FAILED", "drydock: stopped"))
    assert world.executions.answers == {"token": [{"ended": "stopped"}]}
    assert world.shard(run_id).barren == 0


def test_a_stop_ends_this_run_alone(world, run_id, job):
    other = world.start("other", output="s3://drydock-data/other/")
    world.submit(other, token="other")
    stop(world, run_id=run_id, now=True)
    assert [each.request.name for each in world.batch.live()] == [f"drydock-{other}-000000-0"]
    assert world.run(other).active_stop is None


@pytest.mark.parametrize(
    "event", [{}, {"run_id": "none"}, {"reason": "user"}, {"run_id": "x", "reason": "boredom"}]
)
def test_a_stop_that_names_no_run_or_no_reason_is_refused(world, run_id, event):
    with pytest.raises(RequestRejected):
        stop(world, **event)


# -- the end of an execution


def test_the_jobs_of_an_aborted_execution_are_terminated(world, job):
    assert execution_ended(world, "one") == Ended(1, 0)
    assert job.terminated == ["drydock: aborted"]


def test_the_jobs_of_a_run_that_another_execution_owns_by_now_go_on(world, run_id, job):
    world.executions.running.clear()
    world.start("two")
    assert execution_ended(world, "one") == Ended()
    assert not job.terminated


def test_an_execution_that_never_owned_a_run_ends_nothing(world, job):
    with pytest.raises(RequestRejected, match="RUNNING"):
        world.enumerate(world.request(), "late")
    assert execution_ended(world, "late") == Ended()
    assert execution_ended(world, "unheard-of") == Ended()
    assert not job.terminated


def test_an_ended_execution_whose_run_was_removed_ends_nothing(world, run_id, job):
    world.remove(CONTROL, f"runs/{run_id}/run.json")
    assert execution_ended(world, "one") == Ended()


def test_after_an_abort_the_next_start_goes_on_at_once(world, run_id, job):
    world.work(job, children=[1])
    execution_ended(world, "one")
    resubmit_interrupted(world.services, world.ended(job, "FAILED", "drydock: aborted"))
    assert world.batch.live() == []
    world.start("two")
    world.submit(run_id, token="again")
    (again,) = world.batch.live()
    assert again.request.jobs == 3


# -- the sweep


def test_the_sweep_leaves_alone_what_is_recorded(world, job):
    assert stop_run(world.services, SWEEP) == Ended()
    assert not job.terminated


def test_the_sweep_ends_what_no_running_execution_owns(world, job):
    world.executions.running.clear()
    assert stop_run(world.services, SWEEP) == Ended(1, 0)
    assert job.terminated == ["drydock: aborted"]


@pytest.mark.parametrize("queue", ["spot_queue_arn", "on_demand_queue_arn"])
def test_the_sweep_ends_what_is_neither_recorded_nor_claimed(world, run_id, job, queue):
    lost = orphan(world, f"drydock-{run_id}-000000-7", queue)
    assert stop_run(world.services, SWEEP) == Ended(1, 0)
    assert lost.terminated == ["drydock: superseded"]
    assert not job.terminated


def test_the_sweep_ends_a_job_whose_round_was_closed_because_batch_did_not_show_it(
    world, run_id, job
):
    world.time += 200
    world.batch.forgets = True
    advance(world.services, run_id, 0)
    world.batch.forgets = False
    world.time += 60
    advance(world.services, run_id, 0)
    assert len(world.batch.live()) == 2
    assert stop_run(world.services, SWEEP) == Ended(1, 0)
    assert job.terminated == ["drydock: superseded"]


def test_the_sweep_adopts_the_job_of_a_claim_that_went_silent(world, run_id):
    class Lost(Exception):
        pass

    def lose(_):
        raise Lost

    world.batch.after_submit = lose
    with pytest.raises(Lost):
        world.submit(run_id)
    world.batch.after_submit = None
    (job,) = world.batch.live()
    assert stop_run(world.services, SWEEP) == Ended(0, 1)
    assert world.shard(run_id).current.state == "claimed"
    world.time += 200
    assert stop_run(world.services, SWEEP) == Ended(0, 1)
    assert world.shard(run_id).current.job_id == job.job_id
    assert not job.terminated


def test_the_sweep_goes_on_past_a_run_whose_objects_are_gone_or_damaged(world, run_id, job):
    for number, damage in enumerate((None, b"", b"DRY")):
        other = world.start(f"other-{number}", output=f"s3://drydock-data/other-{number}/")
        world.submit(other, token=f"other-{number}")
        key = f"other-{number}/manifest/000000.tasks"
        if damage is None:
            world.remove(DATA, key)
        else:
            world.put(DATA, key, damage)
    gone = world.start("gone", output="s3://drydock-data/gone/")
    world.submit(gone, token="gone")
    world.remove(CONTROL, f"runs/{gone}/run.json")
    lost = orphan(world, f"drydock-{run_id}-000000-7")
    stop_run(world.services, SWEEP)
    assert lost.terminated == ["drydock: superseded"]
    assert not job.terminated


def test_the_sweep_leaves_jobs_of_others_alone(world, run_id):
    lost = orphan(world, "drydock-made-by-hand")
    assert stop_run(world.services, SWEEP) == Ended()
    assert not lost.terminated
