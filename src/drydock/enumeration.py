"""EnumerateInputs: from whatever started the execution to a manifest.

What one invocation cannot finish goes on with a cursor. The manifest's last object is
``shards.json``; before it there is no manifest, and an enumeration that died goes on after the
last shard that it wrote.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain
from typing import Any

from drydock.budget import announcement
from drydock.checking import check_references
from drydock.concurrency import each
from drydock.detection import run_keys, shard_inputs
from drydock.documents import Documents
from drydock.errors import AlreadyExists, Changed, Conflict, NotFound, RequestRejected
from drydock.inputs import list_inputs, list_object
from drydock.intake import Upload, accept, claim_upload, read_document, reject, upload_of
from drydock.keys import ControlKeys, RunKeys
from drydock.markers import encode_skipped
from drydock.opening import open_run
from drydock.planning import PlannedShard, ShardSizes, plan_list, plan_prefix, survey_list
from drydock.request import Request, parse_request, references
from drydock.run_document import RunDocument
from drydock.services import Services
from drydock.slicing import (
    Slicer,
    add_slice,
    list_files,
    plan_slices,
    prefix_sources,
    rest_of,
    slicing_problem,
    sources_after,
)
from drydock.store import Listed
from drydock.tasks import Record, encode_lines, parse_tasks
from drydock.uris import S3Uri, parse_s3_uri

MARGIN_S = 60.0
_CHUNK_BYTES = 1 << 20


def enumerate_inputs(
    services: Services,
    event: object,
    execution: str,
    cursor: dict[str, Any] | None,
    remaining_s: Callable[[], float],
) -> dict[str, Any]:
    """Open the run and write its manifest, or as much of it as there is time for.

    Raises:
        RequestRejected: with every problem; the uploader was told.
    """
    upload = upload_of(event)
    if cursor is None and upload is not None:
        holder = claim_upload(services, upload, execution)
        if holder is not None:
            return _empty_answer() | {"status": "duplicate", "duplicate_of": holder}
    try:
        if cursor is None:
            run, warnings = _open(services, event, upload, execution)
            accept(services, upload)
        else:
            documents = Documents(services.store, services.settings.control_bucket)
            run = documents.owned_run(str(cursor["run_id"]), execution)
            warnings = list(cursor["warnings"])
        finished = write_manifest(services, run, remaining_s)
    except RequestRejected as rejected:
        reject(services, upload, rejected.problems)
        raise
    return _answer(services, run, warnings, finished=finished)


def _open(
    services: Services, event: object, upload: Upload | None, execution: str
) -> tuple[RunDocument, list[str]]:
    """The run that an event asks for, and what its user should know of it."""
    document = read_document(services, event, upload)
    checked = check_references(services, references(document))
    try:
        request = parse_request(document)
    except RequestRejected as rejected:
        raise RequestRejected([*rejected.problems, *checked.problems]) from rejected
    checked.refuse_problems()
    run = open_run(services, request, checked, execution)
    warnings = [*checked.warnings, *_late_changes(services, run, request)]
    if warnings:
        services.messages.notify(f"drydock warns: {request.name}", "\n".join(warnings))
    return run, [*warnings, *_announcements(services, request)]


def _announcements(services: Services, request: Request) -> list[str]:
    """What who set a budget should know of it."""
    cap = request.stop_after_usd
    if cap is None:
        return []
    # On Spot and On-Demand each.
    vcpus = 2 * services.settings.max_vcpus
    price = services.settings.vcpu_hour_usd
    return [announcement(cap, vcpus, request.attempt_seconds, price)]


def _late_changes(services: Services, run: RunDocument, request: Request) -> list[str]:
    """What a later epoch asks for of a manifest that is cut already."""
    if min(request.pilot, services.settings.shard_size) == run.pilot:
        return []
    return [f"pilot: {request.pilot} was given: the run began with {run.pilot}, which stays"]


def _empty_answer() -> dict[str, Any]:
    keys = ("status", "run_id", "owner", "epoch", "image", "bucket", "items", "max_concurrency")
    return dict.fromkeys((*keys, "reconcile_seconds", "cursor", "duplicate_of", "warnings"))


def _answer(
    services: Services, run: RunDocument, warnings: list[str], *, finished: bool
) -> dict[str, Any]:
    return _empty_answer() | {
        "status": "ready" if finished else "more",
        "run_id": run.run_id,
        "owner": run.owner,
        "epoch": run.epoch,
        "image": run.current.image,
        "bucket": run.output_bucket,
        "items": _first_items(run),
        "max_concurrency": services.settings.max_concurrency,
        "reconcile_seconds": services.settings.reconcile_seconds,
        "cursor": None if finished else {"run_id": run.run_id, "warnings": warnings},
        "warnings": warnings,
    }


def _first_items(run: RunDocument) -> dict[str, Any]:
    """What the Map is entered with first: the pilot's shard, or all of them."""
    keys = run_keys(run)
    if run.pilot:
        return {"phase": "pilot", "key": keys.pilot_items(), "verdict": None}
    return {"phase": "shards", "key": keys.shards(), "verdict": None}


