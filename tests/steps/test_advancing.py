"""advance(): the one place that decides, against every way in which it can be cut short."""

import pytest

from drydock.advancing import advance, answer_tokens, submit_shard
from drydock.decision import Leave, WaitUntil
from drydock.errors import Conflict, NotFound, RunMisconfigured, RunSuperseded
from drydock.keys import job_name
from drydock.resubmission import resubmit_interrupted
from drydock.run_document import Stop, put_stop
from drydock.shard_document import Ended
from tests.steps.stand_ins import Killed, ServiceError
from tests.steps.world import EXECUTION, World


@pytest.fixture
def run_id(world):
    world.inputs(4)
    return world.start()


def only(jobs):
    (job,) = jobs
    return job


def test_a_shard_is_submitted_once_and_answered_when_all_is_settled(world, run_id):
    assert world.submit(run_id) == "Leave"
    job = only(world.batch.live())
    assert (job.request.jobs, job.request.name) == (4, f"drydock-{run_id}-000000-0")
    world.work(job)
    assert resubmit_interrupted(world.services, world.ended(job)) == "Answer"
    assert world.executions.answers == {"token": [{"ended": "complete"}]}
    assert world.detect(run_id) == {"remains": 0, "done": 4, "failed": 0, "skipped": 0}
    assert world.keys("drydock-control", "tokens/") == []
    assert world.shard(run_id).ended == Ended(1, "complete")


def test_the_end_is_committed_before_any_token_is_answered(world, run_id):
    world.submit(run_id)
    job = only(world.batch.live())
    world.work(job)
    world.faults.arm(None)
    resubmit_interrupted(world.services, world.ended(job))
    names = [name.partition(" ")[0] for name in world.faults.names]
    assert names == ["put_if", "put_if", "answer", "delete"]


def test_what_a_round_leaves_is_the_next_round_at_once_when_there_was_progress(world, run_id):
    world.submit(run_id)
    first = only(world.batch.live())
    world.work(first, children=[1])
    resubmit_interrupted(world.services, world.ended(first, "FAILED"))
    second = only(world.batch.live())
    assert second.request.jobs == 3
    assert [world.child(second, n)[1][0].place for n in range(3)] == [0, 2, 3]
    assert world.executions.answers == {}


def test_a_new_part_is_progress_too(world, run_id):
    world.submit(run_id)
    first = only(world.batch.live())
    document, records = world.child(first, 0)
    world.part(document, records[0])
    resubmit_interrupted(world.services, world.ended(first, "FAILED"))
    assert only(world.batch.live()).request.jobs == 4


def test_the_last_input_alone_is_a_plain_job(world, run_id):
    world.submit(run_id)
    first = only(world.batch.live())
    world.work(first, children=[0, 1, 2])
    resubmit_interrupted(world.services, world.ended(first, "FAILED"))
    assert only(world.batch.live()).request.jobs == 1


def test_packs_take_consecutive_records(world):
    world.inputs(4)
    run_id = world.start(inputs_per_job=3)
    world.submit(run_id)
    job = only(world.batch.live())
    assert job.request.jobs == 2
    assert [[r.place for r in world.child(job, n)[1]] for n in range(2)] == [[0, 1, 2], [3]]


def test_a_barren_round_waits_and_the_wait_is_a_message(world, run_id):
    world.submit(run_id)
    done = resubmit_interrupted(world.services, world.ended(only(world.batch.live()), "FAILED"))
    assert (done, world.batch.live()) == ("WaitUntil", [])
    assert world.delayed()[1:] == [({"advance": {"run_id": run_id, "shard": 0}}, 60)]
    world.time += 60
    resubmit_interrupted(world.services, world.delayed()[1][0])
    assert len(world.batch.live()) == 1


