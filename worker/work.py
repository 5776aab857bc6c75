"""Learning what this child is to do, in few requests whatever the size of the shard.

A child of a run reads its task document, its offsets and its records, and LISTs the markers and
parts from its first place on: five requests and at most 8 KiB of records, four where the list is
short. What lies beyond a LIST's first page is looked up when its turn comes.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from drydock.errors import Malformed, NotFound
from drydock.keys import parse_part_record_name
from drydock.markers import MarkerName, parse_marker_name
from drydock.run_document import parse_run_document
from drydock.store import Listed, Store
from drydock.task_document import PinnedAsset, TaskDocument, parse_task_document
from drydock.tasks import Record, offsets_range, parse_offsets, parse_records
from drydock.uris import S3Uri
from worker.endings import Misconfigured
from worker.journal import Journal
from worker.places import Places

# A page of a LIST; the markers and parts of 1,000 inputs that follow each other.
_PAGE_KEYS = 1000
# Of a task list whose offsets are at most half of it so much is read at once: its records, mostly.
_SHORT_BYTES = 8192


class Work(NamedTuple):
    """What a child is to do. ``run_document`` is read for a stop of the run; None by hand.

    ``job`` tells a script by hand, and its arguments, from others over the same input.
    """

    records: tuple[Record, ...]
    places: Places
    output_bucket: str
    tool: str
    options: dict[str, Any]
    assets: dict[str, PinnedAsset]
    vcpus: int
    attempt_seconds: int | None
    checkpoint_seconds: int
    gpus: int = 0
    kms_key_id: str | None = None
    variables: tuple[str, ...] = ()
    run_document: S3Uri | None = None
    job: str | None = None

    def told(self, etag: str) -> str:
        """An input's ETag, as parts and markers tell it."""
        return etag if self.job is None else f"{etag}/{self.job}"

    @property
    def by_hand(self) -> bool:
        """Whether a person started the worker, and no run knows of it."""
        return self.run_document is None

    def in_turn(self, attempt: int) -> tuple[Record, ...]:
        """The records in the order in which an attempt works on them: each begins at another one.

        Else an input on which every attempt is used up would keep those behind it from their turn.
        So there is reason to try again as long as the next attempt begins where none has begun.
        """
        first = (self.places.round + attempt - 1) % len(self.records)
        return self.records[first:] + self.records[:first]


def learn(store: Store, task: S3Uri, child: int) -> Work:
    """Read the task document and the child's records.

    Raises:
        Misconfigured: the document or its task list is gone or is none.
    """
    try:
        document = parse_task_document(store.get(task.bucket, task.key).body)
        records = _records(store, document, child)
    except NotFound as error:
        raise Misconfigured(
            f"{task}: the round's task document or list is gone: {error}"
        ) from error
    except Malformed as error:
        raise Misconfigured(
            f"{task}: the round's task document or list cannot be read: {error}"
        ) from error
    assets = dict(document.assets)
    if document.dockfiles is not None:
        assets["dockfiles"] = document.dockfiles
    return Work(
        records=records,
        places=Places(
            document.run_id, document.output_prefix, document.shard, document.epoch, document.round
        ),
        output_bucket=document.output_bucket,
        tool=document.tool,
        options=document.options,
        assets=assets,
        vcpus=document.vcpus,
        gpus=document.gpus,
        attempt_seconds=document.attempt_seconds,
        checkpoint_seconds=document.checkpoint_seconds,
        kms_key_id=document.kms_key_id,
        variables=document.variables,
        run_document=S3Uri(document.tasks_bucket, document.run_document_key),
    )


def _records(store: Store, document: TaskDocument, child: int) -> tuple[Record, ...]:
    first = child * document.inputs_per_job
    count = min(document.inputs_per_job, document.size - first)
    if count <= 0:
        raise Misconfigured(
            f"child {child} has nothing to do: the round has {document.size} inputs in packs of "
            f"{document.inputs_per_job}"
        )
    bucket, key = document.tasks_bucket, document.tasks_key
    start, end = offsets_range(first, count)
    _, end_of_all = offsets_range(0, document.size)
    last = _SHORT_BYTES - 1 if 2 * end_of_all < _SHORT_BYTES else end
    body = store.get(bucket, key, first_byte=start, last_byte=last).body
    offsets = parse_offsets(body[: end + 1 - start])
    if end < offsets[0] and offsets[-1] <= start + len(body):
        return tuple(parse_records(body[offsets[0] - start : offsets[-1] - start]))
    lines = store.get(bucket, key, first_byte=offsets[0], last_byte=offsets[-1] - 1).body
    return tuple(parse_records(lines))


