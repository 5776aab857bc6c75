"""Queues, jobs and how the API shows them: plain data, changed by the scheduler alone."""

import time
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any

ENDED = frozenset({"SUCCEEDED", "FAILED"})
WAITING = frozenset({"SUBMITTED", "PENDING", "RUNNABLE"})


def now_ms() -> int:
    """The time as Batch writes it: milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True)
class Spec:
    """What SubmitJob fixed; an array's children share it."""

    name: str
    queue: "Queue"
    definition_arn: str
    container: dict[str, Any]
    retry_strategy: dict[str, Any]
    timeout_s: int | None
    vcpus: int
    gpus: int
    parameters: dict[str, str]
    tags: dict[str, str]
    overrides_chars: int


@dataclass(eq=False)
class Job:
    """A plain job, an array's parent (with `children`) or one of its children (with `index`)."""

    id: str
    arn: str
    spec: Spec
    parent: "Job | None" = None
    index: int | None = None
    children: list["Job"] = field(default_factory=list)
    status: str = "SUBMITTED"
    status_reason: str | None = None
    created_ms: int = field(default_factory=now_ms)
    started_ms: int | None = None
    stopped_ms: int | None = None
    attempts: list[dict[str, Any]] = field(default_factory=list)
    # The container of the attempt that runs, or ran last.
    container: dict[str, Any] = field(default_factory=dict)
    cancelled: bool = False
    terminated: bool = False
    stop_reason: str | None = None
    summary: Counter[str] = field(default_factory=Counter)

    def _times(self) -> dict[str, int]:
        times = {"startedAt": self.started_ms, "stoppedAt": self.stopped_ms}
        return {"createdAt": self.created_ms} | {k: ms for k, ms in times.items() if ms is not None}

    def _array(self) -> dict[str, Any]:
        if self.children:
            counts = {status: count for status, count in self.summary.items() if count}
            return {
                "arrayProperties": {"size": len(self.children), "statusSummary": counts},
            }
        if self.index is not None:
            return {"arrayProperties": {"index": self.index, "statusSummary": {}}}
        return {}

    def _common(self) -> dict[str, Any]:
        reason = {"statusReason": self.status_reason} if self.status_reason else {}
        return {
            "jobArn": self.arn,
            "jobId": self.id,
            "jobName": self.spec.name,
            "jobDefinition": self.spec.definition_arn,
            "status": self.status,
            "isCancelled": self.cancelled,
            "isTerminated": self.terminated,
            **reason,
            **self._times(),
            **self._array(),
        }

    def detail(self) -> dict[str, Any]:
        """JobDetail of DescribeJobs, and the `detail` of a state-change event."""
        spec = self.spec
        timeout = {"timeout": {"attemptDurationSeconds": spec.timeout_s}} if spec.timeout_s else {}
        of_parent = {"resourceArn": self.parent.arn} if self.parent else None
        return {
            **self._common(),
            "jobQueue": spec.queue.arn,
            "attempts": self.attempts,
            "retryStrategy": {"evaluateOnExit": [], **spec.retry_strategy},
            "dependsOn": [],
            "parameters": spec.parameters,
            "container": spec.container | self.container,
            # Tags of a job are not handed down to its children.
            "tags": of_parent or {"resourceArn": self.arn, **spec.tags},
            "propagateTags": False,
            "platformCapabilities": ["EC2"],
            "eksAttempts": [],
            **timeout,
        }

    def brief(self) -> dict[str, Any]:
        """JobSummary of ListJobs."""
        ended = {k: self.container[k] for k in ("exitCode", "reason") if k in self.container}
        return self._common() | ({"container": ended} if ended else {})


@dataclass(eq=False)
class Queue:
    """A job queue; `waiting` may hold jobs that were cancelled meanwhile.

    `time_limits` are its jobStateTimeLimitActions.
    """

    name: str
    arn: str
    priority: int
    state: str
    environments: list[dict[str, Any]]
    tags: dict[str, str]
    time_limits: list[dict[str, Any]] = field(default_factory=list)
    waiting: deque[Job] = field(default_factory=deque)

    @property
    def environment_name(self) -> str:
        """The name of the first compute environment: all jobs run there."""
        return str(self.environments[0]["computeEnvironment"]).rpartition("/")[2]

    def detail(self) -> dict[str, Any]:
        """JobQueueDetail."""
        return {
            "jobQueueName": self.name,
            "jobQueueArn": self.arn,
            "state": self.state,
            "status": "VALID",
            "statusReason": "JobQueue Healthy",
            "priority": self.priority,
            "computeEnvironmentOrder": self.environments,
            "serviceEnvironmentOrder": [],
            "jobQueueType": "ECS",
            "tags": self.tags,
            "jobStateTimeLimitActions": self.time_limits,
        }
