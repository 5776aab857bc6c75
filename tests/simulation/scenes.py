"""Scenes to search through: who calls which handlers at the same time.

What a scene starts before each ``yield`` runs at the same time. Afterwards the world is brought to
its end as AWS would (jobs end, tokens time out, the sweep comes by), and
:func:`tests.simulation.stage.check` asks whether all is well.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from typing import Any

from drydock.keys import RunKeys
from drydock.outcome import parse_outcome
from drydock.parts import OutputObject
from tests.simulation.account import CONTROL, DATA, INTAKE
from tests.simulation.s3 import Stored
from tests.simulation.small_world import FAILURE, INPUTS, ONE, TWO, Buckets, enumerated, request
from tests.simulation.stage import STILL, Play, Scene, SceneWorld
from tests.simulation.takeovers import TAKEOVERS

# What is still where a run's document changes.
_STOPPED = tuple(part for part in STILL if part != "/run.json")
# What is still while a shard is aggregated and workers come late.
_AGGREGATED = tuple(part for part in STILL if part != "/markers/")
_GONE = OutputObject("scores", "out/shards/000000/0/scores.0", 5, "0" * 32)


def one_submission(world: SceneWorld) -> Iterator[float | None]:
    world.submit()
    yield


def two_rounds(world: SceneWorld) -> Iterator[float | None]:
    world.submit()
    yield
    world.end_twice(1)
    yield
    world.end_twice(2)
    yield


def two_submissions(world: SceneWorld) -> Iterator[float | None]:
    world.submit()
    world.submit()
    yield


def sweep_beside_claim(world: SceneWorld) -> Iterator[float | None]:
    world.submit()
    world.sweep()
    yield


def expired_claim(world: SceneWorld, *, submitted: bool) -> Iterator[float | None]:
    # The message that the claimant sent before its claim comes now.
    world.claimant_dies(submitted=submitted)
    world.sweep()
    yield


def expired_claim_and_timeout(world: SceneWorld, *, submitted: bool) -> Iterator[float | None]:
    world.claimant_dies(submitted=submitted)
    world.submit()
    yield


def event_beside_timeout(world: SceneWorld) -> Iterator[float | None]:
    world.submit()
    yield
    world.end_once(1, "event")
    world.submit()
    yield


def last_event_beside_timeout(world: SceneWorld) -> Iterator[float | None]:
    world.submit()
    yield
    world.end_once(INPUTS, "event")
    world.submit()
    yield


def late_abort(world: SceneWorld) -> Iterator[float | None]:
    world.submit()
    yield
    world.states.waiting.clear()
    job = world.job()
    if job is not None:
        world.end_job(job, 1)
    world.open_next_epoch(TWO)
    world.submit(TWO)
    world.abort(ONE)
    yield


def late_abort_of_a_job(world: SceneWorld) -> Iterator[float | None]:
    # The old epoch's job goes on, and so does the new epoch's submission.
    world.submit()
    yield
    world.states.waiting.clear()
    world.open_next_epoch(TWO)
    world.submit(TWO)
    world.abort(ONE)
    world.sweep()
    yield


def stop_beside_submit(world: SceneWorld, *, now: bool) -> Iterator[float | None]:
    world.submit()
    world.stop(now=now)
    yield


def stop_beside_event(world: SceneWorld, *, now: bool) -> Iterator[float | None]:
    world.submit()
    yield
    world.end_once(1, "event")
    world.stop(now=now)
    yield


def stop_beside_sweep(world: SceneWorld, *, now: bool) -> Iterator[float | None]:
    world.submit()
    yield
    job = world.job()
    if job is not None:
        job.running = 1
    world.stop(now=now)
    world.sweep()
    yield


def two_stops(world: SceneWorld) -> Iterator[float | None]:
    world.submit()
    yield
    job = world.job()
    if job is not None:
        job.running = 1
    world.stop(now=False)
    world.stop(now=True)
    yield


def two_ticks_beside_a_stop(world: SceneWorld) -> Iterator[float | None]:
    world.submit()
    yield
    job = world.job()
    if job is not None:
        job.running = INPUTS
    world.tick()
    yield 300.0
    world.tick()
    world.tick()
    world.stop(now=False)
    yield


def settled(world: SceneWorld) -> Iterator[float | None]:
    """Everything is settled, the first input as failed, and the shard has ended."""
    world.submit()
    yield
    job = world.job()
    if job is not None:
        world.message(world.end_job(job, INPUTS, 1), "event")
    yield


def two_aggregations(world: SceneWorld) -> Iterator[float | None]:
    yield from settled(world)
    world.aggregate()
    world.aggregate()
    yield


def aggregation_beside_a_late_marker(world: SceneWorld) -> Iterator[float | None]:
    yield from settled(world)
    world.stale_worker(lambda: world.settle(0))
    world.aggregate()
    world.aggregate()
    yield


def two_ends_of_an_input(world: SceneWorld) -> Iterator[float | None]:
    yield from settled(world)
    world.settle(0)
    world.aggregate()
    yield
    frozen = world.document.frozen
    if frozen is not None:
        outcome = parse_outcome(world.s3.buckets[CONTROL][frozen.key].body)
        assert outcome[0].summary is not None, "an input that is done counts as failed"


def aggregation_that_voids(world: SceneWorld) -> Iterator[float | None]:
    world.submit()
    yield
    world.settle(0, (_GONE,))
    world.end_once(INPUTS, "event")
    yield
    world.aggregate()
    # A worker that found no marker: its put finds the one that is to be voided, or none.
    world.stale_worker(lambda: world.settle(0))
    yield


def two_aggregations_that_void(world: SceneWorld) -> Iterator[float | None]:
    world.submit()
    yield
    world.settle(0, (_GONE,))
    world.end_once(INPUTS, "event")
    yield
    world.aggregate()
    world.aggregate()
    yield


def retry_beside_a_late_event(world: SceneWorld) -> Iterator[float | None]:
    yield from settled(world)
    world.aggregate()
    yield
    world.open_next_epoch(TWO, (FAILURE,))
    world.submit(TWO)
    for job in world.batch.jobs.values():
        detail = {"jobId": job.job_id, "jobName": job.request.name, "status": "SUCCEEDED"}
        world.message({"detail-type": "Batch Job State Change", "detail": detail}, "late event")
    world.abort(ONE)
    yield


def two_enumerate(world: SceneWorld) -> Iterator[float | None]:
    world.enumerate(ONE, request())
    world.enumerate(TWO, request())
    yield
    yield from _one_of_two(world, "rejected")


def upload_delivered_twice(world: SceneWorld) -> Iterator[float | None]:
    world.enumerate(ONE, upload("a.json"))
    world.enumerate(TWO, upload("a.json"))
    yield
    yield from _one_of_two(world, "duplicate")


def two_uploads_of_a_run(world: SceneWorld) -> Iterator[float | None]:
    world.enumerate(ONE, upload("a.json"))
    world.enumerate(TWO, upload("b.json"))
    yield
    yield from _one_of_two(world, "rejected")


def _one_of_two(world: SceneWorld, other: str) -> Iterator[float | None]:
    """Which of two executions opened the run, and that the other did not."""
    told = sorted(each.partition(" ")[2] for each in world.opened)
    assert told == sorted(("ready", other)), f"two executions: {world.opened}"
    assert world.run_document.epoch == 1, "a run that goes on was taken over"
    world.owner = world.run_document.owner
    assert f"{world.owner[-3:]} ready" in world.opened, "who owns the run does not know it"
    world.states.running = {world.owner}
    world.submit(world.owner)
    yield


def one_enumerates(world: SceneWorld) -> Iterator[float | None]:
    world.enumerate(ONE, request())
    yield
    world.submit()
    yield


def pilot_judged_twice(world: SceneWorld) -> Iterator[float | None]:
    world.submit()
    yield
    job = world.job()
    if job is not None:
        world.message(world.end_job(job, INPUTS, INPUTS), "event")
    yield
    payload = {"run_id": world.run_id, "owner": ONE}
    world.call("JudgePilot", payload, "one")
    world.call("JudgePilot", payload, "two")
    yield
    assert world.run_document.active_stop is not None, "all inputs failed and the pilot passed"
    verdict = RunKeys(world.run_id, "out/").result("pilot.json")
    told = json.loads(world.s3.buckets[DATA][verdict].body)
    assert told["stop"], "the verdict that is kept says that the run goes on"


def upload(key: str) -> dict[str, Any]:
    """The event of an upload to the intake bucket."""
    detail = {"bucket": {"name": INTAKE}, "object": {"key": key, "sequencer": "1"}}
    return {"detail-type": "Object Created", "detail": detail}


def unwritten() -> Buckets:
    """The inputs and the uploads alone: nobody has enumerated anything yet."""
    buckets = enumerated()
    kept = {key: body for key, body in buckets[DATA].items() if not key.startswith("out/")}
    body = json.dumps(request()).encode()
    uploads = {key: Stored(body, "d" * 32) for key in ("a.json", "b.json")}
    return {DATA: kept, INTAKE: uploads}


def _scene(says: str, play: Play, **more: Any) -> Scene:
    return Scene(play.__name__.replace("_", " "), says, play, **more)


def _variants(says: str, play: Any, name: str, **more: Any) -> tuple[Scene, Scene]:
    """A scene without something, and with it."""
    words = play.__name__.replace("_", " ")
    return (
        Scene(words, says, functools.partial(play, **{name: False}), **more),
        Scene(f"{words}, {name}", says, functools.partial(play, **{name: True}), **more),
    )


SCENES = (
    _scene("a claimant alone, and whoever comes after its death", one_submission),
    _scene("each end of a job is told twice at once", two_rounds, faults=0),
    _scene("two tokens of one shard at once", two_submissions),
    _scene("the sweep beside a live claim", sweep_beside_claim),
    *_variants("the sweep beside who takes a claim over", expired_claim, "submitted"),
    *_variants("a token beside who does", expired_claim_and_timeout, "submitted"),
    _scene("a job's end as its token times out", event_beside_timeout),
    _scene("a shard's end as its token times out", last_event_beside_timeout, faults=0),
    _scene("the abort of an execution after another took over", late_abort),
    _scene("the same while a job of the old one goes on", late_abort_of_a_job),
    *_variants("a stop as a shard starts", stop_beside_submit, "now", still=_STOPPED, faults=0),
    *_variants("a stop as a job ends", stop_beside_event, "now", still=_STOPPED, faults=0),
    *_variants("a stop as the sweep comes by", stop_beside_sweep, "now", still=_STOPPED, faults=0),
    _scene("two stops at once, one of them now", two_stops, still=_STOPPED, faults=0),
    _scene(
        "the budget is looked at twice beside a stop",
        two_ticks_beside_a_stop,
        buckets=functools.partial(enumerated, stop_after_usd=0.0001),
        still=_STOPPED,
        faults=0,
    ),
    _scene("two AggregateShard of a shard at once", two_aggregations, aggregates=True),
    _scene(
        "the same beside a marker that comes late",
        aggregation_beside_a_late_marker,
        still=_AGGREGATED,
        faults=0,
        aggregates=True,
    ),
    _scene("an input is done although it failed before", two_ends_of_an_input, aggregates=True),
    _scene(
        "a marker is voided as a worker puts it",
        aggregation_that_voids,
        still=_AGGREGATED,
        aggregates=True,
    ),
    _scene(
        "a marker is voided twice at once",
        two_aggregations_that_void,
        still=_AGGREGATED,
        faults=0,
        aggregates=True,
    ),
    _scene(
        "an event of an epoch before retry_failed's",
        retry_beside_a_late_event,
        aggregates=True,
        faults=0,
    ),
    _scene("an enumerator that dies anywhere", one_enumerates, buckets=unwritten, still=()),
    _scene(
        "two executions open one run at once", two_enumerate, buckets=unwritten, still=(), faults=0
    ),
    _scene("one upload starts two executions", upload_delivered_twice, buckets=unwritten, still=()),
    _scene(
        "two uploads ask for one run", two_uploads_of_a_run, buckets=unwritten, still=(), faults=0
    ),
    _scene(
        "a pilot is judged twice at once",
        pilot_judged_twice,
        buckets=functools.partial(enumerated, pilot=INPUTS),
        still=_STOPPED,
    ),
    *TAKEOVERS,
)
