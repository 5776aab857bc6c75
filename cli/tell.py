"""Tells an input's life in lines."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from cli.life import Attempt, Life, RoundOfInput
from cli.show import duration, entry
from drydock.markers import Failure


def told(life: Life) -> Iterator[str]:
    """The whole, oldest first."""
    record = life.record
    yield f"input {record.index}: place {record.place} of shard {life.shard}"
    yield f"  {record.uri}{_slice(life)}"
    if record.etag is not None:
        size = "" if record.size is None else f", {record.size:,} bytes"
        yield f"  pinned as ETag {record.etag}{size}"
    for each in life.rounds:
        yield from _round(each)
    if not life.rounds and record.duplicate_of is None:
        yield "not submitted yet"
    for part in life.parts:
        went_on = "" if part.parent is None else f", from part {part.parent} on"
        trouble = "" if part.trouble is None else f"; died at {part.trouble}"
        yield f"part {part.part}{went_on}: progress {part.progress:,}, {part.why}{trouble}"
    yield from _end(life)
    yield from life.notes


def _slice(life: Life) -> str:
    record = life.record
    if record.first_byte is None:
        return ""
    return f", bytes {record.first_byte:,} to {record.last_byte or 0:,}"


def _round(found: RoundOfInput) -> Iterator[str]:
    job = found.job_id or "not submitted yet"
    memory = f", {found.memory_mib:,} MiB" if found.memory_mib else ""
    yield (
        f"round {found.number} (epoch {found.epoch}, {found.queue}{memory}), "
        f"{_at(found.claimed_at)}: job {job}"
    )
    if found.attempts is None and found.job_id:
        yield "  AWS Batch knows this job no more: it keeps ended ones for 7 days"
    for attempt in found.attempts or ():
        yield f"  attempt {attempt.number}: {attempt_in_words(attempt)}"
        if attempt.failure_class:
            yield f"    {attempt.failure_class}: see {entry(attempt.failure_class)}"
        if attempt.log_stream:
            yield f"    log stream {attempt.log_stream}"


def attempt_in_words(attempt: Attempt) -> str:
    """How an attempt ended, or what it does."""
    if attempt.status is not None:
        since = "" if attempt.started_at is None else f" since {_at(attempt.started_at)}"
        return f"{attempt.status}{since}"
    took = ""
    if attempt.started_at is not None and attempt.stopped_at is not None:
        took = f"{_at(attempt.started_at)}, {duration(attempt.stopped_at - attempt.started_at)}: "
    code = "no exit code" if attempt.exit_code is None else f"exit code {attempt.exit_code}"
    return f"{took}{attempt.reason or 'no reason'}, {code}"


def _end(life: Life) -> Iterator[str]:
    content = life.content
    if life.speaker is None:
        repeats = life.record.duplicate_of
        yield "remains" if repeats is None else f"repeats input {repeats}, to be skipped"
    elif isinstance(content, Failure):
        yield f"failed ({content.failure_class}): {content.reason}"
        yield f"  see {entry(content.failure_class)}"
    elif isinstance(content, tuple):
        yield f"skipped: it repeats input {content[1]}"
    elif content is None:
        yield f"settled ({life.speaker.kind})"
    else:
        summary = next(each for each in content if each.place == life.record.place)
        parts = ", ".join(str(part.part) for part in summary.chain)
        yield f"done in {duration(summary.seconds)} of work: parts {parts}"
        if summary.best_id is not None:
            yield f"  best molecule {summary.best_id}, {summary.best_score}"
        for part in summary.chain:
            for output in part.outputs:
                yield f"  {output.name}: {output.key} ({output.size:,} bytes)"


def _at(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"
