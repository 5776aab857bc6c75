"""What an attempt leaves in S3: outputs, then a part's record, and markers last.

A part's number is claimed by the conditional put of its first output, and no object is ever
overwritten. Only a record authorises another attempt to go on from a part, only a marker says that
an input is settled.
"""

import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import count
from pathlib import Path

from drydock.errors import AlreadyExists, Malformed, NotFound, StoreUnavailable
from drydock.markers import (
    Failure,
    InputSummary,
    encode_done,
    encode_failed,
    parse_marker,
    parse_marker_name,
)
from drydock.parts import OutputObject, PartOutputs, PartRecord
from drydock.store import Store
from worker.endings import InputFailed
from worker.journal import Journal
from worker.places import Places
from worker.tools import Contribution, Output

FLUSH_S = 60.0
_TRIES = 5


def write_outputs(
    store: Store,
    bucket: str,
    folder: str,
    contribution: Contribution,
    first_number: int,
    scratch: Path,
) -> tuple[PartOutputs, OutputObject | None]:
    """Put a part's outputs, then its restart, under the first number from ``first_number`` on
    that is free.

    Raises:
        InputFailed: one is a link that leads out of the scratch: the worker may read more than a
            tool, and must not send it up for it.
    """
    for number in count(first_number):
        try:
            return _put_all(store, bucket, folder, contribution, number, scratch.resolve())
        except AlreadyExists:
            # Another attempt's, or our own after an answer that was lost: both are left alone.
            continue
    raise AssertionError("unreachable")


def _put_all(
    store: Store,
    bucket: str,
    folder: str,
    contribution: Contribution,
    number: int,
    scratch: Path,
) -> tuple[PartOutputs, OutputObject | None]:
    outputs = [*contribution.outputs]
    if contribution.restart is not None:
        outputs.append(contribution.restart)
    keys = {output.name: folder + output.relative_key(number) for output in outputs}

    def build(output: Output) -> Path:
        path = output.build(keys).resolve()
        if not (path.is_relative_to(scratch) and path.is_file()):
            raise InputFailed("tool_failed", f"{output.filename} is no file of the scratch")
        return path

    def put(output: Output, path: Path) -> OutputObject:
        with path.open("rb") as body:
            etag = store.put_once(bucket, keys[output.name], body)
        return OutputObject(output.name, keys[output.name], path.stat().st_size, etag)

    written: list[OutputObject] = []
    sending: Future[OutputObject] | None = None
    # Each is put after the one before it, and made while that goes up.
    with ThreadPoolExecutor(1) as pool:
        for output in outputs:
            try:
                path = build(output)
            finally:
                if sending is not None:
                    written.append(sending.result())
            sending = pool.submit(put, output, path)
        if sending is not None:
            written.append(sending.result())
    restart = None if contribution.restart is None else written.pop()
    return PartOutputs(number, tuple(written)), restart


def write_part_record(store: Store, bucket: str, places: Places, record: PartRecord) -> None:
    """Put a part's record. Its number is ours: a record that is there is this very one."""
    try:
        store.put_once(bucket, places.part_record(record.place, record.part), record.to_json())
    except AlreadyExists:
        return


class MarkerWriter:
    """Writes markers; done inputs of a pack gather until :meth:`flush` puts one for a range.

    ``blocked`` counts the markers for which there was no place: what lies there is none.
    """

    def __init__(
        self,
        store: Store,
        bucket: str,
        places: Places,
        journal: Journal,
        *,
        clock: Callable[[], float] = time.monotonic,
        period_s: float = FLUSH_S,
    ) -> None:
        self.written = 0
        self.blocked = 0
        self._store = store
        self._bucket = bucket
        self._places = places
        self._journal = journal
        self._clock = clock
        self._period_s = period_s
        self._pending: list[InputSummary] = []
        self._since = 0.0

    def done(self, summary: InputSummary) -> None:
        """Take note of an input that is complete."""
        if not self._pending:
            self._since = self._clock()
        self._pending.append(summary)

    def failed(self, failure: Failure) -> None:
        """Settle an input as failed, at once."""
        key = self._places.failed_marker(failure.place, failure.failure_class)
        self._put(key, encode_failed(failure))
        self._journal.say(
            "failed", failure_class=failure.failure_class, reason=failure.reason, key=key
        )

    def flush_if_due(self) -> None:
        """Flush when the oldest pending input has waited for the period."""
        if self._pending and self._clock() - self._since >= self._period_s:
            self.flush()

    def flush(self) -> None:
        """Put a marker for each contiguous range of what is pending."""
        for summaries in contiguous(self._pending):
            first, last = summaries[0].place, summaries[-1].place
            key = self._places.done_marker(first, last)
            self._put(key, encode_done(summaries))
            self._journal.say("done", first=first, last=last, key=key)
            # What a failing put leaves pending can be tried again.
            self._pending = [found for found in self._pending if found not in summaries]

    def _put(self, key: str, body: bytes) -> None:
        for _ in range(_TRIES):
            try:
                self._store.put_once(self._bucket, key, body)
            except AlreadyExists:
                is_whole = self._is_whole(key)
                if is_whole is None:
                    continue
                # Another attempt settled the same inputs, and the first marker speaks for them; or
                # what lies there is no marker, and whoever removes it lets the inputs go on.
                self.blocked += not is_whole
                self._journal.say("marker_was_there" if is_whole else "marker_is_none", key=key)
            self.written += 1
            return
        raise StoreUnavailable(f"s3://{self._bucket}/{key} came and went {_TRIES} times")

    def _is_whole(self, key: str) -> bool | None:
        """Whether the object under a marker's key is one; None when it is gone by now."""
        name = parse_marker_name(key.removeprefix(self._places.markers_folder()))
        try:
            parse_marker(self._store.get(self._bucket, key).body, name)
        except Malformed:
            return False
        except NotFound:
            return None
        return True


def contiguous(summaries: Iterable[InputSummary]) -> list[list[InputSummary]]:
    """Cut summaries into runs of consecutive places."""
    runs: list[list[InputSummary]] = []
    for summary in sorted(summaries, key=lambda found: found.place):
        if runs and runs[-1][-1].place + 1 == summary.place:
            runs[-1].append(summary)
        else:
            runs.append([summary])
    return runs
