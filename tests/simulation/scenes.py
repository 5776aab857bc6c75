"""Scenes to search through: who calls which handlers at the same time.

What an act starts runs at the same time; the next act begins where nothing is left to do.
Afterwards the world is brought to its end as AWS would (jobs end, tokens time out, the sweep
comes by), and :func:`tests.simulation.stage.check` asks whether all is well.
"""

from __future__ import annotations

import functools
import json
from typing import Any

from drydock.keys import RunKeys
from drydock.outcome import parse_outcome
from drydock.parts import OutputObject
from tests.simulation.account import CONTROL, DATA, INTAKE
from tests.simulation.s3 import Stored
from tests.simulation.small_world import FAILURE, INPUTS, ONE, TWO, Buckets, enumerated, request
from tests.simulation.stage import STILL, Act, Scene, SceneWorld
from tests.simulation.takeovers import TAKEOVERS

# What is still where a run's document changes.
_STOPPED = tuple(part for part in STILL if part != "/run.json")
# What is still while a shard is aggregated and workers come late.
_AGGREGATED = tuple(part for part in STILL if part != "/markers/")
_GONE = OutputObject("scores", "out/shards/000000/0/scores.0", 5, "0" * 32)


def submits(world: SceneWorld) -> None:
    world.submit()


def one_running(world: SceneWorld, children: int = 1) -> None:
    """So many of the recorded job's children run."""
    job = world.job()
    if job is not None:
        job.running = children


def all_end_once(world: SceneWorld, failed: int = 0) -> None:
    """All inputs are settled, the first few as failed, and the shard ends."""
    job = world.job()
    if job is not None:
        world.message(world.end_job(job, INPUTS, failed), "event")


def submits_beside_sweep(world: SceneWorld) -> None:
    world.submit()
    world.sweep()


def two_submissions(world: SceneWorld) -> None:
    world.submit()
    world.submit()


def sweep_beside_takeover(world: SceneWorld, *, submitted: bool) -> None:
    # The message that the claimant sent before its claim comes now.
    world.claimant_dies(submitted=submitted)
    world.sweep()


def timeout_beside_takeover(world: SceneWorld, *, submitted: bool) -> None:
    world.claimant_dies(submitted=submitted)
    world.submit()


def event_beside_timeout(world: SceneWorld, settled: int) -> None:
    world.end_once(settled, "event")
    world.submit()


def late_abort(world: SceneWorld) -> None:
    world.states.waiting.clear()
    job = world.job()
    if job is not None:
        world.end_job(job, 1)
    world.open_next_epoch(TWO)
    world.submit(TWO)
    world.abort(ONE)


def late_abort_of_a_job(world: SceneWorld) -> None:
    # The old epoch's job goes on, and so does the new epoch's submission.
    world.states.waiting.clear()
    world.open_next_epoch(TWO)
    world.submit(TWO)
    world.abort(ONE)
    world.sweep()


def stop_beside_submit(world: SceneWorld, *, now: bool) -> None:
    world.submit()
    world.stop(now=now)


def stop_beside_event(world: SceneWorld, *, now: bool) -> None:
    world.end_once(1, "event")
    world.stop(now=now)


def stop_beside_sweep(world: SceneWorld, *, now: bool) -> None:
    one_running(world)
    world.stop(now=now)
    world.sweep()


def two_stops(world: SceneWorld) -> None:
    one_running(world)
    world.stop(now=False)
    world.stop(now=True)


def first_tick(world: SceneWorld) -> float:
    one_running(world, INPUTS)
    world.tick()
    return 300.0


def two_ticks_beside_a_stop(world: SceneWorld) -> None:
    world.tick()
    world.tick()
    world.stop(now=False)


def aggregates(world: SceneWorld) -> None:
    world.aggregate()


def two_aggregate(world: SceneWorld) -> None:
    world.aggregate()
    world.aggregate()


def aggregation_beside_a_late_marker(world: SceneWorld) -> None:
    world.stale_worker(lambda: world.settle(0))
    two_aggregate(world)


