"""ListJobs: by queue or array, by status or job name, in pages."""

import base64
from collections.abc import Mapping
from typing import Any

from local.batch.model import Job
from local.batch.registry import Registry
from local.batch.validation import RefusedError

_STATUSES = {"SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING", "SUCCEEDED", "FAILED"}
_PAGE = 1_000
_FILTERED_PAGE = 100


def list_jobs(
    request: Mapping[str, Any], jobs: Mapping[str, Job], registry: Registry
) -> dict[str, Any]:
    """One page of JobSummary. Raises RefusedError.

    With a filter the status is ignored and the newest come first (API reference, ListJobs).
    """
    if sum(key in request for key in ("jobQueue", "arrayJobId", "multiNodeJobId")) != 1:
        raise RefusedError("Exactly one of jobQueue, arrayJobId and multiNodeJobId must be given")
    filters = request.get("filters", [])
    if filters and "jobQueue" not in request:
        raise RefusedError("Filters apply to job queues only")
    members = list(enumerate(_members(request, jobs, registry)))
    if filters:
        chosen = [(n, job) for n, job in reversed(members) if _passes(job, filters)]
    else:
        status = request.get("jobStatus", "RUNNING")
        if status not in _STATUSES:
            raise RefusedError(f"Job status {status!r} is none of {', '.join(sorted(_STATUSES))}")
        chosen = [(n, job) for n, job in members if job.status == status]
    most = _FILTERED_PAGE if filters else _PAGE
    return _page(chosen, request, max(1, min(request.get("maxResults", most), most)))


def _members(request: Mapping[str, Any], jobs: Mapping[str, Job], registry: Registry) -> list[Job]:
    if "jobQueue" in request:
        queue = registry.queue(request["jobQueue"])
        return [job for job in jobs.values() if job.parent is None and job.spec.queue is queue]
    parent = jobs.get(request.get("arrayJobId", ""))
    return parent.children if parent else []


def _passes(job: Job, filters: list[dict[str, Any]]) -> bool:
    if len(filters) != 1 or filters[0].get("name") != "JOB_NAME":
        raise RefusedError("The embedded Batch filters by JOB_NAME alone")
    name = job.spec.name.lower()
    for value in filters[0].get("values", []):
        pattern = value.lower()
        if name == pattern or (pattern.endswith("*") and name.startswith(pattern[:-1])):
            return True
    return False


def _page(chosen: list[tuple[int, Job]], request: Mapping[str, Any], size: int) -> dict[str, Any]:
    """The token names the last job of the page before: others may have left the list meanwhile."""
    if "nextToken" in request:
        last = _decoded(request["nextToken"])
        backwards = bool(request.get("filters"))
        chosen = [(n, job) for n, job in chosen if (n < last if backwards else n > last)]
    page = chosen[:size]
    answer: dict[str, Any] = {"jobSummaryList": [job.brief() for _, job in page]}
    if len(chosen) > size:
        answer["nextToken"] = base64.urlsafe_b64encode(str(page[-1][0]).encode()).decode()
    return answer


def _decoded(token: str) -> int:
    try:
        return int(base64.urlsafe_b64decode(token))
    except ValueError as error:
        raise RefusedError("Invalid nextToken") from error
