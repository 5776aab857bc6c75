"""An input's life: what it is, each attempt at it, what they left, and how it ended."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

from cli.look import Doors, RunNotFound, run_of, shard_sizes
from drydock.detection import list_markers, run_keys
from drydock.errors import Malformed, NotFound
from drydock.failures import classify
from drydock.keys import ControlKeys
from drydock.markers import Content, Speaker, parse_marker, parse_marker_name
from drydock.parts import PartRecord, parse_part_record
from drydock.run_document import RunDocument
from drydock.shard_document import Round, parse_shard_document
from drydock.tasks import Record, offsets_range, parse_offsets, parse_records, parse_tasks


@dataclass(frozen=True, slots=True)
class Attempt:
    """One start of a container that worked on the input, in Batch's words.

    Times are seconds since 1970. ``status`` is None of one that has ended, and ``failure_class``
    of one that did not end badly.
    """

    number: int
    status: str | None = None
    started_at: float | None = None
    stopped_at: float | None = None
    reason: str = ""
    exit_code: int | None = None
    log_stream: str | None = None
    failure_class: str | None = None


@dataclass(frozen=True, slots=True)
class RoundOfInput:
    """A round that the input was in. ``attempts`` is None when Batch knows the job no more."""

    number: int
    epoch: int
    queue: str
    memory_mib: int
    claimed_at: float
    job_id: str | None
    attempts: tuple[Attempt, ...] | None


@dataclass(frozen=True, slots=True)
class Life:
    """All that is known of one input. ``content`` is its marker's, where one speaks for it."""

    run_id: str
    shard: int
    record: Record
    rounds: tuple[RoundOfInput, ...]
    parts: tuple[PartRecord, ...]
    speaker: Speaker | None = None
    content: Content | None = None
    notes: tuple[str, ...] = field(default=())

    @property
    def log_streams(self) -> list[str]:
        """The log streams of its attempts, oldest first."""
        attempts = [each for found in self.rounds for each in found.attempts or ()]
        return [each.log_stream for each in attempts if each.log_stream]


def life_of(doors: Doors, run_id: str, index: int) -> Life:
    """Read the life of an input, by its number in the manifest.

    Raises:
        RunNotFound: there is no such run, or it has no such input.
    """
    run = run_of(doors, run_id)
    shard, place, inputs = _where(doors, run, index)
    record = _record(doors, run, shard, place)
    speaker = list_markers(doors.store, run, shard, inputs).speakers.get(place)
    notes: list[str] = []
    return Life(
        run_id=run.run_id,
        shard=shard,
        record=record,
        rounds=tuple(_rounds(doors, run, shard, place)),
        parts=tuple(_parts(doors, run, shard, place, notes)),
        speaker=speaker,
        content=None if speaker is None else _content(doors, run, shard, speaker, notes),
        notes=tuple(notes),
    )


def _where(doors: Doors, run: RunDocument, index: int) -> tuple[int, int, int]:
    """Shard and place of an input, and how many inputs the shard has."""
    sizes = shard_sizes(doors.store, run)
    if not sizes:
        raise RunNotFound(f"run {run.run_id} has no manifest yet: it is being written")
    for (shard, inputs), end in zip(sizes.items(), accumulate(sizes.values()), strict=True):
        if index < end:
            return shard, index - (end - inputs), inputs
    raise RunNotFound(
        f"run {run.run_id} has inputs 0 to {sum(sizes.values()) - 1}; {index} was given"
    )


def _record(doors: Doors, run: RunDocument, shard: int, place: int) -> Record:
    """The input's line of the manifest, by two small ranged GETs."""
    key, store = run_keys(run).manifest_tasks(shard), doors.store
    first, last = offsets_range(place, 1)
    found = store.get(run.output_bucket, key, first_byte=first, last_byte=last)
    begin, end = parse_offsets(found.body)
    found = store.get(run.output_bucket, key, first_byte=begin, last_byte=end - 1)
    return parse_records(found.body)[0]