def test_barren_rounds_end_at_their_cap_and_their_inputs_remain(world):
    world.inputs(4)
    run_id = world.start(max_rounds=3)
    world.submit(run_id)
    for _ in range(3):
        resubmit_interrupted(world.services, world.ended(only(world.batch.live()), "FAILED"))
        world.time += 900
        advance(world.services, run_id, 0)
    assert world.executions.answers == {"token": [{"ended": "exhausted"}]}
    assert len(world.batch.jobs) == 3
    assert world.detect(run_id)["remains"] == 4


def test_an_event_told_twice_late_or_of_an_old_round_does_no_harm(world, run_id):
    world.submit(run_id)
    first = only(world.batch.live())
    event = world.ended(first, "FAILED")
    document, records = world.child(first, 0)
    world.part(document, records[0])
    for _ in range(3):
        resubmit_interrupted(world.services, event)
    second = only(world.batch.live())
    world.work(second)
    resubmit_interrupted(world.services, world.ended(second))
    for _ in range(2):
        resubmit_interrupted(world.services, event)
    assert world.executions.answers == {"token": [{"ended": "complete"}]}
    assert len(world.batch.jobs) == 2


def test_batchs_verdict_is_a_hint_alone(world, run_id):
    world.submit(run_id)
    first = only(world.batch.live())
    resubmit_interrupted(world.services, world.ended(first, "SUCCEEDED"))
    assert world.detect(run_id)["remains"] == 4
    world.work(first)
    advance(world.services, run_id, 0)
    assert world.executions.answers == {"token": [{"ended": "complete"}]}


def test_a_job_that_batch_does_not_show_yet_is_not_submitted_again(world, run_id):
    world.batch.forgets = True
    assert world.submit(run_id) == "WaitUntil"
    assert len(world.batch.jobs) == 1
    world.batch.forgets = False
    world.time += 1000
    assert isinstance(advance(world.services, run_id, 0), Leave)
    assert len(world.batch.jobs) == 1


def test_a_job_that_batch_has_forgotten_is_a_round_that_ended(world, run_id):
    world.submit(run_id)
    world.time += 7 * 86_400
    world.batch.jobs.clear()
    assert isinstance(advance(world.services, run_id, 0), WaitUntil)
    assert world.shard(run_id).barren == 1


# -- the owner, the epoch and the stop


def test_nothing_is_submitted_for_an_owner_that_is_not_running(world, run_id):
    world.executions.running.clear()
    assert isinstance(advance(world.services, run_id, 0), Leave)
    assert world.batch.jobs == {}


def test_a_waiting_owner_that_does_not_show_as_running_yet_is_told_to_try_again(world, run_id):
    owner = world.owner(run_id)
    world.executions.running.clear()
    with pytest.raises(Conflict):
        world.submit(run_id)
    world.executions.running.add(owner)
    assert world.submit(run_id) == "Leave"
    assert len(world.batch.live()) == 1


def test_another_execution_may_not_act(world, run_id):
    world.executions.running.clear()
    world.start("two")
    with pytest.raises(RunSuperseded):
        submit_shard(world.services, run_id, 0, EXECUTION + "one", "token")
    assert world.keys("drydock-control", "tokens/") == []


def test_a_stop_that_comes_between_the_claim_and_the_submission_is_seen(world, run_id):
    def stop_once(key):
        if "/rounds/" in key:
            world.store.before_put = None
            stop = Stop(1, "user", "enough")
            world.documents.change_run(run_id, lambda run: put_stop(run, stop))

    world.store.before_put = stop_once
    assert world.submit(run_id) == "Answer"
    assert world.batch.jobs == {}
    assert world.executions.answers == {"token": [{"ended": "stopped"}]}
    assert only(world.shard(run_id).rounds).reason == "not submitted: the run stopped"


def test_a_stopped_run_waits_for_its_jobs_and_then_answers(world, run_id):
    world.submit(run_id)
    job = only(world.batch.live())
    world.work(job, children=[0])
    world.documents.change_run(run_id, lambda run: put_stop(run, Stop(1, "user", "enough")))
    job.running = 3
    for _ in range(2):
        assert isinstance(advance(world.services, run_id, 0), Leave)
    assert (job.cancelled, job.terminated) == (["drydock: stopped"], [])
    assert world.executions.answers == {}
    resubmit_interrupted(world.services, world.ended(job, "FAILED"))
    assert world.executions.answers == {"token": [{"ended": "stopped"}]}
    assert world.batch.live() == []


