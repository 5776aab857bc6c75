"""Cheap containers: each takes its time and leaves what the worker would, without being one.

For whoever counts the calls of a million of them. Outputs, part records and markers are written by
the core's own encoders; they appear when the container ends, which nobody can tell that looks at a
shard only once its job has ended.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from drydock.failures import EXIT_AGAIN, EXIT_DONE
from drydock.markers import Failure, InputSummary, encode_done, encode_failed
from drydock.parts import OutputObject, PartOutputs, PartRecord, as_outputs
from drydock.task_document import TaskDocument, parse_task_document
from drydock.tasks import Record, parse_tasks
from drydock.uris import parse_s3_uri
from tests.simulation.kernel import Event
from tests.simulation.s3 import Stored
from worker.places import Places
from worker.results import FLUSH_S

if TYPE_CHECKING:
    from tests.simulation.attempts import Attempt
    from tests.simulation.stack import Stack

INPUT_ETAG = "0123456789abcdef0123456789abcdef"
BAD_EVERY = 500
_BODIES = 97


@dataclass(frozen=True)
class Assignment:
    """What the containers of a round share: the document, the records, where they write."""

    document: TaskDocument
    records: list[Record]
    places: Places


@dataclass
class Farm:
    """Makes the containers. ``child_s`` is what one takes for all its inputs, ``rows`` how many
    score rows there are for an input.
    """

    stack: Stack
    child_s: float = 600.0
    rows: int = 3
    redone: int = 0
    assignments: dict[str, Assignment] = field(default_factory=dict)
    # Unfinished parts, by shard and place.
    parts: dict[tuple[int, int], list[PartRecord]] = field(default_factory=dict)
    settled: dict[int, set[int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.scores = [self._scores(number) for number in range(_BODIES)]
        self.poses = stored(b"no poses")

    def _scores(self, number: int) -> Stored:
        lines = [
            json.dumps({"id": f"Z{number:02d}{row:04d}", "score": -7.0 - (number * row) % 41 / 10})
            for row in range(self.rows)
        ]
        return stored(gzip.compress("".join(f"{line}\n" for line in lines).encode(), mtime=0))

    def container(self, stack: Stack, attempt: Attempt) -> Cheap:
        """Batch's ``make_container``."""
        del stack
        return Cheap(self, attempt)

    def assignment(self, location: str) -> Assignment:
        """What lies where ``S3_TASK_LOCATION`` points to."""
        if location not in self.assignments:
            uri = parse_s3_uri(location)
            buckets = self.stack.s3.buckets
            document = parse_task_document(buckets[uri.bucket][uri.key].body)
            records = parse_tasks(buckets[document.tasks_bucket][document.tasks_key].body)
            of = (document.run_id, document.output_prefix, document.shard)
            places = Places(*of, document.epoch, document.round)
            self.assignments[location] = Assignment(document, records, places)
        return self.assignments[location]

    def forget(self, shard: int) -> None:
        """Drop what is known of a shard that has ended."""
        self.settled.pop(shard, None)
        self.parts = {key: found for key, found in self.parts.items() if key[0] != shard}
        known = self.assignments.items()
        self.assignments = {at: of for at, of in known if of.document.shard != shard}


@dataclass(eq=False)
class Stand:
    """What Batch looks at of a container's process."""

    ended: Event
    dead: bool = False
    error: BaseException | None = None
    result: int | None = None


