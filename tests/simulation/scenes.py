"""Scenes to search through: who calls which handlers at the same time, and what must hold then.

A scene is a generator: what it starts before each ``yield`` runs at the same time, until nobody has
anything to do any more. Afterwards the world is brought to its end as AWS would (jobs end, tokens
time out, the sweep comes by), and :func:`check` asks whether all is well.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from drydock.decision import SUPERSEDED
from drydock.run_document import Epoch, RunDocument, open_epoch, parse_run_document
from tests.simulation.account import CONTROL, DATA
from tests.simulation.kernel import Effect, Fault
from tests.simulation.s3 import Stored
from tests.simulation.small_world import INPUTS, ONE, TWO, Buckets, SmallWorld, enumerated, request

Play = Callable[["SceneWorld"], Iterator[None]]
_SWEEP = {"detail-type": "Scheduled Event", "source": "aws.events"}
# Turns that a world gets to come to its end: each round takes one, each leftover two.
_TURNS = 12
_STOPPED = ("/markers/", "/parts/", "DescribeExecution")


@dataclass(frozen=True)
class Scene:
    """What is played, in which world.

    ``still`` is what nobody changes while handlers run: to read it sooner or later is the same.
    That nobody does is held to.
    """

    name: str
    says: str
    play: Play
    buckets: Callable[[], Buckets] = enumerated
    still: tuple[str, ...] = ("/run.json", "/markers/", "/parts/", "DescribeExecution")


class SceneWorld(SmallWorld):
    """A small world in which a scene is played."""

    def __init__(self, chooser: Any, scene: Scene, buckets: Buckets) -> None:
        super().__init__(chooser, buckets)
        self.kernel.commutes = self._commutes
        self.scene = scene
        self.unconditional: list[str] = []
        self.owner = ONE
        self.s3.watchers.append(self._watch)

    def run(self) -> None:
        for _ in self.scene.play(self):
            self.kernel.run()
        self.kernel.run()
        self._finish()

    def sweep(self) -> None:
        """The schedule's call."""
        self.call("StopRun", _SWEEP, "sweep")

    def end_twice(self, settled: int) -> None:
        """The recorded job ends; its event comes twice at once."""
        job = self.job()
        if job is not None:
            event = self.end_job(job, settled)
            self.message(event, "event")
            self.message(event, "event again")

    @property
    def run_document(self) -> RunDocument:
        return parse_run_document(self.s3.buckets[CONTROL][f"runs/{self.run_id}/run.json"].body)

    def open_next_epoch(self, owner: str) -> None:
        """What EnumerateInputs does for an execution that takes over."""
        run = self.run_document
        epoch = replace(run.current, epoch=run.epoch + 1, owner=owner)
        assert isinstance(epoch, Epoch)
        body = open_epoch(run, epoch, []).to_json()
        self.s3.change(CONTROL, f"runs/{self.run_id}/run.json", Stored(body, "e" * 32))
        self.owner = owner
        self.states.running = {owner}

    def check(self) -> None:
        check(self)

    def _finish(self) -> None:
        for _ in range(_TURNS):
            if self.document.ended is not None and not self.states.waiting:
                break
            job = self.job()
            if job is not None:
                self.message(self.end_job(job, INPUTS), "last event")
            else:
                # The token ran into its timeout: a new one waits from now on.
                self.states.waiting.clear()
                self.submit(self.owner)
            self.kernel.run()
        self.sweep()
        self.kernel.run()

    def _commutes(self, name: str) -> bool:
        return commutes(name) or any(part in name for part in self.scene.still)

    def _watch(self, bucket: str, key: str, before: Stored | None, after: Stored | None) -> None:
        is_once = "/markers/" in key or "/manifest/" in key or key.startswith("out/run.json")
        if before is not None and after is not None and after != before and is_once:
            self.unconditional.append(key)
        if self.kernel.current is not None:
            moved = [part for part in self.scene.still if part in key]
            assert not moved, f"the scene says that nobody writes {moved}: {key}"


