"""AWS Batch in virtual time: jobs, their states, events and retries.

Rules and shapes are those of the embedded Batch (:mod:`local.batch`), whose pure parts are used.
What AWS documents and a quiet machine does not show is here as chance: answers that do not know a
new job yet, records that are gone, containers that do not start, hosts that are lost.
"""

from __future__ import annotations

import functools
import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from local.batch.listing import list_jobs
from local.batch.model import ENDED, WAITING, Job, Queue
from local.batch.registry import Registry
from local.batch.retry import is_retried
from local.batch.submission import make_job
from local.batch.validation import (
    MAX_OVERRIDES_CHARS,
    RefusedError,
    check_reason,
    check_request_size,
)
from tests.simulation.attempts import Attempt
from tests.simulation.batch_client import Client
from tests.simulation.containers import Container
from tests.simulation.machines import BREAKAGES, NEVER_FIT, Fleet
from tests.simulation.resources import ACCOUNT, REGION, template

if TYPE_CHECKING:
    from tests.simulation.stack import Stack

CHILD_FAILED = "Array Child Job failed"
TOO_LONG = f"Container Overrides length must be at most {MAX_OVERRIDES_CHARS}"
NEVER_FITS = (
    "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT - The job resource requirement (vCPU/memory/GPU) "
    "is higher than that can be met by the CE(s) attached to the job queue."
)
NO_CAPACITY = (
    "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - Service cannot fulfill the capacity requested for "
    "instance type [c7i.xlarge]"
)
KEPT_S = 7 * 24 * 3600.0
MAX_DESCRIBED = 100


@dataclass
class Record:
    """Since when a job's record can be described and listed, and from when on it is gone."""

    described_at: float
    listed_at: float
    gone_at: float = float("inf")