def run_is_stopped(store: Store, work: Work) -> str | None:
    """Why the run was stopped in this epoch, or None. A document that is gone stops nothing."""
    if work.run_document is None:
        return None
    try:
        found = store.get(work.run_document.bucket, work.run_document.key)
        document = parse_run_document(found.body)
    except (NotFound, Malformed):
        return None
    stop = document.active_stop
    if stop is None or document.epoch != work.places.epoch:
        return None
    return f"the run was stopped ({stop.reason}): {stop.text}"


class Listing:
    """The names below a folder from one place on, page by page as they are asked for.

    Names begin with a place of five digits, so their order is that of the places.
    """

    def __init__(self, store: Store, bucket: str, folder: str) -> None:
        self.folder = folder
        self._store = store
        self._bucket = bucket
        self._names: Sequence[Listed] = ()
        self._from = -1
        self._to = -1

    def at(self, place: int) -> Sequence[Listed]:
        """What is known of the folder around a place; a new LIST when that lies beyond it."""
        if not self._from <= place <= self._to:
            after = f"{self.folder}{place:05d}"
            pages = self._store.list_pages(
                self._bucket, self.folder, start_after=after, page_size=_PAGE_KEYS
            )
            self._names = next(iter(pages), ())
            self._from = place
            self._to = self._last_whole_place(place)
        return self._names

    def _last_whole_place(self, place: int) -> int:
        if len(self._names) < _PAGE_KEYS:
            return 99_999
        last = self._names[-1].key.removeprefix(self.folder)[:5]
        # The page may end in the middle of the last place's names.
        return max(place, int(last) - 1) if last.isdigit() else place


class Known(NamedTuple):
    """What S3 already holds of this child's inputs."""

    store: Store
    work: Work
    journal: Journal
    markers: Listing
    parts: Listing

    def settled_as(self, record: Record) -> str | None:
        """How an input is settled already, which is said: ``done``, ``failed`` or ``skipped``.

        A failed marker of an earlier epoch is none: the round would not hold its input.

        Raises:
            Misconfigured: by hand, it is the end of another job.
        """
        place = record.place
        # The first of a kind is the one that speaks.
        keys = {
            name.kind: listed.key
            for listed in reversed(self.markers.at(place))
            if listed.size > 0 and (name := self._marker(listed)) and _speaks(name, place)
            if name.kind != "failed" or (name.epoch or 0) >= self.work.places.epoch
        }
        kind = next((kind for kind in ("done", "failed", "skipped") if kind in keys), None)
        if kind is not None:
            if self.work.by_hand:
                from worker.hand import refuse_another_job  # noqa: PLC0415 - no run has a use for it

                refuse_another_job(self.store, self.work, record, keys[kind])
            about = {"index": record.index, "place": place}
            self.journal.say("settled", **about, how=kind, key=keys[kind])
        return kind

    def part_keys(self, place: int) -> list[tuple[int, str]]:
        """Number and key of an input's part records, ascending."""
        found = []
        for listed in self.parts.at(place):
            name = parse_part_record_name(listed.key.removeprefix(self.parts.folder))
            if name is not None and name[0] == place:
                found.append((name[1], listed.key))
        return sorted(found)

    def _marker(self, listed: Listed) -> MarkerName | None:
        return parse_marker_name(listed.key.removeprefix(self.markers.folder))


def _speaks(name: MarkerName, place: int) -> bool:
    return name.first <= place <= name.last


def look_up(store: Store, work: Work, journal: Journal) -> Known:
    """What S3 holds of the child's inputs, asked for when needed."""

    def listing(folder: str) -> Listing:
        return Listing(store, work.output_bucket, folder)

    markers, parts = work.places.markers_folder(), work.places.parts_folder()
    return Known(store, work, journal, listing(markers), listing(parts))