def test_a_new_epoch_goes_on_where_the_last_one_stopped(world, run_id):
    world.submit(run_id)
    job = only(world.batch.live())
    world.work(job, children=[0])
    world.documents.change_run(run_id, lambda run: put_stop(run, Stop(1, "user", "enough")))
    resubmit_interrupted(world.services, world.ended(job, "FAILED"))
    world.executions.running.clear()
    assert world.start("two") == run_id
    world.submit(run_id, token="again")
    assert only(world.batch.live()).request.jobs == 3
    assert world.run(run_id).epoch == 2


def test_a_new_epoch_keeps_the_job_that_still_goes_on(world, run_id):
    world.submit(run_id)
    job = only(world.batch.live())
    world.executions.running.clear()
    world.start("two")
    assert world.submit(run_id, token="again") == "Leave"
    assert only(world.batch.live()) is job
    world.work(job)
    resubmit_interrupted(world.services, world.ended(job))
    assert world.executions.answers["again"] == [{"ended": "complete"}]


def test_a_job_taken_away_by_ourselves_says_nothing_about_progress(world, run_id):
    world.submit(run_id)
    resubmit_interrupted(
        world.services, world.ended(only(world.batch.live()), "FAILED", "drydock: aborted")
    )
    assert only(world.batch.live()).request.name.endswith("-1")
    assert world.shard(run_id).barren == 0


def test_a_claim_of_an_earlier_epoch_is_taken_over_without_waiting(world, run_id):
    world.faults.arm(_claim_effect(world), "dies after")
    with pytest.raises(Killed):
        world.submit(run_id)
    world.faults.arm(None)
    world.executions.running.clear()
    world.start("two")
    assert world.submit(run_id, token="again") == "Leave"
    job = only(world.batch.live())
    assert [r.reason for r in world.shard(run_id).rounds] == ["never submitted", None]
    assert world.child(job, 0)[0].epoch == 2


def test_the_job_of_an_old_claim_that_comes_late_ends_itself(world, run_id):
    """The first claimant is slow: its epoch passes between its look at the owner and SubmitJob."""

    def overtake(job):
        world.batch.after_submit = None
        del world.batch.jobs[job.job_id]
        world.executions.running.clear()
        world.start("two")
        world.submit(run_id, token="again")
        world.batch.jobs[job.job_id] = job

    world.batch.after_submit = overtake
    world.submit(run_id)
    late = [job for job in world.batch.jobs.values() if job.terminated]
    assert only(late).terminated == ["drydock: superseded"]
    assert only(world.batch.live()).request.name.endswith("-1")


# -- claims


def _claim_effect(world):
    """Which effect of a submission writes the claim."""
    names = _effects(world)
    submit = next(n for n, name in enumerate(names) if name.startswith("submit"))
    return submit - 1


def _effects(world):
    """All effects of a submission that goes well, found on a run that is thrown away."""
    other = world.start("other", output="s3://drydock-data/other/")
    world.faults.arm(None)
    world.submit(other, token="other")
    names = list(world.faults.names)
    for job in world.batch.live():
        del world.batch.jobs[job.job_id]
    world.faults.arm(None)
    return names


@pytest.mark.parametrize("fault", ["dies before", "dies after"])
@pytest.mark.parametrize("behind", range(3))
def test_a_claim_whose_claimant_died_is_looked_at_when_its_lease_ends(world, run_id, behind, fault):
    """Nobody tries again, and no job may be there that a sweep could find."""
    world.faults.arm(_claim_effect(world) + behind, fault)
    with pytest.raises(Killed):
        world.submit(run_id)
    world.faults.arm(None)
    look = {"advance": {"run_id": run_id, "shard": 0}}
    assert [each for each in world.delayed() if each[0] == look] == [(look, 180)]
    world.time += 180
    resubmit_interrupted(world.services, look)
    assert world.shard(run_id).current.state == "submitted"
    assert len(world.batch.live()) == 1


