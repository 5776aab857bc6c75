"""Reads how far a run has come: LISTs of markers, and the documents of the run and its shards.

A shard that is complete costs one request; another one costs a document besides, and a LIST per
1,000 markers: ten for the largest. DescribeJobs is asked once for 100 arrays.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from cli.progress import RunProgress, ShardProgress
from cli.stack import Stack
from drydock.aggregation import Written, read_accounts
from drydock.budget import parse_spend
from drydock.concurrency import each
from drydock.detection import list_markers, run_keys
from drydock.documents import Documents
from drydock.errors import InvalidUri, Malformed, NotFound
from drydock.executions import Executions
from drydock.jobs import Jobs
from drydock.keys import ControlKeys, RunKeys, owner_claim
from drydock.run_document import RunDocument
from drydock.shard_document import ShardDocument, parse_shard_document
from drydock.store import Store
from drydock.uris import parse_s3_uri

_RUN_ID = re.compile(r"[0-9a-f]{16}")
_HOUR_S = 3600.0


class RunNotFound(Exception):
    """Raised when no run goes by what was given; the text says what was looked for."""


@dataclass(frozen=True, slots=True)
class Doors:
    """What a look needs of AWS. ``now`` gives seconds since 1970."""

    stack: Stack
    store: Store
    jobs: Jobs
    executions: Executions
    now: Callable[[], float]


def find_run(doors: Doors, given: str) -> str:
    """The id of the run that is named by its id, its output (``s3://…``) or its execution's ARN.

    Raises:
        RunNotFound: there is none.
    """
    if _RUN_ID.fullmatch(given):
        return given
    try:
        if given.startswith("arn:"):
            found = doors.store.get(doors.stack.control_bucket, owner_claim(given))
        else:
            uri = parse_s3_uri(given).folder()
            found = doors.store.get(uri.bucket, RunKeys("", uri.key).run_card())
        return _run_id(json.loads(found.body)["run_id"])
    except (NotFound, InvalidUri, Malformed, ValueError, KeyError, TypeError) as error:
        raise RunNotFound(
            f"no run goes by {given!r} ({error}); give a run's id (16 hex digits), its output "
            "(s3://bucket/prefix/) or the ARN of its execution"
        ) from error


def _run_id(named: object) -> str:
    """Whoever may write to the output may have written its run.json."""
    if not isinstance(named, str) or not _RUN_ID.fullmatch(named):
        raise Malformed(f"run_id is {named!r}")
    return named


def look(doors: Doors, run_id: str) -> RunProgress:
    """How far the run is now.

    Raises:
        RunNotFound: there is no such run in this stack.
    """
    run = run_of(doors, run_id)
    # Before the shards: of a run that has ended they are then what they were at its end.
    status = _status(doors, run)
    sizes = shard_sizes(doors.store, run)
    seen = each(lambda item: _shard(doors, run, *item), sizes.items())
    running = doors.jobs.running([shard.job_id for shard in seen if shard.job_id])
    stop = run.active_stop
    spent = max(_metered(doors, run), _used(seen))
    return RunProgress(
        run_id=run.run_id,
        name=str(run.current.request["name"]),
        output_uri=f"s3://{run.output_bucket}/{run.output_prefix}",
        epoch=run.epoch,
        started_at=run.current.started_at,
        status=status,
        stop=None if stop is None else f"{stop.reason}: {stop.text}",
        whole=bool(sizes),
        shards=[shard.with_running(running) for shard in seen],
        spent_usd=spent / _HOUR_S * doors.stack.vcpu_hour_usd if spent else None,
        stop_after_usd=run.current.request.get("stop_after_usd"),
        error=doors.executions.error(run.owner) if status == "FAILED" else "",
    )


def status_of(doors: Doors, run_id: str) -> str:
    """The status of the run's execution, in AWS's words; ``UNKNOWN`` of one that nobody knows.

    Raises:
        RunNotFound: there is no such run in this stack.
    """
    return _status(doors, run_of(doors, run_id))


def run_of(doors: Doors, run_id: str) -> RunDocument:
    """The run's document.

    Raises:
        RunNotFound: there is no such run in this stack.
    """
    try:
        return Documents(doors.store, doors.stack.control_bucket).run(run_id).value
    except NotFound as error:
        raise RunNotFound(f"the stack knows no run {run_id}") from error


def _status(doors: Doors, run: RunDocument) -> str:
    """The execution's status; of one that Step Functions has forgotten what its accounts say.

    It keeps those that have ended for 90 days.
    """
    status = doors.executions.status(run.owner)
    if status is not None:
        return status
    try:
        found = doors.store.get(run.output_bucket, run_keys(run).result("accounting.json"))
        accounting = json.loads(found.body)
        if accounting["epoch"] != run.epoch:
            return "UNKNOWN"
        return "SUCCEEDED" if accounting["status"] == "done" else "FAILED"
    except (NotFound, ValueError, KeyError, TypeError):
        return "UNKNOWN"


@dataclass(frozen=True, slots=True)
class _Seen:
    """A shard as S3 shows it, the job that goes on in it, and the least that it has used."""

    progress: ShardProgress
    job_id: str | None = None
    vcpu_seconds: float = 0.0

    def with_running(self, running: dict[str, int]) -> ShardProgress:
        """What Batch says of the job besides."""
        children = running.get(self.job_id or "", 0)
        if not children:
            return self.progress
        return replace(self.progress, running=children, state="running")


def shard_sizes(store: Store, run: RunDocument) -> dict[int, int]:
    """Inputs a shard, by its number and in that order; none before the manifest is whole.

    Raises:
        Malformed: what lies there is no list of shards.
    """
    key = run_keys(run).shards()
    try:
        found = store.get(run.output_bucket, key)
        return {int(item["shard"]): int(item["inputs"]) for item in json.loads(found.body)}
    except NotFound:
        return {}
    except (ValueError, KeyError, TypeError) as error:
        raise Malformed(f"s3://{run.output_bucket}/{key} lists no shards: {error!r}") from error


def _used(seen: Sequence[_Seen]) -> float:
    """vCPU-seconds of what is done: as complete shards say, and others in proportion to these."""
    known = [shard for shard in seen if shard.vcpu_seconds]
    used = sum(shard.vcpu_seconds for shard in known)
    done = sum(shard.progress.done for shard in known)
    every = sum(shard.progress.done for shard in seen)
    return used * every / done if done else used


def _metered(doors: Doors, run: RunDocument) -> float:
    """vCPU-seconds by the run's meters, which are kept for a run with a budget."""
    if run.current.request.get("stop_after_usd") is None:
        return 0.0
    key = ControlKeys(run.run_id).spend()
    try:
        return parse_spend(doors.store.get(doors.stack.control_bucket, key).body).vcpu_seconds
    except NotFound:
        return 0.0


def _shard(doors: Doors, run: RunDocument, shard: int, inputs: int) -> _Seen:
    written = read_accounts(doors.store, run, shard)
    if written is not None and is_final(run, written):
        return _finished(run, shard, written)
    settlement = list_markers(doors.store, run, shard, inputs)
    failed = [found for found in settlement.speakers.values() if found.kind == "failed"]
    progress = ShardProgress(
        shard=shard,
        inputs=inputs,
        done=settlement.count("done"),
        failed=len(failed),
        skipped=settlement.count("skipped"),
        failures=Counter(found.failure_class or "" for found in failed),
    )
    key = ControlKeys(run.run_id).shard_document(shard)
    try:
        document = parse_shard_document(doors.store.get(doors.stack.control_bucket, key).body)
    except NotFound:
        return _Seen(progress)
    return _begun(doors, run, progress, document)


def is_final(run: RunDocument, written: Written) -> bool:
    """Whether a shard's accounts say how it ends in this epoch too."""
    if written.epoch == run.epoch:
        return True
    opened = (name for name, epoch in run.reopened.items() if epoch > written.epoch)
    return not written.accounts.remaining and not any(
        written.accounts.failures.get(name) for name in opened
    )


def _finished(run: RunDocument, shard: int, written: Written) -> _Seen:
    accounts = written.accounts
    vcpus = min(int(epoch.request["resources"]["vcpus"]) for epoch in run.epochs)
    return _Seen(
        ShardProgress(
            shard=shard,
            inputs=accounts.inputs,
            done=accounts.done,
            failed=accounts.failed,
            skipped=accounts.skipped,
            failures=accounts.failures,
            state="left" if accounts.remaining else "complete",
            rounds=accounts.effort.rounds,
        ),
        vcpu_seconds=vcpus * (accounts.seconds + (accounts.effort.lost_seconds or 0.0)),
    )


def _begun(
    doors: Doors, run: RunDocument, progress: ShardProgress, document: ShardDocument
) -> _Seen:
    progress = replace(progress, rounds=len(document.rounds))
    rounds = [found for found in document.rounds if found.epoch == run.epoch]
    if not rounds:
        return _Seen(progress)
    first, newest = rounds[0], rounds[-1]
    if not progress.remaining:
        return _Seen(replace(progress, state="complete"))
    goes_on = newest.state != "ended" or document.not_before is not None
    elapsed_s = doors.now() - first.claimed_at
    gained = progress.settled - first.settled_before
    return _Seen(
        replace(
            progress,
            state="waiting",
            queue=newest.queue,
            not_before=document.not_before,
            settled_a_second=gained / elapsed_s if goes_on and gained > 0 < elapsed_s else 0.0,
        ),
        job_id=newest.job_id if newest.state == "submitted" else None,
    )
