"""MergeResults: from the shards' accounts to what a scientist opens, in memory that stays flat."""

import gzip
import io
import json
import tempfile
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from typing import IO, Any, TypeVar

from drydock import __version__
from drydock.accounting import Accounts, unaggregated, verdict
from drydock.aggregation import Written, read_accounts, valid_accounts
from drydock.concurrency import each
from drydock.detection import run_keys
from drydock.digest import Digest, Examples
from drydock.documents import Documents
from drydock.effort import tally, witness
from drydock.errors import DrydockError, NotFound
from drydock.histogram import Histogram
from drydock.ledger import SPOOLED_BYTES, Ledger
from drydock.ranking import Ranked, Ranking, parse_ranked
from drydock.reporting import write_report
from drydock.run_document import RunDocument
from drydock.services import Services
from drydock.shard_tables import failures_key, top_key
from drydock.tables import FAILURE_COLUMNS, csv_bytes, top_csv, top_inputs
from drydock.timeline import History, history_of

T = TypeVar("T")

# Of so many shards the accounts, and of so many molecules the poses, are held in memory at a time.
_AT_A_TIME = 256
# Of so many the tables, which may have some MiB each.
_TABLES_AT_A_TIME = 16
# A shard's list of the best is read by so much, for most of it cannot matter.
_LIST_CHUNK_BYTES = 256 << 10
# Poses that follow each other are fetched at once up to this.
_MOST_POSES_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class _Entry:
    """What a shard left: its accounts, how many turns its tables have, what its page shows."""

    accounts: Accounts
    turns: int
    scores: Histogram | None
    history: History


def merge_results(services: Services, run_id: str, owner: str) -> dict[str, Any]:
    """Write the run's results and say how it ended.

    Raises:
        RunSuperseded: another execution owns the run now.
    """
    documents = Documents(services.store, services.settings.control_bucket)
    run = documents.owned_run(run_id, owner)
    keys = run_keys(run)
    items = json.loads(services.store.get(run.output_bucket, keys.shards()).body)
    with Ledger() as ledger:
        digest = _gather(services, documents, run, items, ledger)
        accounts = ledger.total
        stop = run.active_stop
        ended = verdict(accounts, stop.reason if stop else None, stop.text if stop else None)
        # First what accounts for the run and rests on nothing more; poses take the longest.
        _write(services, run, "run.json", _provenance(run), "application/json")
        head = {"run_id": run.run_id, "epoch": run.epoch, **asdict(ended), **accounts.as_json()}
        with ledger.accounting(head) as body:
            _write(services, run, "accounting.json", body, "application/json")
        examples = _write_failures(services, run, digest.failed, accounts.failures)
        best = _best(services, run, ledger.turns)
        if accounts.knows_molecules:
            _write_best(services, run, best)
        _write_poses(services, run, best)
        no_report = write_report(services, run, ended, accounts, digest, examples, best)
        services.messages.notify(
            f"drydock: {run.current.request['name']} {ended.status}",
            ended.cause or f"{accounts.inputs} of {accounts.inputs} inputs are settled",
        )
        return {
            "status": ended.status,
            "error": ended.error,
            "cause": ended.cause,
            "results": f"s3://{run.output_bucket}/{keys.results_folder()}",
            "accounting": ledger.in_brief(),
            "no_report": no_report,
        }


def _gather(
    services: Services,
    documents: Documents,
    run: RunDocument,
    items: list[dict[str, int]],
    ledger: Ledger,
) -> Digest:
    """Enter all shards into the ledger; what of them the run's page shows."""
    digest = Digest(len(items))
    for some in _batches(items, _AT_A_TIME):
        found = each(lambda item: _entry(services, documents, run, item), some)
        for item, entry in zip(some, found, strict=True):
            ledger.enter(item["shard"], entry.accounts, entry.turns)
            digest.enter(item["shard"], entry.accounts, entry.scores, entry.history)
            if run.pilot and item["shard"] == 0:
                digest.pilot = entry.accounts
    return digest


