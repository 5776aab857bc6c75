"""The life of jobs: placement, attempts and retries, stops, timeouts and reclaimed machines.

One thread starts what fits and ends what is due; no job that waits costs a thread. Every state
change goes through `_move`, which publishes it.
"""

import heapq
import itertools
import logging
import queue
import threading
import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

from local.batch.events import Publisher
from local.batch.launching import Ended, Handle, Launcher, Reports, StartError
from local.batch.logs import LOOK_EVERY_S, ContainerLogs, stream_of
from local.batch.machines import Fleet, Machine
from local.batch.model import ENDED, WAITING, Job, Queue, now_ms
from local.batch.retry import is_retried
from local.batch.validation import MAX_OVERRIDES_CHARS

STOP_GRACE_S = 30.0
_EXITED = "Essential container in task exited"
_TIMED_OUT = "Job attempt duration exceeded timeout"
_CHILD_FAILED = "Array Child Job failed"
_TOO_LONG = f"Container Overrides length must be at most {MAX_OVERRIDES_CHARS}"
_TIME_LIMIT = "Canceled by JobStateTimeLimit action due to reason: "
_NEVER_FITS = (
    "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT - The job resource requirement (vCPU/memory/GPU) "
    "is higher than that can be met by the CE(s) attached to the job queue."
)
_log = logging.getLogger(__name__)


@dataclass(eq=False)
class _Running:
    """An attempt whose container runs."""

    job: Job
    number: int
    machine: Machine
    handle: Handle | None = None
    # Why it is being ended, where that is not its own doing: the job's status reason.
    stopped: str | None = None
    lost: bool = False