def _content(
    doors: Doors, run: RunDocument, shard: int, speaker: Speaker, notes: list[str]
) -> Content | None:
    key = run_keys(run).markers_folder(shard) + speaker.name
    try:
        body = doors.store.get(run.output_bucket, key).body
        return parse_marker(body, parse_marker_name(speaker.name))
    except (NotFound, Malformed) as error:
        notes.append(f"its marker {speaker.name} cannot be read: {error}")
        return None


def _parts(
    doors: Doors, run: RunDocument, shard: int, place: int, notes: list[str]
) -> Iterator[PartRecord]:
    prefix = f"{run_keys(run).parts_folder(shard)}{place:05d}."
    for found in doors.store.list(run.output_bucket, prefix):
        try:
            yield parse_part_record(doors.store.get(run.output_bucket, found.key).body)
        except (NotFound, Malformed) as error:
            notes.append(f"the record {found.key} cannot be read: {error}")


def _rounds(doors: Doors, run: RunDocument, shard: int, place: int) -> Iterator[RoundOfInput]:
    key = ControlKeys(run.run_id).shard_document(shard)
    try:
        document = parse_shard_document(doors.store.get(doors.stack.control_bucket, key).body)
    except NotFound:
        return
    jobs = {
        each.number: job
        for each in document.rounds
        if (job := _job_of(doors, run, shard, each, place)) is not None
    }
    described = doors.jobs.details([job for job in jobs.values() if job])
    for each in document.rounds:
        if each.number in jobs:
            job = jobs[each.number]
            yield RoundOfInput(
                number=each.number,
                epoch=each.epoch,
                queue=each.queue,
                memory_mib=each.memory_mib,
                claimed_at=each.claimed_at,
                job_id=job or None,
                attempts=_attempts(described[job]) if job in described else None,
            )


def _job_of(doors: Doors, run: RunDocument, shard: int, found: Round, place: int) -> str | None:
    """The id of the job or child that had the input; empty of a round without job, None of one
    without the input.
    """
    key = ControlKeys(run.run_id).round_tasks(shard, found.number, found.unique)
    try:
        tasks = parse_tasks(doors.store.get(doors.stack.control_bucket, key).body)
    except NotFound:
        return None
    at = next((at for at, record in enumerate(tasks) if record.place == place), None)
    if at is None:
        return None
    if not found.job_id or found.jobs == 1:
        return found.job_id or ""
    request = next(each.request for each in run.epochs if each.epoch == found.epoch)
    return f"{found.job_id}:{at // int(request['inputs_per_job'])}"


def _attempts(job: Mapping[str, Any]) -> tuple[Attempt, ...]:
    """https://docs.aws.amazon.com/batch/latest/APIReference/API_AttemptDetail.html"""
    found = [_ended(number, each) for number, each in enumerate(job.get("attempts") or [], 1)]
    if job["status"] not in ("SUCCEEDED", "FAILED"):
        container = job.get("container") or {}
        started_at = _seconds(job.get("startedAt")) if job["status"] == "RUNNING" else None
        number = len(found) + 1
        stream = container.get("logStreamName") if job["status"] == "RUNNING" else None
        found.append(Attempt(number, job["status"], started_at, log_stream=stream))
    return tuple(found)


def _ended(number: int, attempt: Mapping[str, Any]) -> Attempt:
    container = attempt.get("container", {})
    status_reason, reason = attempt.get("statusReason"), container.get("reason")
    code = container.get("exitCode")
    return Attempt(
        number=number,
        started_at=_seconds(attempt.get("startedAt")),
        stopped_at=_seconds(attempt.get("stoppedAt")),
        reason=reason or status_reason or "",
        exit_code=code,
        log_stream=container.get("logStreamName"),
        failure_class=None if code == 0 else classify(status_reason, reason, code).failure_class,
    )


def _seconds(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000