def _batches(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for first in range(0, len(items), size):
        yield items[first : first + size]


def _entry(
    services: Services, documents: Documents, run: RunDocument, item: dict[str, int]
) -> _Entry:
    """What a shard left.

    Accounts of an earlier epoch count only as long as their outcome is frozen; a shard without
    accounts, whose Map item died or was never begun, remains whole.
    """
    shard, inputs = item["shard"], item["inputs"]
    written = read_accounts(services.store, run, shard)
    if written is not None and written.accounts.inputs != inputs:
        written = None
    if written is not None and written.epoch == run.epoch:
        return _as_written(written)
    document = documents.shard(run, shard, inputs).value
    if written is not None and valid_accounts(services, run, document) is not None:
        return _as_written(written)
    effort = tally(document.rounds, witness((), ()), {}, remains=True)
    accounts = unaggregated(inputs, effort)
    if run.active_stop and all(each.epoch != run.epoch for each in document.rounds):
        # Not even its first round was begun.
        accounts = replace(accounts, ending="stopped", texts={})
    return _Entry(accounts, 0, None, history_of(document.rounds))


def _as_written(written: Written) -> _Entry:
    history = written.history or History()
    return _Entry(written.accounts, written.turns, written.scores, history)


def _best(services: Services, run: RunDocument, turns: dict[int, int]) -> list[Ranked]:
    """The best molecules of the run: each shard's list is read until it cannot matter."""
    ranking = Ranking(int(run.current.request["keep_top"]))
    keys = [top_key(run, shard, turn) for shard in turns for turn in range(turns[shard])]
    for some in _batches(keys, _TABLES_AT_A_TIME):
        for first, rest in each(lambda key: _begun(services, run, key), some):
            with closing(rest):
                ranking.add_sorted(parse_ranked(_lines(first, rest)))
    return ranking.best()


def _begun(
    services: Services, run: RunDocument, key: str
) -> tuple[bytes, Generator[bytes, None, None]]:
    """An object's first bytes, and what reads the others."""
    chunks = services.store.get_stream(run.output_bucket, key).chunks(_LIST_CHUNK_BYTES)
    return next(chunks, b""), chunks


def _lines(first: bytes, rest: Iterable[bytes]) -> Iterator[str]:
    # Not splitlines: it would end lines at characters that may be part of a molecule's id.
    *lines, begun = first.split(b"\n")
    yield from (f"{line.decode()}\n" for line in lines)
    for chunk in rest:
        *lines, begun = (begun + chunk).split(b"\n")
        yield from (f"{line.decode()}\n" for line in lines)
    if begun:
        yield f"{begun.decode()}\n"


def _write_best(services: Services, run: RunDocument, best: list[Ranked]) -> None:
    request = run.current.request
    are_slices = request["records_per_input"] is not None
    inputs = top_inputs(request["name"], best, are_slices=are_slices)
    _write(services, run, "top.csv", top_csv(best), "text/csv")
    _write(services, run, "top_inputs.txt", inputs, "text/plain")


def _write_poses(services: Services, run: RunDocument, best: list[Ranked]) -> None:
    """The best molecules' poses in the tool's own format, best first: what was packed by itself
    for each one follows the other, which gzip takes as one file.

    A file that an earlier epoch left, and this one has nothing for, is emptied.
    """
    named: dict[str, list[tuple[str, int, int]]] = {}
    for row in (json.loads(found.row.split("\t", 2)[2]) for found in best):
        if "first_byte" in row:
            place = (row["poses"], int(row["first_byte"]), int(row["length"]))
            named.setdefault(poses_name(row["poses"]), []).append(place)
    for name, places in named.items():
        with tempfile.SpooledTemporaryFile(max_size=SPOOLED_BYTES) as body:
            for some in _batches(list(pose_ranges(places)), _AT_A_TIME):
                body.writelines(each(lambda place: _poses(services, run, *place), some))
            body.seek(0)
            _write(services, run, name, body, "application/gzip")
    folder = run_keys(run).results_folder()
    for listed in services.store.list(run.output_bucket, f"{folder}poses."):
        if listed.key.removeprefix(folder) not in named:
            name = listed.key.removeprefix(folder)
            _write(services, run, name, gzip.compress(b"", mtime=0), "application/gzip")


def poses_name(key: str) -> str:
    """The results' name for poses that are of the same format as an output of a part.

    Its own name ends with the part's number or lies in the part's folder:
    ``poses.pdbqt.gz.0`` is ``poses.pdbqt.gz``, ``test.mol2.gz.3`` is ``poses.mol2.gz``.
    """
    name = key.rpartition("/")[2]
    stem, _, number = name.rpartition(".")
    return f"poses.{(stem if number.isdigit() else name).partition('.')[2]}"


def pose_ranges(places: Iterable[tuple[str, int, int]]) -> Iterator[tuple[str, int, int]]:
    """Key, first byte and length of what to fetch for poses in that order, from theirs."""
    key, first, length = "", 0, 0
    for place in places:
        is_next = place[:2] == (key, first + length)
        if is_next and length + place[2] <= _MOST_POSES_BYTES:
            length += place[2]
            continue
        if length:
            yield key, first, length
        key, first, length = place
    if length:
        yield key, first, length


def _poses(services: Services, run: RunDocument, key: str, first: int, length: int) -> bytes:
    last = first + length - 1
    return services.store.get(run.output_bucket, key, first_byte=first, last_byte=last).body


def _write_failures(
    services: Services, run: RunDocument, shards: Sequence[int], classes: Mapping[str, int]
) -> Examples:
    """The failed inputs of the shards that have any; some of each of the run's ``classes``."""
    examples, header = Examples(), csv_bytes(FAILURE_COLUMNS, [])
    with tempfile.SpooledTemporaryFile(max_size=SPOOLED_BYTES) as body:
        body.write(header)
        for some in _batches(shards, _TABLES_AT_A_TIME):
            for found in each(lambda shard: _failures(services, run, shard), some):
                body.write(found[len(header) :])
                examples.look(classes, found)
        body.seek(0)
        _write(services, run, "failures.csv", body, "text/csv")
    return examples


def _failures(services: Services, run: RunDocument, shard: int) -> bytes:
    try:
        return services.store.get(run.output_bucket, failures_key(run, shard)).body
    except NotFound:
        return b""


def _provenance(run: RunDocument) -> bytes:
    """What ran on what: every epoch with its values, the image and what the run is."""
    return json.dumps(
        {
            "run_id": run.run_id,
            "drydock": __version__,
            "identity": run.identity,
            "reopened": run.reopened,
            "stop": asdict(run.stop) if run.stop else None,
            "epochs": [asdict(epoch) for epoch in run.epochs],
        },
        indent=2,
    ).encode()


def _write(
    services: Services, run: RunDocument, name: str, body: bytes | IO[bytes], content_type: str
) -> None:
    """Write a result, unless it lies there with the same bytes.

    A later run may rest on it by its ETag, which with a KMS key is another one for the same bytes.
    The bytes themselves are compared, for not every object has a checksum of its whole, and this is
    about a few files a run.
    """
    key, stream = run_keys(run).result(name), io.BytesIO(body) if isinstance(body, bytes) else body
    try:
        found = services.store.get_stream(run.output_bucket, key)
        with closing(found.chunks()) as chunks:
            is_same = all(stream.read(len(chunk)) == chunk for chunk in chunks)
        if is_same and not stream.read(1):
            return
    except DrydockError:
        # What cannot be read is written: most often there is nothing yet.
        pass
    stream.seek(0)
    services.store.put(run.output_bucket, key, stream, content_type=content_type)
