"""Looks on while a history happens: what must hold at every moment, whoever does what.

Each rule is a function whose docstring is the sentence that a violation is told with.
"""

from __future__ import annotations

import functools
import json
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from drydock.errors import Malformed
from drydock.keys import parse_job_name
from drydock.markers import parse_done, parse_failed, parse_marker_name, parse_skipped
from drydock.run_document import RunDocument, parse_run_document
from drydock.shard_document import Round, ShardDocument, parse_shard_document
from tests.simulation import costs, grounds
from tests.simulation.plan import INPUT
from tests.simulation.told import Violated

if TYPE_CHECKING:
    from tests.simulation.kernel import Process
    from tests.simulation.s3 import Stored
    from tests.simulation.stack import Stack

_ONCE_IN_CONTROL = re.compile(
    r"runs/[0-9a-f]{16}/(assets\.json|rounds/.*|frozen/.*)|starts/.*|owners/.*"
)
_ONCE_IN_DATA = re.compile(
    r".*/(run\.json|manifest/[0-9]+\.tasks|manifest/shards\.json|(shards|parts|markers)/.*)"
)
_RESULTS = re.compile(r"(.*/)?results/")
_RUN = re.compile(r"runs/([0-9a-f]{16})/run\.json")
_SPEND = re.compile(r"runs/([0-9a-f]{16})/spend\.json")
_SHARD = re.compile(r"runs/([0-9a-f]{16})/shards/([0-9]+)\.json")
_PART = re.compile(r".*parts/[0-9a-f]{16}/[0-9]+/[0-9.]+\.json")
_MARKER = re.compile(r"(.*)markers/([0-9a-f]{16})/([0-9]+)/(.*)")
_run = functools.lru_cache(64)(parse_run_document)
_shard = functools.lru_cache(64)(parse_shard_document)


@dataclass
class Look:
    """What a process last saw of a run, and when it last wrote a shard's document."""

    run: bytes | None = None
    owner_status: str | None = None
    asked_at: int = -1
    read_at: int = -1
    wrote_at: int = -1
    wrote: float = 0.0


