"""StopRun: a user's stop, the end of an execution, the sweep."""

import pytest

from drydock.advancing import advance
from drydock.errors import Malformed, RequestRejected
from drydock.jobs import JobRequest
from drydock.resubmission import resubmit_interrupted
from drydock.run_document import Stop, put_stop
from drydock.stopping import OWN_ENDS, Ended, put_and_carry_out, stop_run
from tests.steps.stand_ins import Killed
from tests.steps.world import CONTROL, DATA, EXECUTION

SWEEP = {"detail-type": "Scheduled Event", "source": "aws.events", "detail": {}}


def stop(world, **event):
    return stop_run(world.services, event)


def execution_ended(world, execution, status="ABORTED", **more):
    world.executions.running.discard(EXECUTION + execution)
    detail = {"executionArn": EXECUTION + execution, "status": status, **more}
    kind = "Step Functions Execution Status Change"
    return stop_run(world.services, {"detail-type": kind, "detail": detail})


def orphan(world, name, queue="spot_queue_arn"):
    """A job of ours that nobody wrote down."""
    settings = world.services.settings
    request = JobRequest(
        name, getattr(settings, queue), settings.job_definition_arn, 2, {}, 1, 512, 0, 120, {}
    )
    return world.batch.jobs[world.batch.submit(request)]


# -- executions that fail


@pytest.mark.parametrize("error", sorted(OWN_ENDS))
def test_a_run_that_ends_by_its_own_name_is_nobodys_alarm(world, run_id, error):
    assert execution_ended(world, "one", "FAILED", error=error).broken == 0
    assert world.told() == []


def test_the_ends_that_are_a_runs_own_are_those_that_merging_and_opening_name():
    own = ["RequestRejected", "RunIncomplete", "RunMisconfigured", "RunStopped", "RunSuperseded"]
    assert sorted(OWN_ENDS) == own


@pytest.mark.parametrize(
    ("status", "error"), [("FAILED", "States.Runtime"), ("FAILED", "Malformed"), ("TIMED_OUT", "")]
)
def test_an_execution_that_fails_of_something_else_is_told_and_counted(
    world, run_id, status, error
):
    ended = execution_ended(world, "one", status, error=error, cause="why")
    assert ended == Ended(broken=1)
    [(subject, text)] = world.told()
    assert subject == "drydock: a run broke"
    assert text == f"{EXECUTION}one {status}: {error}: why"


def test_an_event_that_leaves_the_error_out_makes_us_ask(world, run_id):
    world.executions.errors[EXECUTION + "one"] = "RunStopped"
    assert execution_ended(world, "one", "FAILED").broken == 0
    world.executions.errors[EXECUTION + "one"] = "States.Runtime"
    assert execution_ended(world, "one", "FAILED").broken == 1


def test_an_execution_that_somebody_aborts_is_not_broken(world, run_id):
    assert execution_ended(world, "one", "ABORTED", error="asked for").broken == 0


# -- a user's stop


def test_a_stop_lets_what_runs_finish_its_input(world, run_id, job):
    job.running = 1
    assert stop(world, run_id=run_id) == Ended(advanced=1)
    assert (job.cancelled, job.terminated) == (["drydock: stopped"], [])
    world.work(job, children=[0])
    resubmit_interrupted(world.services, world.ended(job, "FAILED"))
    assert world.executions.answers == {"token": [{"ended": "stopped"}]}
    assert world.batch.live() == []


def test_a_stop_now_terminates_what_runs(world, run_id, job):
    assert stop(world, run_id=run_id, now=True, text="the wrong receptor") == Ended(advanced=1)
    assert job.terminated == ["drydock: stopped"]
    assert world.run(run_id).active_stop.text == "the wrong receptor"
    assert world.executions.answers == {"token": [{"ended": "stopped"}]}
    assert world.shard(run_id).barren == 0


def test_a_stop_given_again_with_now_terminates_what_the_first_let_run(world, run_id, job):
    job.running = 1
    stop(world, run_id=run_id, text="the wrong receptor")
    stop(world, run_id=run_id, text="in a hurry", now=True)
    assert job.terminated == ["drydock: stopped"]
    active = world.run(run_id).active_stop
    assert (active.text, active.now) == ("the wrong receptor", True)
    assert world.told() == [("drydock stopped a-run", "the wrong receptor")]