def aggregates_two_ends(world: SceneWorld) -> None:
    world.settle(0)
    world.aggregate()


def is_done(world: SceneWorld) -> None:
    """An input that is done does not count as failed."""
    frozen = world.document.frozen
    if frozen is not None:
        outcome = parse_outcome(world.s3.buckets[CONTROL][frozen.key].body)
        assert outcome[0].summary is not None, "an input that is done counts as failed"


def all_end_but_one_is_gone(world: SceneWorld) -> None:
    world.settle(0, (_GONE,))
    world.end_once(INPUTS, "event")


def aggregation_beside_a_worker(world: SceneWorld) -> None:
    world.aggregate()
    # A worker that found no marker: its put finds the one that is to be voided, or none.
    world.stale_worker(lambda: world.settle(0))


def retry_beside_a_late_event(world: SceneWorld) -> None:
    world.open_next_epoch(TWO, (FAILURE,))
    world.submit(TWO)
    for job in world.batch.jobs.values():
        detail = {"jobId": job.job_id, "jobName": job.request.name, "status": "SUCCEEDED"}
        world.message({"detail-type": "Batch Job State Change", "detail": detail}, "late event")
    world.abort(ONE)


def two_enumerate(world: SceneWorld) -> None:
    world.enumerate(ONE, request())
    world.enumerate(TWO, request())


def upload_delivered_twice(world: SceneWorld) -> None:
    world.enumerate(ONE, upload("a.json"))
    world.enumerate(TWO, upload("a.json"))


def two_uploads_of_a_run(world: SceneWorld) -> None:
    world.enumerate(ONE, upload("a.json"))
    world.enumerate(TWO, upload("b.json"))


def one_of_two_submits(world: SceneWorld, other: str) -> None:
    """One of two executions opened the run, the other did not."""
    told = sorted(each.partition(" ")[2] for each in world.opened)
    assert told == sorted(("ready", other)), f"two executions: {world.opened}"
    assert world.run_document.epoch == 1, "a run that goes on was taken over"
    world.owner = world.run_document.owner
    assert f"{world.owner[-3:]} ready" in world.opened, "who owns the run does not know it"
    world.states.running = {world.owner}
    world.submit(world.owner)


def enumerates(world: SceneWorld) -> None:
    world.enumerate(ONE, request())


def two_judge(world: SceneWorld) -> None:
    payload = {"run_id": world.run_id, "owner": ONE}
    world.call("JudgePilot", payload, "one")
    world.call("JudgePilot", payload, "two")


def pilot_did_not_pass(world: SceneWorld) -> None:
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


# One input failed, the others are done, and the shard has ended.
_SETTLED = (submits, functools.partial(all_end_once, failed=1))
_GONE_ONE = (submits, all_end_but_one_is_gone)
_OTHER_REJECTED = functools.partial(one_of_two_submits, other="rejected")
_OTHER_DUPLICATE = functools.partial(one_of_two_submits, other="duplicate")


def _ends(settled: int) -> Act:
    """The job ends, and is told of twice at once."""
    return lambda world: world.end_twice(settled)


def _scene(name: str, says: str, *acts: Act, **more: Any) -> Scene:
    return Scene(name, says, acts, **more)


def _variants(name: str, says: str, word: str, *acts: Act, **more: Any) -> tuple[Scene, Scene]:
    """A scene whose last act is without something, and with it."""
    *first, last = acts

    def variant(name: str, *, given: bool) -> Scene:
        return Scene(name, says, (*first, functools.partial(last, **{word: given})), **more)

    return variant(name, given=False), variant(f"{name}, {word}", given=True)