def write_manifest(services: Services, run: RunDocument, remaining_s: Callable[[], float]) -> bool:
    """Write the shards that are not there yet; True once the manifest is whole.

    Raises:
        RequestRejected: a list is not what it must be, or changed while it was read.
    """
    store, keys = services.store, run_keys(run)
    try:
        store.head(run.output_bucket, keys.shards())
    except NotFound:
        pass
    else:
        return True
    first_shard = _written_shards(services, run)
    last = first_shard - 1
    if first_shard and shard_inputs(store, run, last) < shard_sizes(run).most(last):
        # That was the last: what has appeared behind it since is not part of the run.
        _write_shards(services, run, keys, first_shard)
        return True
    for shard in _planned(services, run, first_shard, lambda: remaining_s() >= MARGIN_S):
        if not shard.whole:
            _keep_begun(services, run, shard)
            return False
        _write_shard(services, run, keys, shard)
        first_shard = shard.number + 1
        if remaining_s() < MARGIN_S:
            return False
    _write_shards(services, run, keys, first_shard)
    return True


def shard_sizes(run: RunDocument) -> ShardSizes:
    """What a run's manifest is cut by."""
    return ShardSizes(run.shard_size, run.pilot)


def _written_shards(services: Services, run: RunDocument) -> int:
    """How many shards an earlier invocation wrote: they are written in order."""
    folder = run_keys(run).manifest_folder()
    listed = services.store.list(run.output_bucket, folder)
    return sum(1 for found in listed if found.key.endswith(".tasks"))


def _planned(
    services: Services, run: RunDocument, first_shard: int, has_time: Callable[[], bool]
) -> Iterator[PlannedShard]:
    uri = parse_s3_uri(run.identity["input"])
    found = list_object(services.store, uri)
    if run.identity.get("records_per_input") is not None:
        return _planned_slices(services, run, (uri, found), first_shard, has_time)
    if found is not None:
        return _planned_list(services, run, uri, found, first_shard)
    last = _last_record(services, run, first_shard)
    folder = uri.folder()
    listed = list_inputs(
        services.store,
        folder,
        recursive=bool(run.identity["options"].get("recursive")),
        start_after=None if last is None else parse_s3_uri(last.uri).key,
    )
    return plan_prefix(listed, folder.bucket, shard_sizes(run), first_shard)


def _last_record(services: Services, run: RunDocument, first_shard: int) -> Record | None:
    """The last input before a shard; None before the first."""
    if first_shard == 0:
        return None
    key = run_keys(run).manifest_tasks(first_shard - 1)
    return parse_tasks(services.store.get(run.output_bucket, key).body)[-1]


def _planned_slices(
    services: Services,
    run: RunDocument,
    given: tuple[S3Uri, Listed | None],
    first_shard: int,
    has_time: Callable[[], bool],
) -> Iterator[PlannedShard]:
    begun, shard = _begun(services, run, first_shard), PlannedShard(first_shard)
    for record in begun:
        add_slice(shard, record)
    last = begun[-1] if begun else _last_record(services, run, first_shard)
    uri, found = given
    if found is None:
        recursive = bool(run.identity["options"].get("recursive"))
        sources = prefix_sources(services.store, uri.folder(), last, recursive=recursive)
    else:
        sources = sources_after(_named_files(services, run, uri, found), last)
    records, scratch_gib = run.identity["records_per_input"], services.settings.scratch_gib
    slicer = Slicer(services.store, records, scratch_gib, has_time)
    return plan_slices(slicer.slices(chain(rest_of(last), sources)), shard, shard_sizes(run))


