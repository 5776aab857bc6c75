"""The only door to AWS Batch."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from drydock.definitions import Container, definition_of, is_for
from drydock.errors import RunMisconfigured
from drydock.job_views import (
    ActiveJob,
    AttemptView,
    FailedChild,
    JobView,
    attempt_of,
    failed_child_of,
    view_of,
)
from drydock.outages import named_outages

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mypy_boto3_batch import BatchClient

ACTIVE = ("SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING")
BATCH_TIMEOUT_MARGIN_S = 120
# https://docs.aws.amazon.com/batch/latest/userguide/array_jobs.html
MAX_ARRAY_SIZE = 10_000
# https://docs.aws.amazon.com/batch/latest/APIReference/API_DescribeJobs.html
MAX_DESCRIBED = 100
# https://docs.aws.amazon.com/batch/latest/APIReference/API_TerminateJobs.html
MAX_TERMINATED = 50
REFUSED = "AWS Batch refuses the job: "
_REFUSED = "ClientException"
_SERVICE = "AWS Batch"


@dataclass(frozen=True, slots=True)
class JobRequest:
    """A round as Batch sees it: ``jobs`` children, or a plain job when there is one."""

    name: str
    queue_arn: str
    definition_arn: str
    jobs: int
    environment: dict[str, str]
    vcpus: int
    memory_mib: int
    gpus: int
    timeout_s: int
    tags: dict[str, str]


class Jobs:
    """AWS Batch as drydock uses it; without a client it connects at the first use."""

    def __init__(self, client: BatchClient | None = None) -> None:
        self._given = client

    @functools.cached_property
    def _client(self) -> BatchClient:
        # Adaptive retries keep all functions together below Batch's 50 calls a second.
        config = Config(retries={"mode": "adaptive", "max_attempts": 8})
        return self._given or boto3.client("batch", config=config)

    @named_outages(_SERVICE)
    def submit(self, request: JobRequest) -> str:
        """Submit a round; return the job's id.

        Raises:
            RunMisconfigured: Batch refuses the request itself, so another try would be refused too.
        """
        needs = [
            {"type": "VCPU", "value": str(request.vcpus)},
            {"type": "MEMORY", "value": str(request.memory_mib)},
        ]
        if request.gpus:
            needs.append({"type": "GPU", "value": str(request.gpus)})
        environment = [{"name": k, "value": v} for k, v in sorted(request.environment.items())]
        arguments: dict[str, Any] = {
            "jobName": request.name,
            "jobQueue": request.queue_arn,
            "jobDefinition": request.definition_arn,
            "containerOverrides": {"environment": environment, "resourceRequirements": needs},
            "timeout": {"attemptDurationSeconds": request.timeout_s},
            "tags": request.tags,
            "propagateTags": True,
        }
        if request.jobs > 1:
            arguments["arrayProperties"] = {"size": request.jobs}
        try:
            return self._client.submit_job(**arguments)["jobId"]
        except ClientError as error:
            if error.response["Error"]["Code"] == _REFUSED:
                raise RunMisconfigured(f"{REFUSED}{error.response['Error']['Message']}") from error
            raise

    @named_outages(_SERVICE)
    def view(self, job_id: str) -> JobView:
        """Whether a job goes on, has ended (and why), or is not known any more."""
        found = self._client.describe_jobs(jobs=[job_id])["jobs"]
        if not found:
            return JobView("gone")
        return view_of(found[0])

    def failed_children(self, job_id: str) -> Iterator[FailedChild]:
        """The children of an array that failed: a page of answers for 1,000 of them.

        An array that Batch has forgotten has none.
        """
        pages = self._client.get_paginator("list_jobs").paginate(
            arrayJobId=job_id, jobStatus="FAILED", PaginationConfig={"PageSize": 1000}
        )
        with named_outages(_SERVICE):
            try:
                for page in pages:
                    yield from map(failed_child_of, page["jobSummaryList"])
            except ClientError as error:
                if error.response["Error"]["Code"] != _REFUSED:
                    raise

    @named_outages(_SERVICE)
    def running(self, job_ids: Sequence[str]) -> dict[str, int]:
        """How many children of each job run now; a plain job is one. Unknown ones are left out."""
        return {job["jobId"]: _running(job) for job in self._described(job_ids)}

    @named_outages(_SERVICE)
    def attempts(self, job_ids: Sequence[str]) -> dict[str, list[AttemptView]]:
        """The attempts that have ended of jobs or of children, ``<array>:<index>``.

        Unknown ones are left out.
        """
        return {
            job["jobId"]: [attempt_of(attempt) for attempt in job.get("attempts", [])]
            for job in self._described(job_ids)
        }

    @named_outages(_SERVICE)
    def details(self, job_ids: Sequence[str]) -> dict[str, Mapping[str, Any]]:
        """Jobs or children as DescribeJobs shows them, for people. Unknown ones are left out."""
        return {job["jobId"]: job for job in self._described(job_ids)}

    @named_outages(_SERVICE)
    def find(self, queue_arn: str, name: str) -> str | None:
        """The id of the job of that name; None when the queue knows none. The oldest one wins."""
        pages = self._client.get_paginator("list_jobs").paginate(
            jobQueue=queue_arn, filters=[{"name": "JOB_NAME", "values": [name]}]
        )
        found = [job for page in pages for job in page["jobSummaryList"] if job["jobName"] == name]
        found.sort(key=lambda job: (job.get("createdAt", 0), job["jobId"]))
        return found[0]["jobId"] if found else None

    def active(self, queue_arn: str, name_prefix: str) -> Iterator[ActiveJob]:
        """Jobs of a queue that go on and whose names begin so (array parents, no children)."""
        pages = self._client.get_paginator("list_jobs").paginate(
            jobQueue=queue_arn, filters=[{"name": "JOB_NAME", "values": [f"{name_prefix}*"]}]
        )
        with named_outages(_SERVICE):
            for page in pages:
                for job in page["jobSummaryList"]:
                    if job.get("status") in ACTIVE:
                        yield ActiveJob(job["jobId"], job["jobName"])

    @named_outages(_SERVICE)
    def terminate(self, job_id: str, reason: str) -> None:
        """End a job and all of its children; ending one that has ended is no error."""
        self._client.terminate_job(jobId=job_id, reason=reason)

    @named_outages(_SERVICE)
    def cancel(self, job_id: str, reason: str) -> None:
        """End what has not started of a job and its children; the rest goes on to its end."""
        self._client.cancel_job(jobId=job_id, reason=reason)

    @named_outages(_SERVICE)
    def terminate_all(self, job_ids: Sequence[str], reason: str) -> int:
        """End jobs and all of their children; return how many there were."""
        for first in range(0, len(job_ids), MAX_TERMINATED):
            for job_id in self._not_terminated(job_ids[first : first + MAX_TERMINATED], reason):
                self._client.terminate_job(jobId=job_id, reason=reason)
        return len(job_ids)

    def _not_terminated(self, job_ids: Sequence[str], reason: str) -> list[str]:
        """End jobs by one call; those that it did not end."""
        answer = self._client.terminate_jobs(jobs=list(job_ids), reason=reason)
        return [error["job"] for error in answer["errors"]]

    @named_outages(_SERVICE)
    def definition(self, name: str, container: Container) -> str | None:
        """The job definition of that name for a container, if there is one.

        One of that name that says something else is not taken: whatever it is, it is not ours.
        """
        known = self._client.describe_job_definitions(jobDefinitionName=name, status="ACTIVE")
        for definition in known["jobDefinitions"]:
            if is_for(definition, container):
                return definition["jobDefinitionArn"]
        return None

    @named_outages(_SERVICE)
    def register(self, *, name: str, based_on_arn: str, container: Container) -> str:
        """Make a job definition for a container, from the stack's own."""
        own = self._describe_definition(based_on_arn)
        answer = self._client.register_job_definition(**definition_of(own, name, container))
        return answer["jobDefinitionArn"]

    def definitions(self) -> Iterator[str]:
        """The ARNs of all job definitions of the account that jobs can be submitted by."""
        pages = self._client.get_paginator("describe_job_definitions").paginate(status="ACTIVE")
        with named_outages(_SERVICE):
            for page in pages:
                for definition in page["jobDefinitions"]:
                    yield definition["jobDefinitionArn"]

    @named_outages(_SERVICE)
    def deregister(self, definition_arn: str) -> None:
        """Let no more jobs be submitted by a definition; those that were go on."""
        self._client.deregister_job_definition(jobDefinition=definition_arn)

    def _describe_definition(self, arn: str) -> dict[str, Any]:
        found = self._client.describe_job_definitions(jobDefinitions=[arn])["jobDefinitions"]
        if not found:
            raise RunMisconfigured(f"the stack's job definition {arn} does not exist")
        return dict(found[0])

    def _described(self, job_ids: Sequence[str]) -> Iterator[Mapping[str, Any]]:
        for first in range(0, len(job_ids), MAX_DESCRIBED):
            some = list(job_ids[first : first + MAX_DESCRIBED])
            yield from self._client.describe_jobs(jobs=some)["jobs"]


def _running(job: Mapping[str, Any]) -> int:
    array = job.get("arrayProperties", {})
    if "size" in array:
        return int(array.get("statusSummary", {}).get("RUNNING", 0))
    return int(job["status"] == "RUNNING")
