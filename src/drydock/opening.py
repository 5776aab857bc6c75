"""Opening a run: which run a request is, and the epoch that an execution opens of it."""

import json
from contextlib import suppress
from typing import Any

from drydock.checking import Checked
from drydock.definitions import Container, definition_name
from drydock.documents import Documents, Versioned
from drydock.errors import (
    AlreadyExists,
    Conflict,
    Malformed,
    NotFound,
    RequestRejected,
    RunSuperseded,
    ServiceUnavailable,
)
from drydock.keys import ControlKeys, RunKeys, owner_claim
from drydock.request import Request
from drydock.retiring import retire_definitions
from drydock.run_document import (
    IDENTITY_FIELDS,
    Epoch,
    RunDocument,
    identity_of,
    open_epoch,
)
from drydock.services import Services
from drydock.store import AccessDenied
from drydock.task_document import encode_assets
from drydock.uris import parse_s3_uri

_TRIES = 20


def open_run(services: Services, request: Request, checked: Checked, execution: str) -> RunDocument:
    """The run of a request, with an epoch that belongs to the execution; idempotent.

    Raises:
        RequestRejected: the output prefix holds another run, this run is going on, or the data it
            rests on have changed since it began.
        RunSuperseded: the execution owned the run before another one did.
    """
    values = request.model_dump(mode="json")
    run_id = _claim_output(services, request, values)
    _pin_assets(services, run_id, checked)
    epoch_values = _epoch(services, request, values, checked.image, execution)
    documents = Documents(services.store, services.settings.control_bucket)
    services.store.put(
        services.settings.control_bucket,
        owner_claim(execution),
        json.dumps({"run_id": run_id}).encode(),
    )
    for _ in range(_TRIES):
        try:
            run = _open_epoch(services, documents, run_id, request, checked, epoch_values)
        except (Conflict, AlreadyExists):
            continue
        return run
    raise Conflict(f"run {run_id}: its document was changed by others {_TRIES} times")


def _claim_output(services: Services, request: Request, values: dict[str, Any]) -> str:
    """The id of the run that lives in the output prefix: a new one, or this request's own."""
    output = parse_s3_uri(request.output).folder()
    identity = identity_of(values)
    card = {"run_id": services.unique(), "name": request.name, "identity": identity}
    keys = RunKeys("", output.key)
    key = keys.run_card()
    _refuse_leftovers(services, request, keys)
    try:
        services.store.put_once(
            output.bucket, key, json.dumps(card, indent=2).encode(), content_type="application/json"
        )
    except AlreadyExists:
        found = services.store.get(output.bucket, key)
        return _same_run(request, identity, found.body)
    except AccessDenied as error:
        # The first that is written there: what forbids it forbids everything else.
        told = f"output: {request.output!r} was given: {error}"
        raise RequestRejected([told]) from error
    return str(card["run_id"])


def _refuse_leftovers(services: Services, request: Request, keys: RunKeys) -> None:
    """Refuse a prefix with a manifest and no card: it would pass for the new run's own."""
    store, bucket = services.store, parse_s3_uri(request.output).bucket
    left = next(iter(store.list(bucket, keys.manifest_folder(), page_size=1)), None)
    if left is None:
        return
    try:
        store.head(bucket, keys.run_card())
    except NotFound:
        told = (
            f"output: {request.output!r} was given: it has the manifest of a run whose run.json is "
            f"gone; remove s3://{bucket}/{keys.manifest_folder()} too, or choose another output"
        )
        raise RequestRejected([told]) from None


def _same_run(request: Request, identity: dict[str, Any], body: bytes) -> str:
    try:
        card = json.loads(body)
        run_id, known = str(card["run_id"]), dict(card["identity"])
        name = str(card["name"])
    except (ValueError, TypeError, KeyError) as error:
        raise RequestRejected(
            [f"output: {request.output!r} was given: it holds a run.json that is not drydock's"]
        ) from error
    differing = [field for field in IDENTITY_FIELDS if known.get(field) != identity[field]]
    if differing:
        told = "; ".join(
            f"its {field} is {json.dumps(known.get(field))}, not {json.dumps(identity[field])}"
            for field in differing
        )
        raise RequestRejected(
            [f"output: {request.output!r} was given: it holds run {name!r} ({run_id}): {told}"]
        )
    return run_id


