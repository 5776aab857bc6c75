"""What AggregateShard makes of a shard for MergeResults: tables of scores, the best, failures.

A large shard has a table and a list of the best for each turn. How its scores are distributed is
told with its accounts; every turn but the last leaves its share of that beside its list.
"""

import gzip
import json
import math
from collections.abc import Sequence
from typing import Any

from drydock.concurrency import each
from drydock.detection import run_keys
from drydock.errors import Malformed, NotFound
from drydock.histogram import Histogram, histogram_of, parse_histogram
from drydock.outcome import Settled, outputs_of
from drydock.ranking import Ranking
from drydock.run_document import RunDocument
from drydock.services import Services
from drydock.tables import FAILURE_COLUMNS, csv_bytes, ranked_row, scores_parquet
from drydock.tasks import parse_tasks


def scores_key(run: RunDocument, shard: int, turn: int) -> str:
    """Where a turn's score table lies."""
    return run_keys(run).result(f"scores/shard={shard:06d}/{turn:05d}.parquet")


def top_key(run: RunDocument, shard: int, turn: int) -> str:
    """Where a turn's best molecules lie, best first."""
    return run_keys(run).shard_results_folder(shard) + f"top-{turn:05d}.tsv"


def write_tables(
    services: Services, run: RunDocument, shard: int, settled: Sequence[Settled], turn: int
) -> Histogram:
    """Write a turn's tables; how its scores are distributed."""
    keys = [
        output.key
        for each in settled
        if each.summary is not None
        for output in outputs_of(each.summary, "scores")
    ]
    ranking = Ranking(int(run.current.request["keep_top"]))
    rows: list[dict[str, Any]] = []
    for found in each(lambda key: _read_rows(services, run.output_bucket, key), keys):
        rows.extend(found)
    scored = [row for row in rows if row.get("score") is not None and math.isfinite(row["score"])]
    for row in scored:
        ranking.add(ranked_row(row))
    store = services.store
    if rows:
        store.put(run.output_bucket, scores_key(run, shard, turn), scores_parquet(rows))
    else:
        store.delete(run.output_bucket, scores_key(run, shard, turn))
    top = "".join(found.row for found in ranking.best()).encode()
    store.put(run.output_bucket, top_key(run, shard, turn), top)
    return histogram_of(row["score"] for row in scored)


def _read_rows(services: Services, bucket: str, key: str) -> list[dict[str, Any]]:
    body = services.store.get(bucket, key).body
    try:
        return [json.loads(line) for line in gzip.decompress(body).splitlines()]
    except (OSError, EOFError, ValueError) as error:
        raise Malformed(f"s3://{bucket}/{key} is no table of scores") from error


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
