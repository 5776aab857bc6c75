"""What AWS Batch says of jobs, as plain data: the words of its answers without its shapes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class ActiveJob:
    """A job of ours that has not ended."""

    job_id: str
    name: str


@dataclass(frozen=True, slots=True)
class FailedChild:
    """How a child of an array failed, in Batch's words; a plain job that failed is child 0.

    ``is_terminated`` says whether somebody terminated or cancelled it; None where Batch does not.
    """

    index: int
    status_reason: str | None = None
    container_reason: str | None = None
    exit_code: int | None = None
    is_terminated: bool | None = None


@dataclass(frozen=True, slots=True)
class AttemptView:
    """One start of a container. Times are seconds since 1970; it may have failed to."""

    status_reason: str | None = None
    container_reason: str | None = None
    exit_code: int | None = None
    started_at: float | None = None
    stopped_at: float | None = None


@dataclass(frozen=True, slots=True)
class JobView:
    """What Batch says of the current round's job; ``gone`` when it knows none any more.

    ``image`` is what its containers run. Of a job that has ended: ``has_failed``,
    ``is_terminated`` as above, and of a plain job how its last attempt ended. ``failures`` counts
    its children by the class of their failure, ``texts`` holds a sample of what Batch wrote for a
    class, ``withheld`` are ranges of the shard's places that a user took out of this epoch.
    """

    state: Literal["active", "ended", "gone"]
    reason: str | None = None
    has_failed: bool = False
    is_terminated: bool | None = None
    last: AttemptView | None = None
    failures: Mapping[str, int] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    withheld: tuple[tuple[int, int], ...] = ()
    image: str | None = field(default=None, compare=False)


def view_of(job: Mapping[str, Any]) -> JobView:
    """A job as DescribeJobs or a state-change event shows it: both have one shape.

    https://docs.aws.amazon.com/batch/latest/APIReference/API_JobDetail.html
    """
    attempts = job.get("attempts") or []
    return JobView(
        "ended" if job["status"] in ("SUCCEEDED", "FAILED") else "active",
        job.get("statusReason"),
        has_failed=job["status"] == "FAILED",
        is_terminated=is_terminated(job),
        last=attempt_of(attempts[-1]) if attempts else None,
        image=(job.get("container") or {}).get("image"),
    )


def failed_child_of(job: Mapping[str, Any]) -> FailedChild:
    """A job that failed, as ListJobs, DescribeJobs and events show it.

    https://docs.aws.amazon.com/batch/latest/APIReference/API_JobSummary.html
    """
    container = job.get("container") or {}
    return FailedChild(
        int((job.get("arrayProperties") or {}).get("index", 0)),
        job.get("statusReason"),
        container.get("reason"),
        container.get("exitCode"),
        is_terminated(job),
    )


def attempt_of(attempt: Mapping[str, Any]) -> AttemptView:
    """One entry of a job's ``attempts``, whose times are in milliseconds."""
    container = attempt.get("container") or {}
    return AttemptView(
        attempt.get("statusReason"),
        container.get("reason"),
        container.get("exitCode"),
        _seconds(attempt.get("startedAt")),
        _seconds(attempt.get("stoppedAt")),
    )


def is_terminated(job: Mapping[str, Any]) -> bool | None:
    """Whether somebody terminated or cancelled a job; None where Batch does not say."""
    told = [job[name] for name in ("isTerminated", "isCancelled") if name in job]
    return any(told) if told else None


def _seconds(milliseconds: int | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000