def _named_files(services: Services, run: RunDocument, uri: S3Uri, found: Listed) -> list[bytes]:
    """The files of a list, or the one file that the input is."""
    etag = run.input_etag or found.etag
    files = [str(uri).encode()]
    if slicing_problem(str(uri)) is not None:
        buckets = services.settings.data_buckets
        survey = survey_list(_chunks(services, uri, etag), found.size, buckets)
        files = list_files(_chunks(services, uri, etag), survey.suspects)
    _pin_list(services, run, etag)
    return files


def _begun(services: Services, run: RunDocument, shard: int) -> list[Record]:
    """The slices of a shard that an earlier invocation had time for."""
    key = ControlKeys(run.run_id).begun_shard(shard)
    try:
        return parse_tasks(services.store.get(services.settings.control_bucket, key).body)
    except NotFound:
        return []


def _keep_begun(services: Services, run: RunDocument, shard: PlannedShard) -> None:
    if shard.inputs:
        key = ControlKeys(run.run_id).begun_shard(shard.number)
        services.store.put(services.settings.control_bucket, key, encode_lines(shard.lines))


def _planned_list(
    services: Services, run: RunDocument, uri: S3Uri, found: Listed, first_shard: int
) -> Iterator[PlannedShard]:
    etag = run.input_etag or found.etag
    buckets = services.settings.data_buckets
    survey = survey_list(_chunks(services, uri, etag), found.size, buckets)
    # Pinned only once it is known to be good: a list that was refused may be mended.
    chunks = _chunks(services, uri, _pin_list(services, run, etag))
    return plan_list(chunks, survey, shard_sizes(run), first_shard)


def _pin_list(services: Services, run: RunDocument, etag: str) -> str:
    """Pin the list that the run enumerates; the ETag of whichever was pinned first."""
    documents = Documents(services.store, services.settings.control_bucket)
    pinned = documents.change_run(
        run.run_id,
        lambda current: current if current.input_etag else replace(current, input_etag=etag),
    )
    return pinned.input_etag or etag


def _chunks(services: Services, uri: S3Uri, etag: str) -> Iterator[bytes]:
    try:
        stream = services.store.get_stream(uri.bucket, uri.key, etag=etag)
    except (Changed, NotFound) as error:
        raise RequestRejected([f"input: {uri} changed while it was enumerated"]) from error
    yield from stream.chunks()


def _write_shard(services: Services, run: RunDocument, keys: RunKeys, shard: PlannedShard) -> None:
    """Write what belongs to a shard, its task list last: that object is the shard."""
    store, bucket = services.store, run.output_bucket

    def skip(duplicate: tuple[int, int, int]) -> None:
        place, index, original = duplicate
        _put_known(
            services,
            bucket,
            keys.skipped_marker(shard.number, place),
            encode_skipped(index, original),
        )

    each(skip, shard.duplicates)
    # A DOCK 3.8 list cannot name a slice: read as one, the table must not pass for a list.
    is_sliced = run.identity.get("records_per_input") is not None
    key = (keys.manifest_slices if is_sliced else keys.manifest_list)(shard.number)
    store.put(bucket, key, shard.list_text(), content_type="text/plain")
    body = encode_lines(shard.lines)
    try:
        store.put_once(bucket, keys.manifest_tasks(shard.number), body)
    except AlreadyExists:
        if store.get(bucket, keys.manifest_tasks(shard.number)).body != body:
            raise Conflict(
                f"shard {shard.number} of run {run.run_id} is enumerated by another invocation too"
            ) from None


def _put_known(services: Services, bucket: str, key: str, body: bytes) -> None:
    """Write once what another enumeration of the same run may have written before."""
    try:
        services.store.put_once(bucket, key, body)
    except AlreadyExists:
        return


def _write_shards(services: Services, run: RunDocument, keys: RunKeys, shards: int) -> None:
    """Write the Map's items, the pilot's before them: the manifest is whole."""
    if shards == 0:
        raise RequestRejected([f"input: nothing lies below {run.identity['input']!r}"])
    last = shard_inputs(services.store, run, shards - 1)
    items = [
        {"shard": number, "inputs": shard_sizes(run).most(number) if number < shards - 1 else last}
        for number in range(shards)
    ]
    if run.pilot:
        _put_known(services, run.output_bucket, keys.pilot_items(), json.dumps(items[:1]).encode())
    _put_known(services, run.output_bucket, keys.shards(), json.dumps(items).encode())
