"""Stand-ins for AWS Batch and Step Functions, an S3 that breaks, and the faults they share.

They have exactly the methods that the doors of the core have. Every effect goes through
:meth:`Faults.effect`, which can end the caller before or after it, or lose its answer.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from drydock.definitions import Container
from drydock.errors import Conflict
from drydock.job_views import ActiveJob, AttemptView, FailedChild, JobView
from drydock.jobs import JobRequest
from drydock.store import Store

Fault = Literal["dies before", "dies after", "answers an error", "answers a conflict"]


class Killed(BaseException):
    """The process that was at work is no more; nothing catches it."""


class ServiceError(Exception):
    """A service answered with an error, whether or not it did what it was asked."""


@dataclass
class Faults:
    """Breaks the effect number ``at`` (from 0) in the given way; all others go well."""

    at: int | None = None
    fault: Fault = "dies after"
    count: int = 0
    names: list[str] = field(default_factory=list)

    def arm(self, at: int | None, fault: Fault = "dies after") -> None:
        """Count anew, and break that effect."""
        self.at, self.fault, self.count, self.names = at, fault, 0, []

    def effect(self, name: str, do: Callable[[], Any]) -> Any:
        number, self.count = self.count, self.count + 1
        self.names.append(name)
        if number != self.at:
            return do()
        if self.fault == "dies before":
            raise Killed(name)
        answer = do()
        if self.fault == "dies after":
            raise Killed(name)
        if self.fault == "answers a conflict" and name.startswith("put_if"):
            raise Conflict(name)
        if self.fault == "answers an error":
            raise ServiceError(name)
        return answer


class BreakingStore(Store):
    """The real door to S3, whose writes break as told."""

    def __init__(self, client: Any, faults: Faults, kms_key_id: str | None = None) -> None:
        super().__init__(client, kms_key_id)
        self.faults = faults
        self.before_put: Callable[[str], None] | None = None

    def _put(self, bucket, key, body, content_type, condition):
        if self.before_put is not None:
            self.before_put(key)
        kind = "put_if" if condition else "put"
        return self.faults.effect(
            f"{kind} {key}",
            lambda: super(BreakingStore, self)._put(bucket, key, body, content_type, condition),
        )

    def delete(self, bucket, key):
        self.faults.effect(f"delete {key}", lambda: super(BreakingStore, self).delete(bucket, key))

    def delete_if_match(self, bucket, key, etag):
        self.faults.effect(
            f"delete {key}", lambda: super(BreakingStore, self).delete_if_match(bucket, key, etag)
        )


@dataclass
class Job:
    """A job as this Batch keeps it. ``running`` children have started; ``failed`` have ended so."""

    job_id: str
    request: JobRequest
    created: int
    status: str = "RUNNABLE"
    reason: str | None = None
    terminated: list[str] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    running: int = 0
    failed: list[FailedChild] = field(default_factory=list)
    attempts: dict[str, list[AttemptView]] = field(default_factory=dict)
    is_terminated: bool = False
    image: str | None = None


class Batch:
    """AWS Batch in memory, with the methods of :class:`drydock.jobs.Jobs`."""

    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        self.jobs: dict[str, Job] = {}
        self.registered: dict[str, Container] = {}
        self.refuses: Exception | None = None
        self.forgets = False
        self.reads: list[str] = []
        self.described: dict[str, dict[str, Any]] = {}
        self.after_submit: Callable[[Job], None] | None = None
        self._numbers = itertools.count()

    def submit(self, request: JobRequest) -> str:
        if self.refuses is not None:
            raise self.refuses
        number = next(self._numbers)
        job = Job(f"job-{number:04d}", request, number)

        def do() -> str:
            self.jobs[job.job_id] = job
            if self.after_submit is not None:
                self.after_submit(job)
            return job.job_id

        return self.faults.effect(f"submit {request.name}", do)

    def view(self, job_id: str) -> JobView:
        self.reads.append("view")
        job = self.jobs.get(job_id)
        if job is None or self.forgets:
            return JobView("gone")
        ended = job.status in ("SUCCEEDED", "FAILED")
        attempts = job.attempts.get(job_id, [])
        return JobView(
            "ended" if ended else "active",
            job.reason,
            has_failed=job.status == "FAILED",
            is_terminated=job.is_terminated,
            last=attempts[-1] if attempts else None,
            image=job.image,
        )

    def failed_children(self, job_id: str):
        self.reads.append("failed_children")
        yield from self.jobs[job_id].failed

    def running(self, job_ids) -> dict[str, int]:
        self.reads.append("running")
        return {
            each: self.jobs[each].running if self.jobs[each] in self.live() else 0
            for each in job_ids
            if each in self.jobs
        }

    def attempts(self, job_ids) -> dict[str, list[AttemptView]]:
        self.reads.append("attempts")
        return {
            each: self.jobs[parent].attempts.get(each, [])
            for each in job_ids
            if (parent := each.partition(":")[0]) in self.jobs
        }

    def details(self, job_ids) -> dict[str, dict[str, Any]]:
        return {each: self.described[each] for each in job_ids if each in self.described}

    def find(self, queue_arn: str, name: str) -> str | None:
        self.reads.append("find")
        found = [
            job
            for job in self.jobs.values()
            if job.request.name == name and job.request.queue_arn == queue_arn
        ]
        return min(found, key=lambda job: job.created).job_id if found else None

    def active(self, queue_arn: str, name_prefix: str):
        for job in list(self.jobs.values()):
            is_ours = job.request.queue_arn == queue_arn and job.request.name.startswith(
                name_prefix
            )
            if is_ours and job.status not in ("SUCCEEDED", "FAILED"):
                yield ActiveJob(job.job_id, job.request.name)

    def terminate(self, job_id: str, reason: str) -> None:
        def do() -> None:
            job = self.jobs[job_id]
            job.terminated.append(reason)
            if job.status not in ("SUCCEEDED", "FAILED"):
                job.status, job.reason, job.is_terminated = "FAILED", reason, True

        self.faults.effect(f"terminate {job_id}", do)

    def terminate_all(self, job_ids, reason: str) -> int:
        for each in job_ids:
            self.terminate(each, reason)
        return len(job_ids)

    def cancel(self, job_id: str, reason: str) -> None:
        def do() -> None:
            job = self.jobs[job_id]
            job.cancelled.append(reason)
            if job.status not in ("SUCCEEDED", "FAILED") and not job.running:
                job.status, job.reason, job.is_terminated = "FAILED", reason, True

        self.faults.effect(f"cancel {job_id}", do)

    def definition(self, name: str, container: Container) -> str | None:
        arn = f"arn:aws:batch:us-east-1:123456789012:job-definition/{name}:1"
        return arn if self.registered.get(arn) == container else None

    def definitions(self):
        yield from list(self.registered)

    def deregister(self, definition_arn: str) -> None:
        self.faults.effect(
            f"deregister {definition_arn}", lambda: self.registered.pop(definition_arn, None)
        )

    def register(self, *, name: str, based_on_arn: str, container: Container) -> str:
        arn = f"arn:aws:batch:us-east-1:123456789012:job-definition/{name}:1"
        return self.faults.effect(
            f"register {name}", lambda: self.registered.setdefault(arn, container) and arn
        )

    # -- what a test does to it

    def end(self, job_id: str, status: str = "SUCCEEDED", reason: str | None = None) -> Job:
        """End a job as Batch would."""
        job = self.jobs[job_id]
        job.status, job.reason = status, reason
        return job

    def live(self) -> list[Job]:
        """The jobs that go on."""
        return [job for job in self.jobs.values() if job.status not in ("SUCCEEDED", "FAILED")]


class StepFunctions:
    """AWS Step Functions in memory, with the methods of :class:`drydock.executions.Executions`."""

    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        self.running: set[str] = set()
        self.waiting: set[str] = set()
        self.errors: dict[str, str] = {}
        self.answers: dict[str, list[dict[str, Any]]] = {}

    def status(self, execution_arn: str) -> str | None:
        return "RUNNING" if execution_arn in self.running else None

    def is_running(self, execution_arn: str) -> bool:
        return execution_arn in self.running

    def active(self, execution_arn: str):
        yield from sorted(self.running)

    def error(self, execution_arn: str) -> str:
        return self.errors.get(execution_arn, "")

    def answer(self, token: str, output: dict[str, Any]) -> bool:
        def do() -> bool:
            if token not in self.waiting:
                return False
            self.waiting.discard(token)
            self.answers.setdefault(token, []).append(output)
            return True

        return self.faults.effect(f"answer {token}", do)
