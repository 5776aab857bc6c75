"""How a shard goes on after a round: what its children say, asked when the job did not succeed."""

from dataclasses import replace

import pytest

from drydock.advancing import advance
from drydock.decision import Answer, Leave
from drydock.errors import RunMisconfigured
from drydock.job_views import AttemptView, FailedChild
from drydock.keys import RunKeys
from drydock.policies import RECLAIMED_ROUNDS_ON_SPOT
from drydock.resubmission import resubmit_interrupted
from tests.steps.stand_ins import Killed
from tests.steps.world import DATA

ESSENTIAL = "Essential container in task exited"
CHILD_FAILED = "Array Child Job failed"
HOST = "Host EC2 (instance i-0abc) terminated."
USERS = "operator cancelled it: wrong receptor"


@pytest.fixture
def run_id(world):
    world.inputs(4)
    return world.start()


@pytest.fixture
def job(world, run_id):
    world.submit(run_id)
    return only(world.batch.live())


def only(jobs):
    (job,) = jobs
    return job


def fail(world, job, *children, reason=CHILD_FAILED, **detail):
    """End a job with these children failed; what the event led to."""
    job.failed = list(children)
    event = world.ended(job, "FAILED", reason)
    event["detail"] |= detail
    return resubmit_interrupted(world.services, event)


def alike(reason, exit_code=None, container_reason=None, count=4):
    return [
        FailedChild(index, reason, container_reason, exit_code, is_terminated=False)
        for index in range(count)
    ]


def go_on(world, run_id):
    """Let delays pass until a job is there; that job."""
    for _ in range(3):
        if not world.batch.live():
            world.time += 901
            advance(world.services, run_id, 0)
    return only(world.batch.live())


# -- asking


def test_children_of_a_job_that_succeeded_are_not_asked_for(world, job):
    world.work(job)
    world.batch.reads.clear()
    assert resubmit_interrupted(world.services, world.ended(job)) == "Answer"
    assert world.batch.reads == []


def test_an_uninterrupted_shard_costs_one_submission_and_one_look(world, run_id):
    world.submit(run_id)
    job = only(world.batch.live())
    world.work(job)
    resubmit_interrupted(world.services, world.ended(job))
    assert (len(world.batch.jobs), world.batch.reads) == (1, ["view"])


def test_what_the_children_say_is_kept_with_their_round(world, run_id, job):
    world.work(job, children=[0])
    strange = "Something new happened " * 40
    fail(
        world,
        job,
        FailedChild(1, HOST, None, None, is_terminated=False),
        FailedChild(2, ESSENTIAL, "OutOfMemoryError: Container killed", 137, is_terminated=False),
        FailedChild(3, strange, None, 9, is_terminated=False),
    )
    first, second = world.shard(run_id).rounds
    assert first.failures == {"interrupted": 1, "out_of_memory": 1, "unknown": 1}
    assert list(first.texts) == ["unknown"]
    assert first.texts["unknown"] == strange[:300]
    assert first.reason == CHILD_FAILED
    assert (second.state, second.size) == ("submitted", 3)


def test_a_plain_job_says_itself_how_it_failed(world):
    world.inputs(1)
    run_id = world.start()
    world.submit(run_id)
    job = only(world.batch.live())
    attempt = {"statusReason": ESSENTIAL, "container": {"exitCode": 71}}
    fail(world, job, reason=ESSENTIAL, attempts=[attempt])
    assert world.shard(run_id).rounds[0].failures == {"out_of_memory": 1}
    assert "failed_children" not in world.batch.reads


def test_a_job_that_batch_has_forgotten_has_no_children_to_ask(world, run_id, job):
    world.time += 8 * 86_400
    world.batch.forgets = True
    advance(world.services, run_id, 0)
    assert only(world.shard(run_id).rounds).failures == {}
    assert "failed_children" not in world.batch.reads


# -- memory, queue, patience


