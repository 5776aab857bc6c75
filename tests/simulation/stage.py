"""A small world in which a scene is played, brought to its end, and asked whether all is well."""

from __future__ import annotations

import contextlib
import functools
import json
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from drydock.advancing import submit_shard
from drydock.decision import ABORTED, STOPPED, SUPERSEDED
from drydock.keys import RunKeys
from drydock.markers import ListedMarker, Settlement, settle
from drydock.outcome import parse_outcome
from drydock.run_document import Epoch, RunDocument, open_epoch, parse_run_document
from tests.simulation.account import CONTROL, DATA
from tests.simulation.keeping import keep
from tests.simulation.kernel import Effect, Fault, Kernel, Process
from tests.simulation.s3 import Stored
from tests.simulation.small_world import INPUTS, ONE, Buckets, SmallWorld, enumerated

# What is started at once; for how many seconds that goes on, or None: until nothing is left to do.
Act = Callable[["SceneWorld"], float | None]
SWEEP = {"detail-type": "Scheduled Event", "source": "aws.events"}
# Turns that a world gets to come to its end: each round takes one, each leftover two.
_TURNS = 12
_TAKEN_AWAY = (ABORTED, STOPPED, SUPERSEDED)
# To do these twice is to do them once: they have no condition, and make nothing that lasts twice.
_SAME_TWICE = (
    *("/rounds/", "/tokens/", "/frozen/", "/owners/", "/results/"),
    *("small terminate", "small cancel", "small register", "sns ", ".rejected.json"),
)
STILL = (
    *("/manifest/", "/assets.json", "/run.json", "/markers/", "/parts/", "/out/shards/"),
    "DescribeExecution",
)


@dataclass(frozen=True)
class Scene:
    """What is played, in which world.

    An act must not rest on what an earlier one looked at. ``still`` is what nobody changes while
    handlers run: to read it sooner or later is the same. That nobody does is held to.
    ``aggregates`` when the shard's accounts belong to its end. ``faults`` is how many things go
    wrong in a history unless it is said otherwise.
    """

    name: str
    says: str
    acts: tuple[Act, ...]
    buckets: Callable[[], Buckets] = enumerated
    still: tuple[str, ...] = STILL
    aggregates: bool = False
    faults: int = 1


class _Dies(BaseException):
    """A claimant is no more."""


