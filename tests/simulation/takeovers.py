"""Scenes of ends: an owner's, an epoch's, and what is still done in their name."""

from __future__ import annotations

from collections.abc import Callable, Iterator

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


def abort_beside_takeover(world: SceneWorld) -> Iterator[float | None]:
    world.submit()
    yield
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
    yield
    for each in world.document.rounds:
        job = world.batch.jobs.get(each.job_id or "")
        is_aborted = job is not None and ABORTED in job.terminated
        assert each.epoch == 1 or not is_aborted, f"{each.job_id} of epoch 2 was aborted"


def abort_of_an_owner(world: SceneWorld) -> Iterator[float | None]:
    world.submit()
    yield
    world.states.waiting.clear()
    world.states.running = set()
    world.abort(ONE)
    yield
    world.sweep()
    yield
    live = [job.job_id for job in world.batch.live()]
    assert not live, f"{live} go on although their owner was aborted"
    world.open_next_epoch(TWO)
    world.submit(TWO)
    yield


def stop_of_a_job(world: SceneWorld) -> Iterator[float | None]:
    world.submit()
    yield
    world.stop(now=True)
    yield
    world.sweep()
    yield
    live = [job.job_id for job in world.batch.live()]
    assert not live, f"{live} go on although their epoch was stopped"
    for job in world.batch.jobs.values():
        detail = {"jobId": job.job_id, "jobName": job.request.name, "status": "FAILED"}
        world.message({"detail-type": "Batch Job State Change", "detail": detail}, "event")
    yield


def misconfiguration_beside_takeover(world: SceneWorld) -> Iterator[float | None]:
    world.submit()
    yield
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
    yield
    run = world.run_document
    assert run.active_stop is None, f"epoch 1 was misconfigured, and {run.active_stop} was put"
    world.submit(TWO)
    yield


TAKEOVERS = tuple(
    Scene(play.__name__.replace("_", " "), says, play, still=_STILL)
    for says, play in (
        ("the abort of an execution as another takes over", abort_beside_takeover),
        ("the abort of an execution that nobody has taken over from", abort_of_an_owner),
        ("a stop of what runs", stop_of_a_job),
        ("a stop as another execution takes over", misconfiguration_beside_takeover),
    )
)