SCENES = (
    _scene("one submission", "a claimant alone, and whoever comes after its death", submits),
    _scene("two rounds", "each end of a job is told twice at once", submits, _ends(1), _ends(2)),
    _scene("two submissions", "two tokens of one shard at once", two_submissions),
    _scene("sweep beside claim", "the sweep beside a live claim", submits_beside_sweep),
    *_variants(
        "expired claim",
        "the sweep beside who takes a claim over",
        "submitted",
        sweep_beside_takeover,
    ),
    *_variants(
        "expired claim and timeout", "a token beside who does", "submitted", timeout_beside_takeover
    ),
    _scene(
        "event beside timeout",
        "a job's end as its token times out",
        submits,
        functools.partial(event_beside_timeout, settled=1),
    ),
    _scene(
        "last event beside timeout",
        "a shard's end as its token times out",
        submits,
        functools.partial(event_beside_timeout, settled=INPUTS),
    ),
    _scene(
        "late abort",
        "the abort of an execution after another took over",
        submits,
        late_abort,
    ),
    _scene(
        "late abort of a job",
        "the same while a job of the old one goes on",
        submits,
        late_abort_of_a_job,
    ),
    *_variants(
        "stop beside submit", "a stop as a shard starts", "now", stop_beside_submit, still=_STOPPED
    ),
    *_variants(
        "stop beside event",
        "a stop as a job ends",
        "now",
        submits,
        stop_beside_event,
        still=_STOPPED,
    ),
    *_variants(
        "stop beside sweep",
        "a stop as the sweep comes by",
        "now",
        submits,
        stop_beside_sweep,
        still=_STOPPED,
    ),
    _scene("two stops", "two stops at once, one of them now", submits, two_stops, still=_STOPPED),
    _scene(
        "two ticks beside a stop",
        "the budget is looked at twice beside a stop",
        submits,
        first_tick,
        two_ticks_beside_a_stop,
        buckets=functools.partial(enumerated, stop_after_usd=0.0001),
        still=_STOPPED,
    ),
    _scene(
        "two aggregations",
        "two AggregateShard of a shard at once",
        *_SETTLED,
        two_aggregate,
        aggregates=True,
    ),
    _scene(
        "aggregation beside a late marker",
        "the same beside a marker that comes late",
        *_SETTLED,
        aggregation_beside_a_late_marker,
        still=_AGGREGATED,
        aggregates=True,
    ),
    _scene(
        "two ends of an input",
        "an input is done although it failed before",
        *_SETTLED,
        aggregates_two_ends,
        is_done,
        aggregates=True,
    ),
    _scene(
        "aggregation that voids",
        "a marker is voided as a worker puts it",
        *_GONE_ONE,
        aggregation_beside_a_worker,
        still=_AGGREGATED,
        aggregates=True,
    ),
    _scene(
        "two aggregations that void",
        "a marker is voided twice at once",
        *_GONE_ONE,
        two_aggregate,
        still=_AGGREGATED,
        aggregates=True,
    ),
    _scene(
        "retry beside a late event",
        "an event of an epoch before retry_failed's",
        *_SETTLED,
        aggregates,
        retry_beside_a_late_event,
        aggregates=True,
    ),
    _scene(
        "one enumerates",
        "an enumerator that dies anywhere",
        enumerates,
        submits,
        buckets=unwritten,
        still=(),
    ),
    _scene(
        "two enumerate",
        "two executions open one run at once",
        two_enumerate,
        _OTHER_REJECTED,
        buckets=unwritten,
        still=(),
    ),
    _scene(
        "upload delivered twice",
        "one upload starts two executions",
        upload_delivered_twice,
        _OTHER_DUPLICATE,
        buckets=unwritten,
        still=(),
    ),
    _scene(
        "two uploads of a run",
        "two uploads ask for one run",
        two_uploads_of_a_run,
        _OTHER_REJECTED,
        buckets=unwritten,
        still=(),
    ),
    _scene(
        "pilot judged twice",
        "a pilot is judged twice at once",
        submits,
        functools.partial(all_end_once, failed=INPUTS),
        two_judge,
        pilot_did_not_pass,
        buckets=functools.partial(enumerated, pilot=INPUTS),
        still=_STOPPED,
    ),
    *TAKEOVERS,
)