def _pin_assets(services: Services, run_id: str, checked: Checked) -> None:
    """Pin what the run rests on the first time; afterwards it must be what it was."""
    bucket, key = services.settings.control_bucket, ControlKeys(run_id).assets()
    pinned = encode_assets(checked.assets, checked.dockfiles)
    try:
        services.store.put_once(bucket, key, pinned)
    except AlreadyExists:
        known = services.store.get(bucket, key).body
        if known != pinned:
            raise RequestRejected(_changes(known, pinned)) from None


def _changes(known: bytes, pinned: bytes) -> list[str]:
    """Which pinned objects are not what they were when the run began."""
    before, after = _etags(known), _etags(pinned)
    changed = sorted(uri for uri in before | after if before.get(uri) != after.get(uri))
    return [
        f"assets: {uri} has changed since the run began; put it back or choose another output"
        for uri in changed[:20]
    ] or ["assets: they are not those that the run began with; choose another output"]


def _etags(pinned: bytes) -> dict[str, str]:
    fields = json.loads(pinned)
    assets = [*fields["assets"].values(), fields["dockfiles"] or {"objects": []}]
    return {found["uri"]: found["etag"] for asset in assets for found in asset["objects"]}


def _epoch(
    services: Services, request: Request, values: dict[str, Any], image: str, execution: str
) -> Epoch:
    """The epoch of an execution. Its image is a digest: no push can change it from here on."""
    stack_arn, now = services.settings.job_definition_arn, services.now()
    container = Container(image, request.resources.shm_mib, request.secrets)
    name = definition_name(stack_arn, container, now)
    definition_arn = services.jobs.definition(name, container)
    if definition_arn is None:
        # What cannot be tidied up now is when the next one is registered: no run waits for it.
        with suppress(ServiceUnavailable):
            retire_definitions(services, execution)
        definition_arn = services.jobs.register(
            name=name, based_on_arn=stack_arn, container=container
        )
    return Epoch(
        epoch=1,
        owner=execution,
        started_at=now,
        request=values,
        image=image,
        job_definition_arn=definition_arn,
    )


def _open_epoch(
    services: Services,
    documents: Documents,
    run_id: str,
    request: Request,
    checked: Checked,
    first: Epoch,
) -> RunDocument:
    try:
        known = documents.run(run_id)
    except NotFound:
        output = parse_s3_uri(request.output).folder()
        document = RunDocument(
            run_id=run_id,
            output_bucket=output.bucket,
            output_prefix=output.key,
            identity=identity_of(first.request),
            epochs=(first,),
            shard_size=services.settings.shard_size,
            pilot=min(request.pilot, services.settings.shard_size),
        )
        documents.create_run(document)
        return document
    except Malformed as error:
        raise RequestRejected(
            [f"output: the control document of run {run_id} is broken"]
        ) from error
    return _next_epoch(services, documents, known, request, checked, first)


def _next_epoch(
    services: Services,
    documents: Documents,
    known: Versioned[RunDocument],
    request: Request,
    checked: Checked,
    first: Epoch,
) -> RunDocument:
    run = known.value
    if run.owner == first.owner:
        return run
    if first.owner in {epoch.owner for epoch in run.epochs}:
        raise RunSuperseded(f"run {run.run_id} is owned by {run.owner}, not by {first.owner}")
    if run.input_etag is not None and run.input_etag != checked.list_etag:
        told = f"input: {request.input!r} was given: the list has changed since the run began"
        raise RequestRejected([f"{told}; put it back or choose another output"])
    if services.executions.is_running(run.owner):
        raise RequestRejected(
            [f"output: {request.output!r} was given: run {run.run_id} is RUNNING as {run.owner}"]
        )
    epoch = Epoch(
        epoch=run.epoch + 1,
        owner=first.owner,
        started_at=first.started_at,
        request=first.request,
        image=first.image,
        job_definition_arn=first.job_definition_arn,
    )
    opened = open_epoch(run, epoch, request.retry_failed)
    documents.replace_run(known, opened)
    return opened