class Batch:
    """Both queues of the stack. Each has at most ``machines`` machines at once.

    ``broken`` is one of :data:`tests.simulation.machines.BREAKAGES` while no container can work.
    ``crashes`` are errors that no worker should end with.
    """

    def __init__(self, stack: Stack, machines: int = 3) -> None:
        self.stack = stack
        self.kernel = stack.kernel
        self.arns = f"arn:aws:{{}}:{REGION}:{ACCOUNT}:"
        self.jobs: dict[str, Job] = {}
        self.parents: dict[str, Job] = {}
        self.running: dict[str, Attempt] = {}
        self.calls: Counter[str] = Counter()
        self.crashes: list[tuple[str, BaseException]] = []
        self.attempts = 0
        self.broken: str | None = None
        # Whoever wants but the number of containers has cheaper ones.
        self.make_container: Callable[[Stack, Attempt], Container] = Container
        self.fleets: dict[str, Fleet] = {}
        self._records: dict[str, Record] = {}
        self._named: Counter[str] = Counter()
        self._events = itertools.count(1)
        self._registry = _registry(stack.settings.worker_image)
        for queue in self._registry.queues.values():
            is_spot = queue.name == "spot"
            self.fleets[queue.name] = Fleet(self, queue.name, most=machines, is_spot=is_spot)

    def client(self) -> Client:
        return Client(self)

    @property
    def now_ms(self) -> int:
        return round(self.kernel.now * 1000)

    def active(self) -> list[Job]:
        """Arrays and plain jobs that have not ended."""
        return [job for job in self.parents.values() if job.status not in ENDED]

    def record_is_there(self, job_id: str) -> bool:
        """Whether Batch still has a job's record."""
        record = self._records.get(job_id.partition(":")[0])
        return record is not None and self.kernel.now < self._gone_at(job_id, record)

    def was_listed(self, job_id: str, at: float) -> bool:
        """Whether ListJobs told of a job at a time."""
        record = self._records[job_id]
        return record.listed_at < at < self._gone_at(job_id, record)

    # -- operations

    def submit(self, request: dict[str, Any]) -> dict[str, Any]:
        check_request_size(json.dumps(request).encode())
        job = make_job(request, self._registry, self._id_for(request["jobName"]), self.now_ms)
        self.jobs[job.id] = self.parents[job.id] = job
        self.jobs.update((child.id, child) for child in job.children)
        job.summary["SUBMITTED"] = len(job.children)
        self._records[job.id] = Record(*(self._seen_at(job, how) for how in ("DESCRIBE", "LIST")))
        self._may_break(job)
        in_s = self.kernel.chooser.between(f"{job.id} is taken", 0.5, 5)
        self.kernel.after(in_s, lambda: self._make_runnable(job))
        return {"jobArn": job.arn, "jobName": job.spec.name, "jobId": job.id}

    def describe(self, ids: list[str]) -> dict[str, Any]:
        if len(ids) > MAX_DESCRIBED:
            raise RefusedError(f"Jobs list must have at most {MAX_DESCRIBED} items, got {len(ids)}")
        known = [self.jobs[each] for each in ids if each in self.jobs and self._is_seen(each)]
        return {"jobs": [_copied(job.detail()) for job in known]}

    def list(self, request: dict[str, Any]) -> dict[str, Any]:
        listed = {
            job.id: job
            for job in self.parents.values()
            if self.record_is_there(job.id) and self._records[job.id].listed_at <= self.kernel.now
        }
        return list_jobs(request, listed, self._registry)

    def terminate(self, ids: Iterable[str], reason: str) -> None:
        self._stop_all(ids, reason, running_too=True)

    def cancel(self, ids: Iterable[str], reason: str) -> None:
        self._stop_all(ids, reason, running_too=False)

    def describe_definitions(self, request: dict[str, Any]) -> dict[str, Any]:
        return self._registry.describe_definitions(request)

    def register_definition(self, request: dict[str, Any]) -> dict[str, Any]:
        return self._registry.register_definition(request)

    def _id_for(self, name: str) -> str:
        """An id that does not depend on what other jobs there are, so that chances drawn by it stay
        where they are when some fault is left out of a history.
        """
        about = "-".join(name.split("-")[2:])
        self._named[about] += 1
        return f"job-{about}-{self._named[about]}"

    # -- what attempts tell

    def started(self, attempt: Attempt) -> None:
        """A container runs."""
        job = attempt.job
        self.attempts += 1
        if job.parent is not None and job.parent.started_ms is None:
            job.parent.started_ms = self.now_ms
        self._move(job, "RUNNING")

    def attempt_ended(self, attempt: Attempt, detail: dict[str, Any]) -> None:
        """An attempt is over: whether its job is."""
        job, reason = attempt.job, detail["statusReason"]
        del self.running[job.id]
        job.attempts.append(detail)
        if attempt.stopped is not None:
            self._move(job, "FAILED", attempt.stopped)
        elif detail["container"].get("exitCode") == 0:
            self._move(job, "SUCCEEDED", reason)
        elif is_retried(job.spec.retry_strategy, job.attempts):
            self._move(job, "RUNNABLE")
            job.spec.queue.waiting.appendleft(job)
        else:
            self._move(job, "FAILED", reason)
        self._place(job.spec.queue)

    # -- states

    def _make_runnable(self, parent: Job) -> None:
        for job in parent.children or [parent]:
            if job.status == "SUBMITTED":
                self._move(job, "RUNNABLE")
                job.spec.queue.waiting.append(job)
        self._place(parent.spec.queue)

    def _move(self, job: Job, status: str, reason: str | None = None) -> None:
        before, job.status, job.status_reason = job.status, status, reason
        if status in ENDED:
            job.stopped_ms = self.now_ms
            self._may_forget(job)
        self.kernel.note(f"job {job.id}", f"{status}{f': {reason}' if reason else ''}")
        self._publish("Batch Job State Change", [job.arn], job)
        if job.parent is not None:
            job.parent.summary[before] -= 1
            job.parent.summary[status] += 1
            self._follow(job.parent)

    def _follow(self, parent: Job) -> None:
        """Move an array's parent after its children: PENDING with the first, ended by the last."""
        if parent.status == "SUBMITTED":
            self._move(parent, "PENDING")
        ended = sum(parent.summary[status] for status in ENDED)
        if ended < len(parent.children) or parent.status in ENDED:
            return
        if parent.summary["FAILED"]:
            self._move(parent, "FAILED", parent.stop_reason or CHILD_FAILED)
        else:
            self._move(parent, "SUCCEEDED")

    def _stop_all(self, ids: Iterable[str], reason: str, *, running_too: bool) -> None:
        check_reason(reason)
        for each in ids:
            # Unknown ones count as successful, as the API reference has it.
            if (job := self.jobs.get(each)) is not None and self.record_is_there(each):
                self._stop(job, reason, running_too=running_too)

    def _stop(self, job: Job, reason: str, *, running_too: bool) -> None:
        if job.status in ENDED:
            return
        if job.children:
            job.stop_reason = reason
            _mark(job, terminated=running_too)
        for each in job.children or [job]:
            if each.status in WAITING:
                _mark(each, terminated=running_too)
                self._move(each, "FAILED", reason)
            elif each.status not in ENDED and running_too:
                _mark(each, terminated=True)
                self.running[each.id].stop(reason)
        self._place(job.spec.queue)

    # -- placement

    def _place(self, queue: Queue) -> None:
        fleet = self.fleets[queue.name]
        while queue.waiting:
            job = queue.waiting[0]
            if job.status != "RUNNABLE":
                queue.waiting.popleft()
            elif job.spec.overrides_chars > MAX_OVERRIDES_CHARS:
                queue.waiting.popleft()
                self._move(job, "FAILED", TOO_LONG)
            elif (machine := fleet.place(job.spec.vcpus)) is not None:
                queue.waiting.popleft()
                # Before the event of it: whoever hears of STARTING may stop it.
                self.running[job.id] = Attempt(self, job, machine)
                self._move(job, "STARTING")
            else:
                self._wait(fleet, queue, job)
                break
        fleet.rest()

    def _wait(self, fleet: Fleet, queue: Queue, job: Job) -> None:
        """The head of a queue waits; one that no machine could ever take blocks it."""
        needs = {each["type"]: int(each["value"]) for each in _needs(job)}
        fits = fleet.could_place(needs["VCPU"], needs.get("GPU", 0), needs["MEMORY"])
        if fits and self.broken != NEVER_FIT:
            fleet.grow(len(queue.waiting), lambda: self._place(queue))
        else:
            self._block(queue, job, NEVER_FITS)

    def note_capacity(self, name: str) -> None:
        """There is no machine for the head of a queue now."""
        queue = self._registry.queues[name]
        heads = [job for job in queue.waiting if job.status == "RUNNABLE"]
        if heads:
            self._block(queue, heads[0], NO_CAPACITY)

    def _block(self, queue: Queue, job: Job, reason: str) -> None:
        if job.status_reason is None:
            job.status_reason = reason
            self._publish("Batch Job Queue Blocked", [job.arn, queue.arn], job)

    # -- what is told

    def _publish(self, kind: str, resources: list[str], job: Job) -> None:
        detail = _copied(job.detail())
        if job.children:
            del detail["attempts"]
        event = {
            "version": "0",
            "id": f"event-{next(self._events)}",
            "source": "aws.batch",
            "account": ACCOUNT,
            "region": REGION,
            "time": datetime.fromtimestamp(int(self.kernel.now), UTC).strftime(
                "%Y-%m-%dT%H:%M:%SZ"
            ),
            "detail-type": kind,
            "resources": resources,
            "detail": detail,
        }
        self.stack.bus.publish(event)

    def _seen_at(self, job: Job, how: str) -> float:
        """From when on an API knows a new job: at once, or some seconds later."""
        choose = self.kernel.chooser
        if not choose.happens(f"{job.id} {how}", "new job unknown"):
            return self.kernel.now
        return self.kernel.now + choose.between(f"{job.id} {how} knows it", 1, 20)

    def _may_break(self, job: Job) -> None:
        """Somebody changes an image, a role or a network, and some time later changes it back."""
        choose = self.kernel.chooser
        if self.broken is None and choose.happens(f"{job.id} surroundings", "surroundings broken"):
            at = choose.between(f"{job.id} what breaks", 0, len(BREAKAGES) - 0.001)
            self.broken = BREAKAGES[int(at)]
            self.kernel.note("somebody", f"breaks what containers need: {self.broken}")
            for_s = 20 * 60 ** choose.between(f"{job.id} breakage", 0, 1)
            self.kernel.after(for_s, self._mend)

    def _mend(self) -> None:
        self.broken = None
        self.kernel.note("somebody", "mends what containers need")
        for queue in self._registry.queues.values():
            self._place(queue)

    def _may_forget(self, job: Job) -> None:
        choose = self.kernel.chooser
        if job.parent is None and choose.happens(f"{job.id} record", "record lost"):
            in_s = choose.between(f"{job.id} record goes", 0.01, 3600)
            self._records[job.id].gone_at = self.kernel.now + in_s

    def _gone_at(self, job_id: str, record: Record) -> float:
        stopped_ms = self.jobs[job_id.partition(":")[0]].stopped_ms
        kept = float("inf") if stopped_ms is None else stopped_ms / 1000 + KEPT_S
        return min(kept, record.gone_at)

    def _is_seen(self, job_id: str) -> bool:
        record = self._records[job_id.partition(":")[0]]
        return record.described_at <= self.kernel.now < self._gone_at(job_id, record)