def test_who_ran_out_of_memory_gets_more_at_once_and_at_the_cap_no_more(world):
    world.inputs(4)
    run_id = world.start(resources={"memory_mib": 20_000})
    world.submit(run_id)
    sizes = []
    for _ in range(4):
        job = next(iter(world.batch.live()), None)
        if job is None:
            break
        sizes.append(job.request.memory_mib)
        fail(world, job, *alike(ESSENTIAL, 71))
    assert sizes == [20_000, 40_000, world.services.settings.max_memory_mib]
    assert world.executions.answers == {"token": [{"ended": "exhausted"}]}
    assert world.delayed() == [] or all(delay >= 180 for _, delay in world.delayed())
    assert world.detect(run_id)["remains"] == 4


def test_memory_stays_as_large_as_an_input_needed_it(world, run_id, job):
    world.work(job, children=[0])
    fail(world, job, *alike(ESSENTIAL, 71)[1:])
    second = only(world.batch.live())
    assert second.request.memory_mib == 2 * job.request.memory_mib
    world.work(second, children=[0])
    fail(world, second, *alike(HOST)[1:3])
    assert only(world.batch.live()).request.memory_mib == second.request.memory_mib


def test_an_epoch_begins_with_the_memory_that_its_request_asks_for(world, run_id, job):
    world.work(job, children=[0])
    fail(world, job, *alike(ESSENTIAL, 71)[1:])
    fail(world, only(world.batch.live()), reason="drydock: aborted")
    for each in world.batch.live():
        world.batch.end(each.job_id, "FAILED", "drydock: aborted")
    world.executions.running.clear()
    world.start("two")
    world.submit(run_id, token="again")
    assert only(world.batch.live()).request.memory_mib == job.request.memory_mib


def test_after_repeated_reclaims_a_round_is_on_demand(world, run_id, job):
    queues = world.services.settings.spot_queue_arn, world.services.settings.on_demand_queue_arn
    for number in range(RECLAIMED_ROUNDS_ON_SPOT):
        assert job.request.queue_arn == queues[0], number
        fail(world, job, *alike(HOST))
        job = go_on(world, run_id)
    assert job.request.queue_arn == queues[1]
    assert world.shard(run_id).current.queue == "on-demand"


def test_a_claim_on_the_on_demand_queue_is_adopted_from_there(world, run_id, job):
    for _ in range(RECLAIMED_ROUNDS_ON_SPOT - 1):
        fail(world, job, *alike(HOST))
        job = go_on(world, run_id)
    fail(world, job, *alike(HOST))
    world.time += 901

    def die(_):
        raise Killed

    world.batch.after_submit = die
    with pytest.raises(Killed):
        advance(world.services, run_id, 0)
    world.batch.after_submit = None
    orphan = only(world.batch.live())
    assert orphan.request.queue_arn == world.services.settings.on_demand_queue_arn
    world.time += 181
    assert isinstance(advance(world.services, run_id, 0), Leave)
    assert world.shard(run_id).current.job_id == orphan.job_id


def test_what_nobody_knows_is_tried_twice_more_and_its_text_kept(world, run_id, job):
    for _ in range(3):
        fail(world, job, *alike("A reason that Batch did not have so far"))
        world.time += 901
        advance(world.services, run_id, 0)
        job = next(iter(world.batch.live()), None)
    assert job is None
    assert world.executions.answers == {"token": [{"ended": "exhausted"}]}
    texts = [each.texts for each in world.shard(run_id).rounds]
    assert texts == [{"unknown": "A reason that Batch did not have so far"}] * 3


def test_a_timeout_without_progress_is_not_repeated(world, run_id, job):
    world.work(job, children=[0])
    fail(world, job, *alike("Job attempt duration exceeded timeout")[1:])
    fail(world, only(world.batch.live()), *alike("Job attempt duration exceeded timeout", count=3))
    assert world.executions.answers == {"token": [{"ended": "exhausted"}]}
    assert len(world.batch.jobs) == 2