class SceneWorld(SmallWorld):
    """A small world in which a scene is played."""

    def __init__(self, kernel: Kernel, scene: Scene, buckets: Buckets) -> None:
        super().__init__(kernel, buckets)
        self.kernel.commutes = functools.cache(self._commutes)
        self.scene = scene
        self.owner = ONE
        self.opened: list[str] = []
        # How many acts have begun; the turns that the world takes afterwards; whether it is over.
        self._act = self._turns = 0
        self._is_over = False
        self._until = math.inf
        self._wrong: list[str] = []
        self._written_in: dict[str, str] = {}
        self.s3.watchers.append(self._watch)

    def begin(self) -> float | None:
        """Start what comes next, where nothing is left to do; until when it goes on, or None."""
        if self._until < math.inf:
            self.kernel.now = max(self.kernel.now, self._until)
        self._until = math.inf
        if self._act < len(self.scene.acts):
            self._act += 1
            seconds = self.scene.acts[self._act - 1](self)
            self._until = math.inf if seconds is None else self.kernel.now + seconds
        elif self._is_over:
            return None
        elif self._turns == _TURNS or not self._goes_on():
            self._is_over = True
            self._end()
        return self._until

    def keep(self) -> Callable[[], None]:
        bring_back = super().keep()
        mine = keep((), (self.opened, self._wrong, self._written_in))

        def bring_all_back() -> None:
            bring_back()
            mine()

        return bring_all_back

    def digest(self, rest: str) -> str:
        # What has gone wrong lasts: it is told at the end.
        wrong = f"{len(self.lambdas.broken)} {self._wrong}"
        at = f"{self._act} {self._is_over} {self._until}"
        return super().digest(f"{at} {wrong} {sorted(self.opened)} {rest}")

    # -- what a scene can start

    def sweep(self) -> None:
        """The schedule's call."""
        self.call("StopRun", SWEEP, "sweep")

    def tick(self) -> None:
        """The budgets' schedule's call."""
        self.call("StopRun", {"check": "budgets"}, "tick")

    def stop(self, *, now: bool) -> None:
        """A user's stop."""
        self.call("StopRun", {"run_id": self.run_id, "now": now, "reason": "user"}, "stop")

    def abort(self, execution: str) -> None:
        """The event that an execution was aborted."""
        detail = {"executionArn": execution, "status": "ABORTED"}
        event = {"detail-type": "Step Functions Execution Status Change", "detail": detail}
        self.call("StopRun", event, "abort")

    def end_once(self, settled: int, what: str) -> None:
        """The recorded job ends; its event comes."""
        job = self.job()
        if job is not None:
            self.message(self.end_job(job, settled), what)

    def end_twice(self, settled: int, failed: int = 0) -> None:
        """The recorded job ends; its event comes twice at once."""
        job = self.job()
        if job is not None:
            event = self.end_job(job, settled, failed)
            self.message(event, "event")
            self.message(event, "event again")

    def aggregate(self, cursor: dict[str, Any] | None = None) -> None:
        """AggregateShard, and what the state machine does with its answer."""
        payload = {"run_id": self.run_id, "shard": 0, "owner": self.owner, "cursor": cursor}
        process = self.call("AggregateShard", payload, again=lambda: self.aggregate(cursor))

        def after_aggregation() -> None:
            answer = process.result if process.error is None else {}
            if answer.get("status") == "more":
                self.aggregate(answer["cursor"])
            elif answer.get("status") == "remains":
                self.submit(self.owner)

        process.ended.then(after_aggregation)

    def enumerate(self, execution: str, event: dict[str, Any]) -> None:
        """EnumerateInputs; how it ended for the execution is kept."""
        self.states.running.add(execution)
        payload = {"event": event, "execution": execution, "cursor": None}
        self._enumerate(payload, execution[-3:])

    def _enumerate(self, payload: dict[str, Any], what: str) -> None:
        again = functools.partial(self._enumerate, payload, what)
        process = self.call("EnumerateInputs", payload, what, again)

        def after_enumeration() -> None:
            if process.error is None:
                self.opened.append(f"{what} {process.result['status']}")
            elif process.error_name == "RequestRejected":
                self.opened.append(f"{what} rejected")

        process.ended.then(after_enumeration)

    def claimant_dies(self, *, submitted: bool) -> None:
        """A claimant dies before SubmitJob or just after it, and its lease runs out."""
        jobs = self.batch

        class Dying(type(jobs)):
            def submit(self, request):
                if submitted:
                    type(jobs).submit(jobs, request)
                raise _Dies

        dying = Dying.__new__(Dying)
        dying.__dict__ = jobs.__dict__
        token = "token-dead"
        self.states.waiting.add(token)
        with contextlib.suppress(_Dies):
            submit_shard(replace(self.services(), jobs=dying), self.run_id, 0, ONE, token)
        self.kernel.now += 180.0

    def open_next_epoch(self, owner: str, retry_failed: tuple[str, ...] = ()) -> None:
        """What EnumerateInputs does for an execution that takes over."""
        run = self.run_document
        epoch = replace(run.current, epoch=run.epoch + 1, owner=owner)
        assert isinstance(epoch, Epoch)
        body = open_epoch(run, epoch, list(retry_failed)).to_json()
        etag = f"{run.epoch:032x}"
        self.s3.change(CONTROL, f"runs/{self.run_id}/run.json", Stored(body, etag))
        self.owner = owner
        self.states.running = {owner}

    def stale_worker(self, do: Callable[[], None]) -> Process:
        """A container that Batch has lost, which does one thing at some moment."""
        return self.kernel.spawn(
            "a stale worker",
            "container",
            lambda: self.kernel.effect("s3 PutObject /markers/ late", do, writes=True),
        )

    # -- what is there

    @property
    def run_document(self) -> RunDocument:
        return parse_run_document(self.s3.buckets[CONTROL][f"runs/{self.run_id}/run.json"].body)

    def settlement(self) -> Settlement:
        """Which marker speaks for which input."""
        folder = RunKeys(self.run_id, "out/").markers_folder(0)
        listed = [
            ListedMarker(key.removeprefix(folder), len(found.body), found.etag)
            for key, found in self.s3.buckets[DATA].items()
            if key.startswith(folder)
        ]
        return settle(listed, INPUTS, self.run_document.reopened)

    def accounts(self) -> dict[str, Any] | None:
        """What AggregateShard wrote last."""
        key = RunKeys(self.run_id, "out/").shard_results_folder(0) + "accounts.json"
        found = self.s3.buckets[DATA].get(key)
        return None if found is None else json.loads(found.body)

    def has_ended(self) -> bool:
        """Whether the shard has ended in the run's epoch."""
        document, run = self.document, self.run_document
        frozen = document.frozen
        is_frozen = frozen is not None and frozen.reopened == run.reopened
        is_ended = document.ended is not None and document.ended.epoch == run.epoch
        return is_ended or is_frozen

    def check(self) -> None:
        check(self)

    # -- what a world does by itself

    def _goes_on(self) -> bool:
        """Take a turn towards the end; whether there was one to take."""
        self._turns += 1
        # Batch tells of whatever it was asked to terminate.
        untold = self.untold()
        for job in untold:
            self.message(self.event_of(job), f"end of {job.job_id}")
        if untold:
            return True
        # Whoever comes second sees the end: nobody but the living waits once all is quiet.
        waits = self.has_ended() and self.states.waiting
        assert not waits, f"{self.states.waiting} wait for a shard that has ended"
        if self.has_ended():
            if not self.scene.aggregates or self.document.frozen is not None:
                return False
            self.aggregate()
        elif (job := self.job()) is not None:
            self.message(self.end_job(job, INPUTS), "last event")
        else:
            # The token ran into its timeout: a new one waits from now on.
            self.states.waiting.clear()
            self.submit(self.owner)
        return True

    def _end(self) -> None:
        self.sweep()
        if self.scene.aggregates:
            self.aggregate()

    def _commutes(self, name: str) -> bool:
        return commutes(name) or any(part in name for part in self.scene.still)

    def _watch(self, bucket: str, key: str, before: Stored | None, after: Stored | None) -> None:
        is_other = before is not None and after is not None and after != before
        # Each epoch writes its results anew.
        is_known = "/results/" not in key or self._written_in.get(key) == self.owner
        if is_other and is_known and _is_once(key):
            self._wrong.append(f"{key} was written twice")
        self._written_in[key] = self.owner
        if self.kernel.current is not None:
            moved = [part for part in self.scene.still if part in f"{bucket}/{key}"]
            assert not moved, f"the scene says that nobody writes {moved}: {key}"


