"""On what rests what is written: looked at when it is written, against what there is then.

As in :mod:`tests.simulation.watch` each rule's docstring is the sentence of its violation.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from drydock.decision import SUPERSEDED
from drydock.keys import ControlKeys, parse_job_name
from drydock.markers import parse_done, parse_marker_name
from drydock.outcome import parse_outcome
from drydock.parts import OutputObject, parse_part_record
from drydock.run_document import RunDocument, parse_run_document
from drydock.shard_document import Round, ShardDocument, parse_shard_document
from drydock.tasks import parse_tasks
from local.batch.model import ENDED
from tests.simulation.told import Violated

if TYPE_CHECKING:
    from tests.simulation.stack import Stack


CLOCKS_APART_S = 60.0


@dataclass
class Seen:
    """What one process saw: since when, when it listed what, and of which epoch it learnt what to
    do."""

    listed: dict[str, float] = field(default_factory=dict)
    epoch: int | None = None
    run: RunDocument | None = None
    began: float = 0.0

    def hear(self, key: str, body: bytes) -> None:
        """A worker read an object of the control bucket."""
        if key.endswith("/run.json"):
            self.run = parse_run_document(body)
        elif "/rounds/" in key and key.endswith(".json"):
            self.epoch = json.loads(body)["epoch"]


def marker_comes_last(
    stack: Stack, changed: dict[tuple[str, str], float], seen: Seen | None, key: str, body: bytes
) -> None:
    """A marker is written when everything that it names is there as it names it, but for what
    users changed after the worker began."""
    name = parse_marker_name(key.rpartition("/")[2])
    if name is None or name.kind != "done":
        return
    parts = [part for summary in parse_done(body, name) for part in summary.chain]
    outputs = [output for part in parts for output in part.outputs]
    began = 0.0 if seen is None else seen.began
    late = {where for where, at in changed.items() if at >= began}
    for output in _missing(stack, late, outputs):
        raise Violated(marker_comes_last, f"{key} names {output.key}")


def duplicates_come_first(stack: Stack, key: str, body: bytes) -> None:
    """A shard's task list is written when its duplicates have their markers."""
    objects = stack.s3.buckets[stack.settings.data_buckets[0]]
    shard = key.rpartition("/")[2].partition(".")[0]
    for record in parse_tasks(body):
        name = f"/{shard}/{record.place:05d}.skipped"
        if record.duplicate_of is not None and not any(each.endswith(name) for each in objects):
            raise Violated(duplicates_come_first, f"{key}: place {record.place}")


def record_comes_last(stack: Stack, meddled: Iterable[tuple[str, str]], key: str, body: bytes):
    """A part's record is written when its outputs and its restart are there."""
    record = parse_part_record(body)
    restart = () if record.restart is None else (record.restart,)
    for output in _missing(stack, meddled, (*record.outputs, *restart)):
        raise Violated(record_comes_last, f"{key} names {output.key}")


def _missing(
    stack: Stack, meddled: Iterable[tuple[str, str]], outputs: Iterable[OutputObject]
) -> Iterator[OutputObject]:
    bucket = stack.settings.data_buckets[0]
    objects = stack.s3.buckets[bucket]
    for output in outputs:
        found = objects.get(output.key)
        is_there = found is not None and (found.etag, len(found.body)) == (output.etag, output.size)
        if not is_there and (bucket, output.key) not in meddled:
            yield output


def round_is_named_last(stack: Stack, run_id: str, new: ShardDocument) -> None:
    """The document names a round when its task list and its task document are there."""
    current, keys = new.current, ControlKeys(run_id)
    assert current is not None
    objects = stack.s3.buckets[stack.settings.control_bucket]
    where = (new.shard, current.number, current.unique)
    for key in (keys.round_tasks(*where), keys.round_document(*where)):
        if key not in objects:
            raise Violated(round_is_named_last, f"{key} is not there")


def withheld_places_wait(stack: Stack, run_id: str, old: ShardDocument, new: ShardDocument) -> None:
    """What a user terminated is not submitted again in its epoch."""
    current = new.current
    assert current is not None
    if old.epoch != new.epoch or not old.withheld:
        return
    key = ControlKeys(run_id).round_tasks(new.shard, current.number, current.unique)
    found = stack.s3.buckets[stack.settings.control_bucket].get(key)
    places = [] if found is None else [record.place for record in parse_tasks(found.body)]
    for place in places:
        if any(first <= place <= last for first, last in old.withheld):
            raise Violated(withheld_places_wait, f"place {place} of {old.withheld} in {key}")