def test_a_job_that_was_aborted_under_a_running_owner_goes_on_at_once(world, run_id, job):
    for child_reason in ("drydock: aborted", "drydock: superseded"):
        fail(world, only(world.batch.live()), *alike(child_reason))
    assert only(world.batch.live()).request.name.endswith("-2")
    assert [each.progress for each in world.shard(run_id).rounds] == [None, None, None]


# -- what a user terminated


def terminated(*children, reason=USERS, known=True):
    return [FailedChild(index, reason, is_terminated=True if known else None) for index in children]


@pytest.mark.parametrize("known", [True, False])
def test_children_that_a_user_terminated_are_not_submitted_again_in_this_epoch(
    world, run_id, job, known
):
    world.work(job, children=[0])
    fail(world, job, *terminated(1, 3, known=known), *alike(HOST)[2:3])
    second = only(world.batch.live())
    assert second.request.jobs == 1
    assert [record.place for record in world.child(second, 0)[1]] == [2]
    first = world.shard(run_id).rounds[0]
    assert first.failures == {"terminated": 2, "interrupted": 1}
    assert first.texts == {"terminated": USERS}
    assert world.shard(run_id).withheld == ((1, 1), (3, 3))
    world.work(second)
    assert resubmit_interrupted(world.services, world.ended(second)) == "Answer"
    assert world.executions.answers == {"token": [{"ended": "terminated"}]}


@pytest.mark.parametrize("by_a_user", [True, False])
def test_children_whose_list_leaves_open_who_ended_them_are_asked_once_a_text(
    world, run_id, job, by_a_user
):
    """So does that of an SDK which is older than September 2026."""
    child = f"{job.job_id}:3"
    world.batch.jobs[child] = replace(
        job, job_id=child, status="FAILED", reason=USERS, is_terminated=by_a_user
    )
    world.batch.reads.clear()
    fail(world, job, *terminated(0, 1, 2, 3, known=False))
    del world.batch.jobs[child]
    assert world.batch.reads.count("view") == 1
    (first,) = world.shard(run_id).rounds
    assert first.failures == {"terminated" if by_a_user else "unknown": 4}
    assert world.shard(run_id).withheld == (((0, 3),) if by_a_user else ())


def test_a_later_round_knows_the_places_of_its_own_children(world, run_id, job):
    world.work(job, children=[1])
    fail(world, job, *alike(HOST)[2:])
    second = only(world.batch.live())
    assert [world.child(second, n)[1][0].place for n in range(3)] == [0, 2, 3]
    world.work(second, children=[0])
    fail(world, second, *terminated(1), *alike(HOST)[2:3])
    assert world.shard(run_id).withheld == ((2, 2),)
    assert only(world.batch.live()).request.jobs == 1


def test_a_pack_is_withheld_with_all_its_inputs(world):
    world.inputs(4)
    run_id = world.start(inputs_per_job=3)
    world.submit(run_id)
    job = only(world.batch.live())
    fail(world, job, *terminated(0))
    assert world.shard(run_id).withheld == ((0, 2),)
    world.time += 901
    advance(world.services, run_id, 0)
    assert [record.place for record in world.child(only(world.batch.live()), 0)[1]] == [3]


def test_the_next_epoch_submits_what_a_user_terminated_in_the_last(world, run_id, job):
    fail(world, job, *terminated(0, 1, 2, 3))
    assert world.executions.answers == {"token": [{"ended": "terminated"}]}
    world.executions.running.clear()
    world.start("two")
    world.submit(run_id, token="again")
    assert only(world.batch.live()).request.jobs == 4
    assert world.shard(run_id).withheld == ()


@pytest.mark.parametrize("flags", [{"isTerminated": True}, {"isCancelled": True}])
def test_an_array_that_a_user_terminated_takes_all_that_remains_with_it(world, run_id, job, flags):
    world.work(job, children=[1])
    done = fail(world, job, *terminated(0, 2), reason=USERS, **flags)
    assert done == "Answer"
    assert world.executions.answers == {"token": [{"ended": "terminated"}]}
    assert world.shard(run_id).withheld == ((0, 0), (2, 3))
    assert world.batch.live() == []