def check(world: SceneWorld) -> None:
    """Whatever happened: one end, everything settled or stopped, one job a round, nobody waits."""
    document, run = world.document, world.run_document
    assert document.ended is not None, "the shard never ended"
    stopped = run.active_stop is not None
    settled = {key for key in world.s3.buckets[DATA] if key.endswith(".done")}
    if document.ended.ending == "complete":
        assert len(settled) == INPUTS, f"complete, but {len(settled)} of {INPUTS} are settled"
    else:
        assert stopped, f"it ended {document.ended.ending} although nobody stopped it"
    assert not world.states.waiting, "a token waits for ever"
    assert not world.batch.live(), f"jobs are left: {[job.job_id for job in world.batch.live()]}"
    assert not world.unconditional, f"written twice: {world.unconditional}"
    assert not world.lambdas.broken, f"{world.lambdas.broken}"
    numbers = [each.number for each in document.rounds]
    assert numbers == sorted(set(numbers)), f"rounds {numbers}"
    recorded = {each.job_id for each in document.rounds}
    for job in world.batch.jobs.values():
        ours = job.job_id in recorded
        assert ours or SUPERSEDED in job.terminated, f"{job.job_id} is nobody's and went on"
        assert not ours or SUPERSEDED not in job.terminated, f"{job.job_id} was taken away"
    names = Counter(job.request.name for job in world.batch.jobs.values() if not job.terminated)
    assert all(count == 1 for count in names.values()), f"two jobs of a round: {names}"


def commutes(name: str) -> bool:
    """Effects that nobody else's can tell from having come sooner or later.

    The manifest and the assets are never written again; a round's objects have names of their own
    and are read by who learns the name later; a message comes later anyhow.
    """
    return (
        "/manifest/" in name
        or name.endswith("/assets.json")
        or "/rounds/" in name
        or name.startswith(("sqs ", "sns "))
    )


def crashes_and_lost_answers(effect: Effect) -> list[Fault]:
    """What may go wrong with an effect.

    To die before a write leaves what dying after the write before it leaves: reads change nothing.
    """
    if effect.process.kind != "lambda" or not effect.writes:
        return []
    return [Fault("dies after"), Fault("lost answer"), Fault("doubled")]


def two_rounds(world: SceneWorld) -> Iterator[None]:
    world.submit()
    yield
    world.end_twice(1)
    yield
    world.end_twice(2)
    yield


def two_submit(world: SceneWorld) -> Iterator[None]:
    world.submit()
    world.submit()
    yield


def sweep_beside_claim(world: SceneWorld) -> Iterator[None]:
    world.submit()
    world.sweep()
    yield


def event_beside_timeout(world: SceneWorld) -> Iterator[None]:
    world.submit()
    yield
    job = world.job()
    if job is not None:
        world.message(world.end_job(job, 1), "event")
    world.submit()
    yield


def late_abort(world: SceneWorld) -> Iterator[None]:
    world.submit()
    yield
    world.states.waiting.clear()
    job = world.job()
    if job is not None:
        world.end_job(job, 1)
    world.open_next_epoch(TWO)
    world.submit(TWO)
    detail = {"executionArn": ONE, "status": "ABORTED"}
    event = {"detail-type": "Step Functions Execution Status Change", "detail": detail}
    world.call("StopRun", event, "abort")
    yield


def stop_beside_submit(world: SceneWorld) -> Iterator[None]:
    world.submit()
    world.call("StopRun", {"run_id": world.run_id, "now": True, "reason": "user"}, "stop")
    yield


def stop_beside_event(world: SceneWorld) -> Iterator[None]:
    world.submit()
    yield
    job = world.job()
    if job is not None:
        world.message(world.end_job(job, 1), "event")
    world.call("StopRun", {"run_id": world.run_id, "now": True, "reason": "user"}, "stop")
    yield


def two_enumerate(world: SceneWorld) -> Iterator[None]:
    for execution in (ONE, TWO):
        payload = {"event": request(), "execution": execution, "cursor": None}
        world.lambdas.invoke("EnumerateInputsFunction", payload, execution[-3:])
    world.states.running = {ONE, TWO}
    yield
    world.owner = world.run_document.owner
    assert world.run_document.epoch == 1, "a run that goes on was taken over"
    world.submit(world.owner)
    yield


def unwritten() -> Buckets:
    """The inputs alone: nobody has enumerated them yet."""
    buckets = enumerated()
    kept = {key: body for key, body in buckets[DATA].items() if not key.startswith("out/")}
    return buckets | {CONTROL: {}, DATA: kept}


SCENES = (
    Scene("two rounds", "each end of a job is told twice at once", two_rounds),
    Scene("two submissions", "two tokens of one shard at once", two_submit),
    Scene("the sweep beside a claim", "the sweep beside a live claim", sweep_beside_claim),
    Scene("an end beside a timeout", "a job's end as its token times out", event_beside_timeout),
    Scene("a late abort", "the abort of an execution after another took over", late_abort),
    Scene(
        "a stop beside a submission",
        "a stop with now as a shard starts",
        stop_beside_submit,
        still=_STOPPED,
    ),
    Scene(
        "a stop beside an end", "a stop with now as a job ends", stop_beside_event, still=_STOPPED
    ),
    Scene(
        "two enumerators", "two executions open one run at once", two_enumerate, unwritten, still=()
    ),
)
