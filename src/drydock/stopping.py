"""StopRun: a run's stop by its user or budget, an owner's end, and the sweep."""

import json
from dataclasses import astuple, dataclass, field
from typing import Any, Literal, get_args

from drydock.advancing import advance
from drydock.concurrency import each
from drydock.decision import ABORTED, SUPERSEDED
from drydock.detection import shard_inputs
from drydock.documents import Documents
from drydock.errors import (
    DrydockError,
    Malformed,
    NotFound,
    RequestRejected,
    RunIncomplete,
    RunMisconfigured,
    RunStopped,
    RunSuperseded,
)
from drydock.job_views import ActiveJob
from drydock.keys import JobIdentity, owner_claim, parse_job_name
from drydock.run_document import RunDocument, Stop, StopReason
from drydock.services import Services
from drydock.spending import over_budget
from drydock.stops import put_and_tell

_PREFIX = "drydock-"

# How a run says itself that it ends without success; whatever else an execution fails of is broken.
OWN_ENDS = {
    each.__name__
    for each in (RequestRejected, RunIncomplete, RunMisconfigured, RunStopped, RunSuperseded)
}

Fate = Literal["fine", "leaked", "advance"]


@dataclass(frozen=True, slots=True)
class Ended:
    """How many jobs were terminated and how many shards were looked at.

    ``broken`` executions have failed of something that is no run's own end. ``runs`` and ``shards``
    are those that had active jobs, where all were looked through.
    """

    terminated: int = 0
    advanced: int = 0
    broken: int = 0
    runs: int = field(default=0, compare=False)
    shards: int = field(default=0, compare=False)

    def __add__(self, other: "Ended") -> "Ended":
        pairs = zip(astuple(self), astuple(other), strict=True)
        return Ended(*(ours + theirs for ours, theirs in pairs))


def stop_run(services: Services, event: dict[str, Any]) -> Ended:
    """Act on what asks for an end: a user's stop, an execution's end, or one of the schedules.

    Raises:
        RequestRejected: a user's stop names no run or no reason.
    """
    if event.get("detail-type") == "Step Functions Execution Status Change":
        aborted = abort_owned(services, str(event["detail"]["executionArn"]))
        return aborted + tell_of_broken(services, event["detail"])
    if event.get("detail-type") == "Scheduled Event":
        return sweep(services)
    if event.get("check") == "budgets":
        return check_budgets(services)
    return stop_by_user(services, event)


def stop_by_user(services: Services, event: dict[str, Any]) -> Ended:
    """Put the stop of the run's epoch; with ``now`` what runs is terminated, and checkpoints.

    Given with ``now`` after one without, it makes that one ``now``.

    Raises:
        RequestRejected: it names no run or no reason.
    """
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
    text = str(event.get("text", "stopped by its user"))
    return put_and_carry_out(services, run_id, Stop(run.epoch, reason, text, now))


def put_and_carry_out(services: Services, run_id: str, stop: Stop) -> Ended:
    """Put a stop, then have every active job of the run ended as it says.

    What a crash leaves undone the sweep does. A stop of an epoch that is over does nothing.

    Raises:
        NotFound: there is no such run.
        Conflict: others changed a document each time; a retry is right.
    """
    run = put_and_tell(services, run_id, stop)
    if run.active_stop is None:
        return Ended()
    return _advance_all(services, _active(services, run_id))


def abort_owned(services: Services, execution_arn: str) -> Ended:
    """Terminate the jobs of an execution that ended, as long as it still owns its run.

    They are listed before the owner is read. An execution that still owns the run then owned it
    when they were listed too, so that none of them is of an epoch after it.
    """
    bucket = services.settings.control_bucket
    try:
        claim = services.store.get(bucket, owner_claim(execution_arn))
    except NotFound:
        return Ended()
    run_id = str(json.loads(claim.body)["run_id"])
    jobs = _active(services, run_id)
    try:
        run = Documents(services.store, bucket).run(run_id).value
    except NotFound:
        return Ended(terminated=_terminate(services, jobs, ABORTED))
    if run.owner != execution_arn:
        return Ended()
    return Ended(terminated=_terminate(services, jobs, ABORTED))


def tell_of_broken(services: Services, detail: dict[str, Any]) -> Ended:
    """Tell people of an execution that failed otherwise than runs end by name, and count it."""
    if detail["status"] not in ("FAILED", "TIMED_OUT"):
        return Ended()
    arn = str(detail["executionArn"])
    # The event's documentation does not promise it.
    error = detail["error"] if "error" in detail else services.executions.error(arn)
    if error in OWN_ENDS:
        return Ended()
    text = f"{arn} {detail['status']}: {error}: {detail.get('cause', '')}"
    services.messages.notify("drydock: a run broke", text)
    return Ended(broken=1)