def test_a_plain_job_that_a_user_terminated_is_not_submitted_again(world):
    world.inputs(1)
    run_id = world.start()
    world.submit(run_id)
    fail(world, only(world.batch.live()), reason=USERS, isTerminated=True)
    assert world.executions.answers == {"token": [{"ended": "terminated"}]}
    assert only(world.shard(run_id).rounds).texts == {"terminated": USERS}


def test_a_termination_after_a_reclaim_is_the_users_all_the_same(world):
    """The job's own reason is the call's, that of its last attempt says what happened before."""
    world.inputs(1)
    run_id = world.start()
    world.submit(run_id)
    attempt = {"statusReason": HOST, "container": {}}
    fail(world, only(world.batch.live()), reason=USERS, isTerminated=True, attempts=[attempt])
    assert world.executions.answers == {"token": [{"ended": "terminated"}]}


def test_an_event_that_leaves_open_who_ended_the_job_makes_us_ask(world, run_id, job):
    job.is_terminated = False
    world.batch.reads.clear()
    assert fail(world, job, *alike(HOST), reason="A reason that is new") == "WaitUntil"
    assert world.batch.reads.count("view") == 1
    assert world.shard(run_id).withheld == ()
    job = go_on(world, run_id)
    job.is_terminated = True
    assert fail(world, job, *alike(HOST), reason="A reason that is new") == "Answer"
    assert world.executions.answers == {"token": [{"ended": "terminated"}]}


def test_what_was_terminated_before_the_epoch_began_is_not_withheld_in_it(world, run_id, job):
    world.executions.running.clear()
    world.start("two")
    world.submit(run_id, token="again")
    job.failed = terminated(0, 1, 2, 3)
    fail(world, job, *terminated(0, 1, 2, 3))
    assert only(world.batch.live()).request.jobs == 4


# -- what nothing in the run can get past


def test_a_misconfiguration_whose_event_was_lost_stops_the_run_when_its_round_ends(
    world, run_id, job
):
    pull = "CannotPullContainerError: pull access denied for lab/vina"
    assert fail(world, job, *alike("Task failed to start", None, pull)) == "Answer"
    stop = world.run(run_id).active_stop
    assert stop.reason == "misconfiguration"
    assert stop.text.startswith("The image cannot be pulled")
    assert "pull access denied for lab/vina" in stop.text
    assert world.told() == [("drydock stopped a-run", stop.text)]
    assert world.executions.answers == {"token": [{"ended": "stopped"}]}


def test_the_workers_own_sentence_is_found_then_too(world, run_id, job):
    world.put(DATA, RunKeys(run_id, "out/").misconfigured(0, 0), b"vina is missing\n")
    fail(world, job, *alike(ESSENTIAL, 78))
    assert world.run(run_id).active_stop.text == "vina is missing"


def test_what_stopped_an_earlier_epoch_does_not_stop_this_one(world, run_id, job):
    world.executions.running.clear()
    world.start("two")
    world.submit(run_id, token="again")
    fail(world, job, *alike(ESSENTIAL, 78))
    assert world.run(run_id).active_stop is None
    assert only(world.batch.live()).request.name.endswith("-1")


def test_a_refusal_says_what_to_change_and_what_batch_said(world, run_id):
    world.batch.refuses = RunMisconfigured(
        "AWS Batch refuses the job: Error executing request, Exception : JobQueue x not found"
    )
    world.submit(run_id)
    text = world.run(run_id).active_stop.text
    assert text.startswith("The stack's queue or job definition is gone: deploy the stack again.")
    assert text.endswith("JobQueue x not found")


