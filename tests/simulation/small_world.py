"""A stack small enough to be searched through: one shard, and jobs that end when a scene says so.

The handlers, the core, S3, and the retries of whoever calls handlers are those of the simulation;
jobs, tokens and messages have the effects of the real ones and nothing more, so that two worlds in
which the same happened are equal.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from drydock.keys import RunKeys
from drydock.markers import Failure, InputSummary, encode_done, encode_failed
from drydock.parts import OutputObject, PartOutputs
from drydock.registry import Registry
from drydock.services import Services
from drydock.shard_document import ShardDocument, parse_shard_document
from drydock.store import Store
from drydock.task_document import parse_task_document
from drydock.tasks import parse_tasks
from drydock.uris import parse_s3_uri
from tests.simulation import registry
from tests.simulation.account import CONTROL, DATA, settings_of
from tests.simulation.keeping import keep
from tests.simulation.kernel import Kernel, Process, Quiet
from tests.simulation.lambdas import Lambdas
from tests.simulation.s3 import S3, Stored
from tests.simulation.sameness import Contents, learned
from tests.simulation.small_doors import NobodyListens, SmallBatch, SmallMessages, SmallStates
from tests.steps.stand_ins import Job

ONE, TWO = (f"arn:aws:states:us-west-2:123456789012:execution:drydock:{n}" for n in ("one", "two"))
INPUTS = 3
FAILURE = "tool_failed"
# When whoever called a handler that failed calls it again.
_RETRY_S = 30.0
# What the state machine fails by at once.
_FINAL = ("RequestRejected", "RunSuperseded")
_ARRAY_FAILED = "Array Child Job failed"

Buckets = dict[str, dict[str, Stored]]


class SmallWorld:
    """One world; ``buckets`` are what its S3 holds at first."""

    def __init__(self, kernel: Kernel | None = None, buckets: Buckets | None = None) -> None:
        self.kernel = kernel or Kernel(Quiet(), latency_s=0)
        self.settings = settings_of({"SHARD_SIZE": str(INPUTS)})
        self.bus = NobodyListens()
        self.s3 = S3(self)
        self.batch = SmallBatch(self.kernel)
        self.states = SmallStates(self.kernel)
        self.messages = SmallMessages(self.kernel, self.message)
        self.lambdas = Lambdas(self)
        self.states.running = {ONE}
        self._names: list[str] = []
        # What was made up before this world began is taken.
        self._begun = "then" if buckets else "first"
        self._made: WeakKeyDictionary[Process, int] = WeakKeyDictionary()
        self._tokens = 0
        self._given: WeakKeyDictionary[Process, str] = WeakKeyDictionary()
        # Jobs of whose end an event told, or which were ended without one.
        self.told_of: set[str] = set()
        for bucket, objects in (buckets or {}).items():
            self.s3.buckets[bucket].update(objects)
        self._contents = Contents(self.s3, self._names)

    def services(self) -> Services:
        """The doors of one invocation."""
        return Services(
            settings=self.settings,
            store=Store(self.s3.client(), None),
            jobs=self.batch,
            executions=self.states,
            messages=self.messages,
            registry=Registry(registry.Client(self.kernel)),
            now=lambda: self.kernel.now,
            unique=self._unique,
        )

    def _unique(self) -> str:
        """A name of the process's own: the same one in whatever order others make up theirs."""
        process = self.kernel.current
        if process is None:
            maker, number = "nobody", len(self._names)
        else:
            maker, number = process.name, self._made.get(process, 0)
            self._made[process] = number + 1
        made = hashlib.sha256(f"{self._begun} {maker} {number}".encode())
        name = made.hexdigest()[:16]
        self.kernel.aside(lambda: self._names.append(name))
        if process is not None and self.kernel.observe is not None:
            self.kernel.observe(process, "unique", name)
        return name

    def keep(self) -> Callable[[], None]:
        """Take note of everything that can change; what is returned brings it back."""
        batch, states, lambdas, jobs = self.batch, self.states, self.lambdas, self.batch.jobs
        lists = (each for job in jobs.values() for each in (job.terminated, job.cancelled))
        return keep(
            (self, states, self._contents, *jobs.values()),
            (
                *self.s3.buckets.values(),
                *self._contents.containers,
                *(self._names, self.messages.told, lambdas.numbers, lambdas.broken, self.told_of),
                *(states.running, states.waiting, states.answers, jobs, batch.asked, *lists),
                batch.registered,
            ),
        )

    # -- what calls handlers, and calls them again where they failed

    def call(
        self,
        function: str,
        payload: dict[str, Any],
        what: str = "",
        again: Callable[[], Any] | None = None,
    ) -> Process:
        """Invoke a handler; once more whenever it dies or raises, as Step Functions does.

        An error that the state machine does not try again after ends its execution. ``again`` is
        how to do that where it is not the same call.
        """
        process = self.lambdas.invoke(f"{function}Function", payload, what)
        self._given[process] = f"{function} {what} {payload}"

        def retry_call() -> None:
            if again is None:
                self.call(function, payload, what)
            else:
                again()

        def after_its_end() -> None:
            if process.error is not None and process.error_name not in _FINAL:
                self.kernel.after(_RETRY_S, retry_call)

        process.ended.then(after_its_end)
        return process

    def submit(self, owner: str = ONE) -> str:
        """SubmitShard, for an execution that waits on a new token; another one for each try."""
        token = f"token-{self._tokens}"
        self._tokens += 1
        self.states.waiting.add(token)
        payload = {"run_id": self.run_id, "shard": 0, "owner": owner, "token": token}

        def submit_again() -> None:
            self.states.waiting.discard(token)
            self.submit(owner)

        self.call("SubmitShard", payload, token, submit_again)
        return token

    def message(self, body: dict[str, Any], what: str = "") -> None:
        """A message of the queue."""
        record = {
            "messageId": "m",
            "receiptHandle": "m",
            "body": json.dumps(body),
            "attributes": {},
            "messageAttributes": {},
            "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:us-west-2:123456789012:resubmit",
            "awsRegion": "us-west-2",
        }
        process = self.lambdas.invoke("ResubmitInterruptedFunction", {"Records": [record]}, what)
        self._given[process] = f"message {what} {body}"

        def again() -> None:
            self.message(body, what)

        def after_its_end() -> None:
            if process.error is not None or (process.result or {}).get("batchItemFailures"):
                self.kernel.after(_RETRY_S, again)

        process.ended.then(after_its_end)

    # -- what jobs do

    def job(self) -> Job | None:
        """The job that the shard's document names, while it goes on."""
        current = self.document.current
        found = None if current is None else self.batch.jobs.get(current.job_id or "")
        return found if found in self.batch.live() else None

    def end_job(self, job: Job, settled: int, failed: int = 0) -> dict[str, Any]:
        """Let a job settle so many of its inputs, the first few as failed, and end.

        Returns the event that tells of it.
        """
        where = parse_s3_uri(job.request.environment["S3_TASK_LOCATION"])
        document = parse_task_document(self.s3.buckets[where.bucket][where.key].body)
        records = parse_tasks(self.s3.buckets[document.tasks_bucket][document.tasks_key].body)
        for number, record in enumerate(records[:settled]):
            if number < failed:
                self.fail(record.place)
            else:
                self.settle(record.place)
        is_done = settled >= len(records)
        status = "SUCCEEDED" if is_done else "FAILED"
        self.batch.end(job.job_id, status, None if is_done else _ARRAY_FAILED)
        return self.event_of(job)

    def event_of(self, job: Job) -> dict[str, Any]:
        """The event that tells of a job's end."""
        self.told_of.add(job.job_id)
        detail: dict[str, Any] = {
            "jobId": job.job_id,
            "jobName": job.request.name,
            "status": job.status,
            "attempts": [],
            "container": {},
            "statusReason": job.reason or _ARRAY_FAILED,
        }
        if job.request.jobs > 1:
            detail["arrayProperties"] = {"size": job.request.jobs}
        return {"detail-type": "Batch Job State Change", "source": "aws.batch", "detail": detail}

    def untold(self) -> list[Job]:
        """The jobs that were terminated and of which no event has told yet."""
        jobs = self.batch.jobs.values()
        return [job for job in jobs if job.is_terminated and job.job_id not in self.told_of]

    def settle(self, place: int, outputs: tuple[OutputObject, ...] = ()) -> None:
        """Put an input's done marker, as a worker would."""
        chain = (PartOutputs(0, outputs),) if outputs else ()
        summary = InputSummary(place, place, "etag", chain, 0, 0, 1.0)
        self.put_once(RunKeys(self.run_id, "out/").done_marker(0, place, place), [summary])

    def fail(self, place: int) -> None:
        """Put an input's failed marker, as a worker would."""
        epoch = self.document.epoch
        failure = Failure(place, place, epoch, FAILURE, "it failed", 1, (), None)
        self.put_once(RunKeys(self.run_id, "out/").failed_marker(0, place, epoch, FAILURE), failure)

    def put_once(self, key: str, content: list[InputSummary] | Failure) -> None:
        """Put a marker unless one is there."""
        body = encode_failed(content) if isinstance(content, Failure) else encode_done(content)
        if key not in self.s3.buckets[DATA]:
            etag = hashlib.md5(body, usedforsecurity=False).hexdigest()
            self.s3.change(DATA, key, Stored(body, etag))

    # -- what is there

    @property
    def run_id(self) -> str:
        """The run that lives in the output prefix."""
        return str(json.loads(self.s3.buckets[DATA]["out/run.json"].body)["run_id"])

    @property
    def document(self) -> ShardDocument:
        """The shard's document."""
        found = self.s3.buckets[CONTROL].get(f"runs/{self.run_id}/shards/000000.json")
        if found is None:
            return ShardDocument(shard=0, inputs=INPUTS, epoch=1)
        return parse_shard_document(found.body)

    def digest(self, rest: str) -> str:
        """Everything that lasts, and the rest."""
        lasting = [
            self.batch.digest(),
            sorted(self.states.running),
            sorted(self.states.waiting),
            sorted((token, len(each)) for token, each in self.states.answers.items()),
            sorted(self.messages.told),
            sorted(job.job_id for job in self.untold()),
            sorted(self.batch.registered),
        ]
        return self._contents.text(f"{lasting}\0{rest}")

    def about(self, process: Process) -> str:
        """The function that a process runs, and its payload."""
        return self._given.get(process, process.name)

    def told(self, effect: str, answer: Any) -> str:
        """What a process learns from an answer."""
        return learned(effect, answer, self._contents)


def enumerated(**changes: Any) -> Buckets:
    """The buckets of a world whose run is open and whose manifest is written."""
    world = SmallWorld()
    for number in range(INPUTS):
        world.s3.change(DATA, f"input/{number}.pdbqt", Stored(b"%d" % number, f"{number:032x}"))
    world.s3.change(DATA, "receptor.pdbqt", Stored(b"ATOM\n", "f" * 32))
    event = request(**changes)
    world.call("EnumerateInputs", {"event": event, "execution": ONE, "cursor": None})
    world.kernel.run()
    return {bucket: dict(objects) for bucket, objects in world.s3.buckets.items()}


def request(**changes: Any) -> dict[str, Any]:
    """The request of the run."""
    return {
        "name": "small",
        "input": f"s3://{DATA}/input/",
        "output": f"s3://{DATA}/out/",
        "tool": "vina",
        "options": {"center": [0, 0, 0], "size": [10, 10, 10]},
        "assets": {"receptor": f"s3://{DATA}/receptor.pdbqt"},
        "max_rounds": 3,
        **changes,
    }