def _is_once(key: str) -> bool:
    """Whether an object must not become another: the results of one outcome are always alike."""
    is_result = "/results/" in key and not key.endswith(("accounts.json", "pilot.json"))
    return is_result or "/markers/" in key or "/manifest/" in key or key == "out/run.json"


def check(world: SceneWorld) -> None:
    """Whatever happened: one end, everything settled or stopped, one job a round, nobody waits."""
    document, run = world.document, world.run_document
    assert world.has_ended(), "the shard never ended"
    remaining = world.settlement().remaining()
    if document.ended is None or document.ended.ending == "complete":
        assert not remaining, f"complete, but {remaining} remain"
    else:
        ending = document.ended.ending
        assert run.active_stop is not None, f"it ended {ending} although nobody stopped it"
    assert not world.states.waiting, "a token waits for ever"
    assert not world.batch.live(), f"jobs are left: {[job.job_id for job in world.batch.live()]}"
    assert not world._wrong, f"{world._wrong}"
    assert not world.lambdas.broken, f"{world.lambdas.broken}"
    stops = [subject for subject in world.messages.told if "stopped" in subject]
    assert len(stops) <= 1, f"people were told {stops}"
    _check_jobs(world)
    if world.scene.aggregates and document.frozen is not None:
        _check_accounts(world)


