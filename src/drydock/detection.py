"""What remains of a shard, found from LISTs alone."""

from dataclasses import dataclass

from drydock.documents import Documents
from drydock.errors import Malformed
from drydock.keys import RunKeys, parse_part_record_name
from drydock.markers import ListedMarker, Settlement, settle
from drydock.run_document import RunDocument
from drydock.services import Services
from drydock.store import Store

_COUNT_FIRST_BYTE, _COUNT_LAST_BYTE = 8, 15


@dataclass(frozen=True, slots=True)
class Detected:
    """What S3 says of a shard: how its inputs are settled and how many part records there are."""

    settlement: Settlement
    parts: int


def run_keys(run: RunDocument) -> RunKeys:
    """The keys below the run's output prefix."""
    return RunKeys(run.run_id, run.output_prefix)


def shard_inputs(store: Store, run: RunDocument, shard: int) -> int:
    """How many inputs a shard has: the count in its manifest's header (one small GET).

    Raises:
        NotFound: the manifest has no such shard.
    """
    key = run_keys(run).manifest_tasks(shard)
    header = store.get(
        run.output_bucket, key, first_byte=_COUNT_FIRST_BYTE, last_byte=_COUNT_LAST_BYTE
    )
    if len(header.body) != _COUNT_LAST_BYTE - _COUNT_FIRST_BYTE + 1:
        raise Malformed(f"s3://{run.output_bucket}/{key} is no manifest")
    return int.from_bytes(header.body, "little")


def list_markers(store: Store, run: RunDocument, shard: int, inputs: int) -> Settlement:
    """Settle a shard from its markers' names: at most one LIST per 1,000 markers."""
    folder = run_keys(run).markers_folder(shard)
    listed = (
        ListedMarker(found.key[len(folder) :], found.size, found.etag)
        for found in store.list(run.output_bucket, folder)
    )
    return settle(listed, inputs, run.reopened)


def count_parts(store: Store, run: RunDocument, shard: int) -> int:
    """How many part records a shard has; unfinished inputs alone leave any."""
    folder = run_keys(run).parts_folder(shard)
    return sum(
        1
        for found in store.list(run.output_bucket, folder)
        if parse_part_record_name(found.key[len(folder) :]) is not None
    )


def detect(store: Store, run: RunDocument, shard: int, inputs: int) -> Detected:
    """Everything that a decision about a shard needs from S3."""
    return Detected(list_markers(store, run, shard, inputs), count_parts(store, run, shard))


def detect_restarts(services: Services, run_id: str, shard: int, owner: str) -> dict[str, int]:
    """Count what is settled of a shard and what remains.

    Raises:
        RunSuperseded: another execution owns the run now.
    """
    documents = Documents(services.store, services.settings.control_bucket)
    run = documents.owned_run(run_id, owner)
    inputs = shard_inputs(services.store, run, shard)
    settlement = list_markers(services.store, run, shard, inputs)
    return {
        "remains": len(settlement.remaining()),
        "done": settlement.count("done"),
        "failed": settlement.count("failed"),
        "skipped": settlement.count("skipped"),
    }