def test_a_claim_is_left_alone_until_its_lease_ends_and_then_submitted(world, run_id):
    world.faults.arm(_claim_effect(world), "dies after")
    with pytest.raises(Killed):
        world.submit(run_id)
    world.faults.arm(None)
    world.time += 179
    assert isinstance(advance(world.services, run_id, 0), WaitUntil)
    assert world.batch.jobs == {}
    world.time += 1
    assert isinstance(advance(world.services, run_id, 0), Leave)
    assert only(world.batch.live()).request.name.endswith("-0")


def test_who_takes_a_claim_over_leaves_a_message_for_the_time_after_it(world, run_id):
    """Nobody else would look before the token times out: there is no job that the sweep sees."""
    claim = _claim_effect(world)
    world.faults.arm(claim, "dies after")
    with pytest.raises(Killed):
        world.submit(run_id)
    again = ({"advance": {"run_id": run_id, "shard": 0}}, 180)
    assert world.delayed().count(again) == 1
    world.time += 180
    world.faults.arm(0, "dies after")
    with pytest.raises(Killed):
        advance(world.services, run_id, 0)
    assert world.faults.names == [f"put_if runs/{run_id}/shards/000000.json"]
    world.faults.arm(None)
    assert world.delayed().count(again) == 2
    assert world.shard(run_id).current.lease_until == world.time + 180
    world.time += 180
    resubmit_interrupted(world.services, again[0])
    assert only(world.batch.live()).request.name.endswith("-0")


def test_a_submission_that_took_effect_but_answered_an_error_is_adopted_by_name(world, run_id):
    world.faults.arm(_claim_effect(world) + 1, "answers an error")
    with pytest.raises(ServiceError):
        world.submit(run_id)
    world.faults.arm(None)
    job = only(world.batch.live())
    world.time += 180
    advance(world.services, run_id, 0)
    assert only(world.batch.jobs.values()) is job
    assert only(world.shard(run_id).rounds).job_id == job.job_id


def test_a_claim_whose_answer_was_lost_is_one_s_own(world, run_id):
    world.faults.arm(_claim_effect(world), "answers a conflict")
    assert world.submit(run_id) == "Leave"
    assert len(world.batch.live()) == 1
    assert len(world.shard(run_id).rounds) == 1


def test_two_that_submit_one_claim_leave_one_job(world, run_id):
    """The claimant was slow, not dead: its lease ended between its claim and its SubmitJob."""

    def overtake(job):
        world.batch.after_submit = None
        del world.batch.jobs[job.job_id]
        world.time += 200
        advance(world.services, run_id, 0)
        world.batch.jobs[job.job_id] = job

    world.batch.after_submit = overtake
    world.submit(run_id)
    assert len(world.batch.jobs) == 2
    live = only(world.batch.live())
    assert only(world.shard(run_id).rounds).job_id == live.job_id


def test_of_two_that_want_to_claim_one_does(world, run_id):
    def overtake(key):
        if "/rounds/" in key:
            world.store.before_put = None
            advance(world.services, run_id, 0)

    world.store.before_put = overtake
    world.submit(run_id)
    assert only(world.batch.live()).request.name.endswith("-0")
    assert len(world.shard(run_id).rounds) == 1


def test_a_request_that_batch_refuses_stops_the_run(world, run_id):
    world.batch.refuses = RunMisconfigured("AWS Batch refuses the job: no such queue")
    assert world.submit(run_id) == "Answer"
    assert world.run(run_id).active_stop.reason == "misconfiguration"
    assert world.executions.answers == {"token": [{"ended": "stopped"}]}


# -- tokens