def sweep(services: Services) -> Ended:
    """End what no running execution owns, look at claims that went silent, carry out stops.

    Jobs are listed before any document is read, as in :func:`abort_owned`, and for its reason.
    """
    active = _active_by_run(services)
    ended = _counted(active)
    for run_id, jobs in active.items():
        ended += _sweep_run(services, run_id, jobs)
    return ended


def check_budgets(services: Services) -> Ended:
    """Add up what runs with a budget spend; stop those that have spent more than they may.

    Raises:
        DrydockError: one run could not be looked at; the others were.
    """
    documents = Documents(services.store, services.settings.control_bucket)
    active = _active_by_run(services)
    ended, problems = _counted(active), []
    for run_id, jobs in active.items():
        try:
            run = documents.run(run_id).value
            stop = over_budget(services, run, {_identity(job).shard for job in jobs})
            if stop is not None:
                ended += put_and_carry_out(services, run_id, stop)
        except NotFound:
            continue
        except DrydockError as error:
            problems.append(error)
    if problems:
        raise problems[0]
    return ended


def _counted(active: dict[str, list[ActiveJob]]) -> Ended:
    """How many runs and shards have active jobs."""
    shards = {(run_id, _identity(job).shard) for run_id, jobs in active.items() for job in jobs}
    return Ended(runs=len(active), shards=len(shards))


def _active_by_run(services: Services) -> dict[str, list[ActiveJob]]:
    by_run: dict[str, list[ActiveJob]] = {}
    for job in _active(services, None):
        identity = parse_job_name(job.name)
        if identity is not None:
            by_run.setdefault(identity.run_id, []).append(job)
    return by_run


def _sweep_run(services: Services, run_id: str, jobs: list[ActiveJob]) -> Ended:
    documents = Documents(services.store, services.settings.control_bucket)
    try:
        run = documents.run(run_id).value
    except NotFound:
        return Ended(terminated=_terminate(services, jobs, ABORTED))
    except Malformed:
        # Who owns them cannot be told: the other runs are swept all the same.
        return Ended()
    if not services.executions.is_running(run.owner):
        return Ended(terminated=_terminate(services, jobs, ABORTED))
    leaked: list[ActiveJob] = []
    to_advance: list[ActiveJob] = []
    for job, fate in zip(jobs, each(lambda job: _fate(services, run, job), jobs), strict=True):
        if fate == "leaked":
            leaked.append(job)
        elif fate == "advance":
            to_advance.append(job)
    terminated = _terminate(services, leaked, SUPERSEDED)
    return _advance_all(services, to_advance) + Ended(terminated=terminated)


def _fate(services: Services, run: RunDocument, job: ActiveJob) -> Fate:
    """What becomes of a job whose owner runs: a live claim's may be recorded any moment."""
    documents = Documents(services.store, services.settings.control_bucket)
    identity = _identity(job)
    try:
        inputs = shard_inputs(services.store, run, identity.shard)
        current = documents.shard(run, identity.shard, inputs).value.current
    except (NotFound, Malformed):
        # The run's objects were removed or damaged: the others are swept all the same.
        return "fine"
    if current is None or current.number != identity.round or current.state == "ended":
        return "leaked"
    if current.state == "claimed":
        is_live = services.now() < current.lease_until and current.epoch == run.epoch
        return "fine" if is_live else "advance"
    if current.job_id != job.job_id:
        return "leaked"
    return "fine" if run.active_stop is None else "advance"


def _advance_all(services: Services, jobs: list[ActiveJob]) -> Ended:
    """Advance the shards of jobs; one that cannot be now does not keep the others from it."""

    def look(shard: tuple[str, int]) -> DrydockError | None:
        try:
            advance(services, *shard)
        except NotFound:
            # The run's objects were removed: nobody waits for it.
            return None
        except DrydockError as error:
            return error
        return None

    shards = sorted({(found.run_id, found.shard) for found in map(_identity, jobs)})
    problems = [problem for problem in each(look, shards) if problem is not None]
    if problems:
        raise problems[0]
    return Ended(advanced=len(shards))


def _identity(job: ActiveJob) -> JobIdentity:
    identity = parse_job_name(job.name)
    if identity is None:
        raise Malformed(f"{job.name!r} is no job of a run")
    return identity


def _active(services: Services, run_id: str | None) -> list[ActiveJob]:
    prefix = _PREFIX if run_id is None else f"{_PREFIX}{run_id}-"
    queues = services.settings.queue_arns
    return [job for queue in queues for job in services.jobs.active(queue, prefix)]


def _terminate(services: Services, jobs: list[ActiveJob], reason: str) -> int:
    return services.jobs.terminate_all([job.job_id for job in jobs], reason)
