"""Scenes of ends: an owner's, an epoch's, and what is still done in their name."""

from __future__ import annotations

from collections.abc import Callable

from drydock.decision import ABORTED
from tests.simulation.small_world import ONE, TWO
from tests.simulation.stage import STILL, Scene, SceneWorld

_STILL = tuple(part for part in STILL if part not in ("/run.json", "DescribeExecution"))


def _beside(world: SceneWorld, do: Callable[[], None]) -> None:
    """Do something at some moment, at once."""
    name = "s3 PutObject a new epoch's run.json"
    world.kernel.spawn(
        "a takeover", "container", lambda: world.kernel.effect(name, do, writes=True)
    )


def submits(world: SceneWorld) -> None:
    world.submit()


def sweeps(world: SceneWorld) -> None:
    world.sweep()


def abort_beside_takeover(world: SceneWorld) -> None:
    world.states.waiting.clear()
    job = world.job()
    if job is not None:
        world.end_job(job, 1)
    world.states.running = set()
    world.abort(ONE)

    def take_over() -> None:
        world.open_next_epoch(TWO)
        world.submit(TWO)

    _beside(world, take_over)


def no_job_of_the_next_was_aborted(world: SceneWorld) -> None:
    for each in world.document.rounds:
        job = world.batch.jobs.get(each.job_id or "")
        is_aborted = job is not None and ABORTED in job.terminated
        assert each.epoch == 1 or not is_aborted, f"{each.job_id} of epoch 2 was aborted"


def abort_of_an_owner(world: SceneWorld) -> None:
    world.states.waiting.clear()
    world.states.running = set()
    world.abort(ONE)


def nothing_goes_on(world: SceneWorld, *, why: str) -> None:
    live = [job.job_id for job in world.batch.live()]
    assert not live, f"{live} go on although {why}"


def next_takes_over(world: SceneWorld) -> None:
    nothing_goes_on(world, why="their owner was aborted")
    world.open_next_epoch(TWO)
    world.submit(TWO)


def stops(world: SceneWorld) -> None:
    world.stop(now=True)


def all_ends_are_told(world: SceneWorld) -> None:
    nothing_goes_on(world, why="their epoch was stopped")
    for job in world.batch.jobs.values():
        detail = {"jobId": job.job_id, "jobName": job.request.name, "status": "FAILED"}
        world.message({"detail-type": "Batch Job State Change", "detail": detail}, "event")


def misconfiguration_beside_takeover(world: SceneWorld) -> None:
    world.states.waiting.clear()
    job = world.job()
    if job is not None:
        detail = {
            "jobId": f"{job.job_id}:0",
            "jobName": job.request.name,
            "status": "FAILED",
            "statusReason": "Task failed to start",
            "arrayProperties": {"index": 0},
            "container": {"reason": "CannotPullContainerError: pull access denied"},
        }
        world.message(
            {"detail-type": "Batch Job State Change", "detail": detail}, "misconfiguration"
        )
    _beside(world, lambda: world.open_next_epoch(TWO))


def next_is_not_stopped(world: SceneWorld) -> None:
    run = world.run_document
    assert run.active_stop is None, f"epoch 1 was misconfigured, and {run.active_stop} was put"
    world.submit(TWO)


TAKEOVERS = tuple(
    Scene(name, says, (submits, *acts), still=_STILL)
    for name, says, *acts in (
        (
            "abort beside takeover",
            "the abort of an execution as another takes over",
            abort_beside_takeover,
            no_job_of_the_next_was_aborted,
        ),
        (
            "abort of an owner",
            "the abort of an execution that nobody has taken over from",
            *(abort_of_an_owner, sweeps, next_takes_over),
        ),
        ("stop of a job", "a stop of what runs", stops, sweeps, all_ends_are_told),
        (
            "misconfiguration beside takeover",
            "a stop as another execution takes over",
            misconfiguration_beside_takeover,
            next_is_not_stopped,
        ),
    )
)