class Cheap:
    """One container, as :class:`tests.simulation.containers.Container` is one."""

    def __init__(self, farm: Farm, attempt: Attempt) -> None:
        self.farm = farm
        kernel = farm.stack.kernel
        self.process: Any = Stand(Event(kernel))
        self._job, self._attempt = attempt.job.id, attempt.number
        self._log_stream = attempt.log_stream
        environment = attempt.environment()
        self._work = farm.assignment(environment["S3_TASK_LOCATION"])
        self._kernel, self._began = kernel, kernel.now
        pack = self._work.document.inputs_per_job
        first = int(environment.get("AWS_BATCH_JOB_ARRAY_INDEX", 0)) * pack
        settled = self._settled
        self._mine = [
            record
            for record in self._work.records[first : first + pack]
            if record.place not in settled
        ]
        pace = kernel.chooser.between(f"{attempt.name} pace", 0.8, 1.2)
        self._input_s = pace * farm.child_s / pack
        whole_s = sum(self._seconds(record) for record in self._mine)
        self._timer = kernel.after(max(1.0, whole_s), self._finish)

    @property
    def _settled(self) -> set[int]:
        return self.farm.settled.setdefault(self._work.document.shard, set())

    def terminate(self) -> None:
        """SIGTERM."""
        self._interrupt("signal: SIGTERM")

    def hear_notice(self, machine: str) -> None:
        """The machine will be taken away: what is done of the input in work is kept as a part."""
        self._interrupt(f"spot: {machine}")

    def kill(self) -> None:
        """SIGKILL: what was not flushed is lost."""
        if self.process.ended.is_set:
            return
        lived_s = self._kernel.now - self._began
        done, _ = self._done_after(lived_s // FLUSH_S * FLUSH_S)
        self._leave(done)
        self.farm.redone += len(self._done_after(lived_s)[0]) - len(done)
        self.process.dead = True
        self._end(None)

    def _finish(self) -> None:
        self._leave(self._mine)
        self._end(EXIT_DONE)

    def _interrupt(self, why: str) -> None:
        if self.process.ended.is_set:
            return
        done, rest_s = self._done_after(self._kernel.now - self._began)
        self._leave(done)
        if len(done) < len(self._mine):
            self._leave_part(self._mine[len(done)], rest_s, why)
        self._end(EXIT_AGAIN)

    def _end(self, code: int | None) -> None:
        self._timer.cancel()
        self.process.result = code
        self.process.ended.set()

    # -- work

    def _seconds(self, record: Record) -> float:
        if record.index % BAD_EVERY == BAD_EVERY - 1:
            return 1.0
        kept_s = sum(part.seconds for part in self._parts_of(record))
        return max(1.0, self._input_s - kept_s)

    def _parts_of(self, record: Record) -> list[PartRecord]:
        return self.farm.parts.get((self._work.document.shard, record.place), [])

    def _done_after(self, lived_s: float) -> tuple[list[Record], float]:
        """The inputs that are finished by then, and the seconds of the one in work."""
        for number, record in enumerate(self._mine):
            needs_s = self._seconds(record)
            if lived_s < needs_s:
                return self._mine[:number], lived_s
            lived_s -= needs_s
        return self._mine, 0.0

    # -- what it leaves

    def _leave(self, done: list[Record]) -> None:
        """Outputs, then markers: one for each run of inputs that ended within a flush's period."""
        pending: list[InputSummary] = []
        since_s = 0.0
        for record in done:
            since_s += self._seconds(record)
            self._settled.add(record.place)
            if record.index % BAD_EVERY == BAD_EVERY - 1:
                self._flush(pending)
                self._fail(record)
            else:
                own = PartOutputs(*self._outputs(record), self._input_s, self._job, self._attempt)
                pending.append(self._summary(record, own))
            if since_s >= FLUSH_S:
                self._flush(pending)
                since_s = 0.0
        self._flush(pending)

    def _flush(self, pending: list[InputSummary]) -> None:
        for some in _runs(pending):
            key = self._work.places.done_marker(some[0].place, some[-1].place)
            self._put_once(key, stored(encode_done(some)))
        pending.clear()

    def _fail(self, record: Record) -> None:
        failure = Failure(
            record.place,
            record.index,
            self._work.document.epoch,
            "bad_input",
            "planted",
            None,
            (),
            self._log_stream,
            self._job,
            self._attempt,
        )
        key = self._work.places.failed_marker(record.place, "bad_input")
        self._put_once(key, stored(encode_failed(failure)))

    def _leave_part(self, record: Record, seconds: float, why: str) -> None:
        number, outputs = self._outputs(record)
        before = self._parts_of(record)
        part = PartRecord(
            part=number,
            parent=before[-1].part if before else None,
            place=record.place,
            index=record.index,
            input_etag=INPUT_ETAG,
            outputs=outputs,
            restart=None,
            progress=len(before) + 1,
            why=why,
            job_id=self._job,
            attempt=self._attempt,
            seconds=seconds,
        )
        self._put_once(self._work.places.part_record(record.place, number), stored(part.to_json()))
        self.farm.parts[self._work.document.shard, record.place] = [*before, part]

    def _outputs(self, record: Record) -> tuple[int, tuple[OutputObject, ...]]:
        number = len(self._parts_of(record))
        folder = self._work.places.input_folder(record.place)
        scores = self.farm.scores[record.index % _BODIES]
        found = []
        for name, of in (("poses", self.farm.poses), ("scores", scores)):
            key = f"{folder}{name}.{'tsv' if name == 'scores' else 'pdbqt'}.gz.{number}"
            self._put_once(key, of)
            found.append(OutputObject(name, key, len(of.body), of.etag))
        return number, tuple(found)

    def _summary(self, record: Record, own: PartOutputs) -> InputSummary:
        return InputSummary(
            place=record.place,
            index=record.index,
            input_etag=INPUT_ETAG,
            chain=(*map(as_outputs, self._parts_of(record)), own),
            molecules=self.farm.rows,
            failed_molecules=0,
            seconds=self._input_s,
            best_id="Z000000",
            best_score=-7.0,
            job_id=self._job,
            attempt=self._attempt,
        )

    def _put_once(self, key: str, body: Stored) -> None:
        self.farm.stack.s3.buckets[self._work.document.output_bucket].setdefault(key, body)


def stored(body: bytes) -> Stored:
    """An object with its ETag."""
    return Stored(body, hashlib.md5(body, usedforsecurity=False).hexdigest())


def _runs(summaries: list[InputSummary]) -> Iterator[list[InputSummary]]:
    run: list[InputSummary] = []
    for summary in summaries:
        if run and run[-1].place + 1 != summary.place:
            yield run
            run = []
        run.append(summary)
    if run:
        yield run
