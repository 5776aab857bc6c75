"""Planning a run whose inputs are slices of big files (``records_per_input``).

Files are read once, from their beginnings to their ends, and pinned by ETag. What an invocation has
no time for, the next one goes on with behind the last slice that was written, in the middle of a
file and of a shard.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import dropwhile, islice

from drydock.cutters import NotCuttable
from drydock.errors import Changed, Malformed, NotFound, RequestRejected, StoreUnavailable
from drydock.inputs import list_inputs
from drydock.planning import MAX_PROBLEMS, PlannedShard, ShardSizes, list_uris
from drydock.records import cut, kind_of
from drydock.store import AccessDenied, Store
from drydock.tasks import Record
from drydock.uris import S3Uri, parse_s3_uri

# What an invocation reads in a minute or so: it must find at least one slice.
_MOST_SLICE_BYTES = 4 << 30
_GIB = 1 << 30
_TRIES = 5


@dataclass(frozen=True, slots=True)
class Source:
    """A file to be cut, from ``first_byte`` on. ``etag`` and ``size`` are None until it is read."""

    uri: str
    etag: str | None = None
    size: int | None = None
    first_byte: int = 0


class _OutOfTimeError(Exception):
    """Raised when an invocation that has found a slice may not go on reading."""


def slicing_problem(uri: str) -> str | None:
    """Why a file cannot be cut, as far as its name tells."""
    try:
        kind_of(parse_s3_uri(uri).key)
    except NotCuttable as error:
        return f"input: {uri!r} {error}"
    return None


def list_files(chunks: Iterable[bytes], suspects: frozenset[int]) -> list[bytes]:
    """The URIs of the files that a valid list names, in its order.

    ``suspects`` are the hashes of the lines that may be named twice, as a survey found them.

    Raises:
        RequestRejected: one cannot be cut as its name tells, or is named twice.
    """
    problems: list[str] = []
    files: list[bytes] = []
    lines: dict[bytes, int] = {}
    for number, uri in list_uris(chunks):
        problem = slicing_problem(uri.decode())
        if hash(uri) in suspects and (first := lines.setdefault(uri, number)) != number:
            problem = (
                f"input: line {number}: {uri.decode()!r} is named in line {first} already; with "
                "records_per_input a list names each file once"
            )
        if problem is not None:
            problems.append(problem)
            if len(problems) == MAX_PROBLEMS:
                break
        files.append(uri)
    if problems:
        raise RequestRejected(problems)
    return files


def sources_after(files: Iterable[bytes], last: Record | None) -> Iterator[Source]:
    """The files of a list behind the one of the record that was written last."""
    rest = iter(files)
    if last is not None:
        done = last.uri.encode()
        rest = islice(dropwhile(lambda uri: uri != done, rest), 1, None)
    return (Source(uri.decode()) for uri in rest)


def prefix_sources(
    store: Store, folder: S3Uri, last: Record | None, *, recursive: bool
) -> Iterator[Source]:
    """The files below a prefix, behind the one of the record that was written last."""
    after = None if last is None else parse_s3_uri(last.uri).key
    for found in list_inputs(store, folder, recursive=recursive, start_after=after):
        yield Source(f"s3://{folder.bucket}/{found.key}", found.etag, found.size)


def rest_of(last: Record | None) -> list[Source]:
    """What is left of the file that the record that was written last is of."""
    if last is None or last.last_byte is None or last.size is None:
        return []
    first = last.last_byte + 1
    return [Source(last.uri, last.etag, last.size, first)] if first < last.size else []


@dataclass(slots=True)
class Slicer:
    """Cuts files as long as there is time."""

    store: Store
    records: int
    scratch_gib: int
    has_time: Callable[[], bool]
    _has_any: bool = field(default=False, init=False)

    def slices(self, sources: Iterable[Source]) -> Iterator[Record | None]:
        """Every slice, with place and index 0; None when time is up, which it is not at once.

        A file that has no more records than one slice is an input as it is, without a byte range.

        Raises:
            RequestRejected: a file cannot be cut, or changed while it was.
        """
        try:
            for source in sources:
                for record in self._cut(source):
                    self._has_any = True
                    yield record
                self._look_at_time()
        except _OutOfTimeError:
            yield None

    def _look_at_time(self) -> None:
        if self._has_any and not self.has_time():
            raise _OutOfTimeError

    def _cut(self, source: Source) -> Iterator[Record]:
        uri = parse_s3_uri(source.uri)
        most = min(self.scratch_gib * _GIB, _MOST_SLICE_BYTES)
        try:
            kind = kind_of(uri.key)
            source = self._pinned(source, uri)
            size = source.size or 0
            record = Record(0, 0, source.uri, source.etag, source.size)
            if size == 0:
                # Empty or gone: as without slices, the worker settles it and the others go on.
                yield record
            chunks = self._chunks(source, uri, size)
            for first, last in cut(
                chunks, kind, self.records, start=source.first_byte, most_bytes=most
            ):
                is_whole = first == 0 and last == size - 1
                yield record if is_whole else replace(record, first_byte=first, last_byte=last)
        except NotCuttable as error:
            raise RequestRejected([f"input: {source.uri!r} {error}"]) from error
        except AccessDenied as error:
            raise RequestRejected(
                [f"input: {source.uri!r}: the stack's role may not read it"]
            ) from error
        except (Changed, NotFound, Malformed) as error:
            raise RequestRejected(
                [f"input: {source.uri!r} changed while it was cut; choose another output"]
            ) from error

    def _pinned(self, source: Source, uri: S3Uri) -> Source:
        if source.size is not None:
            return source
        try:
            found = self.store.head(uri.bucket, uri.key)
        except NotFound:
            return source
        return replace(source, etag=found.etag, size=found.size)

    def _chunks(self, source: Source, uri: S3Uri, size: int) -> Iterator[bytes]:
        """The file from the source's first byte on; a connection that breaks is made anew."""
        place, tries = source.first_byte, 0
        while place < size:
            try:
                stream = self.store.get_stream(
                    uri.bucket, uri.key, first_byte=place, etag=source.etag
                )
                with closing(stream.chunks()) as chunks:
                    for chunk in chunks:
                        place, tries = place + len(chunk), 0
                        yield chunk
                        self._look_at_time()
            except StoreUnavailable:
                tries += 1
                if tries == _TRIES:
                    raise


def plan_slices(
    slices: Iterable[Record | None], begun: PlannedShard, sizes: ShardSizes
) -> Iterator[PlannedShard]:
    """The shards of slices, filled across files, from one that may have some already."""
    shard = begun
    for found in slices:
        if found is None:
            shard.whole = False
            yield shard
            return
        place = shard.inputs
        index = sizes.first_index(shard.number) + place
        add_slice(shard, replace(found, place=place, index=index))
        if shard.inputs == sizes.most(shard.number):
            yield shard
            shard = PlannedShard(shard.number + 1)
    if shard.inputs:
        yield shard


def add_slice(shard: PlannedShard, record: Record) -> None:
    """Put a slice at a shard's end. In its table are URI, first and last byte."""
    first, last = record.first_byte, record.last_byte
    if first is None:
        first, last = 0, (record.size or 0) - 1
    shard.lines.append(record.line())
    shard.uris.append(f"{record.uri}\t{first}\t{last}".encode())
