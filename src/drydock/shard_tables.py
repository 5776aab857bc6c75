"""What AggregateShard makes of a shard for MergeResults: tables of scores, the best, failures.

A large shard has a table and a list of the best for each turn. How its scores are distributed is
told with its accounts; every turn but the last leaves its share of that beside its list.
"""

import gzip
import io
import json
import math
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import IO, Any, NamedTuple

from drydock.concurrency import each
from drydock.detection import run_keys
from drydock.errors import Malformed, NotFound
from drydock.histogram import Histogram, parse_histogram
from drydock.ledger import SPOOLED_BYTES
from drydock.outcome import Settled, outputs_of
from drydock.parts import OutputObject
from drydock.ranking import Ranking
from drydock.run_document import RunDocument
from drydock.services import Services
from drydock.store import Store
from drydock.tables import FAILURE_COLUMNS, csv_bytes, ranked_row, write_scores
from drydock.tasks import parse_tasks

# What is larger is read in pieces, and so much of all objects is in memory while it is read.
PIECE_BYTES = 8 << 20
_BYTES_AT_ONCE = 64 << 20
_SCORES_AT_ONCE = 10_000


def scores_key(run: RunDocument, shard: int, turn: int) -> str:
    """Where a turn's score table lies."""
    return run_keys(run).result(f"scores/shard={shard:06d}/{turn:05d}.parquet")


def top_key(run: RunDocument, shard: int, turn: int) -> str:
    """Where a turn's best molecules lie, best first."""
    return run_keys(run).shard_results_folder(shard) + f"top-{turn:05d}.tsv"


def write_tables(
    services: Services, run: RunDocument, shard: int, settled: Sequence[Settled], turn: int
) -> Histogram:
    """Write a turn's tables; how its scores are distributed. Memory does not grow with the rows."""
    outputs = [
        output
        for one in settled
        if one.summary is not None
        for output in outputs_of(one.summary, "scores")
    ]
    store, bucket, key = services.store, run.output_bucket, scores_key(run, shard, turn)
    ranking, scores = Ranking(int(run.current.request["keep_top"])), Histogram()
    with (
        tempfile.SpooledTemporaryFile(max_size=SPOOLED_BYTES) as packed,
        tempfile.SpooledTemporaryFile(max_size=SPOOLED_BYTES) as table,
    ):
        # What asks S3 is over before the table is written, whose library calls for each row.
        lengths = _fetch(store, bucket, outputs, packed)
        packed.seek(0)
        rows = _noted(_rows(bucket, lengths, packed), ranking, scores)
        if write_scores(rows, table):
            table.seek(0)
            store.put(bucket, key, table)
        else:
            store.delete(bucket, key)
    top = "".join(found.row for found in ranking.best()).encode()
    store.put(bucket, top_key(run, shard, turn), top)
    return scores


class _Piece(NamedTuple):
    """A piece of an object, or all of it; ``number`` counts objects, ``size`` is the piece's."""

    number: int
    key: str
    size: int
    first_byte: int | None = None
    last_byte: int | None = None
    etag: str | None = None


def _pieces(outputs: Iterable[OutputObject]) -> Iterator[_Piece]:
    for number, output in enumerate(outputs):
        if output.size <= PIECE_BYTES:
            yield _Piece(number, output.key, output.size)
            continue
        for first in range(0, output.size, PIECE_BYTES):
            size = min(PIECE_BYTES, output.size - first)
            yield _Piece(number, output.key, size, first, first + size - 1, output.etag)


def _at_once(pieces: Iterable[_Piece]) -> Iterator[list[_Piece]]:
    """As many pieces at a time as memory is for."""
    some: list[_Piece] = []
    size = 0
    for piece in pieces:
        if some and size + piece.size > _BYTES_AT_ONCE:
            yield some
            some, size = [], 0
        some.append(piece)
        size += piece.size
    yield some


def _fetch(
    store: Store, bucket: str, outputs: Sequence[OutputObject], packed: IO[bytes]
) -> list[tuple[str, int]]:
    """Append the objects to each other; key and length of each."""

    def read(piece: _Piece) -> bytes:
        return store.get(
            bucket,
            piece.key,
            first_byte=piece.first_byte,
            last_byte=piece.last_byte,
            etag=piece.etag,
        ).body

    lengths = [0] * len(outputs)
    for some in _at_once(_pieces(outputs)):
        for piece, body in zip(some, each(read, some), strict=True):
            lengths[piece.number] += packed.write(body)
    return [(output.key, length) for output, length in zip(outputs, lengths, strict=True)]


