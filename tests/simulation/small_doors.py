"""The doors of a small world: Batch, Step Functions and messages with effects and nothing more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import BotoCoreError

from drydock.outages import named_outages
from tests.simulation.kernel import Kernel
from tests.steps.stand_ins import Batch, Job, StepFunctions


class _Effects:
    """The faults of :mod:`tests.steps.stand_ins`, as effects of the kernel."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel

    def effect(self, name: str, do: Callable[[], Any]) -> Any:
        return self._kernel.effect(f"small {name}", do, writes=True)


class SmallBatch(Batch):
    """Jobs by name: the n-th of a name has the same id in whatever order others came."""

    def __init__(self, kernel: Kernel) -> None:
        super().__init__(_Effects(kernel))
        self.kernel = self._kernel = kernel
        # How often somebody asked for a job of a name.
        self.asked: Counter[str] = Counter()

    def submit(self, request):
        def do():
            number = sum(job.request.name == request.name for job in self.jobs.values())
            job = Job(f"{request.name}~{number}", request, len(self.jobs))
            self.jobs[job.job_id] = job
            return job.job_id

        self.kernel.aside(lambda: self.asked.update([request.name]))
        with named_outages("AWS Batch"):
            return self._kernel.effect(f"batch SubmitJob {request.name}", do, writes=True)

    def view(self, job_id):
        return self._read(f"DescribeJobs {job_id}", lambda: super(SmallBatch, self).view(job_id))

    def find(self, queue_arn, name):
        return self._read(f"ListJobs {name}", lambda: super(SmallBatch, self).find(queue_arn, name))

    def active(self, queue_arn, name_prefix):
        return self._read(
            f"ListJobs {queue_arn.rpartition('/')[2]} {name_prefix}*",
            lambda: list(super(SmallBatch, self).active(queue_arn, name_prefix)),
        )

    def failed_children(self, job_id):
        return self._read(
            f"ListJobs of {job_id}", lambda: list(super(SmallBatch, self).failed_children(job_id))
        )

    def running(self, job_ids):
        ids = list(job_ids)
        return self._read(
            f"DescribeJobs {' '.join(ids)}", lambda: super(SmallBatch, self).running(ids)
        )

    @named_outages("AWS Batch")
    def terminate(self, job_id, reason):
        super().terminate(job_id, reason)

    @named_outages("AWS Batch")
    def cancel(self, job_id, reason):
        super().cancel(job_id, reason)

    def attempts(self, job_ids):
        ids = list(job_ids)
        return self._read(
            f"DescribeJobs {' '.join(ids)}", lambda: super(SmallBatch, self).attempts(ids)
        )

    def definition(self, name, container):
        return self._read(
            f"DescribeJobDefinitions {name}",
            lambda: super(SmallBatch, self).definition(name, container),
        )

    def definitions(self):
        return self._read(
            "DescribeJobDefinitions", lambda: list(super(SmallBatch, self).definitions())
        )

    @named_outages("AWS Batch")
    def register(self, **definition):
        return super().register(**definition)

    @named_outages("AWS Batch")
    def deregister(self, definition_arn):
        super().deregister(definition_arn)

    @named_outages("AWS Batch")
    def _read(self, name, do):
        return self._kernel.effect(f"batch {name}", do, writes=False)

    def digest(self) -> object:
        """The jobs: to end one that has ended changes nothing."""
        jobs = sorted(
            (job.job_id, job.status, job.reason, job.request.environment["S3_TASK_LOCATION"])
            for job in self.jobs.values()
        )
        return jobs, sorted(self.asked.items())


class SmallStates(StepFunctions):
    """Executions and tokens."""

    def __init__(self, kernel: Kernel) -> None:
        super().__init__(_Effects(kernel))
        self._kernel = kernel

    @named_outages("AWS Step Functions")
    def is_running(self, execution_arn):
        return self._kernel.effect(
            f"states DescribeExecution {execution_arn}",
            lambda: super(SmallStates, self).is_running(execution_arn),
            writes=False,
        )

    @named_outages("AWS Step Functions")
    def answer(self, token, output):
        return super().answer(token, output)


@dataclass
class SmallMessages:
    """Messages to ourselves come when they are due; those to people are kept.

    ``comes`` is called with what is in one that is due.
    """

    kernel: Kernel
    comes: Callable[[dict[str, Any]], None]
    told: list[str] = field(default_factory=list)

    def look_again(self, run_id, shard, delay_s):
        body = {"advance": {"run_id": run_id, "shard": shard}}

        def do():
            self.kernel.after(delay_s, look_again)

        def look_again():
            self.comes(body)

        with named_outages("Amazon SQS"):
            self.kernel.effect("sqs SendMessage", do, writes=True)

    def notify(self, subject, text):
        del text
        with suppress(BotoCoreError):
            self.kernel.effect(
                f"sns Publish {subject}", lambda: self.told.append(subject), writes=True
            )


class NobodyListens:
    """EventBridge without a rule: a scene sends what events there are."""

    def publish(self, event):
        del event