def closed_after_its_job(stack: Stack, before: Round, after: Round) -> None:
    """A round is closed when its job has ended, or when Batch has long known nothing of it."""
    if before.state != "submitted" or after.state != "ended":
        return
    job = stack.batch.jobs.get(before.job_id or "")
    if job is None or job.status in ENDED or not stack.batch.record_is_there(job.id):
        return
    raise Violated(closed_after_its_job, f"{job.spec.name} ({job.id}) is {job.status}")


def recorded_jobs_stay(stack: Stack, new: ShardDocument) -> None:
    """No job of a round of this epoch is taken for one that nobody knows of."""
    for each in new.rounds_of_epoch:
        job = stack.batch.jobs.get(each.job_id or "")
        if job is not None and job.stop_reason == SUPERSEDED:
            raise Violated(recorded_jobs_stay, f"round {each.number}: {job.id} was terminated")


def claims_are_held(now: float, epoch: int, before: Round, after: Round) -> None:
    """Nobody takes a claim over before its lease has run out, unless its epoch is over.

    Whoever claims and whoever looks have clocks of their own.
    """
    is_taken = before.state == after.state == "claimed" and before != after
    left_s = before.lease_until - now
    if is_taken and left_s > CLOCKS_APART_S and before.epoch == epoch:
        raise Violated(claims_are_held, f"round {before.number} had {left_s:.0f} s left")


def adopted_before_submitted(stack: Stack, name: str, claimed_at: float) -> None:
    """Nobody submits a round again whose job Batch knew before the claim was taken over."""
    for job in stack.batch.parents.values():
        if job.spec.name == name and stack.batch.was_listed(job.id, claimed_at):
            raise Violated(adopted_before_submitted, f"{name} is {job.id} already")


def submitted_in_its_epoch(stack: Stack, name: str, look: bytes | None) -> None:
    """A job is submitted for a round of the epoch that goes on."""
    identity = parse_job_name(name)
    if identity is None or look is None:
        return
    key = ControlKeys(identity.run_id).shard_document(identity.shard)
    found = stack.s3.buckets[stack.settings.control_bucket].get(key)
    if found is None:
        return
    epoch = parse_run_document(look).epoch
    for each in parse_shard_document(found.body).rounds:
        if each.number == identity.round and each.epoch != epoch:
            raise Violated(submitted_in_its_epoch, f"{name} is of epoch {each.epoch}, not {epoch}")


def stopped_workers_begin_nothing(container: str, key: str, seen: Seen) -> None:
    """A worker that has read its epoch's stop begins no further input."""
    run = seen.run
    if run is not None and run.active_stop is not None and run.epoch == seen.epoch:
        raise Violated(stopped_workers_begin_nothing, f"{container} begins {key}")


def outcome_rests_on_what_is_there(
    stack: Stack, changed: dict[tuple[str, str], float], seen: Seen, body: bytes
) -> None:
    """An outcome names only what was there, as it is named, when its shard was listed."""
    listed_at = min(seen.listed.values(), default=0.0)
    late = {where for where, at in changed.items() if at >= listed_at}
    for settled in parse_outcome(body):
        parts = () if settled.summary is None else settled.summary.chain
        outputs = [output for part in parts for output in part.outputs]
        for output in _missing(stack, late, outputs):
            raise Violated(outcome_rests_on_what_is_there, f"{settled.marker}: {output.key}")


def markers_speak(
    stack: Stack, marked: dict[str, float], seen: Seen, key: str, body: bytes
) -> None:
    """Whatever has a marker of its end counts as that: as done, or as failed in this epoch."""
    _, run_id, _, name = key.split("/")
    shard = name.partition("-")[0]
    folder = f"markers/{run_id}/{shard}/"
    listed_at = max(
        (at for prefix, at in seen.listed.items() if prefix.endswith(folder)), default=0.0
    )
    control = stack.s3.buckets[stack.settings.control_bucket]
    epoch = parse_run_document(control[ControlKeys(run_id).run_document()].body).epoch
    ends = {settled.place: settled for settled in parse_outcome(body)}
    for each, at in marked.items():
        marker = parse_marker_name(each.rpartition("/")[2])
        if folder not in each or at >= listed_at or marker is None:
            continue
        for place in range(marker.first, marker.last + 1):
            settled = ends.get(place)
            is_done = settled is not None and settled.summary is not None
            is_lost = settled is None and marker.kind == "failed" and marker.epoch == epoch
            if is_lost or (marker.kind == "done" and not is_done):
                raise Violated(markers_speak, f"{each}, but place {place} counts as {settled}")
