"""ResubmitInterrupted: what an event about a job of ours means for its shard."""

import re
from typing import Any

from drydock.advancing import EndedJob, advance
from drydock.children import has_grown, what_to_change
from drydock.decision import SUPERSEDED
from drydock.detection import shard_inputs
from drydock.documents import Documents
from drydock.ends import told_of, verdict_of
from drydock.errors import AlreadyExists, NotFound
from drydock.failures import BLOCKED, TOO_LARGE, Verdict
from drydock.job_views import FailedChild, attempt_of, failed_child_of, view_of
from drydock.keys import ControlKeys, JobIdentity, parse_job_name
from drydock.run_document import Stop
from drydock.services import Services
from drydock.stopping import put_and_carry_out


def resubmit_interrupted(services: Services, message: dict[str, Any]) -> str:
    """Act on one message; return what was done, for the log. Doing it twice does no harm.

    A message is one of EventBridge's events about a job or a queue, or our own
    ``{"advance": {"run_id": …, "shard": …}}``.
    """
    if "advance" in message:
        wanted = message["advance"]
        return _advance(services, str(wanted["run_id"]), int(wanted["shard"]))
    detail = message["detail"]
    job = parse_job_name(str(detail.get("jobName", "")))
    if job is None:
        return "not ours"
    array = detail.get("arrayProperties") or {}
    is_blocked = blocked_for(message) is not None
    done = "left to its array"
    if is_blocked or (detail["status"] == "FAILED" and "size" not in array):
        child, verdict = _verdict(detail)
        if verdict.policy == "stop_run":
            done = _stop(services, job, str(detail["jobId"]), child, verdict)
        elif is_blocked:
            return _tell_once(services, job, detail)
    if is_blocked or "index" in array:
        return done
    ended = None
    if detail["status"] in ("SUCCEEDED", "FAILED"):
        ended = EndedJob(str(detail["jobId"]), view_of(detail))
    return _advance(services, job.run_id, job.shard, ended)


def blocked_for(message: dict[str, Any]) -> str | None:
    """Why nothing moves in a queue, as AWS Batch's code for it; None: the message tells of none.

    https://docs.aws.amazon.com/batch/latest/userguide/job_stuck_in_runnable.html
    """
    if message.get("detail-type") != "Batch Job Queue Blocked":
        return None
    reason = str(message["detail"].get("statusReason", ""))
    found = re.match(r"(CAPACITY|MISCONFIGURATION):[A-Z_]+", reason)
    return found[0] if found else "UNDETERMINED"


def _advance(services: Services, run_id: str, shard: int, ended: EndedJob | None = None) -> str:
    try:
        return type(advance(services, run_id, shard, ended)).__name__
    except NotFound:
        # The run's documents are gone: somebody removed the run, nobody waits for it.
        return "no such run"


def _verdict(detail: dict[str, Any]) -> tuple[FailedChild, Verdict]:
    """How a job that is no array's parent failed, and what that means."""
    child, attempts = failed_child_of(detail), detail.get("attempts") or []
    return child, verdict_of(child, attempt_of(attempts[-1]) if attempts else None)


def _stop(
    services: Services, job: JobIdentity, job_id: str, child: FailedChild, verdict: Verdict
) -> str:
    """Stop the run with the sentence that says what to change; of thousands that say it, the first.

    Those that come after find the stop, and their job asked to end, and have nothing to do.
    """
    documents = Documents(services.store, services.settings.control_bucket)
    try:
        run = documents.run(job.run_id).value
        inputs = shard_inputs(services.store, run, job.shard)
        document = documents.shard(run, job.shard, inputs).value
    except NotFound:
        return "no such run"
    of_epoch = document.rounds_of_epoch if document.epoch == run.epoch else ()
    told_of_round = next((each for each in of_epoch if each.number == job.round), None)
    if told_of_round is None:
        # It tells of an earlier epoch: what was wrong then may have been mended since.
        current = document.current
        if verdict.failure_class == BLOCKED and current and current.number == job.round:
            services.jobs.terminate(job_id.partition(":")[0], SUPERSEDED)
            return "ended what an earlier epoch left blocked"
        return "of an earlier epoch"
    if run.active_stop is not None:
        if told_of_round.state == "submitted" and told_of_round.ending is None:
            return _advance(services, job.run_id, job.shard)
        return "stopped already"
    if verdict.failure_class == BLOCKED and has_grown(run, told_of_round):
        services.jobs.terminate(job_id.partition(":")[0], TOO_LARGE)
        return "ended what no machine can take"
    told = told_of(verdict, child)
    text = what_to_change(services, run, job.shard, job.round, verdict.failure_class, told)
    put_and_carry_out(services, job.run_id, Stop(run.epoch, "misconfiguration", text))
    return "stopped the run"


def _tell_once(services: Services, job: JobIdentity, detail: dict[str, Any]) -> str:
    """Tell people, once an epoch, that the run waits for machines."""
    bucket = services.settings.control_bucket
    try:
        run = Documents(services.store, bucket).run(job.run_id).value
        key = ControlKeys(job.run_id).told(run.epoch, "waits")
        services.store.put_once(bucket, key, b"")
    except NotFound:
        return "no such run"
    except AlreadyExists:
        return "told already"
    name, reason = run.current.request["name"], detail.get("statusReason", "")
    services.messages.notify(
        "drydock waits for machines", f"{name} ({detail.get('jobName')}): {reason}"
    )
    return "waits for machines"