def test_every_waiting_token_is_answered_and_the_dead_are_removed(world, run_id):
    world.submit(run_id, token="first")
    world.submit(run_id, token="second")
    world.executions.waiting.discard("first")
    job = only(world.batch.live())
    world.work(job)
    resubmit_interrupted(world.services, world.ended(job))
    assert world.executions.answers == {"second": [{"ended": "complete"}]}
    assert world.keys("drydock-control", "tokens/") == []


def test_a_token_that_comes_after_the_end_is_answered_at_once(world, run_id):
    world.submit(run_id)
    job = only(world.batch.live())
    world.work(job)
    resubmit_interrupted(world.services, world.ended(job))
    assert world.submit(run_id, token="late") == "Answer"
    assert world.executions.answers["late"] == [{"ended": "complete"}]


def test_tokens_are_answered_once_by_two_at_once(world, run_id):
    world.submit(run_id)
    assert answer_tokens(world.services, run_id, 0, "complete") == 1
    assert answer_tokens(world.services, run_id, 0, "complete") == 0


def test_a_shard_that_the_manifest_lacks_is_not_found(world, run_id):
    with pytest.raises(NotFound):
        advance(world.services, run_id, 7)


# -- killed after every effect


def live_cycle(world, run_id, shard, at, fault):
    """Submit a shard, lose a child, finish, as events would drive it, cut short once.

    Returns how many effects there were up to the cut.
    """
    world.faults.arm(at, fault)
    world.batch.jobs.clear()
    world.executions.answers.clear()
    effects = 0
    for _ in range(20):
        try:
            if not world.executions.answers:
                world.submit(run_id, shard)
            for job in list(world.batch.jobs.values()):
                if job.status == "RUNNABLE":
                    is_first = job.request.name.endswith("-0")
                    world.work(job, children=[1] if is_first else None)
                    world.ended(job, "FAILED" if is_first else "SUCCEEDED")
            for job in list(world.batch.jobs.values()):
                resubmit_interrupted(world.services, world.ended(job, job.status, job.reason))
            if world.executions.answers:
                return max(effects, world.faults.count)
        except (Killed, ServiceError, Conflict):
            effects = world.faults.count
            world.faults.arm(None)
        assert len(world.batch.live()) <= 1
        world.time += 200
    raise AssertionError("the shard never ended")


@pytest.mark.parametrize("fault", ["dies after", "answers a conflict"])
def test_cut_short_at_any_effect_and_repeated_everything_is_settled_once(fault):
    world = World(SHARD_SIZE="2")
    world.inputs(2 * 40)
    run_id = world.start()
    count = live_cycle(world, run_id, 0, None, fault)
    names = list(world.faults.names)
    assert 15 < count < 40
    for at in range(count):
        if fault == "answers a conflict" and not names[at].startswith("put_if"):
            continue
        shard = at + 1
        live_cycle(world, run_id, shard, at, fault)
        assert world.executions.answers == {"token": [{"ended": "complete"}]}
        assert world.detect(run_id, shard) == {"remains": 0, "done": 2, "failed": 0, "skipped": 0}
        submitted = [job.request.name for job in world.batch.jobs.values()]
        assert sorted(submitted) == [job_name(run_id, shard, number) for number in range(2)]
        assert world.keys("drydock-control", f"tokens/{run_id}/") == []


def test_a_job_of_another_image_than_was_resolved_ends_at_once(world, run_id):
    """Whoever registers a job definition can make another one of that name and number."""
    world.submit(run_id)
    job = only(world.batch.live())
    job.image = world.run(run_id).current.image
    advance(world.services, run_id, 0)
    assert world.run(run_id).stop is None
    job.image = "123456789012.dkr.ecr.us-east-1.amazonaws.com/other:1"
    advance(world.services, run_id, 0)
    stop = world.run(run_id).stop
    assert (stop.reason, stop.now) == ("misconfiguration", True)
    assert stop.text.startswith(f"AWS Batch runs the image {job.image} and not ")
    assert job.terminated
    assert world.told() == [("drydock stopped a-run", stop.text)]