class _Window(io.RawIOBase):
    """So many bytes of a file from where it stands."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file, self._left = file, size

    def readable(self) -> bool:
        return True

    def readinto(self, into: Any) -> int:
        found = self._file.read(min(len(into), self._left))
        into[: len(found)] = found
        self._left -= len(found)
        return len(found)


def _rows(
    bucket: str, lengths: Iterable[tuple[str, int]], packed: IO[bytes]
) -> Iterator[dict[str, Any]]:
    """The rows of all objects, one after the other."""
    for key, length in lengths:
        try:
            with gzip.GzipFile(fileobj=_Window(packed, length)) as lines:
                yield from map(json.loads, io.BufferedReader(lines))
        except (OSError, EOFError, ValueError, zlib.error) as error:
            raise Malformed(f"s3://{bucket}/{key} is no table of scores") from error


def _noted(
    rows: Iterable[dict[str, Any]], ranking: Ranking, scores: Histogram
) -> Iterator[dict[str, Any]]:
    """The same rows, of which those with a score are noted as they pass."""
    fresh: list[float] = []
    for row in rows:
        score = row.get("score")
        if score is not None and math.isfinite(score):
            ranking.add(ranked_row(row))
            fresh.append(score)
        if len(fresh) == _SCORES_AT_ONCE:
            scores.add(fresh)
            fresh.clear()
        yield row
    scores.add(fresh)


def _turn_key(run: RunDocument, shard: int, turn: int) -> str:
    """How the scores of a turn are distributed that is not the last."""
    return run_keys(run).shard_results_folder(shard) + f"turn-{turn:05d}.json"


def keep_scores(
    services: Services, run: RunDocument, shard: int, turn: int, found: Histogram
) -> None:
    """Keep how a turn's scores are distributed, for the last one."""
    body = json.dumps(found.as_json()).encode()
    services.store.put(run.output_bucket, _turn_key(run, shard, turn), body)


def all_scores(
    services: Services, run: RunDocument, shard: int, last: int, found: Histogram
) -> Histogram | None:
    """How the shard's scores are distributed, from the last turn's and what the others kept.

    None where one of them kept nothing, as earlier versions did.
    """
    for turn in range(last):
        try:
            body = services.store.get(run.output_bucket, _turn_key(run, shard, turn)).body
            found.merge(parse_histogram(json.loads(body)))
        except (NotFound, Malformed, ValueError):
            return None
    return found


def failures_key(run: RunDocument, shard: int) -> str:
    """Where a shard's failed inputs lie, one row each."""
    return run_keys(run).shard_results_folder(shard) + "failures.csv"


def write_failures(
    services: Services, run: RunDocument, shard: int, settled: Sequence[Settled]
) -> None:
    """Write a row for each input that failed."""
    manifest = services.store.get(run.output_bucket, run_keys(run).manifest_tasks(shard))
    records = parse_tasks(manifest.body)
    rows = [
        [
            failure.index,
            records[failure.place].uri,
            failure.failure_class,
            failure.reason,
            "" if failure.exit_code is None else failure.exit_code,
            failure.epoch,
            failure.log_stream or "",
        ]
        for failure in (each.failure for each in settled)
        if failure is not None
    ]
    body = csv_bytes(FAILURE_COLUMNS, rows)
    services.store.put(run.output_bucket, failures_key(run, shard), body, content_type="text/csv")


def remove_old_turns(services: Services, run: RunDocument, shard: int, last: int) -> None:
    """Remove what an earlier, longer aggregation of the same shard left."""
    store, bucket = services.store, run.output_bucket
    first = scores_key(run, shard, last)
    for found in store.list(bucket, first.rpartition("/")[0] + "/", start_after=first):
        if found.key.endswith(".parquet"):
            store.delete(bucket, found.key)
    first, kept = top_key(run, shard, last), _turn_key(run, shard, last)
    for found in store.list(bucket, first.rpartition("/")[0] + "/", start_after=first):
        if found.key.endswith(".tsv") or found.key >= kept:
            store.delete(bucket, found.key)