@dataclass
class Watch:
    """Keeps what was violated first; a history ends there."""

    stack: Stack
    violated: Violated | None = None
    # Objects that a user changed behind the service's back, by bucket and key.
    meddled: dict[tuple[str, str], float] = field(default_factory=dict)
    frozen: dict[tuple[str, str, str], str] = field(default_factory=dict)
    stops: list[tuple[str, int]] = field(default_factory=list)
    submitted: list[str] = field(default_factory=list)
    overspent: costs.Overspent = field(default_factory=costs.Overspent)
    _looks: dict[Process, Look] = field(default_factory=dict)
    _seen: dict[Process, grounds.Seen] = field(default_factory=dict)
    # Since when markers of an end are there, by their keys.
    _marked: dict[str, float] = field(default_factory=dict)

    def begin(self) -> None:
        """Be told from now on."""
        self.stack.s3.watchers.append(self._changed)
        self.stack.kernel.observe = self._observed

    def _changed(self, bucket: str, key: str, before: Stored | None, after: Stored | None) -> None:
        process = self.stack.kernel.current
        if process is not None and process.kind == "user":
            self.meddled[bucket, key] = self.stack.kernel.now
            self._marked.pop(key, None)
            return
        if before is None:
            self.meddled.pop((bucket, key), None)
        try:
            self._check_change(bucket, key, before, after)
        except Violated as violated:
            self._keep(violated)

    def _keep(self, violated: Violated) -> None:
        if self.violated is None:
            self.violated = violated
            self.stack.kernel.note(None, f"VIOLATED {violated.rule}: {violated.seen}")

    def _check_change(
        self, bucket: str, key: str, before: Stored | None, after: Stored | None
    ) -> None:
        is_control = bucket == self.stack.settings.control_bucket
        match = None if is_control else _MARKER.fullmatch(key)
        if match and before is not None and after is not None and key.endswith(".skipped"):
            mended_only_when_bad(self.stack, bucket, match, before, after)
            return
        written_once(key, before, after, is_control=is_control)
        if is_control and (match := _RUN.fullmatch(key)) and after is not None:
            swapped_only(self.stack, key, before)
            old = None if before is None else _run(before.body)
            run_document_goes_on(old, new := _run(after.body))
            self._tell_run(old, new)
            if old is not None and old.owner != new.owner:
                taken_over_from_the_dead(self.stack, old)
        elif is_control and (match := _SHARD.fullmatch(key)) and after is not None:
            swapped_only(self.stack, key, before)
            old_shard = None if before is None else _shard(before.body)
            new_shard = _shard(after.body)
            self._tell_shard(old_shard, new_shard)
            shard_document_goes_on(old_shard, new_shard)
            self._check_rounds(match[1], old_shard, new_shard)
            frozen_once(self.frozen, match[1], new_shard)
        elif is_control and (match := _SPEND.fullmatch(key)) and after is not None:
            swapped_only(self.stack, key, before)
            self.overspent.look(self.stack, match[1], after.body)
        elif is_control and "/frozen/" in key and after is not None:
            self._check_outcome(key, after.body)
        elif not is_control and (match := _MARKER.fullmatch(key)):
            self._check_marker(bucket, match, before, after)
        elif after is not None and _PART.fullmatch(key):
            grounds.record_comes_last(self.stack, self.meddled, key, after.body)
        elif after is not None and key.endswith(".tasks"):
            grounds.duplicates_come_first(self.stack, key, after.body)

    def _check_rounds(self, run_id: str, old: ShardDocument | None, new: ShardDocument) -> None:
        known = () if old is None else old.rounds
        for before, after in zip(known, new.rounds, strict=False):
            grounds.closed_after_its_job(self.stack, before, after)
            grounds.claims_are_held(self.stack.kernel.now, new.epoch, before, after)
        grounds.recorded_jobs_stay(self.stack, new)
        if old is not None and len(new.rounds) > len(known):
            grounds.round_is_named_last(self.stack, run_id, new)
            grounds.withheld_places_wait(self.stack, run_id, old, new)
            costs.vain_work_ends(self.stack, run_id, old, new)

    def _check_outcome(self, key: str, body: bytes) -> None:
        seen = self._seen.get(self.stack.kernel.current)
        if seen is not None:
            grounds.outcome_rests_on_what_is_there(self.stack, self.meddled, seen, body)
            grounds.markers_speak(self.stack, self._marked, seen, key, body)

    def _check_marker(
        self, bucket: str, match: re.Match[str], before: Stored | None, after: Stored | None
    ) -> None:
        key = match[0]
        if after is None:
            assert before is not None
            self._marked.pop(key, None)
            voided_only_when_bad(self.stack, bucket, match, before)
        else:
            self._marked[key] = self.stack.kernel.now
            seen = self._seen.get(self.stack.kernel.current)
            grounds.marker_comes_last(self.stack, self.meddled, seen, key, after.body)

    # -- what processes saw

    def _observed(self, process: Process, name: str, answer: Any) -> None:
        if process.kind == "lambda":
            self._look_on(process, name, answer)
        elif process.kind == "container" and name.startswith("s3 GetObject"):
            self._look_at_work(process, name.split(maxsplit=2)[2], answer)

    def _look_at_work(self, process: Process, name: str, answer: Any) -> None:
        bucket, _, key = name.partition("/")
        if isinstance(answer, Exception):
            return
        seen = self._seen.setdefault(process, grounds.Seen(began=self.stack.kernel.now))
        if bucket == self.stack.settings.control_bucket:
            seen.hear(key, answer["Body"].getvalue())
        elif key.startswith(INPUT):
            try:
                grounds.stopped_workers_begin_nothing(process.name, key, seen)
            except Violated as violated:
                self._keep(violated)

    def _look_on(self, process: Process, name: str, answer: Any) -> None:
        look = self._looks.setdefault(process, Look())
        is_fine = not isinstance(answer, Exception)
        if name.startswith("s3 GetObject") and name.endswith("/run.json") and is_fine:
            if f"{self.stack.settings.control_bucket}/runs/" in name:
                look.run = answer["Body"].getvalue()
                look.read_at = process.effects
        elif name.startswith("states DescribeExecution"):
            look.owner_status = answer["status"] if is_fine else None
            look.asked_at = process.effects
        elif name.startswith("s3 PutObject") and "/shards/" in name and name.endswith(".json"):
            look.wrote_at, look.wrote = process.effects, self.stack.kernel.now
        elif name.startswith("s3 ListObjectsV2") and is_fine:
            seen = self._seen.setdefault(process, grounds.Seen())
            seen.listed[name.split()[2]] = self.stack.kernel.now
        elif name.startswith("batch SubmitJob"):
            job = name.split()[2]
            self.submitted.append(job)
            try:
                looked_before_submitting(job, look)
                grounds.adopted_before_submitted(self.stack, job, look.wrote)
                grounds.submitted_in_its_epoch(self.stack, job, look.run)
                costs.pilots_come_first(self.stack, job)
            except Violated as violated:
                self._keep(violated)

    # -- the story

    def _tell_run(self, old: RunDocument | None, new: RunDocument) -> None:
        told = []
        if old is None or old.epoch != new.epoch:
            told.append(f"epoch {new.epoch} belongs to {new.owner.rpartition(':')[2]}")
            if new.reopened:
                told.append(f"reopened {new.reopened}")
        if new.stop is not None and (old is None or old.stop != new.stop):
            if (new.run_id, new.stop.epoch) not in self.stops:
                self.stops.append((new.run_id, new.stop.epoch))
            told.append(f"stop of epoch {new.stop.epoch}: {new.stop.reason} now={new.stop.now}")
        self.stack.kernel.note(
            self.stack.kernel.current, f"= run document: {'; '.join(told) or 'changed'}"
        )

    def _tell_shard(self, old: ShardDocument | None, new: ShardDocument) -> None:
        told = [f"epoch {new.epoch}"] if old is None or old.epoch != new.epoch else []
        known = () if old is None else old.rounds
        for number, each in enumerate(new.rounds):
            before = known[number] if number < len(known) else None
            if before == each:
                continue
            told.append(
                f"round {each.number} {each.state} ({each.size} inputs, {each.jobs} jobs, "
                f"{each.queue}) job {each.job_id}"
                + (f" asked to end: {each.ending}" if each.ending else "")
                + (f" progress {each.progress}, {each.reason}" if each.state == "ended" else "")
            )
        for name in ("ended", "frozen", "not_before", "barren", "voided", "voidings", "withheld"):
            value = getattr(new, name)
            if (old is None and value) or (old is not None and getattr(old, name) != value):
                told.append(f"{name} {value}")
        self.stack.kernel.note(
            self.stack.kernel.current, f"= shard {new.shard} document: {'; '.join(told)}"
        )


