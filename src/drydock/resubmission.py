"""ResubmitInterrupted: what an event about a job of ours means for its shard."""

from typing import Any

from drydock.advancing import EndedJob, advance
from drydock.decision import STOPPED
from drydock.detection import run_keys, shard_inputs
from drydock.documents import Documents
from drydock.errors import Malformed, NotFound
from drydock.failures import EXIT_MISCONFIGURED, Verdict, classify
from drydock.keys import JobIdentity, parse_job_name
from drydock.run_document import Stop, put_stop
from drydock.services import Services

_SENTENCE_BYTES = 2000


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
    if message.get("detail-type") == "Batch Job Queue Blocked":
        return _blocked(services, job, detail)
    is_parent = "size" in detail.get("arrayProperties", {})
    if detail["status"] == "FAILED" and not is_parent:
        verdict = _verdict(detail)
        if verdict.policy == "stop_run":
            _stop(services, job, detail, verdict)
            if "index" in detail.get("arrayProperties", {}):
                return "stopped the run"
    if "index" in detail.get("arrayProperties", {}):
        return "left to its array"
    ended = None
    if detail["status"] in ("SUCCEEDED", "FAILED"):
        ended = EndedJob(str(detail["jobId"]), detail.get("statusReason"))
    return _advance(services, job.run_id, job.shard, ended)


def _advance(services: Services, run_id: str, shard: int, ended: EndedJob | None = None) -> str:
    try:
        return type(advance(services, run_id, shard, ended)).__name__
    except NotFound:
        # The run's documents are gone: somebody removed the run, nobody waits for it.
        return "no such run"


def _verdict(detail: dict[str, Any]) -> Verdict:
    """The class of a job's last attempt; the job's own reason may be that of its termination."""
    attempts = detail.get("attempts") or [{}]
    last = attempts[-1]
    container = last.get("container") or detail.get("container", {})
    reason = last.get("statusReason") or detail.get("statusReason")
    return classify(reason, container.get("reason"), container.get("exitCode"))


def _stop(services: Services, job: JobIdentity, detail: dict[str, Any], verdict: Verdict) -> None:
    """Stop the run, once, with the sentence that says what to change, and end the round's job."""
    documents = Documents(services.store, services.settings.control_bucket)
    try:
        run = documents.run(job.run_id).value
        inputs = shard_inputs(services.store, run, job.shard)
        document = documents.shard(run, job.shard, inputs).value
    except NotFound:
        return
    if job.round not in {each.number for each in document.rounds if each.epoch == run.epoch}:
        # It tells of an earlier epoch: what was wrong then may have been mended since.
        return
    text = _sentence(services, job, detail, verdict)
    stop = Stop(run.epoch, "misconfiguration", text)
    changed = documents.change_run(job.run_id, lambda current: put_stop(current, stop))
    if changed.stop == stop and run.active_stop is None:
        services.messages.notify(f"drydock stopped {run.current.request['name']}", text)
    parent_id = str(detail["jobId"]).partition(":")[0]
    services.jobs.terminate(parent_id, STOPPED)


def _sentence(
    services: Services, job: JobIdentity, detail: dict[str, Any], verdict: Verdict
) -> str:
    """The worker's own sentence when it left one, else that of the failure's class."""
    container = detail.get("container", {})
    if container.get("exitCode") == EXIT_MISCONFIGURED:
        run = Documents(services.store, services.settings.control_bucket).run(job.run_id).value
        key = run_keys(run).misconfigured(job.shard, job.round)
        try:
            body = services.store.get(run.output_bucket, key, last_byte=_SENTENCE_BYTES).body
        except (NotFound, Malformed):
            return verdict.advice
        return body.decode(errors="replace").strip() or verdict.advice
    told = container.get("reason") or detail.get("statusReason") or ""
    advice = verdict.advice.replace("<image>", container.get("image") or "<image>")
    return f"{advice} {told}".strip()


def _blocked(services: Services, job: JobIdentity, detail: dict[str, Any]) -> str:
    reason = str(detail.get("statusReason", ""))
    verdict = classify(reason, None, None)
    if verdict.policy == "stop_run":
        _stop(services, job, detail, verdict)
        return "stopped the run"
    services.messages.notify("drydock waits for machines", f"{detail.get('jobName')}: {reason}")
    return "waits for machines"
