"""StopRun: a run's stop by its user, the end of an execution that owned one, and the sweep."""

import json
from dataclasses import dataclass
from typing import Any, get_args

from drydock.advancing import advance
from drydock.decision import ABORTED, STOPPED, SUPERSEDED
from drydock.detection import shard_inputs
from drydock.documents import Documents
from drydock.errors import Malformed, NotFound, RequestRejected
from drydock.jobs import ActiveJob
from drydock.keys import JobIdentity, owner_claim, parse_job_name
from drydock.run_document import RunDocument, Stop, StopReason, put_stop
from drydock.services import Services

_PREFIX = "drydock-"


@dataclass(frozen=True, slots=True)
class Ended:
    """How many jobs were terminated and how many shards were looked at."""

    terminated: int = 0
    advanced: int = 0


def stop_run(services: Services, event: dict[str, Any]) -> Ended:
    """Act on what asks for an end: a user's stop, an execution's end, or the schedule.

    Raises:
        RequestRejected: a user's stop names no run or no reason.
    """
    if event.get("detail-type") == "Step Functions Execution Status Change":
        return abort_owned(services, str(event["detail"]["executionArn"]))
    if event.get("detail-type") == "Scheduled Event":
        return sweep(services)
    return stop_by_user(services, event)


def stop_by_user(services: Services, event: dict[str, Any]) -> Ended:
    """Put the stop of the run's epoch; with ``now`` terminate what runs, which then checkpoints."""
    reason = event.get("reason", "user")
    if "run_id" not in event or reason not in get_args(StopReason):
        raise RequestRejected(
            [f"stop: {json.dumps(event)[:200]} was given: run_id and reason {get_args(StopReason)}"]
        )
    run_id, now = str(event["run_id"]), bool(event.get("now", False))
    documents = Documents(services.store, services.settings.control_bucket)
    try:
        run = documents.run(run_id).value
    except NotFound as error:
        raise RequestRejected([f"stop: {run_id!r} was given: there is no such run"]) from error
    stop = Stop(run.epoch, reason, str(event.get("text", "stopped by its user")), now)
    documents.change_run(run_id, lambda current: put_stop(current, stop))
    if not now:
        return Ended()
    return Ended(terminated=_terminate(services, _active(services, run_id), STOPPED))


def abort_owned(services: Services, execution_arn: str) -> Ended:
    """Terminate the jobs of an execution that ended, as long as it still owns its run."""
    bucket = services.settings.control_bucket
    try:
        claim = services.store.get(bucket, owner_claim(execution_arn))
    except NotFound:
        return Ended()
    run_id = str(json.loads(claim.body)["run_id"])
    try:
        run = Documents(services.store, bucket).run(run_id).value
    except NotFound:
        return Ended()
    if run.owner != execution_arn:
        return Ended()
    return Ended(terminated=_terminate(services, _active(services, run_id), ABORTED))


def sweep(services: Services) -> Ended:
    """End what no running execution owns; look at claims that went silent."""
    documents = Documents(services.store, services.settings.control_bucket)
    terminated = advanced = 0
    by_run: dict[str, list[tuple[ActiveJob, JobIdentity]]] = {}
    for job in _active(services, None):
        identity = parse_job_name(job.name)
        if identity is not None:
            by_run.setdefault(identity.run_id, []).append((job, identity))
    for run_id, jobs in by_run.items():
        try:
            run = documents.run(run_id).value
        except NotFound:
            continue
        if not services.executions.is_running(run.owner):
            terminated += _terminate(services, [job for job, _ in jobs], ABORTED)
            continue
        for job, identity in jobs:
            try:
                swept = _sweep_job(services, documents, run, job, identity)
            except (NotFound, Malformed):
                # The run's objects were removed or damaged: the other runs are swept all the same.
                continue
            terminated += swept.terminated
            advanced += swept.advanced
    return Ended(terminated, advanced)


def _sweep_job(
    services: Services,
    documents: Documents,
    run: RunDocument,
    job: ActiveJob,
    identity: JobIdentity,
) -> Ended:
    inputs = shard_inputs(services.store, run, identity.shard)
    document = documents.shard(run, identity.shard, inputs).value
    current = document.current
    if current is not None and current.state != "ended" and current.job_id == job.job_id:
        return Ended()
    if current is not None and current.state == "claimed" and current.number == identity.round:
        advance(services, run.run_id, identity.shard)
        return Ended(advanced=1)
    return Ended(terminated=_terminate(services, [job], SUPERSEDED))


def _active(services: Services, run_id: str | None) -> list[ActiveJob]:
    prefix = _PREFIX if run_id is None else f"{_PREFIX}{run_id}-"
    queues = (services.settings.spot_queue_arn, services.settings.on_demand_queue_arn)
    return [job for queue in queues for job in services.jobs.active(queue, prefix)]


def _terminate(services: Services, jobs: list[ActiveJob], reason: str) -> int:
    for job in jobs:
        services.jobs.terminate(job.job_id, reason)
    return len(jobs)