def written_once(
    key: str, before: Stored | None, after: Stored | None, *, is_control: bool
) -> None:
    """What is written once is never overwritten, and nothing but a bad marker is removed."""
    if before is None:
        return
    pattern = _ONCE_IN_CONTROL if is_control else _ONCE_IN_DATA
    if not pattern.fullmatch(key) or (not is_control and _RESULTS.match(key)):
        return
    if after is None:
        if is_control or not _MARKER.fullmatch(key):
            raise Violated(written_once, f"{key} was removed")
    elif is_control and after.etag == before.etag:
        return
    else:
        raise Violated(written_once, f"{key} was overwritten")


def swapped_only(stack: Stack, key: str, before: Stored | None) -> None:
    """The documents of runs and shards change by compare-and-swap alone."""
    condition = stack.s3.condition
    expected = "*" if before is None else before.etag
    if condition is None or condition.strip('"') != expected:
        raise Violated(swapped_only, f"{key} was written with the condition {condition}")


def run_document_goes_on(old: RunDocument | None, new: RunDocument) -> None:
    """A run's epochs are only ever added to, one at a time, and an epoch has one stop."""
    if old is None:
        return
    if old.run_id != new.run_id or old.identity != new.identity:
        raise Violated(run_document_goes_on, "the run became another one")
    if new.epochs[: len(old.epochs)] != old.epochs or new.epoch not in (old.epoch, old.epoch + 1):
        raise Violated(run_document_goes_on, f"epoch {old.epoch} became {new.epoch}")
    if new.epoch == old.epoch:
        before, after = old.active_stop, new.active_stop
        # A stop that lets work finish may yet become one that does not.
        if before is not None and after not in (before, replace(before, now=True)):
            raise Violated(run_document_goes_on, f"the stop {before} became {after}")
        if before is None and new.stop != old.stop and after is None:
            raise Violated(run_document_goes_on, f"epoch {new.epoch} got the stop {new.stop}")
        if new.reopened != old.reopened:
            raise Violated(run_document_goes_on, "failures were reopened within an epoch")


def taken_over_from_the_dead(stack: Stack, old: RunDocument) -> None:
    """A run is taken over only from an execution that is not RUNNING."""
    owner = stack.states.executions.get(old.owner)
    if owner is None or not owner.is_running:
        return
    # Redriven a moment ago: whoever asked before that did not see it.
    if owner.redriven_at is not None and stack.kernel.now - owner.redriven_at < 60:
        return
    raise Violated(taken_over_from_the_dead, f"{owner.name} is RUNNING and lost epoch {old.epoch}")