def test_thousands_of_children_with_one_reason_make_one_message_and_one_call(world, run_id, job):
    job.running = 1
    handle = resubmit_interrupted
    assert handle(world.services, world.child_failed(job, exitCode=127)) == "stopped the run"
    world.batch.reads.clear()
    for index in range(1, 40):
        event = world.child_failed(job, index, exitCode=127)
        assert handle(world.services, event) == "stopped already"
    assert world.batch.reads == []
    assert len(world.told()) == 1
    assert (job.cancelled, job.terminated) == (["drydock: stopped"], [])


def test_a_stop_that_was_put_and_not_carried_out_is_by_the_next_child(world, run_id, job):
    job.running = 1
    event = world.child_failed(job, exitCode=127)
    world.faults.arm(1, "dies before")
    with pytest.raises(Killed):
        resubmit_interrupted(world.services, event)
    world.faults.arm(None)
    assert (world.run(run_id).active_stop is not None, job.cancelled) == (True, [])
    resubmit_interrupted(world.services, world.child_failed(job, 1, exitCode=127))
    assert job.cancelled == ["drydock: stopped"]


def test_a_lack_of_machines_is_told_once_an_epoch(world, run_id, job):
    detail = {
        "jobId": job.job_id,
        "jobName": job.request.name,
        "status": "RUNNABLE",
        "statusReason": "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - none in us-west-2a",
    }
    event = {"detail-type": "Batch Job Queue Blocked", "detail": detail}
    assert resubmit_interrupted(world.services, event) == "waits for machines"
    assert resubmit_interrupted(world.services, event) == "told already"
    ((subject, text),) = world.told()
    assert subject == "drydock waits for machines"
    assert "none in us-west-2a" in text


def test_a_round_that_grew_too_large_for_every_machine_does_not_stop_the_run(world, run_id, job):
    world.work(job, children=[0])
    fail(world, job, *alike(ESSENTIAL, 71)[1:])
    grown = only(world.batch.live())
    detail = {
        "jobId": f"{grown.job_id}:0",
        "jobName": grown.request.name,
        "status": "RUNNABLE",
        "statusReason": "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT - memory",
        "arrayProperties": {"index": 0},
    }
    resubmit_interrupted(
        world.services, {"detail-type": "Batch Job Queue Blocked", "detail": detail}
    )
    assert grown.terminated == ["drydock: no machine is large enough"]
    assert world.run(run_id).active_stop is None
    fail(world, grown, *terminated(0, 1, 2, reason=grown.reason), reason=grown.reason)
    assert world.executions.answers == {"token": [{"ended": "exhausted"}]}
    assert world.shard(run_id).current.failures == {"too_large": 3}
    assert world.shard(run_id).withheld == ()


def test_a_job_that_an_earlier_epoch_left_blocked_makes_way_for_this_ones(world, run_id, job):
    world.executions.running.clear()
    world.start("two", resources={"memory_mib": 1000})
    world.submit(run_id, token="again")
    assert only(world.batch.live()) is job
    detail = {
        "jobId": f"{job.job_id}:2",
        "jobName": job.request.name,
        "status": "RUNNABLE",
        "statusReason": "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT - memory",
        "arrayProperties": {"index": 2},
    }
    event = {"detail-type": "Batch Job Queue Blocked", "detail": detail}
    resubmit_interrupted(world.services, event)
    assert job.terminated == ["drydock: superseded"]
    assert world.run(run_id).active_stop is None
    fail(world, job, *terminated(0, 1, 2, 3, reason=job.reason), reason=job.reason)
    assert only(world.batch.live()).request.memory_mib == 1000
    assert resubmit_interrupted(world.services, event) == "of an earlier epoch"


def test_attempts_of_a_job_are_read_from_batch_when_there_was_no_event(world):
    world.inputs(1)
    run_id = world.start()
    world.submit(run_id)
    job = only(world.batch.live())
    world.batch.end(job.job_id, "FAILED", ESSENTIAL)
    job.attempts[job.job_id] = [AttemptView(HOST), AttemptView(ESSENTIAL, None, 75)]
    world.time += 200
    assert advance(world.services, run_id, 0) == Answer("exhausted")
    assert only(world.shard(run_id).rounds).failures == {"later": 1}