class Scheduler:
    """Owns all jobs; its methods are thread-safe, and `lock` guards reading."""

    def __init__(
        self,
        *,
        fleet: Fleet,
        launcher: Launcher,
        logs: ContainerLogs,
        publisher: Publisher,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.lock = threading.RLock()
        self.jobs: dict[str, Job] = {}
        self.running: dict[str, _Running] = {}
        self._fleet = fleet
        self._launcher = launcher
        self._logs = logs
        self._logs_seen_at = 0.0
        self._publisher = publisher
        self._clock = clock
        self._queues: list[Queue] = []
        self._order = itertools.count()
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        # What other threads have to say; None ends the thread.
        self._inbox: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="batch-scheduler", daemon=True)
        self._thread.start()

    def add_queue(self, new: Queue) -> None:
        """From now on jobs are placed from this queue too, higher priorities first."""
        with self.lock:
            self._queues.append(new)
            self._queues.sort(key=lambda each: -each.priority)

    def submit(self, job: Job) -> None:
        """Takes a new job, with all its children."""
        with self.lock:
            self.jobs[job.id] = job
            self.jobs.update((child.id, child) for child in job.children)
            job.summary["SUBMITTED"] = len(job.children)
        self._inbox.put(lambda: self._make_runnable(job.children or [job]))

    def cancel(self, job: Job, reason: str) -> None:
        """CancelJob: ends what has not got to STARTING; the rest goes on."""
        self._stop(job, reason, running_too=False)

    def terminate(self, job: Job, reason: str) -> None:
        """TerminateJob: ends it all, what runs by SIGTERM and 30 seconds later SIGKILL."""
        self._stop(job, reason, running_too=True)

    def reclaim(self, machine: Machine, notice_s: float) -> None:
        """Announces the end of a machine now and brings it about `notice_s` seconds later."""
        with self.lock:
            machine.notice_at = time.time() + notice_s
            self._after(notice_s, lambda: self._take_away(machine))
        self.wake()

    def wake(self) -> None:
        """Makes the scheduler look at the clock again."""
        self._inbox.put(lambda: None)

    def close(self) -> None:
        """Ends the thread; what runs is left to the caller."""
        self._inbox.put(None)
        self._thread.join()

    # -- the thread

    def _run(self) -> None:
        while True:
            calls = self._wait()
            with self.lock:
                for call in calls:
                    if call is None:
                        return
                    self._guarded(call)
                while self._timers and self._timers[0][0] <= self._clock():
                    self._guarded(heapq.heappop(self._timers)[2])
                self._guarded(self._place)
                self._guarded(self._look_at_logs)

    def _wait(self) -> list[Callable[[], None] | None]:
        with self.lock:
            due = self._timers[0][0] - self._clock() if self._timers else None
            if self.running:
                due = LOOK_EVERY_S if due is None else min(due, LOOK_EVERY_S)
        calls = []
        try:
            calls.append(self._inbox.get(timeout=None if due is None else max(0.0, due)))
            while True:
                calls.append(self._inbox.get_nowait())
        except queue.Empty:
            return calls

    def _look_at_logs(self) -> None:
        """Every second, for as long as anything runs."""
        if self.running and self._clock() - self._logs_seen_at >= LOOK_EVERY_S:
            self._logs_seen_at = self._clock()
            self._logs.look()

    def _guarded(self, call: Callable[[], None]) -> None:
        """One job's trouble must not stop all others."""
        try:
            call()
        except Exception:  # noqa: BLE001 - it is logged, and the thread must live
            _log.exception("the scheduler of the embedded Batch failed")

    def _after(self, seconds: float, call: Callable[[], None]) -> None:
        heapq.heappush(self._timers, (self._clock() + seconds, next(self._order), call))

    # -- states

    def _move(self, job: Job, status: str, reason: str | None = None) -> None:
        before, job.status, job.status_reason = job.status, status, reason
        if status in ENDED:
            job.stopped_ms = now_ms()
        self._publisher.state_changed(job)
        if job.parent is not None:
            job.parent.summary[before] -= 1
            job.parent.summary[status] += 1
            self._follow(job.parent)

    def _follow(self, parent: Job) -> None:
        """Moves an array's parent after its children: PENDING with the first, ended by the last."""
        if parent.status == "SUBMITTED":
            self._move(parent, "PENDING")
        ended = sum(parent.summary[status] for status in ENDED)
        if ended < len(parent.children) or parent.status in ENDED:
            return
        if parent.summary["FAILED"]:
            self._move(parent, "FAILED", parent.stop_reason or _CHILD_FAILED)
        else:
            self._move(parent, "SUCCEEDED")

    def _make_runnable(self, jobs: Iterable[Job]) -> None:
        for job in jobs:
            if job.status == "SUBMITTED":
                self._move(job, "RUNNABLE")
                job.spec.queue.waiting.append(job)

    # -- placement

    def _place(self) -> None:
        for each in self._queues:
            while each.waiting:
                job = each.waiting[0]
                if job.status != "RUNNABLE":
                    each.waiting.popleft()
                elif machine := self._fleet.place(job.spec.vcpus, job.spec.gpus):
                    each.waiting.popleft()
                    self._start(job, machine)
                else:
                    self._note_blocked(job)
                    break

    def _note_blocked(self, job: Job) -> None:
        """A head that no machine could ever take blocks its queue, as it does on AWS."""
        if job.status_reason is None and not self._fleet.could_place(job.spec.vcpus, job.spec.gpus):
            job.status_reason = _NEVER_FITS
            self._publisher.queue_blocked(job)
            for limit in job.spec.queue.time_limits:
                if _NEVER_FITS.startswith(limit["reason"]):
                    give_up = partial(self._give_up, job, _TIME_LIMIT + limit["reason"])
                    self._after(limit["maxTimeSeconds"], give_up)

    def _give_up(self, job: Job, reason: str) -> None:
        """What blocked its queue for as long as the queue allows makes room for those behind it."""
        if job.status == "RUNNABLE":
            _mark(job, terminated=False)
            self._move(job, "FAILED", reason)

    def _start(self, job: Job, machine: Machine) -> None:
        if job.spec.overrides_chars > MAX_OVERRIDES_CHARS:
            self._move(job, "FAILED", _TOO_LONG)
            return
        attempt = _Running(job, len(job.attempts) + 1, machine)
        job.container = _container_of(job, attempt.number, machine)
        job.started_ms = None
        self._move(job, "STARTING")
        machine.used[job.id] = job.spec.vcpus
        self.running[job.id] = attempt
        self._logs.begin(job, attempt.number)
        try:
            attempt.handle = self._launcher.start(
                job, attempt.number, machine, self._reports(attempt)
            )
        except (StartError, OSError) as error:
            own = isinstance(error, StartError)
            reason = f"{'' if own else 'CannotCreateContainerError: '}{error}"
            self._ended(attempt, Ended(None, reason))

    def _reports(self, attempt: _Running) -> Reports:
        return Reports(
            started=lambda: self._inbox.put(lambda: self._started(attempt)),
            ended=lambda ended: self._inbox.put(lambda: self._ended(attempt, ended)),
        )

    def _started(self, attempt: _Running) -> None:
        job = attempt.job
        if self.running.get(job.id) is not attempt or job.status != "STARTING":
            return
        job.started_ms = now_ms()
        if job.parent is not None and job.parent.started_ms is None:
            job.parent.started_ms = job.started_ms
        self._move(job, "RUNNING")
        if job.spec.timeout_s is not None:
            self._after(job.spec.timeout_s, lambda: self._terminate_attempt(attempt, _TIMED_OUT))

    # -- ends

    def _ended(self, attempt: _Running, ended: Ended) -> None:
        container = attempt.job.container
        if ended.code is not None:
            # What ends at once may be told of before its start is.
            self._started(attempt)
        if attempt.lost:
            reason = f"Host EC2 (instance {attempt.machine.id}) terminated."
        elif ended.code is None:
            reason = "Task failed to start"
        else:
            container["exitCode"] = ended.code if ended.code >= 0 else 128 - ended.code
            reason = _TIMED_OUT if attempt.stopped == _TIMED_OUT else _EXITED
        if ended.reason is not None and not attempt.lost:
            container["reason"] = ended.reason
        self._attempt_ended(attempt, reason)

    def _attempt_ended(self, attempt: _Running, reason: str) -> None:
        job = attempt.job
        del self.running[job.id]
        self._logs.end(job, attempt.number)
        attempt.machine.used.pop(job.id, None)
        self._launcher.clean(job, attempt.number)
        if attempt.lost:
            self._launcher.wipe(attempt.machine)
        job.attempts.append(_attempt_detail(job, reason))
        if attempt.stopped is not None:
            self._move(job, "FAILED", attempt.stopped)
        elif job.container.get("exitCode") == 0:
            self._move(job, "SUCCEEDED", reason)
        elif is_retried(job.spec.retry_strategy, job.attempts):
            self._move(job, "RUNNABLE")
            job.spec.queue.waiting.appendleft(job)
        else:
            self._move(job, "FAILED", reason)

    def _stop(self, job: Job, reason: str, *, running_too: bool) -> None:
        with self.lock:
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
                    self._terminate_attempt(self.running[each.id], reason)
        self.wake()

    def _terminate_attempt(self, attempt: _Running, reason: str) -> None:
        if self.running.get(attempt.job.id) is not attempt or attempt.stopped is not None:
            return
        attempt.stopped = reason
        if attempt.handle is not None:
            attempt.handle.terminate()
            self._after(STOP_GRACE_S, attempt.handle.kill)

    def _take_away(self, machine: Machine) -> None:
        """The machine is gone with all that runs on it; another comes in its place."""
        for attempt in self.running.values():
            if attempt.machine is machine:
                attempt.lost = True
                if attempt.handle is not None:
                    attempt.handle.kill()
        self._fleet.replace(machine)
        self._launcher.wipe(machine)


def _mark(job: Job, *, terminated: bool) -> None:
    if terminated:
        job.terminated = True
    else:
        job.cancelled = True


def _container_of(job: Job, number: int, machine: Machine) -> dict[str, Any]:
    """What an attempt's container is called."""
    arn = job.spec.queue.arn.replace(":batch:", ":ecs:").rpartition(":")[0]
    return {
        "containerInstanceArn": f"{arn}:container-instance/embedded/{machine.id}",
        "taskArn": f"{arn}:task/embedded/{uuid.uuid4().hex}",
        "logStreamName": stream_of(job, number),
    }


def _attempt_detail(job: Job, reason: str) -> dict[str, Any]:
    started = {} if job.started_ms is None else {"startedAt": job.started_ms}
    return {
        "container": job.container | {"networkInterfaces": []},
        "stoppedAt": now_ms(),
        "statusReason": reason,
        **started,
    }
