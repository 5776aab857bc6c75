"""The calls of boto3's Batch client that the core makes, as effects on the simulated Batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from local.batch.validation import RefusedError

if TYPE_CHECKING:
    from tests.simulation.batch import Batch

MAX_ENDED = 50


class Client:
    """The calls of boto3's client that :class:`drydock.jobs.Jobs` makes."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch

    def submit_job(self, **request: Any) -> dict[str, Any]:
        return self._ask("SubmitJob", request["jobName"], self._batch.submit, request)

    def describe_jobs(self, *, jobs: list[str]) -> dict[str, Any]:
        return self._ask("DescribeJobs", _some(jobs), self._batch.describe, jobs)

    def list_jobs(self, **request: Any) -> dict[str, Any]:
        about = request.get("arrayJobId") or request["jobQueue"].rpartition("/")[2]
        return self._ask("ListJobs", about, self._batch.list, request)

    def get_paginator(self, operation: str) -> Pages:
        calls = (self.list_jobs, self.describe_job_definitions)
        return Pages({each.__name__: each for each in calls}[operation])

    def terminate_job(self, *, jobId: str, reason: str) -> dict[str, Any]:
        def do(job_id: str) -> dict[str, Any]:
            self._batch.terminate([job_id], reason)
            return {}

        return self._ask("TerminateJob", jobId, do, jobId)

    def terminate_jobs(self, *, jobs: list[str], reason: str) -> dict[str, Any]:
        return self._ask_many("TerminateJobs", jobs, reason, self._batch.terminate)

    def cancel_job(self, *, jobId: str, reason: str) -> dict[str, Any]:
        def do(job_id: str) -> dict[str, Any]:
            self._batch.cancel([job_id], reason)
            return {}

        return self._ask("CancelJob", jobId, do, jobId)

    def cancel_jobs(self, *, jobs: list[str], reason: str) -> dict[str, Any]:
        return self._ask_many("CancelJobs", jobs, reason, self._batch.cancel)

    def describe_job_definitions(self, **request: Any) -> dict[str, Any]:
        about = request.get("jobDefinitionName", "")
        return self._ask("DescribeJobDefinitions", about, self._batch.describe_definitions, request)

    def register_job_definition(self, **request: Any) -> dict[str, Any]:
        about = request["jobDefinitionName"]
        return self._ask("RegisterJobDefinition", about, self._batch.register_definition, request)

    def _ask_many(
        self, name: str, jobs: list[str], reason: str, end: Callable[[Iterable[str], str], None]
    ) -> dict[str, Any]:
        def do(ids: list[str]) -> dict[str, Any]:
            if not 1 <= len(ids) <= MAX_ENDED:
                raise RefusedError(f"Jobs list must have 1 to {MAX_ENDED} items, got {len(ids)}")
            end(ids, reason)
            return {"successful": list(ids), "errors": []}

        return self._ask(name, _some(jobs), do, jobs)

    def _ask(
        self, name: str, about: str, do: Callable[[Any], dict[str, Any]], request: Any
    ) -> dict[str, Any]:
        def asked() -> dict[str, Any]:
            try:
                return do(request)
            except RefusedError as error:
                told = {"Code": "ClientException", "Message": str(error)}
                raise ClientError({"Error": told}, name) from error

        self._batch.calls[name] += 1
        writes = not name.startswith(("Describe", "List"))
        answer: dict[str, Any] = self._batch.kernel.effect(
            f"batch {name} {about}", asked, writes=writes
        )
        return answer


@dataclass(frozen=True)
class Pages:
    """boto3's paginator of one operation."""

    call: Callable[..., dict[str, Any]]

    def paginate(self, **request: Any) -> Iterator[dict[str, Any]]:
        while True:
            page = self.call(**request)
            yield page
            if "nextToken" not in page:
                return
            request["nextToken"] = page["nextToken"]


def _some(ids: list[str]) -> str:
    return ids[0] if len(ids) == 1 else f"{ids[0]} and {len(ids) - 1} more" if ids else "none"
