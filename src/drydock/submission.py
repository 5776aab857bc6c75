"""A round on its way to AWS Batch: the objects its children read, and the job itself."""

import json
from dataclasses import replace

from drydock.concurrency import each
from drydock.decision import SubmitRound
from drydock.detection import run_keys
from drydock.errors import NotFound
from drydock.jobs import BATCH_TIMEOUT_MARGIN_S, JobRequest
from drydock.keys import ControlKeys, job_name
from drydock.markers import reopened_places
from drydock.run_document import RunDocument
from drydock.services import Services
from drydock.settings import Settings
from drydock.shard_document import Round, ShardDocument
from drydock.store import Store
from drydock.task_document import PinnedAsset, TaskDocument, parse_assets
from drydock.tasks import Record, encode_tasks, parse_tasks
from drydock.uris import parse_s3_uri


def read_assets(
    services: Services, run_id: str
) -> tuple[dict[str, PinnedAsset], PinnedAsset | None]:
    """The pinned assets and dockfiles of a run, as enumeration wrote them down."""
    found = services.store.get(services.settings.control_bucket, ControlKeys(run_id).assets())
    return parse_assets(json.loads(found.body))


def write_round(
    services: Services,
    run: RunDocument,
    document: ShardDocument,
    decision: SubmitRound,
    unique: str,
) -> None:
    """Write a round's task list and task document, before anybody is told of them.

    Their keys are unique: a condition could only turn a lost answer into a refusal.
    """
    store, bucket = services.store, services.settings.control_bucket
    control = ControlKeys(run.run_id)
    manifest = store.get(run.output_bucket, run_keys(run).manifest_tasks(document.shard))
    records = parse_tasks(manifest.body)
    tasks_key = control.round_tasks(document.shard, decision.number, unique)
    work = _pinned_anew(store, run, document.shard, [records[place] for place in decision.places])
    store.put(bucket, tasks_key, encode_tasks(work))
    task_document = _task_document(services, run, document, decision, tasks_key)
    store.put(
        bucket,
        control.round_document(document.shard, decision.number, unique),
        task_document.to_json(),
    )


def _pinned_anew(store: Store, run: RunDocument, shard: int, records: list[Record]) -> list[Record]:
    """The records, those whose failures were opened again with what their objects are by now."""
    folder = run_keys(run).markers_folder(shard)
    listed = store.list(run.output_bucket, folder) if run.reopened else ()
    reopened = reopened_places((found.key[len(folder) :] for found in listed), run.reopened)
    return each(lambda r: _pin(store, r) if r.place in reopened else r, records)


def _pin(store: Store, record: Record) -> Record:
    uri = parse_s3_uri(record.uri)
    try:
        found = store.head(uri.bucket, uri.key)
    except NotFound:
        # The worker settles an input that is not there; who opened it again is told so.
        return record
    return replace(record, etag=found.etag, size=found.size)


def _task_document(
    services: Services,
    run: RunDocument,
    document: ShardDocument,
    decision: SubmitRound,
    tasks_key: str,
) -> TaskDocument:
    request = run.current.request
    assets, dockfiles = read_assets(services, run.run_id)
    return TaskDocument(
        run_id=run.run_id,
        shard=document.shard,
        epoch=run.epoch,
        owner=run.owner,
        round=decision.number,
        tool=run.identity["tool"],
        options=run.identity["options"],
        assets=assets,
        dockfiles=dockfiles,
        output_bucket=run.output_bucket,
        output_prefix=run.output_prefix,
        tasks_bucket=services.settings.control_bucket,
        tasks_key=tasks_key,
        run_document_key=ControlKeys(run.run_id).run_document(),
        inputs_per_job=request["inputs_per_job"],
        size=len(decision.places),
        vcpus=request["resources"]["vcpus"],
        gpus=request["resources"]["gpus"],
        attempt_seconds=request["attempt_seconds"],
        checkpoint_seconds=request["checkpoint_seconds"],
        kms_key_id=services.settings.kms_key_id,
        variables=tuple(sorted(request["environment"] | request["secrets"])),
    )


def queue_of(settings: Settings, run: RunDocument, claimed: Round) -> str:
    """The queue of a round: GPUs are what the request of its own epoch asked for."""
    (request,) = (each.request for each in run.epochs if each.epoch == claimed.epoch)
    return settings.queue_arn(claimed.queue, with_gpus=bool(request["resources"]["gpus"]))


def job_request(
    services: Services, run: RunDocument, document: ShardDocument, claimed: Round
) -> JobRequest:
    """The job of a claimed round."""
    settings, request = services.settings, run.current.request
    key = ControlKeys(run.run_id).round_document(document.shard, claimed.number, claimed.unique)
    resources = request["resources"]
    return JobRequest(
        name=job_name(run.run_id, document.shard, claimed.number),
        queue_arn=queue_of(settings, run, claimed),
        definition_arn=claimed.job_definition_arn,
        jobs=claimed.jobs,
        environment={
            **request["environment"],
            "S3_TASK_LOCATION": f"s3://{settings.control_bucket}/{key}",
            "ATTEMPT_SECONDS": str(request["attempt_seconds"]),
        },
        vcpus=resources["vcpus"],
        memory_mib=claimed.memory_mib or resources["memory_mib"],
        gpus=resources["gpus"],
        timeout_s=request["attempt_seconds"] + BATCH_TIMEOUT_MARGIN_S,
        tags={**request["tags"], "drydock:run": run.run_id, "drydock:name": request["name"]},
    )