def shard_document_goes_on(old: ShardDocument | None, new: ShardDocument) -> None:
    """A shard's rounds are only ever added to; a round has one job; one that ended stays as it
    is."""
    if old is None:
        return
    rule = shard_document_goes_on
    if (old.shard, old.inputs) != (new.shard, new.inputs) or new.epoch < old.epoch:
        raise Violated(rule, "the shard became another one or went back an epoch")
    for before, after in zip(old.rounds, new.rounds, strict=False):
        _round_goes_on(before, after)
    added = len(new.rounds) - len(old.rounds)
    if added not in (0, 1):
        raise Violated(rule, f"{len(old.rounds)} rounds became {len(new.rounds)}")
    if added and old.rounds and old.rounds[-1].state != "ended":
        raise Violated(rule, f"round {len(old.rounds)} began while another one went on")
    if added and new.rounds[-1].number != len(old.rounds):
        raise Violated(rule, f"round {len(old.rounds)} is called {new.rounds[-1].number}")


def _round_goes_on(before: Round, after: Round) -> None:
    rule, number = shard_document_goes_on, before.number
    if before.state == "ended" and before != after:
        raise Violated(rule, f"round {number} had ended and changed")
    if before.job_id is not None and before.job_id != after.job_id:
        raise Violated(rule, f"round {number}: {before.job_id} became {after.job_id}")
    known = (before.number, before.unique, before.epoch, before.size)
    if known != (after.number, after.unique, after.epoch, after.size):
        raise Violated(rule, f"round {number} became another one")


def frozen_once(known: dict[tuple[str, str, str], str], run_id: str, new: ShardDocument) -> None:
    """A frozen outcome never changes unless failures are reopened."""
    if new.frozen is None:
        return
    thaw = (run_id, str(new.shard), json.dumps(new.frozen.reopened, sort_keys=True))
    before = known.setdefault(thaw, new.frozen.key)
    if before != new.frozen.key:
        raise Violated(frozen_once, f"shard {new.shard}: {before} became {new.frozen.key}")


def voided_only_when_bad(stack: Stack, bucket: str, match: re.Match[str], before: Stored) -> None:
    """A marker is removed only when it is bad, after the shard's document names it, and only if it
    is still the one that was read."""
    prefix, run_id, shard, name = match.groups()
    control = stack.s3.buckets[stack.settings.control_bucket]
    document = parse_shard_document(control[f"runs/{run_id}/shards/{shard}.json"].body)
    if name not in document.voided:
        raise Violated(voided_only_when_bad, f"{name} of shard {shard} is not named")
    if is_whole_marker(stack, bucket, name, before.body):
        raise Violated(voided_only_when_bad, f"{prefix}{name} of shard {shard} is whole")
    if stack.s3.condition is None or stack.s3.condition.strip('"') != before.etag:
        raise Violated(voided_only_when_bad, f"{name} was removed or changed without a condition")


def mended_only_when_bad(
    stack: Stack, bucket: str, match: re.Match[str], before: Stored, after: Stored
) -> None:
    """The marker of a duplicate is overwritten only by a whole one, and when it is bad."""
    voided_only_when_bad(stack, bucket, match, before)
    if not is_whole_marker(stack, bucket, match[4], after.body):
        raise Violated(mended_only_when_bad, f"{match[0]} is no better than before")


def is_whole_marker(stack: Stack, bucket: str, name: str, body: bytes) -> bool:
    """Whether a marker is well formed and all that it names is there as it names it."""
    parsed = parse_marker_name(name)
    if parsed is None:
        return False
    objects = stack.s3.buckets[bucket]
    try:
        if parsed.kind == "failed":
            parse_failed(body, parsed)
            return True
        if parsed.kind == "skipped":
            parse_skipped(body)
            return True
        outputs = [
            output
            for summary in parse_done(body, parsed)
            for part in summary.chain
            for output in part.outputs
        ]
    except Malformed:
        return False
    return all(
        (found := objects.get(output.key)) is not None
        and (found.etag, len(found.body)) == (output.etag, output.size)
        for output in outputs
    )


def looked_before_submitting(job: str, look: Look) -> None:
    """A job is submitted only after a look, behind the claim, at an owner that was RUNNING and an
    epoch without stop."""
    rule, identity = looked_before_submitting, parse_job_name(job)
    run = None if look.run is None else parse_run_document(look.run)
    if identity is None or run is None or run.run_id != identity.run_id:
        raise Violated(rule, f"{job}: nobody looked at its run")
    if run.active_stop is not None:
        raise Violated(rule, f"{job}: epoch {run.epoch} was stopped")
    if look.owner_status != "RUNNING":
        raise Violated(rule, f"{job}: the owner was {look.owner_status}")
    if min(look.read_at, look.asked_at) < look.wrote_at:
        raise Violated(rule, f"{job}: the look was before the claim")