def test_a_stop_is_told_once_however_often_it_is_asked_for(world, run_id, job):
    job.running = 1
    for reason in ("budget", "user", "misconfiguration"):
        stop(world, run_id=run_id, reason=reason, text=f"for {reason}")
    assert world.told() == [("drydock stopped a-run", "for budget")]
    assert job.cancelled == ["drydock: stopped"]


def test_a_stop_whose_answer_was_lost_is_told_once(world, run_id, job):
    job.running = 1
    world.faults.arm(0, "answers a conflict")
    stop(world, run_id=run_id)
    assert len(world.told()) == 1


def test_a_stop_that_nobody_carried_out_the_sweep_carries_out(world, run_id, job):
    job.running = 1
    world.documents.change_run(run_id, lambda run: put_stop(run, Stop(1, "user", "enough")))
    assert stop_run(world.services, SWEEP) == Ended(advanced=1)
    assert job.cancelled == ["drydock: stopped"]
    stop_run(world.services, SWEEP)
    assert job.cancelled == ["drydock: stopped"]


@pytest.mark.parametrize("at", range(4))
@pytest.mark.parametrize("now", [False, True])
def test_a_stop_that_dies_anywhere_is_made_good(world, run_id, job, at, now):
    job.running = 1
    world.faults.arm(at, "dies after")
    try:
        stop(world, run_id=run_id, now=now)
    except Killed:
        world.faults.arm(None)
        stop_run(world.services, SWEEP)
    world.faults.arm(None)
    assert bool(job.terminated) == now
    assert bool(job.cancelled) == (not now)
    assert len(world.told()) <= 1


def test_a_stop_of_an_epoch_that_is_over_changes_nothing(world, run_id, job):
    world.executions.running.clear()
    world.start("two")
    late = Stop(1, "misconfiguration", "the image of the first epoch")
    assert put_and_carry_out(world.services, run_id, late) == Ended()
    assert world.run(run_id).stop is None
    assert (job.cancelled, job.terminated, world.told()) == ([], [], [])


def test_a_shard_that_cannot_be_looked_at_does_not_save_the_others(world):
    world.inputs(12, "many/")
    run_id = world.start(input="s3://drydock-data/many/", output="s3://drydock-data/many-out/")
    for shard in range(3):
        world.submit(run_id, shard, f"token-{shard}")
    broken = f"runs/{run_id}/shards/000000.json"
    document = world.get(CONTROL, broken)
    world.put(CONTROL, broken, b"{")
    with pytest.raises(Malformed):
        stop(world, run_id=run_id, now=True)
    first, *others = world.batch.jobs.values()
    assert not first.terminated
    assert [job.terminated for job in others] == [["drydock: stopped"]] * 2
    world.put(CONTROL, broken, document)
    stop(world, run_id=run_id, now=True)
    assert first.terminated == ["drydock: stopped"]


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


def test_the_jobs_of_an_ended_execution_whose_run_was_removed_are_terminated(world, run_id, job):
    world.remove(CONTROL, f"runs/{run_id}/run.json")
    assert execution_ended(world, "one") == Ended(1, 0)
    assert job.terminated == ["drydock: aborted"]


def test_a_takeover_while_an_abort_is_handled_keeps_the_jobs_of_its_epoch(world, run_id, job):
    """Whatever the abort sees of the new epoch's jobs, it must see that the owner is another."""
    active = world.batch.active

    def taken_over_meanwhile(queue_arn, name_prefix):
        if world.run(run_id).epoch == 1:
            world.executions.running.clear()
            world.batch.end(job.job_id, "FAILED")
            world.start("two")
            world.submit(run_id, token="two")
        return active(queue_arn, name_prefix)

    world.batch.active = taken_over_meanwhile
    assert execution_ended(world, "one") == Ended()
    (new,) = world.batch.live()
    assert not new.terminated


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


@pytest.mark.parametrize("event", [SWEEP, {"check": "budgets"}], ids=["sweep", "budgets"])
def test_both_schedules_count_the_runs_and_shards_that_have_jobs(world, run_id, job, event):
    orphan(world, "drydock-made-by-hand")
    found = stop_run(world.services, event)
    assert (found.runs, found.shards) == (1, 1)
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
    assert stop_run(world.services, SWEEP) == Ended()
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
    nobodys = [each for each in world.batch.jobs.values() if gone in each.request.name]
    assert [each.terminated for each in nobodys] == [["drydock: aborted"]]


def test_the_sweep_leaves_jobs_of_others_alone(world, run_id):
    lost = orphan(world, "drydock-made-by-hand")
    assert stop_run(world.services, SWEEP) == Ended()
    assert not lost.terminated