@functools.lru_cache(maxsize=16)
def _time(now_s: int) -> str:
    return datetime.fromtimestamp(now_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _mark(job: Job, *, terminated: bool) -> None:
    if terminated:
        job.terminated = True
    else:
        job.cancelled = True


def _needs(job: Job) -> list[dict[str, str]]:
    needs: list[dict[str, str]] = job.spec.container["resourceRequirements"]
    return needs


def _copied(detail: dict[str, Any]) -> dict[str, Any]:
    """A job as it is now: it changes on while others look at what they were told."""
    return {**detail, "attempts": [dict(attempt) for attempt in detail["attempts"]]}


def _registry(image: str) -> Registry:
    """The queues and the job definition that the template makes."""
    registry = Registry(REGION, ACCOUNT)
    for name in ("spot", "on-demand"):
        registry.create_environment({"computeEnvironmentName": name})
        order = [{"order": 1, "computeEnvironment": name}]
        registry.create_queue(
            {"jobQueueName": name, "priority": 1, "computeEnvironmentOrder": order}
        )
    registry.register_definition(_definition(image))
    return registry


@functools.cache
def _definition(image: str) -> dict[str, Any]:
    document = template()
    values = {name: each.get("Default") for name, each in document["Parameters"].items()}
    values |= {"WorkerImage": image}
    found = document["Resources"]["WorkerJobDefinition"]["Properties"]
    definition = _as_request(
        {name: found[name] for name in ("RetryStrategy", "ContainerProperties")}, values
    )
    return {"jobDefinitionName": "drydock-worker", "type": "container", **definition}


def _as_request(value: Any, values: dict[str, Any]) -> Any:
    """CloudFormation's properties as the API's parameters; what is made elsewhere is a name."""
    if isinstance(value, list):
        return [_as_request(each, values) for each in value]
    if not isinstance(value, dict):
        return value
    if "Ref" in value:
        return values.get(value["Ref"], value["Ref"])
    if any(name.startswith("Fn::") for name in value):
        return str(next(iter(value.values())))
    return {name[0].lower() + name[1:]: _as_request(each, values) for name, each in value.items()}