def _check_jobs(world: SceneWorld) -> None:
    """Every job is some round's, the one of its name, or was ended as superseded."""
    rounds = world.document.rounds
    numbers = [each.number for each in rounds]
    assert numbers == sorted(set(numbers)), f"rounds {numbers}"
    assert all(each.state == "ended" for each in rounds), "a round is left open"
    recorded = {each.job_id for each in rounds}
    jobs = world.batch.jobs.values()
    for job in jobs:
        # What has ended may be terminated by whoever listed it before that: it changes nothing.
        ours = job.job_id in recorded
        assert ours or job.reason in _TAKEN_AWAY, f"{job.job_id} is nobody's and went on"
        assert not ours or job.reason != SUPERSEDED, f"{job.job_id} was taken away"
    # Whoever takes a claim over looks for its job first; nobody here is so slow as to ask later.
    often = [name for name, asked in world.batch.asked.items() if asked > 1]
    assert not often, f"more than one asked for a job of {often}"
    kept = [job for job in jobs if job.job_id in recorded or job.reason not in _TAKEN_AWAY]
    names = Counter(job.request.name for job in kept)
    assert all(count == 1 for count in names.values()), f"two jobs of a round: {names}"


def _check_accounts(world: SceneWorld) -> None:
    """The accounts are those of the frozen outcome, whoever wrote them; what came later is late."""
    accounts, frozen = world.accounts(), world.document.frozen
    assert frozen is not None
    assert accounts is not None, "frozen, but without accounts"
    assert accounts["outcome"] == frozen.key, "the accounts are of another outcome"
    settled = parse_outcome(world.s3.buckets[CONTROL][frozen.key].body)
    told = accounts["accounts"]
    assert len({each.place for each in settled}) == len(settled) == INPUTS
    assert told["done"] == sum(each.summary is not None for each in settled)
    assert told["failed"] == sum(each.failure is not None for each in settled)
    assert told["remaining"] == 0
    speakers = world.settlement().speakers
    late = sum(speakers[each.place].name != each.marker for each in settled)
    assert told["late_markers"] == late, f"{late} markers are late, told {told['late_markers']}"


def commutes(name: str) -> bool:
    """Effects that nobody else's can tell from having come sooner or later.

    A round's objects and an outcome have names of their own and are read by who learns the name
    later; a message comes later anyhow; the registry of images stays as it is. Nobody but who wrote
    them reads the results but for the accounts, and all that write them write the same: that is
    held to.
    """
    return (
        name.startswith(("sqs ", "sns ", "ecr "))
        or any(part in name for part in ("/rounds/", "/frozen/"))
        or ("/results/" in name and not name.endswith("accounts.json"))
    )


def crashes_and_lost_answers(effect: Effect, written: int) -> list[Fault]:
    """What may go wrong with an effect, given how many writes came before it.

    To die before a write leaves what dying after the write before it leaves: reads change nothing.
    To die after a round's object or an outcome was written does too, for nobody knows its name.
    """
    if effect.process.kind != "lambda" or not effect.writes:
        return []
    faults = [Fault("lost answer")]
    if not written:
        faults.append(Fault("dies before"))
    if not any(part in effect.name for part in ("/rounds/", "/frozen/")):
        faults.append(Fault("dies after"))
    if not any(part in effect.name for part in _SAME_TWICE):
        faults.append(Fault("doubled"))
    return faults
