"""One start of a container, as Batch and the ECS agent see it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.simulation import machines
from tests.simulation.kernel import Timer

if TYPE_CHECKING:
    from local.batch.model import Job
    from tests.simulation.batch import Batch
    from tests.simulation.containers import Container
    from tests.simulation.machines import Machine

EXITED = "Essential container in task exited"
TIMED_OUT = "Job attempt duration exceeded timeout"
NOT_STARTED = "Task failed to start"
NO_MEMORY = "OutOfMemoryError: Container killed due to memory usage"
STOP_GRACE_S = 30.0
SIGKILLED, SEGFAULT = 137, 139


class Attempt:
    """From STARTING to its end. What Batch says of it and what it really does may differ."""

    def __init__(self, batch: Batch, job: Job, machine: Machine) -> None:
        self.job = job
        self.number = len(job.attempts) + 1
        self.machine = machine
        self.name = f"{job.id} attempt {self.number}"
        # Why Batch ends it, where that is not its own doing: the job's status reason.
        self.stopped: str | None = None
        self.is_over = False
        self._batch = batch
        self._kernel = batch.kernel
        self._choose = batch.kernel.chooser
        self._container: Container | None = None
        self._code: int | None = None
        self._reason: str | None = None
        self._is_lost = False
        self._timers: list[Timer] = []
        self._started_ms: int | None = None
        self._fleet = batch.fleets[job.spec.queue.name]
        self._fleet.take(machine, self)
        task = f"{batch.arns.format('ecs')}task/{job.id.replace(':', '-')}-{self.number}"
        self._told: dict[str, Any] = {"taskArn": task, "logStreamName": self.log_stream}
        job.container = self._told
        in_s = self._choose.between(f"{self.name} starts", 1, 15)
        self._after(in_s, self._start)

    @property
    def log_stream(self) -> str:
        """Where the container's log lies."""
        return f"drydock-worker/default/{self.job.id.replace(':', '-')}-{self.number}"

    @property
    def memory_mib(self) -> int:
        """What the container may take."""
        needs = self.job.spec.container["resourceRequirements"]
        return next(int(each["value"]) for each in needs if each["type"] == "MEMORY")

    def environment(self) -> dict[str, str]:
        """What the container sees: the job's variables and Batch's own."""
        job = self.job
        given = {v["name"]: v.get("value", "") for v in job.spec.container["environment"]}
        batch = {
            "AWS_BATCH_JOB_ID": job.id,
            "AWS_BATCH_JOB_ATTEMPT": str(self.number),
            "AWS_BATCH_JQ_NAME": job.spec.queue.name,
        }
        if job.parent is not None:
            batch["AWS_BATCH_JOB_ARRAY_INDEX"] = str(job.index)
            batch["AWS_BATCH_JOB_ARRAY_SIZE"] = str(len(job.parent.children))
        return given | batch

    # -- what happens to it

    def stop(self, reason: str) -> None:
        """SIGTERM, and 30 seconds later SIGKILL."""
        if self.is_over or self.stopped is not None:
            return
        self.stopped = reason
        if self._container is None:
            self._end(reason)
            return
        self._container.terminate()
        self._after(STOP_GRACE_S, lambda: self._kill(SIGKILLED))

    def hear_notice(self) -> None:
        """The machine says that it will be taken away."""
        if self._container is not None:
            self._container.hear_notice(self.machine.id)

    def lose_host(self) -> None:
        """The machine is gone. Its container is too, unless only Batch has lost sight of it."""
        self._is_lost = True
        for timer in self._timers:
            timer.cancel()
        container = self._container
        if container is not None and self._choose.happens(f"{self.name} stale", "stale container"):
            self._kernel.note(self.name, "runs on although its host is lost to Batch")
            longest_s = 30 * 480 ** self._choose.between(f"{self.name} runs on", 0, 1)
            self._kernel.after(longest_s, container.kill)
        elif container is not None:
            container.kill()
        told_s = self._choose.between(f"{self.name} is missed", 1, 60)
        reason = f"Host EC2 (instance {self.machine.id}) terminated."
        self._kernel.after(told_s, lambda: self._end(reason))

    def run_out_of_memory(self) -> None:
        """The container is killed for what it takes."""
        self._reason = NO_MEMORY
        self._kill(SIGKILLED)

    # -- its own course

    def _start(self) -> None:
        if self.is_over:
            return
        if (failure := self._start_failure()) is not None:
            self._told["reason"] = failure
            self._end(NOT_STARTED)
            return
        self._started_ms = self.job.started_ms = self._batch.now_ms
        if self._batch.broken in machines.ENDS_AT_ONCE:
            self._told["exitCode"] = machines.ENDS_AT_ONCE[self._batch.broken]
            self._batch.started(self)
            self._after(0.5, lambda: self._end(EXITED))
            return
        self._container = self._batch.make_container(self._batch.stack, self)
        self._container.process.ended.then(self._exited)
        self._batch.started(self)
        if self.machine.noticed:
            self.hear_notice()
        if (timeout_s := self.job.spec.timeout_s) is not None:
            self._after(timeout_s, lambda: self.stop(TIMED_OUT))
        if self._choose.happens(f"{self.name} segfault", "segfault"):
            in_s = self._choose.between(f"{self.name} segfaults", 0.1, 120)
            self._after(in_s, lambda: self._kill(SEGFAULT))

    def _start_failure(self) -> str | None:
        """ECS's words for why the container does not start."""
        broken = self._batch.broken
        if broken in machines.PERMANENT:
            return machines.PERMANENT[broken]
        if not self._choose.happens(f"{self.name} start", "start failure"):
            return None
        at = self._choose.between(f"{self.name} start failure", 0, len(machines.TRANSIENT) - 0.001)
        return machines.TRANSIENT[int(at)]

    def _kill(self, code: int) -> None:
        if self._container is not None and not self._container.process.ended.is_set:
            self._code = code
            self._container.kill()

    def _exited(self) -> None:
        """The container's process has ended, by itself or not."""
        process = self._container.process
        if self._is_lost or self.is_over:
            return
        code = self._code
        if code is None and process.dead:
            # Nobody of Batch killed it: the machine did, or is gone itself.
            if self._choose.happens(f"{self.name} host", "host dies with container"):
                self._is_lost = True
                self._end(f"Host EC2 (instance {self.machine.id}) terminated.")
                return
            code = SIGKILLED
        elif code is None and process.error is not None:
            self._batch.crashes.append((self.name, process.error))
            self._kernel.note(self.name, f"crashed: {process.error!r}")
            code = 1
        elif code is None:
            code = process.result
        if self._choose.happens(f"{self.name} inspection", "container not inspected"):
            self._told["reason"] = machines.UNINSPECTED
        else:
            self._told["exitCode"] = code
            if self._reason is not None:
                self._told["reason"] = self._reason
        self._end(TIMED_OUT if self.stopped == TIMED_OUT else EXITED)

    def _end(self, reason: str) -> None:
        if self.is_over:
            return
        self.is_over = True
        for timer in self._timers:
            timer.cancel()
        self._fleet.give(self.machine, self)
        started = {} if self._started_ms is None else {"startedAt": self._started_ms}
        detail = {
            "container": {**self._told, "networkInterfaces": []},
            "stoppedAt": self._batch.now_ms,
            "statusReason": reason,
            **started,
        }
        self._batch.attempt_ended(self, detail)

    def _after(self, seconds: float, do: Any) -> None:
        self._timers.append(self._kernel.after(seconds, do))
